package kpisim

import (
	"math/rand/v2"
	"slices"
	"strconv"

	"github.com/millgate/millgate/collector/kpi"
)

// machine is one in the making.
type machine struct {
	number int // from 1
	random *rand.Rand
	does   []activity // from end to end of the week

	control, meter, lamps *device // nil: it has none
	state, mode, parts    *series
	green, red            *series
	power, energy         *series
}

// activity is what a machine really does.
type activity struct {
	Span
	kind kind
}

type kind int

const (
	idles kind = iota
	runs
	setsUp
	fails
	isOff
)

func (m *machine) id() string       { return "M-" + strconv.Itoa(m.number) }
func (m *machine) old() bool        { return m.number >= 6 }
func (m *machine) offAtNight() bool { return slices.Contains([]int{1, 2, 5, 6}, m.number) } // switched off at night
func (m *machine) metered() bool    { return m.number != 5 }
func (m *machine) counted() bool    { return m.metered() && m.number <= 6 } // else its meter tells power only
func (m *machine) grid() int64      { return map[bool]int64{true: second, false: 1}[m.old()] }
func (m *machine) between(from, to int64) int64 {
	d := from + m.random.Int64N(to-from)
	return d - d%m.grid()
}

// planned is the time that is planned for the machine, written down rather than computed: shifts 08:00-16:00 (break 12:00-12:30),
// 16:00-23:30 and 23:30-07:30 (breaks 23:50-00:10, 03:00-03:30), from Sunday to Thursday.
func (m *machine) planned() (all []Planned) {
	add := func(from, to int64, class kpi.Class) {
		if n := len(all); n > 0 && all[n-1].Class == class {
			all[n-1].To = to
			return
		}
		all = append(all, Planned{Span{from, to}, class})
	}
	for day := 20; day < 27; day++ {
		if day >= 25 {
			add(at(day, 8, 0, 0), at(day+1, 8, 0, 0), kpi.Unscheduled)
			continue
		}
		add(at(day, 8, 0, 0), at(day, 12, 0, 0), kpi.Planned)
		add(at(day, 12, 0, 0), at(day, 12, 30, 0), kpi.PlannedStop)
		add(at(day, 12, 30, 0), at(day, 23, 30, 0), kpi.Planned)
		if m.offAtNight() {
			add(at(day, 23, 30, 0), at(day+1, 8, 0, 0), kpi.Unscheduled)
			continue
		}
		add(at(day, 23, 30, 0), at(day, 23, 50, 0), kpi.Planned)
		add(at(day, 23, 50, 0), at(day+1, 0, 10, 0), kpi.PlannedStop)
		add(at(day+1, 0, 10, 0), at(day+1, 3, 0, 0), kpi.Planned)
		add(at(day+1, 3, 0, 0), at(day+1, 3, 30, 0), kpi.PlannedStop)
		add(at(day+1, 3, 30, 0), at(day+1, 7, 30, 0), kpi.Planned)
		add(at(day+1, 7, 30, 0), at(day+1, 8, 0, 0), kpi.Unscheduled)
	}
	return all
}

// live makes up what the machine does.
func (m *machine) live() {
	for _, p := range m.planned() {
		switch {
		case p.Class == kpi.Planned:
			m.work(p.Span)
		case m.number == 4 && p.From <= at(26, 9, 0, 0) && p.To > at(26, 12, 0, 0): // overtime on Saturday
			m.rest(Span{p.From, at(26, 9, 0, 0)})
			m.work(Span{at(26, 9, 0, 0), at(26, 12, 0, 0)})
			m.rest(Span{at(26, 12, 0, 0), p.To})
		default:
			m.rest(p.Span)
		}
	}
	if m.number == 7 {
		m.force(Span{blind.From - 5*minute, blind.To + 10*minute}, runs)
	}
}

func (m *machine) do(to int64, k kind) {
	from := begin
	if n := len(m.does); n > 0 {
		from = m.does[n-1].To
	}
	if to > from {
		m.does = append(m.does, activity{Span{from, to}, k})
	}
}

func (m *machine) rest(s Span) {
	if m.offAtNight() && s.To-s.From > 2*hour {
		m.do(s.From+m.between(minute, 5*minute), idles)
		m.do(s.To-m.between(8*minute, 12*minute), isOff)
	}
	m.do(s.To, idles)
}

func (m *machine) work(s Span) {
	t := s.From
	do := func(least, most int64, k kind) {
		t = min(s.To, t+m.between(least, most))
		m.do(t, k)
	}
	for do(minute, 6*minute, idles); t < s.To; do(30*second, 5*minute, idles) {
		switch n := m.random.IntN(10); {
		case n == 0 && !m.old():
			do(10*minute, 30*minute, setsUp)
		case n <= 2:
			do(10*second, 12*minute, fails)
		default:
			do(5*minute, 40*minute, runs)
			if m.random.IntN(5) == 0 {
				do(10*second, 12*minute, fails)
			}
		}
	}
}

// force makes the machine do one thing for a while.
func (m *machine) force(s Span, k kind) {
	var does []activity
	for _, a := range m.does {
		if a.From < s.From {
			does = append(does, activity{Span{a.From, min(a.To, s.From)}, a.kind})
		}
		if a.To > s.From && a.From <= s.From {
			does = append(does, activity{s, k})
		}
		if a.To > s.To {
			does = append(does, activity{Span{max(a.From, s.To), a.To}, a.kind})
		}
	}
	m.does = does
}
