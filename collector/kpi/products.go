package kpi

import (
	"slices"
	"strconv"
)

// Parts come from the counter `parts` less what excluded programs counted, or are good parts and scrap together. Good parts and scrap come
// from counters, else from manual inputs, else each is the rest of the parts. Effectiveness compares whole windows: all parts that were made
// with all of APT, overtime included, since parts are not told apart by planned time; what excluded programs took of APT is taken off.

var productFormulas = map[string]formula{
	"parts_total":   func(f *Facts) Result { return f.covered(f.total().result()) },
	"parts_good":    func(f *Facts) Result { return f.covered(f.good().result()) },
	"parts_scrap":   func(f *Facts) Result { return f.covered(f.scrap().result()) },
	"quality_ratio": qualityRatio,
	"effectiveness": effectiveness,
	"oee":           func(f *Facts) Result { return overall(f, false) },
	"nee":           func(f *Facts) Result { return overall(f, true) },
}

// amount is a number of parts, or why it is not known.
type amount struct {
	value, low, high float64
	coverage         float64
	grade            Grade
	inputs           []string
	doubts           int
	why              Absence
	missing          []string
}

func (a amount) known() bool { return a.why == "" }

// lacking is an amount that is not known.
func lacking(why Absence, missing ...string) amount { return amount{why: why, missing: missing} }

func (a amount) result() Result {
	if !a.known() {
		r := absent(a.why, a.missing...)
		r.Inputs = a.inputs
		return r
	}
	r := Result{Value: Number(a.value), Quality: a.grade, Inputs: a.inputs, Coverage: Number(a.coverage)}
	if a.low < a.high {
		r.Bounds = &[2]float64{a.low, a.high}
	}
	a.doubtful(&r)
	return r
}

// doubtful says that counters were reset, or told values that could not be believed.
func (a amount) doubtful(r *Result) {
	if a.doubts > 0 {
		r.note(basisDoubts, strconv.Itoa(a.doubts))
	}
}

// plus and minus keep to what is possible: there are no negative numbers of parts.
func (a amount) plus(b amount) amount { return a.with(b, a.value+b.value, a.low+b.low, a.high+b.high) }
func (a amount) minus(b amount) amount {
	if b.value > a.value {
		return amount{why: Contradiction, inputs: joined(a.inputs, b.inputs)}
	}
	return a.with(b, a.value-b.value, max(0, a.low-b.high), a.high-b.low)
}

func (a amount) with(b amount, value, low, high float64) amount {
	return amount{
		value: value, low: low, high: high, coverage: min(a.coverage, b.coverage), grade: weaker(a.grade, b.grade),
		inputs: joined(a.inputs, b.inputs), doubts: a.doubts + b.doubts,
	}
}

// weaker is the grade that rests on less.
func weaker(a, b Grade) Grade {
	order := []Grade{"", Measured, Manual, Allocated, Assumed, Indicative}
	return order[max(slices.Index(order, a), slices.Index(order, b))]
}

// counted is the growth of a counter.
func (f *Facts) counted(role string) amount {
	c, shape := f.channel(role)
	if c == nil {
		return lacking(MissingInput, role)
	}
	n := c.Sum.Value()
	if c.Known == 0 && n == 0 {
		return amount{why: NoData, inputs: shape.Tags}
	}
	return amount{
		value: n, low: max(0, n-c.Spread), high: n + c.Spread, coverage: float64(c.Known) / float64(f.length()), grade: Measured,
		inputs: shape.Tags, doubts: c.Doubts,
	}
}

// entered is what people entered of a quantity. An input whose periods are longer than the window says nothing about it.
func (f *Facts) entered(quantity string) amount {
	for i, in := range f.Shape.Inputs {
		if in.Quantity != quantity || f.Shape.Periods[i] == 0 {
			continue
		}
		e, tag := &f.Tally.Entered[i], ManualDevice+"/"+in.ID
		if e.Given < f.Shape.Periods[i] {
			return lacking(Incomplete, tag)
		}
		n := e.Sum.Value()
		return amount{value: n, low: n, high: n, coverage: 1, grade: Manual, inputs: []string{tag}}
	}
	return lacking(MissingInput, quantity)
}

// told is a quantity from its counter, or else as people entered it.
func (f *Facts) told(role string) amount {
	if a := f.counted(role); a.why != MissingInput {
		return a
	}
	return f.entered(role)
}

// total is all parts that were made, good or not.
func (f *Facts) total() amount {
	all := f.counted("parts")
	if all.why == MissingInput {
		good, scrap := f.told("good_parts"), f.told("scrap")
		if good.why == MissingInput || scrap.why == MissingInput {
			return all
		}
		return firstLacking(good, scrap, amount.plus)
	}
	if all.known() && f.Tally.Parts != nil {
		spread := (all.high - all.value) * f.most(func(p *Product) float64 { return p.PerCycle }, 1)
		all.value = 0
		for i, n := range f.Tally.Parts {
			if i >= len(f.Config.Products) || !f.Config.Products[i].Excluded {
				all.value += n
			}
		}
		all.low, all.high = max(0, all.value-spread), all.value+spread
	}
	return all
}

// firstLacking combines two amounts, or says why one of them is not known.
func firstLacking(a, b amount, combine func(a, b amount) amount) amount {
	switch {
	case !a.known():
		return a
	case !b.known():
		return b
	}
	return combine(a, b)
}

func (f *Facts) good() amount { return f.toldOr("good_parts", "scrap") }

func (f *Facts) scrap() amount { return f.toldOr("scrap", "good_parts") }

// toldOr is a number of parts that is told, or else what the other leaves of all parts.
func (f *Facts) toldOr(name, other string) amount {
	a := f.told(name)
	if a.why != MissingInput {
		return a
	}
	all, rest := f.counted("parts"), f.told(other)
	if all.why == MissingInput || rest.why == MissingInput {
		return lacking(MissingInput, needs(all.why == MissingInput, "parts", rest.why == MissingInput, name+"|"+other)...)
	}
	return firstLacking(f.total(), rest, amount.minus)
}

// needs lists what is missing of two inputs.
func needs(noFirst bool, first string, noSecond bool, second string) (missing []string) {
	if noFirst {
		missing = append(missing, first)
	}
	if noSecond {
		missing = append(missing, second)
	}
	return missing
}

// quality is GQ / PQ, 0 to 1.
func (f *Facts) quality() (ratio, good, all amount) {
	all, good = f.total(), f.good()
	both := joined(all.inputs, good.inputs)
	switch {
	case all.why == MissingInput && good.why == MissingInput:
		return lacking(MissingInput, union(all.missing, good.missing)...), good, all
	case all.why == MissingInput || good.known() && !all.known():
		return all, good, all
	case !good.known():
		return good, good, all
	}
	scrap := f.told("scrap")
	if good.value > all.value || scrap.known() && scrap.value > all.value {
		return amount{why: Contradiction, inputs: joined(both, scrap.inputs)}, good, all
	}
	if all.value == 0 {
		return amount{why: ZeroDenominator, inputs: both}, good, all
	}
	low, high := f.qualityBounds(good, scrap, all)
	return good.with(all, good.value/all.value, low, high), good, all
}

// qualityBounds go by the two figures that were told: good parts and all, scrap and all, or good parts and scrap.
func (f *Facts) qualityBounds(good, scrap, all amount) (low, high float64) {
	switch {
	case f.counted("parts").why == MissingInput:
		return divided(good.low, good.low+scrap.high, 0), divided(good.high, good.high+scrap.low, 1)
	case f.told("good_parts").known():
		return divided(good.low, all.high, 0), min(1, divided(good.high, all.low, 1))
	}
	return max(0, 1-divided(scrap.high, all.low, 1)), max(0, 1-divided(scrap.low, all.high, 0))
}

// divided is a quotient, or what is to be said where there is nothing to divide by.
func divided(num, den, otherwise float64) float64 {
	if den <= 0 {
		return otherwise
	}
	return num / den
}

func qualityRatio(f *Facts) Result {
	q, good, all := f.quality()
	r := q.result()
	if q.known() {
		r.Num, r.Den = Number(f.step("GQ", good.value, "1", "good parts")), Number(f.step("PQ", all.value, "1", "all parts"))
		r.Bounds = &[2]float64{q.low, q.high}
	}
	return f.covered(r)
}

// pace is what effectiveness is made of: the ideal time of the parts, s, and the APT in which they were made, ms.
type pace struct {
	ideal, low, high float64
	apt              int64 // without excluded programs
	why              Absence
	missing          []string
	inputs           []string
	coverage         float64
}

// pace is unknown if one part is of no known product. APT whose program was not known stays in: the part that it belongs to may have been
// counted before or after; the greatest value has it out.
func (f *Facts) pace() pace {
	parts := f.counted("parts")
	longest := f.most(func(p *Product) float64 { return p.Ideal }, 0)
	switch {
	case f.Shape.Mapping == "" || parts.why == MissingInput || f.Tally.Parts == nil || longest == 0:
		return pace{why: MissingInput, missing: f.paceNeeds(parts, longest)}
	case !parts.known():
		return pace{why: parts.why, inputs: parts.inputs}
	case f.Tally.Parts[len(f.Tally.Parts)-1] > 0:
		return pace{why: UnknownProduct, inputs: parts.inputs}
	}
	slowest := f.most(func(p *Product) float64 { return p.Ideal * max(1, p.PerCycle) }, 0)
	spread := (parts.high - parts.value) * slowest
	of := f.reach(Planned, PlannedStop, Unscheduled)
	return pace{
		ideal: f.Tally.Ideal, low: max(0, f.Tally.Ideal-spread), high: f.Tally.Ideal + spread,
		apt: everywhere(f.Tally, APT) - f.Tally.Excluded, inputs: joined(parts.inputs, f.programTags()),
		coverage: min(parts.coverage, float64(of.known)/float64(of.all)),
	}
}

func (f *Facts) programTags() []string {
	if _, shape := f.channel("program"); shape != nil {
		return shape.Tags
	}
	if f.Equipment != nil {
		if s, ok := f.Equipment.Signals["program"]; ok {
			return []string{s.Tag}
		}
	}
	return nil
}

// most is the greatest of a figure among the products that the equipment makes, and least.
func (f *Facts) most(of func(*Product) float64, least float64) float64 {
	for i := range f.Config.Products {
		if p := &f.Config.Products[i]; !p.Excluded && p.madeOn(f.Equipment) {
			least = max(least, of(p))
		}
	}
	return least
}

// warmsUp says whether there are programs that make no product.
func (f *Facts) warmsUp() bool {
	return slices.ContainsFunc(f.Config.Products, func(p Product) bool { return p.Excluded && p.madeOn(f.Equipment) })
}

func (p *Product) madeOn(e *Equipment) bool {
	return len(p.On) == 0 || e != nil && slices.Contains(p.On, e.ID)
}

func (f *Facts) paceNeeds(parts amount, longest float64) (missing []string) {
	missing = needs(f.Shape.Mapping == "", needState, parts.why == MissingInput, "parts")
	return append(missing, needs(f.Tally.Parts == nil, "program", longest == 0, "products")...)
}

func effectiveness(f *Facts) Result {
	p := f.pace()
	if p.why != "" {
		return Result{Absent: p.why, Missing: p.missing, Inputs: p.inputs}
	}
	if r, gone := f.stateless(); gone {
		return r
	}
	r := f.fromPace(p)
	if p.apt <= 0 {
		return Result{Absent: ZeroDenominator, Coverage: r.Coverage, Inputs: r.Inputs, Basis: r.Basis}
	}
	num, den := f.step("Σ PRU·PQ", p.ideal*1000, "ms", "parts × ideal cycle"), f.step("APT", float64(p.apt), "ms", "less excluded programs")
	r.Num, r.Den, r.Value = Number(num), Number(den), Number(num/den)
	if least := p.apt - f.Tally.Blind; least > 0 {
		r.Bounds = &[2]float64{p.low * 1000 / float64(p.apt+everywhere(f.Tally, Unknown)), p.high * 1000 / float64(least)}
	}
	if *r.Value > 1 {
		r.note(basisAbove, itIsSo)
	}
	return f.covered(r)
}

// fromPace is what results have that rest on state and parts.
func (f *Facts) fromPace(p pace) Result {
	r := f.fromState(f.reach(Planned), false)
	r.Coverage, r.Inputs = Number(p.coverage), joined(r.Inputs, p.inputs)
	if f.Tally.Excluded > 0 {
		r.note(basisExcluded, strconv.FormatInt(f.Tally.Excluded, 10))
	}
	return r
}

// union is both lists, sorted, without what is twice.
func union(a, b []string) []string {
	all := joined(a, b)
	slices.Sort(all)
	return all
}
