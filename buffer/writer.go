package buffer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"syscall"
	"time"

	berrors "go.etcd.io/bbolt/errors"

	"github.com/millgate/millgate/drivers"
)

// writer is what only the committing goroutine touches.
type writer struct {
	codec      *codec
	batch      *builder                // taken from Append and not yet committed
	uplinks    map[string]*uplinkState // as they were when the batch was taken: a loss and its event go together
	floor      map[Stream]uint64       // likewise
	blocks     []encodedBlock          // of batch
	buf        []byte                  // holds their bytes
	checkpoint time.Time               // of the last one
	trimmed    time.Time               // when the archive was last looked at
	opened     int64                   // when the queue was, ms since 1970 UTC
	begun      bool                    // this run's first block of readings has been closed
}

// Run commits until ctx is done, then commits what is open and returns. The error is that of the last commit, if it failed.
func (q *Queue) Run(ctx context.Context) error {
	timer := time.NewTimer(q.untilCommit())
	defer timer.Stop()
	kick := q.kick
	for {
		select {
		case <-ctx.Done():
			if err := q.flush(); err != nil { // a batch that failed before
				return err
			}
			return q.flush()
		case <-timer.C:
			timer.Reset(q.untilCommit())
		case <-kick:
		}
		err := q.flush()
		kick = q.kick
		if err != nil {
			kick = nil // a disk that fails is tried again at the interval, however much waits
		}
		q.report(err)
		q.tidy()
	}
}

// untilCommit waits for the next quarter of a commit interval past its multiples: polls are aligned to them, so their readings are
// committed together and soon, and not in the middle of the next burst.
func (q *Queue) untilCommit() time.Duration {
	interval := q.cfg.CommitInterval
	past := time.Duration(time.Now().UnixNano()) % interval
	wait := interval/4 - past
	if wait <= 0 {
		wait += interval
	}
	return wait
}

// report says once that commits fail, and once that they work again.
func (q *Queue) report(err error) {
	q.mu.Lock()
	before := q.live.diskError
	q.live.diskError = ""
	if err != nil {
		q.live.diskError = err.Error()
	}
	q.mu.Unlock()
	switch {
	case err != nil && before == "":
		q.cfg.Log.Error("readings can not be written to disk; they are kept in memory and refused when that is full", "dir", q.cfg.Dir, "error", err)
	case err == nil && before != "":
		q.cfg.Log.Info("readings are written to disk again", "dir", q.cfg.Dir)
	}
}

// flush commits everything appended so far. On failure the batch stays for the next flush.
func (q *Queue) flush() error {
	var err error
	for range 8 { // a full disk or segment is worth another try at once; anything else waits for the next flush
		if !q.take() {
			return nil
		}
		var record *commit
		if record, err = q.writeBatch(); err == nil {
			q.committed(record)
			return nil
		}
		switch {
		case errors.Is(err, berrors.ErrMaxSizeReached):
			if err := q.roll(); err != nil {
				return err
			}
		case errors.Is(err, syscall.ENOSPC):
			if !q.makeRoom() {
				return err
			}
		default:
			return errors.Join(err, q.reopen())
		}
	}
	return err
}

// take moves what Append filled into the writer's hands, behind a batch that could not be committed before, and numbers it; false if
// there is nothing to commit.
func (q *Queue) take() bool {
	w := &q.writer
	q.mu.Lock()
	defer q.mu.Unlock()
	before := q.fill.size
	q.fill.close(q.cat)
	q.uncommitted += q.fill.size - before
	if w.batch == nil && q.fill.empty() && !q.live.dirty {
		return false
	}
	if w.batch == nil {
		w.batch, q.fill, q.spare = q.fill, q.spare, nil
		w.batch.carry(q.fill)
	} else {
		w.batch.join(q.fill)
	}
	next := maps.Clone(q.books.next)
	for _, b := range w.batch.closed {
		b.Epoch, b.Catalogue, b.Seq = q.books.epoch, q.cat.hash, next[b.Stream]
		next[b.Stream]++
		if b.Stream == Readings && !w.begun {
			b.Started, w.begun = w.opened, true
		}
	}
	w.blocks = nil
	w.uplinks, w.floor = map[string]*uplinkState{}, maps.Clone(q.live.floor)
	for id, u := range q.live.uplinks {
		w.uplinks[id] = u.clone()
	}
	q.live.dirty = false
	return true
}

// encodeBatch turns the batch's blocks into bytes, once.
func (q *Queue) encodeBatch() error {
	w := &q.writer
	if w.blocks != nil || len(w.batch.closed) == 0 {
		return nil
	}
	w.buf = w.buf[:0]
	var ends []int
	for _, b := range w.batch.closed {
		var err error
		if w.buf, err = w.codec.encode(w.buf, b, q.cat); err != nil {
			return fmt.Errorf("encode block %d of %s: %w", b.Seq, b.Stream, err)
		}
		ends = append(ends, len(w.buf))
	}
	start := 0
	for i, b := range w.batch.closed {
		w.blocks = append(w.blocks, encodedBlock{
			stored: stored{Stream: b.Stream, Seq: b.Seq, Records: uint64(b.Records()), Time: b.Time()},
			data:   w.buf[start:ends[i]],
		})
		start = ends[i]
	}
	return nil
}

// writeBatch makes one transaction of the batch and of what happened to the uplinks, rolling to a new segment when this one is full.
func (q *Queue) writeBatch() (*commit, error) {
	w := &q.writer
	if err := q.encodeBatch(); err != nil {
		return nil, err
	}
	if err := q.rollIfFull(); err != nil {
		return nil, err
	}
	q.mu.Lock()
	record := q.record()
	p := page{blocks: w.blocks, number: record.Number, catalogue: q.cat, packed: q.packed}
	if time.Since(w.checkpoint) >= checkpointInterval {
		p.checkpoint = w.codec.deflate(marshal(q.books.checkpoint())) // without this commit: replay adds it
	}
	q.mu.Unlock()
	p.commit = w.codec.deflate(marshal(record))
	if err := q.shelf.write.write(&p); err != nil {
		return nil, err
	}
	if p.checkpoint != nil {
		w.checkpoint = time.Now()
	}
	return record, nil
}

// record is the commit of the batch. The caller holds mu.
func (q *Queue) record() *commit {
	w := &q.writer
	c := &commit{Number: q.books.commit + 1, Time: drivers.Millis(time.Now()), Devices: w.batch.account.list(), Uplinks: map[string]*uplinkState{}, Floor: w.floor, Through: w.batch.through}
	var readings uint64
	for _, b := range w.blocks {
		c.Blocks = append(c.Blocks, b.stored)
		if b.Stream == Readings {
			readings += b.Records
		}
	}
	for id, u := range w.uplinks {
		c.Uplinks[id] = u.clone() // a retry must not add twice
		c.Uplinks[id].Account.Stored += readings
	}
	return c
}

// committed moves the books and wakes who waits for blocks or for the commit.
func (q *Queue) committed(record *commit) {
	w := &q.writer
	q.mu.Lock()
	defer q.mu.Unlock()
	q.books.apply(record)
	for _, s := range record.Blocks {
		for id, u := range q.live.uplinks {
			q.live.pending[id].blocks++
			if s.Stream == Readings {
				u.Account.Stored += s.Records
				q.live.pending[id].readings += s.Records
			}
		}
	}
	q.durable = max(q.durable, w.batch.pos)
	q.uncommitted -= w.batch.size
	q.reports -= w.batch.reports
	w.batch.reset()
	q.spare, w.batch, w.blocks = w.batch, nil, nil
	close(q.wake)
	q.wake = make(chan struct{})
}

// rollIfFull rolls if the batch might not fit into the write segment. It comes before the commit's record and checkpoint are made,
// since they name the segment.
func (q *Queue) rollIfFull() error {
	used, err := q.shelf.write.used()
	if err != nil {
		return err
	}
	need := int64(len(q.writer.buf)) + commitOverhead + int64(len(q.writer.blocks))*pageSize
	if used+need <= q.shelf.limit || !q.hasBlocks() {
		return nil
	}
	return q.roll()
}

// hasBlocks says that rolling makes sense: the write segment holds something to be sealed.
func (q *Queue) hasBlocks() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.books.current.Streams) > 0
}

// roll seals the write segment and starts the next one with a checkpoint.
func (q *Queue) roll() error {
	q.mu.Lock()
	c := q.books.checkpoint()
	q.mu.Unlock()
	c.Sealed = append(c.Sealed[:len(c.Sealed):len(c.Sealed)], c.Current)
	c.Current = segmentEntry{Number: c.Current.Number + 1, Streams: map[Stream]span{}}
	seg, err := openSegment(q.shelf.dir, c.Current.Number, q.shelf.limit)
	if err != nil {
		return err
	}
	if err := seg.begin(c, q.writer.codec); err != nil {
		return errors.Join(err, seg.close(), q.shelf.unlink(c.Current.Number))
	}
	if err := syncDir(q.shelf.dir); err != nil {
		return errors.Join(err, seg.close())
	}
	q.shelf.start(seg)
	q.writer.checkpoint = time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.books.sealed, q.books.current = c.Sealed, c.Current
	return nil
}

// reopen brings the write segment back to what the disk holds after a commit that failed in an unknown way. If that commit did reach
// the disk, it counts.
func (q *Queue) reopen() error {
	number := q.shelf.write.number
	if err := q.shelf.write.close(); err != nil {
		q.cfg.Log.Debug("close segment after a failed commit", "segment", number, "error", err)
	}
	seg, err := openSegment(q.shelf.dir, number, q.shelf.limit)
	if err != nil {
		return err
	}
	q.shelf.mu.Lock()
	q.shelf.write = seg
	q.shelf.mu.Unlock()
	var landed *commit
	if err := seg.commits(q.books.checkpoint(), q.writer.codec, func(c *commit) { landed = c }); err != nil {
		return err
	}
	if landed != nil {
		q.committed(landed)
	}
	return nil
}
