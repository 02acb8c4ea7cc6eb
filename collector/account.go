package collector

import (
	"context"
	"time"

	"github.com/millgate/millgate/drivers"
)

// open begins the account of a cycle that took so many ticks: its own, unless it came too late for it, and those that passed.
func (l *loop) open(ticks uint64, late bool) {
	n, status := uint64(len(l.group.Tags)), &l.device.status
	if l.subscription != nil {
		n = 0 // a tick owes nothing
	}
	l.account = drivers.Cycle{Device: status.Device, Due: ticks * n, Bad: l.account.Bad[:0], Skipped: l.account.Skipped[:0]}
	if !late {
		status.Cycles++
		ticks--
	}
	status.Overruns += ticks
	l.account.Skipped = count(l.account.Skipped, drivers.CauseOverrun, ticks*n)
}

// poll books the outcome of a Read that owes one reading per tag, and leaves the readings that must be stored.
func (l *loop) poll(ctx context.Context, readings []drivers.Reading, err error, c cycleTime) []drivers.Reading {
	readings = l.book(ctx, readings, err, c.wall)
	l.events = inspect(l.watched, readings, l.events, l.clock.now())
	return l.reportByException(readings, c.tick, c.quarter)
}

// book turns the outcome of a Read into the readings of the cycle and into what the device showed of itself.
func (l *loop) book(ctx context.Context, readings []drivers.Reading, err error, now time.Time) []drivers.Reading {
	n, at := uint64(len(l.group.Tags)), drivers.Millis(now)
	if err == nil {
		l.account.Time = at
		l.events = l.device.answered(l.index, l.events, now, l.clock.now())
		return l.fit(readings, at)
	}
	readings = l.readings[:0]
	switch cause := drivers.CauseOf(err); {
	case cause == drivers.CauseBackOff:
		l.account.Skipped = count(l.account.Skipped, cause, n)
	case ctx.Err() != nil: // our stop ended the Read, not the device
		l.account.Skipped = count(l.account.Skipped, drivers.CauseGatewayDown, n)
	default:
		l.events = l.device.failed(l.index, l.events, err, now, l.clock.now())
		for i := range l.group.Tags {
			readings = append(readings, drivers.BadReading(l.group.Tags[i].Tag, cause, at))
		}
	}
	return readings
}

// fit makes sure of one reading per tag, in order. A driver that returns anything else has a defect: what is missing is bad, what
// does not belong there is dropped.
func (l *loop) fit(readings []drivers.Reading, at int64) []drivers.Reading {
	tags := l.group.Tags
	fits := len(readings) == len(tags)
	for i := 0; fits && i < len(tags); i++ {
		fits = readings[i].Tag == tags[i].Tag
	}
	if fits {
		return readings
	}
	l.report("the driver did not return one reading per tag in order; what is missing is bad; please report it",
		"tags", len(tags), "readings", len(readings))
	fitted := make([]drivers.Reading, 0, len(tags)+1)
	for i := range tags {
		if len(readings) > 0 && readings[0].Tag == tags[i].Tag {
			fitted = append(fitted, readings[0])
			readings = readings[1:]
		} else {
			fitted = append(fitted, drivers.BadReading(tags[i].Tag, drivers.CauseInternal, at))
		}
	}
	return fitted
}

// reportByException counts the readings, one per tag or none at all, and leaves those that must be stored, in place.
func (l *loop) reportByException(readings []drivers.Reading, tick time.Duration, quarter int64) []drivers.Reading {
	if len(readings) == 0 {
		return readings // and a mark stays due
	}
	mark := quarter != l.quarter // after a step of the wall clock too, in either direction
	l.quarter = quarter
	kept := 0
	for i := range readings {
		r := &readings[i]
		if r.Quality != drivers.Bad {
			l.account.Good++
		} else {
			if r.Cause == "" {
				r.Cause = drivers.CauseInternal // the list of causes is closed
			}
			l.account.Bad = count(l.account.Bad, r.Cause, 1)
		}
		if !l.held[i].keep(&l.group.Tags[i], r, tick, mark) {
			continue
		}
		if kept != i {
			readings[kept] = *r
		}
		kept++
	}
	l.account.Suppressed = uint64(len(readings) - kept)
	return readings[:kept]
}

// handOver gives the cycle to the store, and with the first one the account of the time before this start. What the store refuses
// was never stored.
func (l *loop) handOver(readings []drivers.Reading, tick time.Duration) (pos uint64) {
	l.cycles = l.cycles[:0]
	if l.downtime > 0 {
		l.cycles = append(l.cycles, drivers.Cycle{
			Device: l.account.Device, Due: l.downtime, Skipped: count(nil, drivers.CauseGatewayDown, l.downtime),
		})
		l.downtime = 0
	}
	l.cycles = append(l.cycles, l.account)
	pos, ok := l.outlet.append(readings, l.events, l.cycles)
	if !ok {
		for i := range l.held {
			if l.held[i].forget(tick) && l.subscription != nil {
				l.subscription.ours[i].owed = true
			}
		}
		if l.account.Own > 0 {
			l.device.told = false
		}
	}
	return pos
}

// report logs a defect of the driver, once per kind: it may come with every cycle.
func (l *loop) report(defect string, args ...any) {
	if l.reported[defect] {
		return
	}
	l.reported[defect] = true
	l.outlet.log.With("device", l.device.status.Device, "interval", l.group.Interval).Error(defect, args...)
}

func count(counts []drivers.CauseCount, cause drivers.Cause, n uint64) []drivers.CauseCount {
	if n == 0 {
		return counts
	}
	for i := range counts {
		if counts[i].Cause == cause {
			counts[i].N += n
			return counts
		}
	}
	return append(counts, drivers.CauseCount{Cause: cause, N: n})
}
