package opcua

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/millgate/millgate/drivers"
)

// group is one poll group over the lives of its worker.
type group struct {
	server *server
	config Config
	number uint64 // of the Read under way, from 1; the poll loop's

	mu      sync.Mutex
	life    life
	batch   Batch             // decodes into the same memory each time
	waiting []drivers.Reading // that came and that no Read has given yet
	lost    []drivers.CauseCount
	events  []drivers.Event
	gap     gap
}

// life is what belongs to one worker.
type life struct {
	seat      *seat
	kept      uint64   // calls that were answered, and whose readings no Read has given yet
	given     []uint64 // per call behind the committed ones and before the kept ones: the Read that gave its readings
	committed uint64
}

// gap is from when on readings will be missing if the worker dies now.
type gap struct {
	since  int64
	reason drivers.Cause
	last   []int64 // per point; nil: none came yet
}

func newGroup(s *server, cfg Config) *group {
	g := &group{server: s, config: cfg, gap: gap{since: cfg.Since, last: slices.Clone(cfg.Last)}}
	if cfg.Since != 0 {
		g.gap.reason = drivers.CauseGatewayDown
	}
	return g
}

// setup is the group for a worker about to start.
func (g *group) setup() GroupSetup {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := GroupSetup{
		Device: g.config.Device, Interval: g.config.Interval.Milliseconds(), Polled: g.config.Polled, Root: g.config.Root, Points: g.config.Points,
		Since: g.gap.since, Reason: g.gap.reason, Last: g.gap.last,
	}
	for i := range g.config.Points {
		s.Names = append(s.Names, g.config.Points[i].Tag.Name)
	}
	return s
}

// widow ends a life: what the worker still sent is kept, what it did not confirm at the server is not confirmed to the next one.
func (g *group) widow(s *seat) {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case body := <-s.inbox:
		if !g.config.Polled {
			g.waiting, _, _ = g.absorb(s, body, g.waiting)
		}
	default:
	}
	g.life = life{}
	if g.gap.last != nil {
		g.gap.reason = drivers.CauseWorkerCrash
		if s.process.failure == nil {
			g.gap.reason = drivers.CauseGap
		}
	}
}

// absorb takes over an answer, and appends its readings to dst; cause says why the device can not be read. The error says that the answer
// is not one. g is locked.
func (g *group) absorb(s *seat, body []byte, dst []drivers.Reading) (readings []drivers.Reading, cause *drivers.Error, err error) {
	b, before := &g.batch, len(dst)
	p := parser{b: body}
	if b.head(&p); int(b.Points) != len(g.config.Points) || b.Call != s.call {
		return dst, nil, fmt.Errorf("%w: it answers call %d of %d points, not %d of %d", errFrame, b.Call, b.Points, s.call, len(g.config.Points))
	}
	if err := b.rest(&p); err != nil {
		return dst, nil, err
	}
	select {
	case s.process.pipes.spare <- body[:0]:
	default:
	}
	if g.config.Polled && b.Cause == "" && !b.complete() {
		return dst, nil, fmt.Errorf("%w: it has %d readings, not one of each of %d points in order", errFrame, len(b.Readings), b.Points)
	}
	if g.life.seat == s {
		g.life.kept++
	}
	if g.gap.last == nil && len(b.Readings) > 0 {
		g.gap.last = make([]int64, len(g.config.Points))
	}
	for i := range b.Readings {
		r := &b.Readings[i]
		g.gap.last[r.Point] = r.Time
		dst = append(dst, drivers.Reading{Tag: g.config.Points[r.Point].Tag, Value: r.Value, Quality: r.Quality, Cause: r.Cause, Time: r.Time, SourceTime: r.Source})
	}
	if cap(b.Readings) > 3*len(g.config.Points) {
		b.Readings = nil // so many come after an interruption only
	}
	g.events = append(g.events, b.Events...)
	for _, l := range b.Lost {
		g.lost = count(g.lost, l)
	}
	if b.Cause != "" {
		if g.config.Polled {
			dst = dst[:before]
		}
		return dst, &drivers.Error{Cause: b.Cause, Err: errors.New(b.Error)}, nil
	}
	if g.gap.last != nil {
		g.gap.since = nowMillis()
	}
	return dst, nil, nil
}

// complete says that b has one reading of each point, in order.
func (b *Batch) complete() bool {
	for i := range b.Readings {
		if int(b.Readings[i].Point) != i {
			return false
		}
	}
	return len(b.Readings) == int(b.Points)
}

func count(all []drivers.CauseCount, more drivers.CauseCount) []drivers.CauseCount {
	for i := range all {
		if all[i].Cause == more.Cause {
			all[i].N += more.N
			return all
		}
	}
	return append(all, more)
}

// tell keeps an event for the next Events.
func (g *group) tell(e drivers.Event) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.events = append(g.events, e)
}
