package buffer

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/millgate/millgate/collector/kpi"
	"github.com/millgate/millgate/drivers"
)

const (
	shopTime = int64(1795392000000) // the begin of a day
	shopPace = 197_000              // between blocks, ms
)

// shop fills the queue with n blocks of a few readings each, every 197 s from the begin of a day on; one in twenty blocks holds a reading that
// comes late, by up to 20 hours.
func (r *rig) shop(n int, random *rand.Rand) {
	r.t.Helper()
	for range n {
		r.tick++
		at := shopTime + r.tick*shopPace
		var readings []drivers.Reading
		for i := range 3 {
			readings = append(readings, drivers.Reading{Tag: r.cat.tags[1], Time: at + int64(i)*1000, Quality: drivers.Good, Value: drivers.IntValue(random.Int64N(1000))})
		}
		if random.IntN(20) == 0 {
			late := max(shopTime, at-random.Int64N(20*3600*1000))
			readings = append(readings, drivers.Reading{Tag: r.cat.tags[1], Time: late, Quality: drivers.Good, Value: drivers.IntValue(random.Int64N(1000))})
		}
		if _, err := r.Append(readings, nil, []drivers.Cycle{{Device: "device-0", Time: at, Due: uint64(len(readings)), Good: uint64(len(readings))}}); err != nil {
			r.t.Fatal(err)
		}
		r.fill.closeReadings(r.cat)
	}
	if err := r.flush(); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) follower() *Follower {
	f := r.Follower(nil, filepath.Join(filepath.Dir(r.cfg.Dir), "kpi"))
	f.restore = newTally
	return f
}

func kpiRig(t *testing.T) *rig {
	return newRig(t, func(c *Config) {
		c.Dir = filepath.Join(t.TempDir(), "queue")
		c.CommitInterval = 2 * time.Millisecond
	})
}

// follow lets f run beside the queue until it has taken all blocks and its reports are stored, and then stops both.
func (r *rig) follow(f *Follower) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.t.Context())
	queue, followed := make(chan error), make(chan error)
	queueCtx, stopQueue := context.WithCancel(context.Background())
	go func() { queue <- r.Run(queueCtx) }()
	go func() { followed <- f.Run(ctx) }()
	r.mu.Lock()
	last := r.books.next[Readings] - 1
	r.mu.Unlock()
	for end := time.Now().Add(time.Minute); f.Snapshot().Position.Readings < last; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("the follower stands at %+v of %d", f.Snapshot(), last)
		}
	}
	cancel()
	if err := <-followed; err != nil {
		r.t.Error(err)
	}
	stopQueue()
	if err := <-queue; err != nil {
		r.t.Error(err)
	}
	r.balanced()
}

// reports are all stored ones, in order.
func (r *rig) reports() (texts []string) {
	r.t.Helper()
	codec, err := newCodec()
	if err != nil {
		r.t.Fatal(err)
	}
	for seq := uint64(1); seq < r.books.next[KPIs]; seq++ {
		b, err := codec.decode(r.reportBlock(seq), nil)
		if err != nil {
			r.t.Fatalf("report %d: %v", seq, err)
		}
		texts = append(texts, string(marshal(b.Report)))
	}
	return texts
}

// sums are what the newest revision of each window says.
func sums(t *testing.T, texts []string) map[int64]float64 {
	t.Helper()
	out := map[int64]float64{}
	revs := map[int64]int{}
	for _, r := range parseReports(t, texts) {
		if last, known := revs[r.Window.From]; known && r.Rev != last+1 || !known && r.Rev != 0 {
			t.Errorf("window %s: revision %d comes after %d", r.Window.Label, r.Rev, last)
		}
		revs[r.Window.From], out[r.Window.From] = r.Rev, *r.Results[0].Value
	}
	return out
}

func (r *rig) trueSums(until int64) map[int64]float64 {
	out := map[int64]float64{}
	for _, b := range drain(r.t, r.Cursor(testUplink)) {
		for i := range b.Readings {
			v, _ := b.Readings[i].Value.Float()
			out[b.Readings[i].Time/quarterMillis*quarterMillis] += v
		}
	}
	for quarter := range out {
		if quarter >= until {
			delete(out, quarter)
		}
	}
	return out
}

func TestFollowerReportsEveryWindowOnce(t *testing.T) {
	r := kpiRig(t)
	r.shop(1000, rand.New(rand.NewPCG(1, 2)))
	f := r.follower()
	r.follow(f)
	texts := r.reports()
	open := (shopTime + r.tick*shopPace + 2000) / quarterMillis * quarterMillis
	if got, want := sums(t, texts), r.trueSums(open); !reflect.DeepEqual(got, want) {
		t.Fatalf("%d windows, want %d\ngot  %v\nwant %v", len(got), len(want), got, want)
	}
	if s := f.Snapshot(); s.Lag != 0 || s.Reports != uint64(len(texts)) || s.Error != "" || s.Window == nil || s.Position.Epoch != r.books.epoch {
		t.Errorf("snapshot %+v of %d reports", s, len(texts))
	}
	revisions := 0
	for _, text := range texts {
		if strings.Contains(text, "late_data") {
			revisions++
		}
	}
	if revisions < 20 {
		t.Errorf("%d revisions: late readings are not tried", revisions)
	}

	before := r.books.next[KPIs]
	r.follow(r.follower()) // again, without new blocks
	if r.books.next[KPIs] != before {
		t.Errorf("a second run appended reports %d to %d", before, r.books.next[KPIs]-1)
	}
}

// TestFollowerGoesOn in pieces, with restarts of the queue: its reports are those of one run.
func TestFollowerGoesOn(t *testing.T) {
	whole, parts := kpiRig(t), kpiRig(t)
	one, two := rand.New(rand.NewPCG(3, 4)), rand.New(rand.NewPCG(3, 4))
	whole.shop(450, one)
	whole.follow(whole.follower())
	for i := range 9 {
		parts.shop(50, two)
		parts.follow(parts.follower())
		if i%2 == 0 {
			parts.commit()
		}
	}
	got, want := parts.reports(), whole.reports()
	for i := range want {
		want[i] = strings.ReplaceAll(want[i], whole.books.epoch, parts.books.epoch)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%d reports in pieces, %d at once", len(got), len(want))
	}
}

// TestDamagedStatesChangeNoNumber: without the current state it goes on from a day's, without any from the oldest block.
func TestDamagedStatesChangeNoNumber(t *testing.T) {
	for _, damage := range []string{stateCurrent, "all but the first day", "all"} {
		t.Run(damage, func(t *testing.T) {
			r := kpiRig(t)
			random := rand.New(rand.NewPCG(5, 6))
			r.shop(950, random)
			f := r.follower()
			r.follow(f)
			names, err := filepath.Glob(filepath.Join(f.dir, "*"+stateSuffix))
			if err != nil || len(names) != 4 {
				t.Fatal(names, err)
			}
			damaged := 0
			for i, name := range names {
				if damage == stateCurrent && filepath.Base(name) != stateCurrent+stateSuffix || damage != "all" && i == 0 {
					continue
				}
				damaged++
				zero(t, name, stateHeader+3, 2)
			}
			r.shop(50, random)
			r.follow(r.follower())
			open := (shopTime + r.tick*shopPace + 2000) / quarterMillis * quarterMillis
			if got, want := sums(t, r.reports()), r.trueSums(open); !reflect.DeepEqual(got, want) {
				t.Fatalf("got  %v\nwant %v", got, want)
			}
			aside, err := filepath.Glob(filepath.Join(f.dir, "*"+damagedFile))
			if err != nil || len(aside) != damaged || damaged == 0 {
				t.Errorf("%d files damaged, set aside: %q", damaged, aside)
			}
		})
	}
}

// TestFollowerBehindEvictedBlocks goes on with what there is, and tells the gap once.
func TestFollowerBehindEvictedBlocks(t *testing.T) {
	r := kpiRig(t)
	random := rand.New(rand.NewPCG(7, 8))
	r.shop(20, random)
	r.follow(r.follower())
	at := r.books.next[Readings] - 1
	r.shop(3, random)
	if err := r.roll(); err != nil {
		t.Fatal(err)
	}
	r.shop(5, random)
	r.drop(drivers.CauseSize)
	r.commit()
	floor := r.books.floor[Readings]
	r.follow(r.follower())
	r.follow(r.follower())
	var told []Range
	c := r.Cursor(testUplink)
	for _, b := range drain(t, c) {
		for _, e := range b.Events {
			if e.Kind == drivers.EventKPIGap {
				told = append(told, Range{e.Ref.From, e.Ref.To})
			}
		}
	}
	if want := []Range{{at + 1, floor - 1}}; !reflect.DeepEqual(told, want) {
		t.Fatalf("told gaps %v, want %v", told, want)
	}
}

// TestStateOfAnotherEpochIsNotUsed: its blocks were lost with the end of that epoch, and others have their numbers.
func TestStateOfAnotherEpochIsNotUsed(t *testing.T) {
	r := kpiRig(t)
	r.shop(40, rand.New(rand.NewPCG(9, 10)))
	for _, tt := range []struct {
		at   kpi.Position
		want bool
	}{
		{kpi.Position{Epoch: r.books.epoch, Readings: 40}, true},
		{kpi.Position{Epoch: r.books.epoch, Readings: 41}, false},
		{kpi.Position{Epoch: "01J8XGJ6M7B3N2K5Q4R9T0V1W8", Readings: 7}, false},
		{kpi.Position{Epoch: "01J8XGJ6M7B3N2K5Q4R9T0V1W8", Readings: 41}, false},
	} {
		if got := r.had(tt.at); got != tt.want {
			t.Errorf("had %+v: %v", tt.at, got)
		}
	}
	r.live.floor[Readings] = 9
	r.books.current.Streams = map[Stream]span{Readings: {First: 9, Last: 40}}
	if !r.had(kpi.Position{Epoch: "01J8XGJ6M7B3N2K5Q4R9T0V1W8", Readings: 7}) {
		t.Error("a state from before all blocks that are left can be gone on from")
	}
}

// TestFollowerReadsOldCatalogues decodes the blocks of a run with other devices by their own names.
func TestFollowerReadsOldCatalogues(t *testing.T) {
	r := kpiRig(t)
	r.append(1, 3)
	r.commit()
	old := r.cat.hash
	r.desc = testCatalogue(1, 9)
	r.reopen()
	r.append(0, 1)
	r.commit()
	tail, err := r.newTail()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for seq := uint64(1); ; {
		b, _, err := tail.next(t.Context(), seq, 1<<64-1)
		if err != nil {
			t.Fatal(err)
		}
		if b == nil {
			break
		}
		names = append(names, fmt.Sprint(b.Readings[0].Tag, b.Catalogue == old))
		seq = b.Seq + 1
	}
	if want := []string{"device-1/gauge_0 true", "device-0/gauge_0 false"}; !reflect.DeepEqual(names, want) {
		t.Fatalf("got %q", names)
	}
}

// TestFollowerHoldsNothingUp: one that panics ends, and says so; readings go on.
func TestFollowerHoldsNothingUp(t *testing.T) {
	r := kpiRig(t)
	r.shop(3, rand.New(rand.NewPCG(1, 1)))
	f := r.follower()
	f.restore = func([]byte, kpi.History) (computer, error) { return defect{}, nil }
	if err := f.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "defect") || f.Snapshot().Error != err.Error() {
		t.Fatalf("ended with %v, snapshot %+v", err, f.Snapshot())
	}
	r.append(0, 1)
	r.commit()
}

type defect struct{}

func (defect) Take(*kpi.Batch) ([]kpi.Report, kpi.Output, error) { panic("index out of range") }
func (defect) State() []byte                                     { return nil }

// TestUnwritableStatesAreTold, and nothing else comes of it: the next start computes anew.
func TestUnwritableStatesAreTold(t *testing.T) {
	r := kpiRig(t)
	random := rand.New(rand.NewPCG(11, 12))
	r.shop(200, random)
	f := r.follower()
	if err := os.MkdirAll(filepath.Join(f.dir, stateCurrent+stateSuffix+".new", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	r.follow(f)
	if s := f.Snapshot(); !strings.Contains(s.Error, "write the KPI state") {
		t.Errorf("snapshot %+v", s)
	}
	r.shop(20, random)
	r.follow(r.follower())
	open := (shopTime + r.tick*shopPace + 2000) / quarterMillis * quarterMillis
	if got, want := sums(t, r.reports()), r.trueSums(open); !reflect.DeepEqual(got, want) {
		t.Fatalf("got  %v\nwant %v", got, want)
	}
}
