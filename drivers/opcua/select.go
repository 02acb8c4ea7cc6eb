package opcua

import (
	"fmt"
	"strconv"
	"strings"
)

// Step is one step into a value: into a field of a structure, or to an element.
type Step struct {
	Field string // empty: an element
	Index int    // of the element, from 0
}

// maxSteps bounds a Select, maxElement an index.
const (
	maxSteps   = 32
	maxElement = 1<<31 - 1
)

// ParseSelect reads what Point.Select says: any number of .Field and [index], from the outside in. An element of a matrix is [1,2] or [1][2].
// The empty text is no step: the whole value.
func ParseSelect(s string) ([]Step, error) {
	var steps []Step
	for rest := s; rest != ""; {
		var part string
		open := rest[0]
		rest = rest[1:]
		switch open {
		case '.':
			end := strings.IndexAny(rest, ".[")
			if end < 0 {
				end = len(rest)
			}
			part, rest = rest[:end], rest[end:]
			if part == "" || strings.ContainsAny(part, "]\x00") {
				return nil, fmt.Errorf("select %q: a field's name is expected after each dot, as in .Axis[2].Load", s)
			}
			steps = append(steps, Step{Field: part})
		case '[':
			part, tail, closed := strings.Cut(rest, "]")
			if !closed {
				return nil, fmt.Errorf("select %q: the bracket is not closed; an element is [3], of a matrix [1,2]", s)
			}
			rest = tail
			for number := range strings.SplitSeq(part, ",") {
				i, err := strconv.ParseUint(number, 10, 32)
				if err != nil || i > maxElement {
					return nil, fmt.Errorf("select %q: an element is a number from 0, as in [3], of a matrix [1,2]", s)
				}
				steps = append(steps, Step{Index: int(i)})
			}
		default:
			return nil, fmt.Errorf("select %q: begin with .Field or [3]", s)
		}
		if len(steps) > maxSteps {
			return nil, fmt.Errorf("select %q: more than %d steps", s, maxSteps)
		}
	}
	return steps, nil
}
