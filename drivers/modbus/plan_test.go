package modbus

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestPlan(t *testing.T) {
	at := func(table Table, address uint16, typ string) Point {
		p := point(t, typ, ABCD, "", "")
		p.Table, p.Address = table, address
		return p
	}
	got := Plan([]Point{
		at(HoldingRegister, 20, "float32"), at(HoldingRegister, 0, "uint16"), at(HoldingRegister, 39, "uint16"),
		at(Coil, 0, "bool"), at(Coil, 16, "bool"), at(InputRegister, 0, "uint16"), at(HoldingRegister, 0, "uint32"),
	}, 0, 0)
	want := []Request{
		{Coil, 0, 17}, {InputRegister, 0, 1}, {HoldingRegister, 0, 2}, {HoldingRegister, 20, 2}, {HoldingRegister, 39, 1},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestPlanAgainstBruteForce tries every way to cut the sorted points into requests, and compares the number.
func TestPlanAgainstBruteForce(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		most, gap := rapid.IntRange(4, 12).Draw(rt, "max_registers"), rapid.IntRange(1, 6).Draw(rt, "max_gap")
		var points []Point
		for range rapid.IntRange(1, 9).Draw(rt, "points") {
			p := point(t, rapid.SampledFrom([]string{"uint16", "uint32", "uint64"}).Draw(rt, "type"), ABCD, "", "")
			p.Address = uint16(rapid.IntRange(0, 40).Draw(rt, "address"))
			points = append(points, p)
		}
		requests, of := plan(points, most, gap)
		for i, p := range points {
			if r := requests[of[i]]; p.Address < r.Address || p.end() > r.end() {
				rt.Fatalf("%v does not bring the point at %d", r, p.Address)
			}
		}
		for i, r := range requests {
			if int(r.Quantity) > most {
				rt.Fatalf("%v is longer than %d", r, most)
			}
			if g := widestGap(points, of, i, r); g > gap {
				rt.Fatalf("%v has a gap of %d", r, g)
			}
		}
		sorted := slices.Clone(points)
		slices.SortStableFunc(sorted, func(a, b Point) int {
			if a.Address != b.Address {
				return int(a.Address) - int(b.Address)
			}
			return a.end() - b.end()
		})
		if best := fewest(sorted, most, gap); len(requests) != best {
			rt.Fatalf("%d requests %v, but %d are enough", len(requests), requests, best)
		}
	})
}

func widestGap(points []Point, of []int, request int, r Request) (widest int) {
	used := make([]bool, r.Quantity)
	for i, p := range points {
		if of[i] == request {
			for w := range p.width() {
				used[int(p.Address-r.Address)+w] = true
			}
		}
	}
	run := 0
	for _, u := range used {
		run++
		if u {
			run = 0
		}
		widest = max(widest, run)
	}
	return widest
}

// fewest is the least number of requests for points in this order, over all cuts.
func fewest(points []Point, most, gap int) int {
	if len(points) == 0 {
		return 0
	}
	best := len(points)
	start, end := int(points[0].Address), points[0].end()
	for n := 1; ; n++ {
		best = min(best, 1+fewest(points[n:], most, gap))
		if n == len(points) || int(points[n].Address)-end > gap || max(end, points[n].end())-start > most {
			return best
		}
		end = max(end, points[n].end())
	}
}
