package kpi

import (
	"maps"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// What combines figures keeps the value within its bounds, takes the weakest quality and coverage, and changes neither figure.
func TestFiguresCombine(t *testing.T) {
	draw := func(t *rapid.T, least float64) figure {
		a := exact(rapid.Float64Range(least, 1e6).Draw(t, "value"))
		below := rapid.SampledFrom([]float64{0, 0.5, 100, inf}).Draw(t, "below")
		a.low, a.high = a.low-below, a.high+rapid.SampledFrom([]float64{0, 0.5, 100, inf}).Draw(t, "above")
		a.coverage = rapid.Float64Range(0, 1).Draw(t, "coverage")
		a.quality = rapid.SampledFrom([]Grade{Measured, Manual, Allocated, Assumed, Indicative}).Draw(t, "quality")
		if rapid.Bool().Draw(t, "noted") {
			a.note("k", rapid.SampledFrom([]string{"x", "y"}).Draw(t, "said"))
		}
		return a
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := draw(t, -1e6), draw(t, 1e-3)
		before := maps.Clone(a.basis)
		for name, c := range map[string]figure{"plus": a.plus(b), "minus": a.minus(b), "times": a.times(b), "over": a.over(b)} {
			slack := 1e-9 * (1 + abs(c.value))
			if c.value != c.value || c.low != c.low || c.high != c.high || c.low > c.value+slack || c.high < c.value-slack {
				t.Fatalf("%s of %+v and %+v: %+v", name, a, b, c)
			}
			if c.coverage != min(a.coverage, b.coverage) || c.quality != weaker(a.quality, b.quality) {
				t.Fatalf("%s: %+v", name, c)
			}
			c.note("k", "z")
			if !maps.Equal(a.basis, before) {
				t.Fatalf("%s changed %q to %q", name, before, a.basis)
			}
		}
	})
}

func TestFigureBounds(t *testing.T) {
	two, minus := exact(2), exact(-3)
	two.low, two.high = 1, 4
	minus.low, minus.high = -5, 1
	for name, c := range map[string]struct {
		got  figure
		want [3]float64
	}{
		"plus":            {two.plus(minus), [3]float64{-4, -1, 5}},   // 1 - 5, 2 - 3, 4 + 1
		"minus":           {two.minus(minus), [3]float64{0, 5, 9}},    // 1 - 1, 2 + 3, 4 + 5
		"times":           {two.times(minus), [3]float64{-20, -6, 4}}, // 4 · -5, 2 · -3, 4 · 1
		"over":            {minus.over(two), [3]float64{-5, -1.5, 1}}, // -5/1, -3/2, 1/1
		"over maybe 0":    {two.over(figure{2, 0, 3, said{}}), [3]float64{-inf, 1, inf}},
		"0 without bound": {exact(0).times(figure{1, 0, inf, said{}}), [3]float64{0, 0, 0}},
	} {
		if g := [3]float64{c.got.low, c.got.value, c.got.high}; g != c.want {
			t.Errorf("%s: %v, want %v", name, g, c.want)
		}
	}
}

// A catalogue without a constant leaves the figure away and says which one it misses.
func TestConstantsMissing(t *testing.T) {
	type now = map[string]float64
	plate := operatingPlate(now{"fuel_lhv": 35_000, "steam_enthalpy": 2763, "feed_water_temperature": 60, "static_head": 18})
	burnt := []energyChannel{{name: "energy", sum: 120}, {name: "fuel", sum: 10}, {name: "steam", sum: 1}}
	for id, c := range map[string]struct {
		facts *Facts
		miss  string
	}{
		"standard_coal":               {energyScene(plate, burnt), "constant/standard_coal_heat"},
		"operating_boiler_efficiency": {energyScene(plate, burnt), "constant/water_heat_capacity"},
		"operating_pump_efficiency":   {operatingScene(plate, []float64{24}, now{"flow": 100, "differential_pressure": 360_000, "power": 20}), "constant/gravity"},
		"operating_chiller_cop":       {operatingScene(plate, []float64{24}, now{"flow": 100, "return_temperature": 12, "supply_temperature": 7, "power": 120}), "constant/water_density"},
		"enpi_savings":                {energyScene(Equipment{Baseline: enpiBaseline("parts")}, []energyChannel{{name: "energy", sum: 160}, {name: "parts", sum: 50}}), "constant/enpi_min_points"},
	} {
		c.facts.Catalogue = &Catalogue{}
		if r := formulas[id](c.facts); r.Absent != MissingInput || len(r.Missing) != 1 || r.Missing[0] != c.miss {
			t.Errorf("%s: %+v, want %s", id, r, c.miss)
		}
	}
}

// The savings that a year of days would cost: the fit is made anew for each window.
func BenchmarkSavings(b *testing.B) {
	base := enpiBaseline("parts", "processing_hours", "output_t")
	base.Days = nil
	for i := range 365 {
		x := float64(i)
		base.Days = append(base.Days, Observed{Energy: 100 + 2*x, Drivers: []float64{x, 10 + 5*math.Sin(x), 50 + 20*math.Cos(x*x)}})
	}
	f := energyScene(Equipment{Baseline: base}, []energyChannel{{name: "energy", sum: 160}, {name: "parts", sum: 50}, {name: "output", unit: "t", sum: 50}})
	f.Shape.Mapping = "m@1"
	f.Tally.Times[Planned] = [numElements]int64{APT: 10 * energyHour, ADOT: 14 * energyHour}
	b.ReportAllocs()
	for b.Loop() {
		if r := enpiSavings(f); r.Value == nil {
			b.Fatalf("%+v", r)
		}
	}
}

func BenchmarkEnergy(b *testing.B) {
	f := energyScene(Equipment{}, []energyChannel{{name: "energy", unit: "kW.h", sum: 120, spread: 2}})
	b.ReportAllocs()
	for b.Loop() {
		energyOf(f)
	}
}
