package kpisim

import (
	"slices"

	"github.com/millgate/millgate/collector/kpi"
)

// truth is what the machine was found to do: what it did, as far as its devices answered and as its rules read it. A lamp counts as blinking
// from its third change on, until the third last is 5 s ago; a meter must show off for 30 s.
func (m *machine) truth() *Machine {
	found := &Machine{ID: m.id(), Planned: m.planned(), Parts: m.parts.growth(1)}
	if m.counted() {
		found.Energy = m.energy.growth(0.01)
	} else if m.metered() {
		found.Power = m.levels()
	}
	off, blinking, running := m.foundOff(), m.foundBlinking(), cutShort(without(gateway...))
	answers := [][]Span{}
	for _, d := range []*device{m.control, m.lamps} {
		if d != nil {
			answers = append(answers, cutShort(d.known))
		}
	}
	if m.old() {
		answers = append(answers, cutShort(m.meter.known))
	}
	moments := []int64{begin, end}
	for _, spans := range append(answers, off, blinking, running) {
		for _, s := range spans {
			moments = append(moments, s.From, s.To)
		}
	}
	for _, a := range m.does {
		moments = append(moments, a.From)
	}
	slices.Sort(moments)
	moments = slices.Compact(moments)
	does := m.does
	for i, t := range moments[:len(moments)-1] {
		for does[0].To <= t {
			does = does[1:]
		}
		s := Stretch{Span: Span{t, moments[i+1]}}
		answered := !slices.ContainsFunc(answers, func(known []Span) bool { return !within(known, t) })
		switch {
		case answered && !m.old():
			s.Element = map[kind]kpi.Element{idles: kpi.ADOT, runs: kpi.APT, setsUp: kpi.AUST, fails: kpi.ADET}[does[0].kind]
		case answered && within(blinking, t):
			s.Element = kpi.ADET
		case answered && does[0].kind == runs:
			s.Element = kpi.APT
		case within(off, t):
			s.Element = kpi.Off
		case answered:
			s.Element = kpi.ADOT
		case !m.metered() && within(running, t) && within(m.control.down, t):
			s.Element, s.Assumed = kpi.Off, true
		}
		found.add(s)
	}
	return found
}

func (m *Machine) add(s Stretch) {
	if n := len(m.Elements); n > 0 && m.Elements[n-1].Element == s.Element && m.Elements[n-1].Assumed == s.Assumed {
		m.Elements[n-1].To = s.To
		return
	}
	m.Elements = append(m.Elements, s)
}

// cutShort ends spans where the last block before the gateway fails does: nobody knows how its last millisecond was.
func cutShort(spans []Span) []Span {
	spans = slices.Clone(spans)
	for i := range spans {
		if slices.ContainsFunc(gateway, func(g Span) bool { return g.From == spans[i].To }) {
			spans[i].To--
		}
	}
	return spans
}

// foundOff is when the meter has shown for long enough that the machine is off.
func (m *machine) foundOff() (spans []Span) {
	for _, l := range m.levels() {
		if from := l.From + offFor; l.Value < offBelow && from < l.To {
			spans = append(spans, Span{from, l.To})
		}
	}
	return spans
}

// levels are what was known of the power.
func (m *machine) levels() (levels []Level) {
	if m.meter == nil {
		return nil
	}
	for _, s := range cutShort(m.meter.known) {
		for i, from := range m.power.t {
			to := end
			if i+1 < len(m.power.t) {
				to = m.power.t[i+1]
			}
			if from, to = max(from, s.From), min(to, s.To); from < to {
				levels = append(levels, Level{Span{from, to}, float64(m.power.v[i]) / 100})
			}
		}
	}
	return levels
}

// foundBlinking is when the red lamp has been seen to change often enough.
func (m *machine) foundBlinking() (spans []Span) {
	if m.lamps == nil {
		return nil
	}
	for _, s := range cutShort(m.lamps.known) {
		var changes []int64
		for _, t := range m.red.t {
			if t > s.From && t < s.To {
				changes = append(changes, t)
			}
		}
		for i := 2; i < len(changes); i++ {
			from, to := changes[i], min(changes[i-2]+recent, s.To)
			if n := len(spans); n > 0 && from <= spans[n-1].To {
				spans[n-1].To = max(spans[n-1].To, to)
			} else if from < to {
				spans = append(spans, Span{from, to})
			}
		}
	}
	return spans
}

// growth is by how much a counter had grown whenever it was read.
func (s *series) growth(unit float64) (all []Growth) {
	for i := 1; i < len(s.shown); i++ {
		if by := s.shown[i].v - s.shown[i-1].v; by > 0 {
			all = append(all, Growth{s.shown[i].t, float64(by) * unit})
		}
	}
	return all
}
