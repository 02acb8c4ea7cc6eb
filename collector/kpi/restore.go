package kpi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// RestoreEngine goes on from a State, also of another Plan: what is gone from it is forgotten, what is new begins. Equipment that was called
// otherwise (Equipment.Was) goes on from its old id. The error says why the bytes are no state.
func RestoreEngine(p *Plan, state []byte) (*Engine, error) {
	text, err := checked(state)
	if err != nil {
		return nil, fmt.Errorf("state of the KPIs: %w", err)
	}
	line, text, _ := bytes.Cut(text, newline)
	var s engineState
	if err := json.Unmarshal(line, &s); err != nil {
		return nil, fmt.Errorf("state of the KPIs: %w", err)
	}
	if s.Version != stateVersion {
		return nil, fmt.Errorf("state of the KPIs: it is of version %d, and this program reads version %d", s.Version, stateVersion)
	}
	e := NewEngine(p)
	e.position, e.times = s.Position, s.Times
	if !e.times.Begun {
		return e, nil
	}
	if !s.sane() {
		return nil, fmt.Errorf("state of the KPIs: %w", errMisfit)
	}
	if s.Dirty != nil {
		e.dirty = *s.Dirty
	}
	if err := e.restoreTracks(&s, text); err != nil {
		return nil, fmt.Errorf("state of the KPIs: %w", err)
	}
	e.restoreWindows(&s)
	return e, nil
}

// sane says that the times of a state can be those of an engine.
func (s *engineState) sane() bool {
	const end = 253_402_300_800_000 // of the year 9999, ms
	t := &s.Times
	for kind := range s.Open {
		if w := &s.Open[kind].Window; s.Open[kind].Open && (w.From > t.Done || w.To <= t.Done || w.To-w.From > leap) {
			return false
		}
	}
	return t.Done >= 0 && t.Done <= t.Horizon && t.Horizon < end
}

var newline = []byte{'\n'}

// restoreTracks reads the subjects' lines.
func (e *Engine) restoreTracks(s *engineState, text []byte) error {
	byID := map[string]*track{}
	for _, k := range e.tracks {
		k.begin(e.times.Done)
		byID[k.subject.id] = k
	}
	for _, k := range e.tracks {
		if q := k.subject.equipment; q != nil && q.Was != "" && !slices.Contains(s.Subjects, q.ID) {
			byID[q.Was] = k
		}
	}
	found := map[*track]bool{}
	for range s.Subjects {
		line, rest, _ := bytes.Cut(text, newline)
		told, rest, ok := bytes.Cut(rest, newline)
		if text = rest; !ok {
			return errMisfit
		}
		var t trackState
		if err := json.Unmarshal(line, &t); err != nil {
			return err
		}
		k := byID[t.ID]
		if k == nil || found[k] {
			continue // gone
		}
		found[k] = true
		pending, err := e.pendingFrom(told, t.Now)
		if err == nil {
			err = k.restore(&t, pending, &s.Open)
		}
		if err != nil {
			return fmt.Errorf("%q: %w", t.ID, err)
		}
		k.replan(e.plan)
	}
	for _, k := range e.tracks {
		for kind := range s.Open {
			if o := &s.Open[kind]; o.Open && !found[k] {
				k.miss(e.plan, &k.windows[kind], o.Window.From, e.times.Done)
			}
		}
	}
	return nil
}

// restoreWindows opens what was open, as the present calendar has it. Of a window that begins at another time now, what has passed is unknown.
func (e *Engine) restoreWindows(s *engineState) {
	t := e.times.Done
	e.open = s.Open
	for kind, k := range WindowKinds {
		o := &e.open[kind]
		w, ok := e.plan.schedule.Window(k, t)
		if o.Open && ok && w.From == o.Window.From {
			o.Window = w
		} else {
			o.Open = false
		}
	}
	e.openAt(t)
}

var errMisfit = errors.New("its parts do not fit together")

// restore goes on from a state of the track, and from what waited.
func (k *track) restore(s *trackState, pending []arrival, open *[numKinds]openWindow) error {
	n, now := &s.Names, k.subject.names()
	if len(s.Holds) != len(n.Inputs) || len(s.Flows) != len(n.Channels) || s.Is.Class >= numClasses || s.Is.Condition.Element >= numElements {
		return errMisfit
	}
	move := moves{
		channels: positions(now.Channels, n.Channels), inputs: positions(now.Inputs, n.Inputs),
		entries: positions(now.Entries, n.Entries), products: positions(now.Products, n.Products),
	}
	k.now, k.life = s.Now, s.Life
	k.Class, k.ClassTo = s.Is.Class, s.Is.ClassTo
	k.mark = proportionsOf(s.Mark)
	if !k.restoreTallies(s, &move, open) {
		return errMisfit
	}
	for i, was := range move.inputs {
		if was < 0 {
			continue
		}
		h := &s.Holds[was]
		k.inputs[i] = observation{known: h.Known, value: h.Value, text: h.Text, unreachable: h.Gone}
		if h.Known && k.subject.inputs[i].signal {
			k.present++
		}
	}
	for i, was := range move.channels {
		if was < 0 {
			continue
		}
		from, f := &s.Flows[was], &k.flows[i]
		f.since, f.rate, f.known, f.mark = from.Since, from.Rate, from.Known, proportionsOf(from.Mark)
		if from.Meter != nil && f.meter != nil {
			f.meter = from.Meter
		}
	}
	k.restoreMachine(s)
	return k.restorePending(s, pending, &move)
}

func proportionsOf(p [3]int64) proportions { return proportions{p[0], p[1], p[2]} }

// restoreTallies says whether they fit.
func (k *track) restoreTallies(s *trackState, move *moves, open *[numKinds]openWindow) bool {
	if !move.tally(&k.piece, &s.Piece, &s.Names) {
		return false
	}
	tallies := s.Windows
	for kind := range open {
		if !open[kind].Open {
			continue
		}
		if len(tallies) == 0 || !move.tally(&k.windows[kind], &tallies[0], &s.Names) {
			return false
		}
		tallies = tallies[1:]
	}
	for i := range s.Past {
		p := s.Past[i]
		p.Tally = k.subject.tally()
		if p.Kind < 0 || p.Kind >= numKinds || !move.tally(&p.Tally, &s.Past[i].Tally, &s.Names) {
			return false
		}
		k.past = append(k.past, p)
	}
	return true
}

// replan goes by the present calendar.
func (k *track) replan(p *Plan) {
	if class, to := p.classAt(k.subject, k.now); k.ClassTo > k.now && (class != k.Class || to < k.ClassTo) {
		k.flushAll()
		k.Class, k.ClassTo = class, to
	}
}

// restoreMachine goes on with the state machine's memory. Under other rules it begins with what holds now.
func (k *track) restoreMachine(s *trackState) {
	m := k.subject.machine
	if m == nil {
		return
	}
	if s.Run == nil || !m.fits(s.Run) {
		k.renew()
		return
	}
	k.run, k.Condition, k.StateTo, k.Alarmed = *s.Run, s.Is.Condition, s.Is.StateTo, s.Is.Alarmed
}

// renew finds out condition and channels from what holds, as if all of it were heard now.
func (k *track) renew() {
	for i := range k.inputs {
		in, is := &k.subject.inputs[i], k.inputs[i]
		for _, c := range in.channels {
			if k.subject.channels[c].how != Counted {
				k.set(c, k.subject.channels[c].value(is), is.number())
			}
		}
		for _, c := range in.derived {
			y, ok := k.derive(&k.subject.channels[c])
			k.set(c, y, ok)
		}
		if is == (observation{}) {
			continue
		}
		for _, slot := range in.slots {
			k.subject.machine.observe(&k.run, slot, is, k.now)
		}
	}
}

// restorePending takes what was waiting.
func (k *track) restorePending(s *trackState, pending []arrival, move *moves) error {
	back := make([]int32, len(s.Holds))
	for i := range back {
		back[i] = -1
	}
	for i, was := range move.inputs {
		if was >= 0 {
			back[was] = int32(i)
		}
	}
	for _, o := range pending {
		if int(o.input) >= len(back) {
			return errMisfit
		}
		if o.input = back[o.input]; o.input >= 0 {
			k.tell(o)
		}
	}
	for _, n := range s.Entries {
		for i, was := range move.entries {
			if was == n.Input {
				k.note(entry{i, n.Time, n.Value})
			}
		}
	}
	return nil
}

// moves are, by position in the present Plan, positions in the one of a state.
type moves struct{ channels, inputs, entries, products []int }

// tally copies a tally of a state; false if it does not fit.
func (m *moves) tally(to, from *Tally, n *trackNames) bool {
	if len(from.Channels) != len(n.Channels) || len(from.Entered) != len(n.Entries) || from.Parts != nil && len(from.Parts) != len(n.Products)+1 {
		return false
	}
	room := *to
	*to = *from
	to.Channels, to.Entered, to.Parts = room.Channels, room.Entered, room.Parts
	for i, was := range m.channels {
		if was >= 0 {
			to.Channels[i] = from.Channels[was]
		}
	}
	for i, was := range m.entries {
		if was >= 0 {
			to.Entered[i] = from.Entered[was]
		}
	}
	if to.Parts == nil || from.Parts == nil {
		return true
	}
	for i, was := range m.products {
		if was >= 0 {
			to.Parts[i] = from.Parts[was]
		}
	}
	to.Parts[len(to.Parts)-1] = from.Parts[len(from.Parts)-1]
	return true
}
