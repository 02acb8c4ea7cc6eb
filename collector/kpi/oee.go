package kpi

import (
	"math"
	"strconv"
)

// overall is OEE = availability · effectiveness · quality ratio, or NEE with APT and AUST in the place of availability's APT. Its Den is
// planned busy time and its Num the part of it that made good parts at the ideal pace, so that both may be added over windows. It may exceed
// 1 where effectiveness does.
func overall(f *Facts, net bool) Result {
	p := f.pace()
	q, _, _ := f.quality()
	if why, missing := worse(p, q); why != "" {
		return Result{Absent: why, Missing: missing, Inputs: joined(p.inputs, q.inputs)}
	}
	if r, gone := f.stateless(); gone {
		return r
	}
	of := f.reach(Planned)
	r := f.fromPace(p)
	r.note(basisPlanned, f.Shape.Basis)
	r.Quality, r.Inputs = weaker(r.Quality, q.grade), joined(r.Inputs, q.inputs)
	r.Coverage = Number(min(p.coverage, q.coverage))
	if over := overtime(f.Tally); over > 0 {
		r.note(basisOvertime, strconv.FormatInt(over, 10))
	}
	q.doubtful(&r)
	switch {
	case of.all > 0 && of.known == 0:
		return Result{Absent: NoData, Coverage: Number(0), Inputs: r.Inputs, Basis: r.Basis}
	case of.all == 0 || p.apt <= 0:
		return Result{Absent: ZeroDenominator, Coverage: r.Coverage, Inputs: r.Inputs, Basis: r.Basis}
	}
	busy := f.Tally.Times[Planned][APT]
	if net {
		busy += f.Tally.Times[Planned][AUST]
	}
	a := f.step(map[bool]string{false: "availability", true: "AUPT / PBT"}[net], float64(busy)/float64(of.all), "1", "")
	e := f.step("effectiveness", p.ideal*1000/float64(p.apt), "1", "Σ PRU·PQ / APT")
	v := f.step(f.id(), a*e*f.step("quality ratio", q.value, "1", "GQ / PQ"), "1", "product of the three")
	r.Value, r.Den, r.Num = Number(v), Number(float64(of.all)), Number(v*float64(of.all))
	r.Bounds = f.overallBounds(p, q, busy, net)
	if v > 1 {
		r.note(basisAbove, itIsSo)
	}
	return f.covered(r)
}

// worse is why a product of both is not known: what is missing goes before what went wrong.
func worse(p pace, q amount) (Absence, []string) {
	switch {
	case p.why == MissingInput && q.why == MissingInput:
		return MissingInput, union(p.missing, q.missing)
	case q.why == MissingInput || p.why == "":
		return q.why, q.missing
	}
	return p.why, p.missing
}

// overallBounds looks at the corners: more APT in planned time raises availability and lowers effectiveness, so neither all nor none of the
// unknown time need be the worst; as set-up, or as APT of an excluded program, it does the former alone. Nil if APT without its program's name
// may be all that there is.
func (f *Facts) overallBounds(p pace, q amount, busy int64, net bool) *[2]float64 {
	pbt, in, out := classTime(f.Tally, Planned), f.Tally.Times[Planned][Unknown], unplanned(f.Tally, Unknown)
	if p.apt <= f.Tally.Blind {
		return nil
	}
	low, high := math.Inf(1), math.Inf(-1)
	try := func(more, made int64) {
		for _, overtime := range [2]int64{0, out} {
			for _, blind := range [2]int64{0, f.Tally.Blind} {
				share := float64(busy+more) / float64(pbt) / float64(p.apt+made+overtime-blind) * 1000
				low, high = min(low, share*p.low*q.low), max(high, share*p.high*q.high)
			}
		}
	}
	try(0, 0)
	try(in, in)
	if net || f.warmsUp() {
		try(in, 0)
	}
	return &[2]float64{low, high}
}
