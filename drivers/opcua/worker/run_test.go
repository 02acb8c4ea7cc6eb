package worker

import (
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/opcua"
	"github.com/millgate/millgate/drivers/opcua/opcuasim"
)

const patience = 20 * time.Second

// simulated is a server in this process with counters n0, n1 and n2.
func simulated(t *testing.T) *opcuasim.Server {
	t.Helper()
	ignore := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, ignore) })
	s, err := opcuasim.Listen("127.0.0.1:0", opcuasim.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, n := range []string{"n0", "n1", "n2"} {
		if err := s.Add(opcuasim.Variable{Node: "nsu=urn:test;s=" + n, Values: []drivers.Value{drivers.IntValue(1)}}); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func set(t *testing.T, s *opcuasim.Server, name string, n int64) {
	t.Helper()
	if err := s.Set("nsu=urn:test;s="+name, drivers.IntValue(n)); err != nil {
		t.Fatal(err)
	}
}

func group3(polled bool) opcua.GroupSetup {
	return opcua.GroupSetup{
		Device: "d", Interval: 100, Polled: polled, Names: []string{"a", "b", "gone", "a2"},
		Points: points(drivers.TypeInt64, "nsu=urn:test;s=n0", "nsu=urn:test;s=n1", "nsu=urn:elsewhere;s=n0", "nsu=urn:test;s=n0"),
	}
}

// TestSubscribed: the first good batch has every point, two points of one node share an item, a refused one is bad and told of once, and
// changes come in order.
func TestSubscribed(t *testing.T) {
	s := simulated(t)
	r := newRig(t, opcua.Setup{Server: server(s.Endpoint()), Groups: []opcua.GroupSetup{group3(false)}})
	first := r.until(0, patience, good)
	quality := make(map[uint32]drivers.Quality)
	for _, reading := range first.Readings {
		quality[reading.Point] = reading.Quality
		if age := time.Since(time.UnixMilli(reading.Time)); age < -time.Second || age > 5*time.Second {
			t.Errorf("point %d is %v old", reading.Point, age)
		}
	}
	if len(quality) != 4 || quality[0] != drivers.Good || quality[1] != drivers.Good || quality[2] != drivers.Bad || quality[3] != drivers.Good {
		t.Fatalf("the first batch: %v", first.Readings)
	}
	if n := s.Stats().Items; n != 2 {
		t.Errorf("%d items for two nodes", n)
	}
	for n := int64(2); n <= 50; n++ {
		set(t, s, "n0", n)
		time.Sleep(time.Millisecond)
	}
	var got []int64
	r.until(0, patience, func(b *opcua.Batch) bool {
		for _, reading := range b.Readings {
			if reading.Point == 3 {
				got = append(got, int64(reading.Value.Bits()))
			}
		}
		return len(got) > 0 && got[len(got)-1] == 50
	})
	for i := 1; i < len(got); i++ {
		if got[i] <= got[i-1] {
			t.Fatalf("out of order: %v", got)
		}
	}
	var status opcua.ServerStatus
	for end := time.Now().Add(patience); status.State != opcua.Up && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		status = r.serverStatus()
	}
	if status.State != opcua.Up || status.Items != 2 || status.RefusedCount != 1 || status.Subscriptions != 1 || status.Sessions != 1 || status.Offset == nil {
		t.Errorf("status %+v", status)
	}
	if len(status.Refused) != 1 || status.Refused[0].Tag != "gone" || status.Refused[0].Status != "BadNodeIdUnknown" {
		t.Errorf("refused: %+v", status.Refused)
	}
	if told := r.told[drivers.EventNodeRefused]; told != 1 {
		t.Errorf("%d events of one refused node", told)
	}
}

// TestSurvivesACut: values of the time without a connection come from the server's queue, the session is the old one.
func TestSurvivesACut(t *testing.T) {
	s := simulated(t)
	setup := group3(false)
	for i := range setup.Points {
		setup.Points[i].Sampling = time.Millisecond
	}
	r := newRig(t, opcua.Setup{Server: server(s.Endpoint()), Groups: []opcua.GroupSetup{setup}})
	r.until(0, patience, good)
	seen := map[int64]int{}
	last := int64(1)
	for range 3 {
		s.Disconnect()
		for range 20 {
			last++
			set(t, s, "n1", last)
			time.Sleep(5 * time.Millisecond)
		}
		r.until(0, patience, func(b *opcua.Batch) bool {
			for _, reading := range b.Readings {
				if reading.Point == 1 {
					seen[int64(reading.Value.Bits())]++
				}
			}
			for _, l := range b.Lost {
				t.Errorf("lost: %v", l)
			}
			return seen[last] > 0
		})
	}
	for n := int64(2); n <= last; n++ {
		if seen[n] != 1 {
			t.Errorf("%d came %d times", n, seen[n])
		}
	}
	if stats := s.Stats(); stats.SessionsMade != 1 || stats.Subscriptions != 1 {
		t.Errorf("the server made %d sessions and has %d subscriptions, want 1 of each", stats.SessionsMade, stats.Subscriptions)
	}
}

// TestLosesASession: the server ends the session; what may be missing is counted, and values come again.
func TestLosesASession(t *testing.T) {
	s := simulated(t)
	r := newRig(t, opcua.Setup{Server: server(s.Endpoint()), Groups: []opcua.GroupSetup{group3(false)}})
	r.until(0, patience, good)
	time.Sleep(time.Second)
	s.EndSessions()
	s.Disconnect()
	set(t, s, "n0", 7)
	lost := uint64(0)
	var events []drivers.EventKind
	back := false
	r.until(0, patience, func(b *opcua.Batch) bool {
		for _, l := range b.Lost {
			if l.Cause != drivers.CauseGap {
				t.Errorf("lost: %v", l)
			}
			lost += l.N
		}
		for _, e := range b.Events {
			events = append(events, e.Kind)
		}
		for _, reading := range b.Readings {
			back = back || reading.Point == 0 && reading.Value == drivers.IntValue(7)
		}
		return back && lost > 0
	})
	if lost < 8 || lost > 100 || lost%2 != 0 {
		t.Errorf("%d lost, want about 10 or more for each of the two points of one node, and none for the node that has not changed", lost)
	}
	if !slices.Contains(events, drivers.EventReadingsLost) {
		t.Errorf("events: %v", events)
	}
}

// TestPolled: one reading for each point, in their order, each time.
func TestPolled(t *testing.T) {
	s := simulated(t)
	r := newRig(t, opcua.Setup{Server: server(s.Endpoint()), Groups: []opcua.GroupSetup{group3(true)}})
	for n := int64(2); n < 5; n++ {
		set(t, s, "n1", n)
		b := r.until(0, patience, good)
		if len(b.Readings) != 4 {
			t.Fatalf("%d readings for 4 points", len(b.Readings))
		}
		for i, reading := range b.Readings {
			if reading.Point != uint32(i) {
				t.Errorf("point %d is in place %d", reading.Point, i)
			}
		}
		if b.Readings[1].Value != drivers.IntValue(n) || b.Readings[2].Quality != drivers.Bad {
			t.Errorf("%v", b.Readings)
		}
	}
}

// TestNothingListens: the cause says so, and a server that comes later is found.
func TestNothingListens(t *testing.T) {
	s := simulated(t)
	addr := s.Addr()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, opcua.Setup{Server: server("opc.tcp://" + addr), Groups: []opcua.GroupSetup{group3(false)}})
	r.until(0, patience, func(b *opcua.Batch) bool { return b.Cause == drivers.CauseRefused })
	later, err := opcuasim.Listen(addr, opcuasim.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = later.Close() }()
	if err := later.Add(opcuasim.Variable{Node: "nsu=urn:test;s=n0", Values: []drivers.Value{drivers.IntValue(1)}}); err != nil {
		t.Fatal(err)
	}
	r.until(0, patience, good)
}
