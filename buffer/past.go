package buffer

import (
	"context"
	"iter"
	"path/filepath"
	"strings"

	"github.com/millgate/millgate/collector/kpi"
)

// Past is a kpi.History of what is stored, for computing KPIs anew beside the Follower, or without one: it changes nothing, and what is kept
// in it is its own. It belongs to one goroutine.
type Past struct {
	q         *Queue
	ctx       context.Context // of whoever looks: the looks back of a kpi.Follower have none of their own
	published *published
	states    *states
}

// Past looks at the queue, and at the states that its Follower keeps in dir, until ctx is done.
func (q *Queue) Past(ctx context.Context, dir string) (*Past, error) {
	published, err := q.newPublished()
	if err != nil {
		return nil, err
	}
	codec, err := newCodec()
	if err != nil {
		return nil, err
	}
	l := &Past{q: q, ctx: ctx, published: published, states: &states{dir: dir, log: q.cfg.Log, codec: codec}}
	names, err := filepath.Glob(filepath.Join(dir, "*"+stateSuffix))
	if err != nil {
		return nil, err
	}
	for _, path := range names {
		// One that is damaged, or that the Follower has just removed, is passed over: an older one comes to the same.
		if st, _, err := l.states.read(strings.TrimSuffix(filepath.Base(path), stateSuffix)); err == nil && q.had(st.at) {
			l.states.put(st)
		}
	}
	return l, nil
}

// Blocks is kpi.History's: all that is committed. Several may be under way at a time.
func (l *Past) Blocks(from uint64) iter.Seq2[*kpi.Batch, error] {
	return func(yield func(*kpi.Batch, error) bool) {
		tail, err := l.q.newTail()
		for seq := from; err == nil; {
			var b *kpi.Batch
			if b, _, err = tail.next(l.ctx, seq, 1<<64-1); b == nil {
				break
			}
			seq = b.Seq + 1
			if !yield(b, nil) {
				return
			}
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

// Published is kpi.History's, of what is committed.
func (l *Past) Published(w kpi.Window) (rev int, results []kpi.Result, ok bool) {
	return l.published.find(w)
}

// Keep is kpi.History's. Nothing goes to disk.
func (l *Past) Keep(day string, from int64, state []byte) error {
	l.states.put(&savedState{name: day, from: from, state: state})
	return nil
}

// Kept is kpi.History's.
func (l *Past) Kept(t int64) ([]byte, error) {
	for {
		st := l.states.dayBefore(t)
		if st == nil {
			return nil, nil
		}
		state, err := l.states.load(st)
		if err == nil {
			return state, nil
		}
		l.states.forget(st.name) // gone or damaged since
	}
}

// Newest is the state of the Follower that has come furthest; nil if there is none.
func (l *Past) Newest() []byte {
	best := l.states.current
	for _, st := range l.states.days {
		if best == nil || st.at.Readings > best.at.Readings {
			best = st
		}
	}
	if best == nil {
		return nil
	}
	state, err := l.states.load(best)
	if err != nil {
		return nil
	}
	return state
}

// HistoryFrom is the time of the oldest reading in the local history, ms since 1970 UTC; 0 if there is none.
func (q *Queue) HistoryFrom() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, e := range q.books.segments() {
		if s, ok := e.Streams[Readings]; ok && s.Last >= q.live.floor[Readings] {
			return s.Time
		}
	}
	return 0
}
