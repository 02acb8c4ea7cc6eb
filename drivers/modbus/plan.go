package modbus

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"time"
)

// MaxRegisters and MaxBits are the largest quantities of one read (MODBUS Application Protocol Specification V1.1b3, 6.1 to 6.4).
const (
	MaxRegisters = 125
	MaxBits      = 2000
)

// maxQuantity is that by class of table.
var maxQuantity = [2]int{MaxRegisters, MaxBits}

// Request is one planned read.
type Request struct {
	Table    Table
	Address  uint16
	Quantity uint16
}

// Plan is the requests that bring the points of cfg at the least cost on its link (see LinkConfig.Cost), if the device has all addresses
// between them and refuses no quantity that cfg and the protocol allow. A value is never split over two requests.
func Plan(cfg Config) []Request {
	var requests []Request
	for _, j := range newRules(cfg).plan(itemsOf(cfg.Points)) {
		requests = append(requests, j.request())
	}
	return requests
}

// CycleCost is what one cycle of cfg takes of its link: the sum of the costs of Plan.
func CycleCost(cfg Config) time.Duration {
	r := newRules(cfg)
	return r.cost(r.plan(itemsOf(cfg.Points)))
}

// span is a run of addresses of one table.
type span struct {
	Table Table `json:"table"`
	From  int   `json:"from"`
	To    int   `json:"to"` // the address behind the last one
}

func (s span) len() int { return s.To - s.From }

func (s span) holds(o span) bool { return s.Table == o.Table && s.From <= o.From && o.To <= s.To }

func (s span) request() Request { return Request{s.Table, uint16(s.From), uint16(s.len())} }

// compareSpans puts them in the order of tables and addresses, of those that begin together the longest first.
func compareSpans(a, b span) int {
	return cmp.Or(cmp.Compare(a.Table, b.Table), cmp.Compare(a.From, b.From), cmp.Compare(b.To, a.To))
}

// item is addresses that are read together, and the points that take just these.
type item struct {
	span
	points []int
}

// job is a request and the items that it brings. One without items is asked for what its fate says.
type job struct {
	span
	items []item
}

// needed says that no shorter request brings the longest of the items.
func (j job) needed() bool { return len(j.items) > 0 && j.items[0].span == j.span }

// itemsOf is the points as items in order.
func itemsOf(points []Point) []item {
	order := make([]int, len(points))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return compareSpans(points[a].span(), points[b].span()) })
	var items []item
	for from, behind := 0, 0; from < len(order); from = behind {
		s := points[order[from]].span()
		for behind = from + 1; behind < len(order) && points[order[behind]].span() == s; behind++ {
		}
		items = append(items, item{s, order[from:behind:behind]})
	}
	return slices.Clip(items)
}

// hull is the request that brings some items of one table, given in order.
func hull(items []item) job {
	j := job{items[0].span, items}
	for _, it := range items {
		j.To = max(j.To, it.To)
	}
	return j
}

// rules are what a plan keeps to.
type rules struct {
	most   [2]int             // the largest quantity, by class; an item that is longer is still asked for alone
	gap    int                // how many addresses between two items may be read along
	banned []span             // in order: a request must hold none of them
	prices [2][]time.Duration // what a request takes, by class and quantity; shared, and never changed
}

// class is 0 for tables of registers and 1 for tables of bits: their quantities have nothing to do with each other.
func (t Table) class() int {
	if t.Bits() {
		return 1
	}
	return 0
}

func newRules(cfg Config) *rules {
	r := &rules{most: maxQuantity, gap: cfg.MaxGap}
	if cfg.MaxRegisters > 0 {
		r.most[0] = cfg.MaxRegisters
	}
	switch cfg.MaxGap {
	case 0:
		r.gap = math.MaxInt
	case -1:
		r.gap = 0
	}
	r.prices = pricesOf(cfg.Link)
	return r
}

// priceLists are those of the links that there are, by their settings: most of a hundred links have the same.
var priceLists sync.Map

// pricesOf is the cost of each request by class and quantity.
func pricesOf(link LinkConfig) (prices [2][]time.Duration) {
	link.Endpoint.Address, link.Registration = "", "" // cost nothing
	if known, ok := priceLists.Load(link); ok {
		return known.([2][]time.Duration)
	}
	for class, t := range [...]Table{HoldingRegister, Coil} {
		prices[class] = make([]time.Duration, maxQuantity[class]+1)
		for n := range prices[class] {
			prices[class][n] = link.Cost(Request{Table: t, Quantity: uint16(n)})
		}
	}
	priceLists.Store(link, prices)
	return prices
}

// cost is what the jobs take of the link together.
func (r *rules) cost(jobs []job) (sum time.Duration) {
	for _, j := range jobs {
		sum += r.prices[j.Table.class()][j.len()]
	}
	return sum
}

// plan is the cheapest jobs that bring all items. The items are in order, and none holds a banned span.
//
// It looks at runs of items only, and that is enough. Take any requests that bring all items. One that lies within another is not
// needed: what it brings the other brings too. Of the rest, in the order of their beginnings, the ends rise as well. Give each item to
// the last request that begins at or before it: if any request holds the item this one does, for it ends last. Items in order then go
// to requests in order, hence in runs. A request has lost only items at its end and its hull has become no longer, so that it still
// keeps to the limits, has no wider gap, holds no banned span, and costs no more.
//
// What the items from i on cost at least is thus the least, over the runs that begin with i, of the run's cost and that of the items
// behind it. A run that breaks a rule does so however it goes on: there the search ends.
func (r *rules) plan(items []item) []job {
	n := len(items)
	least, next := make([]time.Duration, n+1), make([]int, n)
	wall, k := math.MaxInt, len(r.banned) // a request from item i on must end before wall
	for i := n - 1; i >= 0; i-- {
		if i < n-1 && items[i].Table != items[i+1].Table {
			wall = math.MaxInt
		}
		for ; k > 0 && cmp.Or(cmp.Compare(r.banned[k-1].Table, items[i].Table), cmp.Compare(r.banned[k-1].From, items[i].From)) >= 0; k-- {
			if r.banned[k-1].Table == items[i].Table {
				wall = min(wall, r.banned[k-1].To)
			}
		}
		least[i], next[i] = r.run(items[i:], least[i:], wall)
		next[i] += i
	}
	var jobs []job
	for i := 0; i < n; i = next[i] {
		jobs = append(jobs, hull(items[i:next[i]]))
	}
	return jobs
}

// run is the best run from the first item on: what it and the items behind it cost, and how long it is.
func (r *rules) run(items []item, least []time.Duration, wall int) (best time.Duration, n int) {
	table, start, end, class := items[0].Table, items[0].From, items[0].To, items[0].Table.class()
	prices, last := r.prices[class], min(start+max(r.most[class], items[0].len()), wall-1)
	best = math.MaxInt64
	for j := 1; ; j++ {
		if c := prices[end-start] + least[j]; c <= best {
			best, n = c, j
		}
		if j == len(items) || items[j].Table != table || items[j].From-end > r.gap || items[j].To > last {
			return best, n
		}
		end = max(end, items[j].To)
	}
}

func (p *Point) end() int { return int(p.Address) + p.width() }

func (p *Point) span() span { return span{p.Table, int(p.Address), p.end()} }

// width is how many addresses the point takes in its table.
func (p *Point) width() int {
	if p.Table.Bits() {
		return 1
	}
	return p.Type.Registers()
}
