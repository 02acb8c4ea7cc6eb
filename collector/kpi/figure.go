package kpi

import (
	"maps"
	"math"
	"strconv"
)

// figure is a quantity of a window, with all that must be said of it.
type figure struct {
	value     float64
	low, high float64 // what it may be for all that is known; infinite where no bound is known
	said
}

// said is what must be said of a figure. Combining figures takes the weakest of it.
type said struct {
	coverage float64 // 0 to 1
	quality  Grade
	inputs   []string
	basis    map[string]string
	doubts   []string
	broken   int // resets and spikes of counters
	swapped  int // told changes of meters
}

// exact is a figure that does not depend on the window.
func exact(v float64) figure {
	return figure{value: v, low: v, high: v, said: said{coverage: 1, quality: Measured}}
}

// note says key and value in the basis; an empty value is not said.
func (s *said) note(key, value string) {
	if value == "" {
		return
	}
	basis := make(map[string]string, len(s.basis)+1) // others may hold the one there is
	maps.Copy(basis, s.basis)
	basis[key] = value
	s.basis = basis
}

// doubt names a figure of the catalogue if nobody has compared it with its source.
func (s *said) doubt(src Source, name string) {
	if !src.Verified {
		s.doubts = joined(s.doubts, []string{name})
	}
}

// with is s and o together.
func (s said) with(o said) said {
	s.coverage = min(s.coverage, o.coverage)
	s.quality = weaker(s.quality, o.quality)
	s.inputs = merged(s.inputs, o.inputs)
	s.doubts = merged(s.doubts, o.doubts)
	s.broken += o.broken
	s.swapped += o.swapped
	if s.basis == nil {
		s.basis = o.basis
		return s
	}
	if len(o.basis) > 0 {
		s.basis = maps.Clone(s.basis)
		maps.Copy(s.basis, o.basis)
	}
	return s
}

// merged is joined without the work where there is nothing to join.
func merged(a, b []string) []string {
	switch {
	case len(b) == 0:
		return a
	case len(a) == 0:
		return b
	}
	return joined(a, b)
}

// plus is a + b.
func (a figure) plus(b figure) figure {
	return figure{a.value + b.value, a.low + b.low, a.high + b.high, a.with(b.said)}
}

// minus is a − b.
func (a figure) minus(b figure) figure {
	return figure{a.value - b.value, a.low - b.high, a.high - b.low, a.with(b.said)}
}

// times is a · b.
func (a figure) times(b figure) figure {
	low, high := scaled(a, b.low, b.high)
	return figure{a.value * b.value, low, high, a.with(b.said)}
}

// over is a / b of a positive b. Nothing bounds it if b may be 0.
func (a figure) over(b figure) figure {
	low, high := math.Inf(-1), inf
	if b.low > 0 {
		low, high = scaled(a, 1/b.low, 1/b.high)
	}
	v := a.value / b.value
	return figure{v, min(v, low), max(v, high), a.with(b.said)} // a quotient and a product with 1/b are rounded differently
}

// scaled is the range of a times what lies between x and y.
func scaled(a figure, x, y float64) (low, high float64) {
	low, high = inf, math.Inf(-1)
	for _, p := range []float64{a.low * x, a.low * y, a.high * x, a.high * y} {
		if p != p { // 0 times what has no bound
			p = 0
		}
		low, high = min(low, p), max(high, p)
	}
	return low, high
}

// positive lifts what can not be negative to 0 if that is within its bounds; else its inputs contradict each other.
func (a figure) positive() (figure, *Result) {
	if a.high < 0 {
		return a, refused(Contradiction, a.inputs...)
	}
	a.value, a.low = max(0, a.value), max(0, a.low)
	return a, nil
}

// refused is absent, for functions that give a figure or the reason why there is none.
func refused(why Absence, missing ...string) *Result {
	r := absent(why, missing...)
	return &r
}

// result publishes a, if enough of the window is known.
func (f *Facts) result(a figure) Result {
	coverage := min(1, max(0, a.coverage))
	f.step(f.id(), a.value, f.Definition.Unit, "")
	if a.broken > 0 {
		a.note(basisDoubts, strconv.Itoa(a.broken))
	}
	if a.swapped > 0 {
		a.note(basisSwaps, strconv.Itoa(a.swapped))
	}
	r := Result{
		Value: Number(a.value), Coverage: Number(coverage), Quality: a.quality,
		Inputs: a.inputs, Basis: a.basis, Doubts: a.doubts,
	}
	if a.high-a.low <= math.MaxFloat64 {
		r.Bounds = &[2]float64{a.low, a.high}
	}
	return f.covered(r)
}

// ratio publishes num / den.
func (f *Facts) ratio(num, den figure) Result {
	if den.value <= 0 {
		return absent(ZeroDenominator, den.inputs...)
	}
	f.step("numerator", num.value, "", "")
	f.step("denominator", den.value, "", "")
	r := f.result(num.over(den))
	if r.Absent == "" {
		r.Num, r.Den = Number(num.value), Number(den.value)
	}
	return r
}

// constant is a figure of the catalogue, such as the heat of a kilogram of standard coal; ok is false if there is none of that id.
func constant(f *Facts, id string) (a figure, ok bool) {
	for _, c := range f.Catalogue.Constants {
		if c.ID == id {
			a = exact(f.step(id, c.Value, c.Unit, c.Source.Name))
			a.doubt(c.Source, "constant/"+id)
			return a, true
		}
	}
	return figure{}, false
}

// constantsOf are several constants; missing names the first that is not there.
func constantsOf(f *Facts, ids ...string) (all []figure, missing *Result) {
	for _, id := range ids {
		c, ok := constant(f, id)
		if !ok {
			return nil, refused(MissingInput, "constant/"+id)
		}
		all = append(all, c)
	}
	return all, nil
}

var inf = math.Inf(1)
