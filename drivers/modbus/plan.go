package modbus

import (
	"cmp"
	"slices"
)

const (
	// MaxRegisters and MaxBits are the largest quantities of one read (MODBUS Application Protocol Specification V1.1b3, 6.1 to 6.4).
	MaxRegisters = 125
	MaxBits      = 2000

	// defaultMaxGap is how many registers nobody asked for are read to save a request. On Modbus TCP a request and its answer cost
	// 12 + 9 bytes and a turn of the device's cycle, a register 2 bytes: 16 registers are cheaper than another request.
	defaultMaxGap = 16
)

// Request is one planned read.
type Request struct {
	Table    Table
	Address  uint16
	Quantity uint16
}

// Plan merges points into as few requests as the limits allow: none longer than maxRegisters (0: 125) or 2000 bits, none with a gap of
// more than maxGap addresses (0: the default, -1: none). A value is never split over two requests. Taking points by address and
// filling each request as far as it goes gives the fewest: a request that ended earlier could only make the next one begin earlier.
func Plan(points []Point, maxRegisters, maxGap int) []Request {
	requests, _ := plan(points, maxRegisters, maxGap)
	return requests
}

// plan also says which request brings each point.
func plan(points []Point, maxRegisters, maxGap int) (requests []Request, of []int) {
	if maxRegisters == 0 {
		maxRegisters = MaxRegisters
	}
	switch maxGap {
	case 0:
		maxGap = defaultMaxGap
	case -1:
		maxGap = 0
	}
	order := make([]int, len(points))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		p, q := &points[a], &points[b]
		return cmp.Or(cmp.Compare(p.Table, q.Table), cmp.Compare(p.Address, q.Address), cmp.Compare(p.end(), q.end()))
	})
	of = make([]int, len(points))
	for _, i := range order {
		p := &points[i]
		limit := maxRegisters
		if p.Table.Bits() {
			limit = MaxBits
		}
		if last := len(requests) - 1; last >= 0 && requests[last].extend(p, limit, maxGap) {
			of[i] = last
			continue
		}
		of[i] = len(requests)
		requests = append(requests, Request{p.Table, p.Address, uint16(p.width())})
	}
	return requests, of
}

// extend makes r longer so that it brings p too, if it may.
func (r *Request) extend(p *Point, limit, maxGap int) bool {
	end := max(r.end(), p.end())
	if r.Table != p.Table || end-int(r.Address) > limit || int(p.Address)-r.end() > maxGap {
		return false
	}
	r.Quantity = uint16(end - int(r.Address))
	return true
}

// end is the address behind the last one.
func (r *Request) end() int { return int(r.Address) + int(r.Quantity) }

func (p *Point) end() int { return int(p.Address) + p.width() }

// width is how many addresses the point takes in its table.
func (p *Point) width() int {
	if p.Table.Bits() {
		return 1
	}
	return p.Type.Registers()
}
