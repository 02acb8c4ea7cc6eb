package buffer

import (
	"context"
	"errors"
	"time"

	"github.com/millgate/millgate/collector/kpi"
	"github.com/millgate/millgate/drivers"
)

// tail reads committed blocks of readings in order, and acknowledges nothing. It belongs to one goroutine.
type tail struct {
	q       *Queue
	codec   *codec
	old     *catalogue // the last one that was needed and is not the present one
	batch   kpi.Batch
	spare   []drivers.Reading
	waiting bool // the last try met a trouble of the system
}

func (q *Queue) newTail() (*tail, error) {
	codec, err := newCodec()
	return &tail{q: q, codec: codec}, err
}

// next is the first block from seq to last that can be read; nil if there is none before wake. It is valid until the next call. Blocks that
// are gone or can not be read are passed over: that shows in the seq. The error is ctx's, or ErrClosed.
func (t *tail) next(ctx context.Context, seq, last uint64) (b *kpi.Batch, wake <-chan struct{}, err error) {
	for {
		entry, at, wake, err := t.q.firstReadings(seq)
		if err != nil || at == 0 || at > last {
			return nil, wake, err
		}
		t.codec.reuse, t.spare = t.spare, nil
		block, err := t.q.readWith(entry, Readings, at, t.codec, t.catalogue)
		if err == nil {
			t.waiting = false
			return t.batchOf(block), nil, nil
		}
		switch {
		case passing(err):
			if err := t.wait(ctx, err); err != nil {
				return nil, nil, err
			}
		case errors.Is(err, errClosed): // another reader needed the place on the shelf
		case t.q.moved(entry, at): // gone since it was found
		case errors.Is(err, errNoSegment):
			t.q.cfg.Log.Error("readings of a segment can not be read: KPIs know nothing of them", "segment", segmentPath(t.q.shelf.dir, entry.Number), "error", err)
			seq = entry.Streams[Readings].Last + 1
		default:
			t.q.cfg.Log.Error("a block of readings can not be read: KPIs know nothing of it", "seq", at, "error", err)
			seq = at + 1
		}
	}
}

// wait lets a trouble of the system pass. It is logged when it begins.
func (t *tail) wait(ctx context.Context, trouble error) error {
	if !t.waiting {
		t.q.cfg.Log.Error("a segment can not be opened now, so KPIs wait for it; it is tried again each second", "error", trouble)
	}
	t.waiting = true
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(retryInterval):
		return nil
	}
}

func (t *tail) batchOf(b *Block) *kpi.Batch {
	t.spare = b.Readings
	t.batch = kpi.Batch{Epoch: b.Epoch, Seq: b.Seq, Catalogue: b.Catalogue, Started: b.Started, Readings: b.Readings, Seen: t.batch.Seen[:0]}
	for _, s := range b.Seen {
		t.batch.Seen = append(t.batch.Seen, kpi.Seen(s))
	}
	return &t.batch
}

// catalogue is Queue.catalogue with a memory: a backlog names the same old version block after block.
func (t *tail) catalogue(hash string) (*catalogue, error) {
	if t.old != nil && t.old.hash == hash {
		return t.old, nil
	}
	cat, err := t.q.catalogue(hash, t.codec)
	if err == nil && cat != t.q.cat {
		t.old = cat
	}
	return cat, err
}

// firstReadings is the first committed block of readings at or behind seq and the segment that holds it; 0 if there is none before wake.
func (q *Queue) firstReadings(seq uint64) (entry segmentEntry, first uint64, wake <-chan struct{}, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return entry, 0, nil, ErrClosed
	}
	seq = max(seq, q.live.floor[Readings])
	for _, e := range q.books.segments() {
		if s, ok := e.Streams[Readings]; ok && s.Last >= seq {
			return e, max(seq, s.First), q.wake, nil
		}
	}
	return entry, 0, q.wake, nil
}

// moved says that a block is no longer where it was found.
func (q *Queue) moved(entry segmentEntry, seq uint64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed || seq < q.live.floor[Readings] || q.books.holding(Readings, seq).Number != entry.Number
}
