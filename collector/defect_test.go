package collector

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millgate/millgate/drivers"
)

func TestPanicIsOneBadCycle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dev, d := oneDevice(time.Second, 2, func(call int) error {
			if call%2 == 0 {
				panic("index out of range")
			}
			return nil
		})
		log := &journal{}
		store := newLedger(t)
		runFor(t, New(Config{Devices: []Device{dev}, Store: store, Log: slog.New(log)}), 10500*time.Millisecond)
		if total := store.of("d"); total.good != 10 || total.bad[drivers.CauseInternal] != 10 {
			t.Errorf("account %+v, want 10 good and 10 internal", total)
		}
		stacks := 0
		for _, line := range log.lines {
			if strings.Contains(line, "stack=") {
				stacks++
			}
		}
		if stacks != 1 {
			t.Errorf("%d stacks logged, want 1:\n%s", stacks, strings.Join(log.lines, "\n"))
		}
		if d.closed != 1 {
			t.Errorf("closed %d times", d.closed)
		}
	})
}

func TestWrongReadings(t *testing.T) {
	tags := func(n int) (dev Device, d *script, r func(...int) []drivers.Reading) {
		dev, d = oneDevice(time.Second, n, nil)
		stranger := &drivers.Tag{Device: "d", Name: "stranger"}
		return dev, d, func(which ...int) (out []drivers.Reading) {
			for _, i := range which {
				tag := stranger
				if i >= 0 {
					tag = dev.Groups[0].Tags[i].Tag
				}
				out = append(out, drivers.Reading{Tag: tag, Value: drivers.IntValue(int64(i)), Quality: drivers.Good})
			}
			return out
		}
	}
	for _, c := range []struct {
		name     string
		returned []int // positions of tags; -1 is a tag of nobody
		good     []int // positions
	}{
		{"none", nil, nil},
		{"too few", []int{0, 1}, []int{0, 1}},
		{"a hole", []int{0, 2}, []int{0, 2}},
		{"too many", []int{0, 1, 2, 2}, []int{0, 1, 2}},
		{"a stranger at the end", []int{0, 1, 2, -1}, []int{0, 1, 2}},
		{"out of order", []int{1, 0, 2}, []int{1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dev, d, r := tags(3)
				d.read = func(_ context.Context, _ int, dst []drivers.Reading) ([]drivers.Reading, error) {
					return append(dst, r(c.returned...)...), nil
				}
				log := &journal{}
				store := newLedger(t)
				runFor(t, New(Config{Devices: []Device{dev}, Store: store, Log: slog.New(log)}), 2500*time.Millisecond)
				total, good := store.of("d"), 2*uint64(len(c.good))
				if total.due != 6 || total.good != good || total.bad[drivers.CauseInternal] != 6-good {
					t.Errorf("account %+v, want due 6, good %d", total, good)
				}
				for i, rule := range dev.Groups[0].Tags {
					want := drivers.Bad
					if slices.Contains(c.good, i) {
						want = drivers.Good
					}
					if stored := store.stored(rule.Tag); stored[0].Quality != want {
						t.Errorf("tag %d is %v, want %v", i, stored[0].Quality, want)
					}
				}
				if len(log.lines) != 1 {
					t.Errorf("logged %q, want one line", log.lines)
				}
			})
		})
	}
}

func TestBadWithoutCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dev, d := oneDevice(time.Second, 1, nil)
		d.read = func(_ context.Context, _ int, dst []drivers.Reading) ([]drivers.Reading, error) {
			return append(dst, drivers.Reading{Tag: dev.Groups[0].Tags[0].Tag, Time: 1}), nil
		}
		store := newLedger(t)
		runFor(t, New(Config{Devices: []Device{dev}, Store: store}), 1500*time.Millisecond)
		if got := store.stored(dev.Groups[0].Tags[0].Tag)[0]; got.Cause != drivers.CauseInternal || store.of("d").bad[drivers.CauseInternal] != 1 {
			t.Errorf("stored %+v, want cause internal", got)
		}
	})
}

// stubborn is a driver whose Close fails.
type stubborn struct{ script }

func (d *stubborn) Close() error {
	d.closed++
	if d.closed > 1 {
		panic("closed twice")
	}
	return errors.New("still busy")
}

func TestRunRefusesIntervals(t *testing.T) {
	dev, d := oneDevice(0, 1, nil)
	bad := &stubborn{}
	log := &journal{}
	c := New(Config{Devices: []Device{dev, makeDevice("e", time.Second, 1, bad)}, Store: newLedger(t), Log: slog.New(log)})
	if err := c.Run(t.Context()); err == nil || !strings.Contains(err.Error(), `device "d"`) {
		t.Errorf("Run = %v, want an error that names the device", err)
	}
	if d.calls != 0 || d.closed != 1 || bad.closed != 1 {
		t.Errorf("%d calls, closed %d and %d times", d.calls, d.closed, bad.closed)
	}
	c.loops[1].close()
	if len(log.lines) != 2 {
		t.Errorf("logged %q, want the error and the panic of Close", log.lines)
	}
}
