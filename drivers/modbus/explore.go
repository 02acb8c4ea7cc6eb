package modbus

import (
	"slices"
	"time"

	"github.com/millgate/millgate/drivers"
)

// fate is what became of a job: answered, or refused for what may lie in a part of it, or neither.
type fate struct {
	answered bool
	refused  drivers.Cause // why; empty if it was not
	silent   bool          // not answered, and if it stays so it will be taken for refused
}

// told is a job of the plan and its fate.
type told struct {
	job
	fate
	later bool // its parts are the next Read's
}

// asker asks for more in the Read under way.
type asker interface {
	may() bool // there is room for another request
	ask(j job) fate
}

// read learns from a Read and does in it what can be done: jobs that were refused are taken apart until all their items were asked for
// that are not refused themselves. It gives the plan from the next Read on; nil if that of this Read stands.
func (l *learner) read(plan []told, more asker, now time.Time) (next []job) {
	x := expedition{learner: l, more: more, now: now}
	l.retried = false
	for _, t := range plan {
		x.refusals = x.refusals || t.refused != ""
		if t.answered {
			l.answered(t.span)
			x.served = true
		}
	}
	if x.refusals && l.before == nil {
		k := l.know.clone()
		l.before = &k
	}
	for _, t := range plan {
		switch {
		case t.refused == "" || now.Before(l.barren):
			x.standing = append(x.standing, t.job)
			x.unfinished = x.unfinished || t.silent && l.suspected(t.span)
		case t.later:
			x.standing = append(x.standing, x.apart(t.job, t.refused)...)
			x.unfinished = true
		default:
			x.queue = append(x.queue, x.apart(t.job, t.refused)...)
		}
	}
	x.askItems()
	x.askQuestions()
	switch barren := l.judge(x.served, x.refusals, now); {
	case !barren && (x.unfinished || len(x.queue) > 0 || l.ready(now) != nil):
		return l.complete(append(x.standing, x.queue...))
	case barren || l.stale:
		return l.plan()
	}
	return nil
}

// expedition is a Read in which something is learned.
type expedition struct {
	*learner
	more             asker
	now              time.Time
	standing         []job // asked for, and not taken apart
	queue            []job // to be asked for
	served, refusals bool
	unfinished       bool
}

// apart is what to ask instead of a refused job. It stands if there is nothing, and the next Read asks again.
func (x *expedition) apart(j job, cause drivers.Cause) []job {
	parts := x.refused(j, cause, x.now)
	if len(parts) == 0 && x.know.refusal(j.span) == nil {
		x.standing = append(x.standing, j)
	}
	return parts
}

func (x *expedition) askItems() {
	for len(x.queue) > 0 && x.more.may() {
		j := x.queue[0]
		x.queue = x.queue[1:]
		if !x.allows(j) {
			x.queue = append(x.instead(j), x.queue...)
			continue
		}
		f := x.more.ask(j)
		if f.refused != "" {
			x.queue = append(x.apart(j, f.refused), x.queue...)
			continue
		}
		if x.standing = append(x.standing, j); f.answered {
			x.answered(j.span)
			x.served = true
		}
	}
}

func (x *expedition) askQuestions() {
	for len(x.queue) == 0 && x.more.may() {
		j, ok := x.next(x.now)
		if !ok {
			return
		}
		x.heard(j, x.more.ask(j), x.now)
	}
}

// suspected says that s is a part of a request that was taken for refused because it met silence.
func (l *learner) suspected(s span) bool {
	return slices.ContainsFunc(l.suspects, func(of suspect) bool { return of.cause == drivers.CauseTimeout && of.holds(s) })
}

// complete adds what the jobs lack of the items that are not refused.
func (l *learner) complete(jobs []job) []job {
	brought := map[span]bool{}
	for _, j := range jobs {
		for _, it := range j.items {
			brought[it.span] = true
		}
	}
	for i := range l.items {
		if it := l.items[i]; !brought[it.span] && l.know.refusal(it.span) == nil {
			jobs = append(jobs, hull(l.items[i:i+1]))
		}
	}
	return jobs
}

// judge counts Reads that brought nothing but refusals. If there were enough, the device refuses everything: what was learned meanwhile
// is forgotten, and for a while nothing is taken apart.
func (l *learner) judge(served, refusals bool, now time.Time) (barren bool) {
	switch {
	case served:
		l.before, l.fruitless, l.barren = nil, 0, time.Time{}
		return false
	case !refusals || now.Before(l.barren):
		return false
	}
	if l.fruitless++; l.fruitless < maxFruitless && len(l.readable(l.items)) > 0 {
		return false
	}
	l.know, l.before, l.suspects, l.fruitless = *l.before, nil, nil, 0
	l.barren = now.Add(doubtTime)
	return true
}
