package opcua

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/millgate/millgate/drivers"
)

// Ask gives a question to the worker of a server and calls each with every answer, the last of which is Done. It uses the worker that runs
// if there is one with the same settings, else one of its own, which has ended when Ask returns. The question's ID is set by Ask. The error
// is the last answer's, or says why there is none.
func (w *Workers) Ask(ctx context.Context, server Server, q Question, each func(Answer)) error {
	settings, err := settingsOf(server)
	if err != nil {
		return err
	}
	w.mu.Lock()
	s := w.servers[placeOf(server.Endpoint)]
	w.mu.Unlock()
	if s != nil && bytes.Equal(s.settings, settings) {
		s.mu.Lock()
		p := s.process
		s.mu.Unlock()
		if p != nil && !p.meant.Load() {
			return p.ask(ctx, q, each)
		}
	}
	setup := Setup{Server: server}
	if server.User.Password != nil {
		if setup.Password, err = server.User.Password(); err != nil {
			return &drivers.Error{Cause: drivers.CauseUserRefused, Err: fmt.Errorf("the password of user %s: %w", server.User.Name, err)}
		}
	}
	p, err := w.hire(setup)
	if err != nil {
		return err
	}
	defer w.dismiss(p)
	return p.ask(ctx, q, each)
}

// hire starts a worker for one question.
func (w *Workers) hire(setup Setup) (*process, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil, errClosed
	}
	p, err := w.start(setup)
	if err != nil {
		return nil, &drivers.Error{Cause: drivers.CauseInternal, Err: err}
	}
	p.run()
	w.asking[p] = true
	w.asked.Add(1)
	return p, nil
}

func (w *Workers) dismiss(p *process) {
	p.finish()
	<-p.dead
	w.mu.Lock()
	delete(w.asking, p)
	w.mu.Unlock()
	w.asked.Done()
}

// asks is the questions that a worker has not answered yet.
type asks struct {
	out  chan []byte
	mu   sync.Mutex
	last uint64
	open map[uint64]*answers
}

// answers is what came to one question and was not taken yet: whoever is slow to take them does not hold up the pipe.
type answers struct {
	all  []Answer
	some chan struct{} // holds one when all is not empty
}

func (a *asks) begin() (uint64, *answers) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last++
	got := &answers{some: make(chan struct{}, 1)}
	a.open[a.last] = got
	return a.last, got
}

func (a *asks) end(id uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.open, id)
}

func (a *asks) take(got *answers) []Answer {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := got.all
	got.all = nil
	return all
}

// deliver drops an answer that nobody waits for any more.
func (a *asks) deliver(body []byte) error {
	var answer Answer
	if err := json.Unmarshal(body, &answer); err != nil {
		return errors.Join(errFrame, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if got := a.open[answer.ID]; got != nil {
		got.all = append(got.all, answer)
		select {
		case got.some <- struct{}{}:
		default:
		}
	}
	return nil
}

func (p *process) ask(ctx context.Context, q Question, each func(Answer)) error {
	id, got := p.asks.begin()
	defer p.asks.end(id)
	q.ID = id
	body, err := json.Marshal(q)
	if err != nil {
		return fmt.Errorf("question %s: %w", q.What, err)
	}
	out, question := p.asks.out, frame(FrameAsk, body)
	for {
		select {
		case out <- question:
			out = nil
		case <-got.some:
		case <-p.dead:
			if done, err := p.asks.pass(got, each); done {
				return err
			}
			if p.failure == nil {
				return &drivers.Error{Cause: drivers.CauseInternal, Err: errClosed}
			}
			return p.failure
		case <-ctx.Done():
			return fmt.Errorf("question %s to %s: %w", q.What, p.endpoint, ctx.Err())
		}
		if done, err := p.asks.pass(got, each); done {
			return err
		}
	}
}

// pass hands on what has come; done says that the last answer was among it, and err is that one's.
func (a *asks) pass(got *answers, each func(Answer)) (done bool, err error) {
	for _, answer := range a.take(got) {
		each(answer)
		if answer.Error != "" {
			err = &drivers.Error{Cause: answer.Cause, Err: errors.New(answer.Error)}
		}
		if answer.Done {
			return true, err
		}
	}
	return false, nil
}
