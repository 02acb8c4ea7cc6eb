package collector

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/millgate/millgate/drivers"
)

func good(v drivers.Value) drivers.Reading { return drivers.Reading{Value: v, Quality: drivers.Good} }

func bad(cause drivers.Cause) drivers.Reading { return drivers.BadReading(nil, cause, 0) }

func TestKeep(t *testing.T) {
	const s = time.Second
	f, i, text := drivers.Float64Value, drivers.IntValue, drivers.TextValue
	uncertain := drivers.Reading{Value: f(1), Quality: drivers.Uncertain, Cause: drivers.CauseSourceTime}
	onChange, always := TagRule{Tag: &drivers.Tag{}, OnChange: true}, TagRule{Tag: &drivers.Tag{}}
	deadband := TagRule{Tag: &drivers.Tag{}, OnChange: true, Deadband: 0.5}
	silence := TagRule{Tag: &drivers.Tag{}, OnChange: true, MaxSilence: 10 * s}
	state := TagRule{Tag: &drivers.Tag{Kind: drivers.State}, OnChange: true, Deadband: 100}
	for _, c := range []struct {
		name        string
		rule        TagRule
		first, next drivers.Reading
		after       time.Duration
		want        bool
	}{
		{"always: the same value", always, good(f(1)), good(f(1)), s, true},
		{"on change: the same value", onChange, good(f(1)), good(f(1)), s, false},
		{"on change: any change", onChange, good(f(1)), good(f(math.Nextafter(1, 2))), s, true},
		{"on change: minus zero is no change", onChange, good(f(0)), good(f(math.Copysign(0, -1))), s, false},
		{"deadband: less", deadband, good(f(1)), good(f(1.25)), s, false},
		{"deadband: equal", deadband, good(f(1)), good(f(1.5)), s, false},
		{"deadband: more", deadband, good(f(1)), good(f(1.75)), s, true},
		{"deadband: more, downwards", deadband, good(f(1)), good(f(0.25)), s, true},
		{"deadband: infinitely more", deadband, good(f(-math.MaxFloat64)), good(f(math.MaxFloat64)), s, true},
		{"deadband: float32", deadband, good(drivers.Float32Value(1)), good(drivers.Float32Value(1.25)), s, false},
		{"deadband: integers", deadband, good(i(1)), good(i(2)), s, true},
		{"deadband: that is no number holds nothing back", TagRule{Tag: &drivers.Tag{}, OnChange: true, Deadband: math.NaN()}, good(i(1)), good(i(2)), s, true},
		{"large integers exactly", onChange, good(i(1 << 60)), good(i(1<<60 + 1)), s, true},
		{"large unsigned exactly", onChange, good(drivers.UintValue(math.MaxUint64)), good(drivers.UintValue(math.MaxUint64 - 1)), s, true},
		{"integers across the whole range", TagRule{Tag: &drivers.Tag{}, OnChange: true, Deadband: 1e19}, good(i(math.MinInt64)), good(i(math.MaxInt64)), s, true},
		{"negative integers within the deadband", TagRule{Tag: &drivers.Tag{}, OnChange: true, Deadband: 3}, good(i(-1)), good(i(2)), s, false},
		{"a state has no deadband", state, good(i(3)), good(i(4)), s, true},
		{"text that changes", deadband, good(text("a")), good(text("b")), s, true},
		{"text that stays", deadband, good(text("a")), good(text("a")), s, false},
		{"bool that changes", deadband, good(drivers.BoolValue(false)), good(drivers.BoolValue(true)), s, true},
		{"another type", deadband, good(i(1)), good(f(1)), s, true},
		{"before the maximum silence", silence, good(f(1)), good(f(1)), 9 * s, false},
		{"at the maximum silence", silence, good(f(1)), good(f(1)), 10 * s, true},
		{"good to uncertain", deadband, good(f(1)), uncertain, s, true},
		{"uncertain stays", deadband, uncertain, uncertain, s, false},
		{"good to bad", deadband, good(f(1)), bad(drivers.CauseTimeout), s, true},
		{"bad to good", deadband, bad(drivers.CauseTimeout), good(f(1)), s, true},
		{"bad stays, on change", silence, bad(drivers.CauseTimeout), bad(drivers.CauseTimeout), 20 * s, false},
		{"bad stays, always", always, bad(drivers.CauseTimeout), bad(drivers.CauseTimeout), s, false},
		{"bad for another cause", always, bad(drivers.CauseTimeout), bad(drivers.CauseLost), s, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var h held
			if !h.keep(&c.rule, &c.first, 100*s, false) {
				t.Error("the first reading was not kept")
			}
			if got := h.keep(&c.rule, &c.next, 100*s+c.after, false); got != c.want {
				t.Errorf("kept: %t, want %t", got, c.want)
			}
			if !h.keep(&c.rule, &c.next, 200*s, true) {
				t.Error("not kept at a mark")
			}
		})
	}
}

func TestForget(t *testing.T) {
	rule, r := TagRule{Tag: &drivers.Tag{}, OnChange: true}, good(drivers.IntValue(1))
	var h held
	h.keep(&rule, &r, 5, false)
	h.forget(6)
	if h.keep(&rule, &r, 6, false) {
		t.Error("what was stored at tick 5 was forgotten with tick 6")
	}
	h.forget(5)
	if !h.keep(&rule, &r, 7, false) {
		t.Error("what was refused at tick 5 is still believed to be stored")
	}
}

// Whoever holds what was kept knows the truth to within the rule, and nothing is kept that he knew already.
func TestHeldIsTrue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rule := TagRule{
			Tag: &drivers.Tag{}, OnChange: rapid.Bool().Draw(t, "on_change"), Deadband: float64(rapid.IntRange(0, 3).Draw(t, "deadband")),
			MaxSilence: time.Duration(rapid.IntRange(0, 5).Draw(t, "max_silence")),
		}
		var h held
		var sub drivers.Reading // what the subscriber holds
		var since time.Duration
		for tick := time.Duration(1); tick < 60; tick++ {
			r := drivers.Reading{Quality: drivers.Quality(rapid.IntRange(0, 2).Draw(t, "quality"))}
			if r.Quality == drivers.Bad {
				r.Cause = rapid.SampledFrom([]drivers.Cause{drivers.CauseTimeout, drivers.CauseLost}).Draw(t, "cause")
			} else {
				r.Value = drivers.IntValue(int64(rapid.IntRange(-4, 4).Draw(t, "value")))
			}
			mark := rapid.IntRange(0, 9).Draw(t, "mark") == 0
			kept := h.keep(&rule, &r, tick, mark)
			x, _ := r.Value.Float()
			y, _ := sub.Value.Float()
			same := tick > 1 && r.Quality == sub.Quality && r.Cause == sub.Cause && math.Abs(x-y) <= rule.Deadband
			silent := rule.MaxSilence > 0 && tick-since >= rule.MaxSilence
			needless := same && !mark && (r.Quality == drivers.Bad || rule.OnChange && !silent)
			if kept == needless {
				t.Fatalf("tick %d: kept %t, but the subscriber holds %+v since %d and the reading is %+v", tick, kept, sub, since, r)
			}
			if kept {
				sub, since = r, tick
			}
		}
	})
}
