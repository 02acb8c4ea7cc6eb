package kpi

import (
	"testing"

	"github.com/millgate/millgate/drivers"
)

const (
	testSecond = int64(1000)
	testMinute = 60 * testSecond
)

// lathe is one machine with a state of two codes, power, a meter, a part counter and its program.
func lathe() *Config {
	return &Config{
		Calendar: threeShifts(),
		Equipment: []Equipment{{
			ID: "M-1", Category: "machine",
			Signals: map[string]Signal{
				"power": {Tag: "m/power", Factor: 1}, "energy": {Tag: "m/energy", Factor: 1, Resolution: 0.01},
				"parts": {Tag: "c/parts", Factor: 1}, "program": {Tag: "c/program", Factor: 1}, "spindle_on": {Tag: "c/spindle", Factor: 1},
			},
			State: &StateRules{Rules: []StateRule{
				{If: "c.run == 1", State: "executing"}, {If: "c.run == 2", State: "out_of_service"}, {If: "true", State: "not_executing", Mode: "none"},
			}, Mapping: "opc-40501-1@1"},
		}},
		Products: []Product{{ID: "flange", Programs: []string{"O1"}, Ideal: 60}, {ID: "warm-up", Programs: []string{"O9"}, Excluded: true}},
	}
}

func TestEngineQuarter(t *testing.T) {
	p := newPlant(lathe())
	// 2026-11-24 is a Tuesday.
	begin := localTime("2026-11-24 10:00")
	e := NewEngine(p.plan)
	e.Take(p.block(p.reading(begin, "c/run", 1), p.reading(begin, "m/power", 10.0), p.reading(begin, "m/energy", 100.0),
		p.reading(begin, "c/program", "O1"), p.reading(begin, "c/parts", 7), p.reading(begin, "c/spindle", true)))
	at := begin + 15*testMinute + 6*testMinute // 10:21 of the quarter from 10:15
	e.Take(p.block(p.reading(at, "c/run", 0), p.reading(at, "m/power", 2.0), p.reading(at, "c/spindle", false), p.reading(at, "c/parts", 10)))
	out := e.Take(p.block(p.reading(at+3*testMinute, "m/energy", 101.0)))
	if len(out.Reports) != 0 {
		t.Fatalf("a report before its window has settled: %v", asJSON(out.Reports))
	}
	out = e.Take(p.block(p.reading(begin+31*testMinute, "m/power", drivers.CauseTimeout)))
	const label = "2026-11-24T10:15+08:00"
	for _, want := range []struct {
		id    string
		value float64
	}{
		{"apt", float64(6 * testMinute)}, {"adot", float64(9 * testMinute)}, {"unknown_time", 0}, {"energy", 1},
	} {
		r := find(out.Reports, Quarter, label, "M-1", want.id)
		if r == nil || r.Value == nil || *r.Value != want.value {
			t.Errorf("%s: got %v, want %v", want.id, asJSON(r), want.value)
		}
	}
	k := e.tracks[0]
	day := &k.windows[kindOf(Day)]
	if got := day.Parts; got[0] != 3 || day.Ideal != 180 {
		t.Errorf("parts %v, ideal %v s; want 3 flanges and 180 s", got, day.Ideal)
	}
	power, spindle := channelOf(k, day, "power"), channelOf(k, day, "spindle_on")
	// From 10:00 to 10:21 10 kW, then to the cut at 10:30 2 kW, idle.
	if got, want := power.Sum.Value(), float64((21*10+9*2)*testMinute); got != want {
		t.Errorf("power: %v kW·ms, want %v", got, want)
	}
	if got, want := power.Idle.Value(), float64(9*2*testMinute); got != want {
		t.Errorf("power while idle: %v kW·ms, want %v", got, want)
	}
	if got, want := spindle.Sum.Value(), float64(21*testMinute); got != want {
		t.Errorf("spindle: %v ms, want %v", got, want)
	}
	// Of the meter's growth at 10:24 the quarter has 6 min executing and 3 min idle.
	if got := channelOf(k, day, "energy").Idle.Value(); abs(got-1.0/3) > 1e-12 {
		t.Errorf("energy while idle: %v kWh, want 1/3", got)
	}
}

func channelOf(k *track, t *Tally, name string) *Channel {
	for i := range k.subject.shape.Channels {
		if k.subject.shape.Channels[i].Name == name {
			return &t.Channels[i]
		}
	}
	return nil
}
