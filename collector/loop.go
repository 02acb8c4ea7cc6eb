package collector

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/millgate/millgate/drivers"
)

// roomy is how many times its tags a loop keeps room for.
const roomy = 3

// loop polls one group: wait for the tick, read, account, hand over.
type loop struct {
	group    Group
	index    int // of the group in its device
	device   *device
	outlet   *outlet
	clock    clock
	downtime uint64 // readings missed before this start; 0 once accounted for
	talents
	watched  []watch // the tags whose values are inspected
	held     []held  // per tag
	quarter  int64   // of the last mark
	reported map[string]bool

	// Reused by every cycle, so that the collector's part of a quiet one allocates nothing.
	readings []drivers.Reading
	events   []drivers.Event
	account  drivers.Cycle
	cycles   []drivers.Cycle
}

// talents are what the driver can do beside reading.
type talents struct {
	commits      *commits         // nil unless it is a Committer
	reporter     drivers.Reporter // nil unless it is one
	subscription *subscription    // nil unless it is a Subscriber
}

func newLoop(d *device, group Group, out *outlet) *loop {
	l := &loop{
		group: group, index: d.join(), device: d, outlet: out,
		watched:  watchesOf(group.Tags),
		held:     make([]held, len(group.Tags)),
		quarter:  never,
		reported: map[string]bool{},
		readings: make([]drivers.Reading, 0, len(group.Tags)+1), // one more for "up"
	}
	if c, ok := group.Driver.(drivers.Committer); ok {
		l.commits = &commits{driver: c}
	}
	l.reporter, _ = group.Driver.(drivers.Reporter)
	if s, ok := group.Driver.(drivers.Subscriber); ok {
		l.subscription = newSubscription(s, group.Tags, l.watched)
	}
	return l
}

// run polls until ctx is done, then closes the driver.
func (l *loop) run(ctx context.Context) {
	defer l.close()
	tick := tickAfter(l.clock.origin, l.group.Interval)
	timer := time.NewTimer(tick - l.clock.now())
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if ctx.Err() != nil { // both were ready
			return
		}
		tick = l.cycle(ctx, tick)
		timer.Reset(tick - l.clock.now())
	}
}

func (l *loop) close() {
	defer func() {
		if p := recover(); p != nil {
			l.report("the driver panicked while closing", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	if err := l.group.Driver.Close(); err != nil {
		l.report("the driver did not close cleanly", "error", err)
	}
}

// cycleTime is when a cycle takes place.
type cycleTime struct {
	tick    time.Duration
	quarter int64     // in which it began: what a mark stores was read within its quarter
	wall    time.Time // after the Read
}

// cycle serves one tick and says which one is next.
func (l *loop) cycle(ctx context.Context, tick time.Duration) (next time.Duration) {
	at := cycleTime{tick: tick, quarter: quarterOf(l.clock.wall())}
	next = tick + l.group.Interval
	late := l.clock.now() >= next // the process did not run, or the store held up the cycle before
	readings, err := l.readings[:0], error(nil)
	l.events = l.events[:0]
	if !late {
		readings, err = l.read(ctx, next)
		l.hear()
	}

	// Held until the store has it all: two groups of a device must store "up" in the order in which it changed.
	l.device.mu.Lock()
	defer l.device.mu.Unlock()
	next = max(next, tickFrom(l.clock.now(), l.group.Interval))
	at.wall = l.clock.wall()
	l.open(uint64((next-tick)/l.group.Interval), late)
	switch {
	case late:
	case l.subscription == nil:
		readings = l.poll(ctx, readings, err, at)
	default:
		readings = l.take(ctx, readings, err, at)
	}
	l.device.missed(l.account.Due)
	if l.device.mustTell(at.wall) {
		readings = append(readings, l.device.tell(at.wall))
		l.account.Own++
	}
	pos := l.handOver(readings, tick)
	if l.commits != nil && !late {
		l.commits.called(pos, len(readings) > 0)
	}
	if l.readings = readings[:0]; cap(readings) > roomy*(len(l.group.Tags)+1) {
		l.readings = make([]drivers.Reading, 0, len(l.group.Tags)+1) // what a device told after an interruption is rarely so much again
	}
	return next
}

// read asks the driver; a panic of the driver is an error of this Read.
func (l *loop) read(ctx context.Context, deadline time.Duration) (readings []drivers.Reading, err error) {
	ctx = l.clock.until(ctx, l.group.Interval, deadline)
	defer func() {
		if p := recover(); p != nil {
			l.report("the driver panicked; its readings are bad for this cycle; please report it", "panic", p, "stack", string(debug.Stack()))
			readings, err = l.readings[:0], &drivers.Error{Cause: drivers.CauseInternal, Err: fmt.Errorf("the driver panicked: %v", p)}
		}
	}()
	if l.commits != nil {
		l.commits.tell(l.outlet.store.Durable())
	}
	return l.group.Driver.Read(ctx, l.readings[:0])
}

// hear takes what the driver has to tell beside readings. A panic of the driver costs no more than that.
func (l *loop) hear() {
	if l.reporter == nil {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			l.report("the driver panicked while telling its events; they are missing; please report it", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	l.events = l.reporter.Events(l.events)
}
