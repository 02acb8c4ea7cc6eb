package collector

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millgate/millgate/drivers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ledger is a Store that checks the balance of every Append, and remembers all of it.
type ledger struct {
	t      testing.TB
	accept func(readings int) error // nil: everything
	forget bool                     // totals only

	mu       sync.Mutex
	pos      uint64
	durable  uint64
	readings []drivers.Reading // that were not refused
	events   []drivers.Event
	cycles   []drivers.Cycle
	appends  int
	total    map[string]*totals
}

type totals struct {
	due, good, own, suppressed, stored, refused uint64
	bad, skipped                                map[drivers.Cause]uint64
}

func newLedger(t testing.TB) *ledger { return &ledger{t: t, total: map[string]*totals{}} }

func (s *ledger) Append(readings []drivers.Reading, events []drivers.Event, cycles []drivers.Cycle) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pos++
	s.appends++
	s.events = append(s.events, events...)
	var err error
	if s.accept != nil {
		err = s.accept(len(readings))
	}
	if len(cycles) > 0 {
		s.book(readings, cycles, err == nil)
	}
	if err == nil && !s.forget {
		s.readings = append(s.readings, readings...)
	}
	return s.pos, err
}

func (s *ledger) book(readings []drivers.Reading, cycles []drivers.Cycle, accepted bool) {
	var in, suppressed uint64
	for _, c := range cycles {
		total := s.of(c.Device)
		bad, skipped := tally(total.bad, c.Bad), tally(total.skipped, c.Skipped)
		if c.Due != c.Good+bad+skipped {
			s.t.Errorf("due does not balance: %+v", c)
		}
		total.due += c.Due
		total.good += c.Good
		total.own += c.Own
		total.suppressed += c.Suppressed
		in += c.Good + bad + c.Own
		suppressed += c.Suppressed
		if !s.forget {
			c.Bad, c.Skipped = slices.Clone(c.Bad), slices.Clone(c.Skipped)
			s.cycles = append(s.cycles, c)
		}
	}
	if in != suppressed+uint64(len(readings)) {
		s.t.Errorf("good + bad + own = %d, but suppressed %d + handed over %d: %+v", in, suppressed, len(readings), cycles)
	}
	for _, r := range readings {
		if r.Tag.Device != cycles[0].Device {
			s.t.Errorf("a reading of %v in the account of %s", r.Tag, cycles[0].Device)
		}
	}
	if accepted {
		s.of(cycles[0].Device).stored += uint64(len(readings))
	} else {
		s.of(cycles[0].Device).refused += uint64(len(readings))
	}
}

func (s *ledger) of(device string) *totals {
	if s.total[device] == nil {
		s.total[device] = &totals{bad: map[drivers.Cause]uint64{}, skipped: map[drivers.Cause]uint64{}}
	}
	return s.total[device]
}

func tally(into map[drivers.Cause]uint64, counts []drivers.CauseCount) (sum uint64) {
	for _, c := range counts {
		into[c.Cause] += c.N
		sum += c.N
	}
	return sum
}

func (s *ledger) Durable() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.durable
}

// of one tag, what was stored.
func (s *ledger) stored(tag *drivers.Tag) (out []drivers.Reading) {
	for _, r := range s.readings {
		if r.Tag == tag {
			out = append(out, r)
		}
	}
	return out
}

func (s *ledger) kinds() (out []drivers.EventKind) {
	for _, e := range s.events {
		out = append(out, e.Kind)
	}
	return out
}

// script is a driver that does as it is told.
type script struct {
	read   func(ctx context.Context, call int, dst []drivers.Reading) ([]drivers.Reading, error)
	calls  int
	starts []time.Time
	ends   []time.Time // the deadlines given
	closed int
}

func (d *script) Read(ctx context.Context, dst []drivers.Reading) ([]drivers.Reading, error) {
	end, _ := ctx.Deadline()
	d.calls++
	d.starts, d.ends = append(d.starts, time.Now()), append(d.ends, end)
	return d.read(ctx, d.calls, dst)
}

func (d *script) Close() error { d.closed++; return nil }

// committing is a script that is also a Committer.
type committing struct {
	script
	told []uint64
}

func (d *committing) Committed(reads uint64) { d.told = append(d.told, reads) }

// makeDevice makes a device with one group per driver, of n tags each.
func makeDevice(id string, interval time.Duration, n int, ds ...drivers.Driver) Device {
	dev := Device{ID: id, Up: &drivers.Tag{Device: id, Name: "up", Kind: drivers.State, Type: drivers.TypeBool}}
	for g, d := range ds {
		group := Group{Interval: interval, Driver: d}
		for i := range n {
			tag := &drivers.Tag{Device: id, Name: fmt.Sprintf("g%d_%d", g, i), Index: 1 + g*n + i, Type: drivers.TypeInt64}
			group.Tags = append(group.Tags, TagRule{Tag: tag})
		}
		dev.Groups = append(dev.Groups, group)
	}
	return dev
}

// answer appends a good reading of value v for each tag.
func answer(dst []drivers.Reading, tags []TagRule, v int64) []drivers.Reading {
	for i := range tags {
		dst = append(dst, drivers.Reading{Tag: tags[i].Tag, Value: drivers.IntValue(v), Quality: drivers.Good, Time: drivers.Millis(time.Now())})
	}
	return dst
}

// oneDevice is a device "d" of one group whose driver answers with the number of the call, unless fail has an error for it.
func oneDevice(interval time.Duration, n int, fail func(call int) error) (Device, *script) {
	d := &script{}
	dev := makeDevice("d", interval, n, d)
	d.read = func(_ context.Context, call int, dst []drivers.Reading) ([]drivers.Reading, error) {
		if fail != nil {
			if err := fail(call); err != nil {
				return nil, err
			}
		}
		return answer(dst, dev.Groups[0].Tags, int64(call)), nil
	}
	return dev, d
}

func failure(cause drivers.Cause) error {
	return &drivers.Error{Cause: cause, Err: fmt.Errorf("no answer: %s", cause)}
}

// runFor runs c for d of the bubble's time.
func runFor(t *testing.T, c *Collector, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- c.Run(ctx) }()
	time.Sleep(d)
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
}

// journal is a log that remembers its messages.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) Enabled(context.Context, slog.Level) bool { return true }
func (j *journal) WithAttrs([]slog.Attr) slog.Handler       { return j }
func (j *journal) WithGroup(string) slog.Handler            { return j }

func (j *journal) Handle(_ context.Context, r slog.Record) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	line := r.Level.String() + " " + r.Message
	r.Attrs(func(a slog.Attr) bool { line += fmt.Sprintf(" %s=%v", a.Key, a.Value); return true })
	j.lines = append(j.lines, line)
	return nil
}
