package configs

import (
	"slices"

	"github.com/goccy/go-yaml/ast"

	"github.com/millgate/millgate/collector/kpi"
)

// profile is what kinds of equipment have in common.
type profile struct {
	groups, operating, signals, figures []string
	networked                           bool
}

// life is a planning life and its source.
type life struct {
	years, hours float64
	source       kpi.Source
}

// readFigures reads what nameplates may say.
func (f *policyFile) readFigures(n ast.Node) {
	pairs, _ := f.pairs(n, "figures")
	for _, pair := range pairs {
		figure := kpi.Figure{Name: pair.Key.GetToken().Value}
		f.object(pair.Value, "figure", must("unit", f.unit(&figure.Unit)), must("zh", f.text(&figure.Title.ZH)), must("en", f.text(&figure.Title.EN)))
		once(f, pair.Key, "figure", figure.Name, f.Figures, func(other kpi.Figure) string { return other.Name })
		f.Figures = append(f.Figures, figure)
	}
}

func (f *policyFile) readLives(n ast.Node) {
	pairs, _ := f.pairs(n, "lives")
	for _, pair := range pairs {
		var l life
		f.object(pair.Value, "life", must("years", f.numeral(&l.years, 1, 100, "years")), may("hours", f.numeral(&l.hours, 1000, 1e6, "hours")), must("source", f.source(&l.source)))
		f.lives[pair.Key.GetToken().Value] = l
	}
}

func (f *policyFile) readProfiles(n ast.Node) {
	pairs, _ := f.pairs(n, "profiles")
	for _, pair := range pairs {
		var p profile
		f.object(pair.Value, "profile", append(f.profileFields(&p), must("groups", f.several(&p.groups, "groups", groups...)))...)
		f.profiles[pair.Key.GetToken().Value] = p
	}
}

// profileFields are what a profile has and a category may add to.
func (f *policyFile) profileFields(p *profile) []field {
	return []field{
		may("operating", f.list("operating", func(n ast.Node) {
			var id string
			f.text(&id)(n)
			p.operating = append(p.operating, id)
			f.later = append(f.later, func() { f.checkOperating(n, id) })
		})),
		may("signals", f.several(&p.signals, "signals", f.roleNames()...)),
		may("figures", func(n ast.Node) { f.several(&p.figures, "figures", f.figureNames()...)(n) }),
		may("networked", f.boolean(&p.networked)),
	}
}

func (f *policyFile) checkOperating(n ast.Node, id string) {
	if !slices.ContainsFunc(f.Definitions, func(d kpi.Definition) bool { return d.ID == id }) {
		var ids []string
		for _, d := range f.Definitions {
			ids = append(ids, d.ID)
		}
		f.at(n, "there is no definition %q%s", id, suggestion(id, ids))
	}
}

// readCategory reads one kind of equipment: its profile, and what differs.
func (f *policyFile) readCategory(n ast.Node) {
	var c kpi.Category
	var like, life string
	var more profile
	at := nodes{}
	f.object(n, "category", at.keeping(append(f.profileFields(&more),
		must("id", f.matching(&c.ID, kindForm, "the id of a category is small letters, digits and -")),
		must("zh", f.text(&c.Title.ZH)),
		must("en", f.text(&c.Title.EN)),
		must("sector", f.text(&c.Sector)),
		must("like", f.choice(&like, "profile", keysOf(f.profiles)...)),
		may("life", f.choice(&life, "life", keysOf(f.lives)...)),
		may("focus", func(n ast.Node) {
			f.object(n, "focus", must("years", f.numeral(&c.FocusYears, 1, 100, "years")), must("source", f.source(&c.FocusSource)))
		}),
	)...)...)
	once(f, at.of("id"), "category", c.ID, f.Categories, func(other kpi.Category) string { return other.ID })
	base := f.profiles[like]
	c.Groups = base.groups
	c.Operating = slices.Concat(base.operating, more.operating)
	c.Signals = slices.Concat(more.signals, base.signals)
	c.Figures = slices.Concat(base.figures, more.figures)
	c.Networked = base.networked
	if at["networked"] != nil {
		c.Networked = more.networked
	}
	l := f.lives[life]
	c.LifeYears, c.LifeHours, c.Source = l.years, l.hours, l.source
	f.Categories = append(f.Categories, c)
}

// categoryIDs reads a list of kinds of equipment that may stand in another file.
func (f *policyFile) categoryIDs(into *[]string) func(ast.Node) {
	return f.list("categories", func(n ast.Node) {
		var id string
		f.text(&id)(n)
		*into = append(*into, id)
		f.later = append(f.later, func() {
			if !slices.ContainsFunc(f.Categories, func(c kpi.Category) bool { return c.ID == id }) {
				var ids []string
				for _, c := range f.Categories {
					ids = append(ids, c.ID)
				}
				f.at(n, "there is no category %q%s", id, suggestion(id, ids))
			}
		})
	})
}
