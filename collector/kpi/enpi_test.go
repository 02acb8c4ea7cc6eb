package kpi

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// longley is the data set of J. W. Longley (1967), whose drivers nearly depend on each other: employment, and what it was explained by.
var longley = [][7]float64{
	{60323, 83.0, 234289, 2356, 1590, 107608, 1947}, {61122, 88.5, 259426, 2325, 1456, 108632, 1948},
	{60171, 88.2, 258054, 3682, 1616, 109773, 1949}, {61187, 89.5, 284599, 3351, 1650, 110929, 1950},
	{63221, 96.2, 328975, 2099, 3099, 112075, 1951}, {63639, 98.1, 346999, 1932, 3594, 113270, 1952},
	{64989, 99.0, 365385, 1870, 3547, 115094, 1953}, {63761, 100.0, 363112, 3578, 3350, 116219, 1954},
	{66019, 101.2, 397469, 2904, 3048, 117388, 1955}, {67857, 104.6, 419180, 2822, 2857, 118734, 1956},
	{68169, 108.4, 442769, 2936, 2798, 120445, 1957}, {66513, 110.8, 444546, 4681, 2637, 121950, 1958},
	{68655, 112.6, 482704, 3813, 2552, 123366, 1959}, {69564, 114.2, 502601, 3931, 2514, 125368, 1960},
	{69331, 115.7, 518173, 4806, 2572, 127852, 1961}, {70551, 116.9, 554894, 4007, 2827, 130081, 1962},
}

// The certified values are those of the Statistical Reference Datasets of NIST.
func TestRegressLongley(t *testing.T) {
	x, y := make([][]float64, len(longley)), make([]float64, len(longley))
	for i := range longley {
		y[i], x[i] = longley[i][0], longley[i][1:]
	}
	r, ok := regress(x, y)
	if !ok {
		t.Fatal("no fit")
	}
	certified := []float64{-3482258.63459582, 15.0618722713733, -0.0358191792925910, -2.02022980381683, -1.03322686717359, -0.0511041056535807, 1829.15146461355}
	for j, want := range certified {
		if got := r.coefficients[j]; math.Abs(got-want) > 1e-8*math.Abs(want) {
			t.Errorf("coefficient %d is %.15g, certified %.15g", j, got, want)
		}
	}
	if math.Abs(r.rmse-304.854073561965) > 1e-7 || math.Abs(r.r2-0.995479004577296) > 1e-12 {
		t.Errorf("residual standard deviation %.15g, R² %.15g", r.rmse, r.r2)
	}
}

func TestRegressRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		x [][]float64
		y []float64
	}{
		"nothing":                      {nil, nil},
		"as many days as coefficients": {[][]float64{{1}, {2}}, []float64{1, 2}},
		"a driver that never changes":  {[][]float64{{7.1}, {7.1}, {7.1}, {7.1}}, []float64{1, 2, 3, 4}},
		"two that say the same":        {[][]float64{{1, 2}, {2, 4}, {3, 6}, {5, 10}, {7, 14}}, []float64{1, 2, 3, 4, 5}},
		"one and its offset":           {[][]float64{{1, 1001}, {2, 1002}, {3, 1003}, {5, 1005}, {7, 1007}}, []float64{1, 2, 3, 4, 5}},
	} {
		if r, ok := regress(c.x, c.y); ok {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// Residuals of a fit are orthogonal to the constant and to each driver, whatever the units.
func TestRegressIsLeastSquares(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.IntRange(0, 3).Draw(t, "drivers")
		n := p + 2 + rapid.IntRange(0, 30).Draw(t, "more days")
		unit := make([]float64, p)
		for j := range unit {
			unit[j] = math.Pow(10, float64(rapid.IntRange(-3, 6).Draw(t, "unit")))
		}
		x, y := make([][]float64, n), make([]float64, n)
		for i := range n {
			x[i] = make([]float64, p)
			for j := range p {
				x[i][j] = unit[j] * float64(rapid.IntRange(0, 1000).Draw(t, "x"))
			}
			y[i] = rapid.Float64Range(0, 1e4).Draw(t, "y")
		}
		r, ok := regress(x, y)
		if !ok {
			return
		}
		for j := -1; j < p; j++ {
			var dot Sum
			size := 0.0
			for i := range n {
				weight := 1.0
				if j >= 0 {
					weight = x[i][j] / unit[j]
				}
				dot.Add((y[i] - r.predict(1, x[i])) * weight)
				size += abs(y[i] * weight)
			}
			if abs(dot.Value()) > 1e-6*(1+size) {
				t.Fatalf("residuals and driver %d: %v of %v", j, dot.Value(), size)
			}
		}
	})
}

// enpiBaseline is 100 + 2·parts, with residuals 1, -2, 1, 1, -2, 1, which leave that the best line: CV(RMSE) is √(12/(6-2))/170, R² is
// 1 - 12/7012.
func enpiBaseline(drivers ...string) *Baseline {
	b := &Baseline{From: "2026-03-01", To: "2026-03-06", Drivers: drivers, Change: "2026-06-01", Meter: 0.03, Static: "two shifts"}
	for i, e := range []float64{121, 138, 161, 181, 198, 221} {
		b.Days = append(b.Days, Observed{Date: "2026-03-0" + string(rune('1'+i)), Energy: e, Drivers: []float64{float64(10 * (i + 1))}})
	}
	return b
}

func TestSavingsGolden(t *testing.T) {
	day := func(energy, parts float64) *Facts {
		return energyScene(Equipment{Baseline: enpiBaseline("parts")}, []energyChannel{{name: "energy", sum: energy}, {name: "parts", sum: parts}})
	}
	month := day(5700, 1500).with(func(f *Facts) {
		f.Window = Window{Kind: Month, Label: "2026-11", From: f.Window.From, To: f.Window.From + 30*24*energyHour}
		for i := range f.Tally.Channels {
			f.Tally.Channels[i].Known = f.length()
		}
	})
	label := func(text string) *Facts { return day(160, 50).with(func(f *Facts) { f.Window.Label = text }) }
	baseline := func(change func(*Baseline)) *Facts {
		return day(160, 50).with(func(f *Facts) { change(f.Equipment.Baseline) })
	}
	hours := energyScene(Equipment{Baseline: enpiBaseline("processing_hours")}, []energyChannel{{name: "energy", sum: 110}}).with(func(f *Facts) {
		f.Shape.Mapping = "m@1"
		f.Tally.Times[Planned] = [numElements]int64{APT: 8 * energyHour, ADOT: 10 * energyHour}
		f.Tally.Times[Unscheduled] = [numElements]int64{APT: 4 * energyHour, Off: 2 * energyHour}
	})
	account := accountScene(Account{Kind: "site", Output: "w", Terms: []Term{accountTerm("electricity", 1)}, Baseline: enpiBaseline("output_t")},
		[]energyChannel{{unit: "kW.h", sum: 160 / 0.1229}}, energyInput{"w", "output_t", "t", 1, []float64{50}})
	u := math.Hypot(0.025, 0.024)
	guideline := []string{"constant/enpi_savings_factor"}
	checkGolden(t, []energyGolden{
		{name: "shown", facts: day(160, 50), kpi: "enpi_savings", by: "predicted 100 + 2·50 = 200; (200 - 160)/200; u: model 2·1.25·(√3/170)·√((1+2/6)/1)·1·170/200 = 0.025, meters 0.03·160/200 = 0.024", value: 0.2, num: 40, den: 200,
			bounds: [2]float64{0.2 - u, 0.2 + u}, class: "demonstrated", doubts: guideline,
			basis: map[string]string{"n": "6", "r2": "0.998289", "cv_rmse": "0.0101885", "uncertainty": "0.0346554", "confidence_t": "2", "meter_uncertainty": "0.03",
				"baseline_period": "2026-03-01/2026-03-06", "static_factors": "two shifts", "drivers": "parts", "driver_range": "10..60"}},
		{name: "not shown", facts: day(195, 50), kpi: "enpi_savings", by: "(200 - 195)/200 = 0.025 < √(0.025² + 0.02925²)", value: 0.025, num: 5, den: 200,
			bounds: [2]float64{0.025 - math.Hypot(0.025, 0.02925), 0.025 + math.Hypot(0.025, 0.02925)}, class: "not_demonstrated", doubts: guideline},
		{name: "more than before", facts: day(240, 50), kpi: "enpi_savings", by: "(200 - 240)/200", value: -0.2, num: -40, den: 200,
			bounds: [2]float64{-0.2 - math.Hypot(0.025, 0.036), -0.2 + math.Hypot(0.025, 0.036)}, class: "not_demonstrated", doubts: guideline},
		{name: "month", facts: month, kpi: "enpi_savings", by: "predicted 100·30 + 2·1500 = 6000; (6000 - 5700)/6000; u: 2·1.25·√3·√(4/3·30)/6000 and 0.03·0.95", value: 0.05, num: 300, den: 6000,
			bounds: [2]float64{0.05 - math.Hypot(2.5*math.Sqrt(120)/6000, 0.0285), 0.05 + math.Hypot(2.5*math.Sqrt(120)/6000, 0.0285)}, class: "demonstrated", doubts: guideline},
		{name: "hours of all classes", facts: hours, kpi: "enpi_savings", by: "predicted 100 + 2·(8+4) = 124; (124-110)/124; u: 2.5·√3·√(4/3)/124 and 0.03·110/124", value: 14.0 / 124, num: 14, den: 124,
			bounds: [2]float64{14.0/124 - math.Hypot(5.0/124, 3.3/124), 14.0/124 + math.Hypot(5.0/124, 3.3/124)}, class: "demonstrated", doubts: guideline},
		{name: "standard coal", facts: account, kpi: "account_enpi_savings", by: "(200 - 160)/200", value: 0.2, num: 40, den: 200, bounds: [2]float64{0.2 - u, 0.2 + u}, class: "demonstrated", quality: Manual, doubts: guideline},

		{name: "more parts than ever", facts: day(160, 61), kpi: "enpi_savings", absent: OutOfRange, missing: "parts"},
		{name: "fewer parts than ever", facts: day(160, 9), kpi: "enpi_savings", absent: OutOfRange, missing: "parts"},
		{name: "before the change", facts: label("2026-06-01"), kpi: "enpi_savings", absent: NotYet},
		{name: "of the baseline", facts: baseline(func(b *Baseline) { b.Change, b.To = "", "2026-11-22" }), kpi: "enpi_savings", absent: NotYet},
		{name: "month of the change", facts: label("2026-06").with(func(f *Facts) { f.Window.Kind = Month }), kpi: "enpi_savings", absent: NotYet},
		{name: "few days", facts: baseline(func(b *Baseline) { b.Days = b.Days[:5] }), kpi: "enpi_savings", absent: TooFewData},
		{name: "always the same parts", facts: baseline(func(b *Baseline) {
			for i := range b.Days {
				b.Days[i].Drivers = []float64{50}
			}
		}), kpi: "enpi_savings", absent: TooFewData},
		{name: "no parts known", facts: energyScene(Equipment{Baseline: enpiBaseline("parts")}, []energyChannel{{name: "energy", sum: 160}}), kpi: "enpi_savings", absent: MissingInput, missing: "parts"},
		{name: "total is not good", facts: energyScene(Equipment{Baseline: enpiBaseline("good_parts")}, []energyChannel{{name: "energy", sum: 160}, {name: "parts", sum: 50}}), kpi: "enpi_savings", absent: MissingInput, missing: "good_parts"},
		{name: "nobody knows the driver", facts: energyScene(Equipment{Baseline: enpiBaseline("weather")}, []energyChannel{{name: "energy", sum: 160}}), kpi: "enpi_savings", absent: MissingInput, missing: "weather"},
		{name: "no meter", facts: energyScene(Equipment{Baseline: enpiBaseline("parts")}, []energyChannel{{name: "parts", sum: 50}}), kpi: "enpi_savings", absent: MissingInput, missing: "energy|power"},
		{name: "no baseline", facts: energyScene(Equipment{}, nil), kpi: "enpi_savings", absent: MissingInput, missing: "baseline"},
	})
}
