package modbus

import (
	"slices"
	"time"

	"github.com/millgate/millgate/drivers"
)

const (
	maxFruitless = 4         // Reads in a row that were served nothing but refusals: the device refuses everything
	doubtTime    = time.Hour // between two conclusions that would each turn over what was learned
)

// learner finds out which requests a device answers, and makes the plan that costs least among them. It asks nothing itself and knows no
// clock: it is told what became of each request, and says what to ask next.
//
// A request that is refused and brings one item only shows that this item is refused. One that brings more is suspect: it is taken
// apart, and its parts are asked. If a part is refused, the whole is explained by it. If both are answered, either what lies between
// them is refused - an address that nobody asked for, or a border that the device does not read across - or the whole is too long; a
// short request across the cut tells which.
//
// Everything learned is true of a device that refuses requests for their length, for addresses or for pairs of neighbours in them, and
// that does so always. So a plan that is answered, and that no longer requests could make cheaper, is the best there is.
type learner struct {
	know      knowledge
	rules     *rules // the configuration's; no plan has longer requests
	items     []item // all
	caps      [2]int // the quantities that jobs are planned with
	suspects  []suspect
	asked     *suspect   // whose crossing next gave
	retrying  *fact      // which next gave
	retried   bool       // in this Read
	changed   bool       // since the knowledge was saved
	stale     bool       // a better plan may be known
	before    *knowledge // at the first of fruitless Reads, if there are any
	fruitless int
	barren    time.Time // until then nothing is taken apart
}

// suspect is a request that was refused and may be so for its length, or for what lies at the cut.
type suspect struct {
	job
	left, right, across span
	cause               drivers.Cause
}

// plan is the jobs for a whole Read, as long as they are known to be answered, or as it takes to find out more about the limits.
func (l *learner) plan() []job {
	l.stale, l.suspects = false, nil
	items := l.readable(l.items)
	if len(items) == 0 { // to ask nothing would never show that the device is back
		l.know.Refused = nil
		items = l.items
	}
	l.caps = l.rules.most
	for class := range l.caps {
		l.caps[class] = l.cap(class, items)
	}
	return l.with(l.caps).plan(items)
}

// with is the rules with what the device refuses.
func (l *learner) with(most [2]int) *rules {
	r := *l.rules
	r.most, r.banned = most, nil
	for _, f := range l.know.Refused {
		r.banned = append(r.banned, f.span)
	}
	return &r
}

// readable is the items that are not refused.
func (l *learner) readable(items []item) []item {
	if len(l.know.Refused) == 0 {
		return items
	}
	var out []item
	for _, it := range items {
		if l.know.refusal(it.span) == nil {
			out = append(out, it)
		}
	}
	return out
}

// cap is the quantity to plan a class with. Between the longest request that was answered and the shortest that was refused lies what is
// not known; if longer requests would pay, half of it is tried.
func (l *learner) cap(class int, items []item) int {
	limit := &l.know.Limits[class]
	if limit.Refused == nil {
		return l.rules.most[class]
	}
	of := func(most int) (cost time.Duration, longest int) {
		caps := l.caps
		caps[class] = most
		r := l.with(caps)
		jobs := r.plan(items)
		for _, j := range jobs {
			if j.Table.class() == class {
				longest = max(longest, j.len())
			}
		}
		return r.cost(jobs), longest
	}
	low, high := max(limit.Answered, 1), min(limit.Refused.len()-1, l.rules.most[class])
	known, _ := of(low)
	if best, _ := of(high); best >= known {
		return low
	}
	for low < high {
		middle := (low + high + 1) / 2
		if _, longest := of(middle); longest > limit.Answered {
			return middle
		}
		low = middle
	}
	return high
}

// allows says that nothing known speaks against a job.
func (l *learner) allows(j job) bool {
	limit := l.know.Limits[j.Table.class()].Refused
	return l.know.refusal(j.span) == nil && (j.needed() || limit == nil || j.len() < limit.len())
}

// instead is what to ask for the items of a job that is not allowed.
func (l *learner) instead(j job) []job {
	for class := range l.caps {
		if limit := &l.know.Limits[class]; limit.Refused != nil && l.caps[class] >= limit.Refused.len() {
			l.caps[class] = max(1, (limit.Answered+limit.Refused.len())/2)
		}
	}
	return l.with(l.caps).plan(l.readable(j.items))
}

// answered tells that a job was.
func (l *learner) answered(s span) {
	limit := &l.know.Limits[s.Table.class()]
	if l.know.proven(s) && s.len() <= limit.Answered {
		return
	}
	l.stale = limit.Refused != nil || l.stale
	if l.know.prove(s) {
		l.stale = true
	}
	l.changed = true
}

// refused tells that a job of the plan was, and says what to ask for its items instead.
func (l *learner) refused(j job, cause drivers.Cause, now time.Time) []job {
	l.stale = true
	limit := &l.know.Limits[j.Table.class()]
	switch {
	case !l.allows(j):
		return l.instead(j)
	case l.know.proven(j.span) && j.len() > limit.Answered && !j.needed():
		l.tooLong(j.span, cause, now)
		return l.instead(j)
	case l.know.proven(j.span): // it was answered before: once may be chance
		l.know.doubt(j.span)
		if len(j.items) == 1 {
			return nil
		}
		at := l.cut(j.items)
		return []job{hull(j.items[:at]), hull(j.items[at:])}
	case len(j.items) == 1:
		l.forbid(j.span, cause, now)
		return nil
	}
	at := l.cut(j.items)
	left, right := hull(j.items[:at]), hull(j.items[at:])
	l.suspects = append(l.suspects, suspect{j, left.span, right.span, hull([]item{last(j.items[:at]), j.items[at]}).span, cause})
	return []job{left, right}
}

func (l *learner) forbid(s span, cause drivers.Cause, now time.Time) {
	l.know.forbid(newFact(s, cause, now))
	l.changed, l.stale = true, true
}

func (l *learner) tooLong(s span, cause drivers.Cause, now time.Time) {
	f := newFact(s, cause, now)
	l.know.Limits[s.Table.class()].Refused = &f
	l.changed, l.stale = true, true
}

// last is the item that ends last.
func last(items []item) item {
	out := items[0]
	for _, it := range items {
		if it.To >= out.To {
			out = it
		}
	}
	return out
}

// cut is where to take a refused job apart: where it is not known that the device reads across, in the widest gap of the middle half of
// such places, for an address that nobody asked for is the likeliest to be refused; of equal gaps in the one nearest to the middle.
func (l *learner) cut(items []item) int {
	var places, gaps, unknown []int
	end := items[0].To
	for i := 1; i < len(items); i++ {
		places, gaps = append(places, i), append(gaps, items[i].From-end)
		if !l.know.proven(span{items[i].Table, min(end, items[i].From+1) - 1, max(items[i].From+1, end)}) {
			unknown = append(unknown, i)
		}
		end = max(end, items[i].To)
	}
	if len(unknown) > 0 {
		places = unknown
	}
	n := len(places)
	best := places[n/2]
	for _, i := range places[n/4 : n-n/4] {
		if d := gaps[i-1] - gaps[best-1]; d > 0 || d == 0 && distance(i, places[n/2]) < distance(best, places[n/2]) {
			best = i
		}
	}
	return best
}

func distance(a, b int) int { return max(a-b, b-a) }

// ready is the suspect of which a short request can tell, when all others are settled that can be; nil if there is none.
func (l *learner) ready(now time.Time) *suspect {
	for i := len(l.suspects) - 1; i >= 0; i-- {
		s := l.suspects[i]
		settled, ready := l.settle(s, now)
		if settled {
			l.suspects = slices.Delete(l.suspects, i, i+1)
			i = len(l.suspects) // what was learned may settle others
		} else if ready {
			return &s
		}
	}
	return nil
}

// next is what to ask when all items of a Read have had their turn; its fate belongs to heard.
func (l *learner) next(now time.Time) (ask job, ok bool) {
	if l.asked = l.ready(now); l.asked != nil {
		return job{span: l.asked.across}, true
	}
	if !l.retried {
		if f := l.know.due(now); f != nil {
			l.retried, l.retrying = true, f
			return job{span: f.span}, true
		}
	}
	return job{}, false
}

// settle judges a suspect by what its parts have shown. It is ready if only the short request across the cut can tell.
func (l *learner) settle(s suspect, now time.Time) (settled, ready bool) {
	limit := &l.know.Limits[s.Table.class()]
	switch {
	case !l.allows(s.job):
		return true, false
	case l.know.proven(s.span) && s.len() > limit.Answered:
		l.tooLong(s.span, s.cause, now)
		return true, false
	case l.know.proven(s.span):
		l.contradict(s, now)
		return true, false
	case !l.know.proven(s.left) || !l.know.proven(s.right):
		return false, false
	case s.across == s.span:
		l.barrier(s, now)
		return true, false
	}
	return false, true
}

// barrier notes that the request across the cut of a suspect is refused. If its length can not be why, the place of the cut is.
func (l *learner) barrier(s suspect, now time.Time) {
	at := s.across
	if at.len() <= l.know.Limits[s.Table.class()].Answered {
		at.From, at.To = s.left.To-1, s.right.From+1
	}
	l.forbid(at, s.cause, now)
}

// contradict deals with a request that is refused although all in it is answered, and longer ones were: the device may have been changed
// for one with another limit. If that was thought a short while ago, the request is avoided as it is.
func (l *learner) contradict(s suspect, now time.Time) {
	limit := &l.know.Limits[s.Table.class()]
	if now.Sub(limit.Lowered) < doubtTime {
		l.forbid(s.span, s.cause, now)
		return
	}
	limit.Lowered, limit.Answered = now, max(s.left.len(), s.right.len(), s.across.len())
	if limit.Answered < s.len() {
		l.tooLong(s.span, s.cause, now)
	}
}

// heard tells what became of the job that next gave.
func (l *learner) heard(j job, f fate, now time.Time) {
	asked, retrying := l.asked, l.retrying
	l.asked, l.retrying = nil, nil
	switch {
	case f.answered:
		l.answered(j.span)
	case asked != nil && (f.refused != "" || asked.cause == drivers.CauseTimeout):
		l.barrier(*asked, now)
	case asked != nil:
		l.suspects = nil // they may come back
	case retrying != nil && f.refused != "":
		retrying.again(now)
		l.changed = true
	case retrying != nil:
		retrying.Retry = now.Add(retrying.Pause)
	}
}
