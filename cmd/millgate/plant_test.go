package main

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestLoad holds the physics for any seed, any step and any time of day.
func TestLoad(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newLoad(rapid.Uint64().Draw(t, "seed"))
		now := time.UnixMilli(rapid.Int64Range(0, 2e12).Draw(t, "now"))
		integral := l.energy
		for range 300 {
			dt := time.Duration(rapid.Int64Range(int64(10*time.Millisecond), int64(2*time.Second)).Draw(t, "dt"))
			now = now.Add(dt)
			before := *l
			l.step(now, dt)
			integral += l.power() / 1000 * dt.Hours()
			if l.energy < before.energy || l.parts < before.parts || l.hours < before.hours || l.reactive < before.reactive {
				t.Fatalf("a counter fell: %+v after %+v", l, before)
			}
			if l.parts != math.Trunc(l.parts) {
				t.Fatalf("%v parts", l.parts)
			}
			for phase := range 3 {
				between(t, "volts", l.volts[phase], 215, 245)
				between(t, "amps", l.amps[phase], 0, 1000*l.rated/3/200)
				if p := l.volts[phase] * l.amps[phase] * l.pf; math.Abs(p-l.watts[phase]) > 1e-6 {
					t.Fatalf("U·I·PF = %v W, but P = %v W", p, l.watts[phase])
				}
			}
			between(t, "level", l.level, 0, 1)
			between(t, "pf", l.pf, 0.5, 1)
			between(t, "heat", l.heat, ambient-5, ambient+heating)
			between(t, "hertz", l.hertz(), 49.9, 50.1)
			between(t, "power", l.power(), 0, 1100*l.rated)
		}
		if math.Abs(integral-l.energy) > 1e-9*integral {
			t.Fatalf("energy %v, integral of power %v", l.energy, integral)
		}
	})
}

func between(t *rapid.T, what string, v, low, high float64) {
	t.Helper()
	if !(v >= low && v <= high) {
		t.Fatalf("%s is %v, not within %v to %v", what, v, low, high)
	}
}

// TestLoadWorks: over a day every state is met, parts are made, and the night draws less than the day.
func TestLoadWorks(t *testing.T) {
	l := newLoad(7)
	day := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	parts, seen := l.parts, map[machineState]bool{}
	var energy [24]float64
	for s := range 24 * 3600 {
		before := l.energy
		l.step(day.Add(time.Duration(s)*time.Second), time.Second)
		energy[s/3600] += l.energy - before
		seen[l.state] = true
	}
	if len(seen) != 4 {
		t.Errorf("states met: %v", seen)
	}
	if l.parts-parts < 5000 {
		t.Errorf("%v parts in a day", l.parts-parts)
	}
	if night, noon := energy[2], energy[12]; night >= noon {
		t.Errorf("%v kWh from 2 to 3, %v from 12 to 13", night, noon)
	}
}

// TestLoadIsDeterministic: the same seed tells the same story, another one another.
func TestLoadIsDeterministic(t *testing.T) {
	story := func(seed uint64) (power float64) {
		l := newLoad(seed)
		for s := range 100 {
			l.step(time.Unix(int64(s), 0).UTC(), time.Second)
		}
		return l.power()
	}
	if story(1) != story(1) || story(1) == story(2) {
		t.Errorf("%v %v %v", story(1), story(1), story(2))
	}
}
