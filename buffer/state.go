package buffer

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/millgate/millgate/collector/kpi"
)

// stored is what one block weighs in the books.
type stored struct {
	Stream  Stream `json:"s"`
	Seq     uint64 `json:"n"`
	Records uint64 `json:"r"`
	Time    int64  `json:"t"`
}

// span is what one segment holds of one stream.
type span struct {
	First   uint64 `json:"first"`
	Last    uint64 `json:"last"`
	Records uint64 `json:"records"`
	Time    int64  `json:"t"` // of the first record
}

// segmentEntry is what the books know of a segment without opening it. Its map is never changed, so that entries may be copied.
type segmentEntry struct {
	Number  uint64          `json:"number"`
	Streams map[Stream]span `json:"streams"`
	Newest  int64           `json:"newest_t"` // of its last block, ms since 1970 UTC
}

func (e *segmentEntry) add(b stored) {
	s, ok := e.Streams[b.Stream]
	if !ok {
		s = span{First: b.Seq, Time: b.Time}
	}
	s.Last = b.Seq
	s.Records += b.Records
	e.Streams = maps.Clone(e.Streams)
	e.Streams[b.Stream] = s
	e.Newest = max(e.Newest, b.Time)
}

// uplinkState is the durable part of one uplink: what it acknowledged, and its side of the ledger without what is pending.
type uplinkState struct {
	Acked   map[Stream]ranges `json:"acked"`
	Account UplinkLedger      `json:"account"` // Pending is not kept: it is what the segments hold
}

// commit is the record of one transaction: what it stored and how the books moved. Written with the blocks themselves.
type commit struct {
	Number  uint64                  `json:"commit"`
	Time    int64                   `json:"t"` // ms since 1970 UTC
	Blocks  []stored                `json:"blocks,omitempty"`
	Devices []DeviceLedger          `json:"devices,omitempty"` // deltas
	Uplinks map[string]*uplinkState `json:"uplinks"`           // totals
	Floor   map[Stream]uint64       `json:"floor,omitempty"`   // the first seq of each stream that is kept
	Through *kpi.Position           `json:"through,omitempty"` // of the last report that it stored
}

// checkpoint stands at the head of each segment and is renewed every minute: opening reads it and replays the commits behind it.
type checkpoint struct {
	Commit   uint64                  `json:"commit"` // the last one that it includes
	Epoch    string                  `json:"epoch"`
	Previous *PreviousEpoch          `json:"previous,omitempty"`
	Next     map[Stream]uint64       `json:"next"`
	Devices  []DeviceLedger          `json:"devices"` // totals
	Uplinks  map[string]*uplinkState `json:"uplinks"`
	Floor    map[Stream]uint64       `json:"floor"`
	Sealed   []segmentEntry          `json:"sealed"` // all older segments that are still needed
	Current  segmentEntry            `json:"current"`
	Through  kpi.Position            `json:"through,omitzero"`
}

// books is the durable state in memory, as of the last commit.
type books struct {
	epoch    string
	previous *PreviousEpoch
	commit   uint64
	next     map[Stream]uint64
	devices  account
	uplinks  map[string]*uplinkState
	floor    map[Stream]uint64
	sealed   []segmentEntry // by number
	current  segmentEntry
	through  kpi.Position // of the newest report that was ever stored
}

func newBooks(epoch string) *books {
	b := &books{
		epoch: epoch, devices: account{}, uplinks: map[string]*uplinkState{},
		next: map[Stream]uint64{}, floor: map[Stream]uint64{},
		current: segmentEntry{Number: 1, Streams: map[Stream]span{}},
	}
	for _, s := range streams {
		b.next[s], b.floor[s] = 1, 1
	}
	return b
}

func (b *books) checkpoint() *checkpoint {
	return &checkpoint{Commit: b.commit, Epoch: b.epoch, Previous: b.previous, Next: b.next, Devices: b.devices.list(),
		Uplinks: b.uplinks, Floor: b.floor, Sealed: b.sealed, Current: b.current, Through: b.through}
}

func booksFrom(c *checkpoint) *books {
	b := newBooks(c.Epoch)
	b.commit, b.previous, b.current = c.Commit, c.Previous, c.Current
	b.sealed, b.through = c.Sealed, c.Through
	maps.Copy(b.next, c.Next)
	maps.Copy(b.floor, c.Floor)
	maps.Copy(b.uplinks, c.Uplinks)
	for i := range c.Devices {
		b.devices[c.Devices[i].Device] = &c.Devices[i]
	}
	if b.current.Streams == nil {
		b.current.Streams = map[Stream]span{}
	}
	return b
}

// apply moves the books by one commit. It is the only way in which they move, at work and in replay.
func (b *books) apply(c *commit) {
	b.commit = c.Number
	for _, s := range c.Blocks {
		b.next[s.Stream] = s.Seq + 1
		b.current.add(s)
	}
	deltas := account{}
	for i := range c.Devices {
		deltas[c.Devices[i].Device] = &c.Devices[i]
	}
	b.devices.add(deltas)
	b.uplinks = c.Uplinks
	if c.Through != nil {
		b.through = *c.Through
	}
	maps.Copy(b.floor, c.Floor)
}

// segments lists all segments, the current one last.
func (b *books) segments() []segmentEntry { return append(slices.Clone(b.sealed), b.current) }

func (u *uplinkState) clone() *uplinkState {
	c := &uplinkState{Acked: map[Stream]ranges{}, Account: u.Account}
	for s, r := range u.Acked {
		c.Acked[s] = slices.Clone(r)
	}
	c.Account.Evicted = maps.Clone(u.Account.Evicted)
	return c
}

func marshal(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil { // only numbers, strings and maps of them
		panic(err)
	}
	return text
}
