package kpi

import (
	"slices"
	"strconv"
)

const unending = 1<<63 - 1

// truth is a value of Kleene's logic: `and` is the least, `or` the greatest, `not` the opposite.
type truth int8

const (
	isFalse truth = iota
	isUnknown
	isTrue
)

// stateRun is the memory of a state machine: last values, timers. It is written into checkpoints as JSON. It holds slices: clone makes an
// independent copy, an assignment does not.
type stateRun struct {
	Of      uint64      `json:"of"` // identity of the machine
	Begun   bool        `json:"begun"`
	Now     int64       `json:"now"`
	Until   int64       `json:"until"` // Current holds until then, unless Stale
	Stale   bool        `json:"stale"` // something was observed at Now that Current does not know
	Current Condition   `json:"current"`
	Inputs  []inputRun  `json:"inputs"`
	Changes []changes   `json:"changes,omitempty"` // of the inputs that may blink
	Rules   []bothTimes `json:"rules"`
}

type inputRun struct {
	Known bool    `json:"known"`
	Gone  bool    `json:"gone,omitempty"` // not known because its device does not answer
	Value float64 `json:"value"`
}

// changes are the last three moments at which a value changed, the oldest first.
type changes struct {
	N  int      `json:"n"`
	At [3]int64 `json:"at"`
}

// bothTimes are the timers of a rule if all that is unknown is against it (Least), and if it is for it (Most).
type bothTimes struct {
	Least timer `json:"least"`
	Most  timer `json:"most"`
}

type timer struct {
	Phase phase `json:"phase"`
	Since int64 `json:"since"` // of waiting and holding
}

type phase uint8

const (
	idle phase = iota
	waiting
	active
	holding
)

// start is the memory of a machine that has seen nothing: what is unknown has been so for ever, so a rule that may be active may have been
// so before.
func (m *stateMachine) start() stateRun {
	r := stateRun{
		Of: m.identity, Stale: true, Until: unending,
		Inputs: make([]inputRun, len(m.inputs)), Changes: make([]changes, m.blinks), Rules: make([]bothTimes, len(m.rules)),
	}
	for i := range m.rules {
		when := m.eval(m.rules[i].when, &r, new(int64))
		if when == isTrue {
			r.Rules[i].Least.Phase = active
		}
		if when != isFalse {
			r.Rules[i].Most.Phase = active
		}
	}
	return r
}

// clone is an independent copy.
func (r *stateRun) clone() stateRun {
	c := *r
	c.Inputs, c.Changes, c.Rules = slices.Clone(r.Inputs), slices.Clone(r.Changes), slices.Clone(r.Rules)
	return c
}

// fits says whether r is the memory of such a machine, and not of one with other rules.
func (m *stateMachine) fits(r *stateRun) bool {
	return r.Of == m.identity && len(r.Inputs) == len(m.inputs) && len(r.Changes) == m.blinks && len(r.Rules) == len(m.rules)
}

// observe takes the value of an input from t on. Times never go back. All that is observed of one moment counts together.
func (m *stateMachine) observe(r *stateRun, input int, v observation, t int64) {
	in := &r.Inputs[input]
	next := meaning(v)
	if *in == next {
		return
	}
	m.advance(r, t)
	if i := m.blinking[input]; i >= 0 {
		r.Changes[i].note(in, &next, r.Now)
	}
	*in, r.Stale = next, true
}

// meaning is the value that conditions compare: a text counts if it is a decimal number, such as a code.
func meaning(v observation) inputRun {
	switch {
	case !v.known:
		return inputRun{Gone: v.unreachable}
	case v.text != "":
		n := numberLength(v.text)
		x, err := strconv.ParseFloat(v.text[:n], 64)
		if n < len(v.text) || err != nil {
			return inputRun{}
		}
		return inputRun{Known: true, Value: x}
	case v.value-v.value != 0: // no number
		return inputRun{}
	}
	return inputRun{Known: true, Value: v.value}
}

// note counts a change. What happened while the value was not known is not known either, so counting begins anew.
func (c *changes) note(from, to *inputRun, t int64) {
	if !from.Known || !to.Known {
		*c = changes{}
		return
	}
	if c.N == len(c.At) {
		copy(c.At[:], c.At[1:])
		c.N--
	}
	c.At[c.N] = t
	c.N++
}

// at is the condition from t on, as far as it follows from what was observed, and the next moment at which it may change by itself (a
// timer); 1<<63-1 if it will not. Times never go back. Moments that lie between two calls are not missed: it does not matter how often
// at is called.
func (m *stateMachine) at(r *stateRun, t int64) (c Condition, until int64) {
	m.advance(r, t)
	if r.Stale {
		m.settle(r)
	}
	return r.Current, r.Until
}

// advance lets time pass up to t, with all that happens before t by itself.
func (m *stateMachine) advance(r *stateRun, t int64) {
	if !r.Begun {
		r.Begun, r.Now = true, t
	}
	for t > r.Now {
		if r.Stale {
			m.settle(r)
		}
		if r.Until > t {
			r.Now = t
			return
		}
		r.Now, r.Stale = r.Until, true
	}
}

// settle works out the condition at r.Now, and until when it holds.
func (m *stateMachine) settle(r *stateRun) {
	r.Stale, r.Until = false, unending
	power := isUnknown
	var found outcome
	first, decided := true, false
	for i := range m.rules {
		is := m.step(r, i)
		if i >= len(m.outcomes) {
			power = is
			continue
		}
		if is == isFalse || decided {
			continue
		}
		found = common(found, m.outcomes[i], first)
		first, decided = false, is == isTrue
	}
	if !decided { // none at all may win, too
		found = outcome{}
	}
	r.Current = Condition{State: found.state, Mode: found.mode, Element: found.element}
	if found.state == Executing {
		return
	}
	assumed := power == isUnknown && m.assumeOff && r.allGone(m.control)
	if power == isTrue && m.power || assumed {
		r.Current.Off, r.Current.Assumed, r.Current.Element = true, assumed, Off
	}
}

// common is what two outcomes agree on.
func common(a, b outcome, first bool) outcome {
	if first {
		return b
	}
	if a.state != b.state {
		a.state = StateUnknown
	}
	if a.mode != b.mode {
		a.mode = ModeUnknown
	}
	if a.element != b.element {
		a.element = Unknown
	}
	return a
}

func (r *stateRun) allGone(inputs []int) bool {
	for _, i := range inputs {
		if !r.Inputs[i].Gone {
			return false
		}
	}
	return true
}

// step brings the timers of a rule up to r.Now, lowers r.Until to their next moment, and says whether the rule is active.
func (m *stateMachine) step(r *stateRun, i int) truth {
	rule, times := &m.rules[i], &r.Rules[i]
	when := m.eval(rule.when, r, &r.Until)
	until := isTrue // without a condition of its own nothing keeps it
	if rule.until != nil {
		until = m.eval(rule.until, r, &r.Until)
	}
	r.Until = min(r.Until, rule.step(&times.Least, when == isTrue, when == isTrue || until == isFalse, r.Now))
	r.Until = min(r.Until, rule.step(&times.Most, when != isFalse, when != isFalse || until != isTrue, r.Now))
	switch {
	case times.Least.Phase >= active:
		return isTrue
	case times.Most.Phase >= active:
		return isUnknown
	}
	return isFalse
}

// step brings one timer up to now: start is whether the rule's condition holds, keep whether it stays active once it is. It gives the next
// moment at which the timer moves on by itself.
func (a *activation) step(t *timer, start, keep bool, now int64) int64 {
	for {
		switch t.Phase {
		case idle:
			if !start {
				return unending
			}
			*t = timer{waiting, now}
		case waiting:
			if !start {
				*t = timer{}
				return unending
			}
			if now < t.Since+a.wait {
				return t.Since + a.wait
			}
			*t = timer{Phase: active}
		case active:
			if keep {
				return unending
			}
			*t = timer{holding, now}
		case holding:
			if start {
				*t = timer{Phase: active}
				return unending
			}
			if now < t.Since+a.hold {
				return t.Since + a.hold
			}
			*t = timer{}
		}
	}
}

// eval is the value of a condition at r.Now; next is lowered to the moment at which it may change by itself.
func (m *stateMachine) eval(e *test, r *stateRun, next *int64) truth {
	switch e.op {
	case opTrue:
		return isTrue
	case opAnd, opOr:
		found := isTrue
		if e.op == opOr {
			found = isFalse
		}
		for _, kid := range e.kids {
			is := m.eval(kid, r, next)
			if e.op == opAnd {
				found = min(found, is)
			} else {
				found = max(found, is)
			}
		}
		return found
	case opNot:
		return isTrue - m.eval(e.kids[0], r, next)
	}
	in := &r.Inputs[e.input]
	if !in.Known {
		return isUnknown
	}
	holds := false
	if e.op == opBlinks {
		c := &r.Changes[m.blinking[e.input]]
		if end := c.At[0] + e.within; c.N == len(c.At) && r.Now < end {
			holds, *next = true, min(*next, end)
		}
	} else {
		holds = e.compare(in.Value)
	}
	if holds {
		return isTrue
	}
	return isFalse
}

func (e *test) compare(x float64) bool {
	x *= e.factor
	if e.invert {
		if x == 0 {
			x = 1
		} else {
			x = 0
		}
	}
	switch y := e.numbers[0]; e.op {
	case opIn:
		return slices.Contains(e.numbers, x)
	case opEqual:
		return x == y
	case opNotEqual:
		return x != y
	case opLess:
		return x < y
	case opLessEqual:
		return x <= y
	case opGreater:
		return x > y
	default:
		return x >= y
	}
}
