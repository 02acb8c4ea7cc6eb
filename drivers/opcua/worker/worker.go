// Package worker is the OPC UA client, in a process of its own: the only package that knows the protocol. A server can end it, and nothing
// else.
//
// Invariants:
//  1. Every request leaves through client.wait, which lets only those through that read.
//  2. One goroutine owns the session; a group's mutex is never held during a request.
//  3. A notification is acknowledged only after the call with its last reading is committed.
//  4. Notifications are taken in the order of their sequence numbers; one that never comes is counted.
//  5. What waits for the gateway is bounded; what is dropped is counted.
//
// Is: session, subscriptions, polling, history, values. Is not: a supervisor, a configuration, a store.
package worker

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/opcua"
)

// A question answers a Question about the server that c is connected to in a session; say sends something before the last answer.
type question func(ctx context.Context, s *session, c *client, with json.RawMessage, say func(any)) error

// questions are the kinds of Question that are answered, by their What.
var questions = map[string]question{
	opcua.AskBrowse: func(ctx context.Context, _ *session, c *client, with json.RawMessage, say func(any)) error {
		return browse(ctx, c, with, say)
	},
	opcua.AskProbe: probe,
}

// Run serves a gateway over in and out until in ends; the error says why it had to end before.
func Run(in io.Reader, out io.Writer) error {
	r := bufio.NewReaderSize(in, 64<<10)
	var buffer []byte
	kind, body, err := opcua.ReadFrame(r, &buffer)
	if err != nil {
		return fmt.Errorf("read the setup: %w", err)
	}
	var setup opcua.Setup
	if kind != opcua.FrameSetup {
		return fmt.Errorf("the first frame is of kind %q: a setup must come first", kind)
	}
	if err := json.Unmarshal(body, &setup); err != nil {
		return fmt.Errorf("read the setup: %w", err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	w := newWorker(setup, &output{w: out, fail: cancel})
	limitMemory()
	var all sync.WaitGroup
	all.Go(func() { w.session.run(ctx) })
	all.Go(func() { w.tell(ctx) })
	ended := make(chan error, 1)
	go func() { ended <- w.receive(ctx, r, &buffer, &all) }() // it ends with the input
	select {
	case err = <-ended:
		cancel(err)
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	all.Wait()
	return err
}

// worker is what a process does for one server.
type worker struct {
	session *session
	groups  []*group
	busy    []sync.Mutex // per polled group
	out     *output
}

func newWorker(setup opcua.Setup, out *output) *worker {
	s := &session{
		server: setup.Server, password: setup.Password, trust: &opcua.Trust{Dir: setup.Server.Trust}, clock: newClock(setup.Server.Clock), log: &logger{out: out},
	}
	s.via.limits = &s.limits
	if s.server.Timeout <= 0 {
		s.server.Timeout = 5 * time.Second
	}
	if s.server.SessionTimeout <= 0 {
		s.server.SessionTimeout = time.Minute
	}
	s.set(opcua.Starting, nil, nil)
	for i := range setup.Groups {
		s.groups = append(s.groups, newGroup(s, i, &setup.Groups[i]))
	}
	return &worker{session: s, groups: s.groups, busy: make([]sync.Mutex, len(s.groups)), out: out}
}

// receive answers frames until there are no more; nil: the gateway has closed its end.
func (w *worker) receive(ctx context.Context, r io.Reader, buffer *[]byte, all *sync.WaitGroup) error {
	var answer []byte
	for {
		kind, body, err := opcua.ReadFrame(r, buffer)
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read a frame: %w", err)
		}
		switch kind {
		case opcua.FrameRead:
			o, err := opcua.DecodeOrder(body)
			if err != nil || int(o.Group) >= len(w.groups) {
				return errors.New("the gateway's order is damaged")
			}
			g := w.groups[o.Group]
			if g.setup.Polled {
				all.Go(func() { w.poll(ctx, g, o) })
				continue
			}
			if answer, err = g.batch(o, answer[:0]); err != nil {
				return err
			}
			w.out.frame(opcua.FrameReadings, answer)
			if cap(answer) > 1<<20 {
				answer = nil
			}
		case opcua.FrameAsk:
			var q opcua.Question
			if err := json.Unmarshal(body, &q); err != nil {
				return fmt.Errorf("read a question: %w", err)
			}
			all.Go(func() { w.answer(ctx, q) })
		default:
			return fmt.Errorf("a frame of the unknown kind %q", kind)
		}
	}
}

func (w *worker) poll(ctx context.Context, g *group, o opcua.Order) {
	w.busy[g.number].Lock()
	defer w.busy[g.number].Unlock()
	ctx, cancel := context.WithTimeout(ctx, time.Duration(o.Timeout)*time.Millisecond)
	defer cancel()
	body, err := g.poll(ctx, o, nil)
	if err != nil {
		w.out.fail(err)
		return
	}
	w.out.frame(opcua.FrameReadings, body)
}

// answer answers a question, with the live session when there is one, or as soon as there is.
func (w *worker) answer(ctx context.Context, q opcua.Question) {
	say := func(a any, done bool, err error) {
		answer := opcua.Answer{ID: q.ID, Done: done}
		if err == nil && a != nil {
			answer.With, err = json.Marshal(a)
		}
		if err != nil {
			err = explain(err, w.session.server)
			answer.Cause, answer.Error = drivers.CauseOf(err), err.Error()
		}
		w.out.json(opcua.FrameAnswer, answer)
	}
	f := questions[q.What]
	if f == nil {
		say(nil, true, &drivers.Error{Cause: drivers.CauseInternal, Err: fmt.Errorf("a worker does not know the question %q", q.What)})
		return
	}
	c, err := w.session.await(ctx)
	if err == nil {
		err = f(ctx, w.session, c, q.With, func(a any) { say(a, false, nil) })
	}
	say(nil, true, err)
}

// await gives the live connection, and the reason if there is none after some attempts.
func (s *session) await(ctx context.Context) (*client, error) {
	deadline := time.Now().Add(2 * dialTimeout)
	for {
		s.mu.Lock()
		c, state := s.live, s.state
		s.mu.Unlock()
		if c != nil {
			return c, nil
		}
		if state.state == opcua.Down && state.err != nil || time.Now().After(deadline) {
			if state.err == nil {
				state.err = context.DeadlineExceeded
			}
			return nil, state.err
		}
		if rest(ctx, careEvery); ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
}

// tell sends the status when it changes.
func (w *worker) tell(ctx context.Context) {
	var t teller
	tick := time.NewTicker(statusEvery)
	defer tick.Stop()
	for {
		if body := t.due(w.session, time.Now()); body != nil {
			w.out.frame(opcua.FrameStatus, body)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
