package modbus

import (
	"context"
	"slices"
	"sync"
)

// turns lets one seat at a time use a link. Of those who wait, the unit comes first that was served the longest ago, so that units
// take turns whatever the number of requests that each has. A unit that is only being looked for waits for all others.
type turns struct {
	mu      sync.Mutex
	taken   bool
	served  uint64 // counts turns
	waiting []*seat
}

// take waits for the turn; false if ctx ended first.
func (t *turns) take(ctx context.Context, s *seat) bool {
	t.mu.Lock()
	if !t.taken {
		t.grant(s)
		t.mu.Unlock()
		return true
	}
	t.waiting = append(t.waiting, s)
	t.mu.Unlock()
	select {
	case <-s.called:
		return true
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.Index(t.waiting, s); i >= 0 {
		t.waiting = slices.Delete(t.waiting, i, i+1)
		return false
	}
	<-s.called // it was called at the last moment
	t.next()
	return false
}

// give passes the turn on.
func (t *turns) give() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next()
}

func (t *turns) next() {
	t.taken = false
	if len(t.waiting) == 0 {
		return
	}
	best := 0
	for i, s := range t.waiting {
		if s.before(t.waiting[best]) {
			best = i
		}
	}
	s := t.waiting[best]
	t.waiting = slices.Delete(t.waiting, best, best+1)
	t.grant(s)
	s.called <- struct{}{}
}

func (t *turns) grant(s *seat) {
	t.taken = true
	t.served++
	s.unit.served = t.served
}

// before says that s goes before a seat that waits as long or longer.
func (s *seat) before(other *seat) bool {
	if s.looking != other.looking {
		return other.looking
	}
	return s.unit.served < other.unit.served
}
