package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/millgate/millgate/configs"
	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/modbus"
)

// ask reads an answer of the gateway that runs on dataDir into v; running is false if there is none.
func ask(ctx context.Context, dataDir, path string, v any) (running bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return order(ctx, dataDir, http.MethodGet, path, nil, v)
}

// order is ask with a method and a body, for as long as ctx allows.
func order(ctx context.Context, dataDir, method, path string, body, v any) (running bool, err error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", filepath.Join(dataDir, controlFile))
	if err != nil {
		return false, nil
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("ask the running gateway: %w", err)
		}
	}()
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return conn, nil },
	}}
	text, err := json.Marshal(body)
	if err != nil {
		return true, errors.Join(err, conn.Close())
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://gateway"+path, bytes.NewReader(text))
	if err != nil {
		return true, errors.Join(err, conn.Close())
	}
	response, err := client.Do(request)
	if err != nil {
		return true, err
	}
	defer func() { _ = response.Body.Close() }() // read to its end, or given up
	if response.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10))
		return true, fmt.Errorf("it answers %s: %s", response.Status, strings.TrimSpace(string(why)))
	}
	return true, json.NewDecoder(response.Body).Decode(v)
}

// wires are the way to the devices: links of this process, or those of the gateway that runs on dataDir and holds the ports.
type wires struct {
	*sources // nil: a gateway runs
	dataDir  string
}

// wiresOf finds out whether the site's gateway runs. A nil site has none.
func wiresOf(ctx context.Context, site *configs.Site) (*wires, error) {
	if site != nil {
		var s struct{ Site string }
		running, err := ask(ctx, site.DataDir, "/v1/status", &s)
		if running || err != nil {
			return &wires{dataDir: site.DataDir}, err
		}
	}
	return &wires{sources: newSources()}, nil
}

func (w *wires) close() error {
	if w.sources == nil {
		return nil
	}
	return w.sources.close()
}

// probe reads the devices: with the gateway's own settings, if one runs.
func (w *wires) probe(ctx context.Context, devices []configs.Device) (probes []probe, err error) {
	if w.sources != nil {
		return probeAll(ctx, w.sources, devices)
	}
	for _, d := range devices {
		var p probe
		if err := w.order(ctx, http.MethodPost, "/v1/probe", probeOrder{Device: d.ID, Settings: settingsOf(d)}, &p); err != nil {
			return nil, err
		}
		probes = append(probes, p)
	}
	return probes, nil
}

// frames are those that passed over a link since a moment.
func (w *wires) frames(ctx context.Context, place string, since time.Time) (frames []modbus.Frame, err error) {
	if w.sources != nil {
		frames = w.links.Frames(place)
	} else if err := w.order(ctx, http.MethodGet, "/v1/trace?place="+url.QueryEscape(place), nil, &frames); err != nil {
		return nil, err
	}
	for len(frames) > 0 && frames[0].At.Before(since) {
		frames = frames[1:]
	}
	return frames, nil
}

// capture writes what passes over the links while work is done, whatever becomes of it.
func (w *wires) capture(ctx context.Context, file string, links []modbus.LinkConfig, work func() error) (err error) {
	var closing []func() error
	defer func() {
		for _, c := range closing {
			err = errors.Join(err, c())
		}
	}()
	if w.sources != nil {
		for _, l := range links { // a link lives, and remembers, for as long as somebody has a share in it
			d, err := w.links.Driver(modbus.Config{Link: l, Unit: 1})
			if err != nil {
				return err
			}
			closing = append(closing, d.Close)
		}
	}
	since := time.Now()
	failure := work()
	err = w.writeCapture(context.WithoutCancel(ctx), file, links, since)
	if err != nil && errors.Is(failure, errReported) {
		return err // which nobody has reported
	}
	return errors.Join(failure, err)
}

// writeCapture writes one file for each link; if there are several, each has the number of its link in its name.
func (w *wires) writeCapture(ctx context.Context, file string, links []modbus.LinkConfig, since time.Time) error {
	for i, l := range links {
		frames, err := w.frames(ctx, l.Place(), since)
		if err != nil {
			return err
		}
		if len(frames) == 0 {
			return fmt.Errorf("no frame passed over %s: there is nothing to write", l.Endpoint)
		}
		name := file
		if len(links) > 1 {
			name = fmt.Sprintf("%s-%d%s", strings.TrimSuffix(file, filepath.Ext(file)), i+1, filepath.Ext(file))
		}
		if err := writePCAPFile(name, l.Endpoint.Framing, frames); err != nil {
			return err
		}
	}
	return nil
}

func writePCAPFile(name string, framing modbus.Framing, frames []modbus.Frame) error {
	out, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(modbus.WritePCAP(out, framing, frames), out.Close())
}

// linksOf are the links that the devices use, each once.
func linksOf(devices []configs.Device) (links []modbus.LinkConfig) {
	seen := map[string]bool{}
	for _, d := range devices {
		for _, g := range d.Groups {
			if g.Modbus != nil && !seen[g.Modbus.Link.Place()] {
				seen[g.Modbus.Link.Place()] = true
				links = append(links, g.Modbus.Link)
			}
		}
	}
	return links
}

// target asks over one link; closing it is the caller's.
func (w *wires) target(link modbus.LinkConfig, timeout time.Duration) (target modbus.Target, closing func() error) {
	if w.sources != nil {
		asker := w.links.Asker(link, timeout)
		return asker, asker.Close
	}
	return &gatewayTarget{w, link, timeout}, func() error { return nil }
}

func (w *wires) order(ctx context.Context, method, path string, body, v any) error {
	running, err := order(ctx, w.dataDir, method, path, body, v)
	if err == nil && !running {
		err = errors.New("the gateway has stopped; repeat the command")
	}
	return err
}

// gatewayTarget is a modbus.Target behind the gateway that runs.
type gatewayTarget struct {
	wires   *wires
	link    modbus.LinkConfig
	timeout time.Duration
}

// Ask is modbus.Target's.
func (t *gatewayTarget) Ask(ctx context.Context, unit uint8, r modbus.Request) ([]uint16, error) {
	a, err := t.send(ctx, modbusOrder{Link: t.link, Unit: unit, Timeout: t.timeout, Request: &r})
	if err == nil && len(a.Values) != int(r.Quantity) {
		err = fmt.Errorf("the running gateway answers with %d values to a request of %d", len(a.Values), r.Quantity)
	}
	return a.Values, err
}

// Identify is modbus.Target's.
func (t *gatewayTarget) Identify(ctx context.Context, unit uint8) (modbus.Identification, error) {
	a, err := t.send(ctx, modbusOrder{Link: t.link, Unit: unit, Timeout: t.timeout})
	return a.Identification, err
}

func (t *gatewayTarget) send(ctx context.Context, o modbusOrder) (a modbusAnswer, err error) {
	if err := t.wires.order(ctx, http.MethodPost, "/v1/modbus", o, &a); err != nil {
		return a, err
	}
	if a.Error != "" {
		return a, &drivers.Error{Cause: a.Cause, Err: errors.New(a.Error)}
	}
	return a, nil
}
