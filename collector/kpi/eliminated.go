package kpi

import (
	"slices"
	"strings"
)

// Keys of Result.Basis that the formula of elimination uses.
const (
	basisLines      = "lines"      // ids of the lines that the model is on
	basisConditions = "conditions" // which must hold too, and which nobody here knows
	basisLists      = "lists"      // which were searched
)

// eliminationSuspected compares the model with the elimination lists. A hit is never more than suspected: a line has conditions that the ledger
// does not know, and a model may be written in more than one way. "none_found" says what was searched, not that there is none.
func eliminationSuspected(f *Facts) Result {
	model := plainModel(f.Equipment.Nameplate.Model)
	if model == "" {
		return absent(MissingInput, "model")
	}
	if len(f.Catalogue.Eliminated) == 0 {
		return absent(MissingInput, "elimination_list")
	}
	var lines, conditions, lists, doubts []string
	for i := range f.Catalogue.Eliminated {
		e := &f.Catalogue.Eliminated[i]
		if len(e.Categories) > 0 && !slices.Contains(e.Categories, f.Equipment.Category) {
			continue
		}
		lists = append(lists, e.Source.Name)
		if !slices.ContainsFunc(e.Models, func(pattern string) bool { return matches(plainModel(pattern), model) }) {
			continue
		}
		lines = append(lines, e.ID)
		if e.Condition.ZH != "" {
			conditions = append(conditions, e.Condition.ZH)
		}
		if !e.Source.Verified {
			doubts = append(doubts, e.ID)
		}
	}
	r := Result{Class: "none_found", Quality: Manual}
	r.note(basisLists, strings.Join(sorted(lists), ","))
	if len(lines) > 0 {
		r.Class, r.Doubts = "suspected", sorted(doubts)
		r.note(basisLines, strings.Join(sorted(lines), ","))
		r.note(basisConditions, strings.Join(conditions, "；"))
	}
	return r
}

// sorted is a sorted copy without what is twice.
func sorted(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}

// plainModel is a model without what people write in one way or another: case, spaces, full-width characters, kinds of dashes and of crosses.
func plainModel(model string) string {
	var b strings.Builder
	for _, r := range model {
		if r >= '！' && r <= '～' {
			r -= '！' - '!'
		}
		switch r {
		case ' ', '\t', '\u00a0', '\u3000':
			continue
		case '‐', '‑', '‒', '–', '—', '―', '−':
			r = '-'
		case '×', '✕':
			r = 'X'
		case '∕', '⁄':
			r = '/'
		}
		b.WriteRune(r)
	}
	return strings.ToUpper(b.String())
}

// matches says whether all of s is as the pattern has it, with * for anything, also nothing.
func matches(pattern, s string) bool {
	head, rest, wild := strings.Cut(pattern, "*")
	if !strings.HasPrefix(s, head) {
		return false
	}
	s = s[len(head):]
	if !wild {
		return s == ""
	}
	for i := 0; i <= len(s); i++ {
		if matches(rest, s[i:]) {
			return true
		}
	}
	return false
}
