package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/millgate/millgate/buffer"
	"github.com/millgate/millgate/collector"
	"github.com/millgate/millgate/drivers/modbus"
	"github.com/millgate/millgate/drivers/opcua"
	"github.com/millgate/millgate/uplink"
)

// A running gateway answers other millgate commands over HTTP on a Unix socket in its data_dir, for its own user only:
//
//	GET  /v1/status          everything it knows of itself (gatewayStatus)
//	GET  /v1/buffer          the queue (buffer.Snapshot)
//	POST /v1/probe           reads every tag of one device, or of all (probeOrder, []probe)
//	POST /v1/modbus          one read request over one of its links (modbusOrder, modbusAnswer)
//	GET  /v1/trace?place=    the last frames of the link there ([]modbus.Frame)
//	GET  /v1/plan?device=    what a device is asked for, and what was learned of it ([]groupPlan)
//	POST /v1/forget          makes a device's drivers learn anew (probeOrder)
//	POST /v1/inputs          what people entered, as far as the local history reaches ({}, []enteredInput)
//	POST /v1/kpis            where every KPI stands ({}, []kpiStanding)
//	POST /v1/explain         computes one KPI anew (explainOrder, explainedKPI)
//	POST /v1/input           stores what a person entered (inputOrder, enteredInput)
const controlFile = "millgate.sock"

// maxSocketPath is below what every system accepts for a Unix socket's path (108 bytes on Linux, 104 on macOS).
const maxSocketPath = 100

// gatewayStatus is the answer to GET /v1/status.
type gatewayStatus struct {
	Version string                   `json:"version"`
	Site    string                   `json:"site"`
	Gateway string                   `json:"gateway"`
	Queue   buffer.Snapshot          `json:"queue"`
	KPIs    *buffer.FollowerSnapshot `json:"kpis,omitempty"` // nil without equipment
	Devices []collector.DeviceStatus `json:"devices"`
	Links   []modbus.LinkStatus      `json:"links"`
	Servers []opcua.ServerStatus     `json:"servers"` // OPC UA
	Refused []refusedPoint           `json:"refused,omitempty"`
	Uplinks []uplink.Snapshot        `json:"uplinks"`
}

// refusedPoint is a point that its device refuses, so that it is left out but now and then.
type refusedPoint struct {
	Device string `json:"device"`
	modbus.RefusedPoint
}

func (g *gateway) status() gatewayStatus {
	s := gatewayStatus{Version: versionText(), Site: g.site.ID, Gateway: g.site.Gateway, Queue: g.queue.Snapshot(), Devices: g.collector.Snapshot(), Links: g.links.Snapshot(),
		Servers: g.workers.Snapshot()}
	if g.follower != nil {
		snapshot := g.follower.Snapshot()
		s.KPIs = &snapshot
	}
	for _, u := range g.uplinks {
		s.Uplinks = append(s.Uplinks, u.Snapshot())
	}
	for _, d := range g.devices {
		g.eachDriver(d.ID, func(_ time.Duration, driver *modbus.Driver) {
			for _, p := range driver.Learned().Quarantined {
				s.Refused = append(s.Refused, refusedPoint{d.ID, p})
			}
		})
	}
	return s
}

// serveControl answers until ctx is done. A gateway that can not be asked still works, so a failure is only said.
func (g *gateway) serveControl(ctx context.Context) error {
	listener, err := listenControl(g.site.DataDir)
	if err != nil {
		g.log.Warn("other millgate commands can not ask this gateway while it runs", "reason", err)
		return nil
	}
	if err := serveUntil(ctx, listener, g.controls()); !errors.Is(err, http.ErrServerClosed) {
		g.log.Warn("other millgate commands can no longer ask this gateway", "reason", err)
	}
	return nil
}

// serveUntil serves until ctx is done and cuts off whoever still asks then. No handler runs when it returns: what they use may be closed.
func serveUntil(ctx context.Context, listener net.Listener, handler http.Handler) error {
	ctx, cancel := context.WithCancel(ctx)
	var handling sync.RWMutex
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			handling.RLock()
			defer handling.RUnlock()
			if ctx.Err() == nil {
				handler.ServeHTTP(w, r)
			}
		}),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second,
	}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	err := server.Serve(listener)
	cancel()
	handling.Lock() // waits for those that run
	defer handling.Unlock()
	return err
}

func (g *gateway) controls() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) { answer(w, g.status()) })
	mux.HandleFunc("GET /v1/buffer", func(w http.ResponseWriter, _ *http.Request) { answer(w, g.queue.Snapshot()) })
	mux.HandleFunc("POST /v1/probe", g.serveProbe)
	mux.HandleFunc("POST /v1/modbus", g.serveModbus)
	mux.HandleFunc("GET /v1/trace", g.serveTrace)
	mux.HandleFunc("GET /v1/plan", g.servePlan)
	mux.HandleFunc("POST /v1/forget", g.serveForget)
	mux.HandleFunc("POST /v1/inputs", g.serveInputs)
	mux.HandleFunc("POST /v1/kpis", g.serveKPIs)
	mux.HandleFunc("POST /v1/explain", g.serveExplain)
	mux.HandleFunc("POST /v1/input", g.serveInput)
	return mux
}

func listenControl(dataDir string) (net.Listener, error) {
	path := filepath.Join(dataDir, controlFile)
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("the path %s is longer than %d bytes; choose a shorter gateway.data_dir", path, maxSocketPath)
	}
	// Whoever holds the queue holds the folder: a socket that is there was left behind.
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return listener, nil
}

func answer(w http.ResponseWriter, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(text) // fails when the one who asked has gone
}
