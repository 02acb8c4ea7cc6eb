package modbus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/millgate/millgate/drivers"
)

const keepAliveIdle = 30 * time.Second

// ready makes sure of a wire on which a request may be sent now, or says why there is none.
func (k *link) ready(ctx context.Context, s *seat, timeout time.Duration) error {
	c := &k.conn
	if c.wire != nil && c.wire.ended() { // it broke between two requests
		k.tellFault()
		_ = k.lose(s, k.lost(c.wire.err)) // what follows says whether there is another
	}
	if raw, already := k.dialledIn(); raw != nil {
		k.hangUp(errors.New("the serial server has dialled in again"))
		k.adopt(raw, already)
	}
	if c.wire == nil {
		if err := k.connect(ctx, s, timeout); err != nil {
			return err
		}
		if err := sleep(ctx, k.config.PauseAfterConnect); err != nil {
			return err
		}
	}
	return k.settle(ctx)
}

// settle waits until the line may be written to.
func (k *link) settle(ctx context.Context) error {
	c := &k.conn
	if err := sleep(ctx, k.config.PauseBetween-c.wire.silent()); err != nil {
		return err
	}
	if err := sleep(ctx, time.Until(c.answerBy)); err != nil {
		return err
	}
	silence := time.Duration(0)
	switch k.config.Endpoint.Transport {
	case Serial:
		if silence = k.config.silence(); c.unquiet {
			silence = max(silence, quietTime)
		}
	case Listen:
		if c.unquiet && k.config.Endpoint.Framing != MBAP {
			silence = quietDialIn
		}
	case TCP, TLS:
	}
	for {
		wait := silence - c.wire.silent()
		if wait <= 0 {
			return nil
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// sleep waits, or fails when the time for it is over.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &drivers.Error{Cause: drivers.CauseLinkBusy, Err: errors.New("the line was not silent, or its pauses were not over, before the deadline")}
	}
	return ctx.Err()
}

// connect opens a wire, unless that has failed a moment ago.
func (k *link) connect(ctx context.Context, s *seat, timeout time.Duration) error {
	if err := k.conn.pause.refuse(time.Now(), &s.toldLink); err != nil {
		return err
	}
	began := time.Now()
	dialling, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	raw, err := k.dial(dialling)
	if err == nil {
		k.adopt(raw, nil)
		return nil
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	if waited := time.Since(began); errors.Is(ctx.Err(), context.DeadlineExceeded) && waited < timeout/4 {
		return k.cutShort(waited)
	}
	var caused *drivers.Error
	if !errors.As(err, &caused) {
		err = &drivers.Error{Cause: dialCause(err), Err: fmt.Errorf("connect to %s: %w", k.place, err)}
	}
	k.conn.pause.failed(k.config.pace(), err, &s.toldLink)
	return err
}

// dial opens the wire of each transport.
func (k *link) dial(ctx context.Context) (io.ReadWriteCloser, error) {
	if k.links.dial != nil {
		return k.links.dial(ctx, k.config)
	}
	dialer := net.Dialer{KeepAlive: keepAliveIdle}
	switch k.config.Endpoint.Transport {
	case TLS:
		return dialTLS(ctx, &dialer, k.config)
	case Serial:
		return openSerial(k.config)
	case Listen:
		return nil, k.links.awaited(k)
	case TCP:
	}
	return dialer.DialContext(ctx, "tcp", k.config.Endpoint.Address)
}

func dialCause(err error) drivers.Cause {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return drivers.CauseRefused
	}
	return drivers.CauseUnreachable
}

// pace is that of attempts to connect.
func (c LinkConfig) pace() pace {
	if c.Endpoint.Transport == Serial {
		return retrySerial
	}
	return retry
}

// adopt makes an open connection the link's wire.
func (k *link) adopt(raw io.ReadWriteCloser, already []byte) {
	k.conn.wire = newWire(raw, k.config.Endpoint.Framing, already, k.trace)
	k.conn.proven, k.conn.timeouts, k.conn.unquiet, k.conn.answerBy = false, 0, false, time.Time{}
	k.count(func(s *LinkStatus) { s.Connections++; s.Connected = true })
}

// lose ends a broken wire. One that never brought an answer is backed off from like one that could not be opened.
func (k *link) lose(s *seat, err error) error {
	proven := k.conn.proven
	k.hangUp(err)
	if !proven {
		k.conn.pause.failed(k.config.pace(), err, &s.toldLink)
	}
	return err
}

// hangUp ends the wire, and waits for its reader.
func (k *link) hangUp(err error) {
	if k.conn.wire == nil {
		return
	}
	k.conn.wire.end(err)
	k.conn.wire.reader.Wait()
	k.conn.wire, k.conn.timeouts, k.conn.proven = nil, 0, false
	k.count(func(s *LinkStatus) { s.Connected = false })
}
