package modbus

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestTraceKeepsTheLast compares the ring with a list that is cut at its front.
func TestTraceKeepsTheLast(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	tr := newTrace()
	var want []Frame
	at := time.Unix(1795406401, 0)
	for range 5000 {
		b := make([]byte, random.IntN(300))
		if random.IntN(100) == 0 {
			b = make([]byte, maxTraced+random.IntN(maxTraced))
		}
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		at = at.Add(time.Duration(random.IntN(1e9)))
		sent := random.IntN(2) == 0
		tr.add(at, sent, b)
		want = append(want, Frame{at, sent, slices.Clone(b[:min(len(b), maxTraced)])})
		clear(b) // the trace has a copy

		if random.IntN(50) > 0 {
			continue
		}
		total := 0
		for i := len(want) - 1; i >= 0; i-- {
			if total += traceHead + len(want[i].Bytes); total > traceSize {
				want = want[i+1:]
				break
			}
		}
		got := tr.frames()
		same := slices.EqualFunc(got, want, func(a, b Frame) bool {
			return a.At.Equal(b.At) && a.Sent == b.Sent && bytes.Equal(a.Bytes, b.Bytes)
		})
		if !same {
			t.Fatalf("%d frames that are not the last %d", len(got), len(want))
		}
	}
}

func TestTraceDoesNotAllocate(t *testing.T) {
	tr, frame, now := newTrace(), make([]byte, 200), time.Now()
	if n := testing.AllocsPerRun(1000, func() { tr.add(now, true, frame) }); n > 0 {
		t.Errorf("%v allocations for each frame", n)
	}
}
