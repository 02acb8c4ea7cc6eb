package kpi

import (
	"strings"
	"testing"

	"github.com/millgate/millgate/drivers"
)

// minutes makes blocks of a machine that is executing and uses 60 kW, one a minute; its meter counts a kWh a minute.
func (p *plant) minutes(from, to int64, meter float64) (blocks []*Batch) {
	for t := from; t < to; t += testMinute {
		blocks = append(blocks, p.block(p.reading(t, "c/run", 1), p.reading(t, "m/power", 60.0), p.reading(t, "m/energy", meter)))
		meter++
	}
	return blocks
}

// latest is the valid result, after all revisions.
func (a *archive) latest(kind WindowKind, label, subject, id string) (r *Result, rev int) {
	for w, p := range a.published {
		if w.Kind != kind || w.Label != label {
			continue
		}
		for i := range p.results {
			if p.results[i].Subject == subject && p.results[i].KPI == id {
				return &p.results[i], p.rev
			}
		}
	}
	return nil, 0
}

func wantValue(t *testing.T, what string, r *Result, want float64) {
	t.Helper()
	if r == nil || r.Value == nil || abs(*r.Value-want) > 1e-9*abs(want) {
		t.Errorf("%s: got %s, want %v", what, asJSON(r), want)
	}
}

func TestSwapToldLate(t *testing.T) {
	p := newPlant(lathe())
	begin := localTime("2026-11-24 09:00")
	a := newArchive()
	f := p.follower(a)
	follow := func(blocks ...*Batch) []Report {
		t.Helper()
		reports, err := p.follow(a, f, blocks...)
		if err != nil {
			t.Fatal(err)
		}
		return reports
	}
	follow(p.minutes(begin, begin+62*testMinute, 1000)...) // the last value, at 10:01, is 1061
	// At 10:01:30 the meter is changed: it ends at 1061.5; the new one begins at 5 and shows 5.5 at 10:02.
	swapped := begin + 61*testMinute + 30_000
	follow(p.minutes(begin+62*testMinute, begin+100*testMinute, 5.5)...)
	quarter, _ := a.latest(Quarter, "2026-11-24T10:00+08:00", "M-1", "energy")
	before := asJSON(quarter)
	follow(p.block(p.reading(swapped, "manual/meter_swap", `{"tag":"m/energy","final":1061.5,"initial":5,"by":"Li"}`)))
	reports := follow(p.minutes(begin+100*testMinute, begin+120*testMinute, 43.5)...)
	quarter, rev := a.latest(Quarter, "2026-11-24T10:00+08:00", "M-1", "energy")
	wantValue(t, "energy of the quarter with the change", quarter, 15)
	if rev != 1 || asJSON(quarter) == before {
		t.Errorf("revision %d: %s, before %s", rev, asJSON(quarter), before)
	}
	for _, r := range reports {
		if r.Rev > 0 && (r.Reason != ReasonSwap || r.Window.To <= swapped) {
			t.Errorf("a revision of %v for %q", r.Window, r.Reason)
		}
	}
}

func TestInputsOfWindowsThatHaveEnded(t *testing.T) {
	p := newPlant(shopFloor())
	p.cfg.Inputs = append(p.cfg.Inputs, Input{ID: "gas", Subject: "A-1", Quantity: "natural_gas", Unit: "m3", Period: "month"})
	p = newPlant(p.cfg)
	a := newArchive()
	f := p.follower(a)
	begin := localTime("2026-10-20 09:00")
	var blocks []*Batch
	for day := range 16 {
		blocks = append(blocks, p.block(p.reading(begin+int64(day)*24*60*testMinute, "m/energy", 12.0), p.reading(begin+int64(day)*24*60*testMinute, "n/energy", 12.0)))
	}
	if _, err := p.follow(a, f, blocks...); err != nil {
		t.Fatal(err)
	}
	a.blocks = nil // the history is gone
	month, _ := a.latest(Month, "2026-10", "A-1", "account_energy")
	if month == nil || month.Absent != Incomplete {
		t.Fatalf("without the bill: %s", asJSON(month))
	}
	enter := func(value float64) *Result {
		t.Helper()
		reports, err := p.follow(a, f, p.block(p.reading(localTime("2026-10-01 08:00"), "manual/gas", value)))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range reports {
			if r.Window.Kind != Month || r.Reason != ReasonInput || r.Rev == 0 {
				t.Errorf("a report of %v, revision %d, %q", r.Window, r.Rev, r.Reason)
			}
		}
		month, _ = a.latest(Month, "2026-10", "A-1", "account_energy")
		return month
	}
	first := enter(100)
	if first == nil || first.Value == nil {
		t.Fatalf("with the bill: %s", asJSON(first))
	}
	want := *first.Value + 100*1.33
	wantValue(t, "twice the gas", enter(200), want)
	if reports, _ := p.follow(a, f, p.block(p.reading(localTime("2026-10-01 08:00"), "manual/gas", 200.0))); len(reports) > 0 {
		t.Errorf("the same bill again: %s", asJSON(reports))
	}
}

func TestGapsAreUnknown(t *testing.T) {
	p := newPlant(lathe())
	begin := localTime("2026-11-24 09:00")
	for name, gap := range map[string]func(b *Batch){
		"a start":     func(b *Batch) { b.Started = b.Readings[0].Time },
		"a lost seq":  func(b *Batch) { b.Seq++ },
		"a new epoch": func(b *Batch) { b.Epoch, b.Seq = "E2", 1 },
	} {
		p.seq = 0
		e := NewEngine(p.plan)
		for _, b := range p.minutes(begin, begin+5*testMinute, 1) { // last heard at 9:04
			e.Take(b)
		}
		after := p.minutes(begin+10*testMinute, begin+20*testMinute, 11)
		gap(after[0])
		var reports []Report
		for i, b := range after {
			b.Epoch, b.Seq = after[0].Epoch, after[0].Seq+uint64(i)
			reports = append(reports, e.Take(b).Reports...)
		}
		const label = "2026-11-24T09:00+08:00"
		wantValue(t, name, find(reports, Quarter, label, "M-1", "unknown_time"), float64(6*testMinute))
		wantValue(t, name, find(reports, Quarter, label, "M-1", "apt"), float64(9*testMinute))
		wantValue(t, name+", which a counter bridges", find(reports, Quarter, label, "M-1", "energy"), 14)
	}
}

func TestDownIsUnknown(t *testing.T) {
	p := newPlant(lathe())
	begin := localTime("2026-11-24 09:00")
	e := NewEngine(p.plan)
	for _, b := range p.minutes(begin, begin+5*testMinute, 1) {
		e.Take(b)
	}
	e.Take(p.block(p.reading(begin+5*testMinute, "c/up", false)))
	out := e.Take(p.block(p.reading(begin+16*testMinute, "c/up", true)))
	const label = "2026-11-24T09:00+08:00"
	wantValue(t, "down", find(out.Reports, Quarter, label, "M-1", "unknown_time"), float64(10*testMinute))
	if k := e.tracks[0]; channelOf(k, &k.windows[kindOf(Day)], "power").Known != 15*testMinute {
		t.Errorf("another device is up: its power is known for %d ms", channelOf(k, &k.windows[kindOf(Day)], "power").Known)
	}
}

func TestClockJumps(t *testing.T) {
	p := newPlant(lathe())
	a := newArchive()
	f := p.follower(a)
	begin, wrong := localTime("2026-11-24 09:00"), localTime("2036-02-29 11:00")
	minutes := func(from, to int64, meter float64) []Report {
		t.Helper()
		var reports []Report
		for _, b := range p.minutes(from, to, meter) {
			news, err := p.follow(a, f, b)
			if err != nil {
				t.Fatal(err)
			}
			if len(news) > 200 {
				t.Fatalf("%d reports at once", len(news))
			}
			reports = append(reports, news...)
		}
		return reports
	}
	minutes(begin, begin+20*testMinute, 1)
	minutes(wrong, wrong+20*testMinute, 21) // what it shows after 9:20
	hours := int64(11 * 60)
	minutes(begin+40*testMinute, begin+(40+hours)*testMinute, 41)
	const label = "2026-11-24T09:15+08:00"
	wantValue(t, "energy before the jump, and no longer", first(a.latest(Quarter, label, "M-1", "energy")), 5)
	wantValue(t, "unknown while the clock was wrong", first(a.latest(Quarter, label, "M-1", "unknown_time")), float64(11*testMinute))
	wantValue(t, "after that", first(a.latest(Quarter, "2026-11-24T12:15+08:00", "M-1", "apt")), float64(15*testMinute))
	wantValue(t, "the counter bridges it", first(a.latest(Quarter, "2026-11-24T09:30+08:00", "M-1", "energy")), 25)
}

func first[T any](x T, _ int) T { return x }

func TestDevicesThatSendTheirPastAreNoClock(t *testing.T) {
	p := newPlant(lathe())
	a := newArchive()
	f := p.follower(a)
	begin := localTime("2026-11-24 09:00")
	if _, err := p.follow(a, f, p.minutes(begin, begin+120*testMinute, 1)...); err != nil {
		t.Fatal(err)
	}
	// What the spindle did meanwhile comes in one go, block by block, and the present again.
	for at := begin; at < begin+110*testMinute; at += 10 * testMinute {
		if _, err := p.follow(a, f, p.block(p.reading(at, "c/spindle", true)), p.block(p.reading(at+5*testMinute, "c/spindle", false))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.follow(a, f, p.minutes(begin+120*testMinute, begin+26*60*testMinute, 121)...); err != nil {
		t.Fatal(err)
	}
	rate, _ := a.latest(InShift, "2026-11-24/day", "M-1", "spindle_rate")
	if rate == nil || rate.Num == nil || *rate.Num != float64(55*testMinute) {
		t.Errorf("spindle: %s, want 55 min", asJSON(rate))
	}
}

func TestRewindingWithoutHistory(t *testing.T) {
	p := newPlant(lathe())
	a := newArchive()
	f := p.follower(a)
	begin := localTime("2026-11-24 09:00")
	if _, err := p.follow(a, f, p.minutes(begin, begin+40*testMinute, 1)...); err != nil {
		t.Fatal(err)
	}
	a.blocks = a.blocks[10:]
	_, err := p.follow(a, f, append([]*Batch{p.block(p.reading(begin+testMinute, "c/spindle", true))}, p.minutes(begin+40*testMinute, begin+60*testMinute, 41)...)...)
	if err == nil || !strings.Contains(err.Error(), "late_data") {
		t.Errorf("late data that can not be taken in: %v", err)
	}
	wantValue(t, "all the same", first(a.latest(Quarter, "2026-11-24T09:30+08:00", "M-1", "apt")), float64(15*testMinute))
}

func TestExplain(t *testing.T) {
	p := newPlant(lathe())
	e := NewEngine(p.plan)
	begin := localTime("2026-11-24 09:00")
	var lines []Working
	e.Explain("M-1", "utilisation_of_calendar", func(w Window, r Result, working []Working) {
		if w.Kind == InShift {
			lines = working
		}
	})
	for _, b := range append(p.minutes(begin, begin+30*testMinute, 1), p.block(p.reading(begin+10*60*testMinute, "c/up", true))) {
		e.Take(b)
	}
	if len(lines) == 0 {
		t.Error("nothing is explained")
	}
}

func TestReadingsThatAreNoNumbers(t *testing.T) {
	p := newPlant(lathe())
	e := NewEngine(p.plan)
	begin := localTime("2026-11-24 09:00")
	e.Take(p.block(p.reading(begin, "m/power", 1e300), p.reading(begin, "m/energy", "much"), p.reading(begin, "c/parts", -1e300)))
	out := e.Take(p.block(p.reading(begin+16*testMinute, "m/power", drivers.CauseNotANumber)))
	if _, err := RestoreEngine(p.plan, e.State()); err != nil {
		t.Error(err)
	}
	if r := find(out.Reports, Quarter, "2026-11-24T09:00+08:00", "M-1", "energy"); r != nil && r.Value != nil {
		t.Errorf("energy of what is no number: %s", asJSON(r))
	}
}
