package worker

import (
	"testing"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/opcua"
)

func TestMissed(t *testing.T) {
	for _, c := range []struct {
		from, to, sampling int64
		want               uint64
	}{
		{1000, 1000, 100, 0}, {1000, 900, 100, 0}, {1000, 1100, 100, 0}, {1000, 1104, 100, 0}, {1000, 1200, 100, 1}, {1000, 1198, 100, 1},
		{1000, 2000, 100, 9}, {1000, 61_000, 1000, 59}, {1000, 2000, 0, 0}, {1000, 1050, 100, 0},
	} {
		if got := missed(c.from, c.to, c.sampling); got != c.want {
			t.Errorf("from %d to %d at %d ms: %d, want %d", c.from, c.to, c.sampling, got, c.want)
		}
	}
}

func testGroup(setup *opcua.GroupSetup) *group {
	s := &session{clock: newClock(opcua.Clock{})}
	g := newGroup(s, 0, setup)
	s.groups = []*group{g}
	return g
}

// TestGap goes through a loss: one item has changed, one has not, one has no value yet, and two points share the first.
func TestGap(t *testing.T) {
	setup := &opcua.GroupSetup{Device: "d", Interval: 100, Points: points(drivers.TypeInt64, "i=1", "i=2", "i=3", "i=1"), Last: []int64{1000, 1000, 0, 1000}, Reason: drivers.CauseWorkerCrash}
	g := testGroup(setup)
	if len(g.items) != 3 || len(g.items[0].points) != 2 {
		t.Fatalf("%d items, the first for %d points", len(g.items), len(g.items[0].points))
	}
	g.gap.ends(g.items[0], 2000)
	g.gap.ends(g.items[0], 2100) // a later value
	g.gap.ends(g.items[1], 1000)
	g.gap.ends(g.items[2], 2000)
	g.endGap()
	if len(g.fills) != 1 || len(g.fills[0].spans) != 1 {
		t.Fatalf("%d fills", len(g.fills))
	}
	f := g.fills[0]
	f.account(&f.spans[0], 4)
	g.settle(f)
	if f.filled != 8 || f.missed != 10 {
		t.Errorf("%d filled and %d missed, want 8 and 10: nine values were due for each of two points, and four were filled", f.filled, f.missed)
	}
	if len(g.lost) != 1 || g.lost[0] != (drivers.CauseCount{Cause: drivers.CauseWorkerCrash, N: 10}) {
		t.Errorf("lost: %v", g.lost)
	}
	if len(g.events) != 2 || g.events[0].Kind != drivers.EventHistoryFilled || g.events[0].Count != 8 || g.events[1].Kind != drivers.EventReadingsLost || g.events[1].Count != 10 {
		t.Errorf("events: %v", g.events)
	}
}

// TestGapSince: items of which nothing is known have missed what was since the device was last heard.
func TestGapSince(t *testing.T) {
	g := testGroup(&opcua.GroupSetup{Device: "d", Interval: 1000, Points: points(drivers.TypeInt64, "i=1"), Since: 10_000, Reason: drivers.CauseGatewayDown})
	g.gap.ends(g.items[0], 20_000)
	g.endGap()
	if len(g.fills) != 1 || g.fills[0].spans[0].from != 10_000 {
		t.Fatal("no span since the device was last heard")
	}
}

// TestGapInGap: what is lost twice in a row is counted from the first loss on.
func TestGapInGap(t *testing.T) {
	g := testGroup(&opcua.GroupSetup{Device: "d", Interval: 1000, Points: points(drivers.TypeInt64, "i=1")})
	g.items[0].last = 1000
	g.beginGap(drivers.CauseGap, 0)
	g.items[0].last = 5000
	g.beginGap(drivers.CauseGap, 0)
	if g.gap.spans[g.items[0]].from != 1000 {
		t.Error("the second loss hides the first")
	}
}
