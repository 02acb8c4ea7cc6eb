package collector

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millgate/millgate/collector/kpi"
	"github.com/millgate/millgate/drivers"
)

var seedFlag = flag.Uint64("seed", 0, "seed of the random property test; 0: a new one")

// chaos is a driver that answers, fails, waits, panics and miscounts at random until calm.
type chaos struct {
	tags     []TagRule
	interval time.Duration
	calm     time.Time
	rng      *rand.Rand
	truth    []drivers.Reading // what the last Read said, one per tag; nil if the device was not asked
}

func (d *chaos) Close() error { return nil }

func (d *chaos) Read(ctx context.Context, dst []drivers.Reading) ([]drivers.Reading, error) {
	d.truth = nil
	dice := d.rng.IntN(100)
	if time.Now().After(d.calm) {
		dice = 99
	}
	switch {
	case dice < 8:
		return nil, d.fails(drivers.CauseTimeout)
	case dice < 12:
		return nil, d.fails(drivers.CauseLost)
	case dice < 18:
		return dst, failure(drivers.CauseBackOff)
	case dice < 21:
		_ = d.fails(drivers.CauseInternal)
		panic("chaos")
	case dice < 24:
		<-ctx.Done()
		_ = d.fails(drivers.CauseTimeout)
		return dst, ctx.Err()
	case dice < 30:
		time.Sleep(time.Duration(d.rng.Int64N(int64(d.interval))))
	case dice < 34:
		time.Sleep(time.Duration(d.rng.Int64N(4 * int64(d.interval))))
	}
	for i := range d.tags {
		r := drivers.Reading{
			Tag: d.tags[i].Tag, Value: drivers.IntValue(d.rng.Int64N(6)), Quality: drivers.Good, Time: drivers.Millis(time.Now()),
		}
		switch {
		case dice < 50 && d.rng.IntN(3) == 0:
			r = drivers.BadReading(r.Tag, drivers.ModbusException(byte(1+d.rng.IntN(3))), r.Time)
		case dice < 55:
			r.Quality, r.Cause = drivers.Uncertain, drivers.CauseSourceTime
		}
		d.truth = append(d.truth, r)
	}
	dst = append(dst, d.truth...)
	if dice > 54 && dice < 57 { // the last reading is missing
		last := &d.truth[len(d.truth)-1]
		*last = drivers.BadReading(last.Tag, drivers.CauseInternal, last.Time)
		dst = dst[:len(dst)-1]
	}
	return dst, nil
}

func (d *chaos) fails(cause drivers.Cause) error {
	for i := range d.tags {
		d.truth = append(d.truth, drivers.BadReading(d.tags[i].Tag, cause, 0))
	}
	return failure(cause)
}

// subscriber is a Store that refuses at random, and checks after each cycle that what it accepted tells the truth.
type subscriber struct {
	*ledger
	groups map[string]*chaos // by device and number of tags
	view   map[*drivers.Tag]drivers.Reading
	owed   map[*drivers.Tag]bool // refused and not stored since
}

func (s *subscriber) Append(readings []drivers.Reading, events []drivers.Event, cycles []drivers.Cycle) (uint64, error) {
	pos, err := s.ledger.Append(readings, events, cycles)
	if len(cycles) == 0 {
		return pos, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := map[*drivers.Tag]bool{}
	for _, r := range readings {
		now[r.Tag] = true
		if s.owed[r.Tag] = err != nil; err == nil {
			s.view[r.Tag] = r
		}
	}
	cycle := cycles[len(cycles)-1]
	read := cycle.Good
	for _, c := range cycle.Bad {
		read += c.N
	}
	group := s.groups[fmt.Sprint(cycle.Device, read)]
	if read == 0 || err != nil {
		return pos, err
	}
	for i, truth := range group.truth {
		rule := &group.tags[i]
		view := s.view[rule.Tag]
		if rule.Counter != nil && truth.Quality != drivers.Bad && strings.HasPrefix(string(view.Cause), "counter_") {
			truth.Quality, truth.Cause = drivers.Uncertain, view.Cause // the driver knows nothing of counters
		}
		x, _ := view.Value.Float()
		y, _ := truth.Value.Float()
		switch {
		case s.owed[rule.Tag]:
			s.t.Errorf("%v was refused and is not stored again", rule.Tag)
		case view.Tag == nil || view.Quality != truth.Quality || view.Cause != truth.Cause:
			s.t.Errorf("%v: stored %+v, true %+v", rule.Tag, view, truth)
		case rule.OnChange && math.Abs(x-y) > rule.Deadband, !rule.OnChange && view.Value != truth.Value:
			s.t.Errorf("%v: stored %v, true %v", rule.Tag, view.Value, truth.Value)
		case !rule.OnChange && truth.Quality != drivers.Bad && !now[rule.Tag]:
			s.t.Errorf("%v: a good reading was suppressed", rule.Tag)
		}
	}
	return pos, err
}

func TestBooksBalance(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d", seed)
	synctest.Test(t, func(t *testing.T) {
		oddStart()
		begin := time.Now()
		const length, calm = 20*time.Minute + 50*time.Millisecond, time.Minute
		store := &subscriber{
			ledger: newLedger(t), groups: map[string]*chaos{}, view: map[*drivers.Tag]drivers.Reading{}, owed: map[*drivers.Tag]bool{},
		}
		store.forget = true
		var devices []Device
		for i := range 3 {
			dev := Device{ID: fmt.Sprintf("device-%d-", i)}
			dev.Up = &drivers.Tag{Device: dev.ID, Name: "up"}
			for g := range 2 {
				d := &chaos{
					interval: time.Duration(100+150*g+50*i) * time.Millisecond, calm: begin.Add(length - calm),
					rng: rand.New(rand.NewPCG(seed, uint64(10*i+g))),
				}
				d.tags = randomRules(d.rng, dev.ID, 3+2*g)
				store.groups[fmt.Sprint(dev.ID, len(d.tags))] = d
				dev.Groups = append(dev.Groups, Group{Interval: d.interval, Driver: d, Tags: d.tags})
			}
			devices = append(devices, dev)
		}
		store.accept = func(readings int) error {
			until := time.Until(begin.Add(length - calm))
			dice := rand.New(rand.NewPCG(seed, uint64(until)+uint64(readings))).IntN(100)
			if until > 0 && dice < 10 {
				return errors.New("chaos")
			}
			return nil
		}
		c := New(Config{Devices: devices, Store: store, Log: slog.New(slog.DiscardHandler)})
		runFor(t, c, length)
		for i, s := range c.Snapshot() {
			checkTotals(t, store, s, devices[i], begin)
		}
		told := map[drivers.EventKind]int{}
		for _, kind := range store.kinds() {
			told[kind]++
		}
		for _, kind := range []drivers.EventKind{drivers.EventCounter, drivers.EventAlarm, drivers.EventUnknownState, drivers.EventParamMismatch} {
			if told[kind] == 0 {
				t.Errorf("no event %s", kind)
			}
		}
		t.Logf("%d cycles, events %v", store.appends, told)
		if store.appends < 10_000 {
			t.Error("too few cycles to tell anything")
		}
	})
}

func checkTotals(t *testing.T, store *subscriber, s DeviceStatus, dev Device, begin time.Time) {
	total := store.of(s.Device)
	var due uint64
	for _, g := range dev.Groups {
		due += uint64(len(g.Tags)) * uint64(time.Now().UnixNano()/int64(g.Interval)-begin.UnixNano()/int64(g.Interval))
	}
	bad, skipped := tally(map[drivers.Cause]uint64{}, list(total.bad)), tally(map[drivers.Cause]uint64{}, list(total.skipped))
	if total.due != due || due != total.good+bad+skipped {
		t.Errorf("%s: due %d, by the clock %d, good + bad + skipped %d", s.Device, total.due, due, total.good+bad+skipped)
	}
	if total.good+bad+total.own != total.suppressed+total.refused+total.stored {
		t.Errorf("%s: %+v does not balance", s.Device, total)
	}
	if view := store.view[dev.Up]; !s.Up || view.Value != drivers.BoolValue(true) {
		t.Errorf("%s is calm and up, but stored is %v and said is %t", s.Device, view.Value, s.Up)
	}
	for _, cause := range []drivers.Cause{drivers.CauseTimeout, drivers.CauseInternal} {
		if total.bad[cause] == 0 {
			t.Errorf("%s: no reading was bad with cause %s", s.Device, cause)
		}
	}
	if total.skipped[drivers.CauseOverrun] == 0 || total.skipped[drivers.CauseBackOff] == 0 || total.refused == 0 || total.suppressed == 0 {
		t.Errorf("%s: not everything happened: %+v", s.Device, total)
	}
}

func list(counts map[drivers.Cause]uint64) (out []drivers.CauseCount) {
	for cause, n := range counts {
		out = append(out, drivers.CauseCount{Cause: cause, N: n})
	}
	return out
}

// inspections are rules for values 0 to 5, of which one in three has them all and one in three has none.
func inspections(rule *TagRule, i int) {
	if i%3 == 0 {
		rule.Counter = &kpi.CounterRule{Modulus: 6, MaxRate: 1}
	}
	if i%3 != 2 {
		rule.States = []StateText{{Code: 0}, {Code: 1}}
		rule.Alarms = []Alarm{{Bit: 0, Severity: drivers.Warning}, {Bit: 2, Severity: drivers.Severe}}
		rule.Expect = &Expectation{Param: "ct", Value: 3}
	}
}

func randomRules(rng *rand.Rand, device string, n int) (rules []TagRule) {
	for i := range n {
		rules = append(rules, TagRule{
			Tag:      &drivers.Tag{Device: device, Name: fmt.Sprintf("t%d_%d", n, i), Type: drivers.TypeInt64},
			OnChange: i%2 == 0, Deadband: float64(rng.IntN(4)), MaxSilence: time.Duration(rng.IntN(3)) * time.Second,
		})
		inspections(&rules[i], i)
	}
	return rules
}

// Twenty devices live through a day: one is off at night, one is off for good, one has no break.
func TestADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		oddStart()
		const tags, interval = 10, 10 * time.Second
		store := newLedger(t)
		store.forget = true
		var devices []Device
		for i := range 20 {
			d := &script{}
			dev := makeDevice(fmt.Sprintf("device-%d", i), interval, tags, d)
			rules := dev.Groups[0].Tags
			for k := range rules {
				rules[k].OnChange = true
			}
			d.read = func(_ context.Context, _ int, dst []drivers.Reading) ([]drivers.Reading, error) {
				hour := time.Now().UTC().Hour()
				if i == 0 && (hour < 6 || hour >= 22) || i == 1 {
					return nil, failure(drivers.CauseUnreachable)
				}
				return answer(dst, rules, int64(hour)), nil // changes once an hour
			}
			devices = append(devices, dev)
		}
		runFor(t, New(Config{Devices: devices, Store: store, Log: slog.New(&journal{})}), 24*time.Hour)
		const cycles = uint64(24 * time.Hour / interval)
		for i := range 20 {
			total := store.of(fmt.Sprintf("device-%d", i))
			bad := total.bad[drivers.CauseUnreachable]
			wantBad := uint64(0)
			own := uint64(97)
			switch i {
			case 0:
				wantBad = tags * (8*360 - 1 + 1) // the first tick of the day is missing, the one at midnight is there
			case 1:
				wantBad = tags * cycles
			}
			if total.due != tags*cycles || bad != wantBad || total.good != total.due-wantBad || total.own != own {
				t.Errorf("device %d: %+v, want due %d and bad %d", i, total, tags*cycles, wantBad)
			}
			// Hours begin with a mark, and so do the changes: nothing else is stored.
			if total.stored != 97*tags+own {
				t.Errorf("device %d: %d stored, want one of each tag per quarter hour", i, total.stored)
			}
		}
		want := map[drivers.EventKind]int{drivers.EventDeviceDown: 3, drivers.EventDeviceUp: 1}
		got := map[drivers.EventKind]int{}
		for _, kind := range store.kinds() {
			got[kind]++
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("events %v, want %v", got, want)
		}
	})
}
