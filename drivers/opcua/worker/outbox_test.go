package worker

import (
	"sync/atomic"
	"testing"

	"github.com/gopcua/opcua/ua"
	"pgregory.net/rapid"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/opcua"
)

// TestOutbox plays notifications, orders and commits against a model: nothing is acknowledged before all its readings went out in a call that
// is committed, everything is in the end, each reading goes out once, and those of a batch are in the order of their times.
func TestOutbox(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := outbox{held: new(atomic.Int64)}
		var pushed, taken, call uint64
		lastOf := map[uint32]uint64{} // of each notification, the number of its last reading
		callOf := map[uint64]uint64{} // of each reading
		acked := map[uint32]bool{}
		var committed uint64
		seq := uint32(0)
		check := func() {
			for _, a := range o.takeAcks(nil, rapid.IntRange(0, 5).Draw(t, "acks")) {
				if acked[a.SequenceNumber] {
					t.Fatalf("%d is acknowledged twice", a.SequenceNumber)
				}
				acked[a.SequenceNumber] = true
				if last := lastOf[a.SequenceNumber]; last > taken || last > 0 && callOf[last] > committed {
					t.Fatalf("%d is acknowledged before its last reading is durable", a.SequenceNumber)
				}
			}
		}
		take := func(n int) {
			call++
			var last int64
			for _, r := range o.take(call, n) {
				taken++
				if callOf[uint64(r.Value.Bits())] != 0 {
					t.Fatal("a reading went out twice")
				}
				callOf[uint64(r.Value.Bits())] = call
				if r.Time < last {
					t.Fatal("the times of a batch go backwards")
				}
				last = r.Time
			}
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0:
				seq++
				for range rapid.IntRange(0, 4).Draw(t, "readings") {
					pushed++
					o.push(opcua.BatchReading{Value: drivers.UintValue(pushed), Quality: drivers.Good, Time: int64(rapid.IntRange(1, 9).Draw(t, "time"))})
				}
				lastOf[seq] = pushed
				o.end(1, seq)
			case 1:
				take(rapid.IntRange(0, 6).Draw(t, "n"))
			case 2:
				committed = uint64(rapid.IntRange(int(committed), int(call)).Draw(t, "committed"))
				o.committed(committed)
			case 3:
				check()
			}
		}
		take(1 << 20)
		o.committed(call)
		committed = call
		for range 1000 {
			check()
		}
		if taken != pushed || len(acked) != int(seq) {
			t.Fatalf("%d of %d readings, %d of %d acknowledged", taken, pushed, len(acked), seq)
		}
		if o.held.Load() != 0 {
			t.Fatalf("%d bytes are held of nothing", o.held.Load())
		}
	})
}

// TestOutboxIsBounded: the oldest readings go when nobody takes them, and their notifications are acknowledged with the next call.
func TestOutboxIsBounded(t *testing.T) {
	o := outbox{held: new(atomic.Int64)}
	n := uint64(maxHeld/readingSize + 1000)
	var dropped uint64
	for i := range n {
		dropped += o.push(opcua.BatchReading{Value: drivers.UintValue(i), Quality: drivers.Good})
		if i == 0 {
			o.end(1, 1)
		}
	}
	if o.held.Load() > maxHeld {
		t.Errorf("%d bytes are held, more than %d", o.held.Load(), maxHeld)
	}
	if dropped != 1000 {
		t.Errorf("%d were dropped, want 1000", dropped)
	}
	got := o.take(1, 1)
	if len(got) != 1 || got[0].Value != drivers.UintValue(dropped) {
		t.Errorf("the first one is %v, want %d", got, dropped)
	}
	o.committed(1)
	if acks := o.takeAcks(nil, 10); len(acks) != 1 || *acks[0] != (ua.SubscriptionAcknowledgement{SubscriptionID: 1, SequenceNumber: 1}) {
		t.Errorf("acknowledged: %v", acks)
	}
}
