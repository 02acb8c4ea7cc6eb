package collector

import (
	"context"
	"math"
	"sync"
	"time"
)

const (
	quarterHour = 15 * time.Minute
	maxDowntime = 366 * 24 * time.Hour // a longer one is rather a clock that was wrong
)

// clock tells the time of the schedule: nanoseconds since 1970 UTC as the wall clock stood at start, growing with the monotonic
// clock from there. It is never set.
type clock struct {
	start  time.Time
	origin time.Duration    // the schedule's time at start
	wall   func() time.Time // the wall clock, which may be set at any moment
	ends   *deadlines
}

func newClock(start time.Time, wall func() time.Time) clock {
	return clock{start: start, origin: time.Duration(start.UnixNano()), wall: wall, ends: &deadlines{at: map[time.Duration]deadline{}}}
}

// deadlines gives all groups that read until the same tick one context: one for each would cost as much as what their devices say.
type deadlines struct {
	mu sync.Mutex
	at map[time.Duration]deadline // the newest of each interval
}

type deadline struct {
	tick         time.Duration
	ctx          context.Context
	cancel, last context.CancelFunc // of ctx, and of the one before it
}

// until is a context of parent that ends at a tick of the interval. All calls for an interval must have the same parent.
func (c clock) until(parent context.Context, interval, tick time.Duration) context.Context {
	c.ends.mu.Lock()
	defer c.ends.mu.Unlock()
	d := c.ends.at[interval]
	if d.tick == tick {
		return d.ctx
	}
	if d.last != nil {
		d.last() // it has ended by itself, a tick ago; the one before this may end at this moment, and must say why
	}
	d.tick, d.last = tick, d.cancel
	d.ctx, d.cancel = context.WithDeadline(parent, c.time(tick))
	c.ends.at[interval] = d
	return d.ctx
}

func (c clock) now() time.Duration { return c.origin + time.Since(c.start) }

// time is the schedule's time at as a deadline, which keeps to the monotonic clock.
func (c clock) time(at time.Duration) time.Time { return c.start.Add(at - c.origin) }

// tickAfter is the first tick later than at.
func tickAfter(at, interval time.Duration) time.Duration { return at - at%interval + interval }

// tickFrom is the first tick not earlier than at.
func tickFrom(at, interval time.Duration) time.Duration {
	if at%interval == 0 {
		return at
	}
	return tickAfter(at, interval)
}

// ticksBetween counts the ticks later than last and earlier than the tick first, looking back no further than maxDowntime.
func ticksBetween(last, first, interval time.Duration) uint64 {
	last = max(last, first-maxDowntime)
	return uint64(max(0, first/interval-last/interval-1))
}

// lastAlive is when the gateway last worked, as far as its devices' answers before now tell. A device that was silent before the
// gateway stopped does not make the gateway's own downtime longer: that time is already accounted for.
func lastAlive(lastSeen map[string]int64, now time.Duration) time.Duration {
	var alive time.Duration
	for _, ms := range lastSeen {
		if at := fromMillis(ms); at < now {
			alive = max(alive, at)
		}
	}
	return alive
}

// fromMillis is the schedule's time of a Unix time in ms; one that can not be expressed lies in the far future or is 0.
func fromMillis(ms int64) time.Duration {
	if ms > math.MaxInt64/int64(time.Millisecond) {
		return math.MaxInt64
	}
	return time.Duration(max(0, ms)) * time.Millisecond
}

// quarterOf numbers the quarter hours of UTC.
func quarterOf(t time.Time) int64 { return t.Unix() / int64(quarterHour/time.Second) }
