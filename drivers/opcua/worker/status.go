package worker

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/millgate/millgate/drivers/opcua"
)

const (
	statusEvery = time.Second
	statusLong  = 30 * time.Second // after which it is told though nothing but the clock has changed
	mostRefused = 50               // nodes in a status
)

// status is what is known of the server.
func (s *session) status() opcua.ServerStatus {
	s.mu.Lock()
	at := s.state
	s.mu.Unlock()
	t := opcua.ServerStatus{
		Endpoint: s.server.Endpoint, State: at.state, Since: at.since,
		Policy: s.server.Policy, Mode: s.server.Mode, User: s.server.User.Kind(), Fingerprint: at.info.Fingerprint,
		Sessions: s.count.sessions.Load(), Reactivated: s.count.reactivated.Load(), Republished: s.count.republished.Load(),
		Overflows: s.count.overflows.Load(), Gaps: s.count.gaps.Load(), FromHistory: s.count.history.Load(),
	}
	if !at.info.Expires.IsZero() {
		t.Expires = at.info.Expires.UnixMilli()
	}
	if offset, known, _ := s.clock.state(); known {
		t.Offset = &offset
	}
	cause, text := s.trouble()
	t.Cause, t.Error = cause, text
	for _, g := range s.groups {
		g.count(&t)
	}
	return t
}

// count adds a group to the status of its server.
func (g *group) count(t *opcua.ServerStatus) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.sub.id != 0 {
		t.Subscriptions++
	}
	for _, it := range g.items {
		switch it.state {
		case itemMonitored:
			t.Items++
		case itemPolled:
			t.Polled += len(it.points)
		case itemRefused:
			t.RefusedCount += len(it.points)
			for _, p := range it.points {
				if len(t.Refused) < mostRefused && int(p) < len(g.setup.Names) {
					t.Refused = append(t.Refused, opcua.RefusedNode{Device: g.setup.Device, Tag: g.setup.Names[p], Node: it.node, Cause: statusCause(it.status), Status: statusText(it.status)})
				}
			}
		case itemNew:
		}
	}
}

// teller tells the status when it has changed.
type teller struct {
	last []byte
	at   time.Time
}

// due is the frame's body if there is something to tell.
func (l *teller) due(s *session, now time.Time) []byte {
	t := s.status()
	exact := t.Offset
	if exact != nil { // it moves by itself
		rounded := *exact / 100 * 100
		t.Offset = &rounded
	}
	plain, err := json.Marshal(t)
	if err != nil || bytes.Equal(plain, l.last) && now.Sub(l.at) < statusLong {
		return nil
	}
	l.last, l.at, t.Offset = plain, now, exact
	body, err := json.Marshal(t)
	if err != nil {
		return nil
	}
	return body
}
