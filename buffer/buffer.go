package buffer

import (
	"context"
	"errors"
	"time"

	"github.com/millgate/millgate/drivers"
)

// ErrBackPressure is returned by Append while the disk does not keep up: the readings were refused and counted.
var ErrBackPressure = errors.New("the queue's disk does not keep up")

// ErrLocked is wrapped by the error of Open if another process holds the queue.
var ErrLocked = errors.New("the queue is in use")

// Config is the part of site.yaml that describes the queue. Zero values take the defaults named.
type Config struct {
	Dir            string        // folder of the queue, made if missing
	CommitInterval time.Duration // how much a power cut may cost; default 1 s
	MaxSize        int64         // bytes on disk before the oldest blocks are evicted; default 4 GiB
	History        time.Duration // how long acknowledged readings stay as local history, space allowing; default 7 days
	BlockSize      int           // upper bound of a block's JSON in bytes; default 256 KiB
	Uplinks        []string      // ids of the uplinks that must acknowledge
}

// Stream names a sequence of blocks.
type Stream string

// The streams.
const (
	Readings Stream = "readings"
	Events   Stream = "events"
)

// Block is one stored block: immutable for ever, and one message.
type Block struct {
	Epoch     string // ULID of the queue's life that numbered it
	Stream    Stream
	Seq       uint64 // counts up by one per stream, from 1
	Catalogue string // hash of the catalogue that names its tags, 32 hex digits
	Seen      []Seen // devices that were up with nothing to report, in catalogue order
	Readings  []drivers.Reading
	Events    []drivers.Event
}

// Seen says when a device that is up but silent last answered.
type Seen struct {
	Device string
	Time   int64 // ms since 1970 UTC
}

// Queue is the durable queue.
type Queue struct{}

// Open opens the queue in cfg.Dir, or makes it.
func Open(cfg Config, catalogue *Catalogue) (*Queue, error) { panic("stub") }

// Run writes to disk until ctx is done, then commits what is open and returns.
func (q *Queue) Run(ctx context.Context) error { panic("stub") }

// Close releases the files.
func (q *Queue) Close() error { panic("stub") }

// Append takes readings, events and accounts into the open block; it does not wait for the disk, and copies what it keeps.
func (q *Queue) Append(readings []drivers.Reading, events []drivers.Event, cycles []drivers.Cycle) (pos uint64, err error) {
	panic("stub")
}

// Durable is the position up to which everything survives a power cut.
func (q *Queue) Durable() uint64 { panic("stub") }

// LastSeen is when each device last answered before this start, ms since 1970 UTC.
func (q *Queue) LastSeen() map[string]int64 { panic("stub") }

// CatalogueJSON is the catalogue version with that hash, as it is published.
func (q *Queue) CatalogueJSON(hash string) ([]byte, error) { panic("stub") }

// Cursor is uplink's place in the queue.
func (q *Queue) Cursor(uplink string) *Cursor { panic("stub") }

// Cursor hands committed blocks to one uplink. Its methods may be called from several goroutines.
type Cursor struct{}

// Next waits for the next committed block that was neither acknowledged nor handed out since the last Rewind: events before
// readings, each stream in order. The block is the caller's. The error is ctx's, or says that the queue is closed.
func (c *Cursor) Next(ctx context.Context) (*Block, error) { panic("stub") }

// Rewind makes Next hand out again what was handed out and not acknowledged.
func (c *Cursor) Rewind() { panic("stub") }

// Acknowledge says that the broker has b; it is durable with the next commit.
func (c *Cursor) Acknowledge(b *Block) { panic("stub") }

// Snapshot is what the queue says about itself.
type Snapshot struct {
	Epoch     string            `json:"epoch"`
	Previous  *PreviousEpoch    `json:"previous,omitempty"`
	Next      map[Stream]uint64 `json:"next"` // the seq that the next block of each stream will get
	Catalogue string            `json:"catalogue"`
	Segments  int               `json:"segments"`
	Bytes     int64             `json:"bytes"` // on disk
	Uplinks   []UplinkSnapshot  `json:"uplinks"`
	Ledger    Ledger            `json:"ledger"`
	DiskError string            `json:"disk_error,omitempty"` // why the last commit failed; empty while all is well
}

// PreviousEpoch names the last seqs known of an epoch whose tail could not be proven complete.
type PreviousEpoch struct {
	Epoch string            `json:"epoch"`
	Last  map[Stream]uint64 `json:"last"`
}

// UplinkSnapshot is what waits for one uplink.
type UplinkSnapshot struct {
	ID            string `json:"id"`
	PendingBlocks uint64 `json:"pending_blocks"`
	OldestTime    int64  `json:"oldest_t,omitempty"` // ms since 1970 UTC of the oldest pending block
}

// Snapshot may be called at any time.
func (q *Queue) Snapshot() Snapshot { panic("stub") }
