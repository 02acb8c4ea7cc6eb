package kpi

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

const (
	minutesADay    = 24 * 60
	defaultZone    = "Asia/Shanghai"
	friday         = 5
	quarterSeconds = 15 * 60
)

// Schedule answers for any moment what the site meant to do, and in which windows it lies. It is immutable for its callers, of whom there
// may be several at once.
type Schedule struct {
	zone     *time.Location
	start    int // of the production day, minutes from midnight
	shifts   []plannedShift
	holidays map[int64]string // by the number of the day
	downs    []Down           // by begin

	// The production days last asked for, by parity of their number: readings come in order, so nearly every question is about one of two.
	recent [2]atomic.Pointer[productionDay]
}

// plannedShift is a Shift in minutes from the midnight before its production day; it may reach beyond the next midnight.
type plannedShift struct {
	id       string
	from, to int
	days     [8]bool // by weekday, 1 to 7
	breaks   [][2]int
}

// NewSchedule makes a schedule of c; nil is a calendar without shifts in Asia/Shanghai. The error names what in c is wrong.
func NewSchedule(c *Calendar) (*Schedule, error) {
	if c == nil {
		c = &Calendar{}
	}
	s := &Schedule{start: c.DayStart, holidays: make(map[int64]string, len(c.Holidays))}
	if c.DayStart < 0 || c.DayStart >= minutesADay {
		return nil, fmt.Errorf("calendar: the production day begins at minute %d; give one from 0 (midnight) to %d", c.DayStart, minutesADay-1)
	}
	if err := s.setZone(c.Timezone); err != nil {
		return nil, err
	}
	for i := range c.Shifts {
		shift, err := planShift(&c.Shifts[i], c.DayStart)
		if err != nil {
			return nil, err
		}
		s.shifts = append(s.shifts, shift)
	}
	slices.SortStableFunc(s.shifts, func(a, b plannedShift) int { return a.from - b.from })
	if err := checkShifts(s.shifts); err != nil {
		return nil, err
	}
	for date, what := range c.Holidays {
		day, err := time.Parse(time.DateOnly, date)
		if err != nil {
			return nil, fmt.Errorf("calendar: holiday %q is not a date such as 2026-10-01", date)
		}
		if what != "off" && what != "work" {
			return nil, fmt.Errorf(`calendar: holiday %s is %q; it can be "off" or "work"`, date, what)
		}
		s.holidays[day.Unix()/86400] = what
	}
	for _, d := range c.Downs {
		if d.From >= d.To {
			return nil, fmt.Errorf("calendar: the planned down from %s ends at or before its begin", s.local(d.From).Format(time.RFC3339))
		}
	}
	s.downs = slices.Clone(c.Downs)
	slices.SortStableFunc(s.downs, func(a, b Down) int { return compareTimes(a.From, b.From) })
	return s, nil
}

func (s *Schedule) setZone(name string) error {
	if name == "" {
		name = defaultZone
	}
	if name == "Local" {
		return fmt.Errorf("calendar: time zone Local is another one on each machine; name it, such as %s", defaultZone)
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return fmt.Errorf("calendar: time zone %q is not known; give a name of the IANA database, such as %s", name, defaultZone)
	}
	s.zone = zone
	return nil
}

// planShift checks one shift and moves it to minutes of its production day.
func planShift(c *Shift, dayStart int) (plannedShift, error) {
	fail := func(format string, args ...any) (plannedShift, error) {
		return plannedShift{}, fmt.Errorf("calendar: shift %q "+format, append([]any{c.ID}, args...)...)
	}
	if c.ID == "" || strings.Contains(c.ID, "/") {
		return fail("needs an id without a slash")
	}
	if c.From < 0 || c.From >= minutesADay || c.To < 0 || c.To > minutesADay {
		return fail("begins and ends at minutes of a day: 0 to %d", minutesADay)
	}
	p := plannedShift{id: c.ID, from: c.From}
	if p.from < dayStart {
		p.from += minutesADay // after midnight, and still in the production day that began the day before
	}
	length := c.To - c.From
	if length <= 0 {
		length += minutesADay
	}
	p.to = p.from + length
	if end := dayStart + minutesADay; p.to > end {
		return fail("runs until %s, past the end of its production day at %s: end it there and begin another one, or let the day begin later",
			clock(p.to), clock(end))
	}
	for _, d := range c.Days {
		if d < 1 || d > 7 {
			return fail("has day %d; days are 1 (Monday) to 7 (Sunday)", d)
		}
		p.days[d] = true
	}
	if len(c.Days) == 0 {
		p.days = [8]bool{false, true, true, true, true, true, true, true}
	}
	for _, b := range c.Breaks {
		from := p.from + mod(b[0]-c.From, minutesADay)
		to := from + mod(b[1]-b[0], minutesADay)
		if from >= to || to > p.to {
			return fail("has a break from %s to %s, which does not lie within it", clock(b[0]), clock(b[1]))
		}
		p.breaks = append(p.breaks, [2]int{from, to})
	}
	slices.SortFunc(p.breaks, func(a, b [2]int) int { return a[0] - b[0] })
	for i := 1; i < len(p.breaks); i++ {
		if p.breaks[i][0] < p.breaks[i-1][1] {
			return fail("has two breaks at %s", clock(p.breaks[i][0]))
		}
	}
	return p, nil
}

// checkShifts takes shifts by begin. As each lies within its production day, they meet only if they have a day in common.
func checkShifts(shifts []plannedShift) error {
	for i := range shifts {
		for k := range shifts[:i] {
			a, b := &shifts[k], &shifts[i]
			if a.id == b.id {
				return fmt.Errorf("calendar: there are two shifts %q; give each an id of its own", a.id)
			}
			for day := 1; day <= 7; day++ {
				if a.days[day] && b.days[day] && b.from < a.to {
					return fmt.Errorf("calendar: shifts %q and %q overlap from %s on (%s)", a.id, b.id, clock(b.from), time.Weekday(day%7))
				}
			}
		}
	}
	return nil
}

// clock writes minutes from midnight as people do.
func clock(minutes int) string {
	return fmt.Sprintf("%02d:%02d", mod(minutes, minutesADay)/60, mod(minutes, 60))
}

func mod(a, b int) int { return ((a % b) + b) % b }

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func compareTimes(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// Basis is "shifts", or "calendar" if there are none.
func (s *Schedule) Basis() string {
	if len(s.shifts) == 0 {
		return "calendar"
	}
	return "shifts"
}

// Class says what is planned at t, ms since 1970 UTC, for equipment that works in these shifts (none: in all), and until when at least that
// is so; until > t. Time of a shift in which the equipment does not work is Unscheduled for it, and a planned down is a PlannedStop
// within its shifts only.
func (s *Schedule) Class(equipment string, shifts []string, t int64) (c Class, until int64) {
	day := s.day(t)
	p := day.part(t)
	c, until = p.class, p.to
	if p.shift >= 0 && len(shifts) > 0 && !slices.Contains(shifts, day.shifts[p.shift].id) {
		return Unscheduled, until
	}
	if c != Planned {
		return c, until
	}
	for i := range day.downs {
		d := &day.downs[i]
		if len(d.Equipment) > 0 && !slices.Contains(d.Equipment, equipment) {
			continue
		}
		switch {
		case t < d.From:
			until = min(until, d.From)
		case t < d.To:
			return PlannedStop, min(until, d.To)
		}
	}
	return c, until
}

// Window is the window of that kind which contains t; ok is false if t lies in none (no shift). Labels are the local begin of a quarter,
// and the production day of a shift, day or month; a quarter that the local clock was set within is shorter or begins anew.
func (s *Schedule) Window(kind WindowKind, t int64) (w Window, ok bool) {
	w = Window{Kind: kind, TZ: s.zone.String()}
	day := s.day(t)
	switch kind {
	case Quarter:
		w.From, w.To = s.quarter(day, t)
		w.Label = s.local(w.From).Format("2006-01-02T15:04-07:00")
	case InShift:
		p := day.part(t)
		if p.shift < 0 {
			return Window{}, false
		}
		in := &day.shifts[p.shift]
		w.From, w.To, w.Label = in.from, in.to, day.label+"/"+in.id
	case Day:
		w.From, w.To, w.Label = day.from, day.to, day.label
	case Month:
		first, next := monthOf(day.number)
		w.From, w.To, w.Label = s.begin(first), s.begin(next), day.label[:len(day.label)-len("-02")]
	default:
		return Window{}, false
	}
	return w, true
}

// Windows are all windows of that kind that lie in w, in order: the periods of manual inputs.
func (s *Schedule) Windows(kind WindowKind, w Window) []Window {
	var all []Window
	for t := w.From; t < w.To; {
		next, ok := s.Window(kind, t)
		if !ok { // between shifts
			t = s.Boundary(t)
			continue
		}
		if next.From >= w.From && next.To <= w.To {
			all = append(all, next)
		}
		t = next.To
	}
	return all
}

// Boundary is the first moment after t at which a window of some kind begins or ends.
func (s *Schedule) Boundary(t int64) int64 {
	day := s.day(t)
	_, next := s.quarter(day, t)
	next = min(next, day.to)
	for i := range day.shifts {
		if in := &day.shifts[i]; in.from > t {
			next = min(next, in.from)
		} else if in.to > t {
			next = min(next, in.to)
		}
	}
	return next
}
