package uplink

import (
	"encoding/json"
	"time"

	"github.com/millgate/millgate/buffer"
)

// The states of a gateway as its subscribers see it.
const (
	stateOnline  = "online"
	stateOffline = "offline"
)

// Status is the retained message on the topic status. The last will carries V, State and Session only: nobody knows when the
// connection died.
type Status struct {
	V         int                      `json:"v"` // 1
	State     string                   `json:"state"`
	Session   string                   `json:"session"`     // ULID of the connection
	Time      int64                    `json:"t,omitempty"` // ms since 1970 UTC
	Version   string                   `json:"version,omitempty"`
	Catalogue string                   `json:"catalogue,omitempty"`
	Epoch     string                   `json:"epoch,omitempty"`
	Previous  *buffer.PreviousEpoch    `json:"previous,omitempty"`
	Next      map[buffer.Stream]uint64 `json:"next,omitempty"` // the seq that each stream's next block will get
	Pending   *PendingStatus           `json:"pending,omitempty"`
	Clock     *ClockStatus             `json:"clock,omitempty"`
	Ledger    *LedgerStatus            `json:"ledger,omitempty"`
}

// PendingStatus is what waits for this uplink.
type PendingStatus struct {
	Blocks     uint64 `json:"blocks"`
	OldestTime int64  `json:"oldest_t,omitempty"` // ms since 1970 UTC
}

// ClockStatus is how far the box's clock is to be trusted.
type ClockStatus struct {
	State  string `json:"state"` // synced, unsynced, unknown
	Offset int64  `json:"offset_ms"`
}

// LedgerStatus says whether the books balance.
type LedgerStatus struct {
	Balanced bool `json:"balanced"`
}

// statusKey is the part of a Status whose change is worth a message of its own.
type statusKey struct {
	catalogue, epoch, previous, clock string
	balanced                          bool
}

func (st *Status) key() statusKey {
	k := statusKey{catalogue: st.Catalogue, epoch: st.Epoch, clock: st.Clock.State, balanced: st.Ledger.Balanced}
	if st.Previous != nil {
		k.previous = st.Previous.Epoch
	}
	return k
}

// status is the state of this moment, as seen from session.
func (u *Uplink) status(state, session string) *Status {
	q := u.source.snapshot()
	st := &Status{
		V:         1,
		State:     state,
		Session:   session,
		Time:      time.Now().UnixMilli(),
		Version:   u.self.Version,
		Catalogue: q.Catalogue,
		Epoch:     q.Epoch,
		Previous:  q.Previous,
		Next:      q.Next,
		Pending:   &PendingStatus{},
		Clock:     &ClockStatus{State: "unknown"},
		Ledger:    &LedgerStatus{Balanced: len(q.Ledger.Imbalances()) == 0},
	}
	for _, w := range q.Uplinks {
		if w.ID == u.cfg.ID {
			*st.Pending = PendingStatus{Blocks: w.PendingBlocks, OldestTime: w.OldestTime}
		}
	}
	if u.self.Clock != nil {
		*st.Clock = u.self.Clock()
	}
	return st
}

// will is what the broker publishes when the connection dies without a word.
func will(session string) []byte {
	return marshal(&Status{V: 1, State: stateOffline, Session: session})
}

// report publishes the status.
func (s *session) report(state string) { s.reportStatus(s.u.status(state, s.id)) }

// reportChange publishes the status if it changed or is due.
func (s *session) reportChange() {
	st := s.u.status(stateOnline, s.id)
	if st.key() != s.said || time.Since(s.saidAt) >= s.u.timing.status {
		s.reportStatus(st)
	}
}

func (s *session) reportStatus(st *Status) {
	s.said, s.saidAt = st.key(), time.Now()
	s.send(flight{}, "status", marshal(st))
}

// marshal is for payloads made of strings, integers and booleans, which can not fail.
func marshal(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}
