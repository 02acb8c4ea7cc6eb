package kpi

import (
	"cmp"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// energyChannel is a channel of a window of 24 h by what people would write: hours, and integrals in unit times hours.
type energyChannel struct {
	name      string
	how       How
	unit      string
	sum       float64
	idle, off float64
	unknown   float64 // h
	spread    float64
	share     float64
	basis     string
	doubts    int
	swaps     int
}

// energyInput is an input of the window's subject, and what was entered.
type energyInput struct {
	id, quantity, unit string
	periods            int
	given              []float64
}

const energyHour = 3_600_000

var energyVerified = Source{Name: "Standard", Verified: true}

// energyCatalogue is small, and its figures are round where nothing else matters.
var energyCatalogue = &Catalogue{
	CoalSets: []CoalSet{
		{ID: "other", Source: Source{Name: "Standard O-2008", Verified: true}, Media: []Coefficient{{Medium: "electricity", Unit: "kW.h", Basis: "equivalent", Coal: 0.404}}},
		{ID: "set-a", Default: true, Source: Source{Name: "Standard A-2020", InForce: "2021-04-01", Verified: true}, Media: []Coefficient{
			{Medium: "electricity", Unit: "kW.h", Basis: "equivalent", Coal: 0.1229},
			{Medium: "electricity", Unit: "kW.h", Basis: "equal_value", Coal: 0.31, Year: 2023, Source: Source{Name: "Agency 2023", Verified: true}},
			{Medium: "electricity", Unit: "kW.h", Basis: "equal_value", Coal: 0.30, Year: 2024, Source: Source{Name: "Agency 2024"}},
			{Medium: "natural_gas", Unit: "m3", Coal: 1.33, Source: Source{Name: "Table 1"}},
			{Medium: "coal", Unit: "kg", Coal: 0.7143},
			{Medium: "compressed_air", Unit: "m3", Coal: 0.04, Secondary: true},
		}},
	},
	Grids: []Grid{
		{Area: "zhejiang", Year: 2021, CO2: 0.5422, Source: Source{Name: "Ministry 2021", Verified: true}},
		{Area: "zhejiang", Year: 2022, CO2: 0.5153, Source: Source{Name: "Ministry 2022"}},
	},
	Benchmarks: []Benchmark{
		{ID: "iron", Unit: "kgce/t", Best: 361, Base: 435, Source: energyVerified},
		{ID: "converter", Unit: "kgce/t", Best: -30, Base: -10, Source: energyVerified},
		{ID: "ethylene", Unit: "kgoe/t", Best: 590, Base: 640, Source: energyVerified},
		{ID: "refining", Unit: "kgoe/t", Best: 7.5, Base: 8.5, NeedFactor: true, Source: energyVerified},
		{ID: "aluminium", Unit: "kWh/t", Best: 13000, Base: 13350, Source: energyVerified},
		{ID: "glass", Unit: "kgce/weight_box", Best: 8, Base: 12, Source: energyVerified},
		{ID: "cement", Unit: "kgce/t", Best: 100, Base: 117},
	},
	Grades: []GradeStandard{{Standard: "GB 19153-2019", Best: 1, Worst: 3, Source: energyVerified}, {Standard: "GB 18613-2020", Best: 1, Worst: 3}},
	Constants: []Constant{
		{"standard_coal_heat", 29307.6, "kJ/kg", energyVerified},
		{"water_density", 1000, "kg/m3", energyVerified},
		{"gravity", 9.80665, "m/s2", energyVerified},
		{"water_heat_capacity", 4.186, "kJ/(kg.K)", energyVerified},
		{"kgoe_in_kgce", 1.4286, "1", energyVerified},
		{"enpi_min_points", 6, "1", energyVerified},
		{"enpi_confidence_t", 2, "1", energyVerified},
		{"enpi_savings_factor", 1.25, "1", Source{Name: "Guideline"}},
	},
}

// energyScene is equipment and its day. What is not said of it is known, planned and nothing else.
func energyScene(e Equipment, channels []energyChannel, inputs ...energyInput) *Facts {
	e.ID = "M1"
	f := &Facts{
		Definition: &Definition{}, Catalogue: energyCatalogue, Config: &Config{}, Category: &Category{}, Equipment: &e,
		Window: Window{Kind: Day, Label: "2026-11-22", From: 1_795_276_800_000, To: 1_795_276_800_000 + 24*energyHour},
		Shape:  &Shape{Basis: "shifts"}, Tally: &Tally{},
	}
	for _, c := range channels {
		scale := 1.0
		if c.how == Integrated {
			scale = energyHour
		}
		ch := Channel{Known: int64((24 - c.unknown) * energyHour), Spread: c.spread * scale, Doubts: c.doubts, Swaps: c.swaps}
		ch.Sum.Add(c.sum * scale)
		ch.Idle.Add(c.idle * scale)
		ch.OffShift.Add(c.off * scale)
		f.Tally.Channels = append(f.Tally.Channels, ch)
		f.Shape.Channels = append(f.Shape.Channels, ChannelShape{Name: c.name, How: c.how, Unit: c.unit, Tags: []string{"d/" + c.name}, Share: c.share, Basis: c.basis})
	}
	for _, in := range inputs {
		var sum Sum
		for _, v := range in.given {
			sum.Add(v)
		}
		f.Shape.Inputs = append(f.Shape.Inputs, Input{ID: in.id, Subject: "M1", Quantity: in.quantity, Unit: in.unit, Period: "day"})
		f.Shape.Periods = append(f.Shape.Periods, in.periods)
		f.Tally.Entered = append(f.Tally.Entered, Entered{Sum: sum, Given: len(in.given)})
	}
	return f
}

// with changes the scene.
func (f *Facts) with(change func(*Facts)) *Facts {
	change(f)
	return f
}

// energyGolden is one formula, worked out by hand.
type energyGolden struct {
	name    string
	facts   *Facts
	kpi     string
	by      string // the arithmetic
	value   float64
	bounds  [2]float64 // 0, 0: none
	num     float64    // with den, if den is not 0
	den     float64
	class   string
	cover   float64 // 0: 1
	quality Grade   // empty: measured
	basis   map[string]string
	doubts  []string
	absent  Absence
	missing string
}

func checkGolden(t *testing.T, table []energyGolden) {
	for _, c := range table {
		t.Run(c.kpi+"/"+c.name, func(t *testing.T) {
			r := formulas[c.kpi](c.facts)
			if r.Absent != c.absent || c.missing != "" && !slices.Contains(r.Missing, c.missing) {
				t.Fatalf("absent %q, missing %q; want %q, %q", r.Absent, r.Missing, c.absent, c.missing)
			}
			if c.absent != "" {
				if r.Value != nil || r.Class != "" || r.Bounds != nil {
					t.Errorf("absent, and yet %+v", r)
				}
				return
			}
			c.checkValue(t, r)
			if r.Class != c.class {
				t.Errorf("class %q, want %q", r.Class, c.class)
			}
			if want := cmp.Or(c.quality, Measured); r.Quality != want {
				t.Errorf("quality %q, want %q", r.Quality, want)
			}
			for k, v := range c.basis {
				if r.Basis[k] != v {
					t.Errorf("basis %s is %q, want %q; all: %q", k, r.Basis[k], v, r.Basis)
				}
			}
			if !slices.Equal(r.Doubts, c.doubts) {
				t.Errorf("unverified %q, want %q", r.Doubts, c.doubts)
			}
		})
	}
}

func (c *energyGolden) checkValue(t *testing.T, r Result) {
	t.Helper()
	value := r.Value
	if c.kpi == "benchmark_class" {
		value = r.Num
	}
	if c.kpi != "energy_label_grade" && (value == nil || !energyNear(*value, c.value)) {
		t.Errorf("%s is %v, want %v", c.by, pointed(value), c.value)
	}
	switch {
	case c.bounds == [2]float64{} && r.Bounds != nil && (!energyNear(r.Bounds[0], c.value) || !energyNear(r.Bounds[1], c.value)):
		t.Errorf("bounds %v, want none beyond the value", *r.Bounds)
	case c.bounds != [2]float64{} && (r.Bounds == nil || !energyNear(r.Bounds[0], c.bounds[0]) || !energyNear(r.Bounds[1], c.bounds[1])):
		t.Errorf("bounds %v, want %v", r.Bounds, c.bounds)
	}
	if c.den != 0 && (r.Num == nil || r.Den == nil || !energyNear(*r.Num, c.num) || !energyNear(*r.Den, c.den)) {
		t.Errorf("%v / %v, want %v / %v", pointed(r.Num), pointed(r.Den), c.num, c.den)
	}
	if want := cmp.Or(c.cover, 1); r.Coverage != nil && !energyNear(*r.Coverage, want) {
		t.Errorf("coverage %v, want %v", *r.Coverage, want)
	}
}

func pointed(v *float64) any {
	if v == nil {
		return "nothing"
	}
	return *v
}

func energyNear(a, b float64) bool { return math.Abs(a-b) <= 1e-9*max(1, math.Abs(a), math.Abs(b)) }

func TestEnergyGolden(t *testing.T) {
	counter := energyChannel{name: "energy", unit: "kW.h", sum: 120, idle: 18, off: 30, spread: 2}
	power := energyChannel{name: "power", how: Integrated, unit: "kW", sum: 100, idle: 20, off: 10}
	half := energyChannel{name: "power", how: Integrated, unit: "kW", sum: 60, unknown: 6}
	rated := Equipment{Nameplate: Nameplate{RatedPower: 15}}
	state := func(f *Facts) {
		f.Shape.Mapping, f.Shape.States = "m@1", []string{"d/state"}
		f.Tally.Times[Planned] = [numElements]int64{APT: 16 * energyHour, ADOT: 8 * energyHour}
	}
	blind := func(f *Facts) {
		state(f)
		f.Tally.Times[Planned] = [numElements]int64{Unknown: 6 * energyHour, APT: 16 * energyHour, Off: 2 * energyHour}
		f.Tally.Assumed = 2 * energyHour
	}
	checkGolden(t, []energyGolden{
		{name: "counter", facts: energyScene(rated, []energyChannel{counter, power}), kpi: "energy", by: "120 ± 2", value: 120, bounds: [2]float64{118, 122}, basis: map[string]string{"method": "counter"}},
		{name: "counter that stood", facts: energyScene(rated, []energyChannel{{name: "energy", unit: "kW.h", spread: 2}}), kpi: "energy", by: "0, never below, up to 2", value: 0, bounds: [2]float64{0, 2}},
		{name: "resets and changes are said", facts: energyScene(rated, []energyChannel{{name: "energy", sum: 120, doubts: 2, swaps: 1}}), kpi: "energy", by: "120", value: 120, basis: map[string]string{"counter_doubts": "2", "meter_swaps": "1"}},
		{name: "share of a meter", facts: energyScene(rated, []energyChannel{{name: "energy", sum: 30, share: 0.25, basis: "floor area"}}), kpi: "energy", by: "30, after the share", value: 30, quality: Allocated, basis: map[string]string{"share": "floor area"}},
		{name: "counter never read", facts: energyScene(rated, []energyChannel{{name: "energy", unknown: 24}}), kpi: "energy", absent: NoData, missing: "d/energy"},
		{name: "power", facts: energyScene(rated, []energyChannel{power}), kpi: "energy", by: "∫P dt = 100", value: 100, basis: map[string]string{"method": "integrated_power"}},
		{name: "power with a gap", facts: energyScene(rated, []energyChannel{half}), kpi: "energy", by: "60, and up to 15 kW · 6 h = 90 more", value: 60, bounds: [2]float64{60, 150}, cover: 0.75},
		{name: "power with a gap, nothing bounds it", facts: energyScene(Equipment{}, []energyChannel{half}), kpi: "energy", by: "60", value: 60, cover: 0.75},
		{name: "too little known", facts: energyScene(rated, []energyChannel{half}).with(func(f *Facts) { f.Definition.Coverage = 0.8 }), kpi: "energy", absent: LowCoverage},
		{name: "power in steps of 1 W", facts: energyScene(Equipment{Signals: map[string]Signal{"power": {Factor: 1e-3, Resolution: 1}}}, []energyChannel{power}), kpi: "energy", by: "100 ± 0.001 · 24", value: 100, bounds: [2]float64{99.976, 100.024}},
		{name: "a zero that is a little below", facts: energyScene(Equipment{Signals: map[string]Signal{"power": {Factor: 1e-3, Resolution: 1}}}, []energyChannel{{name: "power", how: Integrated, sum: -0.01}}), kpi: "energy",
			by: "-0.01 ± 0.001 kW · 24 h is 0, up to 0.014", value: 0, bounds: [2]float64{0, 0.014}},
		{name: "a current transformer the wrong way round", facts: energyScene(rated, []energyChannel{{name: "power", how: Integrated, sum: -50}}), kpi: "energy", absent: Contradiction, missing: "d/power"},
		{name: "entered", facts: energyScene(rated, nil, energyInput{"bill", "electricity", "kW.h", 3, []float64{40, 41, 39}}), kpi: "energy", by: "40 + 41 + 39", value: 120, quality: Manual, basis: map[string]string{"method": "manual_input"}},
		{name: "not entered for a shift", facts: energyScene(rated, nil, energyInput{"bill", "electricity", "kW.h", 3, []float64{40, 41}}), kpi: "energy", absent: Incomplete, missing: "manual/bill"},
		{name: "entered for a month only", facts: energyScene(rated, nil, energyInput{"bill", "electricity", "kW.h", 0, nil}), kpi: "energy", absent: MissingInput, missing: "energy|power"},
		{name: "no meter", facts: energyScene(rated, nil), kpi: "energy", absent: MissingInput, missing: "energy|power"},

		{name: "counter", facts: energyScene(rated, []energyChannel{counter}).with(state), kpi: "energy_idle", by: "18 ± 2", value: 18, bounds: [2]float64{16, 20}, basis: map[string]string{"method": "counter"}},
		{name: "counter divided by power", facts: energyScene(rated, []energyChannel{counter, power}).with(state), kpi: "energy_idle", by: "120 · 20/100 = 24; at least 20, at most 20 + (122 - 100)", value: 24, bounds: [2]float64{20, 42},
			basis: map[string]string{"method": "counter_shaped_by_power"}},
		{name: "power that says more than the counter", facts: energyScene(rated, []energyChannel{{name: "energy", sum: 10}, {name: "power", how: Integrated, sum: 100, idle: 95}}).with(state), kpi: "energy_idle",
			by: "10 · 95/100 = 9.5; at most all 10", value: 9.5, bounds: [2]float64{9.5, 10}},
		{name: "power", facts: energyScene(rated, []energyChannel{power}).with(state), kpi: "energy_idle", by: "20", value: 20},
		{name: "6 h of unknown state", facts: energyScene(rated, []energyChannel{power}).with(blind), kpi: "energy_idle", by: "20, and all 100 at most; (24-6)/24", value: 20, bounds: [2]float64{20, 100}, cover: 0.75, quality: Assumed},
		{name: "no state", facts: energyScene(rated, []energyChannel{power}), kpi: "energy_idle", absent: MissingInput, missing: "state"},
		{name: "state never known", facts: energyScene(rated, []energyChannel{power}).with(func(f *Facts) { state(f); f.Tally.Times[Planned] = [numElements]int64{Unknown: 24 * energyHour} }), kpi: "energy_idle", absent: NoData},
		{name: "nothing to divide", facts: energyScene(rated, nil, energyInput{"bill", "electricity", "kW.h", 1, []float64{40}}).with(state), kpi: "energy_idle", absent: MissingInput, missing: "energy|power"},

		{name: "counter", facts: energyScene(rated, []energyChannel{counter}), kpi: "energy_off_shift", by: "30 ± 2", value: 30, bounds: [2]float64{28, 32}},
		{name: "counter divided by power", facts: energyScene(rated, []energyChannel{counter, power}), kpi: "energy_off_shift", by: "120 · 10/100 = 12; at least 10, at most 10 + (122 - 100)", value: 12, bounds: [2]float64{10, 32}},
		{name: "no shifts", facts: energyScene(rated, []energyChannel{counter}).with(func(f *Facts) { f.Shape.Basis = "calendar" }), kpi: "energy_off_shift", absent: MissingInput, missing: "calendar.shifts"},
	})
}

func TestStandardCoalGolden(t *testing.T) {
	counter := energyChannel{name: "energy", unit: "kW.h", sum: 120, spread: 2}
	gas := energyChannel{name: "fuel", sum: 10}
	factors := func(x Factors) func(*Facts) { return func(f *Facts) { f.Config.Factors = x } }
	burner := Equipment{Nameplate: Nameplate{Figures: map[string]float64{"fuel_lhv": 35_000}}}
	checkGolden(t, []energyGolden{
		{name: "default set", facts: energyScene(Equipment{}, []energyChannel{counter}), kpi: "standard_coal", by: "120 · 0.1229 = 14.748, ± 2 · 0.1229", value: 14.748, bounds: [2]float64{14.5022, 14.9938},
			basis: map[string]string{"coal_set": "set-a", "coal_source": "Standard A-2020", "coal_in_force": "2021-04-01", "electricity_basis": "equivalent", "electricity_source": "Standard A-2020"}},
		{name: "chosen set", facts: energyScene(Equipment{}, []energyChannel{counter}).with(factors(Factors{CoalSet: "other"})), kpi: "standard_coal", by: "120 · 0.404 = 48.48, ± 0.808", value: 48.48, bounds: [2]float64{47.672, 49.288}, basis: map[string]string{"coal_set": "other"}},
		{name: "equal value, newest year", facts: energyScene(Equipment{}, []energyChannel{counter}).with(factors(Factors{ElectricityBasis: "equal_value"})), kpi: "standard_coal", by: "120 · 0.30 = 36, ± 0.6", value: 36, bounds: [2]float64{35.4, 36.6},
			basis: map[string]string{"electricity_basis": "equal_value", "electricity_year": "2024", "electricity_source": "Agency 2024"}, doubts: []string{"coal_set/set-a/electricity/equal_value"}},
		{name: "no equal value known", facts: energyScene(Equipment{}, []energyChannel{counter}).with(factors(Factors{CoalSet: "other", ElectricityBasis: "equal_value"})), kpi: "standard_coal", absent: MissingInput, missing: "factors.equal_value"},
		{name: "own equal value", facts: energyScene(Equipment{}, []energyChannel{counter}).with(factors(Factors{ElectricityBasis: "equal_value", EqualValue: &Own{0.305, 2025, "utility"}})), kpi: "standard_coal", by: "120 · 0.305 = 36.6, ± 0.61", value: 36.6, bounds: [2]float64{35.99, 37.21},
			basis: map[string]string{"electricity_year": "2025", "electricity_source": "utility"}},
		{name: "with fuel", facts: energyScene(burner, []energyChannel{{name: "energy", sum: 120}, gas}), kpi: "standard_coal", by: "14.748 + 10 · 35000/29307.6", value: 14.748 + 11.94229483137480},
		{name: "fuel only", facts: energyScene(burner, []energyChannel{gas}), kpi: "standard_coal", by: "10 · 35000/29307.6", value: 11.94229483137480},
		{name: "fuel of unknown heat", facts: energyScene(Equipment{}, []energyChannel{counter, gas}), kpi: "standard_coal", absent: MissingInput, missing: "fuel_lhv"},
		{name: "unknown set", facts: energyScene(Equipment{}, []energyChannel{counter}).with(factors(Factors{CoalSet: "mine"})), kpi: "standard_coal", absent: MissingInput, missing: "factors.coal_set"},
		{name: "no meter", facts: energyScene(Equipment{}, nil), kpi: "standard_coal", absent: MissingInput, missing: "energy|power"},

		{name: "newest year", facts: energyScene(Equipment{}, []energyChannel{counter}).with(factors(Factors{GridArea: "zhejiang"})), kpi: "co2", by: "120 · 0.5153 = 61.836, ± 1.0306", value: 61.836, bounds: [2]float64{60.8054, 62.8666},
			basis: map[string]string{"grid_area": "zhejiang", "grid_year": "2022", "grid_source": "Ministry 2022", "co2_scope": "electricity_location_based"}, doubts: []string{"grid/zhejiang/2022"}},
		{name: "chosen year", facts: energyScene(Equipment{}, []energyChannel{{name: "energy", sum: 120}}).with(factors(Factors{GridArea: "zhejiang", GridYear: 2021})), kpi: "co2", by: "120 · 0.5422", value: 65.064, basis: map[string]string{"grid_year": "2021"}},
		{name: "own factor", facts: energyScene(Equipment{}, []energyChannel{{name: "energy", sum: 120}}).with(factors(Factors{Grid: &Own{0.1, 2025, "green contract"}})), kpi: "co2", by: "120 · 0.1", value: 12, basis: map[string]string{"grid_area": "own", "grid_source": "green contract"}},
		{name: "no area", facts: energyScene(Equipment{}, []energyChannel{counter}), kpi: "co2", absent: MissingInput, missing: "factors.grid_area"},
		{name: "unknown year", facts: energyScene(Equipment{}, []energyChannel{counter}).with(factors(Factors{GridArea: "zhejiang", GridYear: 2019})), kpi: "co2", absent: MissingInput, missing: "grid/zhejiang/2019"},
	})
}

func TestSpecificEnergyGolden(t *testing.T) {
	counter := energyChannel{name: "energy", unit: "kW.h", sum: 120, spread: 2}
	plain := energyChannel{name: "energy", unit: "kW.h", sum: 120}
	parts, good, scrap := energyChannel{name: "parts", sum: 50}, energyChannel{name: "good_parts", sum: 48}, energyChannel{name: "scrap", sum: 10}
	checkGolden(t, []energyGolden{
		{name: "good parts", facts: energyScene(Equipment{}, []energyChannel{counter, parts, good}), kpi: "specific_energy_part", by: "120/48 = 2.5; 118/48, 122/48", value: 2.5, num: 120, den: 48, bounds: [2]float64{118.0 / 48, 122.0 / 48}, basis: map[string]string{"parts": "good"}},
		{name: "total less scrap", facts: energyScene(Equipment{}, []energyChannel{plain, parts, scrap}), kpi: "specific_energy_part", by: "120/(50-10)", value: 3, num: 120, den: 40, basis: map[string]string{"parts": "good"}},
		{name: "scrap entered", facts: energyScene(Equipment{}, []energyChannel{plain, parts}, energyInput{"s", "scrap", "1", 1, []float64{2}}), kpi: "specific_energy_part", by: "120/(50-2)", value: 2.5, num: 120, den: 48, quality: Manual},
		{name: "only the total is known", facts: energyScene(Equipment{}, []energyChannel{plain, parts}), kpi: "specific_energy_part", by: "120/50", value: 2.4, num: 120, den: 50, basis: map[string]string{"parts": "total"}},
		{name: "parts uncertain too", facts: energyScene(Equipment{}, []energyChannel{counter, {name: "good_parts", sum: 48, spread: 8}}), kpi: "specific_energy_part", by: "120/48; 118/56, 122/40", value: 2.5, bounds: [2]float64{118.0 / 56, 3.05}},
		{name: "more scrap than parts", facts: energyScene(Equipment{}, []energyChannel{plain, parts, {name: "scrap", sum: 60}}), kpi: "specific_energy_part", absent: Contradiction},
		{name: "no parts", facts: energyScene(Equipment{}, []energyChannel{plain, {name: "good_parts"}}), kpi: "specific_energy_part", absent: ZeroDenominator},
		{name: "no counter of parts", facts: energyScene(Equipment{}, []energyChannel{plain}), kpi: "specific_energy_part", absent: MissingInput, missing: "good_parts|parts"},
		{name: "no meter", facts: energyScene(Equipment{}, []energyChannel{parts}), kpi: "specific_energy_part", absent: MissingInput, missing: "energy|power"},

		{name: "metered", facts: energyScene(Equipment{}, []energyChannel{plain, {name: "output", unit: "t", sum: 4}}), kpi: "specific_energy_ton", by: "120/4", value: 30, num: 120, den: 4},
		{name: "entered", facts: energyScene(Equipment{}, []energyChannel{plain}, energyInput{"w", "output_t", "t", 2, []float64{1.5, 1}}), kpi: "specific_energy_ton", by: "120/(1.5+1)", value: 48, num: 120, den: 2.5, quality: Manual},
		{name: "entered in part", facts: energyScene(Equipment{}, []energyChannel{plain}, energyInput{"w", "output_t", "t", 2, []float64{1.5}}), kpi: "specific_energy_ton", absent: Incomplete, missing: "manual/w"},
		{name: "nothing made", facts: energyScene(Equipment{}, []energyChannel{plain}, energyInput{"w", "output_t", "t", 1, []float64{0}}), kpi: "specific_energy_ton", absent: ZeroDenominator},
		{name: "no output", facts: energyScene(Equipment{}, []energyChannel{plain}), kpi: "specific_energy_ton", absent: MissingInput, missing: "output|output_t"},
	})
}

// Whatever a window holds: energies are never negative, bounds hold the value, coverage is a share, and nothing is NaN.
func TestEnergyProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.Float64Range(0, 1e6)
		chans := []energyChannel{}
		for _, c := range []energyChannel{{name: "energy", unit: "kW.h"}, {name: "power", how: Integrated, unit: "kW"}, {name: "parts"}, {name: "good_parts"}, {name: "output", unit: "t"}} {
			if rapid.Bool().Draw(t, c.name) {
				c.sum, c.spread, c.unknown = v.Draw(t, "sum"), rapid.SampledFrom([]float64{0, 2, 1e5}).Draw(t, "spread"), rapid.SampledFrom([]float64{0, 1, 24}).Draw(t, "unknown")
				if c.how == Integrated {
					c.spread, c.sum = 0, rapid.Float64Range(-1, 1e6).Draw(t, "∫P")
				}
				c.idle, c.off = c.sum*rapid.Float64Range(0, 1).Draw(t, "idle"), c.sum*rapid.Float64Range(0, 1).Draw(t, "off")
				chans = append(chans, c)
			}
		}
		f := energyScene(Equipment{Nameplate: Nameplate{RatedPower: rapid.SampledFrom([]float64{0, 15}).Draw(t, "rated")}}, chans)
		f.Config.Factors.GridArea = "zhejiang"
		f.Shape.Mapping = "m@1"
		unknown := rapid.Int64Range(0, 24*energyHour).Draw(t, "unknown state")
		f.Tally.Times[Planned] = [numElements]int64{Unknown: unknown, APT: 24*energyHour - unknown}
		var whole float64
		for _, id := range []string{"energy", "energy_idle", "energy_off_shift", "standard_coal", "co2", "specific_energy_part", "specific_energy_ton"} {
			r := formulas[id](f)
			if (r.Value == nil) == (r.Absent == "") {
				t.Fatalf("%s: %+v", id, r)
			}
			if r.Value == nil {
				continue
			}
			if !(*r.Value >= 0) || *r.Coverage < 0 || *r.Coverage > 1 || r.Bounds != nil && !(r.Bounds[0] >= 0 && r.Bounds[0] <= *r.Value && *r.Value <= r.Bounds[1]) {
				t.Fatalf("%s: %v in %v, coverage %v", id, *r.Value, pointedBounds(r.Bounds), *r.Coverage)
			}
			if id == "energy" {
				whole = *r.Value
			}
			if (id == "energy_idle" || id == "energy_off_shift") && *r.Value > whole*(1+1e-12) {
				t.Fatalf("%s %v of %v", id, *r.Value, whole)
			}
		}
	})
}

func pointedBounds(b *[2]float64) any {
	if b == nil {
		return "no bounds"
	}
	return *b
}

// A window cut anywhere has the energy of its parts, for counters and for integrated power.
func TestEnergyAddsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		for _, how := range []How{Counted, Integrated} {
			name := map[How]string{Counted: "energy", Integrated: "power"}[how]
			var whole Channel
			var parts Sum
			for range rapid.IntRange(1, 200).Draw(t, "parts") {
				part := rapid.Float64Range(0, 1e7).Draw(t, "part")
				f := energyScene(Equipment{}, []energyChannel{{name: name, how: how, sum: part}})
				parts.Add(*energyOf(f).Value)
				whole.Sum.Add(f.Tally.Channels[0].Sum.Value())
			}
			f := energyScene(Equipment{}, []energyChannel{{name: name, how: how}})
			f.Tally.Channels[0].Sum = whole.Sum
			if got := *energyOf(f).Value; !energyNear(got, parts.Value()) {
				t.Fatalf("%s: whole %v, parts %v", name, got, parts.Value())
			}
		}
	})
}

// A counter that is not read any more at the end of the window may have grown further: by what its rate or the rated power allows.
func TestOpenEnd(t *testing.T) {
	scene := func(signal Signal, rated float64) *Facts {
		f := energyScene(Equipment{Nameplate: Nameplate{RatedPower: rated}, Signals: map[string]Signal{"energy": signal}}, []energyChannel{{name: "energy", sum: 100, unknown: 6, spread: 1}})
		f.Tally.Channels[0].Open = 2 * energyHour // of the 6 h that are unknown, 4 were counted when it was read again
		return f
	}
	fast := Signal{Tag: "d/energy", Factor: 0.001, MaxRate: 10} // Wh; 10 Wh/s are 36 kWh/h
	checkGolden(t, []energyGolden{
		{name: "rate", facts: scene(fast, 0), kpi: "energy", by: "100 - 1; 100 + 1 + 36 · 2", value: 100, bounds: [2]float64{99, 173}, cover: 0.75},
		{name: "rated power", facts: scene(fast, 15), kpi: "energy", by: "100 - 1; 100 + 1 + 15 · 2", value: 100, bounds: [2]float64{99, 131}, cover: 0.75},
		{name: "neither", facts: scene(Signal{Tag: "d/energy", Factor: 1}, 0), kpi: "energy", by: "100, or more", value: 100, cover: 0.75},
		{name: "term", facts: accountScene(Account{Kind: "site", Terms: []Term{{Signal: fast, Medium: "electricity", Sign: 1}}}, []energyChannel{{unit: "kW.h", sum: 100, unknown: 6}}).with(func(f *Facts) { f.Tally.Channels[0].Open = energyHour }), kpi: "account_electricity",
			by: "100; 100 + 36 · 1", value: 100, bounds: [2]float64{100, 136}, cover: 0.75},
	})
}
