package kpi

import "time"

// productionDay is one production day, worked out. It is never changed.
type productionDay struct {
	number   int64 // of the date by which it is called: days since 1970
	label    string
	from, to int64 // ms since 1970 UTC
	offset   int64 // of the local time, ms
	steady   bool  // offset is that of the whole day
	shifts   []shiftOfDay
	parts    []partOfDay // from end to end, in order
	downs    []Down      // that touch the day
}

type shiftOfDay struct {
	id       string
	from, to int64
}

// partOfDay is a span with one answer for equipment that works in all shifts.
type partOfDay struct {
	to    int64 // it begins where the one before ends
	class Class
	shift int // of productionDay.shifts; -1: none
}

// part finds the part that contains t, a moment of the day.
func (d *productionDay) part(t int64) *partOfDay {
	i := 0
	for t >= d.parts[i].to {
		i++
	}
	return &d.parts[i]
}

// day is the production day that contains t.
func (s *Schedule) day(t int64) *productionDay {
	for i := range s.recent {
		if d := s.recent[i].Load(); d != nil && t >= d.from && t < d.to {
			return d
		}
	}
	_, offset := s.local(t).Zone()
	number := floorDiv(floorDiv(t, 1000)+int64(offset)-int64(s.start)*60, 86400)
	for t < s.begin(number) { // where a clock that is set at the turn of the day moves the begin
		number--
	}
	for t >= s.begin(number+1) {
		number++
	}
	d := s.workOut(number)
	s.recent[number&1].Store(d)
	return d
}

func (s *Schedule) local(t int64) time.Time { return time.UnixMilli(t).In(s.zone) }

// begin is the first moment of a production day.
func (s *Schedule) begin(number int64) int64 { return s.moment(number, s.start) }

// moment is the first moment at which the local clock shows that many minutes after the midnight of a day, or more where it leaves them
// out: so moments keep the order of what the clock shows.
func (s *Schedule) moment(number int64, minutes int) int64 {
	shown := number*86400 + int64(minutes)*60
	offset := func(t int64) int64 {
		_, o := time.Unix(t, 0).In(s.zone).Zone()
		return int64(o)
	}
	before, after := offset(shown-86400), offset(shown+86400)
	early := shown - before
	if before == after || offset(early) == before {
		return early * 1000
	}
	late := shown - after
	if offset(late) == after {
		return late * 1000
	}
	_, end := time.Unix(late, 0).In(s.zone).ZoneBounds() // the clock leaves it out
	return end.UnixMilli()
}

// workOut lays out a production day.
func (s *Schedule) workOut(number int64) *productionDay {
	d := &productionDay{number: number, label: dateOf(number).Format(time.DateOnly), from: s.begin(number), to: s.begin(number + 1)}
	_, first := s.local(d.from).Zone()
	_, zoneEnd := s.local(d.from).ZoneBounds()
	d.offset, d.steady = int64(first)*1000, zoneEnd.IsZero() || zoneEnd.UnixMilli() >= d.to
	if len(s.shifts) == 0 {
		d.parts = []partOfDay{{d.to, Planned, -1}}
	} else {
		s.layOut(d)
	}
	for _, down := range s.downs {
		if down.From < d.to && down.To > d.from {
			d.downs = append(d.downs, down)
		}
	}
	return d
}

// layOut fills in the shifts of the day and what lies between them.
func (s *Schedule) layOut(d *productionDay) {
	weekday, work := s.weekday(d.number)
	end := d.from
	add := func(to int64, class Class, shift int) {
		if to > end { // where the clock leaves time out a span may vanish
			d.parts, end = append(d.parts, partOfDay{to, class, shift}), to
		}
	}
	for i := range s.shifts {
		p := &s.shifts[i]
		from, to := s.moment(d.number, p.from), s.moment(d.number, p.to)
		if !work || !p.days[weekday] || from >= to {
			continue
		}
		add(from, Unscheduled, -1)
		n := len(d.shifts)
		d.shifts = append(d.shifts, shiftOfDay{p.id, from, to})
		for _, b := range p.breaks {
			add(s.moment(d.number, b[0]), Planned, n)
			add(s.moment(d.number, b[1]), PlannedStop, n)
		}
		add(to, Planned, n)
	}
	add(d.to, Unscheduled, -1)
}

// weekday is by what pattern a day is worked; work is false on a holiday. A weekend day worked in exchange (调休) is a Friday.
func (s *Schedule) weekday(number int64) (day int, work bool) {
	day = int(mod(int(number)+3, 7)) + 1 // 1970-01-01 was a Thursday
	switch s.holidays[number] {
	case "off":
		return day, false
	case "work":
		return min(day, friday), true
	}
	return day, true
}

// quarter is the quarter of an hour of local time that contains t, a moment of that production day.
func (s *Schedule) quarter(d *productionDay, t int64) (from, to int64) {
	const length = quarterSeconds * 1000
	if d.steady {
		from = floorDiv(t+d.offset, length)*length - d.offset
		if from >= d.from && from+length <= d.to {
			return from, from + length
		}
	}
	at := s.local(t)
	_, offset := at.Zone()
	begin, end := at.ZoneBounds()
	from = floorDiv(t+int64(offset)*1000, length)*length - int64(offset)*1000
	to = from + length
	if !begin.IsZero() {
		from = max(from, begin.UnixMilli())
	}
	if !end.IsZero() {
		to = min(to, end.UnixMilli())
	}
	return from, to
}

// monthOf gives the days of production with which the month of a day and the next one begin.
func monthOf(number int64) (first, next int64) {
	date := dateOf(number)
	begin := date.AddDate(0, 0, 1-date.Day())
	return begin.Unix() / 86400, begin.AddDate(0, 1, 0).Unix() / 86400
}

func dateOf(number int64) time.Time { return time.Unix(number*86400, 0).UTC() }
