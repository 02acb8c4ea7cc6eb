package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/millgate/millgate/buffer"
	"github.com/millgate/millgate/collector"
	"github.com/millgate/millgate/configs"
	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/modbus"
	"github.com/millgate/millgate/drivers/opcua"
	"github.com/millgate/millgate/uplink"
)

// gcPercent trades a little CPU for memory, of which the boxes have little.
const gcPercent = 25

func runCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "run SITE.yaml",
		Short: "Run the gateway",
		Long: `Polls the site's devices, keeps their readings in the queue in gateway.data_dir, and publishes them to its uplinks.
It runs until SIGTERM or Ctrl-C, and stops with every reading committed. What it has to say goes to standard error;
on a healthy day that is little.`,
		Example: "  millgate check site.yaml && millgate run site.yaml",
		Args:    takes("SITE.yaml"),
		RunE: func(cmd *cobra.Command, args []string) error {
			site, err := configs.Load(args[0])
			if err != nil {
				return err
			}
			g, err := openGateway(site, newLog(cmd.ErrOrStderr(), site.Location))
			if err != nil {
				return err
			}
			if os.Getenv("GOGC") == "" {
				debug.SetGCPercent(gcPercent)
			}
			debug.FreeOSMemory() // what reading the site took, and at the second time what was pooled for it
			debug.FreeOSMemory()
			return errors.Join(g.run(cmd.Context()), g.close())
		},
	}
}

// gateway is one site at work.
type gateway struct {
	site      *configs.Site
	log       *slog.Logger
	queue     *buffer.Queue
	follower  *buffer.Follower // nil without equipment
	uplinks   []*uplink.Uplink
	links     *modbus.Links
	workers   *opcua.Workers
	faults    *faultTraces
	devices   []collector.Device
	collector *collector.Collector
}

// openGateway opens the queue and makes the rooms; nothing runs and no network is touched before run.
func openGateway(site *configs.Site, log *slog.Logger) (*gateway, error) {
	queue, err := openQueue(site, log)
	if err != nil {
		return nil, err
	}
	site.Catalogue = nil // the queue has its own
	g := &gateway{site: site, log: log, queue: queue, links: modbus.NewLinks(), workers: opcua.NewWorkers(), faults: recordFaults(filepath.Join(site.DataDir, "trace"), log)}
	g.links.Log, g.links.OnFault, g.workers.Log = log, g.faults.record, log
	if g.follower, err = newFollower(site, queue); err != nil {
		return nil, errors.Join(err, g.close())
	}
	self := uplink.Self{Site: site.ID, Gateway: site.Gateway, Version: versionText(), Clock: clockStatus}
	for _, cfg := range site.Uplinks {
		g.uplinks = append(g.uplinks, uplink.New(cfg, self, queue, log))
	}
	lastSeen := queue.LastSeen()
	if err = g.makeDevices(lastSeen); err != nil {
		return nil, errors.Join(err, g.close())
	}
	g.collector = collector.New(collector.Config{Devices: g.devices, Store: queue, LastSeen: lastSeen, Log: log})
	return g, nil
}

func openQueue(site *configs.Site, log *slog.Logger) (*buffer.Queue, error) {
	cfg := site.Buffer
	cfg.Log = log
	queue, err := buffer.Open(cfg, site.Catalogue)
	if path := (*fs.PathError)(nil); errors.As(err, &path) {
		err = fmt.Errorf("%w; gateway.data_dir is %q: name a folder that this user may write to", err, site.DataDir)
	}
	return queue, err
}

// makeDevices gives each poll group its driver. seen is when each device was last heard.
func (g *gateway) makeDevices(seen map[string]int64) error {
	tellers := map[string]bool{} // devices that may have kept what happened meanwhile
	for _, d := range g.site.Devices {
		for _, group := range d.Groups {
			if group.OPCUA != nil {
				tellers[d.ID] = true
			}
		}
	}
	last, err := g.queue.Latest(tellers)
	if err != nil {
		g.log.Warn("what the servers' histories hold of the time before this start may come twice", "error", err)
	}
	for _, d := range g.site.Devices {
		device := collector.Device{ID: d.ID, Up: d.Up}
		for _, group := range d.Groups {
			driver, err := g.driver(group, seen[d.ID], last[d.ID])
			if err != nil {
				return err
			}
			device.Groups = append(device.Groups, collector.Group{Interval: group.Interval, Driver: driver, Tags: group.Rules})
		}
		g.devices = append(g.devices, device)
	}
	return nil
}

// driver reads a poll group of a device that was heard at seen, and whose tags have their last readings at last. A new protocol is one
// case here.
func (g *gateway) driver(group configs.Group, seen int64, last map[string]int64) (drivers.Driver, error) {
	if group.OPCUA == nil {
		return g.links.Driver(*group.Modbus)
	}
	cfg := *group.OPCUA
	cfg.Since = seen
	if len(last) > 0 {
		cfg.Last, cfg.Since = make([]int64, len(cfg.Points)), 0
		for i, p := range cfg.Points {
			cfg.Last[i] = last[p.Tag.Name]
			cfg.Since = max(cfg.Since, cfg.Last[i])
		}
	}
	return g.workers.Driver(cfg)
}

// settling is how long after a start everything is connected, as a rule.
const settling = 8 * time.Second

// run works until ctx is done. Then it stops in the order in which data flows, so that each room still finds the next one at work:
// polling ends, the queue commits, the KPIs follow from what it committed, it commits those, the uplinks deliver what they can in a moment,
// and the queue commits their acknowledgements.
func (g *gateway) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g.log.Info("the gateway has started", "version", versionText(), "site", g.site.ID, "gateway", g.site.Gateway,
		"devices", len(g.site.Devices), "uplinks", len(g.uplinks), "data_dir", g.site.DataDir)
	g.tell(drivers.EventGatewayStart, "the gateway has started, version "+versionText(), "网关已启动，版本 "+versionText())

	defer time.AfterFunc(settling, debug.FreeOSMemory).Stop() // what it took to get going
	queue := start(g.queue.Run)
	kpis := start(g.computeKPIs)
	uplinks := start(g.publish)
	control := start(g.serveControl)
	books := start(g.publishLedger)
	polling := start(g.collector.Run)
	select {
	case <-ctx.Done():
	case <-polling.ended: // by itself only if it can not poll at all
		cancel()
	}

	g.log.Info("the gateway stops")
	failure := errors.Join(polling.stop(), books.stop())
	g.awaitCommit(g.tell(drivers.EventGatewayStop, "the gateway has stopped", "网关已停止"))
	_ = kpis.stop()  // it has logged what went wrong; behind what it has not taken the next start goes on
	_ = queue.stop() // what it could not commit, the last commit below tries again
	g.awaitDelivery()
	_, _ = uplinks.stop(), control.stop() // they have logged what went wrong
	if err := g.queue.Run(ctx); err != nil {
		return errors.Join(failure, fmt.Errorf("the last readings could not be written to disk and are lost: %w", err))
	}
	g.log.Info("the gateway has stopped; everything that was read is committed")
	return failure
}

// publish runs the uplinks until ctx is done. One that fails takes nobody with it.
func (g *gateway) publish(ctx context.Context) error {
	var running sync.WaitGroup
	for _, u := range g.uplinks {
		running.Go(func() {
			if err := u.Run(ctx); err != nil {
				g.log.Error("an uplink has given up; its readings are kept, restart the gateway to send them", "error", err)
			}
		})
	}
	running.Wait()
	return nil
}

// publishLedger puts the ledger into the events on every full hour, so that a subscriber can audit without access to the box.
func (g *gateway) publishLedger(ctx context.Context) error {
	for {
		now := time.Now()
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(now.Truncate(time.Hour).Add(time.Hour).Sub(now)):
		}
		if err := g.tellLedger(); err != nil {
			return err
		}
	}
}

func (g *gateway) tellLedger() error {
	snapshot := g.queue.Snapshot()
	ledger := snapshot.Ledger
	fields, err := json.Marshal(ledger)
	if err != nil {
		return fmt.Errorf("encode the ledger: %w", err)
	}
	event := drivers.Event{Time: drivers.Millis(time.Now()), Kind: drivers.EventLedger, Severity: drivers.Info, Subject: "queue", Fields: fields,
		Text: drivers.EventText{EN: "the ledger balances: every reading that was due is accounted for", ZH: "对账平衡：每一条应采读数均有着落"}}
	if last := snapshot.Next[buffer.Readings] - 1; last > 0 { // so that a subscriber knows what to compare it with
		event.Ref = &drivers.BlockRange{Stream: string(buffer.Readings), From: 1, To: last}
	}
	if wrong := ledger.Imbalances(); len(wrong) > 0 {
		event.Severity = drivers.Severe
		event.Text = drivers.EventText{EN: "the ledger does not balance: " + strings.Join(wrong, "; "), ZH: "对账不平衡：" + strings.Join(wrong, "; ")}
	}
	_, _ = g.queue.Append(nil, []drivers.Event{event}, nil) // only readings can be refused
	return nil
}

// deliveryGrace is how long a stop waits for the brokers to take what was committed last.
const deliveryGrace = 1500 * time.Millisecond

// awaitDelivery waits until nothing is pending for the uplinks that are connected.
func (g *gateway) awaitDelivery() {
	for end := time.Now().Add(deliveryGrace); time.Now().Before(end) && g.delivering(); {
		time.Sleep(20 * time.Millisecond)
	}
}

func (g *gateway) delivering() bool {
	connected := map[string]bool{}
	for _, u := range g.uplinks {
		s := u.Snapshot()
		connected[s.ID] = s.Connected
	}
	for _, u := range g.queue.Snapshot().Uplinks {
		if u.PendingBlocks > 0 && connected[u.ID] {
			return true
		}
	}
	return false
}

// tell puts an event of the gateway itself into the queue, at pos.
func (g *gateway) tell(kind drivers.EventKind, en, zh string) (pos uint64) {
	event := drivers.Event{Time: drivers.Millis(time.Now()), Kind: kind, Severity: drivers.Info, Subject: "gateway",
		Text: drivers.EventText{EN: en, ZH: zh}}
	pos, _ = g.queue.Append(nil, []drivers.Event{event}, nil) // only readings can be refused
	return pos
}

// close releases the files and connections, after run.
func (g *gateway) close() error {
	err := errors.Join(g.links.Close(), g.workers.Close())
	g.faults.close()
	return errors.Join(err, g.queue.Close())
}

// stage is a room at work. Its context is its own, because the rooms stop in order.
type stage struct {
	cancel context.CancelFunc
	ended  chan struct{}
	err    error // valid once ended
}

func start(run func(context.Context) error) *stage {
	ctx, cancel := context.WithCancel(context.Background())
	s := &stage{cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		s.err = run(ctx)
	}()
	return s
}

// stop ends the room and waits for it.
func (s *stage) stop() error {
	s.cancel()
	<-s.ended
	return s.err
}
