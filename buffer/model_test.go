package buffer

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/millgate/millgate/collector/kpi"
	"github.com/millgate/millgate/drivers"
)

// model is what the queue must do, in the plainest form: which values are committed under which seq, and which of them acknowledged.
type model struct {
	open      []drivers.Value
	committed map[uint64][]drivers.Value
	acked     map[uint64]bool // in memory
	durable   map[uint64]bool // as of the last commit
	next      uint64
	reports   *model // the stream kpis, likewise: each report is a block
}

func newModel() *model {
	return &model{committed: map[uint64][]drivers.Value{}, acked: map[uint64]bool{}, durable: map[uint64]bool{}, next: 1}
}

// of is the model of a stream.
func (m *model) of(stream Stream) *model {
	if stream == KPIs {
		return m.reports
	}
	return m
}

// place is where a block is in the queue.
type place struct {
	stream Stream
	seq    uint64
}

// TestQueueAgainstModel takes random steps, and compares all that can be seen after each; crashes lose what was not committed.
func TestQueueAgainstModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(t, nil)
		m := newModel()
		m.reports = newModel()
		c := r.Cursor(testUplink)
		out := map[place]*Block{} // handed out, not acknowledged
		value := int64(0)
		for range rapid.IntRange(1, 25).Draw(rt, "steps") {
			switch step := rapid.SampledFrom([]string{"append", "append", "report", "commit", "commit", "next", "ack", "rewind", "crash", "stop"}).Draw(rt, "step"); step {
			case "append":
				value++
				v := drivers.IntValue(value)
				reading := drivers.Reading{Tag: r.cat.tags[1], Time: value, Quality: drivers.Good, Value: v}
				if _, err := r.Append([]drivers.Reading{reading}, nil, []drivers.Cycle{{Device: "device-0", Time: value, Due: 1, Good: 1}}); err != nil {
					rt.Fatal(err)
				}
				m.open = append(m.open, v)
			case "report":
				value++
				report := shiftReport("shift", 1, uint64(value))
				if _, err := r.AppendReports([]kpi.Report{report, report}); err != nil {
					rt.Fatal(err)
				}
				m.reports.open = append(m.reports.open, drivers.IntValue(value), drivers.IntValue(value))
			case "commit":
				r.commit()
				m.commit()
			case "next":
				for _, b := range drain(t, c) {
					at := place{b.Stream, b.Seq}
					if _, ok := out[at]; ok {
						rt.Fatalf("block %v was handed out twice", at)
					}
					out[at] = b
				}
				m.check(rt, Readings, out)
				m.check(rt, KPIs, out)
			case "ack":
				for _, at := range slices.SortedFunc(maps.Keys(out), func(a, b place) int { return cmp.Or(cmp.Compare(a.stream, b.stream), cmp.Compare(a.seq, b.seq)) }) {
					if rapid.Bool().Draw(rt, "this one") {
						c.Acknowledge(out[at])
						m.of(at.stream).acked[at.seq] = true
						delete(out, at)
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
				m.crash()
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
	for _, v := range m.reports.open {
		m.reports.committed[m.reports.next] = []drivers.Value{v}
		m.reports.next++
	}
	m.reports.open = nil
	m.reports.durable = maps.Clone(m.reports.acked)
}

func (m *model) crash() {
	for _, s := range []*model{m, m.reports} {
		s.open, s.acked = nil, maps.Clone(s.durable)
	}
}

// check says that all committed and unacknowledged blocks of a stream were handed out, with the values that were put in.
func (m *model) check(t *rapid.T, stream Stream, out map[place]*Block) {
	s := m.of(stream)
	for seq, want := range s.committed {
		b, ok := out[place{stream, seq}]
		if ok == s.acked[seq] {
			t.Fatalf("block %d of %s: handed out %v, acknowledged %v", seq, stream, ok, s.acked[seq])
		}
		if !ok {
			continue
		}
		if stream == KPIs {
			if through := drivers.IntValue(int64(b.Report.Through.Readings)); through != want[0] {
				t.Fatalf("report %d is through %v, want %v", seq, through, want[0])
			}
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
	if u.Stored != stored || u.Acknowledged != acked || u.Pending != stored-acked || s.Next[Readings] != m.next || s.Next[KPIs] != m.reports.next {
		t.Fatalf("next %v, ledger %+v; want next %d and %d, stored %d, acknowledged %d", s.Next, u, m.next, m.reports.next, stored, acked)
	}
	pending := len(m.committed) - len(m.acked) + len(m.reports.committed) - len(m.reports.acked)
	if got := s.Uplinks[0].PendingBlocks; got != uint64(pending) {
		t.Fatalf("%d blocks are pending, want %d", got, pending)
	}
	newest := uint64(0)
	if last := m.reports.committed[m.reports.next-1]; last != nil {
		newest = last[0].Bits()
	}
	if got := r.ReportedThrough().Readings; got != newest {
		t.Fatalf("reports through %d, want %d", got, newest)
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
