package buffer

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	berrors "go.etcd.io/bbolt/errors"

	"github.com/millgate/millgate/drivers"
)

// fillSegments commits incompressible readings until there are n segments.
func (r *rig) fillSegments(n int) {
	r.t.Helper()
	for i := 0; len(r.books.sealed) < n-1; i++ {
		if i > 5000 {
			r.t.Fatal("segments do not roll")
		}
		r.bulk(i % 2)
		r.commit()
	}
}

// bulk appends about 200 kB that do not compress: segments fill quickly.
func (r *rig) bulk(d int) {
	r.t.Helper()
	readings := r.readings(d, 100)
	for i := range readings {
		text := make([]byte, 2000)
		for j := range text {
			text[j] = byte(' ' + rand.IntN(95))
		}
		readings[i].Value = drivers.TextValue(string(text))
	}
	if _, err := r.Append(readings, nil, []drivers.Cycle{{Device: r.cat.devices[d], Time: r.tick, Due: 100, Good: 100}}); err != nil {
		r.t.Fatal(err)
	}
}

// gaps are the seqs up to next that the uplink never got, as told by events and as counted.
func (r *rig) checkLossIsTold(c *Cursor) {
	r.t.Helper()
	var got, told ranges
	var lost uint64
	deliver := func() {
		for _, b := range drain(r.t, c) {
			if b.Stream == Readings {
				got.add(b.Seq, b.Seq)
			}
			for _, e := range b.Events {
				if e.Ref != nil && e.Ref.Stream == string(Readings) {
					told.add(e.Ref.From, e.Ref.To)
					lost += e.Count
				}
			}
			c.Acknowledge(b)
		}
		r.commit()
	}
	deliver()
	deliver() // events of what the first round found
	for seq := uint64(1); seq < r.books.next[Readings]; seq++ {
		if got.has(seq) == told.has(seq) {
			r.t.Fatalf("block %d: delivered %v, told lost %v", seq, got.has(seq), told.has(seq))
		}
	}
	u := r.Snapshot().Ledger.Uplinks[0]
	if n := sum(u.Evicted) + u.Quarantined; n != lost || u.Pending != 0 || lost == 0 {
		r.t.Fatalf("events tell of %d lost readings, the ledger of %d: %+v", lost, n, u)
	}
}

func TestFullQueueEvictsTheOldestAndSaysSo(t *testing.T) {
	r := newRig(t, func(c *Config) { c.MaxSize = 16 << 20 })
	for evictions, floor := 0, uint64(1); evictions < 6; { // more than once around: events of the first must outlive the segments they were in
		r.bulk(0)
		r.commit()
		if now := r.books.floor[Readings]; now != floor {
			evictions, floor = evictions+1, now
		}
	}
	if n := len(segmentFiles(t, r.cfg.Dir)); n > 5 {
		t.Errorf("%d segment files for 16 MiB", n)
	}
	r.reopen()
	r.checkLossIsTold(r.Cursor(testUplink))
}

// TestEventsThatMoveAreNotLost: a cursor has found where an event is, and before it reads the event moves to the history.
func TestEventsThatMoveAreNotLost(t *testing.T) {
	r := newRig(t, func(c *Config) { c.MaxSize = 16 << 20 })
	event := drivers.Event{Kind: drivers.EventDeviceDown, Text: drivers.EventText{EN: "x"}}
	if _, err := r.Append(nil, []drivers.Event{event}, nil); err != nil {
		t.Fatal(err)
	}
	r.fillSegments(2)
	c := r.Cursor(testUplink)
	stream, entry, seq, _, err := c.find()
	if err != nil || stream != Events || entry.Number != 1 {
		t.Fatalf("%s %d in segment %d, %v", stream, seq, entry.Number, err)
	}
	for r.books.floor[Readings] == 1 || len(r.books.sealed) > 0 && r.books.sealed[0].Number == 1 {
		r.bulk(0)
		r.commit()
	}
	if _, err = r.read(entry, stream, seq, r.writer.codec); !errors.Is(err, errNoSegment) {
		t.Fatalf("the segment is still there: %v", err)
	}
	c.codec = r.writer.codec // as Next would have made one
	if err := c.pass(entry, stream, seq, err); err != nil {
		t.Fatal(err)
	}
	c.codec = nil
	if got := drain(t, c); got[0].Stream != Events || got[0].Seq != seq || got[0].Events[0].Kind != event.Kind {
		t.Fatalf("got %+v", got[0])
	}
}

// TestTroubleOfTheSystemIsNoDamage: a segment that may not be opened is neither quarantined nor given up.
func TestTroubleOfTheSystemIsNoDamage(t *testing.T) {
	for _, err := range []error{syscall.EMFILE, &os.PathError{Op: "open", Path: "q", Err: syscall.EACCES}, berrors.ErrTimeout} {
		if !passing(fmt.Errorf("%w: %w", errNoSegment, err)) {
			t.Errorf("%v counts as damage", err)
		}
	}
	for _, err := range []error{errDamaged, berrors.ErrChecksum, &os.PathError{Op: "open", Path: "q", Err: syscall.ENOENT}} {
		if passing(err) {
			t.Errorf("%v does not count as damage", err)
		}
	}
	r := newRig(t, nil)
	r.append(0, 5)
	r.commit()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	held, err := openSegment(r.cfg.Dir, 1, 4<<20) // another process has the file for longer than Open waits
	if err != nil {
		t.Fatal(err)
	}
	if q, err := Open(r.cfg, r.desc); !errors.Is(err, berrors.ErrTimeout) {
		t.Fatalf("opened as %v, %v", q, err)
	}
	if err := held.close(); err != nil {
		t.Fatal(err)
	}
	r.open()
	if got := drain(t, r.Cursor(testUplink)); len(got) != 1 || len(got[0].Readings) != 5 {
		t.Fatalf("after the trouble: %+v", got)
	}
}

// TestUnwritableHistoryHoldsNothingUp: the queue still evicts, and tells of the events that it lost with it.
func TestUnwritableHistoryHoldsNothingUp(t *testing.T) {
	r := newRig(t, func(c *Config) { c.MaxSize = 16 << 20 })
	evict := func() {
		for floor := r.books.floor[Readings]; r.books.floor[Readings] == floor; {
			r.bulk(0)
			r.commit()
		}
		r.commit()
	}
	for range 6 {
		evict()
	}
	if err := r.shelf.kept.close(); err != nil { // every write to it fails from here on
		t.Fatal(err)
	}
	if err := os.Mkdir(segmentPath(r.cfg.Dir, r.shelf.archive[0]+1), 0o700); err != nil { // and no other can be made
		t.Fatal(err)
	}
	for range 4 {
		evict()
	}
	if n := len(segmentFiles(t, r.cfg.Dir)); n > 6 {
		t.Errorf("%d segment files for 16 MiB", n)
	}
	got, told := r.outcome(Events)
	for seq := uint64(1); seq < r.books.next[Events]-1; seq++ {
		if got.has(seq) == told.has(seq) {
			t.Errorf("events %d: delivered %v, told lost %v", seq, got.has(seq), told.has(seq))
		}
	}
	if len(told) == 0 {
		t.Error("nothing was lost, so nothing is proven")
	}
}

func TestAcknowledgedSegmentsGoWithTheirHistory(t *testing.T) {
	r := newRig(t, func(c *Config) { c.MaxSize = 16 << 20; c.History = time.Hour })
	r.tick = drivers.Millis(time.Now())
	r.fillSegments(3)
	c := r.Cursor(testUplink)
	for _, b := range drain(t, c) {
		c.Acknowledge(b)
	}
	r.commit()
	if n := len(segmentFiles(t, r.cfg.Dir)); n != 3 {
		t.Fatalf("%d segments, want 3: the hour is not over", n)
	}
	r.Queue.cfg.History = time.Nanosecond
	for range 6 {
		r.commit()
		r.append(0, 1)
	}
	if n := len(segmentFiles(t, r.cfg.Dir)); n != 1 {
		t.Fatalf("%d segments, want 1", n)
	}
	if u := r.Snapshot().Ledger.Uplinks[0]; len(u.Evicted) != 0 {
		t.Fatalf("history that ends is no loss: %+v", u)
	}
}

func TestFullDiskMakesRoomEvenFromTheOnlySegment(t *testing.T) {
	r := newRig(t, nil)
	r.append(0, 100)
	r.commit()
	r.append(0, 50)
	if !r.take() || !r.makeRoom() {
		t.Fatal("no room was made")
	}
	r.commit()
	r.reopen()
	r.checkLossIsTold(r.Cursor(testUplink))
}

func TestCrashBetweenUnlinkAndBooks(t *testing.T) {
	r := newRig(t, func(c *Config) { c.MaxSize = 16 << 20 })
	r.fillSegments(3)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(segmentPath(r.cfg.Dir, 1)); err != nil {
		t.Fatal(err)
	}
	r.open()
	r.balanced()
	r.commit()
	r.checkLossIsTold(r.Cursor(testUplink))
}

// TestDamagedSegments zeroes pages of a sealed and of the newest segment: the queue opens, goes on, and tells what it lost.
func TestDamagedSegments(t *testing.T) {
	t.Run("sealed", func(t *testing.T) {
		r := newRig(t, func(c *Config) { c.MaxSize = 64 << 20 })
		r.fillSegments(3)
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		zero(t, segmentPath(r.cfg.Dir, 1), 0, 64<<10)
		r.open()
		r.checkLossIsTold(r.Cursor(testUplink))
		if _, err := os.Stat(filepath.Join(r.cfg.Dir, quarantineIn, "q-00000001.db")); err != nil {
			t.Error(err)
		}
	})
	t.Run("block", func(t *testing.T) {
		r := newRig(t, nil)
		for range 20 {
			r.append(0, 500)
			r.commit()
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		damageBlock(t, segmentPath(r.cfg.Dir, 1))
		r.open()
		r.checkLossIsTold(r.Cursor(testUplink))
	})
	t.Run("newest", func(t *testing.T) {
		r := newRig(t, func(c *Config) { c.MaxSize = 16 << 20 })
		r.fillSegments(3)
		epoch := r.Snapshot().Epoch
		last := r.books.sealed[1].Streams[Readings].Last
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		zero(t, segmentPath(r.cfg.Dir, 3), 0, 64<<10)
		r.open()
		s := r.Snapshot()
		if s.Epoch == epoch || s.Previous == nil || s.Previous.Epoch != epoch || s.Previous.Last[Readings] != last {
			t.Fatalf("epoch %s, previous %+v; want %s up to %d", s.Epoch, s.Previous, epoch, last)
		}
		r.append(0, 1)
		r.commit()
		c := r.Cursor(testUplink)
		blocks := drain(t, c)
		if b := blocks[len(blocks)-1]; b.Epoch != s.Epoch || b.Seq != last+1 {
			t.Fatalf("last block is %d of %s", b.Seq, b.Epoch)
		}
		r.reopen()
		if again := r.Snapshot(); again.Epoch != s.Epoch || again.Previous.Epoch != epoch {
			t.Fatalf("after reopening: %+v", again)
		}
		r.balanced()
	})
}

func zero(t *testing.T, path string, at, n int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(make([]byte, n), at); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// damageBlock flips a byte inside the tenth stored block of the file.
func damageBlock(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for i := 0; i+headerSize < len(data); i++ {
		if string(data[i:i+4]) != blockMagic {
			continue
		}
		if h, err := parseHeader(data[i:]); err == nil {
			t.Logf("header %+v", h)
		}
		if found++; found == 10 {
			data[i+headerSize+20] ^= 0x10
			break
		}
	}
	if found < 10 {
		t.Fatalf("only %d blocks found", found)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
