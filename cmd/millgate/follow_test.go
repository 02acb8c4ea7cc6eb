package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millgate/millgate/buffer"
	"github.com/millgate/millgate/collector/kpi"
	"github.com/millgate/millgate/configs"
	"github.com/millgate/millgate/drivers"
)

// meterSite is a site with one machine, whose meter refuses connections.
func meterSite(t *testing.T, dataDir string) *configs.Site {
	t.Helper()
	file := filepath.Join(t.TempDir(), "site.yaml")
	text := fmt.Sprintf(`site: {id: s}
gateway: {id: g, data_dir: %q}
devices:
- {id: d, modbus: {endpoint: "tcp://127.0.0.1:1", unit: 1}, interval: 100ms, points: [{name: e, table: input_register, address: 0, type: float64, unit: kW.h, kind: counter}]}
equipment:
- {id: M-1, category: lathe, signals: {energy: d.e}}
`, dataDir)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	site, err := configs.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	site.Buffer.Uplinks = []string{"u"}
	return site
}

// storeEnergy puts readings of the meter into the site's queue, one a minute from a time on, each a kilowatt hour more.
func storeEnergy(t *testing.T, site *configs.Site, from time.Time, minutes int) {
	t.Helper()
	cfg := site.Buffer
	cfg.BlockSize = 512 // many blocks, as if committed one after the other
	queue, err := buffer.Open(cfg, site.Catalogue)
	if err != nil {
		t.Fatal(err)
	}
	tags, err := site.Catalogue.Tags()
	if err != nil {
		t.Fatal(err)
	}
	for i := range minutes {
		at := from.Add(time.Duration(i) * time.Minute).UnixMilli()
		readings := []drivers.Reading{
			{Tag: tags[0], Time: at, Quality: drivers.Good, Value: drivers.BoolValue(true)},
			{Tag: tags[1], Time: at, Quality: drivers.Good, Value: drivers.Float64Value(float64(i))},
		}
		if _, err := queue.Append(readings, nil, []drivers.Cycle{{Device: "d", Time: at, Due: 1, Good: 1, Own: 1}}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := queue.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if err := queue.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestGatewayComputesKPIs of what the queue holds, says where it stands, and stops with its state and all reports committed.
func TestGatewayComputesKPIs(t *testing.T) {
	dir := t.TempDir()
	site := meterSite(t, dir)
	began := time.Now().Add(-4 * time.Hour).Truncate(time.Hour)
	storeEnergy(t, site, began, 150)
	var log strings.Builder
	g, err := openGateway(site, newLog(&log, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	running := start(g.run)
	var s gatewayStatus
	for s.KPIs == nil || s.KPIs.Reports < 9 || s.KPIs.Lag > 0 {
		if _, err := ask(t.Context(), dir, "/v1/status", &s); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if k := s.KPIs; k.Position.Readings == 0 || k.Window == nil || k.Error != "" {
		t.Errorf("the follower says %+v", k)
	}
	if err := running.stop(); err != nil {
		t.Fatal(err)
	}
	energies := quarterEnergies(t, g.queue)
	for i := 1; i < 9; i++ {
		if quarter := began.Add(time.Duration(i) * 15 * time.Minute).UnixMilli(); energies[quarter] != 15 {
			t.Errorf("quarter %d has %v kWh, want 15", i, energies[quarter])
		}
	}
	if k := g.follower.Snapshot(); k.Lag != 0 {
		t.Errorf("it stopped before it had taken everything: %+v", k)
	}
	if err := g.close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "kpi", "current.state")); err != nil {
		t.Error(err)
	}
	if strings.Contains(log.String(), "ERROR") {
		t.Errorf("the log says\n%s", &log)
	}
}

// quarterEnergies are the energies in the stored reports, by the quarter's begin.
func quarterEnergies(t *testing.T, queue *buffer.Queue) map[int64]float64 {
	t.Helper()
	energies := map[int64]float64{}
	cursor := queue.Cursor("u")
	for next := queue.Snapshot().Next[buffer.KPIs] - 1; next > 0; {
		b, err := cursor.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if b.Stream != buffer.KPIs {
			continue
		}
		next--
		for _, r := range b.Report.Results {
			if b.Report.Window.Kind == kpi.Quarter && r.Subject == "M-1" && r.KPI == "energy" && r.Value != nil {
				energies[b.Report.Window.From] = *r.Value
			}
		}
	}
	return energies
}
