package collector

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millgate/millgate/drivers"
)

// told is the course of "up" as it was stored: + and -.
func told(store *ledger, up *drivers.Tag) (out string) {
	for _, r := range store.stored(up) {
		if r.Quality != drivers.Good || r.Time == 0 {
			return fmt.Sprintf("not a good reading: %+v", r)
		}
		if r.Value == drivers.BoolValue(true) {
			out += "+"
		} else {
			out += "-"
		}
	}
	return out
}

func TestUp(t *testing.T) {
	const up, down = drivers.EventDeviceUp, drivers.EventDeviceDown
	for _, c := range []struct {
		name   string
		calls  string // outcome of each cycle: + answers, - times out, r refused, z is left alone
		told   string
		events []drivers.EventKind
		status DeviceStatus
		logged int
	}{
		{"first up", "+++", "+", nil, DeviceStatus{Up: true, Since: 1}, 0},
		{"first down", "---", "-", []drivers.EventKind{down}, DeviceStatus{Since: 1, Cause: drivers.CauseTimeout}, 1},
		{"not yet asked", "zz", "", nil, DeviceStatus{}, 0},
		{"left alone, then up", "zz+", "+", nil, DeviceStatus{Up: true, Since: 3}, 0},
		{"down and up", "++--+", "+-+", []drivers.EventKind{down, up}, DeviceStatus{Up: true, Since: 5}, 2},
		{"left alone while down", "+-zzz+", "+-+", []drivers.EventKind{down, up}, DeviceStatus{Up: true, Since: 6}, 2},
		{"left alone while up", "+zzz+", "+", nil, DeviceStatus{Up: true, Since: 1}, 0},
		{"the last cause", "+-rz", "+-", []drivers.EventKind{down}, DeviceStatus{Since: 2, Cause: drivers.CauseRefused}, 1},
		{"flapping", "-+-+", "-+-+", []drivers.EventKind{down, up, down, up}, DeviceStatus{Up: true, Since: 4}, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				causes := map[byte]error{'-': failure(drivers.CauseTimeout), 'r': failure(drivers.CauseRefused), 'z': failure(drivers.CauseBackOff)}
				dev, _ := oneDevice(time.Second, 2, func(call int) error { return causes[c.calls[call-1]] })
				log := &journal{}
				store := newLedger(t)
				col := New(Config{Devices: []Device{dev}, Store: store, Log: slog.New(log)})
				begin := time.Now()
				runFor(t, col, time.Duration(len(c.calls))*time.Second+time.Millisecond)
				if got := told(store, dev.Up); got != c.told {
					t.Errorf("stored %q, want %q", got, c.told)
				}
				if got, want := fmt.Sprint(store.kinds()), fmt.Sprint(c.events); got != want {
					t.Errorf("events %s, want %s", got, want)
				}
				if len(log.lines) != c.logged {
					t.Errorf("logged %q, want %d lines", log.lines, c.logged)
				}
				got := col.Snapshot()[0]
				want := c.status
				want.Device, want.Cycles, want.Error = "d", uint64(len(c.calls)), got.Error
				if want.Since != 0 {
					want.Since = begin.UnixMilli() + 1000*want.Since
				}
				if got != want || (got.Error == "") != (got.Cause == "") {
					t.Errorf("status %+v, want %+v", got, want)
				}
			})
		})
	}
}

func TestEventsOfADownTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const calls = "+-zz+-+"
		dev, _ := oneDevice(time.Second, 3, func(call int) error {
			return map[byte]error{'-': failure(drivers.CauseTimeout), 'z': failure(drivers.CauseBackOff)}[calls[call-1]]
		})
		log := &journal{}
		store := newLedger(t)
		begin := time.Now()
		runFor(t, New(Config{Devices: []Device{dev}, Store: store, Log: slog.New(log)}), 7500*time.Millisecond)
		if len(store.events) != 4 {
			t.Fatalf("events %+v, want down and up, twice", store.events)
		}
		if again := store.events[3]; again.Count != 3 || !strings.Contains(again.Text.EN, "1 missed cycle") {
			t.Errorf("up again %+v, want one cycle of 3 readings", again)
		}
		for i, c := range store.cycles {
			want := int64(0)
			if calls[i] == '+' {
				want = begin.Add(time.Duration(i+1) * time.Second).UnixMilli()
			}
			if c.Time != want {
				t.Errorf("cycle %d was answered at %d, want %d", i, c.Time, want)
			}
		}
		down, up := store.events[0], store.events[1]
		if down.Subject != "device/d" || down.Severity != drivers.Warning || down.Cause != drivers.CauseTimeout || up.Time-down.Time != 3000 {
			t.Errorf("down %+v", down)
		}
		if up.Subject != "device/d" || up.Severity != drivers.Info || up.Count != 9 {
			t.Errorf("up %+v, want 3 cycles of 3 readings", up)
		}
		var said struct {
			Down   int `json:"down_ms"`
			Cycles int `json:"missed_cycles"`
		}
		if err := json.Unmarshal(up.Fields, &said); err != nil || said.Down != 3000 || said.Cycles != 3 {
			t.Errorf("fields %s: %v", up.Fields, err)
		}
		for _, text := range []string{down.Text.EN, down.Text.ZH, up.Text.EN, up.Text.ZH} {
			if !strings.Contains(text, " d ") {
				t.Errorf("%q does not name the device", text)
			}
		}
		if !strings.Contains(down.Text.EN, advice[drivers.CauseTimeout].EN) || !strings.Contains(down.Text.ZH, advice[drivers.CauseTimeout].ZH) {
			t.Errorf("no advice in %+v", down.Text)
		}
		if len(log.lines) != 4 || !strings.HasPrefix(log.lines[0], "WARN") || !strings.Contains(log.lines[0], "advice=") ||
			!strings.HasPrefix(log.lines[1], "INFO") || !strings.Contains(log.lines[1], "after=3s missed_cycles=3") {
			t.Errorf("logged %q", log.lines)
		}
	})
}

func TestUpBelongsToTheDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Per second: what the first group and, half a second later, the second one get.
		const first, second = "+--+-z-", "++---+z"
		fast, slow := &script{}, &script{}
		dev := makeDevice("d", time.Second, 2, fast, slow)
		outcome := func(group int, course string, wait time.Duration) func(context.Context, int, []drivers.Reading) ([]drivers.Reading, error) {
			return func(_ context.Context, call int, dst []drivers.Reading) ([]drivers.Reading, error) {
				time.Sleep(wait)
				switch course[call-1] {
				case '-':
					return nil, failure(drivers.CauseTimeout)
				case 'z':
					return nil, failure(drivers.CauseBackOff)
				}
				return answer(dst, dev.Groups[group].Tags, int64(call)), nil
			}
		}
		fast.read, slow.read = outcome(0, first, 0), outcome(1, second, 500*time.Millisecond)
		store := newLedger(t)
		col := New(Config{Devices: []Device{dev}, Store: store, Log: slog.New(&journal{})})
		runFor(t, col, time.Duration(len(first))*time.Second+750*time.Millisecond)
		// Down at 3.5 s, when the second group fails too; up at 4 s; down at 5 s; up at 6.5 s, and still so when the first group fails.
		if got, want := told(store, dev.Up), "+-+-+"; got != want {
			t.Errorf("up went %q, want %q", got, want)
		}
		if s := col.Snapshot()[0]; !s.Up || s.Cycles != 14 {
			t.Errorf("status %+v", s)
		}
	})
}

func TestEveryCauseIsExplained(t *testing.T) {
	for _, c := range drivers.Causes() {
		meaning, next := explain(c.Cause)
		if meaning.EN != c.EN || meaning.ZH != c.ZH || next.EN == "" || next.ZH == "" {
			t.Errorf("%s: %+v %+v", c.Cause, meaning, next)
		}
	}
	if meaning, next := explain("of the future"); meaning.EN != "of the future" || next != generalAdvice {
		t.Errorf("%+v %+v", meaning, next)
	}
	for cause, text := range advice {
		if meaning, _ := explain(cause); meaning.EN == string(cause) || text.EN == "" || text.ZH == "" {
			t.Errorf("advice for %q, which is no cause, or in one language only", cause)
		}
	}
}
