package collector

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millgate/millgate/drivers"
)

// notifier is a driver whose device tells by itself: nothing, much, of foreign tags, or it fails, at random until calm.
type notifier struct {
	tags   []TagRule
	calm   time.Time
	rng    *rand.Rand
	truth  map[*drivers.Tag]drivers.Reading // what the device told last
	fails  bool                             // the last Read that asked did
	asked  bool                             // the last Read did
	told   uint64
	lost   uint64 // not handed over yet
	losses uint64
}

func (d *notifier) Close() error { return nil }

func (d *notifier) Lost(dst []drivers.CauseCount) []drivers.CauseCount {
	if d.lost == 0 {
		return dst
	}
	dst = append(dst, drivers.CauseCount{Cause: drivers.CauseOverflow, N: d.lost})
	d.losses, d.lost = d.losses+d.lost, 0
	return dst
}

func (d *notifier) Read(_ context.Context, dst []drivers.Reading) ([]drivers.Reading, error) {
	dice := d.rng.IntN(100)
	if time.Now().After(d.calm) {
		dice = 99
	}
	d.fails = dice < 20 || dice < 25 && d.fails // while it is left alone it is as it was
	d.asked = dice < 20 || dice >= 25
	switch {
	case dice < 4:
		panic("chaos")
	case dice < 20:
		return dst, failure([]drivers.Cause{drivers.CauseLost, drivers.CauseSilent}[dice%2])
	case dice < 25:
		return dst, failure(drivers.CauseBackOff)
	case dice < 30:
		d.lost += d.rng.Uint64N(9)
	case dice < 32:
		dst = append(dst, drivers.Reading{Tag: &drivers.Tag{Device: d.tags[0].Tag.Device, Name: "foreign"}, Quality: drivers.Good, Value: drivers.IntValue(1)})
	}
	for range d.rng.IntN(3) {
		for i := range d.tags {
			if d.rng.IntN(3) > 0 || i == 0 && d.told > 10 { // the first one falls silent
				continue
			}
			r := drivers.Reading{Tag: d.tags[i].Tag, Value: drivers.IntValue(d.rng.Int64N(6)), Quality: drivers.Good, Time: drivers.Millis(time.Now())}
			if d.rng.IntN(5) == 0 {
				r = drivers.BadReading(r.Tag, []drivers.Cause{drivers.CauseSilent, drivers.CauseNotANumber}[d.rng.IntN(2)], r.Time)
			}
			d.truth[r.Tag] = r
			d.told++
			dst = append(dst, r)
		}
	}
	return dst, nil
}

// believer is a Store that refuses at random, and checks after each cycle that whoever read all of it knows how things stand.
type believer struct {
	*ledger
	driver *notifier
	view   map[*drivers.Tag]drivers.Reading
	stored map[*drivers.Tag]time.Time
}

func (s *believer) Append(readings []drivers.Reading, events []drivers.Event, cycles []drivers.Cycle) (uint64, error) {
	pos, err := s.ledger.Append(readings, events, cycles)
	if len(cycles) == 0 || err != nil {
		return pos, err
	}
	for _, r := range readings {
		s.view[r.Tag], s.stored[r.Tag] = r, time.Now()
	}
	for i := range s.driver.tags {
		rule := &s.driver.tags[i]
		view, told := s.view[rule.Tag]
		truth, known := s.driver.truth[rule.Tag]
		x, _ := view.Value.Float()
		y, _ := truth.Value.Float()
		switch {
		case s.driver.fails:
			if !told || view.Quality != drivers.Bad {
				s.t.Errorf("%v is believed to be %+v while its device can not be read", rule.Tag, view)
			}
		case !known:
			if told && view.Quality != drivers.Bad {
				s.t.Errorf("%v is believed to be %+v, which nobody told", rule.Tag, view)
			}
		case view.Quality != truth.Quality || view.Cause != truth.Cause:
			s.t.Errorf("%v is believed to be %+v, true is %+v", rule.Tag, view, truth)
		case rule.OnChange && math.Abs(x-y) > rule.Deadband, !rule.OnChange && view.Value != truth.Value:
			s.t.Errorf("%v is believed to be %v, true is %v", rule.Tag, view.Value, truth.Value)
		case s.driver.asked && time.Since(s.stored[rule.Tag]) > cmp.Or(rule.MaxSilence, quarterHour+time.Second):
			s.t.Errorf("%v is silent for %v", rule.Tag, time.Since(s.stored[rule.Tag]))
		}
	}
	return pos, err
}

func TestSubscribedBooksBalance(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d", seed)
	synctest.Test(t, func(t *testing.T) {
		oddStart()
		const length, calm = 22*time.Minute + 50*time.Millisecond, 17 * time.Minute
		begin := time.Now()
		d := &notifier{calm: begin.Add(length - calm), rng: rand.New(rand.NewPCG(seed, 1)), truth: map[*drivers.Tag]drivers.Reading{}}
		d.tags = randomRules(d.rng, "d", 5)
		for i := range d.tags {
			d.tags[i].Counter = nil // its doubts are the collector's own
		}
		d.tags[0].MaxSilence = 0 // the marks alone
		store := &believer{ledger: newLedger(t), driver: d, view: map[*drivers.Tag]drivers.Reading{}, stored: map[*drivers.Tag]time.Time{}}
		store.forget = true
		refuse := rand.New(rand.NewPCG(seed, 2))
		store.accept = func(int) error {
			if time.Now().Before(d.calm) && refuse.IntN(10) == 0 {
				return errors.New("chaos")
			}
			return nil
		}
		dev := Device{ID: "d", Up: &drivers.Tag{Device: "d", Name: "up"}, Groups: []Group{{Interval: 200 * time.Millisecond, Driver: d, Tags: d.tags}}}
		runFor(t, New(Config{Devices: []Device{dev}, Store: store, LastSeen: map[string]int64{"d": drivers.Millis(begin) - 60_000}, Log: slog.New(slog.DiscardHandler)}), length)

		total := store.of("d")
		bad, skipped := tally(map[drivers.Cause]uint64{}, list(total.bad)), tally(map[drivers.Cause]uint64{}, list(total.skipped))
		if total.due != d.told+d.losses || total.good+bad != d.told || skipped != d.losses || total.skipped[drivers.CauseOverflow] != d.losses {
			t.Errorf("told %d and lost %d, booked %+v", d.told, d.losses, total)
		}
		if total.good+bad+total.own != total.suppressed+total.refused+total.stored {
			t.Errorf("%+v does not balance", total)
		}
		if total.suppressed == 0 || total.refused == 0 || bad == 0 || d.losses == 0 {
			t.Errorf("not everything happened: %+v", total)
		}
		if up := store.view[dev.Up]; up.Value != drivers.BoolValue(true) {
			t.Errorf("the device is calm and stored as up = %v", up.Value)
		}
	})
}
