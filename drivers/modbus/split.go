package modbus

import (
	"slices"
	"time"

	"github.com/millgate/millgate/drivers"
)

// A device may refuse a whole request for one address in it, or for its length. Such a request is taken apart until only those points
// are refused that the device does not have; what was learned is kept for a while.
const (
	splitsPerRead = 8         // one bad point among 125 takes seven
	maxFruitless  = 4         // Reads in a row that split and were served nothing: the device refuses everything
	splitsKept    = time.Hour // then the whole plan is tried again: the device may have been extended
)

// refusesPart says whether a refusal may be about a part of the request: illegal data address or value (V1.1b3, 7).
func refusesPart(exception drivers.Cause) bool {
	return exception == drivers.ModbusException(2) || exception == drivers.ModbusException(3)
}

// splitIn notes how a Read fared that split requests. A device that refuses everything gets the plan back, whole: taking it apart
// would cost requests and gain nothing.
func (d *Driver) splitIn(splits int, served bool) {
	switch {
	case served:
		d.fruitless = 0
	case splits > 0:
		if d.fruitless++; d.barren() {
			refusal := d.requests[0].cause
			d.replan()
			d.splitAt, d.fruitless = time.Now(), maxFruitless
			for i := range d.requests {
				d.requests[i].cause = refusal
			}
		}
	}
}

// barren says that splitting has been given up until the plan is tried anew.
func (d *Driver) barren() bool { return d.fruitless >= maxFruitless }

// replan makes the requests those of the plan.
func (d *Driver) replan() {
	requests, of := plan(d.points, d.limits.registers, d.limits.gap)
	d.requests, d.of, d.splitAt, d.fruitless = nil, of, time.Time{}, 0
	for _, r := range requests {
		d.requests = append(d.requests, newPlanned(r))
	}
}

// split replaces request i by two; false if it is for one point only.
func (d *Driver) split(i int) bool {
	var indices []int
	for p, of := range d.of {
		if of == i {
			indices = append(indices, p)
		}
	}
	if len(indices) < 2 {
		return false
	}
	slices.SortStableFunc(indices, func(a, b int) int { return int(d.points[a].Address) - int(d.points[b].Address) })
	at := divide(d.points, indices)
	for p, of := range d.of {
		if of > i {
			d.of[p]++
		}
	}
	for _, p := range indices[at:] {
		d.of[p] = i + 1
	}
	d.requests = slices.Replace(d.requests, i, i+1, newPlanned(cover(d.points, indices[:at])), newPlanned(cover(d.points, indices[at:])))
	if d.splitAt.IsZero() {
		d.splitAt = time.Now()
	}
	return true
}

// cover is the request that brings some points of one table, given by address.
func cover(points []Point, indices []int) Request {
	first := &points[indices[0]]
	r := Request{Table: first.Table, Address: first.Address}
	for _, i := range indices {
		r.Quantity = max(r.Quantity, uint16(points[i].end()-int(r.Address)))
	}
	return r
}

// divide is where to cut a list of points: in the widest gap, for an address that nobody asked for is the likeliest to be illegal; of
// equal gaps in the one nearest to the middle.
func divide(points []Point, indices []int) int {
	middle := len(indices) / 2
	at, widest := middle, 0
	end := points[indices[0]].end()
	for i := 1; i < len(indices); i++ {
		p := &points[indices[i]]
		gap := int(p.Address) - end
		if gap > widest || gap == widest && gap > 0 && distance(i, middle) < distance(at, middle) {
			at, widest = i, gap
		}
		end = max(end, p.end())
	}
	return at
}

func distance(a, b int) int { return max(a-b, b-a) }
