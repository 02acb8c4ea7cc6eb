package buffer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/millgate/millgate/collector/kpi"
	"github.com/millgate/millgate/drivers"
)

// Follower computes KPIs behind the queue: it takes committed blocks of readings in order and appends the reports that follow. Whatever becomes
// of it, commits and uplinks go on. Its numbers depend on the blocks alone, and each report is stored once, also if the gateway is killed at
// any moment: all reports of one block of readings are stored in one commit, states are written only behind their reports, and a start goes
// on from the last state without the reports that are stored already.
//
// What it holds in memory is bounded: it takes no block while more than 1 MiB of packed reports wait for their commit.
type Follower struct {
	q       *Queue
	plan    *kpi.Plan
	dir     string
	restore func(state []byte, past kpi.History) (computer, error) // state nil: from nothing

	mu   sync.Mutex
	snap FollowerSnapshot
}

// FollowerSnapshot is what a Follower says about itself.
type FollowerSnapshot struct {
	Position kpi.Position `json:"position"`         // the last block of readings that was taken
	Lag      uint64       `json:"lag_blocks"`       // committed blocks of readings that wait
	Window   *kpi.Window  `json:"window,omitempty"` // of the last report
	Reports  uint64       `json:"reports"`          // appended since the start
	Error    string       `json:"error,omitempty"`  // what is wrong; empty while all is well
}

// computer is a kpi.Follower, as far as it is needed here.
type computer interface {
	Take(b *kpi.Batch) ([]kpi.Report, kpi.Output, error)
	State() []byte
}

type kpiComputer struct{ kpi.Follower }

func (c *kpiComputer) State() []byte { return c.Engine.State() }

// Follower makes one, which keeps its states in the folder dir. There may be one at a time; nothing runs before Run.
func (q *Queue) Follower(plan *kpi.Plan, dir string) *Follower {
	f := &Follower{q: q, plan: plan, dir: dir}
	f.restore = func(state []byte, past kpi.History) (computer, error) {
		engine := kpi.NewEngine(plan)
		if state != nil {
			var err error
			if engine, err = kpi.RestoreEngine(plan, state); err != nil {
				return nil, err
			}
		}
		return &kpiComputer{kpi.Follower{Engine: engine, Plan: plan, History: past}}, nil
	}
	return f
}

// followerRun is what only Run touches.
type followerRun struct {
	*Follower
	ctx       context.Context // done some time after Run's: the looks back of a kpi.Follower have none of their own
	log       *slog.Logger
	tail      *tail
	past      *tail // a second place in the blocks, for looking back
	published *published
	states    *states
	engine    computer
	at        kpi.Position  // the last block taken, or being taken
	looked    uint64        // the last block that a look back gave out; 0 outside of one
	through   uint64        // no report up to this block of readings is to be appended again
	pos       uint64        // of the last append
	cut       error         // why a look back came to no end, so that what followed from it is void
	work      time.Duration // since the last rest, on a backlog
	retry     time.Time     // when states are written again after that failed
}

const (
	stopGrace = 3 * time.Second       // for the last blocks and the commit of their reports when a Follower stops
	restAfter = 10 * time.Millisecond // of work on a backlog
	diskRetry = 10 * time.Second
	unknown   = 1<<64 - 1 // no append yet
)

// Run follows the queue until ctx is done; then it takes what is committed, waits for the commit of the reports, writes its state, all
// within 3 s, and returns nil. An error says that KPIs are no longer computed, and why.
func (f *Follower) Run(ctx context.Context) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("KPIs are no longer computed, because of a defect of millgate; please report it: %v", r)
			f.q.cfg.Log.Error("where the defect is", "stack", string(debug.Stack()))
		}
		if err != nil {
			f.trouble(err)
		}
	}()
	working, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(stopGrace, cancel) })()
	r, err := f.start(working)
	if err != nil {
		return fmt.Errorf("KPIs are not computed: %w", err)
	}
	for ctx.Err() == nil {
		wake, err := r.takeAll(ctx)
		if err != nil {
			return stopped(err)
		}
		select {
		case <-ctx.Done():
		case <-wake:
		}
	}
	return stopped(r.stop())
}

// takeAll takes blocks until there is none before wake, or ctx is done.
func (r *followerRun) takeAll(ctx context.Context) (wake <-chan struct{}, err error) {
	for ctx.Err() == nil {
		b, wake, err := r.tail.next(r.ctx, r.at.Readings+1, 1<<64-1)
		if err != nil {
			return nil, err
		}
		if b == nil {
			r.settle()
			return wake, nil
		}
		began := time.Now()
		if err := r.take(b); err != nil {
			return nil, err
		}
		if r.worked(time.Since(began)); ctx == r.ctx {
			continue // a stop does not rest
		}
		if err := r.rest(); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// stopped is nil if err only says that the Follower, or the queue, was stopped.
func stopped(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, ErrClosed) {
		return nil
	}
	return err
}

// start finds the state to go on from.
func (f *Follower) start(ctx context.Context) (*followerRun, error) {
	r := &followerRun{Follower: f, ctx: ctx, log: f.q.cfg.Log, through: f.q.ReportedThrough().Readings}
	var err error
	if r.tail, err = f.q.newTail(); err != nil {
		return nil, err
	}
	if r.past, err = f.q.newTail(); err != nil {
		return nil, err
	}
	if r.published, err = f.q.newPublished(); err != nil {
		return nil, err
	}
	if r.states, err = openStates(f.dir, r.log); err != nil {
		return nil, err
	}
	return r, r.begin()
}

// begin restores the newest state that can be used, or begins with the oldest block.
func (r *followerRun) begin() error {
	for {
		st := r.states.current
		if n := len(r.states.days); st == nil && n > 0 {
			st = r.states.days[n-1]
		}
		if st == nil {
			break
		}
		err := r.restoreFrom(st)
		if err == nil {
			return nil
		}
		r.states.setAside(st.name, err)
	}
	_, first, _, err := r.q.firstReadings(0)
	if err != nil {
		return err
	}
	if first > 1 {
		if r.through > 0 {
			r.tellGap(1, first-1)
		}
		r.at = kpi.Position{Readings: first - 1}
	}
	r.engine, err = r.restore(nil, r)
	return err
}

func (r *followerRun) restoreFrom(st *savedState) error {
	if !r.q.had(st.at) {
		return fmt.Errorf("it goes up to block %d of epoch %s, which this queue does not have", st.at.Readings, st.at.Epoch)
	}
	state, err := r.states.load(st)
	if err != nil {
		return err
	}
	if r.engine, err = r.restore(state, r); err != nil {
		return err
	}
	r.at = st.at
	return nil
}

// had says that a block of readings is, or was, in the queue's sequence: after damage the numbers of the end of an epoch are used again.
func (q *Queue) had(at kpi.Position) bool {
	q.mu.Lock()
	epoch, next, entry := q.books.epoch, q.books.next[Readings], q.books.holding(Readings, at.Readings)
	q.mu.Unlock()
	if at.Readings >= next || at.Epoch == epoch {
		return at.Readings < next
	}
	data, err := q.stored(entry, Readings, at.Readings)
	if err != nil || data == nil {
		return true // gone, like what lies before it
	}
	h, err := parseHeader(data)
	return err != nil || h.epoch.String() == at.Epoch
}

// take computes on by one block. The error says that a look back came to no end, so that the engine is void.
func (r *followerRun) take(b *kpi.Batch) error {
	gap := r.at.Epoch != "" && b.Seq > r.at.Readings+1
	if gap {
		r.tellGap(r.at.Readings+1, b.Seq-1)
	}
	r.at = kpi.Position{Epoch: b.Epoch, Readings: b.Seq}
	reports, out, err := r.engine.Take(b)
	r.looked = 0
	if r.cut != nil {
		return r.cut
	}
	if err != nil {
		r.trouble(fmt.Errorf("late readings could not be taken into the KPIs of windows that have closed: %w", err))
	}
	r.append(reports)
	for _, day := range r.states.days {
		if day.pos == unknown {
			day.pos = r.pos
		}
	}
	if out.Quarter || out.Day != "" || gap {
		r.checkpoint()
	}
	r.settle()
	return nil
}

// append puts the reports of one block of readings into the queue, unless they are there already.
func (r *followerRun) append(reports []kpi.Report) {
	if len(reports) == 0 || r.at.Readings <= r.through {
		return
	}
	pos, err := r.q.AppendReports(reports)
	if err != nil {
		r.trouble(err)
		return
	}
	r.pos, r.through = pos, r.at.Readings
	r.mu.Lock()
	r.snap.Reports += uint64(len(reports))
	window := reports[len(reports)-1].Window
	r.snap.Window = &window
	r.mu.Unlock()
}

// checkpoint sets down what is known, unless an earlier checkpoint still waits for its commit.
func (r *followerRun) checkpoint() {
	if c := r.states.current; c == nil || c.state == nil {
		r.states.put(&savedState{name: stateCurrent, at: r.at, state: r.engine.State(), pos: r.pos})
	}
}

// settle writes the states whose reports are durable, and says where the Follower stands.
func (r *followerRun) settle() {
	durable := r.q.Durable()
	wrote := false
	if time.Now().Before(r.retry) {
		durable = 0
	}
	for _, st := range append(r.states.days[:len(r.states.days):len(r.states.days)], r.states.current) {
		if st == nil || st.state == nil || st.pos > durable {
			continue
		}
		if err := r.states.write(st); err != nil {
			r.trouble(fmt.Errorf("%w; after a restart KPIs are computed anew from an older state", err))
			r.retry = time.Now().Add(diskRetry)
			break
		}
		wrote = true
	}
	r.q.mu.Lock()
	next, oldest := r.q.books.next[Readings], r.q.live.floor[Readings]
	r.q.mu.Unlock()
	if wrote {
		r.states.trim(oldest)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.snap.Position, r.snap.Lag = r.at, next-1-min(next-1, r.at.Readings)
	if wrote {
		r.snap.Error = ""
	}
}

// stop takes the last blocks and sets down the state once its reports are durable. If there is no time for that, the next start goes on from
// an older state, and comes to the same.
func (r *followerRun) stop() error {
	if _, err := r.takeAll(r.ctx); err != nil {
		return err
	}
	if err := r.q.Await(r.ctx, r.pos); err != nil || r.at.Epoch == "" {
		return err
	}
	r.states.current = nil
	r.checkpoint()
	r.settle()
	return nil
}

// tellGap tells that blocks are gone which KPIs should have been computed from.
func (r *followerRun) tellGap(from, to uint64) {
	e := drivers.Event{
		Time: drivers.Millis(time.Now()), Kind: drivers.EventKPIGap, Severity: drivers.Severe, Subject: "queue",
		Ref: &drivers.BlockRange{Stream: string(Readings), From: from, To: to},
		Text: drivers.EventText{
			EN: fmt.Sprintf("blocks %d to %d of readings were gone before KPIs were computed from them; that time is unknown in them; make buffer.max_size larger, and check the disk", from, to),
			ZH: fmt.Sprintf("读数块 %d 至 %d 在计算指标之前已不存在，指标中这段时间按未知处理；请增大 buffer.max_size，并检查磁盘", from, to),
		},
	}
	r.log.Warn(e.Text.EN)
	_, _ = r.q.Append(nil, []drivers.Event{e}, nil) // only readings can be refused
}

// trouble says what is wrong, once.
func (f *Follower) trouble(err error) {
	f.mu.Lock()
	said := f.snap.Error == err.Error()
	f.snap.Error = err.Error()
	f.mu.Unlock()
	if !said {
		f.q.cfg.Log.Error("KPIs", "error", err)
	}
}

// Snapshot may be called at any time.
func (f *Follower) Snapshot() FollowerSnapshot {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.snap
}
