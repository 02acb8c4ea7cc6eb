package modbus

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	goburrow "github.com/goburrow/modbus"

	"github.com/millgate/millgate/drivers"
)

const (
	maxTimeouts   = 3 // in a row, with nothing answered in between, close the connection
	keepAliveIdle = 30 * time.Second
)

// Links holds the physical connections, one per endpoint, shared by all drivers that name it.
type Links struct {
	mu    sync.Mutex
	links map[string]*link // by host:port
}

// NewLinks makes an empty set; it opens nothing.
func NewLinks() *Links { return &Links{links: map[string]*link{}} }

// join takes a seat for a unit on the link of an address; link and unit are made at their first mention.
func (l *Links) join(address string, id uint8) *seat {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.links[address]
	if k == nil {
		k = &link{address: address, turn: make(chan struct{}, 1), units: map[uint8]*unit{}}
		l.links[address] = k
	}
	u := k.units[id]
	if u == nil {
		u = &unit{id: id}
		k.units[id] = u
		k.members.Add(1)
	}
	u.seats++
	handler := goburrow.NewTCPClientHandler("") // never connected: only its frames are used
	handler.SlaveId = id
	return &seat{link: k, unit: u, packager: handler}
}

// leave gives a seat back; the last one closes the link.
func (l *Links) leave(s *seat) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := s.link
	if s.unit.seats--; s.unit.seats == 0 {
		delete(k.units, s.unit.id)
		k.members.Add(-1)
	}
	if len(k.units) == 0 && l.links[k.address] == k {
		delete(l.links, k.address)
		k.hangUp(net.ErrClosed)
	}
}

// Close closes every connection and waits for its reader. No Read may be under way or follow.
func (l *Links) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range l.links {
		k.hangUp(net.ErrClosed)
	}
	return nil
}

// link is one TCP connection and the order in which its users take turns: one request in flight.
type link struct {
	address string
	turn    chan struct{}   // holds a token while a request is in flight; waiting senders are served in order
	units   map[uint8]*unit // guarded by Links
	members atomic.Int32    // how many units

	// What follows belongs to the holder of the turn.
	conn     *conn // nil while there is none
	id       uint16
	timer    *time.Timer
	timeouts int  // in a row
	proven   bool // the connection has brought an answer
	pause    backOff
}

// unit is one unit id behind a link. Its seats apart it belongs to the holder of the turn.
type unit struct {
	id       uint8
	seats    int // guarded by Links
	timeouts int // in a row
	pause    backOff
}

// seat is one driver's place on a link.
type seat struct {
	link               *link
	unit               *unit
	packager           goburrow.Packager // of the unit; never changed, so that it may be shared
	toldLink, toldUnit uint64            // see backOff.refuse
}

// exchange sends the calls in turn and fills in what became of each. It returns when all have ended: by their answers, or by ctx's
// deadline at the latest. After an error that is no refusal the calls behind it are still tried, unless ctx has ended.
func (s *seat) exchange(ctx context.Context, timeout time.Duration, calls ...*call) {
	for _, c := range calls {
		c.began, c.exception, c.answer = time.Now(), 0, c.answer[:0]
		adu, _ := s.packager.Encode(&goburrow.ProtocolDataUnit{FunctionCode: c.request[0], Data: c.request[1:]}) // has no way to fail
		c.err = s.link.exchange(ctx, s, adu, timeout, func(answer []byte) error { return c.take(s.packager, adu, answer) })
		c.at = time.Now()
		if c.err == nil && c.exception != 0 {
			c.err = refusal(c.exception)
		}
	}
}

func (k *link) exchange(ctx context.Context, s *seat, adu []byte, timeout time.Duration, use func(answer []byte) error) error {
	select {
	case k.turn <- struct{}{}:
		defer func() { <-k.turn }()
	case <-ctx.Done():
		return busy(ctx)
	}
	deadline := time.Now().Add(timeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	if k.members.Load() > 1 { // a unit alone on its link holds up nobody and is always asked
		if err := s.unit.pause.refuse(time.Now(), &s.toldUnit); err != nil {
			return err
		}
	}
	if err := k.connect(ctx, s, deadline); err != nil {
		return err
	}
	k.id++
	answer, err := k.roundTrip(ctx, s, adu, deadline)
	if err != nil {
		return err
	}
	k.timeouts, k.proven = 0, true
	copy(answer[:2], adu[:2])
	if err := use(answer); err != nil {
		return err
	}
	k.pause.succeeded()
	s.unit.timeouts = 0
	s.unit.pause.succeeded()
	return nil
}

func busy(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &drivers.Error{Cause: drivers.CauseTimeout, Err: errors.New("the connection was busy with other requests until the deadline")}
	}
	return ctx.Err()
}

// connect makes sure of a connection, or says why there is none.
func (k *link) connect(ctx context.Context, s *seat, deadline time.Time) error {
	if k.conn != nil && !k.conn.ended() {
		return nil
	}
	if k.conn != nil { // it broke between two requests
		_ = k.lose(s, k.conn.err) // what follows says whether there is another
	}
	if err := k.pause.refuse(time.Now(), &s.toldLink); err != nil {
		return err
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	dialer := net.Dialer{KeepAlive: keepAliveIdle}
	raw, err := dialer.DialContext(ctx, "tcp", k.address)
	if err != nil {
		if errors.Is(ctx.Err(), context.Canceled) {
			return ctx.Err()
		}
		err = &drivers.Error{Cause: dialCause(err), Err: fmt.Errorf("connect to %s: %w", k.address, err)}
		k.pause.failed(err, &s.toldLink)
		return err
	}
	k.conn, k.proven, k.timeouts = newConn(raw), false, 0
	return nil
}

func dialCause(err error) drivers.Cause {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return drivers.CauseRefused
	}
	return drivers.CauseUnreachable
}

func (k *link) roundTrip(ctx context.Context, s *seat, adu []byte, deadline time.Time) ([]byte, error) {
	if k.timer == nil {
		k.timer = time.NewTimer(time.Until(deadline))
	} else {
		k.timer.Reset(time.Until(deadline))
	}
	defer k.timer.Stop()
	c := k.conn
	c.expect(k.id)
	if err := c.write(adu, k.id); err != nil {
		return nil, k.lose(s, err)
	}
	select {
	case answer := <-c.answers:
		return answer, nil
	case <-c.dead:
		return nil, k.lose(s, c.err)
	case <-k.timer.C:
		c.forget()
		return nil, k.timedOut(s)
	case <-ctx.Done():
		c.forget()
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return nil, k.timedOut(s)
		}
		return nil, ctx.Err()
	}
}

func (k *link) timedOut(s *seat) error {
	err := &drivers.Error{Cause: drivers.CauseTimeout, Err: fmt.Errorf("%s did not answer in time", k.address)}
	if k.timeouts++; k.timeouts >= maxTimeouts {
		k.hangUp(err)
	}
	if s.unit.timeouts++; s.unit.timeouts >= maxSilences {
		s.unit.pause.failed(err, &s.toldUnit)
	}
	return err
}

// lose ends a broken connection. One that never brought an answer is backed off from like one that could not be made.
func (k *link) lose(s *seat, err error) error {
	proven := k.proven
	k.hangUp(err)
	var caused *drivers.Error
	if !errors.As(err, &caused) {
		err = &drivers.Error{Cause: drivers.CauseLost, Err: fmt.Errorf("connection to %s: %w", k.address, err)}
	}
	if !proven {
		k.pause.failed(err, &s.toldLink)
	}
	return err
}

func (k *link) hangUp(err error) {
	if k.conn != nil {
		k.conn.close(err)
		k.conn.reader.Wait()
	}
	k.conn, k.timeouts, k.proven = nil, 0, false
}
