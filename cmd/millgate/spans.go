package main

import "slices"

// span is the numbers from to to, both included.
type span struct{ from, to uint64 }

// spans is a set of numbers, as ascending spans that do not touch.
type spans []span

// add puts s into the set.
func (set *spans) add(s span) {
	var out spans
	for i, t := range *set {
		switch {
		case t.to < s.from && s.from-t.to > 1:
			out = append(out, t)
		case s.to < t.from && t.from-s.to > 1:
			*set = append(append(out, s), (*set)[i:]...)
			return
		default:
			s = span{min(s.from, t.from), max(s.to, t.to)}
		}
	}
	*set = append(out, s)
}

// remove takes s out of the set; it is what of s was in it.
func (set *spans) remove(s span) (taken spans) {
	var out spans
	for _, t := range *set {
		if t.to < s.from || s.to < t.from {
			out = append(out, t)
			continue
		}
		taken = append(taken, span{max(s.from, t.from), min(s.to, t.to)})
		if t.from < s.from {
			out = append(out, span{t.from, s.from - 1})
		}
		if s.to < t.to {
			out = append(out, span{s.to + 1, t.to})
		}
	}
	*set = out
	return taken
}

// has says whether n is in the set.
func (set spans) has(n uint64) bool {
	return slices.ContainsFunc(set, func(s span) bool { return s.from <= n && n <= s.to })
}

// count is how many numbers are in the set.
func (set spans) count() (n uint64) {
	for _, s := range set {
		n += s.to - s.from + 1
	}
	return n
}
