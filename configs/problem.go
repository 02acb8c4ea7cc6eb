package configs

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one mistake, where it stands and the way out.
type Problem struct {
	File    string `json:"file"`
	Line    int    `json:"line"`           // from 1; 0 if the whole file is meant
	Column  int    `json:"column"`         // of a table: the number of the cell in its line
	Cell    string `json:"cell,omitempty"` // of a table: as a spreadsheet names it
	Message string `json:"message"`
}

func (p Problem) String() string {
	if p.Line == 0 {
		return p.File + ": " + p.Message
	}
	at := fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
	if p.Cell != "" {
		at += " (cell " + p.Cell + ")"
	}
	return at + ": " + p.Message
}

// Problems is an error that lists them by position, one a line.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i := range p {
		lines[i] = p[i].String()
	}
	return strings.Join(lines, "\n")
}

// sorted is p by position, without repetitions: a mistake in a map is met by each device that uses it.
func (p Problems) sorted() Problems {
	slices.SortStableFunc(p, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return slices.Compact(p)
}

// Suggestion is the known word nearest to s, as "; did you mean …?" for the end of a message; empty if none is near.
func Suggestion(s string, known []string) string { return suggestion(s, known) }

// suggestion is the known word nearest to s as ": did you mean …?", or nothing if none is near.
func suggestion(s string, known []string) string {
	best, distance := "", 3
	for _, k := range known {
		if d := editDistance(s, k); d < distance {
			best, distance = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// editDistance is Levenshtein's.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
