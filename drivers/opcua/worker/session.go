package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	gopcua "github.com/gopcua/opcua"
	"github.com/gopcua/opcua/ua"
	"github.com/gopcua/opcua/uacp"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/opcua"
)

const (
	dialTimeout  = 10 * time.Second       // of a connection with its session
	firstPause   = 200 * time.Millisecond // between attempts to connect
	lastPause    = 15 * time.Second
	shortPause   = time.Second // the longest in the first time of an outage: most are short
	shortOutage  = 15 * time.Second
	refusedPause = 5 * time.Second // the first after a refusal that will not pass by itself
	stateEvery   = time.Second     // between looks at a server that is not running yet
)

// session keeps the one session with the server: it makes it, takes it up again on a new connection after the old one was lost, and makes a
// new one when it is gone. One goroutine owns it.
type session struct {
	server   opcua.Server
	password string
	trust    *opcua.Trust
	groups   []*group
	clock    *clock
	limits   limits
	types    atomic.Pointer[types] // in this session
	via      via
	log      *logger
	held     atomic.Int64 // bytes of readings that wait for the gateway
	count    counts

	mu    sync.Mutex
	state condition
	live  *client         // nil: not connected
	told  map[string]bool // what was said of certificates
}

// counts are what the status tells of a session's life.
type counts struct {
	sessions, reactivated, republished, overflows, gaps, history atomic.Uint64
}

// condition is how it stands with the server.
type condition struct {
	state  opcua.State
	since  int64
	err    error // while not up
	info   endpointInfo
	silent int // subscriptions that were made again for their silence, since values came
}

// errSilent marks a connection on which requests are answered and no notification comes.
var errSilent = errors.New("the server answers, but publishes nothing")

// trouble is why nothing can be read; empty: it can.
func (s *session) trouble() (drivers.Cause, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.state.state == opcua.Up:
		return "", ""
	case s.state.err == nil:
		return drivers.CauseBackOff, fmt.Sprintf("the session with %s is being made", s.server.Endpoint)
	}
	return drivers.CauseOf(s.state.err), s.state.err.Error()
}

func (s *session) current() *client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live
}

func (s *session) set(state opcua.State, c *client, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.state != state {
		s.state.state, s.state.since = state, drivers.Millis(time.Now())
	}
	s.state.err, s.live = err, c
	if c != nil {
		s.state.info = c.info
	}
}

// run keeps the session until ctx ends, and closes it then.
func (s *session) run(ctx context.Context) {
	var kept *gopcua.Session
	var pause time.Duration
	lost := time.Now()
	for ctx.Err() == nil {
		var c *client
		var err error
		c, kept, err = s.open(ctx, kept)
		if err == nil {
			pause = 0
			s.set(opcua.Up, c, nil)
			s.tellWarnings(c.info.Warnings)
			s.log.info("connected", "endpoint", s.server.Endpoint)
			err = s.serve(ctx, c)
			if ctx.Err() != nil {
				c.close()
				return
			}
			kept, lost = s.leave(c, err), time.Now()
			err = s.broken(err)
		}
		if ctx.Err() != nil {
			return
		}
		pause = s.failed(err, pause, time.Since(lost) < shortOutage, kept != nil)
		select {
		case <-ctx.Done():
		case <-time.After(pause/2 + rand.N(pause/2+1)):
		}
	}
}

// leave ends a connection that is no longer of use, and gives its session if that may still be there.
func (s *session) leave(c *client, err error) *gopcua.Session {
	s.set(opcua.Recovering, nil, s.broken(err))
	if sessionGone(err) {
		c.close()
		return nil
	}
	return c.detach()
}

// broken explains why a connection ended that was in use.
func (s *session) broken(err error) error {
	var told *drivers.Error
	var code ua.StatusCode
	switch {
	case errors.As(err, &told):
		return err
	case errors.As(err, &code):
		return failure(drivers.CauseLost, "%s ended the session or the connection: %s", s.server.Endpoint, statusText(code))
	}
	return failure(drivers.CauseLost, "the connection to %s broke: %w", s.server.Endpoint, err)
}

// failed notes why the server can not be read, and gives the pause before the next attempt.
func (s *session) failed(err error, pause time.Duration, short, kept bool) time.Duration {
	explained := explain(err, s.server)
	state := opcua.Down
	if kept {
		state = opcua.Recovering
	}
	first := pause == 0
	s.set(state, nil, explained)
	s.tellCertificate(explained)
	if first {
		s.log.warn("not connected", "endpoint", s.server.Endpoint, "cause", string(drivers.CauseOf(explained)), "error", explained.Error())
	}
	pause = min(max(2*pause, firstPause), lastPause)
	if short {
		pause = min(pause, shortPause)
	}
	if lasting(drivers.CauseOf(explained)) {
		pause = max(pause, refusedPause)
	}
	return pause
}

// lasting says that a cause will not pass by itself within seconds.
func lasting(cause drivers.Cause) bool {
	switch cause {
	case drivers.CauseSessionsExhausted, drivers.CauseUserRefused, drivers.CauseCertificateRefused, drivers.CauseCertificateUnknown,
		drivers.CauseCertificateExpired, drivers.CauseCertificateWrong, drivers.CauseSecurityMismatch:
		return true
	}
	return false
}

// open connects: with the session that was kept, if there is one and the server still knows it, else with a new one. It gives back a session
// that is to be tried again.
func (s *session) open(ctx context.Context, kept *gopcua.Session) (*client, *gopcua.Session, error) {
	if kept != nil {
		c, err := s.connect(ctx, kept)
		if err == nil {
			if err = s.resume(ctx, c); err == nil {
				s.count.reactivated.Add(1)
				return c, nil, nil
			}
			kept = s.leave(c, err)
		} else if fault(err) {
			kept = nil // the server no longer knows it, or does not take it from us
		}
		if kept != nil {
			return nil, kept, err
		}
		s.log.warn("the session is gone", "endpoint", s.server.Endpoint, "error", err.Error())
	}
	c, err := s.connect(ctx, nil)
	if err != nil {
		return nil, nil, err
	}
	s.count.sessions.Add(1)
	if err := s.begin(ctx, c); err != nil {
		c.close()
		return nil, nil, err
	}
	return c, nil, nil
}

func (s *session) connect(ctx context.Context, kept *gopcua.Session) (*client, error) {
	ctx, cancel := context.WithTimeout(ctx, max(dialTimeout, s.server.Timeout))
	defer cancel()
	c, err := dial(ctx, s, kept)
	if err == nil {
		s.via.c.Store(c)
	}
	return c, err
}

// begin prepares a new session: the server must be running, the namespaces are resolved, subscriptions and items are made.
func (s *session) begin(ctx context.Context, c *client) error {
	if err := s.awaitRunning(ctx, c); err != nil {
		return err
	}
	if err := c.limits.learn(ctx, c); err != nil {
		return err
	}
	uris, err := readNamespaces(ctx, c)
	if err != nil {
		return err
	}
	if uris == nil {
		return &drivers.Error{Cause: drivers.CauseServerNotReady, Err: fmt.Errorf("%s does not tell its namespaces, so that no node can be found: look at its own log", s.server.Endpoint)}
	}
	c.setNamespaces(uris)
	known := newTypes(&s.via)
	s.types.Store(known)
	for _, g := range s.groups {
		g.resolveNodes(ctx, uris, known, g.all())
	}
	transferred := s.transfer(ctx, c)
	for _, g := range s.groups {
		if g.setup.Polled || transferred[g] {
			continue
		}
		if err := g.resubscribe(ctx, c, drivers.CauseGap); err != nil {
			return err
		}
	}
	debug.FreeOSMemory() // making a session takes more than keeping it
	return nil
}

// awaitRunning reads the clock and the state, and waits for a server that is still starting.
func (s *session) awaitRunning(ctx context.Context, c *client) error {
	for {
		state, err := s.look(ctx, c)
		if err != nil {
			return err
		}
		if state == ua.ServerStateRunning {
			return nil
		}
		s.set(opcua.Starting, nil, notRunning(s.server, state))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(stateEvery):
		}
	}
}

func notRunning(server opcua.Server, state ua.ServerState) error {
	return &drivers.Error{Cause: drivers.CauseServerNotReady, Err: fmt.Errorf("%s says that its state is %v: values come when it is running", server.Endpoint, state)}
}

// resume takes up the subscriptions of a session that was activated on a new connection.
func (s *session) resume(ctx context.Context, c *client) error {
	for _, g := range s.groups {
		if g.setup.Polled {
			continue
		}
		g.mu.Lock()
		id, unable := g.sub.id, g.sub.unable
		g.sub.heard = time.Now()
		g.mu.Unlock()
		if id == 0 || unable {
			continue
		}
		err := g.repair(ctx, c)
		if err == ua.StatusBadSubscriptionIDInvalid || err == ua.StatusBadNoSubscription {
			g.setLost()
			err = nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// transfer moves subscriptions of the session before to this one, where the site allows it. Those that are moved are in the result.
func (s *session) transfer(ctx context.Context, c *client) map[*group]bool {
	moved := make(map[*group]bool)
	if !s.server.AllowTransfer {
		return moved
	}
	for _, g := range s.groups {
		g.mu.Lock()
		id, lost := g.sub.id, g.sub.lost
		g.sub.heard = time.Now()
		g.mu.Unlock()
		if id == 0 || lost {
			continue
		}
		got, err := ask[*ua.TransferSubscriptionsResponse](ctx, c, &ua.TransferSubscriptionsRequest{SubscriptionIDs: []uint32{id}})
		if err == nil && len(got.Results) == 1 && got.Results[0].StatusCode>>30 < 2 && g.repair(ctx, c) == nil {
			moved[g] = true
		}
	}
	return moved
}

// fault says that the server answered with a refusal, so that the same again will not do.
func fault(err error) bool {
	var code ua.StatusCode
	return errors.As(err, &code) && !linkDead(err) && code != ua.StatusBadTimeout && code != ua.StatusBadTCPServerTooBusy
}

// sessionGone says that the server no longer has the session.
func sessionGone(err error) bool {
	var code ua.StatusCode
	if !errors.As(err, &code) {
		return false
	}
	switch code {
	case ua.StatusBadSessionIDInvalid, ua.StatusBadSessionClosed, ua.StatusBadSessionNotActivated, ua.StatusBadIdentityChangeNotSupported:
		return true
	}
	return false
}

// linkDead says that nothing more will come on the connection. An answer that the library can not read is not the end of it.
func linkDead(err error) bool {
	var code ua.StatusCode
	if errors.As(err, &code) {
		switch code {
		case ua.StatusBadSecureChannelClosed, ua.StatusBadSecureChannelIDInvalid, ua.StatusBadSecureChannelTokenUnknown, ua.StatusBadConnectionClosed,
			ua.StatusBadServerNotConnected, ua.StatusBadNotConnected, ua.StatusBadCommunicationError, ua.StatusBadTCPSecureChannelUnknown:
			return true
		}
		return false
	}
	var network net.Error
	var told *uacp.Error
	if errors.Is(err, context.DeadlineExceeded) { // of one request
		return false
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &network) || errors.As(err, &told)
}

// unreadable says that the server answered, and that the answer can not be decoded.
func unreadable(err error) bool {
	var code ua.StatusCode
	if errors.As(err, &code) {
		return code == ua.StatusBadDecodingError
	}
	return err != nil && !linkDead(err) && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled)
}
