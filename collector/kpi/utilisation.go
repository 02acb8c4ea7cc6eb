package kpi

import (
	"math"
	"slices"
	"strconv"
)

// The time model of ISO 22400-2 as it is published: window = unscheduled_time + planned_stop_time + apt + aust + adet + adot + unknown_time,
// in ms, exactly. apt, aust and unknown_time are of all classes; adet and adot only of planned busy time, adot with what was off; the rest of a
// planned stop and of unscheduled time is that class's own. off_time, overtime and planned_busy_time are sums across these parts.
//
// A ratio's Bounds say what it would be if all that is unknown had been the worst or the best that it can have been. Its Coverage is the
// known share of the time that the ratio is about: of planned busy time for an availability, so that a night without data does not hide a day.

// Keys of Result.Basis that the formulas of utilisation use.
const (
	basisPlanned  = "planned_time" // shifts, or calendar: nobody said when the site works
	basisOvertime = "overtime_ms"  // APT outside of planned busy time
	basisUpper    = "upper_bound"  // "true": see Mapping.Upper
	basisCount    = "n"            // of how many
	basisAbove    = "above_one"    // "true": the ideal cycle is longer than the real one, so it is wrong
	basisExcluded = "excluded_ms"  // APT of programs that make no product
	basisDoubts   = "counter_doubts"
)

// itIsSo is the only value of a key that is there or not.
const itIsSo = "true"

var utilisationFormulas = merge(timeFormulas, shareFormulas, eventFormulas, productFormulas)

var timeFormulas = map[string]formula{
	"apt":               spent(false, func(t *Tally) (int64, int64) { return everywhere(t, APT), everywhere(t, Unknown) }),
	"aust":              spent(false, func(t *Tally) (int64, int64) { return everywhere(t, AUST), everywhere(t, Unknown) }),
	"adet":              spent(true, func(t *Tally) (int64, int64) { return delayed(t), t.Times[Planned][Unknown] }),
	"adot":              spent(true, func(t *Tally) (int64, int64) { return down(t), t.Times[Planned][Unknown] }),
	"off_time":          spent(false, func(t *Tally) (int64, int64) { return everywhere(t, Off), everywhere(t, Unknown) }),
	"planned_stop_time": spent(true, func(t *Tally) (int64, int64) { return resting(t, PlannedStop), t.Times[PlannedStop][Unknown] }),
	"unscheduled_time":  spent(true, func(t *Tally) (int64, int64) { return resting(t, Unscheduled), t.Times[Unscheduled][Unknown] }),
	"overtime":          spent(true, func(t *Tally) (int64, int64) { return overtime(t), unplanned(t, Unknown) }),
	"unknown_time":      unknownTime,
	"planned_busy_time": plannedBusyTime,
}

// everywhere is the time of e in all classes.
func everywhere(t *Tally, e Element) int64 { return t.Times[Planned][e] + unplanned(t, e) }

// unplanned is the time of e outside of planned busy time.
func unplanned(t *Tally, e Element) int64 { return t.Times[PlannedStop][e] + t.Times[Unscheduled][e] }

// classTime is all time of c.
func classTime(t *Tally, c Class) (ms int64) {
	for _, spent := range t.Times[c] {
		ms += spent
	}
	return ms
}

func delayed(t *Tally) int64  { return t.Times[Planned][ADET] }
func down(t *Tally) int64     { return t.Times[Planned][ADOT] + t.Times[Planned][Off] }
func overtime(t *Tally) int64 { return unplanned(t, APT) }

// resting is the time of c in which nothing was made or set up.
func resting(t *Tally, c Class) int64 { return t.Times[c][ADET] + t.Times[c][ADOT] + t.Times[c][Off] }

// spent is the formula of a time: its ms, and the unknown ms that may belong to it. Its Bounds are left out where nothing is unknown.
func spent(planned bool, of func(*Tally) (ms, open int64)) formula {
	return func(f *Facts) Result {
		if r, gone := f.stateless(); gone {
			return r
		}
		ms, open := of(f.Tally)
		r := f.fromState(f.reach(Planned, PlannedStop, Unscheduled), planned)
		r.Value = Number(f.step(f.id(), float64(ms), "ms", "time of the state's elements"))
		if open > 0 {
			r.Bounds = &[2]float64{float64(ms), float64(ms + open)}
		}
		return f.covered(r)
	}
}

func unknownTime(f *Facts) Result {
	if f.Shape.Mapping == "" {
		return absent(MissingInput, needState)
	}
	r := f.fromState(f.reach(Planned, PlannedStop, Unscheduled), false)
	r.Value, r.Quality = Number(float64(everywhere(f.Tally, Unknown))), Measured
	return r
}

func plannedBusyTime(f *Facts) Result {
	ms := f.step("PBT", float64(classTime(f.Tally, Planned)), "ms", "calendar")
	return Result{Value: Number(ms), Quality: Measured, Basis: map[string]string{basisPlanned: f.Shape.Basis}}
}

// needState is the input that all times rest on.
const needState = "state"

// stateless is the result where no state is known: of the equipment at all, or of the whole window.
func (f *Facts) stateless() (r Result, gone bool) {
	if f.Shape.Mapping == "" {
		return absent(MissingInput, needState), true
	}
	if everywhere(f.Tally, Unknown) == f.length() {
		r := absent(NoData)
		r.Coverage, r.Inputs = Number(0), f.Shape.States
		return r, true
	}
	return Result{}, false
}

// fromState is what all results have that rest on the state: coverage, quality, inputs, and if planned the calendar's basis.
func (f *Facts) fromState(of extent, planned bool) Result {
	r := Result{Quality: Measured, Inputs: f.Shape.States, Coverage: of.coverage()}
	if f.Tally.Assumed > 0 {
		r.Quality = Assumed
	}
	if planned {
		r.Basis = map[string]string{basisPlanned: f.Shape.Basis}
	}
	return r
}

// extent is a stretch of time, and how much of it is known, in ms.
type extent struct{ all, known int64 }

// reach is the extent of the classes.
func (f *Facts) reach(classes ...Class) (x extent) {
	for _, c := range classes {
		all := classTime(f.Tally, c)
		x.all, x.known = x.all+all, x.known+all-f.Tally.Times[c][Unknown]
	}
	return x
}

func (x extent) coverage() *float64 {
	if x.all == 0 {
		return nil
	}
	return Number(float64(x.known) / float64(x.all))
}

// covered is r, or absent where less is known than the definition asks for.
func (f *Facts) covered(r Result) Result {
	if r.Absent != "" || r.Coverage == nil || f.Definition == nil || *r.Coverage >= f.Definition.Coverage {
		return r
	}
	return Result{Absent: LowCoverage, Coverage: r.Coverage, Inputs: r.Inputs, Basis: r.Basis}
}

// id is the KPI's name in explanations.
func (f *Facts) id() string {
	if f.Definition == nil {
		return "value"
	}
	return f.Definition.ID
}

// note adds a line to the basis.
func (r *Result) note(key, value string) {
	if r.Basis == nil {
		r.Basis = map[string]string{}
	}
	r.Basis[key] = value
}

// quotient is a ratio of times in ms, with its least and greatest value as quotients of their own.
type quotient struct {
	over      string // what is divided by what, for who checks it: "APT / PBT"
	num, den  int64
	low, high [2]int64
	of        extent // the time that it is about
	planned   bool   // it depends on the calendar
}

var shareFormulas = map[string]formula{
	"utilisation_of_calendar": timeShare(func(f *Facts) quotient {
		apt, open, all := everywhere(f.Tally, APT), everywhere(f.Tally, Unknown), f.length()
		return quotient{over: "APT / window", num: apt, den: all, low: [2]int64{apt, all}, high: [2]int64{apt + open, all}, of: f.reach(Planned, PlannedStop, Unscheduled)}
	}),
	"utilisation_of_planned": timeShare(func(f *Facts) quotient {
		t, of := f.Tally, f.reach(Planned, PlannedStop)
		apt := t.Times[Planned][APT] + t.Times[PlannedStop][APT]
		return quotient{over: "APT within shifts / time of shifts", num: apt, den: of.all, low: [2]int64{apt, of.all}, high: [2]int64{apt + of.all - of.known, of.all}, of: of, planned: true}
	}),
	"availability": timeShare(func(f *Facts) quotient {
		of, apt := f.reach(Planned), f.Tally.Times[Planned][APT]
		return quotient{over: "APT within PBT / PBT", num: apt, den: of.all, low: [2]int64{apt, of.all}, high: [2]int64{apt + of.all - of.known, of.all}, of: of, planned: true}
	}),
	// Unknown time may have been off, and then belongs to neither side: the least is all of it on and idle, the greatest all of it producing.
	"utilisation_of_power_on": timeShare(func(f *Facts) quotient {
		apt, open, on := everywhere(f.Tally, APT), everywhere(f.Tally, Unknown), f.powerOn()
		return quotient{over: "APT / (window - off - unknown)", num: apt, den: on, low: [2]int64{apt, on + open}, high: [2]int64{apt + open, on + open}, of: f.reach(Planned, PlannedStop, Unscheduled)}
	}),
	"setup_rate": timeShare(func(f *Facts) quotient {
		aust, open := everywhere(f.Tally, AUST), everywhere(f.Tally, Unknown)
		busy := aust + everywhere(f.Tally, APT)
		return quotient{over: "AUST / (APT + AUST)", num: aust, den: busy, low: [2]int64{aust, busy + open}, high: [2]int64{aust + open, busy + open}, of: f.reach(Planned, PlannedStop, Unscheduled)}
	}),
	"technical_efficiency":   timeShare(technicalEfficiency),
	"utilisation_efficiency": timeShare(utilisationEfficiency),
	"spindle_rate":           flagShare("spindle_on"),
	"cutting_rate":           flagShare("cutting"),
}

// technicalEfficiency takes apt and adet as they are published: delays count in planned busy time only, so there alone unknown time may be one.
func technicalEfficiency(f *Facts) quotient {
	apt, adet, open := everywhere(f.Tally, APT), delayed(f.Tally), everywhere(f.Tally, Unknown)
	return quotient{
		over: "APT / (APT + ADET)", num: apt, den: apt + adet,
		low: [2]int64{apt, apt + adet + f.Tally.Times[Planned][Unknown]}, high: [2]int64{apt + open, apt + adet + open},
		of: f.reach(Planned, PlannedStop, Unscheduled), planned: true,
	}
}

// utilisationEfficiency has AUBT = apt + aust + adet + adot as they are published.
func utilisationEfficiency(f *Facts) quotient {
	apt, open := everywhere(f.Tally, APT), everywhere(f.Tally, Unknown)
	aubt := apt + everywhere(f.Tally, AUST) + delayed(f.Tally) + down(f.Tally)
	return quotient{
		over: "APT / (APT + AUST + ADET + ADOT)", num: apt, den: aubt, low: [2]int64{apt, aubt + open}, high: [2]int64{apt + open, aubt + open},
		of: f.reach(Planned, PlannedStop, Unscheduled), planned: true,
	}
}

// powerOn is the time with power, as far as known.
func (f *Facts) powerOn() int64 {
	return f.length() - everywhere(f.Tally, Off) - everywhere(f.Tally, Unknown)
}

// timeShare is the formula of a quotient.
func timeShare(of func(*Facts) quotient) formula {
	return func(f *Facts) Result {
		if r, gone := f.stateless(); gone {
			return r
		}
		q := of(f)
		r := f.fromState(q.of, q.planned)
		switch {
		case q.of.all > 0 && q.of.known == 0:
			return Result{Absent: NoData, Coverage: r.Coverage, Inputs: r.Inputs, Basis: r.Basis}
		case q.den == 0:
			return Result{Absent: ZeroDenominator, Coverage: r.Coverage, Inputs: r.Inputs, Basis: r.Basis}
		}
		num := f.step("numerator", float64(q.num), "ms", "")
		den := f.step("denominator", float64(q.den), "ms", "")
		r.Num, r.Den = Number(num), Number(den)
		r.Value = Number(f.step(f.id(), num/den, "1", q.over))
		r.Bounds = &[2]float64{part(q.low), part(q.high)}
		if over := overtime(f.Tally); q.planned && over > 0 {
			r.note(basisOvertime, strconv.FormatInt(over, 10))
		}
		if f.Shape.Upper && f.id() == "technical_efficiency" {
			r.note(basisUpper, itIsSo)
		}
		return f.covered(r)
	}
}

func part(q [2]int64) float64 { return float64(q[0]) / float64(q[1]) }

// flagShare is the time of a flag over the time with power. The flag is known at other times than the state: a spindle that turns while the
// state is unknown shows that there was power. The least has all unknown time on with the flag down; the greatest has the flag up whenever it
// is unknown, in time that is known to be on. A flag that is up while the power is off contradicts.
func flagShare(role string) formula {
	return func(f *Facts) Result {
		c, shape := f.channel(role)
		if c == nil {
			return absent(MissingInput, role)
		}
		if r, gone := f.stateless(); gone {
			return r
		}
		on, open := f.powerOn(), everywhere(f.Tally, Unknown)
		up, blind := int64(math.Round(c.Sum.Value())), f.length()-c.Known
		den := max(on, up)
		r := f.fromState(extent{f.length(), min(f.length()-open, c.Known)}, false)
		r.Inputs = joined(shape.Tags, f.Shape.States)
		switch {
		case c.Known == 0:
			return Result{Absent: NoData, Coverage: r.Coverage, Inputs: r.Inputs}
		case up > on+open:
			return Result{Absent: Contradiction, Coverage: r.Coverage, Inputs: r.Inputs}
		case den == 0:
			return Result{Absent: ZeroDenominator, Coverage: r.Coverage, Inputs: r.Inputs}
		}
		f.step(role, float64(up), "ms", shape.Tags[0])
		f.step("power on", float64(den), "ms", "window - off - unknown")
		r.Num, r.Den, r.Value = Number(float64(up)), Number(float64(den)), Number(float64(up)/float64(den))
		r.Bounds = &[2]float64{float64(up) / float64(on+open), min(1, float64(up+blind)/float64(den))}
		return f.covered(r)
	}
}

// joined is a, and of b what is not in it; it changes neither.
func joined(a, b []string) []string {
	switch {
	case len(b) == 0:
		return a
	case len(a) == 0:
		return b
	}
	all := slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

var eventFormulas = map[string]formula{
	"alarm_stops":                   alarmStops,
	"mean_time_between_alarm_stops": timeBetweenStops,
}

// alarmStops has no Bounds: nobody knows how many stops unknown time hides.
func alarmStops(f *Facts) Result {
	if r, gone := f.stateless(); gone {
		return r
	}
	r := f.fromState(f.reach(Planned, PlannedStop, Unscheduled), false)
	r.Value = Number(float64(f.Tally.Stops))
	return f.covered(r)
}

const msPerHour = 3_600_000

// timeBetweenStops is in hours. Unknown time may hide any number of stops, so its least is 0 once there is any.
func timeBetweenStops(f *Facts) Result {
	if r, gone := f.stateless(); gone {
		return r
	}
	r := f.fromState(f.reach(Planned, PlannedStop, Unscheduled), false)
	n := f.Tally.Stops
	r.note(basisCount, strconv.FormatInt(n, 10))
	if n == 0 {
		return Result{Absent: ZeroDenominator, Coverage: r.Coverage, Inputs: r.Inputs, Basis: r.Basis}
	}
	hours := f.step("APT", float64(everywhere(f.Tally, APT))/msPerHour, "h", "time of the state's elements")
	open := everywhere(f.Tally, Unknown)
	r.Num, r.Den = Number(hours), Number(f.step("alarm stops", float64(n), "1", "changes into ADET"))
	r.Value = Number(hours / float64(n))
	r.Bounds = &[2]float64{*r.Value, (hours + float64(open)/msPerHour) / float64(n)}
	if open > 0 {
		r.Bounds[0] = 0
	}
	return f.covered(r)
}
