package buffer

import (
	"maps"
	"slices"
)

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

// UplinkSnapshot is what waits for one uplink.
type UplinkSnapshot struct {
	ID            string `json:"id"`
	PendingBlocks uint64 `json:"pending_blocks"`
	OldestTime    int64  `json:"oldest_t,omitempty"` // ms since 1970 UTC of the oldest pending readings block
}

// Snapshot may be called at any time. It is as of the last commit, acknowledgements included.
func (q *Queue) Snapshot() Snapshot {
	bytes := q.bytes()
	q.mu.Lock()
	defer q.mu.Unlock()
	s := Snapshot{
		Epoch: q.books.epoch, Previous: q.books.previous, Next: maps.Clone(q.books.next), Catalogue: q.cat.hash,
		Segments: len(q.books.sealed) + 1, Bytes: bytes, DiskError: q.live.diskError,
		Ledger: Ledger{Devices: q.books.devices.list()},
	}
	for _, id := range slices.Sorted(maps.Keys(q.live.uplinks)) {
		u, p := q.live.uplinks[id], q.live.pending[id]
		account := u.clone().Account
		account.Pending = p.readings
		s.Ledger.Uplinks = append(s.Ledger.Uplinks, account)
		s.Uplinks = append(s.Uplinks, UplinkSnapshot{ID: id, PendingBlocks: p.blocks, OldestTime: q.oldestPending(u)})
	}
	return s
}

// oldestPending is the time of the first readings block that u has not acknowledged; 0 if there is none. The caller holds mu.
func (q *Queue) oldestPending(u *uplinkState) int64 {
	seq := u.Acked[Readings].after(q.live.floor[Readings] - 1)
	if seq >= q.books.next[Readings] {
		return 0
	}
	seg, err := q.shelf.get(q.books.holding(Readings, seq).Number)
	if err != nil {
		return 0
	}
	data, err := seg.block(Readings, seq)
	if err != nil {
		return 0
	}
	h, err := parseHeader(data)
	if err != nil {
		return 0
	}
	return h.time
}
