package modbus

import (
	"context"
	"errors"
	"time"

	"github.com/millgate/millgate/drivers"
)

const (
	maxExtras      = 16 // requests of a Read that the plan does not have
	silencesRefuse = 3  // Reads in a row in which a request met silence and another did not: it is taken for refused
)

// errShort marks the error of an answer that is whole but shorter than asked: some devices cut a request that is too long for them.
var errShort = errors.New("the answer is shorter than asked")

// planned is a request with its frame, made once, and its outcome in the Read under way.
type planned struct {
	job
	call    call
	took    time.Duration
	cause   drivers.Cause // why nothing came; empty if it did
	refused bool          // the cause may lie in a part of the request
	silent  int           // Reads in a row in which it met silence and another did not
}

func newPlanned(j job) *planned { return &planned{job: j, call: newCall(j.request())} }

// at is when the answer came, ms since 1970 UTC.
func (p *planned) at() int64 { return drivers.Millis(p.call.at) }

// tally is how a Read goes.
type tally struct {
	began    time.Time
	fair     time.Duration // how long a request must have waited for its silence to say something of it, and not of a line that is too slow
	failure  error         // the last, if nothing was answered since
	silences int           // in a row
	busy     drivers.Cause // the device wants to be left alone
	answered bool          // by data or by an exception
	served   bool          // by data
	refusals bool
	silent   bool // some request met silence
}

// over says that the rest of the Read is not to be sent: the link has failed or the unit stays silent, and it would fare no better; or
// the device is busy.
func (t *tally) over() bool { return t.busy != "" || t.failure != nil && t.silences != 1 }

func (t *tally) reason() drivers.Cause {
	if t.busy != "" {
		return t.busy
	}
	return causeOf(t.failure)
}

// note judges how a request ended. It fails only if ctx was cancelled.
func (t *tally) note(ctx context.Context, r *planned) error {
	r.took, r.cause, r.refused = r.call.at.Sub(r.call.began), "", false
	err := r.call.err
	if err == nil {
		t.silences, t.failure, t.answered, t.served, r.silent = 0, nil, true, true, 0
		return nil
	}
	if ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return ctx.Err()
	}
	r.cause = causeOf(err)
	switch code := r.call.exception; {
	case code == 10 || code == 11: // a bridge says that the unit did not answer
		t.failed(err)
		t.silences++
	case code != 0 || errors.Is(err, errShort):
		t.silences, t.failure, t.answered, r.silent = 0, nil, true, 0
		if code == 5 || code == 6 {
			t.busy = r.cause
		}
		r.refused = code == 2 || code == 3 || code == 0 // illegal data address or value (V1.1b3, 7)
		t.refusals = t.refusals || r.refused
	case r.cause == drivers.CauseTimeout:
		t.failed(err)
		t.silences++
		t.silent = true
	case r.cause == drivers.CauseGarbled:
		t.failed(err)
		t.silences = 1 // one bad frame: the next may be whole
	default:
		t.failed(err)
		t.silences = maxSilences
	}
	return nil
}

func (t *tally) failed(err error) {
	if t.failure == nil || drivers.CauseOf(err) != drivers.CauseBackOff { // a pause says that nothing was sent, and something was
		t.failure = err
	}
}

// causeOf is the cause for a reading: in a Read that was begun, a pause stands for the failure before it.
func causeOf(err error) drivers.Cause {
	var e *drivers.Error
	if errors.As(err, &e) && e.Cause == drivers.CauseBackOff {
		return drivers.CauseOf(e.Err)
	}
	return drivers.CauseOf(err)
}

// poll sends the planned requests, and what else is worth to be asked. It fails if nothing was answered; an exception is an answer.
func (d *Driver) poll(ctx context.Context) error {
	d.prepare()
	t := tally{began: time.Now(), fair: d.timeout}
	if deadline, ok := ctx.Deadline(); ok {
		t.fair = min(t.fair, deadline.Sub(t.began)/2)
	}
	if d.together {
		d.seat.exchange(ctx, d.timeout, d.calls...)
	}
	for i, r := range d.requests {
		if !d.together {
			if t.over() {
				r.cause, r.refused = t.reason(), false
				continue
			}
			d.seat.exchange(ctx, d.timeout, d.calls[i:i+1]...)
		}
		if err := t.note(ctx, r); err != nil {
			return err
		}
	}
	if !t.answered && len(d.requests) > 0 {
		return t.failure
	}
	if d.settled && !t.refusals && !t.silent && t.began.Before(d.retry) {
		return nil
	}
	return d.learn(ctx, t)
}

// learn tells the learner how the Read went, asks what it wants to know, and delivers what was refused with others.
func (d *Driver) learn(ctx context.Context, t tally) error {
	told := make([]told, len(d.requests))
	for i, r := range d.requests {
		told[i].job, told[i].fate = r.job, r.fate()
		if r.silentIn(&t) {
			told[i].silent = true
			if r.silent++; r.silent >= silencesRefuse {
				told[i].refused, told[i].later = r.cause, true
			}
		}
	}
	x := &extras{d: d, ctx: ctx, t: &t}
	next := d.learner.read(told, x, t.began)
	if x.err != nil {
		d.next = d.learner.plan() // this Read's is in pieces
		return x.err
	}
	d.next = next
	d.conclude(&t, t.began)
	return nil
}

// silentIn says that the request was sent in this Read and met silence, while another was answered.
func (r *planned) silentIn(t *tally) bool {
	return t.answered && r.cause == drivers.CauseTimeout && r.call.exception == 0 && !r.call.began.Before(t.began) && r.took >= t.fair
}

func (r *planned) fate() fate {
	if r.refused {
		return fate{refused: r.cause}
	}
	return fate{answered: r.cause == ""}
}

// extras is the requests that a Read adds to its plan.
type extras struct {
	d   *Driver
	ctx context.Context
	t   *tally
	n   int
	err error // ctx's, if it was cancelled
}

func (x *extras) may() bool {
	if x.err != nil || x.t.over() || x.n >= maxExtras {
		return false
	}
	deadline, ok := x.ctx.Deadline()
	return !ok || time.Until(deadline) > deadline.Sub(x.t.began)/4
}

// ask sends a request. What it brings stands for its items in this Read.
func (x *extras) ask(j job) fate {
	d, r := x.d, newPlanned(j)
	d.seat.exchange(x.ctx, d.timeout, &r.call)
	for _, it := range j.items {
		for _, p := range it.points {
			d.of[p] = len(d.requests)
		}
	}
	d.requests = append(d.requests, r)
	x.n++
	x.err = x.t.note(x.ctx, r)
	return r.fate()
}
