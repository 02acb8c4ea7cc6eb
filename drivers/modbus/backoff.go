package modbus

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/millgate/millgate/drivers"
)

// pace is the first and the longest pause of a back-off.
type pace struct{ first, last time.Duration }

var (
	retry       = pace{first: 500 * time.Millisecond, last: 15 * time.Second}
	retrySerial = pace{first: 250 * time.Millisecond, last: 2 * time.Second} // looking whether an adapter is plugged in again costs nothing
)

// backOff leaves something alone that fails, twice as long each time. The zero backOff holds nothing back.
type backOff struct {
	pause  time.Duration // the last one before jitter; 0: no failure since the last success
	until  time.Time
	err    error  // the last failure
	outage uint64 // counts the times that something began to fail
}

// failed begins the next pause: a random part between half and all of it, so that what failed together is not tried together.
// Whoever sees the failure now need not be told of it by refuse.
func (b *backOff) failed(p pace, err error, told *uint64) {
	if b.pause == 0 {
		b.pause = p.first
		b.outage++
	} else {
		b.pause = min(2*b.pause, p.last)
	}
	b.err, *told = err, b.outage
	b.until = time.Now().Add(b.pause/2 + rand.N(b.pause/2+1))
}

// succeeded ends the outage.
func (b *backOff) succeeded() { b.pause = 0 }

// forgive ends the pause, not the outage: the next request is sent.
func (b *backOff) forgive() { b.until = time.Time{} }

// refuse is the error for a request during a pause. Each who asks is told once per outage what has failed, as if it had asked itself:
// else a device would never be known to be down if the attempts always fall to its neighbour.
func (b *backOff) refuse(now time.Time, told *uint64) error {
	if b.pause == 0 || !now.Before(b.until) {
		return nil
	}
	if *told != b.outage {
		*told = b.outage
		return b.err
	}
	return b.holdOff(b.until.Sub(now))
}

// holdOff says that nothing was sent, for how long, and why.
func (b *backOff) holdOff(wait time.Duration) error {
	return &drivers.Error{
		Cause: drivers.CauseBackOff,
		Err:   fmt.Errorf("not asked for another %v: %w", wait.Round(time.Millisecond), b.err),
	}
}
