package modbus

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/millgate/millgate/drivers"
)

func pointAt(table Table, address int, typ string) Point {
	p := Point{Tag: &drivers.Tag{Name: fmt.Sprint(table, address, typ)}, Table: table, Address: uint16(address), Type: DataType{Name: typ}}
	if typ == "string" {
		p.Type.Chars = 40
	}
	p.Tag.Type = p.ValueType()
	return p
}

func TestPlan(t *testing.T) {
	points := []Point{
		pointAt(HoldingRegister, 20, "float32"), pointAt(HoldingRegister, 0, "uint16"), pointAt(HoldingRegister, 139, "uint16"),
		pointAt(Coil, 0, "bool"), pointAt(Coil, 1600, "bool"), pointAt(InputRegister, 0, "uint16"), pointAt(HoldingRegister, 0, "uint32"),
	}
	f := func(cfg Config, want ...Request) {
		t.Helper()
		cfg.Points = points
		if got := Plan(cfg); !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	line := LinkConfig{Endpoint: Endpoint{Transport: Serial, Framing: RTU}, Baud: 1200} // a register takes 17 ms
	coil, input := Request{Coil, 0, 1601}, Request{InputRegister, 0, 1}
	f(Config{}, coil, input, Request{HoldingRegister, 0, 22}, Request{HoldingRegister, 139, 1})
	f(Config{MaxRegisters: 21}, coil, input, Request{HoldingRegister, 0, 2}, Request{HoldingRegister, 20, 2}, Request{HoldingRegister, 139, 1})
	f(Config{MaxGap: 17}, Request{Coil, 0, 1}, Request{Coil, 1600, 1}, input, Request{HoldingRegister, 0, 2}, Request{HoldingRegister, 20, 2},
		Request{HoldingRegister, 139, 1})
	f(Config{Link: line}, Request{Coil, 0, 1}, Request{Coil, 1600, 1}, input, Request{HoldingRegister, 0, 2}, Request{HoldingRegister, 20, 2},
		Request{HoldingRegister, 139, 1})
}

// randomRules are limits, prices that rise with the quantity, and banned spans among the first addresses.
func randomRules(t *rapid.T) *rules {
	r := &rules{most: [2]int{rapid.IntRange(1, 16).Draw(t, "registers"), rapid.IntRange(1, 16).Draw(t, "bits")}, gap: math.MaxInt}
	if rapid.Bool().Draw(t, "gaps") {
		r.gap = rapid.IntRange(0, 6).Draw(t, "gap")
	}
	for class := range r.prices {
		price := time.Duration(rapid.IntRange(0, 30).Draw(t, "request"))
		for range 64 {
			r.prices[class] = append(r.prices[class], price)
			price += time.Duration(rapid.IntRange(0, 4).Draw(t, "unit"))
		}
	}
	for range rapid.IntRange(0, 3).Draw(t, "banned") {
		from := rapid.IntRange(0, 30).Draw(t, "from")
		r.banned = append(r.banned, span{Table(rapid.IntRange(1, 2).Draw(t, "table")), from, from + rapid.IntRange(1, 5).Draw(t, "length")})
	}
	slices.SortFunc(r.banned, compareSpans)
	return r
}

// may says from the words of the rules whether some items may share a request.
func (r *rules) may(items []item) bool {
	h, used := items[0].span, map[int]bool{}
	for _, it := range items {
		if it.Table != h.Table {
			return false
		}
		h.From, h.To = min(h.From, it.From), max(h.To, it.To)
		for a := it.From; a < it.To; a++ {
			used[a] = true
		}
	}
	gap := 0
	for a := h.From; a < h.To; a++ {
		if gap++; used[a] {
			gap = 0
		}
		if gap > r.gap {
			return false
		}
	}
	for _, b := range r.banned {
		if h.holds(b) {
			return false
		}
	}
	return h.len() <= r.most[h.Table.class()] || slices.ContainsFunc(items, func(it item) bool { return it.span == h })
}

// least is the lowest cost over all partitions of items into sets, not only into runs.
func (r *rules) least(items []item, sets [][]item) time.Duration {
	if len(items) == 0 {
		var sum time.Duration
		for _, s := range sets {
			if !r.may(s) {
				return math.MaxInt64
			}
			h := s[0].span
			for _, it := range s {
				h.From, h.To = min(h.From, it.From), max(h.To, it.To)
			}
			sum += r.prices[h.Table.class()][h.len()]
		}
		return sum
	}
	best := r.least(items[1:], append(slices.Clone(sets), []item{items[0]}))
	for i := range sets {
		if sets[i][0].Table != items[0].Table {
			continue
		}
		with := slices.Clone(sets)
		with[i] = append(slices.Clone(sets[i]), items[0])
		best = min(best, r.least(items[1:], with))
	}
	return best
}

// TestPlanAgainstBruteForce compares the cost with that of every partition of the points.
func TestPlanAgainstBruteForce(t *testing.T) {
	f := func(rt *rapid.T) {
		r := randomRules(rt)
		var points []Point
		for range rapid.IntRange(1, 7).Draw(rt, "points") {
			typ := rapid.SampledFrom([]string{"uint16", "uint32", "uint64", "string"}).Draw(rt, "type")
			table := Table(rapid.IntRange(1, 2).Draw(rt, "table"))
			if table.Bits() {
				typ = "bool"
			}
			points = append(points, pointAt(table, rapid.IntRange(0, 32).Draw(rt, "address"), typ))
		}
		var items []item
		for _, it := range itemsOf(points) {
			if r.may([]item{it}) {
				items = append(items, it)
			}
		}
		jobs, n := r.plan(items), 0
		for _, j := range jobs {
			if n += len(j.items); !r.may(j.items) {
				rt.Fatalf("%v breaks a rule", j)
			}
			for _, it := range j.items {
				if !j.holds(it.span) {
					rt.Fatalf("%v does not bring %v", j, it)
				}
			}
		}
		if n != len(items) {
			rt.Fatalf("%d of %d items are brought", n, len(items))
		}
		if got, best := r.cost(jobs), r.least(items, nil); got != best {
			rt.Fatalf("%v costs %d, but %d is enough", jobs, got, best)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		for range 30 { // thousands of maps
			f(rt)
		}
	})
}

// BenchmarkPlan10000 plans 10,000 points of registers and bits.
func BenchmarkPlan10000(b *testing.B) {
	f := func(name string, step int, tables ...Table) {
		b.Run(name, func(b *testing.B) {
			rnd := rand.New(rand.NewPCG(1, 2))
			cfg := Config{}
			next := [4]int{}
			for i := range 10_000 {
				t := tables[i%len(tables)]
				typ := "bool"
				if !t.Bits() {
					typ = []string{"uint16", "float32", "uint64"}[rnd.IntN(3)]
				}
				p := pointAt(t, next[t], typ)
				next[t] = p.end() + rnd.IntN(step)
				cfg.Points = append(cfg.Points, p)
			}
			for b.Loop() {
				Plan(cfg)
			}
		})
	}
	f("mixed dense", 1, Coil, DiscreteInput, InputRegister, HoldingRegister)
	f("mixed sparse", 14, Coil, DiscreteInput, InputRegister, HoldingRegister)
	f("bits dense", 1, Coil)
	f("registers sparse", 4, HoldingRegister)
}
