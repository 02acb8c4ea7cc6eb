package modbus

import (
	"cmp"
	"slices"
	"time"

	"github.com/millgate/millgate/drivers"
)

// How long what a device refuses is believed: then it is asked once more, and half as often each time that it still refuses. The first
// time is short: a frame may be lost, and a device that has just started may refuse what it will soon have.
var (
	retryFirst = time.Minute
	retryLast  = 24 * time.Hour
)

// knowledge is what a device has shown about the requests that it answers. It knows no clock. The zero knowledge is that of a device
// that was never asked.
type knowledge struct {
	Limits  [2]limit `json:"limits"`  // of registers and of bits
	Proven  []span   `json:"proven"`  // in order and apart: each address, and each two neighbours, were answered in one request
	Refused []fact   `json:"refused"` // in order: no request that holds one of them is answered
}

// limit is what is known of the largest quantity.
type limit struct {
	Answered int       `json:"answered"`          // the longest request that was answered
	Refused  *fact     `json:"refused,omitempty"` // the shortest that was refused for its length alone; nil: none
	Lowered  time.Time `json:"lowered,omitzero"`  // when a request was refused that is no longer than others that were answered
}

// fact is that a device refuses a span.
type fact struct {
	span
	Cause drivers.Cause `json:"cause"` // with which it was refused, first
	Since time.Time     `json:"since"`
	Retry time.Time     `json:"retry"` // when it is asked again
	Pause time.Duration `json:"pause"` // ns, before that
}

func newFact(s span, cause drivers.Cause, now time.Time) fact {
	return fact{span: s, Cause: cause, Since: now, Retry: now.Add(retryFirst), Pause: retryFirst}
}

// again notes that it still holds.
func (f *fact) again(now time.Time) {
	f.Pause = min(2*f.Pause, retryLast)
	f.Retry = now.Add(f.Pause)
}

func (k *knowledge) clone() knowledge {
	c := knowledge{k.Limits, slices.Clone(k.Proven), slices.Clone(k.Refused)}
	for i := range c.Limits {
		if f := c.Limits[i].Refused; f != nil {
			copied := *f
			c.Limits[i].Refused = &copied
		}
	}
	return c
}

// refusal is the fact for which a request for s is not answered, but for its length; nil if none is known.
func (k *knowledge) refusal(s span) *fact {
	i, _ := slices.BinarySearchFunc(k.Refused, s, func(f fact, s span) int {
		return cmp.Or(cmp.Compare(f.Table, s.Table), cmp.Compare(f.From, s.From))
	})
	for ; i < len(k.Refused) && k.Refused[i].Table == s.Table && k.Refused[i].From < s.To; i++ {
		if s.holds(k.Refused[i].span) {
			return &k.Refused[i]
		}
	}
	return nil
}

// forbid adds a fact. Those that follow from it go.
func (k *knowledge) forbid(f fact) {
	k.Refused = slices.DeleteFunc(k.Refused, func(old fact) bool { return old.holds(f.span) })
	i, _ := slices.BinarySearchFunc(k.Refused, f, func(a, b fact) int { return compareSpans(a.span, b.span) })
	k.Refused = slices.Insert(k.Refused, i, f)
}

// proven says that s was answered, at once or in parts of which each overlaps the next.
func (k *knowledge) proven(s span) bool {
	i := k.firstProven(s)
	return i < len(k.Proven) && k.Proven[i].holds(s)
}

// firstProven is the first proven span that ends behind the beginning of s.
func (k *knowledge) firstProven(s span) int {
	i, _ := slices.BinarySearchFunc(k.Proven, s, func(p, s span) int {
		if c := cmp.Compare(p.Table, s.Table); c != 0 {
			return c
		}
		if p.To <= s.From {
			return -1
		}
		return 1
	})
	return i
}

// prove adds a span that was answered. What stood against it goes.
func (k *knowledge) prove(s span) (contradicted bool) {
	n := len(k.Refused)
	k.Refused = slices.DeleteFunc(k.Refused, func(f fact) bool { return s.holds(f.span) })
	l := &k.Limits[s.Table.class()]
	l.Answered = max(l.Answered, s.len())
	contradicted = len(k.Refused) != n
	if l.Refused != nil && l.Answered >= l.Refused.len() {
		l.Refused, contradicted = nil, true
	}
	i := k.firstProven(s)
	j := i
	for ; j < len(k.Proven) && k.Proven[j].Table == s.Table && k.Proven[j].From < s.To; j++ {
		s.From, s.To = min(s.From, k.Proven[j].From), max(s.To, k.Proven[j].To)
	}
	k.Proven = slices.Replace(k.Proven, i, j, s)
	return contradicted
}

// doubt forgets that the addresses of s were answered.
func (k *knowledge) doubt(s span) {
	k.Proven = slices.DeleteFunc(k.Proven, func(p span) bool { return p.Table == s.Table && p.From < s.To && s.From < p.To })
}

// due is the fact whose turn it is to be tried again; nil if there is none.
func (k *knowledge) due(now time.Time) *fact {
	var first *fact
	k.facts(func(f *fact) {
		if !f.Retry.After(now) && (first == nil || f.Retry.Before(first.Retry)) {
			first = f
		}
	})
	return first
}

// nextRetry is when due will have something; far away if never.
func (k *knowledge) nextRetry() time.Time {
	next := time.Unix(1<<40, 0)
	k.facts(func(f *fact) {
		if f.Retry.Before(next) {
			next = f.Retry
		}
	})
	return next
}

// drawNear draws near what would be asked again later than its pause says: the clock was wrong when that was set.
func (k *knowledge) drawNear(now time.Time) {
	k.facts(func(f *fact) {
		if latest := now.Add(f.Pause); f.Retry.After(latest) {
			f.Retry = latest
		}
	})
}

func (k *knowledge) facts(f func(*fact)) {
	for i := range k.Refused {
		f(&k.Refused[i])
	}
	for i := range k.Limits {
		if r := k.Limits[i].Refused; r != nil {
			f(r)
		}
	}
}

// believable says that knowledge which was read from a file can be used.
func (k *knowledge) believable() bool {
	ok := slices.IsSortedFunc(k.Proven, compareSpans) && slices.IsSortedFunc(k.Refused, func(a, b fact) int { return compareSpans(a.span, b.span) })
	possible := func(s span) bool {
		return int(s.Table) < len(tables) && s.From >= 0 && s.From < s.To && s.To <= 1<<16
	}
	for i, s := range k.Proven {
		ok = ok && possible(s) && (i == 0 || k.Proven[i-1].Table != s.Table || k.Proven[i-1].To <= s.From)
	}
	k.facts(func(f *fact) {
		ok = ok && possible(f.span) && f.len() <= maxQuantity[f.Table.class()] && f.Cause != "" && f.Pause > 0 && f.Pause <= retryLast
	})
	for class, l := range k.Limits {
		ok = ok && l.Answered >= 0 && l.Answered <= maxQuantity[class]
		ok = ok && (l.Refused == nil || ok && l.Refused.Table.class() == class && l.Refused.len() > l.Answered)
	}
	return ok
}
