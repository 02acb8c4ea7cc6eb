// Package buffer is the durable, bounded, ordered queue between the collector and the uplinks, and the ledger of every reading.
//
// It owns its files (segment.go), its record format (codec.go, columns.go) and the books (state.go, ledger.go).
//
// Invariants:
//  1. A committed block never changes: (epoch, stream, seq) names the same bytes for ever. Numbers of blocks that a crash took before their
//     commit are used again; nobody can have seen them.
//  2. Blocks, acknowledgements and ledger deltas of one moment are in one bbolt transaction; opening is the last checkpoint plus the
//     commits behind it, moved by the same function (books.apply) that moves the books at work.
//  3. An uplink sees a block only after its commit.
//  4. A segment is unlinked only after a commit whose floor lies above all of its blocks; only a full disk turns that order around, and
//     opening then accounts for what is missing.
//  5. What leaves the queue unacknowledged is counted with its cause and told by an event that names the seqs.
//
// KPIs (kpis.go) are computed behind the queue: a Follower reads committed blocks of readings and appends what they come to.
//
// Is: storage, order, durability, accounting. Is not: a protocol, a payload format, a scheduler.
package buffer

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/millgate/millgate/collector/kpi"
	"github.com/millgate/millgate/drivers"
)

// ErrBackPressure is returned by Append while the disk does not keep up: the readings were refused and counted.
var ErrBackPressure = errors.New("the queue's disk does not keep up")

// ErrLocked is wrapped by the error of Open if another process holds the queue.
var ErrLocked = errors.New("the queue is in use")

// ErrClosed is returned by Cursor.Next after Close.
var ErrClosed = errors.New("the queue is closed")

// Config is the part of site.yaml that describes the queue. Zero values take the defaults named.
type Config struct {
	Dir            string        // folder of the queue, made if missing
	CommitInterval time.Duration // how much a power cut may cost; default 1 s
	MaxSize        int64         // bytes on disk before the oldest blocks are evicted; default 4 GiB
	History        time.Duration // how long acknowledged readings stay as local history, space allowing; default 7 days
	BlockSize      int           // upper bound of a block's JSON in bytes; default 256 KiB
	Uplinks        []string      // ids of the uplinks that must acknowledge; one that is new begins with the next block
	Log            *slog.Logger  // default discards
}

const (
	defaultCommitInterval = time.Second
	defaultMaxSize        = 4 << 30
	defaultHistory        = 7 * 24 * time.Hour
	defaultBlockSize      = 256 << 10
	segmentSize           = 64 << 20
	minSegmentSize        = 4 << 20
	commitSize            = 1 << 20 // uncommitted JSON bytes that do not wait for the interval
	refuseSize            = 8 << 20 // uncommitted JSON bytes at which Append refuses
	checkpointInterval    = time.Minute
)

func (c Config) withDefaults() Config {
	if c.CommitInterval <= 0 {
		c.CommitInterval = defaultCommitInterval
	}
	if c.MaxSize <= 0 {
		c.MaxSize = defaultMaxSize
	}
	if c.History <= 0 {
		c.History = defaultHistory
	}
	if c.BlockSize <= 0 {
		c.BlockSize = defaultBlockSize
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// segmentLimit is a segment's size: small enough that evicting one leaves most of a small queue.
func (c Config) segmentLimit() int64 { return max(minSegmentSize, min(segmentSize, c.MaxSize/4)) }

// Stream names a sequence of blocks.
type Stream string

// The streams.
const (
	Readings Stream = "readings"
	Events   Stream = "events"
	KPIs     Stream = "kpis"
)

// streams in the order in which an uplink gets them: what happened, and what it comes to, does not wait behind a backlog of readings.
var streams = []Stream{Events, KPIs, Readings}

// outliving are the streams whose blocks outlive their segments, in the archive.
var outliving = []Stream{Events, KPIs}

// Block is one stored block: immutable for ever, and one message.
type Block struct {
	Epoch     string // ULID of the queue's life that numbered it
	Stream    Stream
	Seq       uint64 // counts up by one per stream, from 1, also from one epoch to the next
	Catalogue string // hash of the catalogue that names its tags, 32 hex digits
	Seen      []Seen // devices that were up with nothing to report, in catalogue order
	Readings  []drivers.Reading
	Events    []drivers.Event
	Report    *kpi.Report // of the stream kpis: one report, or a part of one
	Started   int64       // of readings: when the run of the gateway began whose first block this is, ms since 1970 UTC; else 0

	packed *packedReport // of a report that is not committed yet
}

// Seen says when a device that is up but silent last answered.
type Seen struct {
	Device string
	Time   int64 // ms since 1970 UTC
}

// Queue is the durable queue. Its methods may be called from several goroutines; Run and Close by one.
type Queue struct {
	cfg    Config
	shelf  *shelf
	cat    *catalogue
	packed []byte // cat.json deflated
	writer writer // belongs to Run
	packer packer
	kick   chan struct{}

	mu          sync.Mutex // guards everything below
	fill        *builder   // what Append fills
	spare       *builder   // empty, for the next commit
	pos         uint64     // of the last Append or AppendReports
	durable     uint64
	uncommitted int // JSON bytes in fill and in the writer's hands
	reports     int // bytes of reports that are not committed
	books       *books
	live        live
	wake        chan struct{} // closed and replaced at each commit
	closed      bool
}

// live is what has happened since the last commit to the uplinks' side of the books, and is durable with the next.
type live struct {
	uplinks   map[string]*uplinkState
	pending   map[string]*pending
	floor     map[Stream]uint64
	dirty     bool   // something of it is not yet durable
	diskError string // why the last commit failed; empty while all is well
}

// pending is what waits for one uplink in committed blocks.
type pending struct {
	blocks   uint64
	readings uint64
}

// Append takes readings, events and accounts into the open block; it does not wait for the disk, and copies what it keeps. While more
// than 8 MiB are uncommitted it refuses the readings with ErrBackPressure and counts them; events and accounts are always taken.
func (q *Queue) Append(readings []drivers.Reading, events []drivers.Event, cycles []drivers.Cycle) (pos uint64, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	before := q.fill.size
	for i := range cycles {
		q.fill.book(&cycles[i], q.cat)
	}
	if q.uncommitted >= refuseSize {
		for i := range readings {
			addCount(&q.fill.account.device(readings[i].Tag.Device).Refused, drivers.CauseBackPressure, 1)
		}
		err = ErrBackPressure
	} else {
		q.fill.addReadings(readings, q.cfg.BlockSize, q.cat)
	}
	q.fill.addEvents(events, q.cfg.BlockSize)
	q.pos++
	q.fill.pos = q.pos
	q.uncommitted += q.fill.size - before
	if q.uncommitted >= commitSize {
		q.hurry()
	}
	return q.pos, err
}

// hurry makes the writer commit without waiting for the interval.
func (q *Queue) hurry() {
	select {
	case q.kick <- struct{}{}:
	default:
	}
}

// Durable is the position up to which everything survives a power cut.
func (q *Queue) Durable() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.durable
}

// Await makes Run commit at once and waits until everything up to pos survives a power cut. The error is ctx's, or ErrClosed.
func (q *Queue) Await(ctx context.Context, pos uint64) error {
	for {
		q.mu.Lock()
		durable, wake, closed := q.durable, q.wake, q.closed
		q.mu.Unlock()
		switch {
		case durable >= pos:
			return nil
		case closed:
			return ErrClosed
		}
		q.hurry()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-wake:
		}
	}
}

// LastSeen is when each device last answered as of the last commit, ms since 1970 UTC.
func (q *Queue) LastSeen() map[string]int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	seen := make(map[string]int64, len(q.books.devices))
	for id, d := range q.books.devices {
		seen[id] = d.LastSeen
	}
	return seen
}

// CatalogueJSON is the catalogue version with that hash, as it is published.
func (q *Queue) CatalogueJSON(hash string) ([]byte, error) {
	c, err := newCodec()
	if err != nil {
		return nil, err
	}
	cat, err := q.catalogue(hash, c)
	if err != nil {
		return nil, err
	}
	return cat.json, nil
}

// catalogue finds a version: the present one, or in the segments and the archive, the newest first.
func (q *Queue) catalogue(hash string, c *codec) (*catalogue, error) {
	if hash == q.cat.hash {
		return q.cat, nil
	}
	q.mu.Lock()
	segments := q.books.segments()
	q.mu.Unlock()
	numbers := q.shelf.archiveFiles()
	for _, entry := range segments {
		numbers = append(numbers, entry.Number)
	}
	for _, number := range slices.Backward(numbers) {
		seg, err := q.shelf.get(number)
		if err != nil {
			continue // another segment may have it
		}
		packed, err := seg.get(bucketCatalogues, []byte(hash))
		if err != nil || packed == nil {
			continue
		}
		text, err := c.inflate(packed)
		if err != nil {
			return nil, err
		}
		return newCatalogue(text)
	}
	return nil, errors.New("catalogue " + hash + " is neither in a segment nor in the archive")
}

// Close releases the files; what Run has not committed is gone. Cursors end with ErrClosed.
func (q *Queue) Close() error {
	q.mu.Lock()
	q.closed = true
	close(q.wake)
	q.wake = make(chan struct{})
	q.mu.Unlock()
	return q.shelf.close()
}
