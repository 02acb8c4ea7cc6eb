package worker

import (
	"testing"

	"github.com/gopcua/opcua/ua"
	"pgregory.net/rapid"
)

func message(seq uint32) *ua.NotificationMessage { return &ua.NotificationMessage{SequenceNumber: seq} }

func TestFollowingAndSteps(t *testing.T) {
	for _, c := range []struct{ a, b, steps uint32 }{
		{1, 1, 0}, {1, 2, 1}, {5, 9, 4}, {numbers, 1, 1}, {numbers - 1, 2, 3}, {2, 1, numbers - 1}, {1, numbers, numbers - 1},
	} {
		if got := steps(c.a, c.b); got != c.steps {
			t.Errorf("steps(%d, %d) is %d, want %d", c.a, c.b, got, c.steps)
		}
	}
	if following(7) != 8 || following(numbers) != 1 {
		t.Error("the number after the last is 1, and there is no 0")
	}
}

// TestOrder shuffles notifications within a window, repeats some, drops some, begins near the end of the numbers, and asks again for what is
// missing as a subscription does.
func TestOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		begin := rapid.SampledFrom([]uint32{1, 2, numbers - 5, numbers - 20, numbers, 1 << 31}).Draw(t, "begin")
		n := rapid.IntRange(1, 60).Draw(t, "n")
		o := newOrder()
		o.next, o.begun = begin, true
		seqs := make([]uint32, n)
		for i, seq := 0, begin; i < n; i, seq = i+1, following(seq) {
			seqs[i] = seq
		}
		dropped := make(map[uint32]bool)
		var arriving []uint32
		for _, seq := range seqs {
			switch rapid.IntRange(0, 9).Draw(t, "fate") {
			case 0:
				dropped[seq] = true
			case 1:
				arriving = append(arriving, seq, seq)
			default:
				arriving = append(arriving, seq)
			}
		}
		for i := range arriving {
			j := min(i+rapid.IntRange(0, 3).Draw(t, "late"), len(arriving)-1)
			arriving[i], arriving[j] = arriving[j], arriving[i]
		}
		var got []uint32
		take := func(ms []*ua.NotificationMessage) {
			for _, m := range ms {
				got = append(got, m.SequenceNumber)
			}
		}
		for _, seq := range arriving {
			take(o.add(message(seq), nil))
		}
		gaps := uint32(0)
		for o.missing() > 0 {
			ready, lost := o.skip(1, nil)
			gaps += lost
			take(ready)
		}
		var want []uint32
		tail := 0
		for i, seq := range seqs {
			if !dropped[seq] {
				want, tail = append(want, seq), i+1
			}
		}
		for i := range max(len(got), len(want)) {
			if i >= len(got) || i >= len(want) || got[i] != want[i] {
				t.Fatalf("got %v, want %v", got, want)
			}
		}
		if want := uint32(tail - len(want)); gaps != want {
			t.Fatalf("%d gaps, want %d", gaps, want)
		}
	})
}

// TestOrderBeginsAnywhere: what lies before the first notification of a subscription was never there.
func TestOrderBeginsAnywhere(t *testing.T) {
	o := newOrder()
	if ready := o.add(message(7), nil); len(ready) != 0 || o.missing() != 6 {
		t.Fatalf("%d ready, %d missing", len(ready), o.missing())
	}
	ready, gaps := o.skip(o.missing(), nil)
	if len(ready) != 1 || gaps != 0 {
		t.Errorf("%d ready, %d gaps, want 1 and 0", len(ready), gaps)
	}
	if ready := o.add(message(3), nil); len(ready) != 0 {
		t.Error("an old one was taken")
	}
	if ready := o.add(message(8), nil); len(ready) != 1 {
		t.Error("the next one was not taken")
	}
}

// TestOrderLeaps: a server that leaps by millions does not make the worker count to them.
func TestOrderLeaps(t *testing.T) {
	for _, begin := range []uint32{1, numbers - 3} {
		o := newOrder()
		o.next, o.begun = begin, true
		far := uint32((uint64(begin)-1+50_000_000)%numbers) + 1
		o.add(message(far), nil)
		ready, gaps := o.skip(o.missing(), nil)
		if len(ready) != 1 || gaps != 50_000_000 || o.next != following(far) {
			t.Errorf("from %d: %d ready, %d gaps, next %d", begin, len(ready), gaps, o.next)
		}
	}
}

// TestOrderIsBounded: a number that never comes does not keep all later ones for ever.
func TestOrderIsBounded(t *testing.T) {
	o := newOrder()
	for seq := range uint32(3 * maxWaiting) {
		o.add(message(seq+2), nil)
	}
	if len(o.waiting) > maxWaiting {
		t.Errorf("%d wait", len(o.waiting))
	}
}
