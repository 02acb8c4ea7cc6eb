package kpi

import "slices"

// track is what is under way of one subject: what it is known to be now, what has been told and not yet been looked at, and the tally of
// the piece of time since the last boundary of a window.
//
// Time moves in steps from one moment at which anything may change to the next: an observation, a timer of the state machine, another class
// of planned time, the end of the piece. In between everything is constant. Channels follow more lazily: each is summed up when its own
// value, the state or the class changes.
type track struct {
	subject *subject
	pending []arrival // by time, then input, what is unknown last, then as they came
	late    []arrival // of a replay: by time; they come among the others when their time does
	now     int64     // all before it is in the tallies, ms since 1970 UTC

	inputs  []observation // by subject.inputs: what holds
	flows   []flow        // by subject.channels
	run     stateRun
	present int64 // number of signals with a value
	standing

	piece Tally
	mark  proportions // of piece
	totals
}

// standing is what is the case now.
type standing struct {
	Condition Condition `json:"condition"`
	StateTo   int64     `json:"to"` // until then Condition holds
	Class     Class     `json:"class"`
	ClassTo   int64     `json:"class_to"` // until then Class holds
	Alarmed   bool      `json:"alarmed"`  // the last element that was known is ADET
}

// totals are what outlives a piece.
type totals struct {
	windows [numKinds]Tally // of the open windows, up to the piece
	life    Lived
	entries []entry
	past    []pastWindow // by their end, of a subject with manual inputs
}

// pastWindow is a window that has ended, for as long as people may still enter something of it.
type pastWindow struct {
	Kind   int    `json:"kind"` // by WindowKinds
	Window Window `json:"window"`
	Tally  Tally  `json:"tally"`
	Life   Lived  `json:"life"`
}

// arrival is an observation that waits until everything before it is likely to have come.
type arrival struct {
	t     int64
	value float64
	text  *string // of a swap: the MeterSwap in JSON
	input int32   // by subject.inputs; of an entry by Shape.Inputs
	known bool
	gone  bool // unknown because the device does not answer
	swap  bool
	entry bool
}

// entry is a manual input.
type entry struct {
	Input int     `json:"input"` // by Shape.Inputs
	Time  int64   `json:"t"`     // begin of the period
	Value float64 `json:"value"`
}

func newTrack(s *subject, t int64) *track {
	k := &track{subject: s, inputs: make([]observation, len(s.inputs)), flows: make([]flow, len(s.channels)), piece: s.tally()}
	for i := range k.windows {
		k.windows[i] = s.tally()
	}
	for i := range k.flows {
		if s.channels[i].how == Counted {
			k.flows[i].meter = &metering{}
		}
	}
	k.begin(t)
	return k
}

// begin goes on at another moment, and knows nothing of the time between.
func (k *track) begin(t int64) {
	k.pending, k.present, k.Alarmed = k.pending[:0], 0, false
	clear(k.inputs)
	for i := range k.flows {
		f := &k.flows[i]
		f.since, f.rate, f.known, f.mark = t, 0, false, proportions{}
		if f.meter != nil {
			f.meter.lose()
		}
	}
	k.Condition, k.StateTo, k.ClassTo, k.now = Condition{}, unending, t, t
	if m := k.subject.machine; m != nil {
		k.run, k.StateTo = m.start(), t
	}
	k.piece.clear()
	k.mark = proportions{}
}

// tell takes an observation; t must not be before now. What is told twice counts once.
func (k *track) tell(o arrival) {
	i := len(k.pending)
	for i > 0 && k.pending[i-1].after(&o) {
		i--
	}
	if i > 0 && k.pending[i-1] == o {
		return
	}
	if n := len(k.pending); n == cap(k.pending) {
		k.pending = slices.Grow(k.pending, n/4+8)
	}
	k.pending = slices.Insert(k.pending, i, o)
}

func (o *arrival) after(p *arrival) bool {
	if o.t != p.t {
		return o.t > p.t
	}
	if o.input != p.input {
		return o.input > p.input
	}
	return !o.known && p.known
}

// advance moves to a moment at or before the next boundary. What was told of that moment itself belongs to the time after it.
func (k *track) advance(p *Plan, to int64) {
	for len(k.late) > 0 && k.late[0].t < to {
		k.tell(k.late[0])
		k.late = k.late[1:]
	}
	taken := 0
	for k.now < to {
		next := min(to, k.StateTo, k.ClassTo)
		if taken < len(k.pending) {
			next = min(next, k.pending[taken].t)
		}
		if next > k.now {
			k.pass(next)
			if next == to {
				break
			}
		}
		heard := false
		for taken < len(k.pending) && k.pending[taken].t <= k.now {
			heard = k.hear(&k.pending[taken]) || heard
			taken++
		}
		k.look(p, heard)
	}
	if taken > 0 {
		clear(k.pending[:copy(k.pending, k.pending[taken:])][len(k.pending)-taken:])
		k.pending = k.pending[:len(k.pending)-taken]
	}
}

// look finds out class and condition if they may have changed.
func (k *track) look(p *Plan, heard bool) {
	class, condition := k.Class, k.Condition
	if k.now >= k.ClassTo {
		class, k.ClassTo = p.classAt(k.subject, k.now)
	}
	if m := k.subject.machine; m != nil && (heard || k.now >= k.StateTo) {
		condition, k.StateTo = m.at(&k.run, k.now)
		k.StateTo = max(k.StateTo, k.now+1)
	}
	if class == k.Class && condition == k.Condition {
		return
	}
	k.flushAll()
	k.Class, k.Condition = class, condition
	switch e := condition.Element; {
	case e == Unknown:
	case e != ADET:
		k.Alarmed = false
		k.life.seen(k.now)
	default:
		if !k.Alarmed && k.life.Since != 0 {
			k.piece.Stops++
		}
		k.Alarmed = true
		k.life.seen(k.now)
	}
}

// classAt is what is planned for a subject. Accounts are planned as the site is.
func (p *Plan) classAt(s *subject, t int64) (Class, int64) {
	if s.equipment == nil {
		return p.schedule.Class("", nil, t)
	}
	return p.schedule.Class(s.id, s.equipment.Shifts, t)
}

func (l *Lived) seen(t int64) {
	if l.Since == 0 {
		l.Since = t
	}
}

// pass lets time pass in which nothing changes.
func (k *track) pass(to int64) {
	ms := to - k.now
	t, e := &k.piece, k.Condition.Element
	t.Times[k.Class][e] += ms
	k.mark.all += ms
	if k.idle() {
		k.mark.idle += ms
	}
	if k.Class != Planned {
		k.mark.offShift += ms
	}
	if k.Condition.Assumed && e != Unknown {
		t.Assumed += ms
	}
	t.Present += ms * k.present
	t.Wanted += ms * k.subject.wanted
	switch e {
	case APT:
		k.life.Executed += ms
		if k.Class == Planned && k.subject.program >= 0 {
			k.produce(ms)
		}
	case AUST:
		k.life.Executed += ms
	case Unknown:
		if k.life.Since != 0 {
			k.life.Unknown += ms
		}
	}
	k.now = to
}

// produce books planned production time by program.
func (k *track) produce(ms int64) {
	program := &k.inputs[k.subject.program]
	if !program.known {
		k.piece.Blind += ms
	} else if i := k.product(); i >= 0 && k.subject.made[i].Excluded {
		k.piece.Excluded += ms
	}
}

// product is the position of the product that the present program makes; -1 if that is not known.
func (k *track) product() int {
	if program := &k.inputs[k.subject.program]; program.known {
		if i, ok := k.subject.products[program.text]; ok {
			return i
		}
	}
	return -1
}

// idle: the state is known, and is not to execute.
func (k *track) idle() bool {
	return k.Condition.Element != Unknown && k.Condition.State != Executing
}

// hear takes an observation of this moment. It says whether the state machine has heard of it.
func (k *track) hear(o *arrival) bool {
	in := &k.subject.inputs[o.input]
	if o.swap {
		k.swap(in, *o.text)
		return false
	}
	was, is := &k.inputs[o.input], observation{known: o.known, value: o.value, unreachable: o.gone}
	if o.text != nil {
		is.text = *o.text
	}
	same := *was == is
	if was.known != is.known && in.signal {
		if is.known {
			k.present++
		} else {
			k.present--
		}
	}
	*was = is
	for _, c := range in.channels {
		if k.subject.channels[c].how == Counted {
			k.count(c, is)
		} else if !same {
			k.set(c, k.subject.channels[c].value(is), is.number())
		}
	}
	if same {
		return false
	}
	for _, c := range in.derived {
		y, ok := k.derive(&k.subject.channels[c])
		k.set(c, y, ok)
	}
	for _, slot := range in.slots {
		k.subject.machine.observe(&k.run, slot, is, k.now)
	}
	return len(in.slots) > 0
}

// cut ends the piece and adds it to the windows that are open.
func (k *track) cut(open *[numKinds]openWindow) {
	k.flushAll()
	for kind := range open {
		if open[kind].Open {
			k.windows[kind].add(&k.piece)
		}
	}
	k.piece.clear()
	k.mark = proportions{}
	for c := range k.flows {
		k.flows[c].mark = proportions{}
	}
}
