package kpi_test

import (
	"fmt"
	"iter"
	"maps"
	"math"
	"reflect"
	"slices"
	"sort"
	"testing"

	"github.com/millgate/millgate/collector/kpi"
	"github.com/millgate/millgate/collector/kpi/kpisim"
)

// weekTimes are what is compared of a machine's times, in ms.
var weekTimes = []string{
	"apt", "aust", "adet", "adot", "off_time", "unknown_time", "planned_stop_time", "unscheduled_time", "overtime", "planned_busy_time",
}

// weekPartition are the times that make up a window.
var weekPartition = []string{"unscheduled_time", "planned_stop_time", "apt", "aust", "adet", "adot", "unknown_time"}

// weekCatalogue has what the simulated factory refers to.
func weekCatalogue() *kpi.Catalogue {
	c := &kpi.Catalogue{
		Categories: []kpi.Category{{ID: kpisim.Category, Groups: []string{"utilisation", "energy"}}},
		Mappings: []kpi.Mapping{
			{ID: "opc40501-C.2.3", Version: 1, Rows: []kpi.MappingRow{
				{State: "executing", Mode: "processing", Element: "apt"}, {State: "executing", Mode: "setup", Element: "aust"},
				{State: "not_executing", Element: "adot"}, {State: "out_of_service", Element: "adet"},
			}},
			{ID: "state-only", Version: 1, Rows: []kpi.MappingRow{
				{State: "executing", Element: "apt"}, {State: "not_executing", Element: "adot"}, {State: "out_of_service", Element: "adet"},
			}},
		},
		Codes: []kpi.CodeTable{{ID: "opc40001", Version: 1, Mapping: "opc40501-C.2.3@1", Roles: []string{"item_state", "operation_mode"}}},
	}
	for state, code := range map[string]int64{"executing": 3, "not_executing": 2, "out_of_service": 1} {
		for mode, of := range map[string]int64{"processing": 3, "setup": 2, "none": 0} {
			row := kpi.CodeRow{When: map[string][]int64{"item_state": {code}, "operation_mode": {of}}, State: state, Mode: mode}
			c.Codes[0].Rows = append(c.Codes[0].Rows, row)
		}
	}
	define := func(group, unit string, windows []kpi.WindowKind, ids ...string) {
		for _, id := range ids {
			c.Definitions = append(c.Definitions, kpi.Definition{ID: id, Version: 1, Scope: "equipment", Group: group, Unit: unit, Windows: windows})
		}
	}
	define("utilisation", "ms", kpi.WindowKinds, weekTimes...)
	define("utilisation", "1", kpi.WindowKinds[1:], "parts_total", "alarm_stops")
	define("energy", "kW.h", kpi.WindowKinds, "energy")
	return c
}

// weekHistory is a History in memory, and a subscriber that keeps the newest revision of each result.
type weekHistory struct {
	blocks []kpi.Batch
	newest map[string]map[string]kpi.Result // by window, subject and KPI
	rev    map[string]int
	window map[string]kpi.Window
	reason map[string]int // number of reports
	kept   []keptState
}

type keptState struct {
	day   string
	from  int64
	state []byte
}

func newWeekHistory(blocks []kpi.Batch) *weekHistory {
	return &weekHistory{
		blocks: blocks, newest: map[string]map[string]kpi.Result{}, rev: map[string]int{}, window: map[string]kpi.Window{}, reason: map[string]int{},
	}
}

func windowKey(w kpi.Window) string { return string(w.Kind) + " " + w.Label }

func (h *weekHistory) Blocks(from uint64) iter.Seq2[*kpi.Batch, error] {
	return func(yield func(*kpi.Batch, error) bool) {
		for i := int(from) - 1; i < len(h.blocks); i++ {
			if !yield(&h.blocks[i], nil) {
				return
			}
		}
	}
}

func (h *weekHistory) Published(w kpi.Window) (rev int, results []kpi.Result, ok bool) {
	byKPI, ok := h.newest[windowKey(w)]
	for _, key := range slices.Sorted(maps.Keys(byKPI)) {
		results = append(results, byKPI[key])
	}
	return h.rev[windowKey(w)], results, ok
}

func (h *weekHistory) Keep(day string, from int64, state []byte) error {
	h.kept = slices.DeleteFunc(h.kept, func(k keptState) bool { return k.day == day })
	h.kept = append(h.kept, keptState{day, from, state})
	return nil
}

func (h *weekHistory) Kept(t int64) (state []byte, err error) {
	newest := int64(math.MinInt64)
	for _, k := range h.kept {
		if k.from <= t && k.from > newest {
			newest, state = k.from, k.state
		}
	}
	return state, nil
}

// take keeps reports as a subscriber does.
func (h *weekHistory) take(t *testing.T, reports []kpi.Report) {
	for _, r := range reports {
		key := windowKey(r.Window)
		if h.newest[key] == nil {
			h.newest[key] = map[string]kpi.Result{}
		} else if r.Rev <= h.rev[key] {
			t.Errorf("%s: revision %d after %d", key, r.Rev, h.rev[key])
		}
		h.rev[key], h.window[key] = r.Rev, r.Window
		h.reason[r.Reason]++
		for _, result := range r.Results {
			h.newest[key][result.Subject+" "+result.KPI] = result
		}
	}
}

// runWeek is a gateway that computes KPIs as blocks come. With killEvery it goes on from a state after so many blocks, again and again.
func runWeek(t *testing.T, week *kpisim.Week, killEvery int) *weekHistory {
	plan, err := kpi.NewPlan(week.Config, weekCatalogue())
	if err != nil {
		t.Fatal(err)
	}
	h := newWeekHistory(week.Blocks)
	f := &kpi.Follower{Engine: kpi.NewEngine(plan), Plan: plan, History: h}
	for i := range week.Blocks {
		reports, _, err := f.Take(&week.Blocks[i])
		if err != nil {
			t.Fatalf("block %d: %v", i+1, err)
		}
		h.take(t, reports)
		if killEvery > 0 && i%killEvery == killEvery-1 {
			if f.Engine, err = kpi.RestoreEngine(plan, f.Engine.State()); err != nil {
				t.Fatal(err)
			}
		}
	}
	return h
}

// TestWeek compares a simulated week with its truth: times and counts exactly, energies within what the figure itself says and 0.1 %.
func TestWeek(t *testing.T) {
	if testing.Short() {
		t.Skip("computes a week of eight machines")
	}
	week := kpisim.NewWeek(1)
	readings := 0
	for i := range week.Blocks {
		readings += len(week.Blocks[i].Readings)
	}
	h := runWeek(t, week, 0)
	t.Logf("%d blocks, %d readings, %d windows", len(week.Blocks), readings, len(h.window))
	compared := map[kpi.WindowKind]int{}
	for key, w := range h.window {
		unsure := w.From < week.Unsure.To && w.To > week.Unsure.From
		for _, m := range week.Machines {
			got := func(id string) float64 { return weekValue(t, h, key, m.ID, id) }
			sum := 0.0
			for _, id := range weekPartition {
				sum += got(id)
			}
			if sum != float64(w.To-w.From) {
				t.Errorf("%s of %s: the parts sum to %g ms", m.ID, key, sum)
			}
			if unsure {
				most, want := float64(week.Unsure.To-week.Unsure.From), weekTruth(m, kpisim.Span{From: w.From, To: w.To})
				for _, id := range weekTimes {
					if got(id)-want[id] > most || want[id]-got(id) > most {
						t.Errorf("%s of %s: %s %g, in truth %g: the clock was wrong for less", m.ID, key, id, got(id), want[id])
					}
				}
				continue
			}
			if w.From >= week.From {
				compareWeek(t, h, key, m)
				compared[w.Kind]++
			}
		}
	}
	// 7 days, 15 shifts and 672 quarters less those with the wrong clock, and a quarter without a gateway, of which there is nothing to say;
	// of eight machines.
	if compared[kpi.Day] != 6*8 || compared[kpi.InShift] != 14*8 || compared[kpi.Quarter] != (672-3-1)*8 {
		t.Errorf("compared %v", compared)
	}
	if h.reason[kpi.ReasonLate] == 0 || h.reason[kpi.ReasonSwap] == 0 {
		t.Errorf("reports by reason: %v", h.reason)
	}
	killed := runWeek(t, week, 997)
	if fmt.Sprint(killed.reason) != fmt.Sprint(h.reason) || !reflect.DeepEqual(killed.newest, h.newest) || !reflect.DeepEqual(killed.rev, h.rev) {
		t.Error("a gateway that was killed 60 times comes to other results")
	}
}

// weekValue is the value of a result; NaN if there is none.
func weekValue(t *testing.T, h *weekHistory, key, subject, id string) float64 {
	r, ok := h.newest[key][subject+" "+id]
	switch {
	case !ok:
		t.Errorf("%s of %s: no %s", subject, key, id)
	case r.Value != nil:
		return *r.Value
	case r.Absent == kpi.NoData && id == "unknown_time":
		return float64(h.window[key].To - h.window[key].From)
	case r.Absent == kpi.NoData: // nothing at all is known
		return 0
	}
	return math.NaN()
}

func compareWeek(t *testing.T, h *weekHistory, key string, m *kpisim.Machine) {
	w := h.window[key]
	want := weekTruth(m, kpisim.Span{From: w.From, To: w.To})
	ids := weekTimes
	if w.Kind != kpi.Quarter {
		ids = append(slices.Clone(ids), "parts_total", "alarm_stops")
	}
	for _, id := range ids {
		if got := weekValue(t, h, key, m.ID, id); got != want[id] {
			t.Errorf("%s of %s: %s %s, in truth %s", m.ID, key, id, fmt.Sprint(got), fmt.Sprint(want[id]))
		}
	}
	truth, measured := want["energy"]
	r := h.newest[key][m.ID+" energy"]
	switch {
	case !measured:
		if r.Value != nil {
			t.Errorf("%s of %s: energy %g without a meter", m.ID, key, *r.Value)
		}
	case r.Value == nil:
		if truth != 0 {
			t.Errorf("%s of %s: no energy (%s), in truth %g kWh", m.ID, key, r.Absent, truth)
		}
	case math.Abs(*r.Value-truth) > 1e-9+truth*weekTolerance(m):
		t.Errorf("%s of %s: energy %.4f kWh, in truth %.4f", m.ID, key, *r.Value, truth)
	}
}

// weekTolerance: counters are exact, integrated power is within 0.1 %.
func weekTolerance(m *kpisim.Machine) float64 {
	if m.Energy != nil {
		return 1e-9
	}
	return 0.001
}

// weekTruth adds up what was the case in a span.
func weekTruth(m *kpisim.Machine, in kpisim.Span) map[string]float64 {
	truth := map[string]float64{}
	addTimes(truth, m, in)
	addCounts(truth, m, in)
	return truth
}

func addTimes(truth map[string]float64, m *kpisim.Machine, in kpisim.Span) {
	for _, p := range m.Planned {
		span := kpisim.Span{From: max(p.From, in.From), To: min(p.To, in.To)}
		if span.From >= span.To {
			continue
		}
		if p.Class == kpi.Planned {
			truth["planned_busy_time"] += float64(span.To - span.From)
		}
		for _, e := range m.Elements {
			ms := float64(max(0, min(e.To, span.To)-max(e.From, span.From)))
			switch {
			case ms == 0:
				continue
			case e.Element == kpi.APT:
				truth["apt"] += ms
				if p.Class != kpi.Planned {
					truth["overtime"] += ms
				}
			case e.Element == kpi.AUST:
				truth["aust"] += ms
			case e.Element == kpi.Unknown:
				truth["unknown_time"] += ms
			case p.Class == kpi.PlannedStop:
				truth["planned_stop_time"] += ms
			case p.Class == kpi.Unscheduled:
				truth["unscheduled_time"] += ms
			case e.Element == kpi.ADET:
				truth["adet"] += ms
			default:
				truth["adot"] += ms
			}
			if e.Element == kpi.Off {
				truth["off_time"] += ms
			}
		}
	}
}

func addCounts(truth map[string]float64, m *kpisim.Machine, in kpisim.Span) {
	last := kpi.Unknown
	for _, e := range m.Elements {
		if e.Element == kpi.Unknown {
			continue
		}
		if e.Element == kpi.ADET && last != kpi.ADET && e.From >= in.From && e.From < in.To {
			truth["alarm_stops"]++
		}
		last = e.Element
	}
	grown := func(all []kpisim.Growth) (sum float64) {
		first := sort.Search(len(all), func(i int) bool { return all[i].Time >= in.From })
		for i := first; i < len(all) && all[i].Time < in.To; i++ {
			sum += all[i].By
		}
		return sum
	}
	truth["parts_total"] = grown(m.Parts)
	if m.Energy != nil {
		truth["energy"] = grown(m.Energy)
	}
	if m.Power != nil {
		first := sort.Search(len(m.Power), func(i int) bool { return m.Power[i].To > in.From })
		truth["energy"] = 0
		for i := first; i < len(m.Power) && m.Power[i].From < in.To; i++ {
			l := &m.Power[i]
			truth["energy"] += l.Value * float64(min(l.To, in.To)-max(l.From, in.From)) / 3_600_000
		}
	}
}
