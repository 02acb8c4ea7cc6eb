package worker

import (
	"testing"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/opcua"
)

func TestStamps(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 500_000_000, time.UTC)
	ms := now.UnixMilli()
	hour := int64(time.Hour / time.Millisecond)
	for _, c := range []struct {
		what        string
		clock       opcua.Clock
		offset      time.Duration // of the server's clock
		source      time.Time
		server      time.Time
		published   time.Time // zero: by the server's clock, now
		first       bool
		time, stamp int64 // of the reading; stamp 0: none
		doubted     bool
		noMeasure   bool
		ours        int64 // 0: as time
	}{
		{what: "a stamp", source: now.Add(-300 * time.Millisecond), time: ms - 300},
		{what: "truncated to ms", source: now.Add(999 * time.Microsecond), time: ms},
		{what: "the server's where the source has none", server: now.Add(-time.Second), time: ms - 1000},
		{what: "the server's where the source's is insane", source: time.Date(1816, 3, 30, 0, 0, 0, 0, time.UTC), server: now.Add(-time.Second), time: ms - 1000},
		{what: "none", time: ms},
		{what: "what the server kept for long", source: now.Add(-9 * time.Minute), time: ms - 9*60_000},
		{what: "a first value is old", source: now.Add(-24 * time.Hour), first: true, time: ms, ours: ms - 24*hour},
		{what: "a first value is recent", source: now.Add(-4 * time.Second), first: true, time: ms - 4000},
		{what: "of the future", source: now.Add(time.Minute), time: ms, stamp: ms + 60_000, doubted: true, ours: -1},
		{what: "a little ahead", source: now.Add(9 * time.Second), time: ms + 9000},
		{what: "an offset that is believed", offset: 8 * time.Second, source: now.Add(15 * time.Second), time: ms + 15_000},
		{what: "before 2000", source: time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC), time: ms, stamp: time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC).UnixMilli(), doubted: true, ours: -1},
		{what: "an hour ahead", offset: time.Hour, source: now.Add(time.Hour - time.Second), time: ms - 1000, stamp: ms + hour - 1000, doubted: true},
		{what: "an hour ahead, clipped to now", offset: time.Hour, source: now.Add(time.Hour + 5*time.Second), time: ms, stamp: ms + hour + 5000, doubted: true, ours: ms + 5000},
		{what: "an hour behind", offset: -time.Hour, source: now.Add(-time.Hour - time.Second), time: ms - 1000, stamp: ms - hour - 1000, doubted: true},
		{what: "an hour behind, first and old", offset: -time.Hour, source: now.Add(-50 * time.Hour), first: true, time: ms, stamp: ms - 50*hour, doubted: true, ours: ms - 49*hour},
		{what: "a wider bound", clock: opcua.Clock{MaxError: 2 * time.Hour}, offset: time.Hour, source: now.Add(time.Hour), time: ms + hour},
		{what: "ignored", clock: opcua.Clock{Ignore: true}, offset: time.Hour, source: now.Add(time.Hour), time: ms},
		{what: "ignored and old", clock: opcua.Clock{Ignore: true}, source: now.Add(-time.Hour), time: ms},
		{what: "local time, the server's clock in UTC", clock: opcua.Clock{Zone: "Asia/Shanghai"}, source: now.Add(8*time.Hour - time.Second), time: ms - 1000},
		{what: "local time, the server's clock too", clock: opcua.Clock{Zone: "Asia/Shanghai"}, offset: 8 * time.Hour, source: now.Add(8*time.Hour - time.Second), time: ms - 1000},
		{what: "not measured", noMeasure: true, source: now.Add(-time.Second), time: ms - 1000},
	} {
		k := newClock(c.clock)
		if !c.noMeasure {
			k.measured(now.Add(c.offset), now.Add(-10*time.Millisecond), 20*time.Millisecond)
		}
		if c.published.IsZero() {
			c.published = now.Add(c.offset)
		}
		j := k.at(c.published, ms)
		got := j.of(&ua.DataValue{SourceTimestamp: c.source, ServerTimestamp: c.server}, c.first)
		if c.ours == 0 {
			c.ours = c.time
		} else if c.ours < 0 {
			c.ours = 0
		}
		if want := (stamped{time: c.time, source: c.stamp, doubted: c.doubted, ours: c.ours}); got != want {
			t.Errorf("%s: %+v, want %+v", c.what, got, want)
		}
		q, cause := got.doubt(drivers.Good, "")
		if c.doubted != (q == drivers.Uncertain && cause == drivers.CauseSourceTime) {
			t.Errorf("%s: %v %v", c.what, q, cause)
		}
		if q, cause := got.doubt(drivers.Bad, drivers.CauseNotANumber); q != drivers.Bad || cause != drivers.CauseNotANumber {
			t.Errorf("%s: a bad reading became %v %v", c.what, q, cause)
		}
	}
}

func TestOffset(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	k := newClock(opcua.Clock{})
	if k.measured(now.Add(time.Second), now, 2*time.Second) {
		t.Error("no offset is a change")
	}
	if offset, known, far := k.state(); offset != 0 || !known || far {
		t.Errorf("half of the round trip is not taken off: %d ms", offset)
	}
	if !k.measured(now.Add(11*time.Second), now, 0) || k.measured(now.Add(time.Hour), now, 0) {
		t.Error("beyond the bound is a change, once")
	}
	if !k.measured(now.Add(-10*time.Second), now, 0) {
		t.Error("back within the bound is a change")
	}
}

func TestToServer(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	k := newClock(opcua.Clock{Zone: "Asia/Shanghai"})
	k.measured(now.Add(9*time.Hour), now, 0) // an hour wrong, too
	if got, want := k.toServer(now.UnixMilli()), now.Add(9*time.Hour); !got.Equal(want) {
		t.Errorf("%v, want %v", got, want)
	}
}
