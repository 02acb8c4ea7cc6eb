package buffer

import (
	"fmt"
	"iter"
	"time"

	"github.com/millgate/millgate/collector/kpi"
)

// Blocks is kpi.History's: up to the block being taken, whatever was committed since.
func (r *followerRun) Blocks(from uint64) iter.Seq2[*kpi.Batch, error] {
	return func(yield func(*kpi.Batch, error) bool) {
		for seq := from; ; {
			began := time.Now()
			b, _, err := r.past.next(r.ctx, seq, r.at.Readings)
			if err != nil {
				r.cut = err
				yield(nil, err)
				return
			}
			if b == nil {
				return
			}
			r.looked, seq = b.Seq, b.Seq+1
			if !yield(b, nil) {
				return
			}
			r.work += time.Since(began)
			if err := r.rest(); err != nil {
				r.cut = err
				yield(nil, err)
				return
			}
		}
	}
}

// Published is kpi.History's. It waits until all reports are committed.
func (r *followerRun) Published(w kpi.Window) (rev int, results []kpi.Result, ok bool) {
	if err := r.q.Await(r.ctx, r.pos); err != nil {
		r.cut = err
		return 0, nil, false
	}
	return r.published.find(w)
}

// Keep is kpi.History's. The state goes to disk behind the reports of the block being taken.
func (r *followerRun) Keep(day string, from int64, state []byte) error {
	if !dayName.MatchString(day) {
		return fmt.Errorf("%q is no production day", day)
	}
	at := r.at
	if r.looked != 0 {
		at.Readings = r.looked
	}
	r.states.put(&savedState{name: day, at: at, from: from, state: state, pos: unknown})
	return nil
}

// Kept is kpi.History's.
func (r *followerRun) Kept(t int64) ([]byte, error) {
	for {
		st := r.states.dayBefore(t)
		if st == nil {
			return nil, nil
		}
		state, err := r.states.load(st)
		if err == nil {
			return state, nil
		}
		r.states.setAside(st.name, err)
	}
}

// worked counts work on a backlog; the newest block is none.
func (r *followerRun) worked(took time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.work += took; r.snap.Lag == 0 {
		r.work = 0
	}
}

// rest leaves the machine to others as long as the work on a backlog took, and until the reports that wait for their commit are few.
func (r *followerRun) rest() error {
	r.q.mu.Lock()
	many := r.q.reports > commitSize
	r.q.mu.Unlock()
	if many {
		if err := r.q.Await(r.ctx, r.pos); err != nil {
			return err
		}
	}
	if r.work < restAfter {
		return nil
	}
	pause := time.After(r.work)
	r.work = 0
	select {
	case <-r.ctx.Done():
		return r.ctx.Err()
	case <-pause:
		return nil
	}
}
