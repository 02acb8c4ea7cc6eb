package kpi

import (
	"bytes"
	"math"
	"slices"
	"testing"

	"github.com/millgate/millgate/drivers"
	"pgregory.net/rapid"
)

// shopFloor is a site with a lathe, a press known by its power only, an account of both meters, and manual inputs.
func shopFloor() *Config {
	c := lathe()
	c.Equipment = append(c.Equipment, Equipment{
		ID: "M-2", Category: "machine", Shifts: []string{"day"},
		Signals: map[string]Signal{"power": {Tag: "n/power", Factor: 1}, "power_apparent": {Tag: "n/apparent", Factor: 1}, "run_hours": {Tag: "n/hours", Factor: 1}},
		State: &StateRules{
			Rules:       []StateRule{{If: "power > 3", Until: "power < 1", For: 20_000, State: "executing"}, {If: "true", State: "not_executing", Mode: "none"}},
			Power:       &PowerState{OffWhen: "power < 0.05", Hold: 30_000},
			Unreachable: "off",
			Mapping:     "opc-40501-1@1",
		},
	})
	c.Accounts = []Account{{ID: "A-1", Kind: "workshop", Terms: []Term{
		{Signal: Signal{Tag: "m/energy", Factor: 1}, Medium: "electricity", Sign: 1},
		{Signal: Signal{Tag: "n/energy", Factor: 1, Share: 0.5, Basis: "area"}, Medium: "electricity", Sign: 1},
	}, Output: "tonnes"}}
	c.Inputs = []Input{
		{ID: "scrap", Subject: "M-1", Quantity: "scrap", Unit: "1", Period: "shift"},
		{ID: "tonnes", Subject: "A-1", Quantity: "output_t", Unit: "t", Period: "day"},
	}
	return c
}

// story draws readings of shopFloor in the order of their times, all tags' times distinct.
func (p *plant) story(t *rapid.T, begin, end int64) (readings []drivers.Reading) {
	energy, hours, parts := 100.0, 20.0, 0
	now := begin
	for now < end {
		value := func(name string, v any) { readings = append(readings, p.reading(now, name, v)) }
		switch rapid.IntRange(0, 11).Draw(t, "what") {
		case 0, 1:
			value("c/run", rapid.IntRange(0, 2).Draw(t, "run"))
		case 2:
			value("m/power", rapid.Float64Range(-1, 20).Draw(t, "kW"))
		case 3:
			energy += rapid.Float64Range(0, 3).Draw(t, "kWh")
			value("m/energy", energy)
		case 4:
			parts += rapid.IntRange(0, 3).Draw(t, "parts")
			value("c/parts", parts)
		case 5:
			value("c/program", rapid.SampledFrom([]string{"O1", "O9", "?"}).Draw(t, "program"))
		case 6, 7:
			value("n/power", rapid.SampledFrom([]float64{0, 0.5, 2, 6}).Draw(t, "kW"))
		case 8:
			hours += rapid.Float64Range(0, 0.1).Draw(t, "h")
			value("n/hours", hours)
			value("n/energy", energy*2)
			value("n/apparent", 4.5)
		case 9:
			value(rapid.SampledFrom([]string{"m/power", "m/energy", "c/run", "n/power"}).Draw(t, "bad"), drivers.CauseGarbled)
		case 10:
			value(rapid.SampledFrom([]string{"c/up", "n/up"}).Draw(t, "device"), rapid.Bool().Draw(t, "up"))
		case 11:
			value("c/spindle", rapid.Bool().Draw(t, "turns"))
		}
		now += rapid.Int64Range(1, 4*testMinute).Draw(t, "ms")
	}
	return readings
}

// inBlocks makes blocks of readings: of each so many as draws say.
func (p *plant) inBlocks(t *rapid.T, readings []drivers.Reading) (blocks []*Batch) {
	for len(readings) > 0 {
		n := min(len(readings), rapid.IntRange(1, 6).Draw(t, "block"))
		blocks = append(blocks, p.block(readings[:n:n]...))
		readings = readings[n:]
	}
	return blocks
}

// flood closes everything: a reading after two days.
func (p *plant) flood(at int64) *Batch { return p.block(p.reading(at, "c/up", true)) }

var storyBegin = localTime("2026-11-24 06:40") // an hour and twenty minutes before the production day begins

func TestWindowsAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newPlant(shopFloor())
		end := storyBegin + rapid.Int64Range(testMinute, 30*60*testMinute).Draw(t, "length")
		blocks := append(p.inBlocks(t, p.story(t, storyBegin, end)), p.flood(end+48*60*testMinute))
		e := NewEngine(p.plan)
		sums := map[string]*[3][]float64{} // by subject and KPI: quarters, shifts of a day, and the day
		label := "2026-11-24"
		day, _ := p.plan.schedule.Window(Day, localTime("2026-11-24 12:00"))
		for _, b := range blocks {
			for _, r := range e.Take(b).Reports {
				checkResults(t, &r)
				for _, x := range r.Results {
					if x.Value == nil || !slices.Contains([]string{"apt", "adot", "adet", "aust", "unknown_time", "planned_stop_time", "unscheduled_time", "energy"}, x.KPI) {
						continue
					}
					key := x.Subject + "/" + x.KPI
					if sums[key] == nil {
						sums[key] = &[3][]float64{}
					}
					switch {
					case r.Window.Kind == Quarter && r.Window.From >= day.From && r.Window.To <= day.To:
						sums[key][0] = append(sums[key][0], *x.Value)
					case r.Window.Kind == Day && r.Window.Label == label:
						sums[key][2] = append(sums[key][2], *x.Value)
					}
				}
			}
		}
		for key, s := range sums {
			if len(s[2]) == 0 || len(s[0]) < 96 {
				continue // quarters of which nothing is known have no results
			}
			var sum Sum
			for _, x := range s[0] {
				sum.Add(x)
			}
			if got, want := sum.Value(), s[2][0]; math.Abs(got-want) > 1e-9*math.Abs(want) {
				t.Fatalf("%s: the quarters' sum is %v, the day's value %v", key, got, want)
			}
		}
	})
}

// checkResults checks what holds of all results.
func checkResults(t *rapid.T, r *Report) {
	parts := map[string]float64{}
	for i := range r.Results {
		x := &r.Results[i]
		if (x.Absent == "") == (x.Value == nil && x.Class == "") {
			t.Fatalf("a value and a reason for none, or neither: %s", asJSON(x))
		}
		if x.Coverage != nil && !(*x.Coverage >= 0 && *x.Coverage <= 1) {
			t.Fatalf("coverage: %s", asJSON(x))
		}
		ratio := slices.Contains([]string{
			"utilisation_of_calendar", "utilisation_of_planned", "utilisation_of_power_on", "availability", "setup_rate", "technical_efficiency",
			"utilisation_efficiency", "quality_ratio", "spindle_rate",
		}, x.KPI)
		if b := x.Bounds; ratio && b != nil && !(b[0] >= 0 && b[0] <= *x.Value && *x.Value <= b[1] && b[1] <= 1) {
			t.Fatalf("bounds: %s", asJSON(x))
		}
		if x.Value == nil {
			continue
		}
		switch x.KPI {
		case "unscheduled_time", "planned_stop_time", "apt", "aust", "adet", "adot", "unknown_time":
			parts[x.Subject] += *x.Value
		case "energy", "energy_idle", "energy_off_shift":
			if *x.Value < 0 {
				t.Fatalf("energy: %s", asJSON(x))
			}
		}
	}
	for subject, sum := range parts {
		if want := float64(r.Window.To - r.Window.From); sum != want && hasAll(r, subject) {
			t.Fatalf("%s in %v: the parts sum to %v ms of %v", subject, r.Window, sum, want)
		}
	}
}

func hasAll(r *Report, subject string) bool {
	n := 0
	for i := range r.Results {
		if x := &r.Results[i]; x.Subject == subject && x.Value != nil && slices.Contains(
			[]string{"unscheduled_time", "planned_stop_time", "apt", "aust", "adet", "adot", "unknown_time"}, x.KPI) {
			n++
		}
	}
	return n == 7
}

func TestTimesAddUpWhereverTheDayIsCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		whole, cut := newPlant(shopFloor()), shopFloor()
		at := rapid.IntRange(481, 959).Draw(t, "cut")
		calendar := *cut.Calendar
		cut.Calendar = &calendar
		calendar.Shifts = slices.Clone(calendar.Shifts)
		first := calendar.Shifts[0]
		second := first
		first.To, second.From, second.ID = at, at, "day-2"
		first.Breaks, second.Breaks = nil, nil
		calendar.Shifts = append([]Shift{first, second}, calendar.Shifts[1:]...)
		whole.cfg.Calendar.Shifts[0].Breaks = nil
		cut.Equipment[1].Shifts = []string{"day", "day-2"}
		parts := newPlant(cut)
		whole = newPlant(whole.cfg)
		end := storyBegin + 8*60*testMinute
		blocks := whole.inBlocks(t, whole.story(t, storyBegin, end))
		noon := localTime("2026-11-24 12:00")
		a, b := whole.dayTally(blocks, noon), parts.dayTally(blocks, noon)
		for i := range a {
			x, y := &a[i], &b[i]
			if x.Times != y.Times || x.Stops != y.Stops || x.Excluded != y.Excluded || x.Blind != y.Blind || x.Present != y.Present || x.Wanted != y.Wanted {
				t.Fatalf("subject %d: %s\nand cut: %s", i, asJSON(x), asJSON(y))
			}
			for c := range x.Channels {
				got, want := y.Channels[c].Sum.Value(), x.Channels[c].Sum.Value()
				if math.Abs(got-want) > 1e-9*math.Abs(want) || x.Channels[c].Known != y.Channels[c].Known {
					t.Fatalf("subject %d, channel %d: %v, and cut %v", i, c, want, got)
				}
			}
		}
	})
}

// dayTally is the tally of a day of each subject, up to its last millisecond.
func (p *plant) dayTally(blocks []*Batch, noon int64) (tallies []Tally) {
	e := NewEngine(p.plan)
	for _, b := range blocks {
		e.Take(b)
	}
	day, _ := p.plan.schedule.Window(Day, noon)
	e.work(day.To-1, nil)
	for _, k := range e.tracks {
		k.cut(&e.open)
		tallies = append(tallies, k.windows[kindOf(Day)])
	}
	return tallies
}

func TestStateGoesOnAlike(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newPlant(shopFloor())
		end := storyBegin + rapid.Int64Range(testMinute, 6*60*testMinute).Draw(t, "length")
		blocks := p.inBlocks(t, p.story(t, storyBegin, end))
		blocks = append(blocks, p.block(p.reading(localTime("2026-11-24 00:00"), "manual/tonnes", 3.5)), p.flood(end+30*60*testMinute))
		straight, restored := NewEngine(p.plan), NewEngine(p.plan)
		for _, b := range blocks {
			if rapid.IntRange(0, 3).Draw(t, "restore") == 0 {
				state := restored.State()
				if again := restored.State(); !bytes.Equal(state, again) {
					t.Fatal("a state is not twice the same")
				}
				var err error
				if restored, err = RestoreEngine(p.plan, state); err != nil {
					t.Fatal(err)
				}
				if again := restored.State(); !bytes.Equal(state, again) {
					t.Fatalf("the state of what was restored: %s", firstDifference(string(state), string(again)))
				}
			}
			x, y := straight.Take(b), restored.Take(b)
			if a, b := asJSON(x), asJSON(y); a != b {
				t.Fatalf("after a restore:\n%s\n%s", a, b)
			}
			if out := restored.Take(b); len(out.Reports) > 0 || out.Day != "" {
				t.Fatal("a block taken twice has an effect")
			}
		}
		if a, b := straight.State(), restored.State(); !bytes.Equal(a, b) {
			t.Fatalf("in the end: %s", firstDifference(string(a), string(b)))
		}
	})
}

// Some of the gateway's starts lie between.
func TestLateReadingsComeToTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newPlant(shopFloor())
		end := storyBegin + rapid.Int64Range(60*testMinute, 3*60*testMinute).Draw(t, "length")
		story := p.story(t, storyBegin+testMinute, end)
		story = append(story, p.reading(localTime("2026-11-24 08:00"), "manual/scrap", 2), p.reading(localTime("2026-11-23 08:00"), "manual/tonnes", 12.5))
		var late, timely []drivers.Reading
		for _, r := range story {
			if r.Tag.Device == ManualDevice || rapid.IntRange(0, 4).Draw(t, "late") == 0 {
				late = append(late, r)
			} else {
				timely = append(timely, r)
			}
		}
		starts := map[int]bool{}
		for range rapid.IntRange(0, 3).Draw(t, "starts") {
			starts[rapid.IntRange(0, max(0, len(timely)-1)).Draw(t, "start")] = true
		}
		finals := [2]string{}
		for i := range finals {
			p.seq = 0
			blocks := []*Batch{p.block(p.reading(storyBegin, "c/up", true))}
			rest, newest := slices.Clone(late), storyBegin
			shuffle := func(n int) { // what is late by now, in any order
				for k := n - 1; k > 0; k-- {
					j := rapid.IntRange(0, k).Draw(t, "swap")
					rest[k], rest[j] = rest[j], rest[k]
				}
			}
			for at, r := range timely {
				slices.SortFunc(rest, func(a, b drivers.Reading) int { return compareTimes(a.Time, b.Time) })
				n := 0
				for n < len(rest) && rest[n].Time <= newest {
					n++
				}
				if n > 0 && rapid.IntRange(0, 3).Draw(t, "comes") == 0 {
					shuffle(n)
					blocks = append(blocks, p.block(rest[0]))
					rest = rest[1:]
				}
				newest = r.Time
				blocks = append(blocks, p.block(r))
				if starts[at] {
					blocks[len(blocks)-1].Started = r.Time
				}
			}
			shuffle(len(rest))
			blocks = append(blocks, p.block(p.reading(end, "c/up", true)))
			for _, r := range rest {
				blocks = append(blocks, p.block(r))
			}
			blocks = append(blocks, p.flood(end+20*60*testMinute), p.flood(end+49*60*testMinute))
			a := newArchive()
			if _, err := p.follow(a, p.follower(a), blocks...); err != nil {
				t.Fatal(err)
			}
			finals[i] = a.final()
		}
		if finals[0] != finals[1] {
			t.Fatalf("the order of arrival makes a difference: %s", firstDifference(finals[0], finals[1]))
		}
	})
}
