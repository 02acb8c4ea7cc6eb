package kpi

import (
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const utilMinute = 60_000

// utilTimes are minutes by class and element.
type utilTimes map[Class]map[Element]int64

// utilDay is a day with two shifts of 8 h, of which 1 h is breaks. Sums by hand:
//
//	              APT AUST ADET ADOT  Off unknown    all
//	planned       600   60   45   75   90      30    900
//	planned stop   10    -    -   40    -      10     60
//	unscheduled    50    5   15   30  360      20    480
//	all           660   65   60  145  450      60   1440
var utilDay = utilTimes{
	Planned:     {APT: 600, AUST: 60, ADET: 45, ADOT: 75, Off: 90, Unknown: 30},
	PlannedStop: {APT: 10, ADOT: 40, Unknown: 10},
	Unscheduled: {APT: 50, AUST: 5, ADET: 15, ADOT: 30, Off: 360, Unknown: 20},
}

// utilFacts are the facts of a machine with these minutes, in a window from 00:00 on 2026-11-22 in Hangzhou.
func utilFacts(times utilTimes) *Facts {
	t := &Tally{}
	var all int64
	for c, row := range times {
		for e, minutes := range row {
			t.Times[c][e] = minutes * utilMinute
			all += minutes * utilMinute
		}
	}
	const begin = 1_795_276_800_000
	return &Facts{
		Catalogue: &Catalogue{}, Config: &Config{}, Category: &Category{ID: "machine-tool", Groups: []string{"utilisation", "age", "rates"}},
		Equipment: &Equipment{ID: "M-1", Category: "machine-tool"},
		Window:    Window{Kind: Day, Label: "2026-11-22", From: begin, To: begin + all, TZ: "Asia/Shanghai"},
		Shape:     &Shape{Mapping: "test@1", Basis: "shifts", States: []string{"m1/state"}},
		Tally:     t,
	}
}

// utilChannel gives the machine a signal.
func (f *Facts) utilChannel(role string, c Channel) {
	f.Shape.Channels = append(f.Shape.Channels, ChannelShape{Name: role, Tags: []string{"m1/" + role}})
	f.Tally.Channels = append(f.Tally.Channels, c)
}

// utilInput gives it a manual input with so many periods in the window, of which so many have a figure.
func (f *Facts) utilInput(quantity string, sum float64, periods, given int) {
	f.Shape.Inputs = append(f.Shape.Inputs, Input{ID: "in-" + quantity, Subject: "M-1", Quantity: quantity})
	f.Shape.Periods = append(f.Shape.Periods, periods)
	f.Tally.Entered = append(f.Tally.Entered, Entered{Sum: Sum{S: sum}, Given: given})
}

func utilNear(a, b float64) bool { return math.Abs(a-b) <= 1e-12*max(1, math.Abs(b)) }

// utilWant compares a value with what was worked out by hand.
func utilWant(t *testing.T, id string, r Result, value float64) {
	t.Helper()
	switch {
	case r.Absent != "" || r.Value == nil:
		t.Errorf("%s: absent (%s %v), want %v", id, r.Absent, r.Missing, value)
	case !utilNear(*r.Value, value):
		t.Errorf("%s = %v, want %v", id, *r.Value, value)
	}
}

func utilWantBounds(t *testing.T, id string, r Result, low, high float64) {
	t.Helper()
	if r.Bounds == nil || !utilNear(r.Bounds[0], low) || !utilNear(r.Bounds[1], high) {
		t.Errorf("%s is within %v, want %v to %v", id, r.Bounds, low, high)
	}
}

func utilWantAbsent(t *testing.T, id string, r Result, why Absence, missing ...string) {
	t.Helper()
	if r.Absent != why || !slices.Equal(r.Missing, missing) || r.Value != nil || r.Bounds != nil {
		t.Errorf("%s = %+v, want absent: %s %v", id, r, why, missing)
	}
}

func TestTimes(t *testing.T) {
	f := utilFacts(utilDay)
	sum := 0.0
	for _, c := range []struct {
		id         string
		minutes    float64
		open       float64 // unknown minutes that may belong to it
		partOfDay  bool
		ofCalendar bool
	}{
		{"apt", 600 + 10 + 50, 60, true, false},
		{"aust", 60 + 5, 60, true, false},
		{"adet", 45, 30, true, true},
		{"adot", 75 + 90, 30, true, true},
		{"planned_stop_time", 40, 10, true, true},
		{"unscheduled_time", 15 + 30 + 360, 20, true, true},
		{"unknown_time", 30 + 10 + 20, 0, true, false},
		{"off_time", 90 + 360, 60, false, false},
		{"overtime", 10 + 50, 10 + 20, false, true},
		{"planned_busy_time", 900, 0, false, true},
	} {
		r := utilisationFormulas[c.id](f)
		utilWant(t, c.id, r, c.minutes*utilMinute)
		if c.open > 0 {
			utilWantBounds(t, c.id, r, c.minutes*utilMinute, (c.minutes+c.open)*utilMinute)
		} else if r.Bounds != nil {
			t.Errorf("%s has bounds %v, but nothing in it is unknown", c.id, r.Bounds)
		}
		if c.ofCalendar != (r.Basis[basisPlanned] == "shifts") {
			t.Errorf("%s: basis %v", c.id, r.Basis)
		}
		if c.partOfDay && r.Value != nil {
			sum += *r.Value
		}
	}
	if sum != 1440*utilMinute {
		t.Errorf("the parts of the day are %v min", sum/utilMinute)
	}
}

func TestRatios(t *testing.T) {
	f := utilFacts(utilDay)
	f.utilChannel("spindle_on", Channel{Sum: Sum{S: 500 * utilMinute}, Known: 1400 * utilMinute})
	f.utilChannel("cutting", Channel{Sum: Sum{S: 400 * utilMinute}, Known: 1440 * utilMinute})
	for _, c := range []struct {
		id        string
		num, den  float64 // min
		low, high [2]float64
		known, of float64
	}{
		{"utilisation_of_calendar", 660, 1440, [2]float64{660, 1440}, [2]float64{660 + 60, 1440}, 1440 - 60, 1440},
		{"utilisation_of_planned", 600 + 10, 900 + 60, [2]float64{610, 960}, [2]float64{610 + 30 + 10, 960}, 960 - 40, 960},
		{"availability", 600, 900, [2]float64{600, 900}, [2]float64{600 + 30, 900}, 900 - 30, 900},
		// on = 1440 - 450 off - 60 unknown
		{"utilisation_of_power_on", 660, 930, [2]float64{660, 930 + 60}, [2]float64{660 + 60, 930 + 60}, 1380, 1440},
		{"setup_rate", 65, 660 + 65, [2]float64{65, 725 + 60}, [2]float64{65 + 60, 725 + 60}, 1380, 1440},
		// only the 30 min that are unknown within planned time may have been a delay; all 60 may have been production
		{"technical_efficiency", 660, 660 + 45, [2]float64{660, 705 + 30}, [2]float64{660 + 60, 705 + 60}, 1380, 1440},
		{"utilisation_efficiency", 660, 660 + 65 + 45 + 165, [2]float64{660, 935 + 60}, [2]float64{660 + 60, 935 + 60}, 1380, 1440},
		// 40 min of the flag are not known
		{"spindle_rate", 500, 930, [2]float64{500, 930 + 60}, [2]float64{500 + 40, 930}, 1380, 1440},
		{"cutting_rate", 400, 930, [2]float64{400, 930 + 60}, [2]float64{400, 930}, 1380, 1440},
	} {
		r := utilisationFormulas[c.id](f)
		utilWant(t, c.id, r, c.num/c.den)
		utilWantBounds(t, c.id, r, c.low[0]/c.low[1], c.high[0]/c.high[1])
		if r.Num == nil || *r.Num != c.num*utilMinute || *r.Den != c.den*utilMinute {
			t.Errorf("%s: not %v/%v min", c.id, c.num, c.den)
		}
		if r.Coverage == nil || !utilNear(*r.Coverage, c.known/c.of) {
			t.Errorf("%s: coverage %v, want %v", c.id, r.Coverage, c.known/c.of)
		}
		if r.Quality != Measured || !slices.Contains(r.Inputs, "m1/state") {
			t.Errorf("%s: quality %q, inputs %v", c.id, r.Quality, r.Inputs)
		}
	}
	if r := utilisationFormulas["availability"](f); r.Basis[basisOvertime] != "3600000" { // 10 + 50 min
		t.Errorf("availability: basis %v", r.Basis)
	}
}

func TestAlarmStops(t *testing.T) {
	f := utilFacts(utilDay)
	f.Tally.Stops = 4
	utilWant(t, "alarm_stops", alarmStops(f), 4)
	r := timeBetweenStops(f)
	utilWant(t, "mean_time_between_alarm_stops", r, 11.0/4) // 660 min are 11 h
	utilWantBounds(t, "mean_time_between_alarm_stops", r, 0, 12.0/4)
	if r.Basis[basisCount] != "4" {
		t.Errorf("basis %v", r.Basis)
	}
	f.Tally.Times[Planned][Unknown], f.Tally.Times[PlannedStop][Unknown], f.Tally.Times[Unscheduled][Unknown] = 0, 0, 0
	utilWantBounds(t, "mean_time_between_alarm_stops, all known", timeBetweenStops(f), 11.0/4, 11.0/4)
	f.Tally.Stops = 0
	utilWantAbsent(t, "mean_time_between_alarm_stops", timeBetweenStops(f), ZeroDenominator)
}

func TestNoTimes(t *testing.T) {
	dark := utilFacts(utilTimes{Planned: {Unknown: 960}, Unscheduled: {Unknown: 480}})
	night := utilFacts(utilTimes{Unscheduled: {Off: 470, Unknown: 10}})
	darkShift := utilFacts(utilTimes{Planned: {Unknown: 480}, Unscheduled: {Off: 480}})
	mute := utilFacts(utilDay)
	mute.Shape.Mapping = ""
	half := utilFacts(utilTimes{Planned: {APT: 50, Unknown: 50}})
	half.Definition = &Definition{Coverage: 0.6}
	for name, c := range map[string]struct {
		f       *Facts
		id      string
		why     Absence
		missing []string
	}{
		"state is not known":         {mute, "apt", MissingInput, []string{"state"}},
		"ratio without a state":      {mute, "availability", MissingInput, []string{"state"}},
		"no part without a state":    {mute, "unknown_time", MissingInput, []string{"state"}},
		"nothing known":              {dark, "apt", NoData, nil},
		"nothing known of the rest":  {dark, "unscheduled_time", NoData, nil},
		"ratio of nothing":           {dark, "utilisation_of_calendar", NoData, nil},
		"no planned time":            {night, "availability", ZeroDenominator, nil},
		"no shift":                   {night, "utilisation_of_planned", ZeroDenominator, nil},
		"off all the time":           {night, "utilisation_of_power_on", ZeroDenominator, nil},
		"neither production nor set": {night, "setup_rate", ZeroDenominator, nil},
		"nothing known of the shift": {darkShift, "availability", NoData, nil},
		"half is too little":         {half, "availability", LowCoverage, nil},
		"no spindle":                 {half, "spindle_rate", MissingInput, []string{"spindle_on"}},
	} {
		utilWantAbsent(t, name, utilisationFormulas[c.id](c.f), c.why, c.missing...)
	}
	utilWant(t, "planned busy time needs no state", utilisationFormulas["planned_busy_time"](mute), 900*utilMinute)
	utilWant(t, "unknown time of a dark day", utilisationFormulas["unknown_time"](dark), 1440*utilMinute)
}

func TestSpindleWhileOff(t *testing.T) {
	f := utilFacts(utilTimes{Planned: {APT: 100, Off: 300, Unknown: 80}})
	f.utilChannel("spindle_on", Channel{Sum: Sum{S: 120 * utilMinute}, Known: 480 * utilMinute})
	r := utilisationFormulas["spindle_rate"](f)
	utilWant(t, "the spindle turned for 20 min that are unknown: there was power", r, 120.0/120)
	utilWantBounds(t, "spindle_rate", r, 120.0/180, 1)
	f.Tally.Channels[0].Sum = Sum{S: 181 * utilMinute}
	utilWantAbsent(t, "more than there can have been power", utilisationFormulas["spindle_rate"](f), Contradiction)
	f.Tally.Channels[0] = Channel{}
	utilWantAbsent(t, "flag never known", utilisationFormulas["spindle_rate"](f), NoData)
}

func TestAssumedAndUpper(t *testing.T) {
	f := utilFacts(utilDay)
	f.Tally.Assumed, f.Shape.Upper, f.Shape.Basis = 1, true, "calendar"
	f.Definition = &Definition{ID: "technical_efficiency"}
	r := utilisationFormulas["technical_efficiency"](f)
	if r.Quality != Assumed || r.Basis[basisUpper] != "true" || r.Basis[basisPlanned] != "calendar" {
		t.Errorf("%+v", r)
	}
	f.Definition = &Definition{ID: "availability"}
	if r := utilisationFormulas["availability"](f); r.Basis[basisUpper] != "" {
		t.Errorf("availability is no upper bound: %v", r.Basis)
	}
}

// utilRandom draws a window with any times and signals.
func utilRandom(t *rapid.T) *Facts {
	times := utilTimes{}
	for c := range numClasses {
		times[c] = map[Element]int64{}
		for e := range numElements {
			times[c][e] = rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(0, 600)).Draw(t, "minutes")
		}
	}
	f := utilFacts(times)
	f.Tally.Stops = rapid.Int64Range(0, 3).Draw(t, "stops")
	for _, role := range []string{"spindle_on", "cutting"} {
		known := rapid.Int64Range(0, f.length()).Draw(t, "known")
		up := rapid.Int64Range(0, min(known, f.length()-everywhere(f.Tally, Off))).Draw(t, "up")
		f.utilChannel(role, Channel{Sum: Sum{S: float64(up)}, Known: known})
	}
	return f
}

func utilSum(f *Facts) (sum int64) {
	for _, id := range strings.Fields("unscheduled_time planned_stop_time apt aust adet adot unknown_time") {
		if r := utilisationFormulas[id](f); r.Value != nil {
			sum += int64(*r.Value)
		}
	}
	return sum
}

func TestPartsSumToTheWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := utilRandom(t)
		if sum := utilSum(f); sum != f.length() {
			t.Fatalf("the parts of %d ms are %d ms", f.length(), sum)
		}
	})
}

func TestBoundsHoldTheValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := utilRandom(t)
		for _, group := range []map[string]formula{timeFormulas, shareFormulas, eventFormulas} {
			for id, of := range group {
				r := of(f)
				if r.Absent != "" && (r.Value != nil || r.Bounds != nil) || r.Absent == "" && r.Value == nil {
					t.Fatalf("%s: neither a value nor absent, or both: %+v", id, r)
				}
				if c := r.Coverage; c != nil && !(*c >= 0 && *c <= 1) {
					t.Fatalf("%s: coverage %v", id, *c)
				}
				if r.Bounds != nil && !(r.Bounds[0] <= *r.Value && *r.Value <= r.Bounds[1]) {
					t.Fatalf("%s: %v is not within %v", id, *r.Value, *r.Bounds)
				}
				if _, ratio := shareFormulas[id]; ratio && r.Value != nil && !(r.Bounds[0] >= 0 && r.Bounds[1] <= 1) {
					t.Fatalf("%s: bounds %v", id, *r.Bounds)
				}
			}
		}
	})
}

// Whatever happened in a stretch of time: not knowing it leaves all possible that is possible knowing it.
func TestUnknownTimeWidensBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := utilRandom(t)
		c := Class(rapid.IntRange(0, int(numClasses)-1).Draw(t, "class"))
		e := Element(rapid.IntRange(1, int(numElements)-1).Draw(t, "element"))
		ms := rapid.Int64Range(0, f.Tally.Times[c][e]).Draw(t, "ms")
		g := *f
		tally := *f.Tally
		g.Tally = &tally
		tally.Times[c][e] -= ms
		tally.Times[c][Unknown] += ms
		for id, of := range shareFormulas {
			before, after := of(f), of(&g)
			if before.Absent != "" || after.Absent != "" {
				continue
			}
			if after.Bounds[0] > before.Bounds[0]+1e-12 || after.Bounds[1] < before.Bounds[1]-1e-12 {
				t.Fatalf("%s: bounds %v became %v", id, *before.Bounds, *after.Bounds)
			}
			if *after.Coverage > *before.Coverage {
				t.Fatalf("%s: coverage %v became %v", id, *before.Coverage, *after.Coverage)
			}
		}
	})
}
