package collector

import (
	"context"
	"time"

	"github.com/millgate/millgate/drivers"
)

// subscription is what a loop knows beside of a group whose device tells by itself what has changed: nothing is due there by the
// schedule, a tag that is silent holds its value, and what the gateway says in the device's place is its own.
type subscription struct {
	driver drivers.Subscriber
	at     map[*drivers.Tag]int // places of the tags in the group
	watch  []*watch             // per tag; nil: nothing to inspect
	ours   []statement          // per tag
	lost   []drivers.CauseCount
}

// statement is what the gateway has said of a tag, or must.
type statement struct {
	covered bool            // the tag was declared bad, because the device can not be read
	held    bool            // it held something before, with
	quality drivers.Quality // this
	cause   drivers.Cause   // and this
	owed    bool            // the store refused what was held last
}

func newSubscription(driver drivers.Subscriber, tags []TagRule, watched []watch) *subscription {
	s := &subscription{driver: driver, at: make(map[*drivers.Tag]int, len(tags)), watch: make([]*watch, len(tags)), ours: make([]statement, len(tags))}
	for i := range tags {
		s.at[tags[i].Tag] = i
	}
	for i := range watched {
		s.watch[watched[i].index] = &watched[i]
	}
	return s
}

// take books the outcome of a Read of a subscribed group, and leaves the readings that must be stored, in place, with the gateway's own
// behind them.
func (l *loop) take(ctx context.Context, readings []drivers.Reading, err error, c cycleTime) []drivers.Reading {
	s := l.subscription
	s.lost = s.driver.Lost(s.lost[:0])
	for _, lost := range s.lost {
		l.account.Due += lost.N
		l.account.Skipped = count(l.account.Skipped, lost.Cause, lost.N)
	}
	mark := c.quarter != l.quarter
	switch {
	case err == nil:
		l.quarter = c.quarter
		l.account.Time = drivers.Millis(c.wall)
		l.events = l.device.answered(l.index, l.events, c.wall, l.clock.now())
		return l.restate(l.receive(readings, c.tick), c, mark)
	case ctx.Err() != nil: // our stop ended the Read, not the device
		return l.readings[:0]
	case drivers.CauseOf(err) == drivers.CauseBackOff: // nobody knows yet
		return l.repay(c)
	}
	l.quarter = c.quarter
	l.events = l.device.failed(l.index, l.events, err, c.wall, l.clock.now())
	return l.declareBad(drivers.CauseOf(err), c, mark)
}

// receive counts what the device told, inspects it, and leaves what must be stored.
func (l *loop) receive(readings []drivers.Reading, tick time.Duration) []drivers.Reading {
	s, kept := l.subscription, 0
	for i := range readings {
		r := &readings[i]
		at, ok := s.at[r.Tag]
		if !ok {
			l.report("the driver returned a reading of a tag that is not its own; it is dropped; please report it", "tag", r.Tag)
			continue
		}
		l.account.Due++
		if r.Quality == drivers.Bad {
			if r.Cause == "" {
				r.Cause = drivers.CauseInternal // the list of causes is closed
			}
			l.account.Bad = count(l.account.Bad, r.Cause, 1)
		} else {
			l.account.Good++
			if w := s.watch[at]; w != nil { // a device's own times do not jump with ours
				l.events = w.inspect(r, l.events, fromMillis(r.Time))
			}
		}
		if ours := &s.ours[at]; !l.held[at].keep(&l.group.Tags[at], r, tick, ours.owed || ours.covered) {
			l.account.Suppressed++
			continue
		}
		s.ours[at] = statement{}
		readings[kept] = *r
		kept++
	}
	return readings[:kept]
}

// restate appends what a subscriber must hear again though the device did not tell it: at a quarter-hour mark and after its longest
// silence what a tag holds, and after an interruption that it holds it still.
func (l *loop) restate(readings []drivers.Reading, c cycleTime, mark bool) []drivers.Reading {
	for i := range l.held {
		h, ours := &l.held[i], &l.subscription.ours[i]
		if ours.covered {
			if !ours.held {
				continue // there was nothing before: the device will tell
			}
			h.quality, h.cause = ours.quality, ours.cause
		} else if !l.due(i, c.tick, mark) {
			continue
		}
		*ours = statement{}
		readings = l.say(readings, i, c)
	}
	return readings
}

// due says whether a tag must be told again that was not interrupted.
func (l *loop) due(i int, tick time.Duration, mark bool) bool {
	h, silence := &l.held[i], l.group.Tags[i].MaxSilence
	switch {
	case l.subscription.ours[i].owed:
		return true
	case !h.known, h.stored == tick:
		return false
	}
	return mark || silence > 0 && tick-h.stored >= silence
}

// declareBad appends that the tags can not be read: once, and at the marks.
func (l *loop) declareBad(cause drivers.Cause, c cycleTime, mark bool) []drivers.Reading {
	readings := l.readings[:0]
	for i := range l.held {
		h, ours := &l.held[i], &l.subscription.ours[i]
		if ours.covered && !ours.owed && !mark {
			continue
		}
		if !ours.covered {
			*ours = statement{covered: true, held: h.known || ours.owed, quality: h.quality, cause: h.cause}
		}
		ours.owed = false
		h.quality, h.cause = drivers.Bad, cause
		readings = l.say(readings, i, c)
	}
	return readings
}

// repay appends what the store refused.
func (l *loop) repay(c cycleTime) []drivers.Reading {
	readings := l.readings[:0]
	for i := range l.held {
		if ours := &l.subscription.ours[i]; ours.owed {
			ours.owed = false
			readings = l.say(readings, i, c)
		}
	}
	return readings
}

// say appends what is held of a tag as the gateway's own reading.
func (l *loop) say(readings []drivers.Reading, i int, c cycleTime) []drivers.Reading {
	h := &l.held[i]
	h.known, h.stored = true, c.tick
	l.account.Own++
	r := drivers.Reading{Tag: l.group.Tags[i].Tag, Quality: h.quality, Cause: h.cause, Time: drivers.Millis(c.wall)}
	if r.Quality != drivers.Bad {
		r.Value = h.value
	}
	return append(readings, r)
}
