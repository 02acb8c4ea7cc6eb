package collector

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/millgate/millgate/collector/kpi"
	"github.com/millgate/millgate/drivers"
)

// instant answers at once with readings that it has.
type instant struct{ readings []drivers.Reading }

func (d *instant) Close() error { return nil }

func (d *instant) Read(_ context.Context, dst []drivers.Reading) ([]drivers.Reading, error) {
	return append(dst, d.readings...), nil
}

// nothing is a Store that keeps nothing.
type nothing struct{}

func (nothing) Append([]drivers.Reading, []drivers.Event, []drivers.Cycle) (uint64, error) {
	return 0, nil
}

func (nothing) Durable() uint64 { return 0 }

func benchmarkLoop(onChange bool) (*loop, *instant) {
	d := &instant{}
	dev := makeDevice("d", time.Hour, 100, d)
	for i := range dev.Groups[0].Tags {
		rule := &dev.Groups[0].Tags[i]
		rule.OnChange = onChange
		if i%10 == 0 {
			rule.Counter, rule.States = &kpi.CounterRule{Modulus: 1 << 16}, []StateText{{Code: int64(i)}}
			rule.Alarms, rule.Expect = []Alarm{{Bit: 63}}, &Expectation{Value: float64(i)}
		}
		d.readings = append(d.readings, drivers.Reading{Tag: dev.Groups[0].Tags[i].Tag, Value: drivers.IntValue(int64(i)), Quality: drivers.Good})
	}
	c := New(Config{Devices: []Device{dev}, Store: nothing{}, Log: slog.New(slog.DiscardHandler)})
	l := c.loops[0]
	l.clock = newClock(time.Now(), time.Now)
	return l, d
}

// One cycle of 100 tags, with the driver's copying and the context of the Read.
func BenchmarkCycle(b *testing.B) {
	for name, onChange := range map[string]bool{"store_all": false, "suppress_all": true} {
		b.Run(name, func(b *testing.B) {
			l, _ := benchmarkLoop(onChange)
			ctx, tick := b.Context(), l.clock.now()
			b.ReportAllocs()
			for b.Loop() {
				l.cycle(ctx, tick)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/tag")
		})
	}
}

// The collector's own part of a cycle, from the driver's answer to the hand-over, allocates nothing.
func TestCycleAllocatesNothing(t *testing.T) {
	for _, onChange := range []bool{false, true} {
		l, d := benchmarkLoop(onChange)
		ctx, tick, now := t.Context(), time.Duration(0), time.Now()
		allocs := testing.AllocsPerRun(100, func() {
			tick++
			l.open(1, false)
			readings := l.book(ctx, append(l.readings[:0], d.readings...), nil, now)
			l.events = inspect(l.watched, readings, l.events[:0], tick)
			readings = l.reportByException(readings, tick, 1)
			l.handOver(readings, tick)
		})
		if allocs != 0 {
			t.Errorf("on change %t: %v allocations per cycle", onChange, allocs)
		}
	}
}
