package modbus

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/millgate/millgate/drivers"
)

const (
	retryMin      = 500 * time.Millisecond
	retryMax      = 15 * time.Second
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

// link is the link of an address, made at its first mention.
func (l *Links) link(address string) *link {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.links[address]
	if k == nil {
		k = &link{address: address, turn: make(chan struct{}, 1)}
		l.links[address] = k
	}
	return k
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
	turn    chan struct{} // holds a token while a request is in flight; waiting senders are served in order

	// What follows belongs to the holder of the turn.
	conn     *conn // nil while there is none
	id       uint16
	timer    *time.Timer
	timeouts int  // in a row
	proven   bool // the connection has brought an answer
	retryAt  time.Time
	delay    time.Duration // of the next back-off; 0 after a good answer
	failure  error         // the last one, for whom it may concern during back-off
}

// exchange sends adu, in which it puts a transaction id of its own, and returns the answer with that id restored. The answer is
// valid until the link's next exchange. Errors are *drivers.Error, or ctx's if it is cancelled.
func (k *link) exchange(ctx context.Context, adu []byte, timeout time.Duration, use func(answer []byte) error) error {
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
	if err := k.connect(ctx, deadline); err != nil {
		return err
	}
	k.id++
	answer, err := k.roundTrip(ctx, adu, deadline)
	if err != nil {
		return err
	}
	k.timeouts, k.proven, k.delay = 0, true, 0
	copy(answer[:2], adu[:2])
	return use(answer)
}

func busy(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &drivers.Error{Cause: drivers.CauseTimeout, Err: errors.New("the connection was busy with other requests until the deadline")}
	}
	return ctx.Err()
}

// connect makes sure of a connection, or says why there is none.
func (k *link) connect(ctx context.Context, deadline time.Time) error {
	if k.conn != nil && !k.conn.ended() {
		return nil
	}
	if k.conn != nil { // it broke between two requests
		_ = k.lose(k.conn.err) // what follows says whether there is another
	}
	if wait := time.Until(k.retryAt); wait > 0 {
		return &drivers.Error{Cause: drivers.CauseBackOff, Err: fmt.Errorf("%s is left alone for another %v after: %w", k.address, wait.Round(time.Millisecond), k.failure)}
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
		k.backOff(err)
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

func (k *link) roundTrip(ctx context.Context, adu []byte, deadline time.Time) ([]byte, error) {
	if k.timer == nil {
		k.timer = time.NewTimer(time.Until(deadline))
	} else {
		k.timer.Reset(time.Until(deadline))
	}
	defer k.timer.Stop()
	c := k.conn
	c.expect(k.id)
	if err := c.write(adu, k.id, deadline); err != nil {
		return nil, k.lose(err)
	}
	select {
	case answer := <-c.answers:
		return answer, nil
	case <-c.dead:
		return nil, k.lose(c.err)
	case <-k.timer.C:
		c.forget()
		return nil, k.timedOut()
	case <-ctx.Done():
		c.forget()
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return nil, k.timedOut()
		}
		return nil, ctx.Err()
	}
}

func (k *link) timedOut() error {
	err := &drivers.Error{Cause: drivers.CauseTimeout, Err: fmt.Errorf("%s did not answer in time", k.address)}
	if k.timeouts++; k.timeouts >= maxTimeouts {
		k.hangUp(err)
	}
	return err
}

// lose ends a broken connection. One that never brought an answer is backed off from like one that could not be made.
func (k *link) lose(err error) error {
	proven := k.proven
	k.hangUp(err)
	var caused *drivers.Error
	if !errors.As(err, &caused) {
		err = &drivers.Error{Cause: drivers.CauseLost, Err: fmt.Errorf("connection to %s: %w", k.address, err)}
	}
	if !proven {
		k.backOff(err)
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

// backOff doubles the pause after each failure, with jitter, so that a hundred gateways do not come back in step.
func (k *link) backOff(err error) {
	k.delay = min(max(2*k.delay, retryMin), retryMax)
	k.retryAt = time.Now().Add(k.delay/2 + rand.N(k.delay/2))
	k.failure = err
}
