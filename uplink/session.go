package uplink

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millgate/millgate/buffer"
)

// Why a session ended.
var (
	errLost  = errors.New("the connection is gone")
	errNoAck = errors.New("the broker did not acknowledge a message in time")
	errQueue = errors.New("the queue can not be read")
)

// Publisher puts messages on the wire of one connection.
type Publisher interface {
	// Publish sends payload with QoS 1 behind everything published before, and returns without waiting for the broker: so the order
	// of the calls is the order on the wire, and the caller decides how many may be under way. It keeps payload until the
	// Delivery is done. It may be called by one goroutine at a time.
	Publish(topic string, payload []byte, retained bool) Delivery
}

// Delivery is a message under way.
type Delivery interface {
	// Done is closed when the message's fate on this connection is known.
	Done() <-chan struct{}
	// Error is, once Done is closed, nil only after the broker's own PUBACK.
	Error() error
}

// session is what is published over one connection. One goroutine owns it.
type session struct {
	u         *Uplink
	pub       Publisher
	id        string          // ULID; tells the last will of an old connection from this one
	lost      <-chan struct{} // closed when the connection is gone
	drop      func()          // cuts the connection, so that Publish and lost come to an end
	inflight  []flight        // without PUBACK, in wire order
	announced map[string]bool // catalogues acknowledged on this connection
	overdue   *time.Timer     // for the PUBACK of inflight[0]
	said      statusKey
	saidAt    time.Time
	size      int // of the largest message so far
}

// flight is one message without its PUBACK.
type flight struct {
	delivery Delivery
	block    *buffer.Block // nil for a status and a catalogue
	size     int
	sent     time.Time
}

func newSession(u *Uplink, pub Publisher, id string) *session {
	return &session{u: u, pub: pub, id: id, drop: func() {}, announced: map[string]bool{}}
}

// run publishes until ctx is done or the connection fails. It returns nil only when everything, the offline status included, is
// acknowledged.
func (s *session) run(ctx context.Context) error {
	s.overdue = time.NewTimer(s.u.timing.acknowledge)
	defer s.overdue.Stop()
	// The cut at the end of the grace reaches even a Publish that waits for a broker which has stopped reading.
	defer context.AfterFunc(ctx, func() { time.AfterFunc(s.u.timing.grace, s.drop) })()

	blocks, end := s.feed(ctx)
	err := s.loop(ctx, blocks)
	end()
	if ctx.Err() != nil && !errors.Is(err, errLost) {
		err = s.finish()
	}
	s.collect()
	s.u.source.rewind()
	return err
}

// fed is what Next returned.
type fed struct {
	block *buffer.Block
	err   error
}

// feed waits for blocks beside the loop; end returns when it has ended.
func (s *session) feed(ctx context.Context) (blocks <-chan fed, end func()) {
	ctx, cancel := context.WithCancel(ctx)
	out, done := make(chan fed), make(chan struct{})
	go func() {
		defer close(done)
		for {
			b, err := s.u.source.next(ctx)
			if ctx.Err() != nil {
				return
			}
			select {
			case out <- fed{b, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return out, func() { cancel(); <-done }
}

func (s *session) loop(ctx context.Context, blocks <-chan fed) error {
	s.report(stateOnline)
	if err := s.announce(ctx, s.u.source.snapshot().Catalogue); err != nil {
		return err
	}
	look := time.NewTicker(s.u.timing.check)
	defer look.Stop()
	for {
		in, tick := blocks, look.C
		if len(s.inflight) >= s.u.cfg.Window {
			in, tick = nil, nil
		}
		var err error
		select {
		case f := <-in:
			err = s.publish(ctx, f)
		case <-s.oldest():
			err = s.settle()
		case <-tick:
			s.reportChange()
		case <-s.overdue.C:
			err = errNoAck
		case <-s.lost:
			err = errLost
		case <-ctx.Done():
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
	}
}

// oldest is done when the oldest message in flight is; it sets the watchdog for it.
func (s *session) oldest() <-chan struct{} {
	if len(s.inflight) == 0 {
		s.overdue.Stop()
		return nil
	}
	f := &s.inflight[0]
	s.overdue.Reset(time.Until(f.sent.Add(s.u.timing.acknowledge)))
	return f.delivery.Done()
}

// settle takes the oldest message out of flight.
func (s *session) settle() error {
	f := s.inflight[0]
	if err := f.delivery.Error(); err != nil {
		return fmt.Errorf("%w: %w", errLost, err)
	}
	s.inflight = s.inflight[1:]
	s.acknowledged(&f)
	return nil
}

func (s *session) acknowledged(f *flight) {
	if f.block == nil {
		return
	}
	s.u.source.acknowledge(f.block)
	s.u.standing.published()
}

// settleAll waits until nothing is in flight.
func (s *session) settleAll(ctx context.Context) error {
	for len(s.inflight) > 0 {
		select {
		case <-s.oldest():
			if err := s.settle(); err != nil {
				return err
			}
		case <-s.overdue.C:
			return errNoAck
		case <-s.lost:
			return errLost
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// finish is the clean stop: the cut at the end of the grace bounds it.
func (s *session) finish() error {
	if err := s.settleAll(context.Background()); err != nil {
		return err
	}
	s.report(stateOffline)
	return s.settleAll(context.Background())
}

// collect acknowledges what came through behind a message that did not: it need not be sent again.
func (s *session) collect() {
	rest := s.inflight[:0]
	for _, f := range s.inflight {
		select {
		case <-f.delivery.Done():
			if f.delivery.Error() == nil {
				s.acknowledged(&f)
				continue
			}
		default:
		}
		rest = append(rest, f)
	}
	s.inflight = rest
}

// head is the oldest block without PUBACK; nil if there is none.
func (s *session) head() *flight {
	for i := range s.inflight {
		if s.inflight[i].block != nil {
			return &s.inflight[i]
		}
	}
	return nil
}

func (s *session) publish(ctx context.Context, f fed) error {
	if f.err != nil {
		return fmt.Errorf("%w: %w", errQueue, f.err)
	}
	b := f.block
	if b.Stream != buffer.Events {
		if err := s.announce(ctx, b.Catalogue); err != nil {
			return err
		}
	}
	payload := AppendBlock(make([]byte, 0, s.size), s.u.self, b)
	s.size = max(s.size, len(payload))
	s.send(flight{block: b}, topicOf(b), payload)
	return nil
}

// topicOf is where a block goes: KPIs have a topic for each kind of window.
func topicOf(b *buffer.Block) string {
	if b.Stream == buffer.KPIs {
		return string(b.Stream) + "/" + string(b.Report.Window.Kind)
	}
	return string(b.Stream)
}

// announce makes sure that the broker holds a catalogue version.
func (s *session) announce(ctx context.Context, hash string) error {
	if hash == "" || s.announced[hash] {
		return nil
	}
	text, err := s.u.source.catalogue(hash)
	if err != nil {
		return fmt.Errorf("catalogue %s: %w", hash, err)
	}
	s.send(flight{}, "catalogue/"+hash, text)
	if err := s.settleAll(ctx); err != nil {
		return err
	}
	s.announced[hash] = true
	return nil
}

// send puts a message on the wire; what is not a block is retained.
func (s *session) send(f flight, topic string, payload []byte) {
	f.size, f.sent = len(payload), time.Now()
	f.delivery = s.pub.Publish(s.u.topic(topic), payload, f.block == nil)
	s.inflight = append(s.inflight, f)
}
