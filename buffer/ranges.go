package buffer

import "slices"

// Range is the seqs From to To, both included.
type Range struct {
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
}

// ranges is a set of seqs: sorted, disjoint, with a gap between neighbours.
type ranges []Range

// add puts in from..to and says how many were new.
func (s *ranges) add(from, to uint64) (added uint64) {
	if from > to {
		return 0
	}
	i, _ := slices.BinarySearchFunc(*s, from, func(r Range, from uint64) int { // first range that from..to may touch
		if r.To+1 < from {
			return -1
		}
		return 1
	})
	merged, added := Range{from, to}, to-from+1
	j := i
	for j < len(*s) && (*s)[j].From <= to+1 {
		r := (*s)[j]
		if lo, hi := max(r.From, from), min(r.To, to); lo <= hi {
			added -= hi - lo + 1
		}
		merged = Range{min(merged.From, r.From), max(merged.To, r.To)}
		j++
	}
	*s = slices.Replace(*s, i, j, merged)
	return added
}

func (s ranges) has(seq uint64) bool { return s.after(seq-1) != seq }

// after is the first seq above seq that is not in the set.
func (s ranges) after(seq uint64) uint64 {
	next := seq + 1
	for _, r := range s {
		if r.From > next {
			break
		}
		next = max(next, r.To+1)
	}
	return next
}

// missing lists what of from..to is not in the set.
func (s ranges) missing(from, to uint64) []Range {
	var out []Range
	for next := s.after(from - 1); next <= to; {
		end := to
		for _, r := range s {
			if r.From > next {
				end = min(end, r.From-1)
				break
			}
		}
		out = append(out, Range{next, end})
		next = s.after(end)
	}
	return out
}
