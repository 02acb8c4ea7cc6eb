package kpi

import (
	"strconv"
	"strings"
)

var energyFormulas = map[string]formula{
	"energy":               energyOf,
	"energy_idle":          energyIdle,
	"energy_off_shift":     energyOffShift,
	"standard_coal":        standardCoal,
	"co2":                  co2Of,
	"specific_energy_part": specificEnergyPart,
	"specific_energy_ton":  specificEnergyTon,
	"enpi_savings":         enpiSavings,

	"account_electricity":     accountElectricity,
	"account_energy":          accountEnergy,
	"account_co2":             accountCO2,
	"unit_energy":             unitEnergy,
	"energy_per_output_value": energyPerOutputValue,
	"benchmark_class":         benchmarkClass,
	"account_enpi_savings":    accountSavings,
}

// Keys of Result.Basis that energy figures use, beside those in the file of the figure.
const (
	basisMethod      = "method" // counter, integrated_power, counter_shaped_by_power, manual_input
	basisShare       = "share"  // by what a share was found
	basisPartsAre    = "parts"  // good, or total where good ones are not known
	basisCoalSet     = "coal_set"
	basisCoalSource  = "coal_source" // standard with its edition
	basisCoalInForce = "coal_in_force"
	basisElectricity = "electricity_basis"  // equivalent or equal_value
	basisElYear      = "electricity_year"   // of the coefficient
	basisElSource    = "electricity_source" // who published it
	basisMeasured    = "measured_coefficients"
	basisGridArea    = "grid_area"
	basisGridYear    = "grid_year"
	basisGridSource  = "grid_source"
	basisCO2         = "co2_scope"
	basisSwaps       = "meter_swaps" // told changes of a meter in the window
)

const (
	mediumElectricity = "electricity"
	equivalent        = "equivalent"  // 当量值
	equalValue        = "equal_value" // 等价值
	unitEnergyKWh     = "kW.h"
)

// measured is what a channel came to, in its unit (of an integrated one: in its unit times hours), with its bounds.
func (f *Facts) measured(c *Channel, s *ChannelShape) figure {
	v := c.Sum.Value()
	if s.How == Integrated {
		v /= msPerHour
	}
	a := figure{value: v, low: v - c.Spread, high: v + c.Spread}
	if s.How == Counted && c.Open > 0 {
		a.high += f.mostPerHour(s.Name) * float64(c.Open) / msPerHour
	}
	a.coverage = float64(c.Known) / float64(f.length())
	a.quality, a.inputs = Measured, s.Tags
	a.broken, a.swapped = c.Doubts, c.Swaps
	if s.Share != 0 {
		a.quality = Allocated
		a.note(basisShare, s.Basis)
	}
	f.step(s.Name, v, s.Unit, strings.Join(s.Tags, ", "))
	return a
}

// mostPerHour is the most that the counter of a channel can grow in an hour, in its unit: by its greatest rate, or the rated power; infinite
// if neither is known.
func (f *Facts) mostPerHour(channel string) float64 {
	var signal Signal
	if i, ok := strings.CutPrefix(channel, "term/"); ok && f.Account != nil {
		if n, err := strconv.Atoi(i); err == nil && n < len(f.Account.Terms) {
			signal = f.Account.Terms[n].Signal
		}
	} else if f.Equipment != nil {
		signal = f.Equipment.Signals[channel]
	}
	most := inf
	if signal.MaxRate > 0 {
		const secondsPerHour = 3600
		most = signal.scaled(signal.MaxRate * secondsPerHour)
	}
	if channel == "energy" && f.Equipment != nil && f.Equipment.Nameplate.RatedPower > 0 {
		most = min(most, f.Equipment.Nameplate.RatedPower)
	}
	return most
}

// metered is the growth of a counter with that role; found is false if the subject has none.
func (f *Facts) metered(role string) (a figure, no *Result, found bool) {
	c, s := f.channel(role)
	if c == nil {
		return a, nil, false
	}
	a, no = f.grown(c, s)
	return a, no, true
}

// grown is what a channel came to that can not be negative, if anything is known of it.
func (f *Facts) grown(c *Channel, s *ChannelShape) (figure, *Result) {
	if c.Known == 0 && c.Sum.Value() == 0 {
		return figure{}, refused(NoData, s.Tags...)
	}
	return f.measured(c, s).positive()
}

// entries are the sum of what people entered for the inputs that want selects; found is false if no such input has a period in the window.
// An input without a figure for one of its periods leaves the sum unknown.
func (f *Facts) entries(want func(*Input) bool) (a figure, no *Result, found bool) {
	a = exact(0)
	for i := range f.Shape.Inputs {
		in := &f.Shape.Inputs[i]
		if !want(in) || f.Shape.Periods[i] == 0 {
			continue
		}
		found = true
		e, tag := &f.Tally.Entered[i], ManualDevice+"/"+in.ID
		if e.Given < f.Shape.Periods[i] {
			return a, refused(Incomplete, tag), true
		}
		x := exact(f.step(in.ID, e.Sum.Value(), in.Unit, tag))
		x.quality, x.inputs = Manual, []string{tag}
		a = a.plus(x)
	}
	return a, nil, found
}

// entriesOf are the entries of the inputs with that quantity.
func (f *Facts) entriesOf(quantity string) (a figure, no *Result, found bool) {
	return f.entries(func(in *Input) bool { return in.Quantity == quantity })
}

// electricity is the electric energy of equipment, kWh: of its meter, else its power over time, else what was entered.
func (f *Facts) electricity() (figure, *Result) {
	if a, no, found := f.metered("energy"); found {
		a.note(basisMethod, "counter")
		return a, no
	}
	if c, s := f.channel("power"); c != nil {
		return f.integratedPower(c, s)
	}
	a, no, found := f.entriesOf(mediumElectricity)
	if !found {
		return figure{}, refused(MissingInput, "energy|power")
	}
	a.note(basisMethod, "manual_input")
	return a, no
}

// integratedPower is ∫P dt while P was known. For the rest the rated power is the bound.
func (f *Facts) integratedPower(c *Channel, s *ChannelShape) (figure, *Result) {
	if c.Known == 0 {
		return figure{}, refused(NoData, s.Tags...)
	}
	a := f.measured(c, s)
	// A meter's zero may lie below 0 by its resolution.
	if e := f.Equipment; e != nil {
		g := e.Signals["power"]
		a.high += g.Resolution * abs(g.Factor) * float64(c.Known) / msPerHour
		a.low -= a.high - a.value
		a.high += e.Nameplate.RatedPower * float64(f.length()-c.Known) / msPerHour
	}
	a, no := a.positive()
	if c.Known < f.length() && (f.Equipment == nil || f.Equipment.Nameplate.RatedPower == 0) {
		a.high = inf
	}
	a.note(basisMethod, "integrated_power")
	return a, no
}

func energyOf(f *Facts) Result {
	a, no := f.electricity()
	if no != nil {
		return *no
	}
	return f.result(a)
}

// energyIdle is what was used while the equipment was known not to be executing, off included.
func energyIdle(f *Facts) Result {
	if f.Shape.Mapping == "" {
		return absent(MissingInput, needState)
	}
	unknown := everywhere(f.Tally, Unknown)
	if unknown >= f.length() {
		return absent(NoData, f.Shape.States...)
	}
	total, a, no := f.portion(func(c *Channel) float64 { return c.Idle.Value() })
	if no != nil {
		return *no
	}
	a.inputs = joined(a.inputs, f.Shape.States)
	if unknown > 0 {
		a.high = max(a.high, total.high)
		a.coverage = min(a.coverage, float64(f.length()-unknown)/float64(f.length()))
	}
	if f.Tally.Assumed > 0 {
		a.quality = weaker(a.quality, Assumed)
	}
	return f.result(a)
}

// energyOffShift is what was used outside of planned busy time.
func energyOffShift(f *Facts) Result {
	if f.Shape.Basis != "shifts" {
		return absent(MissingInput, "calendar.shifts")
	}
	_, a, no := f.portion(func(c *Channel) float64 { return c.OffShift.Value() })
	if no != nil {
		return *no
	}
	return f.result(a)
}

// portion is the part of the electric energy that of selects. A counter moves in steps; where power is known too, it says how the counter's
// total divides.
func (f *Facts) portion(of func(*Channel) float64) (total, part figure, no *Result) {
	if total, no = f.electricity(); no != nil {
		return total, total, no
	}
	counter, _ := f.channel("energy")
	power, ps := f.channel("power")
	part = total
	switch {
	case counter == nil && power == nil:
		return total, part, refused(MissingInput, "energy|power")
	case counter == nil:
		v := of(power) / msPerHour
		part.value, part.low, part.high = v, v-(total.value-total.low), v+(total.high-total.value)
	case power != nil && power.Known > 0 && power.Sum.Value() > 0:
		p := f.measured(power, ps)
		share := f.step("share of ∫P dt", min(1, max(0, of(power)/power.Sum.Value())), "1", strings.Join(ps.Tags, ", "))
		sure := share * p.value
		part = total.times(exact(share))
		part.said = total.with(p.said)
		part.low = min(part.low, sure)
		part.high = max(part.high, sure+max(0, total.high-p.value)) // what was counted while power was not known
		part.note(basisMethod, "counter_shaped_by_power")
	default:
		v := of(counter)
		part.value, part.low, part.high = v, v-counter.Spread, v+(total.high-total.value)
	}
	part.high = max(part.value, min(part.high, total.high))
	part, no = part.positive()
	return total, part, no
}

// coalSet is the set of coefficients that the site chose, or the catalogue's default.
func (f *Facts) coalSet() *CoalSet {
	for i := range f.Catalogue.CoalSets {
		s := &f.Catalogue.CoalSets[i]
		if s.ID == f.Config.Factors.CoalSet || f.Config.Factors.CoalSet == "" && s.Default {
			return s
		}
	}
	return nil
}

// coalOf is how many kgce a unit of the medium is, after measurement, else by the set (GB/T 2589-2020: the measured heating value goes
// before the table's).
func (f *Facts) coalOf(medium string) (per figure, unit string, secondary bool, no *Result) {
	factors := &f.Config.Factors
	set := f.coalSet()
	if set == nil {
		return per, "", false, refused(MissingInput, "factors.coal_set")
	}
	basis := ""
	if medium == mediumElectricity {
		if basis = factors.ElectricityBasis; basis == "" {
			basis = equivalent
		}
		if own := factors.EqualValue; own != nil && basis == equalValue {
			per = exact(f.step("kgce per kWh", own.Value, "kg", own.Source))
			per.note(basisElectricity, basis)
			per.note(basisElYear, year(own.Year))
			per.note(basisElSource, own.Source)
			return per, unitEnergyKWh, false, nil
		}
	}
	best := set.coefficient(medium, basis)
	secondary = best != nil && best.Secondary
	for i := range factors.Media {
		if m := &factors.Media[i]; m.Medium == medium {
			per = exact(f.step("kgce per "+m.Unit+" of "+medium, m.Coal, "kg", m.Source))
			per.note(basisMeasured, medium+": "+m.Source)
			return per, m.Unit, secondary, nil
		}
	}
	switch {
	case best == nil && basis == equalValue:
		return per, "", false, refused(MissingInput, "factors.equal_value")
	case best == nil:
		return per, "", false, refused(MissingInput, strings.TrimSuffix("coal_set/"+set.ID+"/"+medium+"/"+basis, "/"))
	}
	per = f.bySet(set, best)
	return per, best.Unit, secondary, nil
}

// coefficient is the newest one of the medium on that basis, or nil.
func (s *CoalSet) coefficient(medium, basis string) (best *Coefficient) {
	for i := range s.Media {
		if c := &s.Media[i]; c.Medium == medium && c.Basis == basis && (best == nil || c.Year > best.Year) {
			best = c
		}
	}
	return best
}

// bySet is a coefficient with what must be said of it.
func (f *Facts) bySet(set *CoalSet, c *Coefficient) figure {
	per := exact(c.Coal)
	src := c.Source
	if src.Name == "" {
		src = set.Source
	}
	per.note(basisCoalSet, set.ID)
	per.note(basisCoalSource, set.Source.Name)
	per.note(basisCoalInForce, set.Source.InForce)
	if c.Medium == mediumElectricity {
		per.note(basisElectricity, c.Basis)
		per.note(basisElYear, year(c.Year))
		per.note(basisElSource, src.Name)
	}
	per.doubt(src, strings.TrimSuffix("coal_set/"+set.ID+"/"+c.Medium+"/"+c.Basis, "/"))
	f.step("kgce per "+c.Unit+" of "+c.Medium, c.Coal, "kg", src.Name)
	return per
}

func year(y int) string {
	if y == 0 {
		return ""
	}
	return strconv.Itoa(y)
}

// standardCoal is the standard coal of equipment: its electricity, and its fuel by the heating value that the nameplate has.
func standardCoal(f *Facts) Result {
	total := exact(0)
	fuel, no, burns := f.metered("fuel")
	if no != nil {
		return *no
	}
	if burns {
		lhv := f.Equipment.Nameplate.Figures["fuel_lhv"]
		coal, missing := constantsOf(f, "standard_coal_heat")
		if missing != nil {
			return *missing
		}
		if lhv <= 0 {
			return absent(MissingInput, "fuel_lhv")
		}
		total = fuel.times(exact(f.step("fuel_lhv", lhv, "kJ", "nameplate"))).over(coal[0])
	}
	electric, no := f.electricity()
	switch {
	case no != nil && no.Absent == MissingInput && burns:
		return f.result(total)
	case no != nil:
		return *no
	}
	per, _, _, no := f.coalOf(mediumElectricity)
	if no != nil {
		return *no
	}
	return f.result(total.plus(electric.times(per)))
}
