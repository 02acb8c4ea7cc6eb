package buffer_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/millgate/millgate/buffer"
	"github.com/millgate/millgate/collector/kpi"
	"github.com/millgate/millgate/collector/kpi/kpisim"
	"github.com/millgate/millgate/configs"
)

// catalogueEnv names the file with the catalogue of the week.
const catalogueEnv = "MILLGATE_TEST_WEEK"

func init() {
	buffer.Followed["week"] = func(dir string) error {
		text, err := os.ReadFile(os.Getenv(catalogueEnv))
		if err != nil {
			return err
		}
		var c buffer.Catalogue
		if err := json.Unmarshal(text, &c); err != nil {
			return err
		}
		q, f, err := openWeek(&c, dir)
		if err != nil {
			return err
		}
		return buffer.FollowUntilKilled(q, f)
	}
}

// openWeek opens a queue of the simulated factory, with a follower that computes its KPIs by the real policy.
func openWeek(c *buffer.Catalogue, dir string) (*buffer.Queue, *buffer.Follower, error) {
	q, err := buffer.Open(buffer.Config{Dir: dir, Uplinks: []string{"province"}, CommitInterval: 10 * time.Millisecond}, c)
	if err != nil {
		return nil, nil, err
	}
	plan, err := kpi.NewPlan(c.KPI, configs.Policy())
	if err != nil {
		return nil, nil, err
	}
	return q, q.Follower(plan, filepath.Join(filepath.Dir(dir), "kpi")), nil
}

// weekCatalogue names all tags that the factory's devices tell.
func weekCatalogue(week *kpisim.Week) *buffer.Catalogue {
	c := &buffer.Catalogue{V: 1, Site: "factory", Gateway: "gw-01", Timezone: "Asia/Shanghai", KPI: week.Config}
	ids, tags := week.Devices()
	for _, id := range ids {
		d := buffer.CatalogueDevice{ID: id, Protocol: "modbus", Tags: []buffer.CatalogueTag{buffer.UpTag()}}
		for _, tag := range tags[id] {
			d.Tags = append(d.Tags, buffer.CatalogueTag{Name: tag.Name, Kind: tag.Kind.String(), Type: tag.Type.String(), Interval: 1000})
		}
		c.Devices = append(c.Devices, d)
	}
	return c
}

// TestKilledWeekHasTheSameKPIs kills a process again and again while it computes the KPIs of a simulated factory's week: late readings, a late
// swap of a meter and restarts of the gateway included. In the end each report is there once, byte by byte as without a kill.
func TestKilledWeekHasTheSameKPIs(t *testing.T) {
	week := kpisim.NewWeek(5)
	catalogue := weekCatalogue(week)
	calm := filepath.Join(t.TempDir(), "queue")
	q, f, err := openWeek(catalogue, calm)
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Store(week.Blocks); err != nil {
		t.Fatal(err)
	}
	before := filepath.Join(t.TempDir(), "queue")
	if err := os.CopyFS(before, os.DirFS(calm)); err != nil {
		t.Fatal(err)
	}
	runWeek(t, q, f)
	want := buffer.Reports(t, q)
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	described := filepath.Join(t.TempDir(), "catalogue.json")
	if err := os.WriteFile(described, catalogue.JSON(), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv(catalogueEnv, described)
	buffer.Disturb(t, "week", before, func(dir string) {
		q, _, err := openWeek(catalogue, dir)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = q.Close() }()
		buffer.SameReports(t, buffer.Reports(t, q), want)
	})
}

// runWeek lets f take all blocks, and commits its reports.
func runWeek(t *testing.T, q *buffer.Queue, f *buffer.Follower) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	queueCtx, stopQueue := context.WithCancel(context.Background())
	queue, followed := make(chan error), make(chan error)
	go func() { queue <- q.Run(queueCtx) }()
	go func() { followed <- f.Run(ctx) }()
	last := q.Snapshot().Next[buffer.Readings] - 1
	for f.Snapshot().Position.Readings < last {
		select {
		case err := <-followed:
			t.Fatal(err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	cancel()
	if err := <-followed; err != nil {
		t.Fatal(err)
	}
	stopQueue()
	if err := <-queue; err != nil {
		t.Fatal(err)
	}
	if s := f.Snapshot(); s.Error != "" || s.Lag != 0 {
		t.Errorf("the follower says %+v", s)
	}
}
