package worker

import (
	"fmt"
	"strings"
	"unicode"
)

const maxTagName = 100 // characters, before what tells elements apart

// slug is a browse name as a part of a tag's name: ASCII letters, digits and _, in lower case, FeedOverride as feed_override. Empty if nothing
// of it can be kept.
func slug(name string) string {
	var out strings.Builder
	var last rune
	gap := false
	for _, c := range name {
		switch {
		case c < unicode.MaxASCII && (unicode.IsLetter(c) || unicode.IsDigit(c)):
			if out.Len() > 0 && (gap || unicode.IsUpper(c) && unicode.IsLower(last)) {
				out.WriteByte('_')
			}
			out.WriteRune(unicode.ToLower(c))
			gap = false
		default:
			gap = true
		}
		last = c
	}
	return out.String()
}

// nodeNames is the slugs of the browse names that lead to a node, the last first. A name of which nothing can be kept gives way to the NodeID.
func (b *browsed) nodeNames() (names []string) {
	for n := b; n != nil && (n.parent != nil || n == b); n = n.parent {
		name := slug(n.name)
		if name == "" {
			name = slug(n.id.StringID())
		}
		if name == "" && n.id.IntID() != 0 {
			name = fmt.Sprintf("n%d", n.id.IntID())
		}
		if name != "" {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		names = []string{"node"}
	}
	return names
}

// namesFor is a name for each node: the shortest end of its path that no other one has.
func namesFor(list []*browsed, taken map[string]bool) []string {
	parts := make([][]string, len(list))
	levels := make([]int, len(list))
	for i, n := range list {
		parts[i], levels[i] = n.nodeNames(), 1
	}
	name := func(i int) string {
		out := parts[i][0]
		for _, p := range parts[i][1:levels[i]] {
			out = p + "_" + out
		}
		if len(out) > maxTagName {
			out = strings.TrimLeft(out[len(out)-maxTagName:], "_")
		}
		return out
	}
	for longer := true; longer; {
		longer = false
		same := map[string]int{}
		for i := range list {
			same[name(i)]++
		}
		for i := range list {
			if now := name(i); (same[now] > 1 || taken[now]) && levels[i] < len(parts[i]) {
				levels[i]++
				longer = true
			}
		}
	}
	names := make([]string, len(list))
	for i := range list {
		names[i] = name(i)
	}
	return names
}

// selectName is a Select as the end of a tag's name: x[3] of an array, x.f of a structure, x[1][2] of a matrix.
func selectName(sel string) string {
	return strings.Map(func(c rune) rune {
		if c < unicode.MaxASCII && (unicode.IsLetter(c) || unicode.IsDigit(c)) || strings.ContainsRune("_.[]-", c) {
			return c
		}
		return '_'
	}, sel)
}

// unique is the name, with a number behind it if it is taken.
func unique(name string, taken map[string]bool) string {
	out := name
	for i := 2; taken[out]; i++ {
		out = fmt.Sprintf("%s_%d", name, i)
	}
	taken[out] = true
	return out
}
