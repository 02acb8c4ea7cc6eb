package modbus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/millgate/millgate/drivers"
)

const (
	maxTimeouts = 3 // requests in a row, with nothing answered in between, after which a connection is made anew
	// quietTime is how long a line must have been silent before a request follows one that was not answered, so that a late answer is
	// not taken for the next one's.
	quietTime = 50 * time.Millisecond
	// quietDialIn is the same behind a mobile network. There the connection is kept, for the other side alone can make a new one.
	quietDialIn = 250 * time.Millisecond
)

// link is one physical link and the order in which its users take turns.
type link struct {
	links  *Links
	config LinkConfig
	place  string
	window int // requests in flight
	trace  *trace
	turns  turns

	mu       sync.Mutex // guards what follows
	units    map[byte]*unit
	lookFrom time.Time // before then no silent unit is looked for while another would be held up
	stats    LinkStatus

	conn connection // belongs to the holder of the turn
}

// connection is what a link has of a wire: none at first, one at a time.
type connection struct {
	wire     *wire // nil while there is none
	id       uint16
	timer    *time.Timer
	timeouts int       // in a row
	proven   bool      // the wire has brought an answer
	unquiet  bool      // the last request was not answered: its answer may still come
	answerBy time.Time // until then that of a request that was given up before its time may come
	pause    backOff
}

// seat is one driver's place on a link.
type seat struct {
	link    *link
	unit    *unit
	framer  *framer
	called  chan struct{} // the turn has come
	looking bool          // whether the unit is only looked for; set by admit

	toldLink, toldSilence, toldBusy uint64 // see backOff.refuse
}

// exchange sends the calls, as many at a time as the link has in flight, and fills in what became of each. It returns when all have
// ended, by ctx's deadline at the latest. timeout is what the device may take to begin each answer. The seat must not be used
// concurrently. A call that failed does not keep those behind it from being tried.
func (s *seat) exchange(ctx context.Context, timeout time.Duration, calls ...*call) {
	for len(calls) > 0 {
		n := min(len(calls), s.link.window)
		if err := s.link.serve(ctx, s, timeout, calls[:n]); err != nil {
			for _, c := range calls[:n] {
				if !c.ended {
					c.end(err)
				}
			}
		}
		calls = calls[n:]
	}
}

// serve takes a turn for the calls. The error is that of all which have not ended by themselves.
func (k *link) serve(ctx context.Context, s *seat, timeout time.Duration, calls []*call) error {
	for _, c := range calls {
		c.begin(s.framer)
	}
	if err := k.admit(s, time.Now()); err != nil {
		return err
	}
	if ctx.Err() != nil || s.looking && sleep(ctx, lookLast) != nil || !k.turns.take(ctx, s) {
		return k.notServed(ctx, s)
	}
	defer k.turns.give()
	if s.looking { // others may have looked, in vain, while this one waited
		if err := k.admit(s, time.Now()); err != nil {
			return err
		}
	}
	if err := k.ready(ctx, s, timeout); err != nil {
		return err
	}
	began := time.Now()
	err := k.roundTrip(ctx, s, timeout, calls)
	return k.judge(s, calls, err, max(time.Since(began), k.conn.answerBy.Sub(began)))
}

// notServed is the error for a request whose turn never came.
func (k *link) notServed(ctx context.Context, s *seat) error {
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return ctx.Err()
	}
	if s.looking {
		return &drivers.Error{Cause: drivers.CauseBackOff, Err: errors.New("not looked for: the line was busy with the units that answer")}
	}
	return &drivers.Error{Cause: drivers.CauseLinkBusy, Err: fmt.Errorf("%s was busy with other requests until the deadline; "+
		"millgate check tells what a line can carry", k.place)}
}

// roundTrip sends the calls and waits for their answers.
func (k *link) roundTrip(ctx context.Context, s *seat, timeout time.Duration, calls []*call) error {
	w, open := k.conn.wire, 0
	for _, c := range calls {
		if k.config.Endpoint.Framing != MBAP {
			w.drain()
		}
		k.conn.id++
		c.send(k.conn.id)
		if err := w.send(c.adu); err != nil {
			return w.reason(err)
		}
		open++
	}
	timeout += k.config.lineTime(calls)
	deadline := time.Now().Add(timeout)
	if k.conn.timer == nil {
		k.conn.timer = time.NewTimer(timeout)
	} else {
		k.conn.timer.Reset(timeout)
	}
	defer k.conn.timer.Stop()
	for {
		n, err := k.receive(calls)
		switch {
		case err != nil:
			return err
		case n == open:
			return nil
		case n > 0 && open > 1: // each answer gives the next one its time
			k.conn.timer.Reset(timeout)
			open -= n
		}
		select {
		case <-w.arrived:
		case <-w.dead:
			if n, _ := k.receive(calls); n == open { // it came with the end
				return nil
			}
			return w.err
		case <-k.conn.timer.C:
			return k.noAnswer()
		case <-ctx.Done():
			if k.config.Endpoint.Framing != MBAP {
				k.conn.answerBy = deadline
			}
			switch waited := time.Since(calls[len(calls)-1].began); {
			case !errors.Is(ctx.Err(), context.DeadlineExceeded):
				return ctx.Err()
			case waited < k.patience(s.unit, timeout):
				return k.cutShort(waited)
			}
			return k.noAnswer()
		}
	}
}

// cutShort is the error for what was given up because its turn came just before the deadline.
func (k *link) cutShort(waited time.Duration) error {
	return &drivers.Error{Cause: drivers.CauseLinkBusy, Err: fmt.Errorf("%s was busy with other requests: only %v were left for the answer",
		k.place, waited.Round(time.Millisecond))}
}

// receive gives the calls the answers that have come, and says how many that were.
func (k *link) receive(calls []*call) (n int, err error) {
	k.conn.wire.look(func(in []byte) (used int) {
		if k.config.Endpoint.Framing != MBAP {
			found, used := calls[0].framer.find(in, calls[0])
			if found {
				calls[0].end(nil)
				n = 1
			}
			return used
		}
		for {
			own, more := k.config.strip(in[used:])
			if used += own; more {
				return used
			}
			var length int
			if length, err = mbapLength(in[used:]); length == 0 {
				return used
			}
			if k.deliver(in[used:used+length], calls) {
				n++
			}
			used += length
		}
	})
	return n, err
}

// deliver gives a frame to the call with its transaction id. A stranger, an answer that nobody waits for any more, is dropped.
func (k *link) deliver(frame []byte, calls []*call) bool {
	for _, c := range calls {
		if !c.ended && c.isFor(frame) {
			c.end(c.take(c.framer.packager, c.adu, frame))
			return true
		}
	}
	k.count(func(s *LinkStatus) { s.Strangers++ })
	return false
}

// noAnswer is the error of a time-out: something came, or nothing. Half a frame that its sender cut off must not be completed by the
// beginning of the next one, so it ends a connection.
func (k *link) noAnswer() error {
	if k.conn.wire.drain() > 0 {
		return garbled("%s: bytes came, but no whole answer was among them", k.place)
	}
	return &drivers.Error{Cause: drivers.CauseTimeout, Err: fmt.Errorf("%s did not answer in time", k.place)}
}

// judge draws the conclusions from a round trip: about the unit, about the wire, and about what to tell the caller.
func (k *link) judge(s *seat, calls []*call, err error, took time.Duration) error {
	alive, busy, bridge, failure := false, false, false, err
	for _, c := range calls {
		switch {
		case !c.ended:
		case c.exception == 10 || c.exception == 11: // the bridge answers, and says that the unit does not
			bridge, failure = true, c.err
		case c.exception == 0 && c.err != nil && !errors.Is(c.err, errShort):
			failure = c.err
		default:
			alive = true
			k.measured(s.unit, c.at.Sub(c.began)-k.config.lineTime(calls[:1]))
			if c.exception == 5 || c.exception == 6 {
				busy = true
				k.tooBusy(s, c.err)
			}
		}
	}
	k.conn.unquiet = failure != nil && !bridge
	if alive || bridge {
		k.conn.timeouts, k.conn.proven = 0, true
		k.conn.pause.succeeded()
	}
	cause := drivers.CauseOf(failure)
	fault := failure != nil && (cause == drivers.CauseGarbled || cause == drivers.CauseInternal && !errors.Is(failure, context.Canceled))
	switch {
	case alive:
		k.answered(s, busy)
	case failure != nil && (bridge || cause == drivers.CauseTimeout || cause == drivers.CauseGarbled && k.config.Endpoint.Framing != MBAP):
		fault = k.unanswered(s, failure, took) || fault
	}
	if fault {
		k.tellFault()
	}
	k.count(func(l *LinkStatus) { l.Requests += uint64(len(calls)) })
	if err == nil {
		return nil
	}
	return k.broken(s, err)
}

// broken decides what becomes of the wire after an error of a round trip; the error is the caller's.
func (k *link) broken(s *seat, err error) error {
	if errors.Is(err, context.Canceled) {
		if t := k.config.Endpoint.Transport; k.config.Endpoint.Framing != MBAP && (t == TCP || t == TLS) {
			k.hangUp(err) // see below
		}
		return err
	}
	e, cause := k.config.Endpoint, drivers.CauseOf(err)
	timedOut := cause == drivers.CauseTimeout || cause == drivers.CauseLinkBusy
	if cause == drivers.CauseTimeout {
		k.conn.timeouts++
	}
	var caused *drivers.Error
	switch {
	case !errors.As(err, &caused):
		return k.lose(s, k.lost(err))
	case e.Transport == Serial: // there is nothing to be made anew, and the next request waits until the line is silent
	case timedOut && k.conn.timeouts < maxTimeouts && (e.Framing == MBAP || e.Transport == Listen):
	case timedOut: // without transaction ids, a new connection is the only way to be sure that no late answer comes
		k.hangUp(err)
	default:
		return k.lose(s, err)
	}
	return err
}

// lost says of what the wire has ended.
func (k *link) lost(err error) error {
	if k.config.Endpoint.Transport == TLS {
		err = alerted(k.config.Endpoint.Address, err)
	}
	var caused *drivers.Error
	if errors.As(err, &caused) {
		return err
	}
	return &drivers.Error{Cause: drivers.CauseLost, Err: fmt.Errorf("connection to %s: %w", k.place, err)}
}

// tellFault tells whoever wants to know, before the wire is given up.
func (k *link) tellFault() {
	if k.links.OnFault != nil {
		k.links.OnFault(k.place, k.config.Endpoint.Framing, k.trace.frames)
	}
}

// count changes the statistics.
func (k *link) count(change func(*LinkStatus)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change(&k.stats)
}

// lineTime is how long the bytes of the calls and of their answers take on a line of known speed.
func (c LinkConfig) lineTime(calls []*call) (d time.Duration) {
	char := c.charTime()
	if char == 0 {
		return 0
	}
	for _, call := range calls {
		n := len(call.adu) + max(expected(call.request), 0) + 5 // unit, function, byte count and checksum
		if c.Endpoint.Framing == ASCII {
			n += max(expected(call.request), 0) + 6 // two characters a byte, colon and line end
		}
		d += time.Duration(n) * char
	}
	return d
}
