package collector

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestTicks(t *testing.T) {
	const s = time.Second
	for _, c := range []struct{ at, interval, after, from time.Duration }{
		{0, s, s, 0},
		{1, s, s, s},
		{s - 1, s, s, s},
		{s, s, 2 * s, s},
		{s + 1, s, 2 * s, 2 * s},
		{20 * s, 7 * s, 21 * s, 21 * s},
	} {
		if got := tickAfter(c.at, c.interval); got != c.after {
			t.Errorf("tickAfter(%v, %v) = %v, want %v", c.at, c.interval, got, c.after)
		}
		if got := tickFrom(c.at, c.interval); got != c.from {
			t.Errorf("tickFrom(%v, %v) = %v, want %v", c.at, c.interval, got, c.from)
		}
	}
}

func TestTicksBetween(t *testing.T) {
	const s, year = time.Second, 366 * 24 * time.Hour
	now := 30 * year
	for _, c := range []struct {
		name        string
		last, first time.Duration
		interval    time.Duration
		want        uint64
	}{
		{"none in a seamless restart", now + 1, now + s, s, 0},
		{"the tick that was answered does not count", now, now + s, s, 0},
		{"nor does the first one", now, now + 2*s, s, 1},
		{"a tick just after the last answer counts", now - 1, now + 2*s, s, 2},
		{"last answer within the tick", now + s/2, now + 60*s, s, 59},
		{"slow group", now + 59*s, now + 180*s, 60 * s, 2},
		{"last answer later than the first tick", now + 5*s, now + s, s, 0},
		{"capped at 366 days", s, now, s, uint64(year/s) - 1},
	} {
		if got := ticksBetween(c.last, c.first, c.interval); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestTicksBetweenCounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		interval := time.Duration(rapid.Int64Range(1, 50).Draw(t, "interval"))
		last := time.Duration(rapid.Int64Range(1, 1000).Draw(t, "last"))
		first := interval * time.Duration(rapid.Int64Range(1, 100).Draw(t, "first"))
		var want uint64
		for tick := interval; tick < first; tick += interval {
			if tick > last {
				want++
			}
		}
		if got := ticksBetween(last, first, interval); got != want {
			t.Fatalf("%d, counted %d", got, want)
		}
	})
}

func TestFromMillis(t *testing.T) {
	for ms, want := range map[int64]time.Duration{
		-5: 0, 0: 0, 1: time.Millisecond, math.MaxInt64: math.MaxInt64, math.MinInt64: 0,
	} {
		if got := fromMillis(ms); got != want {
			t.Errorf("fromMillis(%d) = %d, want %d", ms, got, want)
		}
	}
}

func TestLastAlive(t *testing.T) {
	seen := map[string]int64{"old": 1000, "latest": 5000, "of a clock that was wrong": 99_000, "never": 0, "broken": -7}
	if got := lastAlive(seen, 10*time.Second); got != 5*time.Second {
		t.Errorf("lastAlive = %v, want 5s", got)
	}
	if got := lastAlive(nil, 10*time.Second); got != 0 {
		t.Errorf("lastAlive of nothing = %v, want 0", got)
	}
}
