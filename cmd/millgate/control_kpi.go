package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/millgate/millgate/buffer"
	"github.com/millgate/millgate/collector/kpi"
	"github.com/millgate/millgate/configs"
	"github.com/millgate/millgate/drivers"
)

// kpiFolder is where the KPIs' states are kept.
func kpiFolder(dataDir string) string { return filepath.Join(dataDir, "kpi") }

// kpiDesk answers questions about KPIs from what a queue holds.
type kpiDesk struct {
	queue  *buffer.Queue
	config *kpi.Config
	dir    string
}

func (g *gateway) desk() *kpiDesk {
	return &kpiDesk{g.queue, g.site.KPI, kpiFolder(g.site.DataDir)}
}

func (g *gateway) serveKPIs(w http.ResponseWriter, r *http.Request) {
	var o struct{}
	if readOrder(w, r, &o) {
		rows, err := g.desk().standing(r.Context(), time.Now())
		answerOr(w, rows, err)
	}
}

func (g *gateway) serveExplain(w http.ResponseWriter, r *http.Request) {
	var o explainOrder
	if readOrder(w, r, &o) {
		x, err := g.desk().explain(r.Context(), o)
		answerOr(w, x, err)
	}
}

func answerOr(w http.ResponseWriter, v any, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	answer(w, v)
}

// explained asks the gateway that runs, or reads the queue of one that does not.
func explained(ctx context.Context, site *configs.Site, o explainOrder, stderr io.Writer) (x explainedKPI, err error) {
	if running, err := order(ctx, site.DataDir, http.MethodPost, "/v1/explain", o, &x); running {
		return x, err
	}
	err = atDesk(site, stderr, func(d *kpiDesk) error {
		x, err = d.explain(ctx, o)
		return err
	})
	return x, err
}

// standing is where all KPIs stand, likewise.
func standing(ctx context.Context, site *configs.Site, stderr io.Writer) (rows []kpiStanding, err error) {
	if running, err := order(ctx, site.DataDir, http.MethodPost, "/v1/kpis", struct{}{}, &rows); running {
		return rows, err
	}
	err = atDesk(site, stderr, func(d *kpiDesk) error {
		rows, err = d.standing(ctx, time.Now())
		return err
	})
	return rows, err
}

// atDesk opens the queue for a moment.
func atDesk(site *configs.Site, stderr io.Writer, do func(*kpiDesk) error) error {
	if entries, err := os.ReadDir(site.DataDir); errors.Is(err, fs.ErrNotExist) || (err == nil && len(entries) == 0) {
		return fmt.Errorf("there is no queue in %s yet: millgate run makes it", site.DataDir)
	}
	queue, err := openQueue(site, newLog(stderr, site.Location))
	if err != nil {
		return err
	}
	return errors.Join(do(&kpiDesk{queue, site.KPI, kpiFolder(site.DataDir)}), queue.Close())
}

// follower goes on from a state, or from nothing.
func (d *kpiDesk) follower(past *buffer.Past, state []byte) (*kpi.Follower, error) {
	if d.config == nil {
		return nil, errors.New("it knows no equipment: restart it if the site has changed")
	}
	plan, err := newPlan(d.config)
	if err != nil {
		return nil, err
	}
	engine := kpi.NewEngine(plan)
	if state != nil {
		if engine, err = kpi.RestoreEngine(plan, state); err != nil {
			return nil, err
		}
	}
	return &kpi.Follower{Engine: engine, Plan: plan, History: past}, nil
}

// explain computes one KPI of one window anew, from the state kept before the window up to the newest block: so what came late is in it.
func (d *kpiDesk) explain(ctx context.Context, o explainOrder) (x explainedKPI, err error) {
	past, err := d.queue.Past(ctx, d.dir)
	if err != nil {
		return x, err
	}
	state, err := past.Kept(o.Window.From)
	if err != nil {
		return x, err
	}
	late, warning := false, ""
	f, err := d.follower(past, state)
	if err != nil {
		return x, err
	}
	horizon := int64(0)
	asked, read := map[string]explainedKPI{}, evidence{windows: []kpi.Window{o.Window, o.Else}, read: map[evidenceKey]*readSpan{}}
	f.Engine.Explain(o.Subject, o.KPI, func(w kpi.Window, r kpi.Result, working []kpi.Working) {
		if w.Label == o.Window.Label || w.Label == o.Else.Label {
			asked[w.Label] = explainedKPI{Window: w, Result: r, Working: working}
		}
	})
	for b, err := range past.Blocks(f.Engine.Position().Readings + 1) {
		if err != nil {
			return x, err
		}
		begin, end := timesOf(b)
		if horizon == 0 && state == nil {
			late = begin > o.Window.From
		}
		horizon = max(horizon, end)
		read.take(b)
		if _, _, err := f.Take(b); err != nil {
			warning = err.Error()
		}
	}
	if len(asked) == 0 { // of the windows that are open
		if _, err := f.Engine.Open(); err != nil {
			return x, err
		}
	}
	x, found := asked[o.Window.Label]
	if !found {
		x, found = asked[o.Else.Label]
	}
	if !found {
		return x, fmt.Errorf("%s of %s is not computed in %s: either its category has no such KPI, or the local history holds nothing of that time", o.KPI, o.Subject, o.Window.Label)
	}
	x.Late, x.Warning, x.Read = late, warning, read.of(x.Window.Label, x.Result.Inputs)
	if x.SoFar = x.Window != o.Window; x.SoFar {
		return x, nil
	}
	rev, results, _ := past.Published(o.Window)
	i := slices.IndexFunc(results, func(r kpi.Result) bool { return r.Subject == o.Subject && r.KPI == o.KPI })
	if i >= 0 {
		x.Published, x.Rev = &results[i], rev
	}
	return x, nil
}

// evidence is what was read of each tag in a window.
type evidence struct {
	windows []kpi.Window
	read    map[evidenceKey]*readSpan
}

type evidenceKey struct{ label, tag string }

// readSpan is what was read of one tag in a window: a person who checks a counter by hand looks at the ends.
type readSpan struct {
	Before *readValue `json:"before,omitempty"` // the last one before the window
	First  *readValue `json:"first,omitempty"`  // in it
	Last   *readValue `json:"last,omitempty"`
	N      int        `json:"n"`
}

type readValue struct {
	Time  int64  `json:"t"` // ms since 1970 UTC
	Value string `json:"value"`
}

func (e *evidence) take(b *kpi.Batch) {
	for i := range b.Readings {
		r := &b.Readings[i]
		if r.Quality == drivers.Bad {
			continue
		}
		for _, w := range e.windows {
			if w.Label == "" || r.Time >= w.To {
				continue
			}
			key := evidenceKey{w.Label, r.Tag.Device + "/" + r.Tag.Name}
			if e.read[key] == nil {
				e.read[key] = &readSpan{}
			}
			e.read[key].take(r, r.Time < w.From)
		}
	}
}

func (s *readSpan) take(r *drivers.Reading, before bool) {
	v := &readValue{r.Time, r.Value.String()}
	if before {
		if s.Before == nil || v.Time >= s.Before.Time {
			s.Before = v
		}
		return
	}
	if s.N++; s.First == nil || v.Time < s.First.Time {
		s.First = v
	}
	if s.Last == nil || v.Time >= s.Last.Time {
		s.Last = v
	}
}

func (e *evidence) of(label string, tags []string) map[string]readSpan {
	found := map[string]readSpan{}
	for _, tag := range tags {
		if s := e.read[evidenceKey{label, tag}]; s != nil {
			found[tag] = *s
		}
	}
	return found
}

// timesOf are the least and the greatest time of a block's readings; 0 if it has none. What people enter is of another time by nature.
func timesOf(b *kpi.Batch) (begin, end int64) {
	for i := range b.Readings {
		if r := &b.Readings[i]; r.Tag.Device != kpi.ManualDevice {
			if begin == 0 || r.Time < begin {
				begin = r.Time
			}
			end = max(end, r.Time)
		}
	}
	return begin, end
}

// kpiStanding is where a KPI stands.
type kpiStanding struct {
	Window kpi.Window `json:"window"`
	Rev    int        `json:"rev,omitempty"`
	SoFar  bool       `json:"so_far,omitempty"` // the window has not ended, and To is the newest reading
	Result kpi.Result `json:"result"`
}

// standingKinds are the windows of which a KPI's last value is shown, the first in which it is published.
var standingKinds = []kpi.WindowKind{kpi.Day, kpi.Month, kpi.InShift, kpi.Quarter}

// standing is of each KPI the result of the last window that has ended, else what the open one has come to.
func (d *kpiDesk) standing(ctx context.Context, now time.Time) ([]kpiStanding, error) {
	past, err := d.queue.Past(ctx, d.dir)
	if err != nil {
		return nil, err
	}
	f, err := d.follower(past, past.Newest())
	if err != nil {
		return nil, err
	}
	for b, err := range past.Blocks(f.Engine.Position().Readings + 1) {
		if err != nil {
			return nil, err
		}
		f.Engine.Take(b)
	}
	open, err := f.Engine.Open()
	if err != nil {
		return nil, err
	}
	schedule, err := kpi.NewSchedule(d.config.Calendar)
	if err != nil {
		return nil, err
	}
	rows := []kpiStanding{}
	known := map[[2]string]bool{}
	add := func(w kpi.Window, rev int, soFar bool, results []kpi.Result) {
		for _, r := range results {
			if id := [2]string{r.Subject, r.KPI}; !known[id] {
				known[id] = true
				rows = append(rows, kpiStanding{w, rev, soFar, r})
			}
		}
	}
	for _, kind := range standingKinds {
		for _, w := range lastWindows(schedule, kind, now.UnixMilli()) {
			if rev, results, ok := past.Published(w); ok {
				add(w, rev, false, results)
				break
			}
		}
	}
	for _, kind := range standingKinds {
		for _, report := range open {
			if report.Window.Kind == kind {
				add(report.Window, 0, true, report.Results)
			}
		}
	}
	return rows, nil
}

// standingReach is how far back a last window is looked for.
var standingReach = map[kpi.WindowKind]time.Duration{kpi.Quarter: 2 * time.Hour, kpi.InShift: 7 * 24 * time.Hour, kpi.Day: 7 * 24 * time.Hour, kpi.Month: 62 * 24 * time.Hour}

// lastWindows are the windows of a kind that have ended, the newest first.
func lastWindows(s *kpi.Schedule, kind kpi.WindowKind, now int64) []kpi.Window {
	windows := s.Windows(kind, kpi.Window{From: now - standingReach[kind].Milliseconds(), To: now})
	windows = slices.DeleteFunc(windows, func(w kpi.Window) bool { return w.To > now })
	slices.Reverse(windows)
	return windows
}
