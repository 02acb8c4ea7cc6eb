package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millgate/millgate/buffer"
	"github.com/millgate/millgate/configs"
	"github.com/millgate/millgate/drivers"
)

// smallSite is a site with one device that refuses connections and no uplink.
func smallSite(t *testing.T, dataDir string) *configs.Site {
	t.Helper()
	file := filepath.Join(t.TempDir(), "site.yaml")
	text := fmt.Sprintf(`site: {id: s}
gateway: {id: g, data_dir: %q}
devices:
- {id: d, modbus: {endpoint: "tcp://127.0.0.1:1", unit: 1}, interval: 100ms, points: [{name: n, table: coil, address: 0, type: bool}]}
`, dataDir)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	site, err := configs.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	return site
}

// TestGateway: it can be asked while it runs, whatever socket a crash has left; it stops with everything committed and leaves nothing
// behind.
func TestGateway(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	dir := t.TempDir()
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: filepath.Join(dir, controlFile)})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	if err := stale.Close(); err != nil {
		t.Fatal(err)
	}

	var log strings.Builder
	g, err := openGateway(smallSite(t, dir), newLog(&log, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	running := start(g.run)
	var s gatewayStatus
	for len(s.Queue.Ledger.Devices) == 0 || s.Queue.Ledger.Devices[0].Due == 0 {
		if _, err := ask(t.Context(), dir, "/v1/status", &s); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if len(s.Devices) != 1 || s.Devices[0].Up || s.Site != "s" || s.Gateway != "g" {
		t.Errorf("status %+v", s)
	}
	if running, err := ask(t.Context(), dir, "/v1/nothing", &s); !running || err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("a path that does not exist: running %v, %v", running, err)
	}
	if err := running.stop(); err != nil {
		t.Fatal(err)
	}
	after := g.queue.Snapshot()
	if wrong := after.Ledger.Imbalances(); len(wrong) > 0 || g.queue.Durable() == 0 {
		t.Errorf("ledger %v, durable to %d", wrong, g.queue.Durable())
	}
	if err := g.close(); err != nil {
		t.Fatal(err)
	}
	if running, err := ask(t.Context(), dir, "/v1/status", &s); running || err != nil {
		t.Errorf("after the stop: running %v, %v", running, err)
	}
	for _, word := range []string{"WARN", "ERROR"} { // but for the device that is down
		if n := strings.Count(log.String(), word); n > 1 {
			t.Errorf("the log says %s %d times:\n%s", word, n, &log)
		}
	}
}

// TestGatewayEvents: start and stop are in the queue, and durable.
func TestGatewayEvents(t *testing.T) {
	site := smallSite(t, t.TempDir())
	site.Buffer.Uplinks = []string{"u"}
	g, err := openGateway(site, newLog(new(strings.Builder), time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.run(ctx); err != nil {
		t.Fatal(err)
	}
	var told []drivers.EventKind
	cursor := g.queue.Cursor("u")
	for len(told) < 2 {
		b, err := cursor.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if b.Stream == buffer.Events {
			for _, e := range b.Events {
				told = append(told, e.Kind)
			}
		}
	}
	if told[0] != drivers.EventGatewayStart || told[len(told)-1] != drivers.EventGatewayStop {
		t.Errorf("events %v", told)
	}
	if err := g.close(); err != nil {
		t.Fatal(err)
	}
}

// TestLongDataDir: a folder whose path is too long for a socket costs the socket and nothing else.
func TestLongDataDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("x", 100))
	var log strings.Builder
	g, err := openGateway(smallSite(t, dir), newLog(&log, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := g.run(ctx); err != nil {
		t.Error(err)
	}
	if err := g.close(); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "choose a shorter gateway.data_dir") {
		t.Errorf("the log does not say what to do:\n%s", &log)
	}
}

// TestCannotPoll: a gateway that can not poll at all ends by itself, with its reason.
func TestCannotPoll(t *testing.T) {
	site := smallSite(t, t.TempDir())
	site.Devices[0].Groups[0].Interval = 0
	g, err := openGateway(site, newLog(new(strings.Builder), time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	if err := g.run(t.Context()); err == nil || !strings.Contains(err.Error(), `device "d"`) {
		t.Errorf("error %v", err)
	}
	if err := g.close(); err != nil {
		t.Error(err)
	}
}

// TestLedgerIsTold: the hourly event carries the whole ledger, and says whether it balances.
func TestLedgerIsTold(t *testing.T) {
	site := smallSite(t, t.TempDir())
	site.Buffer.Uplinks = []string{"u"} // only so that the event can be read back
	g, err := openGateway(site, newLog(&strings.Builder{}, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = g.close() }()
	cycle := drivers.Cycle{Device: "d", Due: 3, Good: 2} // one reading unaccounted for
	if _, err := g.queue.Append(nil, nil, []drivers.Cycle{cycle}); err != nil {
		t.Fatal(err)
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.queue.Run(done); err != nil {
		t.Fatal(err)
	}
	if err := g.tellLedger(); err != nil {
		t.Fatal(err)
	}
	if err := g.queue.Run(done); err != nil {
		t.Fatal(err)
	}
	b, err := g.queue.Cursor("u").Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	e := b.Events[0]
	if e.Kind != drivers.EventLedger || e.Severity != drivers.Severe || !strings.Contains(string(e.Fields), `"due":3`) || !strings.Contains(e.Text.EN, "due 3") {
		t.Errorf("%+v", e)
	}
}
