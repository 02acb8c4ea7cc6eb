package collector

import (
	"context"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millgate/millgate/drivers"
)

// oddStart leaves the full second on which a bubble begins.
func oddStart() { time.Sleep(1234567891 * time.Nanosecond) }

func TestTicksAreAligned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		oddStart()
		var all []*script
		var devices []Device
		for _, interval := range []time.Duration{100 * time.Millisecond, time.Second, time.Second, 7 * time.Second} {
			dev, d := oneDevice(interval, 3, nil)
			all, devices = append(all, d), append(devices, dev)
		}
		start := time.Now()
		store := newLedger(t)
		runFor(t, New(Config{Devices: devices, Store: store}), 70*time.Second)
		for i, d := range all {
			interval := devices[i].Groups[0].Interval
			want := int(time.Now().UnixNano()/int64(interval) - start.UnixNano()/int64(interval))
			if len(d.starts) != want {
				t.Errorf("every %v: %d cycles, want %d", interval, len(d.starts), want)
			}
			for k, at := range d.starts {
				if at.UnixNano()%int64(interval) != 0 {
					t.Fatalf("every %v: ticked at %v", interval, at)
				}
				if end := at.Add(interval); !d.ends[k].Equal(end) {
					t.Fatalf("every %v: the deadline of %v is %v, want the next tick", interval, at, d.ends[k])
				}
			}
			if d.closed != 1 {
				t.Errorf("the driver was closed %d times", d.closed)
			}
		}
		if !slices.EqualFunc(all[1].starts, all[2].starts, time.Time.Equal) {
			t.Error("two groups of one interval did not tick at the same instants")
		}
	})
}

func TestClockStepMovesNoTick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		oddStart()
		dev, d := oneDevice(time.Minute, 1, nil)
		dev.Groups[0].Tags[0].OnChange = true
		d.read = func(_ context.Context, _ int, dst []drivers.Reading) ([]drivers.Reading, error) {
			return answer(dst, dev.Groups[0].Tags, 1), nil
		}
		store := newLedger(t)
		c := New(Config{Devices: []Device{dev}, Store: store})
		begin := time.Now()
		steps := []time.Duration{0, 0, 0, 20 * time.Minute, 20 * time.Minute, -3 * time.Hour, -3 * time.Hour, -3 * time.Hour}
		c.wall = func() time.Time {
			minute := int(time.Since(begin).Minutes())
			return time.Now().Add(steps[minute])
		}
		runFor(t, c, 8*time.Minute-time.Second)
		for _, at := range d.starts {
			if at.Second() != 0 || at.Nanosecond() != 0 {
				t.Errorf("ticked at %v", at)
			}
		}
		if len(d.starts) != 8 {
			t.Errorf("%d cycles, want 8", len(d.starts))
		}
		// The start, the step forwards and the step backwards each begin another quarter hour.
		if got := len(store.stored(dev.Groups[0].Tags[0].Tag)); got != 3 {
			t.Errorf("stored %d times, want 3", got)
		}
		if got := len(store.stored(dev.Up)); got != 3 {
			t.Errorf("up stored %d times, want 3", got)
		}
	})
}

func TestOverrun(t *testing.T) {
	for _, c := range []struct {
		name     string
		takes    time.Duration // of the second Read
		starts   []int         // seconds after the first tick
		overruns uint64
	}{
		{"in time", 900 * time.Millisecond, []int{0, 1, 2, 3, 4, 5}, 0},
		{"until the next tick itself", time.Second, []int{0, 1, 2, 3, 4, 5}, 0},
		{"a little more", time.Second + 1, []int{0, 1, 3, 4, 5}, 1},
		{"over three ticks", 3500 * time.Millisecond, []int{0, 1, 5}, 3},
		{"to the end", 4 * time.Second, []int{0, 1, 5}, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dev, d := oneDevice(time.Second, 4, nil)
				inner := d.read
				d.read = func(ctx context.Context, call int, dst []drivers.Reading) ([]drivers.Reading, error) {
					if call == 2 {
						time.Sleep(c.takes)
					}
					return inner(ctx, call, dst)
				}
				store := newLedger(t)
				col := New(Config{Devices: []Device{dev}, Store: store})
				runFor(t, col, 6500*time.Millisecond)
				for i, at := range d.starts {
					if got := int(at.Sub(d.starts[0]).Seconds()); i >= len(c.starts) || got != c.starts[i] {
						t.Errorf("cycle %d began after %d s, want the seconds %v", i, got, c.starts)
					}
				}
				total := store.of("d")
				if total.due != 24 || total.skipped[drivers.CauseOverrun] != 4*c.overruns || total.good != 24-4*c.overruns {
					t.Errorf("account %+v, want due 24 and overruns of 4 × %d", total, c.overruns)
				}
				if s := col.Snapshot()[0]; s.Overruns != c.overruns || s.Cycles != 6-c.overruns {
					t.Errorf("status %+v, want %d overruns", s, c.overruns)
				}
			})
		})
	}
}

// A store that blocks, like a process that gets no processor, makes the loop late for a tick.
func TestLateForATick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &committing{}
		dev := makeDevice("d", time.Second, 4, d)
		d.read = func(_ context.Context, call int, dst []drivers.Reading) ([]drivers.Reading, error) {
			return answer(dst, dev.Groups[0].Tags, int64(call)), nil
		}
		store := newLedger(t)
		store.durable = math.MaxUint64
		store.accept = func(int) error {
			if store.appends == 2 {
				time.Sleep(2300 * time.Millisecond)
			}
			return nil
		}
		col := New(Config{Devices: []Device{dev}, Store: store})
		runFor(t, col, 8500*time.Millisecond) // ticks 1-8; 3 and 4 pass during the Append of 2
		if total := store.of("d"); total.due != 32 || total.skipped[drivers.CauseOverrun] != 8 || total.good != 24 {
			t.Errorf("account %+v, want due 32, overrun 8, good 24", total)
		}
		if s := col.Snapshot()[0]; s.Overruns != 2 || s.Cycles != 6 {
			t.Errorf("status %+v, want 2 overruns and 6 cycles", s)
		}
		for _, at := range d.starts {
			if at.Nanosecond() != 0 {
				t.Errorf("a Read began at %v", at)
			}
		}
		if want := []uint64{0, 1, 2, 3, 4, 5}; !slices.Equal(d.told, want) {
			t.Errorf("told %v, want %v: a tick without a Read is no call", d.told, want)
		}
	})
}

func TestDeadlineIsATimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dev, d := oneDevice(time.Second, 2, nil)
		d.read = func(ctx context.Context, _ int, _ []drivers.Reading) ([]drivers.Reading, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		other, _ := oneDevice(time.Second, 2, nil)
		other.ID = "other"
		for i := range other.Groups[0].Tags {
			other.Groups[0].Tags[i].Tag.Device = "other"
		}
		other.Up.Device = "other"
		store := newLedger(t)
		c := New(Config{Devices: []Device{dev, other}, Store: store, Log: slog.New(&journal{})})
		runFor(t, c, 10500*time.Millisecond)
		if total := store.of("d"); total.due != 20 || total.bad[drivers.CauseTimeout] != 18 || total.skipped[drivers.CauseGatewayDown] != 2 {
			t.Errorf("slow device: %+v, want due 20: 18 timeout, 2 gateway_down", total)
		}
		if total := store.of("other"); total.due != 20 || total.good != 20 {
			t.Errorf("its neighbour: %+v, want 20 good", total)
		}
		if s := c.Snapshot(); s[0].Up || s[0].Cause != drivers.CauseTimeout || s[0].Error == "" || !s[1].Up {
			t.Errorf("status %+v", s)
		}
	})
}

func TestStopDuringRead(t *testing.T) {
	for _, c := range []struct {
		name  string
		end   func(ctx context.Context) error // of the second Read, after ctx is done
		good  uint64
		cause drivers.Cause
	}{
		{"the Read is cut", func(ctx context.Context) error { return ctx.Err() }, 0, drivers.CauseGatewayDown},
		{"the Read fails", func(context.Context) error { return failure(drivers.CauseLost) }, 0, drivers.CauseGatewayDown},
		{"the device is left alone", func(context.Context) error { return failure(drivers.CauseBackOff) }, 0, drivers.CauseBackOff},
		{"the answer is there", func(context.Context) error { return nil }, 3, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dev, d := oneDevice(time.Second, 3, nil)
				inner := d.read
				d.read = func(ctx context.Context, call int, dst []drivers.Reading) ([]drivers.Reading, error) {
					if call == 2 {
						<-ctx.Done()
						if err := c.end(ctx); err != nil {
							return nil, err
						}
					}
					return inner(ctx, call, dst)
				}
				store := newLedger(t)
				col := New(Config{Devices: []Device{dev}, Store: store})
				begin := time.Now()
				runFor(t, col, 2300*time.Millisecond)
				if took := time.Since(begin); took != 2300*time.Millisecond {
					t.Errorf("Run ended after %v", took)
				}
				total := store.of("d")
				if total.due != 6 || total.good != 3+c.good || total.skipped[c.cause] != 3-c.good || len(total.bad) > 0 {
					t.Errorf("account %+v", total)
				}
				if s := col.Snapshot()[0]; !s.Up || len(store.events) != 0 {
					t.Errorf("the stop took the device down: %+v %+v", s, store.events)
				}
				if d.closed != 1 {
					t.Errorf("closed %d times", d.closed)
				}
			})
		})
	}
}

func TestStopBetweenReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dev, d := oneDevice(time.Hour, 3, nil)
		store := newLedger(t)
		runFor(t, New(Config{Devices: []Device{dev}, Store: store}), time.Second)
		if d.calls != 0 || d.closed != 1 || store.appends != 0 {
			t.Errorf("%d calls, closed %d times, %d appends", d.calls, d.closed, store.appends)
		}
	})
}

// In a bubble time has no monotonic part; outside, the schedule must keep to it.
func TestScheduleIsMonotonic(t *testing.T) {
	dev, _ := oneDevice(time.Hour, 1, nil)
	c := New(Config{Devices: []Device{dev}, Store: newLedger(t)})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Run(ctx); err != nil {
		t.Fatal(err)
	}
	clock := c.loops[0].clock
	for _, at := range []time.Time{clock.start, clock.time(clock.now() + time.Hour)} {
		if !strings.Contains(at.String(), " m=") {
			t.Errorf("%v has no monotonic part", at)
		}
	}
}

// At a tick that comes together with the stop nothing is read any more.
func TestStopAtATick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 64 { // select chooses at random
			dev, d := oneDevice(time.Second, 1, nil)
			l := New(Config{Devices: []Device{dev}, Store: newLedger(t)}).loops[0]
			l.clock = newClock(time.Now().Add(-time.Minute), time.Now)
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if l.run(ctx); d.calls != 0 || d.closed != 1 {
				t.Fatalf("%d calls, closed %d times", d.calls, d.closed)
			}
		}
	})
}
