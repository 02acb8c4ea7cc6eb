package buffer

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/millgate/millgate/drivers"
)

// model is what the queue must do, in the plainest form: which values are committed under which seq, and which of them acknowledged.
type model struct {
	open      []drivers.Value
	committed map[uint64][]drivers.Value
	acked     map[uint64]bool // in memory
	durable   map[uint64]bool // as of the last commit
	next      uint64
}

// TestQueueAgainstModel takes random steps, and compares all that can be seen after each; crashes lose what was not committed.
func TestQueueAgainstModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(t, nil)
		m := &model{committed: map[uint64][]drivers.Value{}, acked: map[uint64]bool{}, durable: map[uint64]bool{}, next: 1}
		c := r.Cursor(testUplink)
		out := map[uint64]*Block{} // handed out, not acknowledged
		value := int64(0)
		for range rapid.IntRange(1, 25).Draw(rt, "steps") {
			switch step := rapid.SampledFrom([]string{"append", "append", "commit", "commit", "next", "ack", "rewind", "crash", "stop"}).Draw(rt, "step"); step {
			case "append":
				value++
				v := drivers.IntValue(value)
				reading := drivers.Reading{Tag: r.cat.tags[1], Time: value, Quality: drivers.Good, Value: v}
				if _, err := r.Append([]drivers.Reading{reading}, nil, []drivers.Cycle{{Device: "device-0", Time: value, Due: 1, Good: 1}}); err != nil {
					rt.Fatal(err)
				}
				m.open = append(m.open, v)
			case "commit":
				r.commit()
				m.commit()
			case "next":
				for _, b := range drain(t, c) {
					if _, ok := out[b.Seq]; ok {
						rt.Fatalf("block %d was handed out twice", b.Seq)
					}
					out[b.Seq] = b
				}
				m.check(rt, out)
			case "ack":
				for _, seq := range slices.Sorted(maps.Keys(out)) {
					if rapid.Bool().Draw(rt, "this one") {
						c.Acknowledge(out[seq])
						m.acked[seq] = true
						delete(out, seq)
					}
				}
			case "rewind":
				c.Rewind()
				clear(out)
			case "crash", "stop":
				if step == "stop" {
					r.commit()
					m.commit()
				}
				m.open, m.acked = nil, maps.Clone(m.durable)
				r.reopen()
				c = r.Cursor(testUplink)
				clear(out)
			}
			m.checkLedger(rt, r)
		}
		if err := r.Close(); err != nil {
			rt.Fatal(err)
		}
	})
}

func (m *model) commit() {
	if len(m.open) > 0 {
		m.committed[m.next] = m.open
		m.next++
	}
	m.open = nil
	m.durable = maps.Clone(m.acked)
}

// check says that all committed and unacknowledged blocks were handed out, with the values that were put in.
func (m *model) check(t *rapid.T, out map[uint64]*Block) {
	for seq, want := range m.committed {
		b, ok := out[seq]
		if ok == m.acked[seq] {
			t.Fatalf("block %d: handed out %v, acknowledged %v", seq, ok, m.acked[seq])
		}
		if !ok {
			continue
		}
		if len(b.Readings) != len(want) {
			t.Fatalf("block %d has %d readings, want %d", seq, len(b.Readings), len(want))
		}
		for i, r := range b.Readings {
			if r.Value != want[i] {
				t.Fatalf("block %d reading %d is %v, want %v", seq, i, r.Value, want[i])
			}
		}
	}
}

func (m *model) checkLedger(t *rapid.T, r *rig) {
	var stored, acked uint64
	for seq, values := range m.committed {
		stored += uint64(len(values))
		if m.acked[seq] {
			acked += uint64(len(values))
		}
	}
	s := r.Snapshot()
	u := s.Ledger.Uplinks[0]
	if u.Stored != stored || u.Acknowledged != acked || u.Pending != stored-acked || s.Next[Readings] != m.next {
		t.Fatalf("next %d, ledger %+v; want next %d, stored %d, acknowledged %d", s.Next[Readings], u, m.next, stored, acked)
	}
	if wrong := s.Ledger.Imbalances(); len(wrong) > 0 {
		t.Fatal(wrong)
	}
}

// TestCursorWhileWriting lets one goroutine append, Run commit and a cursor acknowledge, for the race detector and for order.
func TestCursorWhileWriting(t *testing.T) {
	r := newRig(t, func(c *Config) { c.CommitInterval = 2e6 })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	const n = 500
	go func() {
		for range n {
			readings := []drivers.Reading{{Tag: r.cat.tags[1], Time: 1, Quality: drivers.Good, Value: drivers.IntValue(1)}}
			if _, err := r.Append(readings, nil, []drivers.Cycle{{Device: "device-0", Due: 1, Good: 1}}); err != nil {
				t.Error(err)
			}
			_ = r.Snapshot()
		}
	}()
	c := r.Cursor(testUplink)
	got, last := 0, uint64(0)
	for got < n {
		b, err := c.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if b.Seq != last+1 {
			t.Fatalf("block %d after %d", b.Seq, last)
		}
		last, got = b.Seq, got+len(b.Readings)
		c.Acknowledge(b)
	}
	cancel()
	if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	r.balanced()
}
