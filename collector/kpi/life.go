package kpi

import (
	"math"
	"slices"
	"time"
)

// What formulas of age call missing.
const (
	needLife  = "design_life"
	needHours = "run_hours|hours"
)

// span is how long the equipment is meant to last; 0: not said.
type span struct {
	years, hours float64
	planned      bool // by the category, not by its maker
}

func (f *Facts) span() span {
	life := &f.Equipment.Life
	if life.DesignYears > 0 || life.DesignHours > 0 {
		return span{years: life.DesignYears, hours: life.DesignHours}
	}
	if f.Category == nil {
		return span{}
	}
	return span{years: f.Category.LifeYears, hours: f.Category.LifeHours, planned: true}
}

// onSpan says on r where the life comes from.
func (f *Facts) onSpan(r *Result, s span) {
	r.Basis = cloneBasis(r.Basis)
	r.note(basisLife, "nameplate")
	if s.planned {
		r.note(basisLife, planningLife)
		r.Doubts = doubted(r.Doubts, &f.Category.Source, planningLife)
	}
}

func cloneBasis(basis map[string]string) map[string]string {
	clone := make(map[string]string, len(basis)+4)
	for k, v := range basis {
		clone[k] = v
	}
	return clone
}

// pastDesignLife compares with the limits that can be compared with: past one of them is past. Hours whose bounds have the limit within do
// not tell.
func pastDesignLife(f *Facts) Result {
	s, a := f.span(), f.age()
	if s.years == 0 && s.hours == 0 {
		return absent(MissingInput, needLife)
	}
	h := amount{why: MissingInput}
	if s.hours > 0 {
		h = f.hours()
	}
	r := a.result()
	r.Absent, r.Missing = "", nil
	f.onSpan(&r, s)
	byYears, byHours := s.years > 0 && a.why == "", h.known()
	switch {
	case byYears && byHours:
		r.note(basisJudged, "years,hours")
	case byYears:
		r.note(basisJudged, "years")
	case byHours:
		r.note(basisJudged, "hours")
	case s.years > 0:
		return Result{Absent: a.why, Missing: a.missing, Basis: a.basis}
	default:
		return Result{Absent: h.why, Missing: h.missing, Inputs: h.inputs}
	}
	r.Inputs = h.inputs
	switch {
	case byYears && a.years > s.years || byHours && h.low > s.hours:
		r.Class = class(true)
	case byHours && h.high > s.hours:
		return Result{Absent: LowCoverage, Inputs: h.inputs, Basis: r.Basis}
	default:
		r.Class = class(false)
	}
	return r
}

// aged is age and life, or why one of them is not known.
func (f *Facts) aged() (a age, s span, r Result) {
	a, s = f.age(), f.span()
	r = a.result()
	if s.years == 0 {
		r = absent(MissingInput, append(slices.Clone(a.missing), needLife)...)
		return a, s, r
	}
	f.onSpan(&r, s)
	return a, s, r.graded()
}

func calendarAgeing(f *Facts) Result {
	a, s, r := f.aged()
	if r.Absent == "" {
		r.Num, r.Den, r.Value = Number(a.years), Number(s.years), Number(a.years/s.years)
		if a.most > a.years {
			r.Bounds = &[2]float64{a.years / s.years, a.most / s.years}
		}
	}
	return r
}

// newness is 年限法成新率. No source of its own could be verified, so it always says so.
func newness(f *Facts) Result {
	a, s, r := f.aged()
	if r.Absent == "" {
		r.Value = Number(max(0, 1-a.years/s.years))
		if a.years > s.years {
			r.note(basisFloored, itIsSo)
		}
		r.Doubts = append(r.Doubts, doubtFormula)
	}
	return r
}

func hourAgeing(f *Facts) Result {
	s, h := f.span(), f.hours()
	if s.hours == 0 {
		return absent(MissingInput, append(slices.Clone(h.missing), "design_hours")...)
	}
	r := h.result()
	if r.Absent == "" {
		f.onSpan(&r, s)
		r.Num, r.Den, r.Value = Number(h.value), Number(s.hours), Number(h.value/s.hours)
		r.Bounds = &[2]float64{h.low / s.hours, h.high / s.hours}
	}
	return r
}

// remainingLife is in years: what is left of the life in years, or of that in hours at the mean pace so far, whichever ends first.
func remainingLife(f *Facts) Result {
	s, a := f.span(), f.age()
	if s.years == 0 && s.hours == 0 {
		return absent(MissingInput, append(slices.Clone(a.missing), needLife)...)
	}
	r := a.result()
	if a.why != "" {
		return r.graded()
	}
	f.onSpan(&r, s)
	h := lacking(MissingInput)
	if s.hours > 0 {
		h = f.hours()
	}
	r.Inputs = h.inputs
	if s.years == 0 && !h.known() {
		return Result{Absent: h.why, Missing: h.missing, Inputs: h.inputs}
	}
	left, by := s.left(a.years, h, h.value)
	if by == "" {
		return Result{Absent: ZeroDenominator, Basis: r.Basis, Inputs: r.Inputs}
	}
	r.note(basisLimited, by)
	if left < 0 {
		r.note(basisFloored, itIsSo)
	}
	r.Value = Number(f.step("life left", max(0, left), "a", "by "+by))
	least, _ := s.left(a.years, h, h.high)
	least = min(least, s.leftYears(a.most))
	most, _ := s.left(a.most, h, h.low)
	most = max(left, min(most, s.leftYears(a.years)))
	if least < most {
		r.Bounds = &[2]float64{max(0, least), max(0, most)}
	}
	return r
}

// left is what remains after so many years and hours, negative if the life is over, and which of them ends it; neither if there is no pace
// to go by.
func (s span) left(years float64, h amount, hours float64) (left float64, by string) {
	left = s.leftYears(years)
	if s.years > 0 {
		by = "years"
	}
	if h.known() && hours > 0 && years > 0 {
		if n := (s.hours - hours) * years / hours; n < left {
			left, by = n, "hours"
		}
	}
	return left, by
}

// leftYears is without an end where the life is not in years.
func (s span) leftYears(years float64) float64 {
	if s.years == 0 {
		return math.Inf(1)
	}
	return s.years - years
}

func runningHours(f *Facts) Result {
	h := f.hours()
	r := h.result()
	if h.known() {
		r.note(basisHours, map[bool]string{true: "counter", false: "integrated"}[f.Equipment.Life.HoursTrusted])
	}
	return r
}

// hours are the running hours of the equipment's life: of a counter that can be trusted with it, or those that the ledger had on a day and
// what has been executed since. Time that is unknown, or between that day and the first reading, is in the bounds only.
func (f *Facts) hours() amount {
	life, lived := &f.Equipment.Life, &f.Life
	if life.HoursTrusted {
		tags := []string{f.Equipment.Signals["run_hours"].Tag}
		if !lived.Counted {
			return amount{why: NoData, inputs: tags}
		}
		h := lived.Counter
		return amount{value: h, low: h, high: h, coverage: 1, grade: Measured, inputs: tags}
	}
	_, at, ok := parseDate(life.HoursAt)
	if !ok {
		return lacking(MissingInput, needHours)
	}
	if f.Shape.Mapping == "" {
		return lacking(MissingInput, needState)
	}
	from := time.Date(at.Year(), at.Month(), at.Day(), 0, 0, 0, 0, f.zone()).UnixMilli()
	if from > f.Window.To {
		return lacking(Contradiction)
	}
	since := lived.Since
	if since == 0 {
		since = f.Window.To
	}
	all := f.Window.To - from
	gap, twice := max(0, since-from), max(0, from-since)
	ran := max(0, lived.Executed-twice)
	most := min(all, lived.Executed+lived.Unknown+gap)
	known := max(0, all-lived.Unknown-gap)
	value := life.HoursBefore + float64(ran)/msPerHour
	return amount{
		value: value, low: value, high: max(value, life.HoursBefore+float64(most)/msPerHour),
		coverage: divided(float64(known), float64(all), 1), grade: Manual, inputs: slices.Clone(f.Shape.States),
	}
}
