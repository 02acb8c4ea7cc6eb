package worker

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/millgate/millgate/drivers"
)

const (
	lookEvery   = 5 * time.Second        // at the server's state and clock
	quiet       = time.Second            // after which a look makes sure that the connection is still there
	misses      = 2                      // unanswered looks in a row that end a connection
	careEvery   = 100 * time.Millisecond // for what is due
	rescan      = time.Minute            // of items of which none is due
	inFlight    = 3                      // publish requests that the server holds, and one more than it has subscriptions
	mostFlights = 10
	mostAcks    = 1000 // in one publish request
)

// serve keeps a connection alive and takes what the server publishes, until the connection, the session or ctx ends. The error says why.
func (s *session) serve(ctx context.Context, c *client) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	start := func(f func(context.Context, *client) error) {
		all.Go(func() {
			if err := f(ctx, c); err != nil {
				cancel(err)
			}
		})
	}
	subscribed := 0
	for _, g := range s.groups {
		if !g.setup.Polled {
			subscribed++
		}
	}
	start(s.keepAlive)
	if subscribed > 0 {
		start(s.care)
		start(s.fillGaps)
		flights := newFlights(min(max(inFlight, subscribed+1), mostFlights))
		for range flights.most {
			start(func(ctx context.Context, c *client) error { return s.publish(ctx, c, flights) })
		}
	}
	<-ctx.Done()
	all.Wait()
	return context.Cause(ctx)
}

// keepAlive looks at the server whenever it has been quiet. It fails when the server does not answer, whatever the connection says.
func (s *session) keepAlive(ctx context.Context, c *client) error {
	tick := time.NewTicker(quiet / 4)
	defer tick.Stop()
	last, missed := time.Now(), 0
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if time.Since(last) < lookEvery && (c.silence() < quiet || time.Since(last) < quiet) {
			continue
		}
		state, err := s.look(ctx, c)
		last = time.Now()
		switch {
		case ctx.Err() != nil:
			return nil
		case linkDead(err) || sessionGone(err):
			return err
		case err == nil || fault(err) || unreadable(err):
			missed = 0
		default:
			if missed++; missed >= misses {
				return &drivers.Error{Cause: drivers.CauseTimeout, Err: fmt.Errorf("%s does not answer: %w", s.server.Endpoint, err)}
			}
		}
		if err == nil && state == ua.ServerStateShutdown {
			s.log.info("the server is about to shut down", "endpoint", s.server.Endpoint)
		}
	}
}

// look reads the server's state and clock.
func (s *session) look(ctx context.Context, c *client) (ua.ServerState, error) {
	ctx, cancel := context.WithTimeout(ctx, lookEvery)
	defer cancel()
	sent := time.Now()
	got, err := ask[*ua.ReadResponse](ctx, c, &ua.ReadRequest{TimestampsToReturn: ua.TimestampsToReturnNeither, NodesToRead: []*ua.ReadValueID{
		attribute(ua.NewNumericNodeID(0, nodeServerState), ua.AttributeIDValue),
		attribute(ua.NewNumericNodeID(0, nodeCurrentTime), ua.AttributeIDValue),
	}})
	if err != nil {
		return ua.ServerStateUnknown, err
	}
	if len(got.Results) != 2 {
		return ua.ServerStateUnknown, ua.StatusBadUnknownResponse
	}
	if t, ok := got.Results[1].Value.Value().(time.Time); ok && !t.Before(sane) {
		s.measured(t, sent, time.Since(sent))
	}
	if v, ok := got.Results[0].Value.Value().(int32); ok {
		return ua.ServerState(v), nil
	}
	return ua.ServerStateRunning, nil // it does not tell
}

// measured tells each device of a server whose clock has gone wrong or right.
func (s *session) measured(t, sent time.Time, trip time.Duration) {
	if !s.clock.measured(t, sent, trip) {
		return
	}
	offset, _, far := s.clock.state()
	off := (time.Duration(offset) * time.Millisecond).Round(time.Millisecond)
	s.tellDevices(func(device string) drivers.Event {
		if !far {
			return drivers.Event{Kind: drivers.EventClockOffset, Severity: drivers.Info, Text: drivers.EventText{
				EN: fmt.Sprintf("%s: the server's clock is right again (%v from ours)", device, off),
				ZH: fmt.Sprintf("%s：服务器时钟已恢复正常（与网关相差 %v）", device, off),
			}}
		}
		return drivers.Event{Kind: drivers.EventClockOffset, Severity: drivers.Warning, Cause: drivers.CauseSourceTime, Text: drivers.EventText{
			EN: fmt.Sprintf("%s: the server's clock is %v from ours: its stamps are not believed; set its clock", device, off),
			ZH: fmt.Sprintf("%s：服务器时钟与网关相差 %v，其时间戳不可信；请校准服务器时钟", device, off),
		}}
	})
}

// care does what is due for the subscriptions: it makes lost ones again, asks for missing notifications, for refused items, and for values
// that are polled.
func (s *session) care(ctx context.Context, c *client) error {
	tick := time.NewTicker(careEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		silent, subscribed := 0, 0
		for _, g := range s.groups {
			if g.setup.Polled {
				continue
			}
			subscribed++
			if g.isSilent() {
				silent++
			}
		}
		if silent == subscribed && s.silences() <= 1 {
			return &drivers.Error{Cause: drivers.CauseSilent, Err: fmt.Errorf("%s: %w", s.server.Endpoint, errSilent)}
		}
		for _, g := range s.groups {
			if g.setup.Polled {
				continue
			}
			if err := g.care(ctx, c); err != nil && ctx.Err() == nil {
				if linkDead(err) || sessionGone(err) {
					return err
				}
				s.log.warn("a request failed", "device", g.setup.Device, "error", err.Error())
			}
		}
	}
}

// silences counts the connections in a row that were given up because nothing was published.
func (s *session) silences() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.silent++
	return s.state.silent
}

// care does what is due for one group.
func (g *group) care(ctx context.Context, c *client) error {
	now := time.Now()
	g.mu.Lock()
	again := g.sub.lost || g.sub.id == 0 && !g.sub.unable && now.After(g.sub.retry)
	due := g.due
	late := g.sub.id != 0 && !g.sub.late.IsZero() && now.Sub(g.sub.late) > repairAfter
	if g.gap != nil && !g.gap.until.IsZero() && !now.Before(g.gap.until) {
		g.endGap()
	}
	g.mu.Unlock()
	if again || g.isSilent() {
		return g.resubscribe(ctx, c, drivers.CauseGap)
	}
	if late {
		if err := g.repair(ctx, c); err == ua.StatusBadSubscriptionIDInvalid {
			g.setLost()
		} else if err != nil {
			return err
		}
	}
	if err := g.learnDue(ctx, c); err != nil || now.Before(due) {
		return err
	}
	if err := g.retryDue(ctx, c); err != nil {
		return err
	}
	if err := g.pollDue(ctx, c); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.due = g.firstDue(now.Add(rescan))
	return nil
}

// firstDue is when an item that is refused or polled must be asked for, if that is before latest.
func (g *group) firstDue(latest time.Time) time.Time {
	for _, it := range g.items {
		if (it.state == itemRefused || it.state == itemPolled) && it.retry.Before(latest) {
			latest = it.retry
		}
	}
	return latest
}

// resubscribe makes the subscription anew; what happened since the old one is a gap.
func (g *group) resubscribe(ctx context.Context, c *client, cause drivers.Cause) error {
	g.mu.Lock()
	g.beginGap(cause, 0)
	g.mu.Unlock()
	return g.subscribe(ctx, c)
}

func (g *group) setLost() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sub.lost = true
}

// isSilent says that nothing was published for longer than the server may be silent about a subscription.
func (g *group) isSilent() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.sub.id != 0 && !g.sub.lost && time.Since(g.sub.heard) > 2*g.sub.keepAlive+10*time.Second
}
