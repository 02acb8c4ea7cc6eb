package collector

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millgate/millgate/collector/kpi"
	"github.com/millgate/millgate/drivers"
)

// inspected is what a watch makes of readings of one tag, each so long after the one before.
type inspected struct {
	t       *testing.T
	rule    TagRule
	watched []watch
	now     time.Duration
}

func newInspected(t *testing.T, rule TagRule) *inspected {
	rule.Tag = &drivers.Tag{Device: "d", Name: "t"}
	i := &inspected{t: t, rule: rule, now: 1e18}
	i.watched = watchesOf([]TagRule{{Tag: &drivers.Tag{Device: "d", Name: "plain"}}, rule})
	if len(i.watched) != 1 {
		t.Fatalf("%d tags are watched, want 1", len(i.watched))
	}
	return i
}

// next is the events of one more value, in short, and the reading as it is then.
func (i *inspected) next(after time.Duration, v drivers.Value) (said string, r drivers.Reading) {
	i.t.Helper()
	i.now += after
	const stamp = 7 // of the wall clock, which may stand still or jump
	readings := []drivers.Reading{
		{Tag: &drivers.Tag{Device: "d", Name: "plain"}, Value: v, Quality: drivers.Good},
		{Tag: i.rule.Tag, Value: v, Quality: drivers.Good, Time: stamp},
	}
	if v.IsZero() {
		readings[1] = drivers.BadReading(i.rule.Tag, drivers.CauseTimeout, stamp)
	}
	for _, e := range inspect(i.watched, readings, nil, i.now) {
		said += fmt.Sprintf("%s %s %s %s;", e.Kind, e.Severity, e.Cause, e.Fields)
		if e.Time != stamp || e.Subject != "device/d" || !strings.Contains(e.Text.EN, "d/t") || !strings.Contains(e.Text.ZH, "d/t") {
			i.t.Errorf("event %+v", e)
		}
	}
	if readings[0].Quality != drivers.Good || readings[1].Value != v {
		i.t.Errorf("inspection touched %+v", readings)
	}
	return strings.ReplaceAll(strings.TrimSuffix(said, ";"), `"`, ""), readings[1]
}

func (i *inspected) says(after time.Duration, v drivers.Value, want string) {
	i.t.Helper()
	if said, _ := i.next(after, v); said != want {
		i.t.Errorf("%s: said %q, want %q", v, said, want)
	}
}

func TestInspectCounter(t *testing.T) {
	i := newInspected(t, TagRule{Counter: &kpi.CounterRule{Modulus: 1e6, MaxRate: 1}})
	f := func(after time.Duration, value float32, cause drivers.Cause, want string) {
		t.Helper()
		v := drivers.Float32Value(value)
		said, r := i.next(after, v)
		if said != want {
			t.Errorf("%v: said %q, want %q", value, said, want)
		}
		quality := drivers.Good
		if cause != "" {
			quality = drivers.Uncertain
		}
		if r.Quality != quality || r.Cause != cause {
			t.Errorf("%v: %s %q, want %q", value, r.Quality, r.Cause, cause)
		}
	}
	f(0, 999999.5, "", "")
	f(time.Second, 999999.75, "", "")
	f(time.Second, 0.25, drivers.CauseCounterRollover, "counter warning counter_rollover {tag:t,before:999999.75,after:0.25,delta:0.5}")
	for range 3 { // so that the rollover is beyond doubt
		f(time.Second, 0.5, "", "")
	}
	f(0, 77777, drivers.CauseCounterSpike, "counter warning counter_spike {tag:t,before:0.5,after:77777,delta:0}")
	f(time.Second, 77777, drivers.CauseCounterSpike, "") // doubted, but told
	f(time.Second, 0.75, "", "")
	f(time.Second, 1, "", "")
	f(time.Minute, 88888, drivers.CauseCounterSpike, "counter warning counter_spike {tag:t,before:1,after:88888,delta:0}")
	i.next(0, drivers.Value{}) // a bad reading says nothing of the counter
	f(0, 2, "", "")
	f(10*time.Hour, 30000, "", "") // much, but not in so long a time
	f(time.Second, 100000, drivers.CauseCounterSpike, "counter warning counter_spike {tag:t,before:30000,after:100000,delta:0}")
	f(time.Second, 100000, drivers.CauseCounterSpike, "")
	f(time.Second, 100000, drivers.CauseCounterSpike, "")
	f(time.Second, 100001, drivers.CauseCounterSwap, "counter warning counter_swap {tag:t,before:30000,after:100001,delta:1}")
	f(time.Second, 0.1, drivers.CauseCounterReset, `counter warning counter_reset {tag:t,before:100001,after:0.1,delta:0.10000000149011612}`)
}

func TestInspectIntegersExactly(t *testing.T) {
	i := newInspected(t, TagRule{Counter: &kpi.CounterRule{Modulus: 1 << 32}})
	i.says(0, drivers.UintValue(4294967295), "")
	i.says(time.Second, drivers.UintValue(1), "counter warning counter_rollover {tag:t,before:4294967295,after:1,delta:2}")
	i = newInspected(t, TagRule{Counter: &kpi.CounterRule{Modulus: 1 << 32}})
	i.says(0, drivers.IntValue(2147483647), "")
	i.says(time.Second, drivers.IntValue(-2147483648), "counter warning counter_rollover {tag:t,before:2147483647,after:-2147483648,delta:1}")
}

func TestInspectStates(t *testing.T) {
	i := newInspected(t, TagRule{States: []StateText{{Code: 0}, {Code: 1}, {Code: -3}}})
	i.says(0, drivers.UintValue(1), "")
	i.says(0, drivers.IntValue(-3), "")
	i.says(0, drivers.Float64Value(1), "")
	i.says(0, drivers.BoolValue(false), "")
	i.says(0, drivers.UintValue(7), "unknown_state warning  {tag:t,code:7}")
	i.says(0, drivers.UintValue(7), "")
	i.says(0, drivers.Value{}, "")
	i.says(0, drivers.UintValue(1), "")
	i.says(0, drivers.UintValue(7), "")
	i.says(0, drivers.Float64Value(0.5), "unknown_state warning  {tag:t,code:0.5}")
	i.says(0, drivers.UintValue(1<<64-3), "unknown_state warning  {tag:t,code:18446744073709551613}") // and not -3
	told := 3
	for code := range 100 {
		if said, _ := i.next(0, drivers.IntValue(int64(1000+code))); said != "" {
			told++
		}
	}
	if told != maxUnknown {
		t.Errorf("%d codes were told, want %d", told, maxUnknown)
	}
}

func TestInspectAlarms(t *testing.T) {
	i := newInspected(t, TagRule{Alarms: []Alarm{{Bit: 0, Severity: drivers.Warning}, {Bit: 3, Severity: drivers.Severe}, {Bit: 200}}})
	const set0, set3, clear3 = "alarm warning  {tag:t,bit:0,set:true}", "alarm error  {tag:t,bit:3,set:true}", "alarm info  {tag:t,bit:3,set:false}"
	i.says(0, drivers.UintValue(0b1110), set3) // set at start
	i.says(0, drivers.UintValue(0b1111), set0)
	i.says(time.Second, drivers.UintValue(0b0001), "") // a minute has not passed
	i.says(time.Second, drivers.UintValue(0b1001), "")
	i.says(time.Second, drivers.Value{}, "")
	i.says(time.Minute, drivers.UintValue(0b1001), "") // as it was
	i.says(time.Second, drivers.UintValue(0b0001), clear3)
	i.says(59*time.Second, drivers.UintValue(0b1001), "")
	i.says(time.Second, drivers.UintValue(0b1001), set3)
	i.says(time.Second, drivers.Float64Value(0), "") // has no bits

	i = newInspected(t, TagRule{Alarms: []Alarm{{Bit: 0, Severity: drivers.Warning}}})
	i.says(0, drivers.BoolValue(false), "")
	i.says(0, drivers.BoolValue(true), set0)
}

func TestInspectExpectation(t *testing.T) {
	i := newInspected(t, TagRule{Expect: &Expectation{Param: "ct", Value: 40}})
	i.says(0, drivers.Float32Value(40.00001), "")
	i.says(0, drivers.UintValue(30), "param_mismatch warning  {tag:t,param:ct,device:30,site:40}")
	i.says(time.Hour, drivers.UintValue(30), "")
	i.says(time.Hour, drivers.Value{}, "")
	i.says(0, drivers.UintValue(60), "param_mismatch warning  {tag:t,param:ct,device:60,site:40}")
	i.says(time.Second, drivers.UintValue(40), "") // told when the minute has passed
	i.says(time.Second, drivers.TextValue("x"), "")
	i.says(time.Minute, drivers.UintValue(40), "param_mismatch info  {tag:t,param:ct,device:40,site:40}")
	i.says(time.Hour, drivers.UintValue(40), "")
	i = newInspected(t, TagRule{Expect: &Expectation{Param: "offset"}})
	i.says(0, drivers.IntValue(0), "")
	i.says(0, drivers.Float64Value(1e-9), "param_mismatch warning  {tag:t,param:offset,device:1e-09,site:0}")
}

// The events and the quality reach the store with the readings that they speak of, on change only as well.
func TestInspectionIsStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dev, d := oneDevice(time.Second, 2, nil)
		rules := dev.Groups[0].Tags
		rules[1].OnChange, rules[1].Counter = true, &kpi.CounterRule{Modulus: 1 << 16, MaxRate: 1}
		values := []int64{65534, 65535, 0, 1, 1, 1}
		d.read = func(_ context.Context, call int, dst []drivers.Reading) ([]drivers.Reading, error) {
			return answer(dst, rules, values[call-1]), nil
		}
		store := newLedger(t)
		runFor(t, New(Config{Devices: []Device{dev}, Store: store, Log: slog.New(slog.DiscardHandler)}), time.Duration(len(values))*time.Second+time.Millisecond)
		var got string
		for _, r := range store.stored(rules[1].Tag) {
			got += fmt.Sprintf("%s %s %s;", r.Value, r.Quality, r.Cause)
		}
		if want := "65534 good ;65535 good ;0 uncertain counter_rollover;1 good ;"; got != want {
			t.Errorf("stored %q, want %q", got, want)
		}
		for _, r := range store.stored(rules[0].Tag) {
			if r.Quality != drivers.Good {
				t.Errorf("a tag without a rule is %+v", r)
			}
		}
		if len(store.events) != 1 || store.events[0].Kind != drivers.EventCounter || store.of("d").good != 12 {
			t.Errorf("events %+v, account %+v", store.events, store.of("d"))
		}
	})
}

// talker is a script that is also a Reporter.
type talker struct {
	script
	events func(call int) []drivers.Event
}

func (d *talker) Events(dst []drivers.Event) []drivers.Event {
	return append(dst, d.events(d.calls)...)
}

func TestReporter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &talker{}
		dev := makeDevice("d", time.Second, 2, d)
		d.read = func(_ context.Context, call int, dst []drivers.Reading) ([]drivers.Reading, error) {
			if call == 3 {
				return nil, failure(drivers.CauseTimeout)
			}
			return answer(dst, dev.Groups[0].Tags, int64(call)), nil
		}
		d.events = func(call int) []drivers.Event {
			if call%2 == 0 {
				panic("lost its tongue")
			}
			return []drivers.Event{{Kind: drivers.EventAddressRefused, Count: uint64(call)}}
		}
		log := &journal{}
		store := newLedger(t)
		runFor(t, New(Config{Devices: []Device{dev}, Store: store, Log: slog.New(log)}), 5500*time.Millisecond)
		var got string
		for _, e := range store.events {
			got += fmt.Sprintf("%s %d;", e.Kind, e.Count)
		}
		if want := "address_refused 1;address_refused 3;device_down 0;device_up 2;address_refused 5;"; got != want {
			t.Errorf("events %q, want %q", got, want)
		}
		if total := store.of("d"); total.good != 8 || total.bad[drivers.CauseTimeout] != 2 {
			t.Errorf("account %+v: a panic while telling events costs no reading", total)
		}
		stacks := 0
		for _, line := range log.lines {
			if strings.Contains(line, "stack=") {
				stacks++
			}
		}
		if stacks != 1 {
			t.Errorf("logged %q, want one stack", log.lines)
		}
	})
}
