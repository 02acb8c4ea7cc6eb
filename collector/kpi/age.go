package kpi

import (
	"sync"
	"time"
)

// Age is counted by anniversary up to the last local day of the window: whole years, and of the current one the share of its days. What is
// known only to the month or year is taken as its last day, so nothing is called older than is known; Bounds have the first day. A retrofit
// never resets the date. "Over" and "past" are strictly more: on the anniversary itself equipment is not over.

// Keys of Result.Basis that the formulas of age use.
const (
	basisAgeFrom     = "age_from"    // commissioned, or manufactured where that is all that is known
	basisDate        = "date"        // as the ledger has it
	basisRetrofitted = "retrofitted" // date; it does not reset the age
	basisLife        = "life"        // nameplate or planning_life
	basisJudged      = "judged_by"   // years, hours or years,hours: the limits that could be compared with
	basisLimited     = "limited_by"  // years or hours: which of them ends the life first
	basisFloored     = "floored"     // "true": it would be below 0
	basisHours       = "hours_from"  // counter or integrated
	planningLife     = "planning_life"
)

var ageFormulas = merge(equipmentAgeFormulas, siteAgeFormulas)

var equipmentAgeFormulas = map[string]formula{
	"years_in_service":      yearsInService,
	"policy_focus_over_10y": policyFocus,
	"past_design_life":      pastDesignLife,
	"calendar_ageing":       calendarAgeing,
	"hour_ageing":           hourAgeing,
	"remaining_life":        remainingLife,
	"newness_life_method":   newness,
	"running_hours":         runningHours,
	"elimination_suspected": eliminationSuspected,
}

// parseDate understands "2012", "2012-05" and "2012-05-01": the first and the last day that it may be.
func parseDate(s string) (first, last time.Time, ok bool) {
	if t, err := time.Parse("2006-01-02", s); err == nil {
		return t, t, true
	}
	if t, err := time.Parse("2006-01", s); err == nil {
		return t, t.AddDate(0, 1, -1), true
	}
	if t, err := time.Parse("2006", s); err == nil {
		return t, t.AddDate(1, 0, -1), true
	}
	return time.Time{}, time.Time{}, false
}

// lastDay is the last local day of the window, as a date in UTC.
func (f *Facts) lastDay() time.Time {
	t := time.UnixMilli(f.Window.To - 1).In(f.zone())
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
}

// zones are the time zones of windows, by name: a schedule has loaded each before it made the first window in it.
var zones sync.Map

// zone is that of the window. A schedule could not have made the window in one that does not exist.
func (f *Facts) zone() *time.Location {
	if zone, ok := zones.Load(f.Window.TZ); ok {
		return zone.(*time.Location)
	}
	zone, err := time.LoadLocation(f.Window.TZ)
	if err != nil {
		panic("BUG: a window in the time zone " + f.Window.TZ + ": " + err.Error())
	}
	zones.Store(f.Window.TZ, zone)
	return zone
}

// anniversary is that day n years on: the last of February where there is no 29th.
func anniversary(day time.Time, n int) time.Time {
	t := time.Date(day.Year()+n, day.Month(), day.Day(), 0, 0, 0, 0, time.UTC)
	if t.Month() != day.Month() {
		return t.AddDate(0, 0, -t.Day())
	}
	return t
}

// yearsBetween is 0 if day is after now.
func yearsBetween(day, now time.Time) float64 {
	if !day.Before(now) {
		return 0
	}
	n := now.Year() - day.Year()
	if anniversary(day, n).After(now) {
		n--
	}
	last, next := anniversary(day, n), anniversary(day, n+1)
	return float64(n) + now.Sub(last).Hours()/next.Sub(last).Hours()
}

// age is how long the equipment has been there, or why that is not known.
type age struct {
	years, most float64
	why         Absence
	missing     []string
	basis       map[string]string
}

func (f *Facts) age() age {
	life := &f.Equipment.Life
	from, date := "commissioned", life.Commissioned
	if date == "" {
		from, date = "manufactured", life.Manufactured
	}
	if date == "" {
		return age{why: MissingInput, missing: []string{"commissioned|manufactured"}}
	}
	a := age{basis: map[string]string{basisAgeFrom: from, basisDate: date}}
	if life.Retrofitted != "" {
		a.basis[basisRetrofitted] = life.Retrofitted
	}
	first, last, ok := parseDate(date)
	if !ok {
		return age{why: MissingInput, missing: []string{from}}
	}
	made, _, madeKnown := parseDate(life.Manufactured)
	now := f.lastDay()
	if first.After(now) || madeKnown && last.Before(made) {
		a.why = Contradiction
		return a
	}
	a.years, a.most = yearsBetween(last, now), yearsBetween(first, now)
	f.step("age", a.years, "a", "from "+date+" to "+now.Format(time.DateOnly))
	return a
}

// result begins a result that rests on the age.
func (a age) result() Result {
	return Result{Quality: Manual, Basis: a.basis, Absent: a.why, Missing: a.missing}
}

func yearsInService(f *Facts) Result {
	a := f.age()
	r := a.result()
	if a.why == "" {
		r.Value = Number(a.years)
		if a.most > a.years {
			r.Bounds = &[2]float64{a.years, a.most}
		}
	}
	return r.graded()
}

// graded takes the quality off a result without a value.
func (r Result) graded() Result {
	if r.Absent != "" {
		r.Quality = ""
	}
	return r
}

func class(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

func policyFocus(f *Facts) Result {
	if f.Category == nil || f.Category.FocusYears == 0 {
		return absent(MissingInput, "focus_years")
	}
	a := f.age()
	r := a.result()
	if a.why == "" {
		r.Class = class(a.years > f.step("focus", f.Category.FocusYears, "a", f.Category.FocusSource.Name))
		r.Doubts = doubted(r.Doubts, &f.Category.FocusSource, "focus_years")
	}
	return r.graded()
}

// doubted adds what could not be verified.
func doubted(doubts []string, source *Source, what string) []string {
	if source.Verified {
		return doubts
	}
	return append(doubts, what)
}
