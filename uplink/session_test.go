package uplink

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millgate/millgate/buffer"
)

// play is one session on a fake connection, in a bubble where time is the test's.
type play struct {
	*session
	q      *fakeQueue
	log    *logBook
	wire   *fakePublisher
	cut    chan struct{}
	cancel func()
	done   chan error
}

func startPlay(q *fakeQueue, autoAck bool, tune func(*Uplink)) *play {
	p := &play{q: q, log: &logBook{}, wire: &fakePublisher{autoAck: autoAck}, cut: make(chan struct{}), done: make(chan error, 1)}
	u := testUplink(q, p.log, "tcp://b")
	if tune != nil {
		tune(u)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	p.session = newSession(u, p.wire, "01J9")
	p.lost, p.drop = p.cut, func() { close(p.cut) }
	go func() { p.done <- p.run(ctx) }()
	synctest.Wait()
	return p
}

func (p *play) expect(t *testing.T, topics ...string) {
	t.Helper()
	synctest.Wait()
	if got := p.wire.topics(); !slices.Equal(got, topics) {
		t.Fatalf("on the wire: %v\nwant: %v", got, topics)
	}
}

func (p *play) ack(n int, err error) {
	p.wire.all()[n].finish(err)
	synctest.Wait()
}

func (p *play) ended(t *testing.T, want error) {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-p.done:
		if !errors.Is(err, want) {
			t.Fatalf("ended with %v, want %v", err, want)
		}
	default:
		t.Fatal("still running")
	}
}

var theCatalogue = "catalogue/" + testCatalogue().Hash()

func TestCatalogueIsAcknowledgedBeforeItsFirstBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFakeQueue(3)
		q.blocks[2].Catalogue = "other"
		p := startPlay(q, false, nil)
		p.expect(t, "status", theCatalogue)
		p.ack(0, nil)
		p.expect(t, "status", theCatalogue)
		p.ack(1, nil)
		p.expect(t, "status", theCatalogue, "readings", "readings", "catalogue/other")
		p.ack(4, nil) // the blocks before it are not yet acknowledged
		p.expect(t, "status", theCatalogue, "readings", "readings", "catalogue/other")
		p.ack(2, nil)
		p.ack(3, nil)
		p.expect(t, "status", theCatalogue, "readings", "readings", "catalogue/other", "readings")
		for i, retained := range []bool{true, true, false, false, true, false} {
			if p.wire.all()[i].retained != retained {
				t.Errorf("message %d (%s): retained is %v", i, p.wire.all()[i].topic, !retained)
			}
		}
		p.ack(5, nil)
		if n := q.ackedCount(); n != 3 {
			t.Errorf("%d blocks acknowledged", n)
		}
		p.wire.acknowledgeAll(true)
		p.cancel()
		p.ended(t, nil)
	})
}

func TestUnknownCatalogueEndsTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFakeQueue(1)
		q.blocks[0].Catalogue = "gone"
		p := startPlay(q, true, nil)
		synctest.Wait()
		if err := <-p.done; err == nil || !strings.Contains(err.Error(), "catalogue gone: no such catalogue") {
			t.Fatalf("got %v", err)
		}
		if q.ackedCount() != 0 || slices.Contains(p.wire.topics(), "readings") {
			t.Errorf("published %v, %d blocks acknowledged", p.wire.topics(), q.ackedCount())
		}
	})
}

func TestWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := startPlay(newFakeQueue(100), false, nil)
		p.ack(0, nil)
		p.ack(1, nil)
		for acked := 2; acked < 90; acked++ {
			time.Sleep(time.Second) // statuses want to go out, too
			synctest.Wait()
			if inFlight := len(p.wire.all()) - acked; inFlight != 4 {
				t.Fatalf("%d messages without PUBACK, want 4", inFlight)
			}
			p.ack(acked, nil)
		}
		p.drop()
		p.ended(t, errLost)
	})
}

func TestSilentBrokerIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFakeQueue(0)
		p := startPlay(q, true, nil)
		p.wire.acknowledgeAll(false)
		time.Sleep(20 * time.Second) // nothing is in flight: silence is no fault
		q.add(2, 1)
		synctest.Wait()
		began := time.Now()
		time.Sleep(40 * time.Second)
		p.ack(3, nil) // only the second block
		err := <-p.done
		if took := time.Since(began); !errors.Is(err, errNoAck) || took != 45*time.Second {
			t.Fatalf("ended after %s with %v", took, err)
		}
		if q.isAcked(1) || !q.isAcked(2) {
			t.Error("want block 2 acknowledged, and block 1 not")
		}
		if f := p.head(); f == nil || f.block.Seq != 1 {
			t.Errorf("head is %+v, want block 1", f)
		}
		if b, err := q.Next(t.Context()); err != nil || b.Seq != 1 {
			t.Errorf("next after the session is %v (%v), want block 1 again", b, err)
		}
	})
}

func TestTokenErrorEndsTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFakeQueue(2)
		p := startPlay(q, false, nil)
		p.ack(0, nil)
		p.ack(1, nil)
		p.ack(2, errors.New("publish was broken by timeout"))
		p.ended(t, errLost)
		if n := q.ackedCount(); n != 0 {
			t.Errorf("%d blocks acknowledged", n)
		}
	})
}

func TestQueueErrorEndsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFakeQueue(0)
		q.broken = errors.New("closed")
		p := startPlay(q, true, nil)
		p.ended(t, errQueue)
	})
}

func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFakeQueue(2)
		p := startPlay(q, false, nil)
		p.ack(0, nil)
		p.ack(1, nil)
		p.cancel()
		q.add(1, 1)
		p.expect(t, "status", theCatalogue, "readings", "readings")
		p.ack(2, nil)
		p.ack(3, nil)
		p.expect(t, "status", theCatalogue, "readings", "readings", "status")
		var st Status
		if err := json.Unmarshal(p.wire.all()[4].payload, &st); err != nil || st.State != stateOffline || st.Session != "01J9" || st.Time == 0 || !p.wire.all()[4].retained {
			t.Errorf("last status %s (%v)", p.wire.all()[4].payload, err)
		}
		p.ack(4, nil)
		p.ended(t, nil)
		if n := q.ackedCount(); n != 2 {
			t.Errorf("%d blocks acknowledged", n)
		}
	})
}

func TestStopDoesNotWaitForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := startPlay(newFakeQueue(2), false, nil)
		p.ack(0, nil)
		p.ack(1, nil)
		began := time.Now()
		p.cancel()
		err := <-p.done
		if took := time.Since(began); !errors.Is(err, errLost) || took != 3*time.Second {
			t.Errorf("ended after %s with %v", took, err)
		}
		p.expect(t, "status", theCatalogue, "readings", "readings")
	})
}

func TestStatusOnChangeAndEveryMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var clock atomic.Value
		clock.Store(ClockStatus{State: "synced", Offset: 3})
		q := newFakeQueue(0)
		p := startPlay(q, true, func(u *Uplink) { u.self.Clock = func() ClockStatus { return clock.Load().(ClockStatus) } })
		p.expect(t, "status", theCatalogue)
		time.Sleep(59 * time.Second)
		clock.Store(ClockStatus{State: "synced", Offset: 4}) // moves all the time: no reason for a message
		p.expect(t, "status", theCatalogue)
		time.Sleep(6 * time.Second)
		p.expect(t, "status", theCatalogue, "status")
		clock.Store(ClockStatus{State: "unsynced", Offset: 4})
		time.Sleep(6 * time.Second)
		p.expect(t, "status", theCatalogue, "status", "status")
		q.mu.Lock()
		q.snap.Ledger.Devices = []buffer.DeviceLedger{{Device: "meter-1", Due: 1}}
		q.mu.Unlock()
		time.Sleep(6 * time.Second)
		p.expect(t, "status", theCatalogue, "status", "status", "status")

		var st Status
		if err := json.Unmarshal(p.wire.all()[4].payload, &st); err != nil {
			t.Fatal(err)
		}
		if st.State != stateOnline || st.Ledger.Balanced || *st.Clock != clock.Load() || *st.Pending != (PendingStatus{3, 1795406300000}) {
			t.Errorf("status %s", p.wire.all()[4].payload)
		}
		p.cancel()
		p.ended(t, nil)
	})
}

// TestStatusIsSmall holds the status to its 4 KiB, whatever the site looks like.
func TestStatusIsSmall(t *testing.T) {
	q := newFakeQueue(0)
	most := map[buffer.Stream]uint64{buffer.Readings: 1<<64 - 1, buffer.Events: 1<<64 - 1, "kpis": 1<<64 - 1}
	q.snap.Next, q.snap.Previous = most, &buffer.PreviousEpoch{Epoch: testEpoch, Last: most}
	for range 1000 {
		q.snap.Ledger.Devices = append(q.snap.Ledger.Devices, buffer.DeviceLedger{Device: "meter", Due: 7})
	}
	u := testUplink(q, &logBook{}, "tcp://b")
	u.self.Version = strings.Repeat("v", 200)
	if payload := marshal(u.status(stateOnline, testEpoch)); len(payload) > 4096 {
		t.Errorf("%d bytes: %s", len(payload), payload)
	}
}

func TestSuspectIsNamedOnce(t *testing.T) {
	log := &logBook{}
	s := suspect{log: log.logger()}
	block := func(seq uint64) *flight {
		return &flight{block: &buffer.Block{Stream: buffer.Readings, Seq: seq}, size: 262144}
	}
	for _, f := range []*flight{block(7), block(7), block(8), block(8), nil, block(8), block(8)} {
		s.died(f)
	}
	if log.String() != "" {
		t.Errorf("suspected too early: %s", log)
	}
	for range 5 {
		s.died(block(8))
	}
	if log.count("seq=8 bytes=262144 connections=3") != 1 || log.count("\n") != 1 {
		t.Errorf("log: %s", log)
	}
}

func TestLogTellsChangesOnly(t *testing.T) {
	log := &logBook{}
	s := standing{log: log.logger(), said: map[complaint]bool{}}
	count := func(want int, what string) {
		t.Helper()
		if got := log.count("\n"); got != want {
			t.Fatalf("%s: %d lines, want %d:\n%s", what, got, want, log)
		}
	}
	for range 5 {
		s.down("a", "refused", false)
		s.down("b", "no such name", false)
	}
	count(2, "two brokers down")
	for range 5 {
		s.down("a", "wrong password", false)
		s.down("a", "refused", false)
	}
	count(3, "another reason, in turn with the first")
	s.up("a")
	count(4, "up")
	s.down("a", "closed", true)
	count(5, "lost")
	for range 10 {
		s.up("a")
		s.down("a", "closed", true)
	}
	count(5, "flapping")
	s.up("a")
	s.stable()
	count(6, "stable again")
	s.down("a", "closed", true)
	s.up("a")
	count(8, "lost after a stable time, and up again")
	if snap := s.snapshot(); !snap.Connected || snap.Broker != "a" || snap.Error != "" {
		t.Errorf("snapshot %+v", snap)
	}
}

func TestDelayDoublesByRounds(t *testing.T) {
	u := testUplink(newFakeQueue(0), &logBook{}, "tcp://a", "tcp://b")
	for failures, limit := range map[int]time.Duration{1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 13: 60, 14: 60, 1000: 60} {
		longest := time.Duration(0)
		for range 300 {
			longest = max(longest, u.delay(failures))
		}
		if limit *= time.Second; longest > limit || longest < limit/2 {
			t.Errorf("after %d failures up to %s, want up to %s", failures, longest, limit)
		}
	}
}
