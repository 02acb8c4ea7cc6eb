package opcua

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/millgate/millgate/drivers"
)

// polled is the driver of a group that asks for each of its points.
type polled struct{ *group }

// subscribed is the driver of a group that the server notifies.
type subscribed struct{ *group }

// Committed is drivers.Committer's.
func (d *subscribed) Committed(reads uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.life.given) > 0 && d.life.given[0] <= reads {
		d.life.given = d.life.given[1:]
		d.life.committed++
	}
}

// Lost is drivers.Subscriber's.
func (d *subscribed) Lost(dst []drivers.CauseCount) []drivers.CauseCount {
	d.mu.Lock()
	defer d.mu.Unlock()
	dst = append(dst, d.lost...)
	d.lost = d.lost[:0]
	return dst
}

// Events is drivers.Reporter's.
func (g *group) Events(dst []drivers.Event) []drivers.Event {
	g.mu.Lock()
	defer g.mu.Unlock()
	dst = append(dst, g.events...)
	g.events = nil
	return dst
}

// Close gives up the group's share of the worker; the last one ends it.
func (g *group) Close() error {
	g.server.workers.leave(g)
	return nil
}

// Read is drivers.Driver's. What the worker answers too late comes with the next Read, unless the group is polled: then it asks again.
func (g *group) Read(ctx context.Context, dst []drivers.Reading) ([]drivers.Reading, error) {
	g.number++
	p, err := g.server.running(ctx)
	if err != nil {
		return dst, err
	}
	g.mu.Lock()
	before := len(dst)
	dst, g.waiting = append(dst, g.waiting...), g.waiting[:0]
	s := g.life.seat
	g.mu.Unlock()
	if s == nil || s.process != p {
		err = p.ended(ctx)
	} else {
		dst, err = g.fetch(ctx, s, dst)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil {
		if len(dst) > before {
			g.waiting = slices.Concat(dst[before:], g.waiting)
		}
		return dst[:before], err
	}
	for ; g.life.kept > 0; g.life.kept-- {
		g.life.given = append(g.life.given, g.number)
	}
	return dst, nil
}

// fetch takes the answer that a former Read did not wait for, and then the one to an order of its own.
func (g *group) fetch(ctx context.Context, s *seat, dst []drivers.Reading) ([]drivers.Reading, error) {
	before, late := len(dst), false
	for {
		fresh := !s.busy()
		if fresh {
			g.mu.Lock()
			committed := g.life.committed
			g.mu.Unlock()
			s.order(committed, g.timeout(ctx))
		}
		body, err := s.await(ctx)
		if err != nil {
			switch {
			case g.config.Polled || drivers.CauseOf(err) != drivers.CauseTimeout:
				return dst, err
			case late:
				return dst, nil // what came is news enough
			}
			return dst, &drivers.Error{Cause: drivers.CauseBackOff, Err: err} // a busy machine says nothing of the device; a worker that hangs is killed
		}
		g.mu.Lock()
		var cause *drivers.Error
		dst, cause, err = g.absorb(s, body, dst)
		g.mu.Unlock()
		if err != nil {
			s.process.kill("its answer for device " + g.config.Device + " can not be understood: " + err.Error())
			return dst, s.process.ended(ctx)
		}
		switch {
		case fresh && cause != nil:
			return dst, cause
		case fresh:
			return dst, nil
		case g.config.Polled:
			dst = dst[:before]
		default:
			late = cause == nil
		}
	}
}

// timeout is how long the worker may take, so that its answer is here by ctx's deadline.
func (g *group) timeout(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return max(g.config.Interval, time.Second)
	}
	left := time.Until(deadline)
	return left - min(left/10, 100*time.Millisecond)
}

// await waits for the answer to the order under way.
func (s *seat) await(ctx context.Context) ([]byte, error) {
	select {
	case body := <-s.inbox:
		return body, nil
	case <-s.process.dead:
		return nil, s.process.ended(ctx)
	case <-ctx.Done():
		return nil, &drivers.Error{Cause: drivers.CauseTimeout, Err: fmt.Errorf("the worker for %s did not answer in time: %w", s.process.endpoint, ctx.Err())}
	}
}

// ended is the error for whoever needs a process that has ended or is about to.
func (p *process) ended(ctx context.Context) error {
	select {
	case <-p.dead:
	case <-ctx.Done():
		return &drivers.Error{Cause: drivers.CauseWorkerCrash, Err: fmt.Errorf("the worker for %s is ending", p.endpoint)}
	}
	if p.failure == nil {
		return &drivers.Error{Cause: drivers.CauseBackOff, Err: fmt.Errorf("the worker for %s is being replaced, because other groups read from it now", p.endpoint)}
	}
	return p.failure
}
