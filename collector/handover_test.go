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

func TestMarks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		oddStart()
		fast, slow := &script{}, &script{}
		dev := makeDevice("d", 10*time.Second, 2, fast, slow)
		dev.Groups[1].Interval = time.Minute
		for g, d := range []*script{fast, slow} {
			dev.Groups[g].Tags[0].OnChange = true
			d.read = func(_ context.Context, _ int, dst []drivers.Reading) ([]drivers.Reading, error) {
				return answer(dst, dev.Groups[g].Tags, 7), nil
			}
		}
		store := newLedger(t)
		runFor(t, New(Config{Devices: []Device{dev}, Store: store}), 24*time.Hour)
		for g := range dev.Groups {
			stored := store.stored(dev.Groups[g].Tags[0].Tag)
			if len(stored) != 97 { // the start, 95 marks within the day, and midnight
				t.Errorf("group %d: %d marks, want 97", g, len(stored))
			}
			for i, r := range stored[1:] {
				if r.Time%quarterHour.Milliseconds() != 0 {
					t.Errorf("group %d: mark %d at %v", g, i, time.UnixMilli(r.Time))
				}
			}
			if all := len(store.stored(dev.Groups[g].Tags[1].Tag)); all != int(24*time.Hour/dev.Groups[g].Interval) {
				t.Errorf("group %d: %d readings of the tag that is always stored", g, all)
			}
		}
		if got := told(store, dev.Up); got != strings.Repeat("+", 97) {
			t.Errorf("up %q, want 97 times +", got)
		}
	})
}

// A mark at which nothing is read stays due; "up" does not wait for it.
func TestMarkWaitsForAReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		causes := []error{failure(drivers.CauseTimeout), failure(drivers.CauseTimeout), failure(drivers.CauseBackOff), failure(drivers.CauseTimeout), nil}
		dev, _ := oneDevice(10*time.Minute, 1, func(call int) error { return causes[call-1] })
		dev.Groups[0].Tags[0].OnChange = true
		store := newLedger(t)
		col := New(Config{Devices: []Device{dev}, Store: store, Log: slog.New(&journal{})})
		runFor(t, col, 51*time.Minute) // at 10, 20, 30, 40 and 50 minutes
		var got []string
		for _, r := range store.readings {
			minute := time.UnixMilli(r.Time).UTC().Format("04")
			got = append(got, r.Tag.Name+" "+minute+" "+r.Quality.String())
		}
		want := []string{
			"g0_0 10 bad", "up 10 good", // the start
			"g0_0 20 bad", "up 20 good", // the second quarter
			"up 30 good",  // the third: nothing read
			"g0_0 40 bad", // its mark
			"g0_0 50 good", "up 50 good",
		}
		if !slices.Equal(got, want) {
			t.Errorf("stored\n%q, want\n%q", got, want)
		}
	})
}

func TestDowntime(t *testing.T) {
	for _, c := range []struct {
		name string
		seen map[string]time.Duration // before the start; absent: never
		want uint64                   // cycles of device d, which is polled every 10 s
	}{
		{"never seen", nil, 0},
		{"seen a moment ago", map[string]time.Duration{"d": time.Second}, 0},
		{"seen a minute ago", map[string]time.Duration{"d": time.Minute}, 6},
		{"the gateway worked longer than the device", map[string]time.Duration{"d": time.Hour, "other": time.Minute}, 6},
		{"the device is new", map[string]time.Duration{"other": time.Minute}, 0},
		{"seen in the future", map[string]time.Duration{"d": -time.Minute}, 0},
		{"the others were seen in the future", map[string]time.Duration{"d": time.Minute, "other": -time.Minute}, 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(5 * time.Second)
				dev, _ := oneDevice(10*time.Second, 3, nil)
				seen := map[string]int64{}
				for id, ago := range c.seen {
					seen[id] = time.Now().Add(-ago).UnixMilli()
				}
				store := newLedger(t)
				runFor(t, New(Config{Devices: []Device{dev}, Store: store, LastSeen: seen}), 20*time.Second)
				total := store.of("d")
				if total.skipped[drivers.CauseGatewayDown] != 3*c.want || total.due != 3*(c.want+2) {
					t.Errorf("account %+v, want %d cycles of 3 missed", total, c.want)
				}
				if first := store.cycles[0]; c.want > 0 && (first.Due != 3*c.want || first.Time != 0 || len(first.Skipped) != 1) {
					t.Errorf("the first account is %+v", first)
				}
			})
		})
	}
}

func TestBackPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dev, d := oneDevice(time.Second, 2, nil)
		for i := range dev.Groups[0].Tags {
			dev.Groups[0].Tags[i].OnChange = true
		}
		d.read = func(_ context.Context, _ int, dst []drivers.Reading) ([]drivers.Reading, error) {
			return answer(dst, dev.Groups[0].Tags, 1), nil
		}
		log := &journal{}
		store := newLedger(t)
		begin := time.Now()
		store.accept = func(int) error {
			if at := time.Since(begin); at < 3500*time.Millisecond {
				return errors.New("the disk is slow")
			}
			return nil
		}
		runFor(t, New(Config{Devices: []Device{dev}, Store: store, Log: slog.New(log)}), 10500*time.Millisecond)
		// Refused at 1, 2 and 3 s with "up", and so stored at 4 s.
		total := store.of("d")
		if total.refused != 9 || total.stored != 3 || total.own != 4 || total.suppressed != 12 {
			t.Errorf("account %+v, want 9 refused, 3 stored, 4 own, 12 suppressed", total)
		}
		for _, r := range store.readings {
			if r.Time != begin.Add(4*time.Second).UnixMilli() {
				t.Errorf("stored %+v", r)
			}
		}
		if len(store.events) != 1 || store.events[0].Kind != drivers.EventBackPressure || store.events[0].Count != 3 ||
			store.events[0].Text.EN == "" || store.events[0].Text.ZH == "" {
			t.Errorf("events %+v, want one", store.events)
		}
		if len(log.lines) != 2 || !strings.HasPrefix(log.lines[0], "ERROR") || !strings.Contains(log.lines[0], "the disk is slow") ||
			!strings.HasPrefix(log.lines[1], "INFO") || !strings.Contains(log.lines[1], "lost=9 after=3s") {
			t.Errorf("logged %q, want the begin and the end", log.lines)
		}
	})
}

// An Append without readings says nothing about the end of back pressure, nor of its begin.
func TestBackPressureIsAboutReadings(t *testing.T) {
	log := &journal{}
	store := newLedger(t)
	refuse := true
	store.accept = func(int) error {
		if refuse {
			return errors.New("full")
		}
		return nil
	}
	out := &outlet{store: store, log: slog.New(log)}
	r := []drivers.Reading{{Tag: &drivers.Tag{Device: "d"}}}
	if _, ok := out.append(nil, nil, nil); !ok || len(log.lines) != 0 {
		t.Errorf("no readings were refused: %t %q", ok, log.lines)
	}
	if _, ok := out.append(r, nil, nil); ok || len(log.lines) != 1 {
		t.Errorf("a reading was refused: %t %q", ok, log.lines)
	}
	refuse = false
	if _, ok := out.append(nil, nil, nil); !ok || len(log.lines) != 1 {
		t.Errorf("no reading was kept yet: %t %q", ok, log.lines)
	}
	if _, ok := out.append(r, nil, nil); !ok || len(log.lines) != 2 {
		t.Errorf("a reading was kept: %t %q", ok, log.lines)
	}
	refuse = true
	out.append(r, nil, nil)
	refuse = false
	out.append(r, nil, nil)
	if len(log.lines) != 4 || !strings.Contains(log.lines[3], "lost=1 ") {
		t.Errorf("logged %q, want 1 lost the second time", log.lines)
	}
}

func TestCommits(t *testing.T) {
	d := &committing{}
	c := &commits{driver: d}
	said := func(durable, want uint64) {
		t.Helper()
		c.tell(durable)
		if got := d.told[len(d.told)-1]; got != want {
			t.Errorf("durable %d: %d calls are safe, want %d", durable, got, want)
		}
	}
	said(0, 0)
	c.called(5, false) // nothing before it
	said(0, 1)
	c.called(6, true)
	c.called(7, false) // waits for the one before
	said(5, 1)
	c.called(8, true)
	c.called(8, true) // at the same position
	said(6, 3)
	said(7, 3)
	said(8, 5)
	c.called(9, false)
	said(8, 6)
}

func TestCommittedBeforeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &committing{}
		dev := makeDevice("d", time.Second, 1, d)
		dev.Groups[0].Tags[0].OnChange = true
		values := []int64{1, 1, 2, 2, 3, 3, 3, 3}
		d.read = func(_ context.Context, call int, dst []drivers.Reading) ([]drivers.Reading, error) {
			if len(d.told) != call {
				t.Errorf("call %d of Read after %d of Committed", call, len(d.told))
			}
			return answer(dst, dev.Groups[0].Tags, values[call-1]), nil
		}
		store := newLedger(t)
		go func() { // a commit at 3.5 s and one at 6.5 s
			time.Sleep(3500 * time.Millisecond)
			store.mu.Lock()
			store.durable = 1
			store.mu.Unlock()
			time.Sleep(3 * time.Second)
			store.mu.Lock()
			store.durable = store.pos
			store.mu.Unlock()
		}()
		runFor(t, New(Config{Devices: []Device{dev}, Store: store}), 8500*time.Millisecond)
		// Positions 1, 3 and 5 hold readings; 2, 4 and 6 to 8 were suppressed.
		if want := []uint64{0, 0, 0, 2, 2, 2, 6, 7}; !slices.Equal(d.told, want) {
			t.Errorf("told %v, want %v", d.told, want)
		}
	})
}
