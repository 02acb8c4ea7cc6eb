package buffer

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/millgate/millgate/drivers"
)

// PreviousEpoch names the last seqs known of an epoch whose tail could not be proven complete.
type PreviousEpoch struct {
	Epoch string            `json:"epoch"`
	Last  map[Stream]uint64 `json:"last"`
}

// Open opens the queue in cfg.Dir, or makes it. Damaged segments are moved to the folder quarantine and accounted for; a queue whose
// newest segment was damaged goes on in a new epoch. The error wraps ErrLocked if another process holds the queue.
func Open(cfg Config, described *Catalogue) (q *Queue, err error) {
	cfg = cfg.withDefaults()
	defer wrap(&err, "open queue")
	cat, err := newCatalogue(described.JSON())
	if err != nil {
		return nil, err
	}
	codec, err := newCodec()
	if err != nil {
		return nil, err
	}
	shelf, err := openShelf(cfg.Dir, cfg.segmentLimit())
	if err != nil {
		return nil, err
	}
	q = &Queue{cfg: cfg, shelf: shelf, cat: cat, packed: codec.deflate(cat.json), writer: writer{codec: codec, checkpoint: time.Now(), opened: drivers.Millis(time.Now())},
		kick: make(chan struct{}, 1), wake: make(chan struct{}), fill: newBuilder(cat), spare: newBuilder(cat)}
	if err := q.load(); err != nil {
		return nil, errors.Join(err, shelf.close())
	}
	return q, nil
}

// load brings back the books and accounts for what is missing on disk.
func (q *Queue) load() error {
	numbers, err := q.shelf.numbers()
	if err != nil {
		return err
	}
	newest := uint64(0)
	if len(numbers) > 0 {
		newest = numbers[len(numbers)-1]
	}
	damaged, err := q.loadBooks(numbers)
	if err != nil {
		return err
	}
	if q.books == nil {
		q.books = newBooks(ulid.Make().String())
		q.books.current.Number = newest + 1
	}
	q.adoptUplinks()
	switch {
	case damaged:
		err = q.startEpoch(newest + 1)
	case q.shelf.write == nil:
		err = q.begin()
	}
	if err != nil {
		return err
	}
	q.accountForMissing()
	q.countPending()
	return nil
}

// loadBooks reads the newest segment that can be read: its checkpoint and the commits behind it. Newer ones that can not are moved
// to quarantine, which is what damaged says.
func (q *Queue) loadBooks(numbers []uint64) (damaged bool, err error) {
	for _, number := range slices.Backward(numbers) {
		seg, b, err := q.loadSegment(number)
		switch {
		case err != nil && passing(err):
			return damaged, err // to be tried again, by whoever starts the gateway
		case err != nil:
			q.cfg.Log.Error("a segment of the queue is damaged; it is moved to the quarantine folder", "segment", segmentPath(q.shelf.dir, number), "error", err)
			if err := q.shelf.quarantine(number); err != nil {
				return damaged, err
			}
			damaged = true
		case b == nil: // a crash while it was being made: it never held anything
			if err := errors.Join(seg.close(), q.shelf.unlink(number)); err != nil {
				return damaged, err
			}
		default:
			q.books = b
			q.shelf.start(seg)
			return damaged, nil
		}
	}
	return damaged, nil
}

func (q *Queue) loadSegment(number uint64) (*segment, *books, error) {
	seg, err := openSegment(q.shelf.dir, number, q.shelf.limit)
	if err != nil {
		return nil, nil, err
	}
	c, err := seg.checkpoint(q.writer.codec)
	if err != nil || c == nil {
		if err != nil {
			err = errors.Join(err, seg.close())
		}
		return seg, nil, err
	}
	b := booksFrom(c)
	if err := seg.commits(c, q.writer.codec, b.apply); err != nil {
		return nil, nil, errors.Join(err, seg.close())
	}
	return seg, b, nil
}

// begin writes the first segment of the present books.
func (q *Queue) begin() error {
	seg, err := openSegment(q.shelf.dir, q.books.current.Number, q.shelf.limit)
	if err != nil {
		return err
	}
	if err := errors.Join(seg.begin(q.books.checkpoint(), q.writer.codec), syncDir(q.shelf.dir)); err != nil {
		return errors.Join(err, seg.close())
	}
	q.shelf.start(seg)
	return nil
}

// startEpoch goes on with a new identity in a segment of its own: the tail of the old one is not proven complete, so its numbers must
// never be used again.
func (q *Queue) startEpoch(number uint64) error {
	b := q.books
	last := map[Stream]uint64{}
	for stream, next := range b.next {
		last[stream] = next - 1
	}
	b.previous = &PreviousEpoch{Epoch: b.epoch, Last: last}
	b.epoch = ulid.Make().String()
	if len(b.current.Streams) > 0 {
		b.sealed = append(b.sealed, b.current)
	}
	b.current = segmentEntry{Number: number, Streams: map[Stream]span{}}
	q.tell(drivers.Event{
		Time: drivers.Millis(time.Now()), Kind: drivers.EventEpoch, Severity: drivers.Severe, Subject: "queue",
		Text: drivers.EventText{
			EN: fmt.Sprintf("the end of the queue was damaged and is in quarantine; numbering goes on in a new epoch, the last blocks known of epoch %s are named in status; check the disk", b.previous.Epoch),
			ZH: fmt.Sprintf("队列末尾损坏，已移至 quarantine 目录；编号在新纪元中继续，旧纪元 %s 的最后块号见 status；请检查磁盘", b.previous.Epoch),
		},
	})
	return q.begin()
}

// adoptUplinks keeps the state of the uplinks that are still configured; a new one begins with the next block.
func (q *Queue) adoptUplinks() {
	q.live = live{uplinks: map[string]*uplinkState{}, pending: map[string]*pending{}, floor: map[Stream]uint64{}, dirty: true}
	for stream, floor := range q.books.floor {
		q.live.floor[stream] = floor
	}
	for _, id := range q.cfg.Uplinks {
		u := q.books.uplinks[id]
		if u == nil {
			u = &uplinkState{Acked: map[Stream]ranges{}, Account: UplinkLedger{Uplink: id}}
			for stream, next := range q.books.next {
				var all ranges
				all.add(1, next-1)
				u.Acked[stream] = all
			}
		}
		q.live.uplinks[id] = u.clone()
		q.live.pending[id] = &pending{}
	}
}

// accountForMissing gives up sealed segments whose file is gone: removed by a full disk before the books could say so, or by hand.
func (q *Queue) accountForMissing() {
	q.books.sealed = slices.DeleteFunc(q.books.sealed, func(e segmentEntry) bool {
		if q.shelf.sizeOf(e.Number) > 0 {
			return false
		}
		if !below(e, q.live.floor) {
			q.giveUp(e, drivers.CauseDisk)
			q.giveUpUnkept(e)
		}
		return true
	})
}

// countPending measures what waits for each uplink by what the segments hold.
func (q *Queue) countPending() {
	for id, u := range q.live.uplinks {
		p := &pending{}
		for _, stream := range outliving {
			for _, r := range u.Acked[stream].missing(1, q.books.next[stream]-1) {
				p.blocks += r.To - r.From + 1
			}
		}
		for _, e := range q.books.segments() {
			s := e.Streams[Readings]
			for _, r := range u.Acked[Readings].missing(max(s.First, q.live.floor[Readings]), s.Last) {
				p.blocks += r.To - r.From + 1
				p.readings += q.recordsIn(e, Readings, r)
			}
		}
		q.live.pending[id] = p
	}
}

// giveUpUnkept gives up the events and reports of a segment that is gone, unless the archive has them.
func (q *Queue) giveUpUnkept(e segmentEntry) {
	for _, stream := range outliving {
		s, ok := e.Streams[stream]
		if !ok {
			continue
		}
		if data, err := q.shelf.archivedBlock(stream, s.Last); err == nil && data != nil { // they were copied in their order
			continue
		}
		q.giveUpOutliving(stream, s.First, s.Last, drivers.CauseDisk)
	}
}
