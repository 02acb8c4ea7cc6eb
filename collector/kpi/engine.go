package kpi

import "github.com/millgate/millgate/drivers"

// settle is how long after a moment readings of it may still come and are no late data, ms: devices' clocks are believed if they are within
// 10 s of ours, either way, and a commit takes its time.
const settle = 25_000

const (
	stride   = 5_000           // what has settled is worked off in strides of so many ms at least: each subject's memory is visited less often
	setBack  = 5 * 60_000      // a block that is older than the newest by more, ms, holds only late readings, or the clock was set back
	patience = 600             // so many such blocks on end, and it was set back: at least ten minutes of work
	leap     = 40 * 86_400_000 // a clock that jumps further forward, ms, was wrong before or is wrong now: windows between are not worth having
)

// Batch is one stored block of readings as an Engine takes it. The engine keeps nothing of it.
type Batch struct {
	Epoch     string
	Seq       uint64
	Catalogue string // of the tags' indices: readings of the same catalogue have the same Tag.Index for the same tag
	Started   int64  // ms since 1970 UTC: when the run of the gateway began whose first block this is; else 0
	Readings  []drivers.Reading
	Seen      []Seen
}

// Seen says when a device that is up but silent last answered, ms since 1970 UTC.
type Seen struct {
	Device string
	Time   int64
}

// Output is what follows from a batch.
type Output struct {
	Reports []Report // windows that have closed, in order; of each all results
	Rewind  *Rewind  // late readings have come: compute anew from a state before them
	Day     string   // a production day has begun with this batch: its label. State is worth keeping
	Quarter bool     // a quarter of an hour has passed: likewise, but only until the next
}

// Rewind names late readings.
type Rewind struct {
	From   int64  // ms since 1970 UTC of the earliest
	Reason string // of Report.Reason
}

// Engine computes KPIs from stored blocks in their order. It is a pure function of them: the same blocks give the same reports.
type Engine struct {
	plan     *Plan
	tracks   []*track // by Plan.subjects; none while scanning
	tables   map[string]*table
	texts    texts
	explain  []explanation
	position Position
	open     [numKinds]openWindow
	boundary int64  // the next moment at which a window begins or ends
	dirty    Rewind // From is unending if nothing came late
	times    times
	replay   replay
}

// times are the engine's clock, which readings drive. All are ms since 1970 UTC.
type times struct {
	Begun   bool   `json:"begun"`
	Horizon int64  `json:"horizon"` // the greatest time of any reading, or at which a device was seen
	Done    int64  `json:"done"`    // everything before it has been worked off; readings from before are late
	Start   int64  `json:"start"`   // nothing is computed from readings before it
	Closed  int64  `json:"closed"`  // the end of the last window of all that was closed
	Low     lowRun `json:"low"`
}

// lowRun counts blocks on end that are far older than the horizon.
type lowRun struct {
	N     int    `json:"n"`
	First uint64 `json:"first"` // the first of them
	At    int64  `json:"at"`    // its newest time
}

// NewEngine has seen nothing.
func NewEngine(p *Plan) *Engine {
	e := &Engine{
		plan: p, tables: map[string]*table{}, texts: texts{}, dirty: Rewind{From: unending}, tracks: make([]*track, len(p.subjects)),
	}
	for i, s := range p.subjects {
		e.tracks[i] = newTrack(s, 0)
	}
	return e
}

// Position is the last block taken; 0 if none.
func (e *Engine) Position() Position { return e.position }

// Take computes on by one block. A seq that was taken already is passed over; one that does not follow the last one opens a gap: what was
// the case meanwhile is unknown.
func (e *Engine) Take(b *Batch) (out Output) {
	follows := b.Epoch == e.position.Epoch
	if follows && b.Seq <= e.position.Readings {
		return out
	}
	if b.Started != 0 || !follows || b.Seq != e.position.Readings+1 {
		e.lose()
	}
	e.position = Position{Epoch: b.Epoch, Readings: b.Seq}
	quarter, day := e.open[kindOf(Quarter)].Window, e.open[kindOf(Day)].Window
	newest := b.newest()
	back := e.follow(newest, &out)
	e.distribute(b, &out)
	if newest > 0 {
		e.times.Horizon = max(e.times.Horizon, newest)
		out.Reports = e.advance(e.times.Horizon-settle, out.Reports)
	}
	out.Quarter = quarter != e.open[kindOf(Quarter)].Window
	if now := e.open[kindOf(Day)].Window; now != day {
		out.Day = now.Label
	}
	if e.dirty.From != unending && (out.Quarter || back) {
		rewind := e.dirty
		out.Rewind, e.dirty = &rewind, Rewind{From: unending}
	}
	return out
}

// newest is the greatest time in the block; 0 if it has none. What people enter is of another time by nature.
func (b *Batch) newest() (t int64) {
	for i := range b.Readings {
		if r := &b.Readings[i]; r.Time > t && r.Tag.Device != ManualDevice {
			t = r.Time
		}
	}
	for i := range b.Seen {
		t = max(t, b.Seen[i].Time)
	}
	return t
}

// follow brings the clock to a block, before its readings are taken. It says whether the clock was found to have been set back.
func (e *Engine) follow(newest int64, out *Output) (back bool) {
	c := &e.times
	switch {
	case newest == 0:
	case !c.Begun:
		c.Begun, c.Start = true, newest-settle
		e.beginAt(newest)
	case newest > c.Horizon+leap:
		out.Reports = e.end(out.Reports)
		e.beginAt(newest)
	case newest >= c.Horizon-setBack:
		c.Low = lowRun{}
	default:
		if c.Low.N == 0 {
			c.Low = lowRun{First: e.position.Readings, At: newest}
		}
		if c.Low.N++; c.Low.N > patience {
			e.dirty = Rewind{From: min(e.dirty.From, c.Low.At), Reason: ReasonLate}
			e.replay.setBack(c.Low)
			e.beginAt(newest)
			return true
		}
	}
	return false
}

// beginAt begins anew: nothing is known but how far counters and lives have come.
func (e *Engine) beginAt(newest int64) {
	c := &e.times
	c.Horizon, c.Done, c.Low = newest, newest-settle, lowRun{}
	for _, k := range e.tracks {
		k.begin(c.Done)
	}
	e.open = [numKinds]openWindow{}
	e.openAt(c.Done)
}

// end works off what has come and closes what is open: its rest is unknown.
func (e *Engine) end(reports []Report) []Report {
	c := &e.times
	e.lose()
	reports = e.work(c.Horizon+1, reports)
	for _, k := range e.tracks {
		k.cut(&e.open)
	}
	for kind := range e.open {
		o := &e.open[kind]
		if !o.Open {
			continue
		}
		for _, k := range e.tracks {
			k.miss(e.plan, &k.windows[kind], c.Done, o.Window.To)
		}
		reports = e.report(kind, reports)
	}
	return reports
}

// advance works off what is older than the watermark, in strides, and whenever a window ends.
func (e *Engine) advance(watermark int64, reports []Report) []Report {
	if watermark-e.times.Done < stride && watermark < e.boundary {
		return reports
	}
	return e.work(watermark, reports)
}

func (e *Engine) work(to int64, reports []Report) []Report {
	for e.times.Done < to {
		stop := min(to, e.boundary)
		for _, k := range e.tracks {
			k.advance(e.plan, stop)
		}
		e.times.Done = stop
		if stop == e.boundary {
			reports = e.closeAt(stop, reports)
			e.openAt(stop)
		}
	}
	return reports
}

// lose makes everything unknown from the newest time that is known: nobody looked since. That time does not depend on what came late, and
// whoever was up was heard at about then.
func (e *Engine) lose() {
	if !e.times.Begun {
		return
	}
	for _, members := range e.plan.members {
		for _, t := range members {
			e.tell(t, arrival{t: e.times.Horizon, input: t.input})
		}
	}
}

// tell hands an observation to the subject that it is for, unless it is late.
func (e *Engine) tell(t target, o arrival) {
	switch {
	case o.t < e.times.Done:
		reason := ReasonLate
		if o.swap {
			reason = ReasonSwap
		}
		e.late(t, o, o.t, reason)
	case len(e.tracks) > 0:
		e.tracks[t.subject].tell(o)
	}
}

// late takes what can not be taken any more: by computing anew, or, where that is under way, not at all.
func (e *Engine) late(t target, o arrival, from int64, reason string) {
	switch {
	case e.replay.collect(t, o, e.position.Readings), from < e.times.Start:
	case e.dirty.From == unending:
		e.dirty = Rewind{From: from, Reason: reason}
	default:
		e.dirty.From = min(e.dirty.From, from)
		if e.dirty.Reason != reason {
			e.dirty.Reason = ReasonLate
		}
	}
}
