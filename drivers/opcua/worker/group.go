package worker

import (
	"cmp"
	"fmt"
	"sync"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/opcua"
)

// reads turn what a server sends for a point into a reading's value.
type readFunc func(dv *ua.DataValue) (drivers.Value, drivers.Quality, drivers.Cause)

// group is one poll group. Its mutex guards all that is not set once.
type group struct {
	setup   *opcua.GroupSetup
	number  uint32
	session *session

	mu      sync.Mutex
	items   []*item
	readers []readFunc // per point
	sub     subscription
	out     outbox
	gap     *gap // that began and whose end is not known yet
	fills   []*fill
	lost    []drivers.CauseCount
	events  []drivers.Event
	unknown unknowns
	dropped bool      // the last push dropped a reading
	due     time.Time // of the first item that is refused or polled
}

// item is a node as it is read for one or several points.
type item struct {
	points    []uint32
	node      string // as the map says
	id        *ua.NodeID
	want      wanted
	sampling  int64  // ms, as the server grants it
	monitored uint32 // the server's id; 0: it does not monitor it
	state     itemState
	status    ua.StatusCode // why it is refused
	fresh     bool          // no value has come since it was made
	told      bool          // somebody knows that it is refused
	plain     bool          // without the deadband, which the server refuses
	retry     time.Time     // of one that is refused, or the next time that one is polled
	pause     time.Duration
	last      int64         // our time of the last value's stamp, ms since 1970 UTC; 0: none has come
	seen      *ua.DataValue // the last value of one that is polled
}

// wanted is what points must have in common to share an item.
type wanted struct {
	node     string
	path     string
	sampling int64 // ms
	queue    uint32
	newest   bool
	deadband float64
}

// itemState is how an item is read.
type itemState uint8

const (
	itemNew       itemState = iota // nothing was tried in this subscription
	itemMonitored                  // the server notifies
	itemPolled                     // it is asked for
	itemRefused                    // the server does not give it
)

const (
	bridged  = 10 * 60 * 1000 // ms of values that a server is asked to keep
	maxQueue = 10_000
)

func newGroup(s *session, number int, setup *opcua.GroupSetup) *group {
	g := &group{setup: setup, number: uint32(number), session: s}
	g.out.held = &s.held
	g.readers = make([]readFunc, len(setup.Points))
	index := make(map[wanted]*item)
	for i := range setup.Points {
		w := wantedOf(&setup.Points[i], setup)
		it := index[w]
		if it == nil || setup.Polled {
			it = &item{node: cmp.Or(w.node, w.path), want: w, sampling: w.sampling}
			index[w] = it
			g.items = append(g.items, it)
		}
		it.points = append(it.points, uint32(i))
		if i < len(setup.Last) {
			it.last = max(it.last, setup.Last[i])
		}
	}
	if setup.Reason != "" && !setup.Polled {
		g.beginGap(setup.Reason, setup.Since)
	}
	return g
}

func wantedOf(p *opcua.Point, setup *opcua.GroupSetup) wanted {
	w := wanted{node: p.Node, path: p.Path, sampling: p.Sampling.Milliseconds(), queue: p.Queue, newest: p.DiscardNewest, deadband: p.Deadband}
	if w.sampling <= 0 {
		w.sampling = max(setup.Interval, 1)
	}
	if w.queue == 0 {
		w.queue = uint32(min(max(bridged/w.sampling, 1), maxQueue))
	}
	return w
}

// batch answers an order of a subscribed group, and appends the frame's body to dst.
func (g *group) batch(o opcua.Order, dst []byte) ([]byte, error) {
	cause, text := g.session.trouble()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.out.committed(o.Committed)
	b := opcua.Batch{Group: g.number, Points: uint32(len(g.setup.Points)), Call: o.Call, Cause: cause, Error: text}
	if cause == "" {
		b.Cause, b.Error = g.sub.trouble(g.session)
	}
	if b.Cause == "" {
		b.Readings = g.out.take(o.Call, opcua.MaxReadings)
		b.Lost = g.lost
		g.lost = g.lost[:0]
	}
	b.Events = g.events
	g.events = nil
	return b.Append(dst)
}

// push adds a reading.
func (g *group) push(r opcua.BatchReading) {
	n := g.out.push(r)
	if n == 0 {
		g.dropped = false
		return
	}
	g.lose(drivers.CauseOverflow, n)
	if !g.dropped {
		g.dropped = true
		g.event(drivers.Event{Kind: drivers.EventReadingsLost, Severity: drivers.Severe, Cause: drivers.CauseOverflow, Text: drivers.EventText{
			EN: fmt.Sprintf("%s: readings are dropped: the gateway does not take them from the worker fast enough", g.setup.Device),
			ZH: fmt.Sprintf("%s：读数被丢弃：网关取走数据的速度不够快", g.setup.Device),
		}})
	}
}

// value adds the readings that a value of an item gives. The caller says when it was received.
func (g *group) value(it *item, dv *ua.DataValue, j *judge) {
	s := j.of(dv, it.fresh)
	if overflowed(dv.Status) {
		g.lose(drivers.CauseOverflow, uint64(len(it.points)))
		g.session.count.overflows.Add(1)
		g.sub.overflows++
	}
	it.fresh = false
	g.gap.ends(it, s.ours)
	if s.ours > it.last {
		it.last = s.ours
	}
	for _, p := range it.points {
		read := g.readers[p]
		if read == nil {
			continue
		}
		r := opcua.BatchReading{Point: p, Time: s.time, Source: s.source}
		r.Value, r.Quality, r.Cause = read(dv)
		if r.Quality == drivers.Bad {
			g.unknown.note(it, r.Cause)
		}
		if s.doubted {
			r.Quality, r.Cause = s.doubt(r.Quality, r.Cause)
		}
		g.push(r)
	}
}

// overflowed says that values before this one were dropped by the server (Part 4, 7.39.1: InfoType DataValue, Overflow).
func overflowed(code ua.StatusCode) bool { return code&0x0c00 == 0x0400 && code&0x80 != 0 }

// bad adds a reading without a value for each point of an item.
func (g *group) bad(it *item, cause drivers.Cause, now int64) {
	for _, p := range it.points {
		g.push(opcua.BatchReading{Point: p, Quality: drivers.Bad, Cause: cause, Time: now})
	}
}

func (g *group) lose(cause drivers.Cause, n uint64) {
	if n == 0 {
		return
	}
	for i := range g.lost {
		if g.lost[i].Cause == cause {
			g.lost[i].N += n
			return
		}
	}
	g.lost = append(g.lost, drivers.CauseCount{Cause: cause, N: n})
}

// maxEvents bounds what waits for the next batch.
const maxEvents = 200

func (g *group) event(e drivers.Event) {
	if len(g.events) >= maxEvents {
		return
	}
	e.Time, e.Subject = drivers.Millis(time.Now()), "device/"+g.setup.Device
	g.events = append(g.events, e)
}

// tagName is the name of an item's first point.
func (g *group) tagName(it *item) string {
	if p := it.points[0]; int(p) < len(g.setup.Names) {
		return g.setup.Names[p]
	}
	return it.node
}
