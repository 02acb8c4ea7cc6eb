package worker

import (
	"sync"
	"time"
	_ "time/tzdata" // of the zones that a site may name

	"github.com/gopcua/opcua/ua"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/opcua"
)

var sane = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// clock judges the server's stamps. Times are ms since 1970 UTC.
type clock struct {
	ignore   bool
	zone     *time.Location // nil: UTC
	maxError int64          // ms

	mu     sync.Mutex
	known  bool
	offset int64 // the server's clock less ours, ms, after the zone
	wall   bool  // the server's own clock is in the zone too
	far    bool  // offset is beyond maxError
}

func newClock(c opcua.Clock) *clock {
	k := &clock{ignore: c.Ignore, maxError: c.MaxError.Milliseconds()}
	if c.MaxError == 0 {
		k.maxError = opcua.DefaultClockError.Milliseconds()
	}
	if c.Zone != "" {
		if zone, err := time.LoadLocation(c.Zone); err == nil {
			k.zone = zone
		}
	}
	return k
}

// utc is what t means if it is local time of the zone, sent as UTC.
func (k *clock) utc(t time.Time) time.Time {
	if k.zone == nil {
		return t
	}
	t = t.UTC()
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), k.zone)
}

// measured takes the server's CurrentTime, asked for at sent and received after the round trip. It says whether the server's clock has just
// become too wrong or right again.
func (k *clock) measured(server, sent time.Time, trip time.Duration) (changed bool) {
	ours := sent.Add(trip / 2)
	offset := server.Sub(ours).Milliseconds()
	wall := false
	if local := k.utc(server).Sub(ours).Milliseconds(); k.zone != nil && abs(local) < abs(offset) {
		offset, wall = local, true
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	far := abs(offset) > k.maxError
	changed = far != k.far
	k.known, k.offset, k.wall, k.far = true, offset, wall, far
	return changed
}

// state is the offset and whether it is too far.
func (k *clock) state() (offset int64, known, far bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.offset, k.known, k.far
}

// at is what is needed to judge all stamps of one message that was published at t, the server's time, and received at now.
func (k *clock) at(published time.Time, now int64) judge {
	k.mu.Lock()
	defer k.mu.Unlock()
	j := judge{clock: k, now: now, offset: k.offset, far: k.far, latest: now + k.offset}
	if !published.Before(sane) {
		if k.wall {
			published = k.utc(published)
		}
		j.latest = max(j.latest, published.UnixMilli())
	}
	j.latest += k.maxError
	return j
}

// judge judges the stamps of one message.
type judge struct {
	clock       *clock
	now, offset int64
	latest      int64 // what a sane stamp is not later than, in the server's time
	far         bool
}

// stamped is a judged stamp: the fields of a Reading, and the stamp in our time, 0 if there is none.
type stamped struct {
	time, source int64
	doubted      bool
	ours         int64
}

// of judges the stamps of a value. A first value since its item was made may be old: it has not changed since.
func (j *judge) of(dv *ua.DataValue, first bool) stamped {
	t := dv.SourceTimestamp
	if t.Before(sane) && !dv.ServerTimestamp.IsZero() {
		t = dv.ServerTimestamp
	}
	if t.IsZero() || j.clock.ignore {
		return stamped{time: j.now, ours: j.now}
	}
	stamp := j.clock.utc(t).UnixMilli()
	insane := t.Before(sane) || stamp > j.latest
	ours := stamp - j.offset
	if !j.far {
		ours = stamp
	}
	s := stamped{time: ours, ours: ours}
	if insane {
		s = stamped{time: j.now}
	}
	if s.time < j.now-j.clock.maxError && first {
		s.time = j.now
		if !j.far && !insane {
			return s
		}
	}
	if j.far || insane {
		s.time, s.source, s.doubted = min(s.time, j.now), t.UnixMilli(), true
	}
	return s
}

// doubt lowers a quality for a stamp that was not believed.
func (s *stamped) doubt(q drivers.Quality, cause drivers.Cause) (drivers.Quality, drivers.Cause) {
	if s.doubted && q == drivers.Good {
		return drivers.Uncertain, drivers.CauseSourceTime
	}
	return q, cause
}

// toServer is one of our times as the server would stamp it.
func (k *clock) toServer(ms int64) time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.far {
		ms += k.offset
	}
	t := time.UnixMilli(ms).UTC()
	if k.zone == nil {
		return t
	}
	l := t.In(k.zone)
	return time.Date(l.Year(), l.Month(), l.Day(), l.Hour(), l.Minute(), l.Second(), l.Nanosecond(), time.UTC)
}

func abs(n int64) int64 { return max(n, -n) }
