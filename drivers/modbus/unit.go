package modbus

import (
	"time"

	"github.com/millgate/millgate/drivers"
)

const (
	// maxSilences is how many requests in a row, with nothing answered in between, show that a unit is silent: the rest of a Read is not
	// sent, and from then on the unit is only looked for, with one request after each pause.
	maxSilences = 2
	// lookingShare is the part of a link's time, one in so many, that looking for silent units may take from the others.
	lookingShare = 20
	// lookLast is how long looking waits before it takes a free link: those who are due at the same moment go first.
	lookLast = 10 * time.Millisecond
)

// unit is one unit id behind a link. It belongs to the holder of link.mu, served apart.
type unit struct {
	id         byte
	seats      int
	served     uint64 // the turn that it had last; belongs to the turns
	silences   int    // requests in a row that were not answered
	silence    backOff
	busy       backOff       // after exceptions 5 and 6: the device answers, and wants to be left alone
	turnaround time.Duration // between a request's end and its answer's beginning, smoothed; 0: not known
}

func (u *unit) silent() bool { return u.silences >= maxSilences }

// admit says whether a request for the seat's unit may be sent now, or why not.
func (k *link) admit(s *seat, now time.Time) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	u := s.unit
	s.looking = u.silent() && len(k.units) > 1 // a unit alone on its link holds up nobody and is always asked
	if err := u.busy.refuse(now, &s.toldBusy); err != nil {
		return err
	}
	if !s.looking {
		return nil
	}
	if err := u.silence.refuse(now, &s.toldSilence); err != nil {
		return err
	}
	if wait := k.lookFrom.Sub(now); wait > 0 && k.anyAnswers() {
		return u.silence.holdOff(wait)
	}
	return nil
}

// anyAnswers says that there is a unit that would be held up.
func (k *link) anyAnswers() bool {
	for _, u := range k.units {
		if !u.silent() {
			return true
		}
	}
	return false
}

// answered notes that the unit lives, and whether it is busy.
func (k *link) answered(s *seat, busy bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !busy {
		s.unit.busy.succeeded()
	}
	if s.unit.silences == 0 {
		return
	}
	back := !k.anyAnswers()
	s.unit.silences = 0
	s.unit.silence.succeeded()
	if !back {
		return
	}
	k.lookFrom = time.Time{} // the whole link was away: whoever else is on it is likely back too
	for _, u := range k.units {
		u.silence.forgive()
	}
}

// unanswered notes that the unit did not answer a request, which took so much of the link's time, and says whether it has fallen silent
// with that.
func (k *link) unanswered(s *seat, err error, took time.Duration) (fell bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	u := s.unit
	if u.silences++; !u.silent() {
		return false
	}
	u.silence.failed(retry, err, &s.toldSilence)
	silent := 0
	for _, other := range k.units {
		if other.silent() {
			silent++
		}
	}
	now := time.Now()
	rest := (lookingShare - 1) * took
	if s.looking {
		k.lookFrom = now.Add(rest)
	}
	if all := now.Add(time.Duration(silent) * rest); silent < len(k.units) && u.silence.until.Before(all) {
		u.silence.until = all // so that each silent unit is looked for in its turn
	}
	return u.silences == maxSilences
}

// patience is how long a unit must have been waited for, of a time-out, before its silence is its own fault and not that of a line on
// which its turn came late.
func (k *link) patience(u *unit, timeout time.Duration) time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	return max(timeout/4, 2*u.turnaround)
}

// tooBusy notes that the unit answered that it wants to be left alone for a while.
func (k *link) tooBusy(s *seat, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s.unit.busy.failed(retry, err, &s.toldBusy)
}

// measured smooths what the unit took to answer.
func (k *link) measured(u *unit, turnaround time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if u.turnaround == 0 {
		u.turnaround = turnaround
	}
	u.turnaround += (turnaround - u.turnaround) / 8
}

// UnitStatus is what a link knows of one unit.
type UnitStatus struct {
	Unit       byte          `json:"unit"`
	Answers    bool          `json:"answers"` // false: silent, and looked for now and then
	Turnaround float64       `json:"turnaround_ms"`
	Cause      drivers.Cause `json:"cause,omitempty"` // of the last failure, while it is being left alone
}

func (u *unit) status() UnitStatus {
	s := UnitStatus{Unit: u.id, Answers: !u.silent(), Turnaround: float64(u.turnaround.Microseconds()) / 1000}
	switch {
	case u.silence.pause > 0:
		s.Cause = drivers.CauseOf(u.silence.err)
	case u.busy.pause > 0:
		s.Cause = drivers.CauseOf(u.busy.err)
	}
	return s
}
