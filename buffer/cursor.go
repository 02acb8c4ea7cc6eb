package buffer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/millgate/millgate/drivers"
)

// Cursor hands committed blocks to one uplink. Its methods may be called from several goroutines.
type Cursor struct {
	q      *Queue
	uplink string

	mu      sync.Mutex // one Next at a time; guards codec and waiting
	codec   *codec
	waiting bool // the last try met a trouble of the system

	handed map[Stream]uint64 // the last seq handed out; guarded by q.mu
	spare  []drivers.Reading // of an acknowledged block, for one to come; guarded by q.mu
}

// errNoSegment says that a whole segment can not be opened.
var errNoSegment = errors.New("segment can not be opened")

// Cursor is uplink's place in the queue. It panics if the queue was not opened for that uplink.
func (q *Queue) Cursor(uplink string) *Cursor {
	if q.live.uplinks[uplink] == nil {
		panic("BUG: uplink " + uplink + " is not in buffer.Config.Uplinks")
	}
	return &Cursor{q: q, uplink: uplink, handed: map[Stream]uint64{}}
}

// Next waits for the next committed block that was neither acknowledged nor handed out since the last Rewind: events before
// reports before readings, each stream in order. The block is the caller's. The error is ctx's, or ErrClosed. A block that can not be read back is
// quarantined, told by an event, and passed over.
func (c *Cursor) Next(ctx context.Context) (*Block, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.codec == nil {
		codec, err := newCodec()
		if err != nil {
			return nil, err
		}
		c.codec = codec
	}
	for {
		stream, entry, seq, wake, err := c.find()
		if err != nil {
			return nil, err
		}
		if seq == 0 {
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-wake:
				continue
			}
		}
		c.q.mu.Lock()
		c.codec.reuse, c.spare = c.spare, nil
		c.q.mu.Unlock()
		block, err := c.q.read(entry, stream, seq, c.codec)
		if err == nil {
			c.q.mu.Lock()
			c.handed[stream] = seq
			c.q.mu.Unlock()
			c.waiting = false
			return block, nil
		}
		if passing(err) {
			err = c.wait(ctx, err)
		} else {
			err = c.pass(entry, stream, seq, err)
		}
		if err != nil {
			return nil, err
		}
	}
}

// retryInterval is between two tries to open a segment that the system would not open.
const retryInterval = time.Second

// wait lets a trouble of the system pass, which says nothing about what is stored. It is logged when it begins.
func (c *Cursor) wait(ctx context.Context, trouble error) error {
	if !c.waiting {
		c.q.cfg.Log.Error("a segment can not be opened now; it is tried again each second", "uplink", c.uplink, "error", trouble)
	}
	c.waiting = true
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(retryInterval):
		return nil
	}
}

// find is the next block to hand out and the segment that holds it; seq 0 if there is none before wake.
func (c *Cursor) find() (stream Stream, entry segmentEntry, seq uint64, wake <-chan struct{}, err error) {
	c.q.mu.Lock()
	defer c.q.mu.Unlock()
	if c.q.closed {
		return "", entry, 0, nil, ErrClosed
	}
	for _, stream := range streams {
		acked := c.q.live.uplinks[c.uplink].Acked[stream]
		seq := acked.after(max(c.handed[stream], c.q.live.floor[stream]-1))
		if seq >= c.q.books.next[stream] {
			continue
		}
		return stream, c.q.books.holding(stream, seq), seq, nil, nil
	}
	return "", entry, 0, c.q.wake, nil
}

// stored copies the stored form of a block out of where the books say that it is; nil if it is not there.
func (q *Queue) stored(entry segmentEntry, stream Stream, seq uint64) ([]byte, error) {
	if entry.Number == archived {
		return q.shelf.archivedBlock(stream, seq)
	}
	seg, err := q.shelf.get(entry.Number)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoSegment, err)
	}
	return seg.block(stream, seq)
}

// read reads one committed block.
func (q *Queue) read(entry segmentEntry, stream Stream, seq uint64, c *codec) (*Block, error) {
	return q.readWith(entry, stream, seq, c, func(hash string) (*catalogue, error) { return q.catalogue(hash, c) })
}

func (q *Queue) readWith(entry segmentEntry, stream Stream, seq uint64, c *codec, lookup func(hash string) (*catalogue, error)) (*Block, error) {
	data, err := q.stored(entry, stream, seq)
	if err != nil {
		return nil, err
	}
	if data == nil {
		return nil, fmt.Errorf("%w: block %d of %s is missing", errDamaged, seq, stream)
	}
	block, err := c.decode(data, lookup)
	if err == nil && (block.Stream != stream || block.Seq != seq) {
		err = fmt.Errorf("%w: block %d of %s stands where block %d of %s belongs", errDamaged, block.Seq, block.Stream, seq, stream)
	}
	return block, err
}

// pass deals with a block that could not be read: gone since it was found, or damaged.
func (c *Cursor) pass(entry segmentEntry, stream Stream, seq uint64, cause error) error {
	q := c.q
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		return ErrClosed
	case seq < q.live.floor[stream]:
		return nil // evicted meanwhile, and told
	case errors.Is(cause, errClosed):
		return nil // another reader needed the place on the shelf
	case q.books.holding(stream, seq).Number != entry.Number:
		return nil // moved to the archive since it was found
	}
	q.cfg.Log.Error("a stored block can not be read", "stream", stream, "seq", seq, "segment", segmentPath(q.shelf.dir, entry.Number), "error", cause)
	if errors.Is(cause, errNoSegment) && entry.Number != archived {
		q.giveUp(entry, "")
		for _, stream := range outliving {
			if s, ok := entry.Streams[stream]; ok {
				q.giveUpOutliving(stream, s.First, s.Last, "")
			}
		}
		return q.shelf.quarantine(entry.Number)
	}
	r := Range{seq, seq}
	for id, u := range q.live.uplinks {
		if !u.Acked[stream].has(seq) {
			q.lose(id, stream, r, q.recordsIn(entry, stream, r), "")
		}
	}
	return nil
}

// Rewind makes Next hand out again what was handed out and not acknowledged.
func (c *Cursor) Rewind() {
	c.q.mu.Lock()
	defer c.q.mu.Unlock()
	clear(c.handed)
}

// Acknowledge says that the broker has b; it is durable with the next commit. The block is the queue's again: its readings must not be
// used any more.
func (c *Cursor) Acknowledge(b *Block) {
	q := c.q
	q.mu.Lock()
	defer q.mu.Unlock()
	u, p := q.live.uplinks[c.uplink], q.live.pending[c.uplink]
	readings := uint64(len(b.Readings))
	c.spare, b.Readings = b.Readings[:0], nil
	acked := u.Acked[b.Stream]
	n := acked.add(b.Seq, b.Seq)
	u.Acked[b.Stream] = acked
	if n == 0 {
		return // acknowledged twice, or evicted while it was in flight
	}
	p.blocks--
	if b.Stream == Readings {
		p.readings -= readings
		u.Account.Acknowledged += readings
	}
	q.live.dirty = true
}

// holding finds the segment that must have a block: the archive if no other.
func (b *books) holding(stream Stream, seq uint64) segmentEntry {
	for _, e := range slices.Backward(b.segments()) {
		if s, ok := e.Streams[stream]; ok && seq >= s.First && seq <= s.Last {
			return e
		}
	}
	return segmentEntry{Number: archived}
}
