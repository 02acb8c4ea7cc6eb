package collector

import (
	"slices"

	"github.com/millgate/millgate/drivers"
)

// commits knows how many calls of Read are safe, for a driver whose device keeps data until then. A call is safe once the readings
// that it brought are durable, suppressed on purpose, or durably accounted for as refused.
type commits struct {
	driver  drivers.Committer
	calls   uint64
	safe    uint64 // the first so many calls
	waiting []callsAt
}

// callsAt says that the calls up to calls are safe once pos is durable.
type callsAt struct{ calls, pos uint64 }

// called notes one more call of Read and where what it brought was appended. A call of which nothing was handed over waits only for
// those before it.
func (c *commits) called(pos uint64, handedOver bool) {
	c.calls++
	last := len(c.waiting) - 1
	switch {
	case last >= 0 && (!handedOver || c.waiting[last].pos == pos):
		c.waiting[last].calls = c.calls
	case handedOver:
		c.waiting = append(c.waiting, callsAt{c.calls, pos})
	default:
		c.safe = c.calls
	}
}

// tell passes on how many calls are safe.
func (c *commits) tell(durable uint64) {
	n := 0
	for ; n < len(c.waiting) && c.waiting[n].pos <= durable; n++ {
		c.safe = c.waiting[n].calls
	}
	c.waiting = slices.Delete(c.waiting, 0, n)
	c.driver.Committed(c.safe)
}
