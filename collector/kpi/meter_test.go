package kpi

import (
	"encoding/json"
	"math"
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

// meterStep is a reading, or with told a change of the meter, and what must follow.
type meterStep struct {
	at     int64 // s
	value  float64
	told   *MeterSwap
	lost   bool // before it the device was down
	delta  float64
	spread float64
	doubt  bool
	swap   bool
}

func TestMetering(t *testing.T) {
	dtsu := Signal{Factor: 1, Modulus: 1e6, MaxRate: 55.0 / 3600, Resolution: 0.01}
	plain := Signal{Factor: 1, Resolution: 0.1}
	for name, c := range map[string]struct {
		signal Signal
		steps  []meterStep
	}{
		"rollover in decimals": {dtsu, []meterStep{ // 1000000.00 - 999999.99 + 0.00 = 0.01
			{at: 0, value: 999999.98, spread: 0.01},
			{at: 1, value: 999999.99, delta: 0.01, spread: 0.01},
			{at: 2, value: 0, delta: 0.01, spread: 0.01},
			{at: 3, value: 0.02, delta: 0.02, spread: 0.01},
		}},
		"factor and share": {Signal{Factor: 1e-3, Share: 0.25, Resolution: 10}, []meterStep{ // Wh, a quarter of it: 4000 × 0.001 × 0.25 = 1 kWh; 10 × 0.001 × 0.25 = 0.0025
			{at: 0, value: 50_000, spread: 0.0025},
			{at: 60, value: 54_000, delta: 1, spread: 0.0025},
		}},
		"parts": {Signal{Factor: 1, Modulus: 1 << 16, MaxRate: 2}, []meterStep{ // 65536 - 65534 + 3 = 5
			{at: 0, value: 65534},
			{at: 5, value: 3, delta: 5},
			{at: 6, value: 4, delta: 1},
		}},
		"counted unseen": {plain, []meterStep{
			{at: 0, value: 100, spread: 0.1},
			{at: 60, value: 101, delta: 1, spread: 0.1},
			{at: 120, value: 105, lost: true, delta: 4, spread: 4.1},
			{at: 180, value: 106, delta: 1, spread: 0.1},
			{at: 180 + 961, value: 110, delta: 4, spread: 4.1}, // 16 min and 1 s
			{at: 180 + 961 + 960, value: 111, delta: 1, spread: 0.1},
		}},
		"reset": {dtsu, []meterStep{
			{at: 0, value: 15230.1, spread: 0.01},
			{at: 1, value: 0, spread: 0.01, doubt: true},
			{at: 2, value: 0.01, delta: 0.01, spread: 0.01},
		}},
		"spike": {dtsu, []meterStep{
			{at: 0, value: 15230.1, spread: 0.01},
			{at: 1, value: 65535, spread: 0.01, doubt: true},
			{at: 2, value: 15230.12, delta: 0.02, spread: 0.01},
		}},
		"no number": {dtsu, []meterStep{
			{at: 0, value: 15230.1, spread: 0.01},
			{at: 1, value: math.NaN(), doubt: true},
			{at: 2, value: math.Inf(1), doubt: true},
			{at: 3, value: 15230.12, delta: 0.02, spread: 0.01},
		}},
		"a change that was told": {dtsu, []meterStep{ // (15230.50 - 15230.10) + (3.20 - 3.00) = 0.60
			{at: 0, value: 15230.1, spread: 0.01},
			{at: 300, told: &MeterSwap{Final: 15230.5, Initial: 3}},
			{at: 600, value: 3.2, delta: 0.6, spread: 0.01, swap: true},
			{at: 601, value: 3.21, delta: 0.01, spread: 0.01},
		}},
		"to a meter that reads more": {dtsu, []meterStep{ // (15230.50 - 15230.10) + (80000.3 - 80000) = 0.70
			{at: 0, value: 15230.1, spread: 0.01},
			{at: 300, told: &MeterSwap{Final: 15230.5, Initial: 80000}},
			{at: 600, value: 80000.3, delta: 0.7, spread: 0.01, swap: true},
		}},
		"the old one rolled over before": {dtsu, []meterStep{ // (1000000 - 999999.9 + 0.2) + (0.1 - 0) = 0.4
			{at: 0, value: 999999.9, spread: 0.01},
			{at: 300, told: &MeterSwap{Final: 0.2, Initial: 0}},
			{at: 600, value: 0.1, delta: 0.4, spread: 0.01, swap: true},
		}},
		"two changes between two readings": {plain, []meterStep{ // (110 - 100) + (57 - 50) + (2 - 0) = 19, unseen
			{at: 0, value: 100, spread: 0.1},
			{at: 3600, told: &MeterSwap{Final: 110, Initial: 50}},
			{at: 7200, told: &MeterSwap{Final: 57, Initial: 0}},
			{at: 9000, value: 2, delta: 19, spread: 19.1, swap: true},
		}},
		"before anything was read": {plain, []meterStep{ // 4 - 1
			{at: 0, told: &MeterSwap{Final: 110, Initial: 1}},
			{at: 60, value: 4, delta: 3, spread: 0.1, swap: true},
		}},
		"a final value below the last reading": {dtsu, []meterStep{ // adds nothing; 3.2 - 3
			{at: 0, value: 15230.1, spread: 0.01},
			{at: 300, told: &MeterSwap{Final: 15230, Initial: 3}},
			{at: 600, value: 3.2, delta: 0.2, spread: 0.01, swap: true, doubt: true},
		}},
		"a final value out of reach": {dtsu, []meterStep{ // 55 kW for 300 s are 4.6 kWh, not 2000
			{at: 0, value: 15230.1, spread: 0.01},
			{at: 300, told: &MeterSwap{Final: 17230.1, Initial: 80000}},
			{at: 600, value: 80000.2, delta: 0.2, spread: 0.01, swap: true, doubt: true},
		}},
		"told too late: on the new meter for long": {dtsu, []meterStep{
			{at: 0, value: 15230.1, spread: 0.01},
			{at: 60, value: 0.01, delta: 0.01, spread: 0.01, doubt: true},
			{at: 120, value: 0.02, delta: 0.01, spread: 0.01}, {at: 180, value: 0.03, delta: 0.01, spread: 0.01},
			{at: 240, value: 0.04, delta: 0.01, spread: 0.01}, {at: 300, value: 0.05, delta: 0.01, spread: 0.01},
			{at: 330, told: &MeterSwap{Final: 15230.1, Initial: 0}},
			{at: 360, value: 0.06, delta: 0.01, spread: 0.01, doubt: true},
		}},
		"told a little late": {dtsu, []meterStep{ // what was counted since the reset is taken off: (15230.2 - 15230.1) + (0.03 - 0) = 0.13 in all
			{at: 0, value: 15230.1, spread: 0.01},
			{at: 60, value: 0.01, delta: 0.01, spread: 0.01, doubt: true},
			{at: 70, told: &MeterSwap{Final: 15230.2, Initial: 0}},
			{at: 120, value: 0.03, delta: 0.12, spread: 0.01, swap: true},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var m metering
			for i, s := range c.steps {
				if s.told != nil {
					m.swap(s.told, s.at*1000)
					m = throughJSON(t, m)
					continue
				}
				if s.lost {
					m.lose()
				}
				got := m.read(&c.signal, s.value, s.at*1000)
				if abs(got.delta-s.delta) > 1e-9 || abs(got.spread-s.spread) > 1e-9 || got.doubt != s.doubt || got.swap != s.swap {
					t.Errorf("%d: %v gives %+v, want %v ± %v, doubt %v, swap %v", i, s.value, got, s.delta, s.spread, s.doubt, s.swap)
				}
				m = throughJSON(t, m)
			}
		})
	}
}

// throughJSON writes m into a checkpoint and reads it back.
func throughJSON(t interface{ Fatalf(string, ...any) }, m metering) metering {
	var back metering
	data, err := json.Marshal(&m)
	if err == nil {
		err = json.Unmarshal(data, &back)
	}
	if err != nil {
		t.Fatalf("state %+v: %v", m, err)
	}
	if len(m.swaps) == 0 {
		m.swaps = nil
	}
	if !reflect.DeepEqual(m, back) {
		t.Fatalf("through JSON\n%+v\nbecame\n%+v\nby %s", m, back, data)
	}
	return back
}

// Whatever comes, growth is never negative and always a number, and the state goes through JSON unchanged.
func TestMeteringNeverNegative(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Signal{
			Factor:     rapid.SampledFrom([]float64{1, 1e-3, 3.6, 1e3}).Draw(t, "factor"),
			Share:      rapid.SampledFrom([]float64{0, 0.3, 1}).Draw(t, "share"),
			Modulus:    rapid.SampledFrom([]float64{0, 1 << 16, 1e6}).Draw(t, "modulus"),
			MaxRate:    rapid.SampledFrom([]float64{0, 0.1, 100}).Draw(t, "rate"),
			Resolution: rapid.SampledFrom([]float64{0, 0.01, 2}).Draw(t, "resolution"),
		}
		value := rapid.OneOf(rapid.Float64(), rapid.Float64Range(-1, 70_000), rapid.Map(rapid.IntRange(0, 1<<16), func(i int) float64 { return float64(i) }))
		var m metering
		at := int64(1_795_000_000_000)
		for range rapid.IntRange(1, 40).Draw(t, "readings") {
			at += rapid.SampledFrom([]int64{0, 500, 1000, 60_000, 5_000_000}).Draw(t, "after")
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0:
				m.swap(&MeterSwap{Final: value.Draw(t, "final"), Initial: value.Draw(t, "initial")}, at)
			case 1:
				m.lose()
			}
			m = throughJSON(t, m)
			g := m.read(&s, value.Draw(t, "value"), at)
			if !(g.delta >= 0) || !(g.spread >= 0) {
				t.Fatalf("%+v", g)
			}
			m = throughJSON(t, m)
		}
	})
}

// Of a counter that nothing happens to, the growths sum up to last - first, however many of its readings came, across rollovers and told
// changes.
func TestMeteringSumsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Signal{Factor: 1, Modulus: 1e6, MaxRate: 100, Resolution: 0.01}
		shown := float64(rapid.IntRange(0, 99_999_999).Draw(t, "first hundredths")) / 100
		var total float64
		var all, some metering
		var sumAll, sumSome Sum
		at := int64(1_795_000_000_000)
		count := func(m *metering, sum *Sum) {
			g := m.read(&s, shown, at)
			if g.doubt {
				t.Fatalf("%v is doubted: %+v", shown, *m)
			}
			sum.Add(g.delta)
		}
		count(&all, &sumAll)
		count(&some, &sumSome)
		n := rapid.IntRange(1, 60).Draw(t, "readings")
		for i := range n {
			at += int64(rapid.IntRange(1, 600).Draw(t, "s")) * 1000
			d := float64(rapid.IntRange(0, 5000).Draw(t, "hundredths")) / 100
			total += d
			shown += d
			if shown >= s.Modulus {
				shown -= s.Modulus
			}
			if rapid.IntRange(0, 9).Draw(t, "changed") == 0 {
				told := &MeterSwap{Final: shown, Initial: float64(rapid.IntRange(0, 99_999_999).Draw(t, "initial hundredths")) / 100}
				all.swap(told, at)
				some.swap(told, at)
				shown = told.Initial
			}
			count(&all, &sumAll)
			if i == n-1 || rapid.Bool().Draw(t, "read") {
				count(&some, &sumSome)
			}
		}
		if abs(sumAll.Value()-total) > 1e-6 || abs(sumSome.Value()-total) > 1e-6 {
			t.Fatalf("%v and %v of %v", sumAll.Value(), sumSome.Value(), total)
		}
	})
}

func TestMeteringAllocatesNothing(t *testing.T) {
	s := Signal{Factor: 0.01, Modulus: 1e6, MaxRate: 10, Resolution: 1}
	var m metering
	value, at := 0.0, int64(0)
	if n := testing.AllocsPerRun(1000, func() {
		value, at = value+1, at+1000
		m.read(&s, value, at)
	}); n != 0 {
		t.Errorf("%v allocations a reading", n)
	}
}
