package kpi

import (
	"slices"
	"testing"
)

func TestEliminationSuspected(t *testing.T) {
	list := Source{Name: "list of a test"}
	cat := &Catalogue{Eliminated: []Eliminated{
		{ID: "test-motor", Categories: []string{"motor"}, Models: []string{"TM-*L"}, Condition: Text{ZH: "机座号 63 至 355"}, Source: list},
		{ID: "test-fan", Models: []string{"1-23", "4.5×6"}, Source: Source{Name: "another", Verified: true}},
		{ID: "test-frame", Categories: []string{"motor"}, Models: []string{"tm-160l"}, Condition: Text{ZH: "660 V 及以下"}, Source: list},
	}}
	for model, c := range map[string]struct {
		category, class, lines, conditions string
		doubts                             []string
	}{
		"TM-160M":  {"motor", "none_found", "", "", nil},
		"TM-112L":  {"motor", "suspected", "test-motor", "机座号 63 至 355", []string{"test-motor"}},
		"tm–160 l": {"motor", "suspected", "test-frame,test-motor", "机座号 63 至 355；660 V 及以下", []string{"test-frame", "test-motor"}},
		"ＴＭ－１６０Ｌ":  {"motor", "suspected", "test-frame,test-motor", "机座号 63 至 355；660 V 及以下", []string{"test-frame", "test-motor"}},
		"TM-L":     {"motor", "suspected", "test-motor", "机座号 63 至 355", []string{"test-motor"}},
		"TM-160L ": {"pump", "none_found", "", "", nil}, // the line is about motors
		"1－23":     {"fan", "suspected", "test-fan", "", nil},
		"11-23":    {"fan", "none_found", "", "", nil},
		"1-234":    {"fan", "none_found", "", "", nil},
		"4.5 x 6":  {"fan", "suspected", "test-fan", "", nil},
		"XTM-160L": {"motor", "none_found", "", "", nil},
	} {
		f := utilFacts(utilDay)
		f.Catalogue, f.Equipment.Category, f.Equipment.Nameplate.Model = cat, c.category, model
		r := eliminationSuspected(f)
		if r.Class != c.class || r.Basis[basisLines] != c.lines || r.Basis[basisConditions] != c.conditions || !slices.Equal(r.Doubts, c.doubts) {
			t.Errorf("%q: %+v", model, r)
		}
	}
	for _, dash := range "-‐‑‒–—―−－" {
		if got := plainModel("tm" + string(dash) + "1"); got != "TM-1" {
			t.Errorf("%U is read as %q", dash, got)
		}
	}
	f := utilFacts(utilDay)
	f.Catalogue = cat
	utilWantAbsent(t, "no model", eliminationSuspected(f), MissingInput, "model")
	f.Equipment.Nameplate.Model = "X"
	if r := eliminationSuspected(f); r.Basis[basisLists] != "another" { // what is about motors only was not searched
		t.Errorf("searched %q", r.Basis[basisLists])
	}
	f.Catalogue = &Catalogue{}
	utilWantAbsent(t, "no list", eliminationSuspected(f), MissingInput, "elimination_list")
}
