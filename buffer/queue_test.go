package buffer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/millgate/millgate/drivers"
)

const testUplink = "province"

// rig is a queue whose writer is driven by hand: flush and tidy are called where Run would.
type rig struct {
	*Queue
	t    *testing.T
	cfg  Config
	desc *Catalogue
	tick int64
}

func newRig(t *testing.T, change func(*Config)) *rig {
	t.Helper()
	r := &rig{t: t, cfg: Config{Dir: t.TempDir(), Uplinks: []string{testUplink}}, desc: testCatalogue(2, 4)}
	if change != nil {
		change(&r.cfg)
	}
	r.open()
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func (r *rig) open() {
	r.t.Helper()
	q, err := Open(r.cfg, r.desc)
	if err != nil {
		r.t.Fatal(err)
	}
	r.Queue = q
}

func (r *rig) reopen() {
	r.t.Helper()
	if err := r.Close(); err != nil {
		r.t.Fatal(err)
	}
	r.open()
}

// append stores n readings of device d, all due and good.
func (r *rig) append(d, n int) {
	r.t.Helper()
	readings := r.readings(d, n)
	if _, err := r.Append(readings, nil, []drivers.Cycle{{Device: r.cat.devices[d], Time: r.tick, Due: uint64(n), Good: uint64(n)}}); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) readings(d, n int) []drivers.Reading {
	r.tick++
	var out []drivers.Reading
	perDevice := len(r.cat.tags) / len(r.cat.devices)
	for i := range n {
		tag := r.cat.tags[d*perDevice+6+i%(perDevice-6)] // the gauges
		out = append(out, drivers.Reading{Tag: tag, Time: r.tick, Quality: drivers.Good, Value: drivers.Float64Value(rand.Float64())})
	}
	return out
}

func (r *rig) commit() {
	r.t.Helper()
	if err := r.flush(); err != nil {
		r.t.Fatal(err)
	}
	r.tidy()
	r.balanced()
}

func (r *rig) balanced() {
	r.t.Helper()
	if wrong := r.Snapshot().Ledger.Imbalances(); len(wrong) > 0 {
		r.t.Fatalf("the ledger does not balance:\n%s\n%+v", strings.Join(wrong, "\n"), r.Snapshot().Ledger)
	}
}

// outcome delivers all there is: which blocks of the stream came, and which an event says are lost.
func (r *rig) outcome(stream Stream) (got, told ranges) {
	r.t.Helper()
	c := r.Cursor(testUplink)
	for range 2 {
		for _, b := range drain(r.t, c) {
			if b.Stream == stream {
				got.add(b.Seq, b.Seq)
			}
			for _, e := range b.Events {
				if e.Ref != nil && e.Ref.Stream == string(stream) {
					told.add(e.Ref.From, e.Ref.To)
				}
			}
			c.Acknowledge(b)
		}
		r.commit()
	}
	return got, told
}

// drain takes what Next gives without waiting.
func drain(t *testing.T, c *Cursor) []*Block {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out []*Block
	for {
		b, err := c.Next(ctx)
		if errors.Is(err, context.Canceled) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b)
	}
}

func TestNothingIsSeenBeforeItsCommit(t *testing.T) {
	r := newRig(t, nil)
	c := r.Cursor(testUplink)
	r.append(0, 3)
	if got := drain(t, c); len(got) != 0 || r.Durable() != 0 {
		t.Fatalf("before the commit: %d blocks, durable %d", len(got), r.Durable())
	}
	r.commit()
	got := drain(t, c)
	if len(got) != 1 || got[0].Seq != 1 || len(got[0].Readings) != 3 || r.Durable() != 1 {
		t.Fatalf("after the commit: %d blocks, durable %d", len(got), r.Durable())
	}
}

func TestAcknowledgementsSurviveReopening(t *testing.T) {
	r := newRig(t, nil)
	for range 5 {
		r.append(0, 2)
		r.commit()
	}
	c := r.Cursor(testUplink)
	blocks := drain(t, c)
	for _, i := range []int{0, 3} { // not in order
		c.Acknowledge(blocks[i])
		c.Acknowledge(blocks[i]) // a repeated PUBACK counts once
	}
	c.Rewind()
	if got := seqs(drain(t, c)); !reflect.DeepEqual(got, []uint64{2, 3, 5}) {
		t.Fatalf("after Rewind: %v", got)
	}
	r.commit()
	r.reopen()
	r.balanced()
	if got := seqs(drain(t, r.Cursor(testUplink))); !reflect.DeepEqual(got, []uint64{2, 3, 5}) {
		t.Fatalf("after reopening: %v", got)
	}
	if u := r.Snapshot().Ledger.Uplinks[0]; u.Stored != 10 || u.Acknowledged != 4 || u.Pending != 6 {
		t.Fatalf("ledger: %+v", u)
	}
}

func seqs(blocks []*Block) []uint64 {
	var out []uint64
	for _, b := range blocks {
		out = append(out, b.Seq)
	}
	return out
}

func TestEventsOvertakeReadings(t *testing.T) {
	r := newRig(t, nil)
	r.append(0, 1)
	if _, err := r.Append(nil, []drivers.Event{{Kind: drivers.EventDeviceDown, Text: drivers.EventText{EN: "x"}}}, nil); err != nil {
		t.Fatal(err)
	}
	r.commit()
	got := drain(t, r.Cursor(testUplink))
	if len(got) != 2 || got[0].Stream != Events || got[0].Seq != 1 || got[1].Stream != Readings {
		t.Fatalf("got %+v", got)
	}
}

func TestSilentDevicesAreNamedInTheNextBlock(t *testing.T) {
	r := newRig(t, nil)
	silent := []drivers.Cycle{{Device: "device-1", Time: 42, Due: 4, Good: 4, Suppressed: 4}}
	if _, err := r.Append(nil, nil, silent); err != nil {
		t.Fatal(err)
	}
	r.commit() // no block: nothing was stored
	r.append(0, 1)
	r.commit()
	got := drain(t, r.Cursor(testUplink))
	if len(got) != 1 || !reflect.DeepEqual(got[0].Seen, []Seen{{"device-1", 42}}) {
		t.Fatalf("got %+v", got)
	}
	r.reopen()
	if seen := r.LastSeen(); seen["device-1"] != 42 {
		t.Fatalf("last seen: %v", seen)
	}
}

func TestBlocksStayBelowTheirSize(t *testing.T) {
	r := newRig(t, func(c *Config) { c.BlockSize = 8 << 10 })
	for range 300 {
		r.append(1, 4)
	}
	r.commit()
	blocks := drain(t, r.Cursor(testUplink))
	n := 0
	for _, b := range blocks {
		size := envelopeSize
		for i := range b.Readings {
			var prev *drivers.Reading
			if i > 0 {
				prev = &b.Readings[i-1]
			}
			size += JSONSize(prev, &b.Readings[i])
		}
		if size > 8<<10 {
			t.Errorf("block %d may need %d bytes", b.Seq, size)
		}
		n += len(b.Readings)
	}
	if n != 1200 || len(blocks) < 10 {
		t.Fatalf("%d readings in %d blocks", n, len(blocks))
	}
}

func TestBackPressureRefusesAndCounts(t *testing.T) {
	r := newRig(t, nil)
	refused := uint64(0)
	for range 1000 { // nobody commits
		readings := r.readings(0, 1000)
		_, err := r.Append(readings, nil, []drivers.Cycle{{Device: "device-0", Time: 1, Due: 1000, Good: 1000}})
		if errors.Is(err, ErrBackPressure) {
			refused += 1000
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if refused == 0 || refused == 1_000_000 {
		t.Fatalf("%d readings refused", refused)
	}
	r.commit()
	if got := r.Snapshot().Ledger.Devices[0].Refused[drivers.CauseBackPressure]; got != refused {
		t.Fatalf("ledger counts %d refused, want %d", got, refused)
	}
	r.append(0, 1) // and it goes on
	r.commit()
}

func TestSecondOwnerIsRefused(t *testing.T) {
	r := newRig(t, nil)
	_, err := Open(r.cfg, r.desc)
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), fmt.Sprint("process ", os.Getpid())) {
		t.Fatalf("got %v", err)
	}
}

func TestNewUplinkBeginsWithTheNextBlock(t *testing.T) {
	r := newRig(t, nil)
	r.append(0, 2)
	r.commit()
	r.cfg.Uplinks = []string{testUplink, "second"}
	r.reopen()
	r.append(0, 3)
	r.commit()
	if got := seqs(drain(t, r.Cursor("second"))); !reflect.DeepEqual(got, []uint64{2}) {
		t.Fatalf("second uplink got %v", got)
	}
	if got := seqs(drain(t, r.Cursor(testUplink))); !reflect.DeepEqual(got, []uint64{1, 2}) {
		t.Fatalf("first uplink got %v", got)
	}
}

func TestOldBlocksKeepTheirCatalogue(t *testing.T) {
	r := newRig(t, nil)
	r.append(0, 2)
	r.commit()
	old := r.cat.hash
	r.desc = testCatalogue(1, 9)
	r.reopen()
	if r.cat.hash == old {
		t.Fatal("the catalogue did not change")
	}
	text, err := r.CatalogueJSON(old)
	if err != nil || hashOf(text) != old {
		t.Fatalf("old catalogue: %v", err)
	}
	if got := drain(t, r.Cursor(testUplink)); len(got) != 1 || got[0].Catalogue != old || got[0].Readings[0].Tag.Name != "gauge_0" {
		t.Fatalf("got %+v", got)
	}
}

func TestRunCommitsByItselfAndAtTheEnd(t *testing.T) {
	r := newRig(t, func(c *Config) { c.CommitInterval = 20 * time.Millisecond })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	r.append(0, 2)
	c := r.Cursor(testUplink)
	b, err := c.Next(ctx)
	if err != nil || b.Seq != 1 {
		t.Fatalf("got %+v, %v", b, err)
	}
	c.Acknowledge(b)
	r.append(0, 1)
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	r.reopen()
	if u := r.Snapshot().Ledger.Uplinks[0]; u.Stored != 3 || u.Acknowledged != 2 || u.Pending != 1 {
		t.Fatalf("ledger: %+v", u)
	}
}

func TestNextEndsWithTheQueue(t *testing.T) {
	r := newRig(t, nil)
	c := r.Cursor(testUplink)
	done := make(chan error)
	go func() {
		_, err := c.Next(context.Background())
		done <- err
	}()
	time.Sleep(10 * time.Millisecond)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, ErrClosed) {
		t.Fatalf("got %v", err)
	}
	r.open()
}

func segmentFiles(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "q-*.db"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}
