package kpi

import "strings"

// grid is how many kg of CO2 a kWh of the grid's electricity is, location-based.
func (f *Facts) grid() (per figure, no *Result) {
	factors := &f.Config.Factors
	if own := factors.Grid; own != nil {
		per = exact(f.step("kg CO2 per kWh", own.Value, "kg", own.Source))
		per.note(basisGridArea, "own")
		per.note(basisGridYear, year(own.Year))
		per.note(basisGridSource, own.Source)
		return per, nil
	}
	if factors.GridArea == "" {
		return per, refused(MissingInput, "factors.grid_area")
	}
	var best *Grid
	for i := range f.Catalogue.Grids {
		g := &f.Catalogue.Grids[i]
		if g.Area == factors.GridArea && (factors.GridYear == 0 || g.Year == factors.GridYear) && (best == nil || g.Year > best.Year) {
			best = g
		}
	}
	name := "grid/" + factors.GridArea
	if best == nil {
		if y := year(factors.GridYear); y != "" {
			name += "/" + y
		}
		return per, refused(MissingInput, name)
	}
	per = exact(f.step("kg CO2 per kWh", best.CO2, "kg", best.Source.Name))
	per.note(basisGridArea, best.Area)
	per.note(basisGridYear, year(best.Year))
	per.note(basisGridSource, best.Source.Name)
	per.doubt(best.Source, name+"/"+year(best.Year))
	return per, nil
}

// co2 is that of an amount of electricity. Fuels are not in it, and the result says so.
func (f *Facts) co2(electric figure) Result {
	per, no := f.grid()
	if no != nil {
		return *no
	}
	a := electric.times(per)
	a.note(basisCO2, "electricity_location_based")
	return f.result(a)
}

func co2Of(f *Facts) Result {
	a, no := f.electricity()
	if no != nil {
		return *no
	}
	return f.co2(a)
}

// made is how many parts were made: qualified ones as GB/T 2589-2020 and GB/T 12723 ask for, or, where only the total is known, all of
// them, which is then said.
func (f *Facts) made() (figure, *Result) {
	are, parts := "good", f.good()
	if parts.why == MissingInput {
		are, parts = "total", f.total()
	}
	switch {
	case parts.why == MissingInput:
		return figure{}, refused(MissingInput, "good_parts|parts")
	case !parts.known():
		return figure{}, refused(parts.why, merged(parts.missing, parts.inputs)...)
	}
	a := parts.figure()
	f.step("parts", a.value, "1", strings.Join(a.inputs, ", "))
	a.note(basisPartsAre, are)
	return a, nil
}

// figure is a number of parts as a figure.
func (a amount) figure() figure {
	return figure{a.value, a.low, a.high, said{coverage: a.coverage, quality: a.grade, inputs: a.inputs, broken: a.doubts}}
}

// tonnes are the output of equipment.
func (f *Facts) tonnes() (figure, *Result) {
	a, no, found := f.metered("output")
	if !found {
		a, no, found = f.entriesOf("output_t")
	}
	if !found {
		return a, refused(MissingInput, "output|output_t")
	}
	return a, no
}

func specificEnergyPart(f *Facts) Result { return f.specific((*Facts).made) }

func specificEnergyTon(f *Facts) Result { return f.specific((*Facts).tonnes) }

// specific is electric energy per what of made.
func (f *Facts) specific(of func(*Facts) (figure, *Result)) Result {
	electric, no := f.electricity()
	if no != nil {
		return *no
	}
	output, no := of(f)
	if no != nil {
		return *no
	}
	return f.ratio(electric, output)
}
