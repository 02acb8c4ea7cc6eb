package opcua

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/millgate/millgate/drivers"
)

// benchGroup is a group of 10,000 points at a worker that is only its pipes, and an answer of it.
func benchGroup(tb testing.TB) (*group, *seat, []byte) {
	const points = 10_000
	cfg := Config{Device: "d", Interval: time.Second}
	b := Batch{Points: points, Call: 1}
	for i := range points {
		cfg.Points = append(cfg.Points, Point{Tag: &drivers.Tag{Name: fmt.Sprint(i)}})
		b.Readings = append(b.Readings, BatchReading{
			Point: uint32(i), Quality: drivers.Good, Value: drivers.Float64Value(float64(i) / 7), Time: 1_700_000_000_000 + int64(i%50),
		})
	}
	for i := 0; i < points; i += 100 {
		b.Readings[i] = BatchReading{Point: uint32(i), Cause: drivers.CauseNotANumber, Time: 1_700_000_000_000}
	}
	body, err := b.Append(nil)
	if err != nil {
		tb.Fatal(err)
	}
	g := newGroup(nil, cfg)
	s := g.seat(&process{pipes: pipes{spare: make(chan []byte, 1)}}, 0)
	s.call = 1
	return g, s, body
}

// BenchmarkAbsorb is what a reading costs on the gateway's side of the pipe.
func BenchmarkAbsorb(b *testing.B) {
	g, s, body := benchGroup(b)
	var dst []drivers.Reading
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if dst, _, err = g.absorb(s, body, dst[:0]); err != nil {
			b.Fatal(err)
		}
		<-s.process.pipes.spare
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(dst)), "ns/reading")
	b.ReportMetric(float64(len(body))/float64(len(dst)), "B/reading")
}

// BenchmarkAppend is what a reading costs on the worker's side of the pipe.
func BenchmarkAppend(b *testing.B) {
	_, _, body := benchGroup(b)
	var batch Batch
	if err := batch.Decode(slices.Clone(body)); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if body, err = batch.Append(body[:0]); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(batch.Readings)), "ns/reading")
}

func TestAbsorbAllocates(t *testing.T) {
	g, s, body := benchGroup(t)
	var dst []drivers.Reading
	allocs := testing.AllocsPerRun(20, func() {
		var err error
		if dst, _, err = g.absorb(s, body, dst[:0]); err != nil || len(dst) != 10_000 {
			t.Fatal(err)
		}
		<-s.process.pipes.spare
	})
	if allocs > 5 {
		t.Errorf("%v allocations for %d readings", allocs, len(dst))
	}
}

func TestLastWords(t *testing.T) {
	for _, c := range []struct{ text, fatal, last string }{
		{"", "", ""},
		{"a\nb", "", "b"},
		{"warn\npanic: x [recovered]\n\tpanic: y\n\ngoroutine 1 [running]:\n", "panic: x [recovered]", "goroutine 1 [running]:"},
		{"fatal error: runtime: out of memory\n", "fatal error: runtime: out of memory", "fatal error: runtime: out of memory"},
		{"SIGSEGV: segmentation violation\nPC=0x1", "SIGSEGV: segmentation violation", "PC=0x1"},
		{"\xffz\n", "", "?z"},
	} {
		for _, chunk := range []int{1, 3, 1000} {
			var l lastWords
			for b := range slices.Chunk([]byte(c.text), chunk) {
				if n, err := l.Write(b); n != len(b) || err != nil {
					t.Fatal(n, err)
				}
			}
			if fatal, last := l.cause(); fatal != c.fatal || last != c.last {
				t.Errorf("%q in chunks of %d: %q, %q", c.text, chunk, fatal, last)
			}
		}
	}
	var l lastWords
	for range 100_000 {
		_, _ = l.Write([]byte("0123456789"))
	}
	_, _ = l.Write([]byte("\nnext\n"))
	if _, last := l.cause(); last != "next" || len(l.String()) > 2*keptBytes {
		t.Errorf("after a line without end: %q, %d bytes", last, len(l.String()))
	}
}
