package kpi

import (
	"math"
	"strconv"
	"strings"
)

// Keys of Result.Basis that account figures use.
const (
	basisLeftOut    = "left_out" // secondary media, which are made within the site
	basisBenchmark  = "benchmark"
	basisBest       = "benchmark_level" // 标杆水平
	basisBase       = "baseline_level"  // 基准水平
	basisLevelUnit  = "level_unit"
	basisCompared   = "compared"
	basisLevelSrc   = "level_source"
	basisNear       = "within_bounds" // of the value lies this level: the class is not certain
	basisUnitFactor = "unit_factor"
)

// The classes of a comparison with the 标杆/基准 levels.
const (
	betterThanBenchmark = "better_than_benchmark"
	betweenLevels       = "between"
	worseThanBaseline   = "worse_than_baseline"
)

// otherQuantities of Input.Quantity are no media.
var otherQuantities = map[string]bool{
	"scrap": true, "good_parts": true, "rework": true, "output_t": true, "output_value_cny": true,
}

// perUnit is what a unit of a medium counts for, and whether it counts at all.
type perUnit func(medium string) (factor figure, unit string, counts bool, no *Result)

// terms adds up the account's terms with their signs and what was entered for it, each times what per says of its medium; n is how many
// that were.
func (f *Facts) terms(per perUnit) (total figure, n int, no *Result) {
	total = exact(0)
	for i := range f.Account.Terms {
		t := &f.Account.Terms[i]
		factor, unit, counts, no := per(t.Medium)
		if no != nil {
			return total, n, no
		}
		if !counts {
			continue
		}
		a, no := f.term(i, unit)
		if no != nil {
			return total, n, no
		}
		n++
		if a = a.times(factor); t.Sign < 0 {
			f.step("- "+t.Medium, a.value, "", t.Tag)
			total = total.minus(a)
		} else {
			f.step("+ "+t.Medium, a.value, "", t.Tag)
			total = total.plus(a)
		}
	}
	for i := range f.Shape.Inputs {
		in := &f.Shape.Inputs[i]
		if otherQuantities[in.Quantity] {
			continue
		}
		factor, unit, counts, no := per(in.Quantity)
		if no != nil {
			return total, n, no
		}
		if !counts {
			continue
		}
		a, no, found := f.entries(func(other *Input) bool { return other == in })
		switch {
		case no != nil:
			return total, n, no
		case !found || in.Unit != unit:
			return total, n, refused(MissingInput, ManualDevice+"/"+in.ID)
		}
		n++
		a = a.times(factor)
		f.step("+ "+in.Quantity, a.value, "", ManualDevice+"/"+in.ID)
		total = total.plus(a)
	}
	if f.Account.Kind != "installation" { // one that gives off more energy than it takes, such as a converter, is below 0
		total, no = total.positive()
	}
	return total, n, no
}

// term is what one term of the account came to, in unit, without its sign.
func (f *Facts) term(i int, unit string) (a figure, no *Result) {
	tag := f.Account.Terms[i].Tag
	c, s := f.channel("term/" + strconv.Itoa(i))
	if c == nil || s.Unit != "" && s.Unit != unit {
		return a, refused(MissingInput, tag)
	}
	return f.grown(c, s)
}

// accountKWh is the account's electricity, kWh.
func (f *Facts) accountKWh() (figure, *Result) {
	a, n, no := f.terms(func(medium string) (figure, string, bool, *Result) {
		return exact(1), unitEnergyKWh, medium == mediumElectricity, nil
	})
	if no == nil && n == 0 {
		no = refused(MissingInput, mediumElectricity)
	}
	return a, no
}

// accountCoal is the account's energy of all media, kgce. Secondary media are made within a site from what it has bought already.
func (f *Facts) accountCoal() (figure, *Result) {
	var leftOut []string
	a, n, no := f.terms(func(medium string) (figure, string, bool, *Result) {
		per, unit, secondary, no := f.coalOf(medium)
		if no == nil && secondary && f.Account.Kind == "site" {
			leftOut = joined(leftOut, []string{medium})
			return per, unit, false, nil
		}
		return per, unit, true, no
	})
	if no == nil && n == 0 {
		no = refused(MissingInput, "terms")
	}
	a.note(basisLeftOut, strings.Join(leftOut, ", "))
	return a, no
}

func accountElectricity(f *Facts) Result {
	a, no := f.accountKWh()
	if no != nil {
		return *no
	}
	return f.result(a)
}

func accountEnergy(f *Facts) Result {
	a, no := f.accountCoal()
	if no != nil {
		return *no
	}
	return f.result(a)
}

// accountCO2 is that of electricity alone: factors of fuels are not the grid's.
func accountCO2(f *Facts) Result {
	a, no := f.accountKWh()
	if no != nil {
		return *no
	}
	return f.co2(a)
}

// accountOutput is the account's product, t.
func (f *Facts) accountOutput() (a figure, no *Result) {
	if f.Account.Output == "" {
		return a, refused(MissingInput, "output")
	}
	if a, no, found := f.entries(func(in *Input) bool { return in.ID == f.Account.Output && in.Unit == "t" }); found {
		return a, no
	}
	c, s := f.channel("output")
	if c == nil || s.Unit != "t" {
		return a, refused(MissingInput, "output_t")
	}
	return f.grown(c, s)
}

// perTon is some energy of the account, and its output.
func (f *Facts) perTon(of func(*Facts) (figure, *Result)) (energy, output figure, no *Result) {
	if energy, no = of(f); no != nil {
		return energy, output, no
	}
	if output, no = f.accountOutput(); no == nil && output.value <= 0 {
		no = refused(ZeroDenominator, output.inputs...)
	}
	return energy, output, no
}

func unitEnergy(f *Facts) Result {
	energy, output, no := f.perTon((*Facts).accountCoal)
	if no != nil {
		return *no
	}
	return f.ratio(energy, output)
}

// energyPerOutputValue is kgce per 10 000 CNY.
func energyPerOutputValue(f *Facts) Result {
	energy, no := f.accountCoal()
	if no != nil {
		return *no
	}
	value, no, found := f.entries(func(in *Input) bool { return f.Account.Value != "" && in.ID == f.Account.Value })
	switch {
	case !found:
		return absent(MissingInput, "output_value_cny")
	case no != nil:
		return *no
	}
	const perValue = 10_000 // CNY, as such figures are given
	return f.ratio(energy, value.times(exact(1.0/perValue)))
}

// benchmarkClass compares with the 标杆/基准 levels. What they compare is a year of an installation; no window is a year, so that the class
// is an indication.
func benchmarkClass(f *Facts) Result {
	b := f.benchmark()
	switch {
	case f.Account.Benchmark == "":
		return absent(MissingInput, "benchmark")
	case b == nil:
		return absent(MissingInput, "benchmark/"+f.Account.Benchmark)
	case !b.Source.Verified:
		return absent(UnverifiedData, "benchmark/"+b.ID)
	}
	v, no := f.inUnitOf(b)
	if no != nil {
		return *no
	}
	r := f.result(v)
	if r.Absent != "" {
		return r
	}
	r.Class = classOf(v.value, b)
	r.Num, r.Value, r.Bounds, r.Quality = r.Value, nil, nil, Indicative
	v.note(basisBenchmark, b.ID)
	v.note(basisBest, decimal(b.Best))
	v.note(basisBase, decimal(b.Base))
	v.note(basisLevelUnit, b.Unit)
	v.note(basisLevelSrc, b.Source.Name)
	v.note(basisCompared, "a year per installation is what the standard compares")
	switch {
	case classOf(v.low, b) != r.Class:
		v.note(basisNear, nextBetter(r.Class))
	case classOf(v.high, b) != r.Class:
		v.note(basisNear, nextWorse(r.Class))
	}
	r.Basis = v.basis
	return r
}

// classOf: lower is better, also where both levels are below 0.
func classOf(v float64, b *Benchmark) string {
	switch {
	case v <= b.Best:
		return betterThanBenchmark
	case v > b.Base:
		return worseThanBaseline
	}
	return betweenLevels
}

// nextBetter and nextWorse name the next level from a class on.
func nextBetter(class string) string {
	if class == worseThanBaseline {
		return basisBase
	}
	return basisBest
}

func nextWorse(class string) string {
	if class == betterThanBenchmark {
		return basisBest
	}
	return basisBase
}

func (f *Facts) benchmark() *Benchmark {
	for i := range f.Catalogue.Benchmarks {
		if b := &f.Catalogue.Benchmarks[i]; b.ID == f.Account.Benchmark {
			return b
		}
	}
	return nil
}

// inUnitOf is the account's energy per tonne, in the unit of b.
func (f *Facts) inUnitOf(b *Benchmark) (v figure, no *Result) {
	of := (*Facts).accountCoal
	if b.Unit == "kWh/t" {
		of = (*Facts).accountKWh
	}
	energy, output, no := f.perTon(of)
	if no != nil {
		return v, no
	}
	v = energy.over(output)
	switch b.Unit {
	case "kgce/t", "kWh/t":
	case "kgoe/t":
		oil, missing := constantsOf(f, "kgoe_in_kgce")
		if missing != nil {
			return v, missing
		}
		v = v.over(oil[0])
	default:
		return v, refused(MissingInput, "output in "+b.Unit)
	}
	if b.NeedFactor {
		if f.Account.Factor <= 0 {
			return v, refused(MissingInput, "unit_factor")
		}
		v = v.over(exact(f.Account.Factor))
		v.note(basisUnitFactor, decimal(f.Account.Factor))
	}
	f.step("compared", v.value, b.Unit, "")
	return v, nil
}

// decimal writes a figure of a basis, with what floating point adds rounded off.
func decimal(v float64) string {
	if v == 0 || math.IsInf(v, 0) {
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return strconv.FormatFloat(v, 'g', 6, 64)
}
