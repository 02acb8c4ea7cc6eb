package kpi

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

var operatingFormulas = map[string]formula{
	"operating_compressor_specific_power": compressorSpecificPower,
	"operating_pump_efficiency":           pumpEfficiency,
	"operating_fan_efficiency":            fanEfficiency,
	"operating_transformer_load_factor":   transformerLoadFactor,
	"operating_transformer_loss":          transformerLoss,
	"operating_boiler_efficiency":         boilerEfficiency,
	"operating_chiller_cop":               chillerCOP,
	"operating_power_factor":              powerFactor,
	"operating_current_unbalance":         currentUnbalance,
	"energy_label_grade":                  energyLabelGrade,
}

// Keys of Result.Basis that operating figures use.
const (
	basisGrade    = "grade" // not_a_grade: a legal grade is not for measuring in operation
	basisPressure = "outlet_pressure_pa"
	basisRated    = "rated_pressure_pa"
	basisHead     = "static_head_m"
	basisDensity  = "density_kg_m3"
	basisLoad     = "load"           // by what the load is known: power_apparent, or power_and_power_reactive
	basisEnthalpy = "steam_enthalpy" // time_mean or nameplate
	basisFeed     = "feed_enthalpy"
	basisFuelLHV  = "fuel_lhv_kj"
	basisStandard = "standard"
	basisEvidence = "evidence"
)

// derived is a derivation's integral, in its unit times hours.
func (f *Facts) derived(name string) (a figure, no *Result) {
	i := slices.IndexFunc(derivations, func(d derivation) bool { return d.name == name })
	c, s := f.channel(name)
	switch {
	case c == nil:
		return a, refused(MissingInput, derivations[i].inputs...)
	case c.Known == 0:
		return a, refused(NoData, s.Tags...)
	}
	a = exact(f.step("∫"+name, c.Sum.Value()/msPerHour, s.Unit+".h", strings.Join(s.Tags, ", ")))
	a.coverage = float64(c.Known) / float64(f.length())
	a.inputs = s.Tags
	return a, nil
}

// quotient is two derivations' integrals, of which the second must not be 0.
func (f *Facts) quotient(over, under string) (num, den figure, no *Result) {
	if num, no = f.derived(over); no != nil {
		return num, den, no
	}
	if den, no = f.derived(under); no == nil && den.value <= 0 {
		no = refused(ZeroDenominator, den.inputs...)
	}
	return num, den, no
}

// operating publishes a ratio that is no grade. One outside of what physics allows means that signals are wrong: most as "most" says, 0 for
// any.
func (f *Facts) operating(num, den figure, most float64) Result {
	if v := num.value / den.value; v < 0 || most > 0 && v > most {
		return absent(Contradiction, joined(num.inputs, den.inputs)...)
	}
	num.note(basisGrade, "not_a_grade")
	return f.ratio(num, den)
}

// compressorSpecificPower is ∫P/∫q, kW/(m³/min) at inlet conditions. GB 19153 compares at rated pressure only, so the pressure is named.
func compressorSpecificPower(f *Facts) Result {
	num, den, no := f.quotient("compressor_power", "compressor_flow")
	if no != nil {
		return *no
	}
	num.note(basisPressure, "unknown")
	if p, no := f.derived("compressor_pressure_flow"); no == nil {
		num.note(basisPressure, decimal(p.value/den.value)) // weighted with the flow
		num.inputs = joined(num.inputs, p.inputs)
	}
	if rated := f.plate("rated_pressure"); rated > 0 {
		num.note(basisRated, decimal(rated))
	}
	return f.operating(num, den, 0)
}

// plate is a figure of the nameplate; 0 if it is not said.
func (f *Facts) plate(name string) float64 {
	v := f.Equipment.Nameplate.Figures[name]
	if v != 0 {
		f.step(name, v, "", "nameplate")
	}
	return v
}

// pumpEfficiency is hydraulic over electric power: Q·(Δp + ρ·g·Δz)/P, Δz being the height between the gauges.
func pumpEfficiency(f *Facts) Result {
	num, den, no := f.quotient("flow_work", "flow_work_power")
	if no != nil {
		return *no
	}
	if head := f.plate("static_head"); head != 0 {
		flow, no := f.derived("flow_work_flow")
		if no != nil {
			return *no
		}
		lift, no := f.lift(head)
		if no != nil {
			return *no
		}
		num = num.plus(flow.times(lift))
	}
	return f.operating(num, den, 1)
}

// lift is how many kW a flow of 1 m³/h takes over the height.
func (f *Facts) lift(head float64) (figure, *Result) {
	g, no := constantsOf(f, "gravity")
	if no != nil {
		return figure{}, no
	}
	density, no := f.density()
	if no != nil {
		return figure{}, no
	}
	a := g[0].times(density).times(exact(head)).over(exact(hydraulic))
	a.note(basisHead, decimal(head))
	return a, nil
}

// density is that of the liquid, kg/m³: of the nameplate, else of water.
func (f *Facts) density() (a figure, no *Result) {
	if own := f.plate("density"); own > 0 {
		a = exact(own)
	} else {
		water, no := constantsOf(f, "water_density")
		if no != nil {
			return a, no
		}
		a = water[0]
	}
	a.note(basisDensity, decimal(a.value))
	return a, nil
}

// fanEfficiency is q·Δp/P. Whether Δp is total or static pressure depends on where it is measured.
func fanEfficiency(f *Facts) Result {
	num, den, no := f.quotient("flow_work", "flow_work_power")
	if no != nil {
		return *no
	}
	return f.operating(num, den, 1)
}

// meanSquareLoad is ∫β² dt in hours, and for how many hours it was known.
func (f *Facts) meanSquareLoad() (sum, hours figure, no *Result) {
	if f.plate("rated_capacity") <= 0 {
		return sum, hours, refused(MissingInput, "rated_capacity")
	}
	name, by := "load_squared", "power_apparent"
	if c, _ := f.channel(name); c == nil {
		if c, _ = f.channel("load_squared_pq"); c == nil {
			return sum, hours, refused(MissingInput, "power_apparent|power_reactive")
		}
		name, by = "load_squared_pq", "power_and_power_reactive"
	}
	if sum, no = f.derived(name); no != nil {
		return sum, hours, no
	}
	sum.note(basisLoad, by)
	c, _ := f.channel(name)
	hours = exact(float64(c.Known) / msPerHour)
	hours.coverage = sum.coverage
	return sum, hours, nil
}

// transformerLoadFactor is the root mean square of S/S_N.
func transformerLoadFactor(f *Facts) Result {
	sum, hours, no := f.meanSquareLoad()
	if no != nil {
		return *no
	}
	a := exact(math.Sqrt(sum.value / hours.value))
	a.said = sum.said
	a.note(basisGrade, "not_a_grade")
	return f.result(a)
}

// transformerLoss is P0·t + Pk·∫β² dt, over the time for which the load is known.
func transformerLoss(f *Facts) Result {
	sum, hours, no := f.meanSquareLoad()
	if no != nil {
		return *no
	}
	idle, load := f.plate("no_load_loss"), f.plate("load_loss")
	switch {
	case idle <= 0:
		return absent(MissingInput, "no_load_loss")
	case load <= 0:
		return absent(MissingInput, "load_loss")
	}
	a := hours.times(exact(idle)).plus(sum.times(exact(load)))
	a.note(basisGrade, "not_a_grade")
	if f.length() > 0 && a.coverage < 1 {
		a.high = inf
	}
	return f.result(a)
}

// boilerEfficiency is D·(h_steam − h_feed)/(B·LHV).
func boilerEfficiency(f *Facts) Result {
	steam, no, found := f.metered("steam")
	switch {
	case !found:
		return absent(MissingInput, "steam")
	case no != nil:
		return *no
	}
	fuel, no, found := f.metered("fuel")
	switch {
	case !found:
		return absent(MissingInput, "fuel")
	case no != nil:
		return *no
	case fuel.value == 0:
		return absent(ZeroDenominator, fuel.inputs...)
	}
	lhv := f.plate("fuel_lhv")
	if lhv <= 0 {
		return absent(MissingInput, "fuel_lhv")
	}
	gain, no := f.enthalpyGain()
	if no != nil {
		return *no
	}
	const kgPerT = 1000
	heat := steam.times(exact(kgPerT)).times(gain)
	heat.note(basisFuelLHV, decimal(lhv))
	return f.operating(heat, fuel.times(exact(lhv)), 0)
}

// enthalpyGain is what a kg of steam has more than the feed water, kJ.
func (f *Facts) enthalpyGain() (figure, *Result) {
	h, no := f.mean("steam_enthalpy", "steam_enthalpy")
	if no != nil {
		return h, no
	}
	t, no := f.mean("feed_water_temperature", basisFeed)
	if no != nil {
		return t, no
	}
	c, no := constantsOf(f, "water_heat_capacity")
	if no != nil {
		return t, no
	}
	return h.minus(t.times(c[0])), nil
}

// mean is the mean of a gauge over the time for which it is known, or else the nameplate's figure of that name. Basis says which under key.
func (f *Facts) mean(role, key string) (figure, *Result) {
	if c, s := f.channel(role); c != nil {
		if c.Known == 0 {
			return figure{}, refused(NoData, s.Tags...)
		}
		a := exact(f.step("mean "+role, c.Sum.Value()/float64(c.Known), s.Unit, strings.Join(s.Tags, ", ")))
		a.coverage = float64(c.Known) / float64(f.length())
		a.inputs = s.Tags
		a.note(key, "time_mean")
		return a, nil
	}
	v := f.plate(role)
	if v == 0 {
		return figure{}, refused(MissingInput, role)
	}
	a := exact(v)
	a.note(key, "nameplate")
	return a, nil
}

// chillerCOP is ṁ·c·ΔT/P.
func chillerCOP(f *Facts) Result {
	num, den, no := f.quotient("chiller_flow_kelvin", "chiller_power")
	if no != nil {
		return *no
	}
	density, no := f.density()
	if no != nil {
		return *no
	}
	heat, no := constantsOf(f, "water_heat_capacity")
	if no != nil {
		return *no
	}
	const secondsPerHour = 3600
	return f.operating(num.times(density).times(heat[0]).over(exact(secondsPerHour)), den, 0)
}

// powerFactor is Wp/√(Wp² + Wq²) of energies, else ∫P/∫S.
func powerFactor(f *Facts) Result {
	active, no, hasActive := f.metered("energy")
	reactive, noReactive, hasReactive := f.metered("energy_reactive")
	if !hasActive || !hasReactive {
		num, den, no := f.quotient("power_with_apparent", "apparent_with_power")
		if no != nil {
			if no.Absent == MissingInput {
				no.Missing = []string{"energy_reactive|power_apparent"}
			}
			return *no
		}
		num.note(basisMethod, "integrated_power")
		return f.operating(num, den, 1)
	}
	if no != nil {
		return *no
	}
	if noReactive != nil {
		return *noReactive
	}
	den := active.with(reactive.said)
	apparent := figure{math.Hypot(active.value, reactive.value), math.Hypot(active.low, reactive.low), math.Hypot(active.high, reactive.high), den}
	active.note(basisMethod, "counter")
	if apparent.value == 0 {
		return absent(ZeroDenominator, apparent.inputs...)
	}
	r := f.operating(active, apparent, 1)
	if b := r.Bounds; b != nil { // it falls with the reactive energy and rises with the active
		b[0] = min(*r.Value, cosine(active.low, reactive.high))
		b[1] = max(*r.Value, cosine(active.high, reactive.low))
	}
	return r
}

// cosine is p/√(p² + q²), and 0 of nothing.
func cosine(p, q float64) float64 {
	if p == 0 {
		return 0
	}
	return p / math.Hypot(p, q)
}

// currentUnbalance is the mean of the unbalance over the time with current.
func currentUnbalance(f *Facts) Result {
	c, s := f.channel("current_unbalance")
	if c == nil {
		return absent(MissingInput, "current_a", "current_b", "current_c")
	}
	known := f.length() // for so long the currents were known, 0 included
	for _, role := range []string{"current_a", "current_b", "current_c"} {
		if one, _ := f.channel(role); one != nil {
			known = min(known, one.Known)
		}
	}
	known = max(known, c.Known)
	switch {
	case known == 0:
		return absent(NoData, s.Tags...)
	case c.Known == 0:
		return absent(ZeroDenominator, s.Tags...)
	}
	a := exact(c.Sum.Value() / float64(c.Known))
	a.coverage = float64(known) / float64(f.length())
	a.inputs = s.Tags
	a.note(basisGrade, "not_a_grade")
	f.step("time with current", float64(c.Known)/msPerHour, "h", strings.Join(s.Tags, ", "))
	return f.result(a)
}

// energyLabelGrade is the grade on the label, by its evidence. Nothing measured makes a grade.
func energyLabelGrade(f *Facts) Result {
	l := f.Equipment.Label
	if l == nil {
		return absent(MissingInput, "label")
	}
	a := exact(float64(l.Grade))
	a.note(basisStandard, l.Standard)
	a.note(basisEvidence, l.Evidence)
	i := slices.IndexFunc(f.Catalogue.Grades, func(g GradeStandard) bool { return g.Standard == l.Standard })
	if i < 0 {
		a.doubt(Source{}, "standard/"+l.Standard)
	} else {
		g := &f.Catalogue.Grades[i]
		if l.Grade < min(g.Best, g.Worst) || l.Grade > max(g.Best, g.Worst) {
			return absent(Contradiction, "label")
		}
		a.doubt(g.Source, "standard/"+l.Standard)
	}
	return Result{Class: strconv.Itoa(l.Grade), Quality: Manual, Basis: a.basis, Doubts: a.doubts}
}
