package opcua

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestParseSelect(t *testing.T) {
	for text, want := range map[string][]Step{
		"":              nil,
		"[3]":           {{Index: 3}},
		"[1,2]":         {{Index: 1}, {Index: 2}},
		"[1][2]":        {{Index: 1}, {Index: 2}},
		".Load":         {{Field: "Load"}},
		".Axis[2].Load": {{Field: "Axis"}, {Index: 2}, {Field: "Load"}},
		".转速":           {{Field: "转速"}},
	} {
		if got, err := ParseSelect(text); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"Load", "[", "[]", "[1", "[-1]", "[1,]", "[x]", "[4294967296]", ".", "..A", ".A.", ".A]", "[1]A", ".A\x00", strings.Repeat("[0]", 33)} {
		if got, err := ParseSelect(text); err == nil {
			t.Errorf("%q is accepted: %v", text, got)
		}
	}
}

func FuzzSelect(f *testing.F) {
	for _, s := range []string{"", "[3]", "[1,2]", ".Axis[2].Load", ".a[", "[99999999999]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		steps, err := ParseSelect(s)
		if err != nil {
			if steps != nil {
				t.Errorf("steps beside the error: %v", steps)
			}
			return
		}
		var b strings.Builder
		for _, step := range steps {
			if step.Field != "" {
				b.WriteString("." + step.Field)
			} else {
				b.WriteString("[" + strconv.Itoa(step.Index) + "]")
			}
		}
		if again, err := ParseSelect(b.String()); err != nil || !slices.Equal(again, steps) {
			t.Errorf("%q is %v, and written again %q is %v, %v", s, steps, b.String(), again, err)
		}
	})
}
