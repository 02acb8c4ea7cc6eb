package buffer

import (
	"testing"

	"pgregory.net/rapid"
)

// TestRangesAgainstSet compares with the plain set of numbers.
func TestRangesAgainstSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s ranges
		set := map[uint64]bool{}
		for range rapid.IntRange(0, 30).Draw(t, "adds") {
			from := rapid.Uint64Range(1, 60).Draw(t, "from")
			to := from + rapid.Uint64Range(0, 5).Draw(t, "length")
			var fresh uint64
			for seq := from; seq <= to; seq++ {
				if !set[seq] {
					fresh++
				}
				set[seq] = true
			}
			if got := s.add(from, to); got != fresh {
				t.Fatalf("add %d..%d said %d are new, want %d", from, to, got, fresh)
			}
		}
		for i, r := range s {
			if r.From > r.To || (i > 0 && s[i-1].To+1 >= r.From) {
				t.Fatalf("not canonical: %v", s)
			}
		}
		gone := map[uint64]bool{}
		for _, r := range s.missing(1, 70) {
			for seq := r.From; seq <= r.To; seq++ {
				gone[seq] = true
			}
		}
		for seq := uint64(1); seq <= 70; seq++ {
			if s.has(seq) != set[seq] || gone[seq] == set[seq] {
				t.Fatalf("seq %d: in set %v, has %v, missing %v; %v", seq, set[seq], s.has(seq), gone[seq], s)
			}
			next := seq
			for set[next] {
				next++
			}
			if got := s.after(seq - 1); got != next {
				t.Fatalf("after %d: got %d, want %d; %v", seq-1, got, next, s)
			}
		}
	})
}
