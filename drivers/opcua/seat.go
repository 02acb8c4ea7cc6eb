package opcua

import (
	"fmt"
	"sync"
	"time"
)

// seat is the group's place at one worker. At most one order is under way.
type seat struct {
	group    *group
	process  *process
	number   uint32
	inbox    chan []byte // holds the answer
	patience *time.Timer // until the worker is killed

	mu   sync.Mutex
	open bool   // an order was given and not answered yet
	call uint64 // the last order's
}

// minPatience is how long past its deadline an answer may be due at least: a busy machine is not a hanging worker.
const minPatience = 2 * time.Second

// seat takes the group's place at a new worker.
func (g *group) seat(p *process, number uint32) *seat {
	s := &seat{group: g, process: p, number: number, inbox: make(chan []byte, 1)}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.life = life{seat: s}
	return s
}

// order asks for an answer within timeout.
func (s *seat) order(committed uint64, timeout time.Duration) {
	interval := s.group.config.Interval
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = true
	s.call++
	o := Order{Group: s.number, Call: s.call, Committed: committed, Timeout: uint32(max(timeout.Milliseconds(), 1))}
	if wait := timeout + max(interval, minPatience); s.patience == nil {
		s.patience = time.AfterFunc(wait, s.expire)
	} else {
		s.patience.Reset(wait)
	}
	s.process.orders <- frame(FrameRead, o.Append(make([]byte, 0, orderSize)))
}

func (s *seat) expire() {
	s.mu.Lock()
	open := s.open
	s.mu.Unlock()
	if open {
		s.process.kill(fmt.Sprintf("it hung: it did not answer for device %s one interval (at least %v) past the deadline", s.group.config.Device, minPatience))
	}
}

// answer takes the answer to the order under way; it owns body.
func (s *seat) answer(body []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.open {
		return fmt.Errorf("%w: nobody asked for group %d", errFrame, s.number)
	}
	s.open = false
	s.patience.Stop()
	s.inbox <- body
	return nil
}

// busy says that an order is under way or that its answer was not taken yet.
func (s *seat) busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open || len(s.inbox) > 0
}

func (s *seat) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = false
	if s.patience != nil {
		s.patience.Stop()
	}
}
