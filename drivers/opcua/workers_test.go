package opcua_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/opcua"
)

// TestTrouble: whatever a worker does, its device is bad with the cause in words and back within 5 s, and no other device loses a cycle.
func TestTrouble(t *testing.T) {
	for _, c := range []struct {
		mode, says string
		polled     bool
	}{
		{mode: "panic", says: "panic: runtime error: index out of range [-97]"},
		{mode: "hang", says: "it hung"},
		{mode: "deaf", says: "it hung"},
		{mode: "memory", says: "memory"},
		{mode: "garbage", says: "the frame is damaged"},
		{mode: "half", says: "exit status 3"},
		{mode: "exit", says: "it ended by itself"},
		{mode: "twice", says: "nobody asked for group 0"},
		{mode: "call", says: "it answers call 4 of 8 points, not 3 of 8"},
		{mode: "group", says: "there is no group 1"},
		{mode: "kind", says: "its kind is 0x3f"},
		{mode: "json", says: "the frame is damaged"},
		{mode: "short", says: "the frame is damaged"},
		{mode: "points", says: "it answers call 3 of 9 points"},
		{mode: "fewer", says: "it has 7 readings, not one of each of 8 points in order", polled: true},
	} {
		t.Run(c.mode, func(t *testing.T) {
			if c.mode == "memory" && opcua.DefaultMemoryLimit == 0 {
				t.Skip("a worker with the race detector has no limit")
			}
			w, log := newWorkers(t)
			good, cfg := open(t, w, config(t, "good", "well")), config(t, "bad", c.mode)
			cfg.Polled = c.polled
			bad := open(t, w, cfg)
			mustRead(t, good)
			stop, done := make(chan struct{}), make(chan struct{})
			var failed []error
			var reads int
			go func() { defer close(done); reads, failed = cycles(good, stop) }()

			crash := suffer(t, bad, w)
			if drivers.CauseOf(crash) != drivers.CauseWorkerCrash || !strings.Contains(crash.Error(), c.says) {
				t.Errorf("the error is %s (%v), not worker_crash with %q\n%s", drivers.CauseOf(crash), crash, c.says, log)
			}
			events := slices.DeleteFunc(bad.(drivers.Reporter).Events(nil), func(e drivers.Event) bool { return e.Kind == drivers.EventReadingsLost })
			if len(events) != 1 {
				t.Fatalf("events: %+v", events)
			}
			if e := events[0]; e.Kind != drivers.EventWorker || e.Subject != "device/bad" || !strings.Contains(e.Text.EN, c.says) || !strings.Contains(e.Text.ZH, c.says) {
				t.Errorf("the event is %+v", e)
			}
			if text := log.String(); !strings.Contains(text, "started again") {
				t.Errorf("the log does not tell: %s", text)
			}
			time.Sleep(200 * time.Millisecond)
			close(stop)
			<-done
			if len(failed) > 0 || reads == 0 {
				t.Errorf("the good device lost %d of %d cycles: %v", len(failed), reads, failed)
			}
		})
	}
}

// suffer reads until the second life of the worker answers, and returns the error that told of the end of the first.
func suffer(t *testing.T, d drivers.Driver, w *opcua.Workers) (crash error) {
	t.Helper()
	var since time.Time
	for begun := time.Now(); time.Since(begun) < 20*time.Second; time.Sleep(time.Millisecond) {
		got, err := read(t, d, time.Second) // the next one follows soon, so that one of them sees the end
		switch {
		case drivers.CauseOf(err) == drivers.CauseWorkerCrash && err != nil && crash == nil:
			crash, since = err, time.Now()
		case err == nil && told(t, got, toldLife) == "2":
			if back := time.Since(since); crash == nil || back > 5*time.Second {
				t.Errorf("the second worker is back %v after the error %v", back, crash)
			}
			for _, s := range w.Snapshot() {
				if s.Endpoint != "opc.tcp://fake:4840/well" && s.Restarts != 1 {
					t.Errorf("restarts: %+v", s)
				}
			}
			return crash
		}
	}
	t.Fatalf("the second worker did not come; the last error was %v", crash)
	return nil
}

func TestBackOff(t *testing.T) {
	w, _ := newWorkers(t)
	d := open(t, w, config(t, "bad", "always"))
	var starts []time.Time
	for begun := time.Now(); time.Since(begun) < 5*time.Second; time.Sleep(20 * time.Millisecond) {
		if _, err := read(t, d, time.Second); err == nil {
			t.Fatal("it answered")
		}
		if s := w.Snapshot()[0]; int(s.Restarts) >= len(starts) && s.PID != 0 {
			starts = append(starts, time.Now())
		} else if s.PID == 0 && (s.State != opcua.Down || s.Cause != drivers.CauseWorkerCrash || !strings.Contains(s.Error, "panic: ")) {
			t.Errorf("status without a worker: %+v", s)
		}
	}
	if n := w.Snapshot()[0].Restarts; n != 3 { // at 0, 1 and 3 s, the next at 7 s
		t.Errorf("%d restarts in 5 s", n)
	}
}

func TestCommitted(t *testing.T) {
	w, _ := newWorkers(t)
	cfg := config(t, "bad", "panic")
	cfg.Since = 77
	d := open(t, w, cfg)
	committer := d.(drivers.Committer)
	expect := func(point int, want string) {
		t.Helper()
		if got := told(t, mustRead(t, d), point); got != want {
			t.Errorf("the worker was told %s, not %s", got, want)
		}
	}
	expect(toldReason, `"gateway_down"`) // Read 1
	committer.Committed(1)
	expect(toldCommitted, "1") // Read 2
	for {                      // Reads 3 and on fail
		if _, err := read(t, d, time.Second); err != nil {
			break
		}
	}
	committer.Committed(2) // of the dead worker's calls
	failures := uint64(1)
	var got []drivers.Reading
	for err := errors.New(""); err != nil; time.Sleep(10 * time.Millisecond) {
		if got, err = read(t, d, time.Second); err != nil {
			failures++
		}
	}
	reads := 2 + failures + 1
	if told(t, got, toldCommitted) != "0" || told(t, got, toldCall) != "1" || told(t, got, toldReason) != `"worker_crash"` || told(t, got, toldLast) != "1700000000002" {
		t.Errorf("the second worker was told %v", got)
	}
	if since := told(t, got, toldSince); since < `17000` || since == "77" {
		t.Errorf("since %s", since)
	}
	committer.Committed(reads - 1)
	expect(toldCommitted, "0")
	committer.Committed(reads)
	expect(toldCommitted, "1")
	committer.Committed(reads + 2)
	expect(toldCommitted, "3")
}

// TestCause: an answer that says why there are no readings is an error, and its call is confirmed with the next ones.
func TestCause(t *testing.T) {
	w, _ := newWorkers(t)
	cfg := config(t, "d", "well")
	cfg.Server.Timeout = time.Hour
	d := open(t, w, cfg)
	for range 3 {
		mustRead(t, d)
	}
	if _, err := read(t, d, time.Second); drivers.CauseOf(err) != drivers.CauseSilent || !strings.Contains(err.Error(), "no publish response") {
		t.Errorf("the error is %v", err)
	}
	d.(drivers.Committer).Committed(3)
	if got := mustRead(t, d); told(t, got, toldCommitted) != "3" {
		t.Errorf("committed %s", told(t, got, toldCommitted))
	}
	d.(drivers.Committer).Committed(5)
	if got := mustRead(t, d); told(t, got, toldCommitted) != "5" {
		t.Errorf("committed %s", told(t, got, toldCommitted))
	}
	if lost := d.(drivers.Subscriber).Lost(nil); len(lost) != 1 || lost[0] != (drivers.CauseCount{Cause: drivers.CauseOverflow, N: 3}) {
		t.Errorf("lost %v", lost)
	}
	if lost := d.(drivers.Subscriber).Lost(nil); len(lost) != 0 {
		t.Errorf("lost again %v", lost)
	}
	if events := d.(drivers.Reporter).Events(nil); len(events) != 1 || events[0].Kind != drivers.EventReadingsLost {
		t.Errorf("events %v", events)
	}
}

// TestLate: a late answer comes with the next Read; of a polled group it is not, since that gives one reading of each point.
func TestLate(t *testing.T) {
	t.Run("subscribed", func(t *testing.T) { testLate(t, false, 2*toldPoints) })
	t.Run("polled", func(t *testing.T) { testLate(t, true, toldPoints) })
}

func testLate(t *testing.T, polled bool, want int) {
	w, _ := newWorkers(t)
	cfg := config(t, "d", "late")
	cfg.Polled = polled
	d := open(t, w, cfg)
	mustRead(t, d)
	mustRead(t, d)
	cause := drivers.CauseBackOff // nobody knows yet
	if polled {
		cause = drivers.CauseTimeout
	}
	if _, err := read(t, d, 300*time.Millisecond); drivers.CauseOf(err) != cause {
		t.Errorf("the error is %v", err)
	}
	if got := mustRead(t, d); len(got) != want || told(t, got, toldLife) != "1" || told(t, got, toldCall) != "4" {
		t.Errorf("after the late answer: %v", got)
	}
	if got := mustRead(t, d); len(got) != toldPoints || got[0].Tag != cfg.Points[0].Tag || got[0].Quality != drivers.Good || got[0].Time != fakeStamp+5 {
		t.Errorf("then: %v", got)
	}
}
