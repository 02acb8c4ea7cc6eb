package configs

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/millgate/millgate/collector/kpi"
	"github.com/millgate/millgate/drivers"
)

// accountSpec is an energy account as written.
type accountSpec struct {
	at  nodes
	out kpi.Account
}

// readFactors reads which of the catalogue's coefficients count, and those that the site brings itself.
func (s *site) readFactors(n ast.Node) {
	f, at := &s.kpis.out.Factors, nodes{"": n}
	s.object(n, "energy", at.keeping(
		may("coal_set", s.text(&f.CoalSet)),
		may("electricity_basis", s.choice(&f.ElectricityBasis, "electricity_basis", "equivalent", "equal_value")),
		may("equal_value", s.ownFigure(&f.EqualValue, "equal_value")),
		may("grid_area", s.text(&f.GridArea)),
		may("grid_year", s.integer(&f.GridYear, 2000, 2100, "grid_year")),
		may("grid", s.ownFigure(&f.Grid, "grid")),
		may("media", s.list("media", s.readFuel)))...)
	if f.CoalSet != "" {
		var sets []string
		for _, set := range s.kpis.policy.CoalSets {
			sets = append(sets, set.ID)
		}
		s.oneOf(at["coal_set"], "coal_set", f.CoalSet, sets)
	}
	s.checkGrid(at, f)
}

// checkGrid says if the catalogue has no CO2 factor for the area and year.
func (s *site) checkGrid(at nodes, f *kpi.Factors) {
	var areas, years []string
	for _, g := range s.kpis.policy.Grids {
		if !slices.Contains(areas, g.Area) {
			areas = append(areas, g.Area)
		}
		if g.Area == f.GridArea {
			years = append(years, fmt.Sprint(g.Year))
		}
	}
	if f.GridArea == "" || !s.oneOf(at["grid_area"], "grid_area", f.GridArea, areas) || f.GridYear == 0 {
		return
	}
	if !slices.Contains(years, fmt.Sprint(f.GridYear)) {
		s.at(at["grid_year"], "there is no factor of %d for %s; known are those of %s. A newer one goes into grid, with its source", f.GridYear, f.GridArea, strings.Join(years, ", "))
	}
}

// ownFigure reads a figure that the site brings itself.
func (s *site) ownFigure(into **kpi.Own, what string) func(ast.Node) {
	return func(n ast.Node) {
		o := &kpi.Own{}
		s.object(n, what, must("value", s.numeral(&o.Value, 0, 10, "value")), may("year", s.integer(&o.Year, 2000, 2100, "year")), must("source", s.text(&o.Source)))
		*into = o
	}
}

// readFuel reads the measured coefficient of a medium, or what it follows from.
func (s *site) readFuel(n ast.Node) {
	var f kpi.Fuel
	at := nodes{"": n}
	heat := map[string]string{}
	s.object(n, "medium", at.keeping(
		must("medium", s.text(&f.Medium)),
		must("unit", s.text(&f.Unit)),
		may("kgce", s.numeral(&f.Coal, 0, 1e6, "kgce")),
		may("lhv", func(n ast.Node) {
			heat["lhv"], _ = s.scalar(n, "the lower heating value is expected, such as 35.5 MJ/m3")
		}),
		may("enthalpy", func(n ast.Node) { heat["enthalpy"], _ = s.scalar(n, "the enthalpy is expected, such as 2763 kJ/kg") }),
		must("source", s.text(&f.Source)))...)
	given := 0
	for _, key := range []string{"kgce", "lhv", "enthalpy"} {
		if at[key] != nil {
			given++
		}
	}
	if given != 1 {
		if isMapping(n) {
			s.at(n, "medium %s needs one of kgce, lhv and enthalpy: how much energy is in a unit of it", f.Medium)
		}
		return
	}
	for key := range heat {
		s.fuelFromHeat(at, key, &f)
	}
	s.kpis.out.Factors.Media = append(s.kpis.out.Factors.Media, f)
}

// coalHeat is the constant by which heat becomes standard coal: kJ/kg.
const coalHeat = "standard_coal_heat"

// fuelFromHeat computes kgce per unit from a heat per kilogram or cubic metre.
func (s *site) fuelFromHeat(at nodes, key string, f *kpi.Fuel) {
	per := "kg"
	if m, _ := measureOf(f.Unit); m.of == "volume" {
		per = "m3"
	}
	units, err := unitFactor(f.Unit, per)
	if err != nil {
		s.at(at.of("unit"), "medium %s: %v; a heat is known per kg or per m3", f.Medium, err)
		return
	}
	var heat float64
	s.positiveQuantity(&heat, "kJ/"+per, key)(at[key])
	i := slices.IndexFunc(s.kpis.policy.Constants, func(c kpi.Constant) bool { return c.ID == coalHeat })
	if i < 0 {
		s.at(at[key], "this millgate does not know the heat of standard coal: write kgce instead")
		return
	}
	f.Coal = heat * units / s.kpis.policy.Constants[i].Value
}

// coalSet is the set of coefficients that counts, the default one if the site names none; nil if the catalogue has none.
func (s *site) coalSet() (set *kpi.CoalSet) {
	for i := range s.kpis.policy.CoalSets {
		known := &s.kpis.policy.CoalSets[i]
		if known.ID == s.kpis.out.Factors.CoalSet {
			return known
		}
		if known.Default {
			set = known
		}
	}
	return set
}

// mediumUnit is the unit in which amounts of a medium are counted; ok is false if nobody knows the medium.
func (s *site) mediumUnit(medium string) (unit string, ok bool) {
	for _, f := range s.kpis.out.Factors.Media {
		if f.Medium == medium {
			return f.Unit, true
		}
	}
	if set := s.coalSet(); set != nil {
		for _, c := range set.Media {
			if c.Medium == medium {
				return c.Unit, true
			}
		}
	}
	return "", false
}

// media are the names of all media.
func (s *site) media() (names []string) {
	for _, f := range s.kpis.out.Factors.Media {
		names = append(names, f.Medium)
	}
	if set := s.coalSet(); set != nil {
		for _, c := range set.Media {
			names = append(names, c.Medium)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (s *site) readAccount(n ast.Node) {
	a := &accountSpec{at: nodes{"": n}}
	o := &a.out
	var output, value string
	s.object(n, "account", a.at.keeping(
		must("id", s.id(&o.ID)),
		may("name", s.text(&o.Name)),
		must("kind", s.choice(&o.Kind, "kind", "site", "workshop", "installation")),
		must("terms", s.list("terms", func(n ast.Node) { s.readTerm(n, a) })),
		may("output", s.text(&output)),
		may("output_value", s.text(&value)),
		may("benchmark", s.text(&o.Benchmark)),
		may("energy_factor", s.numeral(&o.Factor, 0, 1000, "energy_factor")),
		may("capacity", s.positiveQuantity(&o.Capacity, "t", "capacity")),
		may("baseline", s.baseline(&s.document, &o.Baseline)))...)
	if !isMapping(n) {
		return
	}
	s.kpis.accounts = append(s.kpis.accounts, a)
	s.afterwards(func() { s.checkAccount(a, output, value) })
}

func (s *site) checkAccount(a *accountSpec, output, value string) {
	o := &a.out
	entered := slices.ContainsFunc(s.kpis.inputs, func(in *inputSpec) bool { return in.out.Subject == o.ID })
	if list, ok := a.at["terms"].(*ast.SequenceNode); ok && len(list.Values) == 0 && !entered {
		s.at(list, "account %s has no terms: list its meters, or add inputs for it", o.ID)
	}
	if output != "" {
		s.output(a, a.at["output"], output)
	}
	if value != "" {
		o.Value = s.inputOf(a, a.at["output_value"], value, "CNY")
	}
	if o.Benchmark == "" {
		return
	}
	i := slices.IndexFunc(s.kpis.policy.Benchmarks, func(b kpi.Benchmark) bool { return b.ID == o.Benchmark })
	if i < 0 {
		var ids []string
		for _, b := range s.kpis.policy.Benchmarks {
			ids = append(ids, b.ID)
		}
		s.oneOf(a.at["benchmark"], "benchmark", o.Benchmark, ids)
		return
	}
	if o.Kind != "installation" {
		s.at(a.at["benchmark"], "a benchmark is that of an installation; account %s is a %s", o.ID, o.Kind)
	}
	if s.kpis.policy.Benchmarks[i].NeedFactor && o.Factor == 0 {
		s.at(a.at["benchmark"], "benchmark %s is per energy factor: account %s needs energy_factor", o.Benchmark, o.ID)
	}
}

// output finds the tag or the input that tells the output of an account.
func (s *site) output(a *accountSpec, n ast.Node, text string) {
	o := &a.out
	if !strings.Contains(text, ".") {
		o.Output = s.inputOf(a, n, text, "t", "1")
		return
	}
	p := s.lookUp(&s.document, n, text, &o.Output)
	switch {
	case p == nil:
	case p.Kind != drivers.Counter.String():
		s.at(n, "%s is %s; output must be a counter", o.Output, article(p.Kind))
	case p.Unit == "t":
		o.OutputUnit = "t"
	case p.Unit == "1" || annotationForm.MatchString(p.Unit):
		o.OutputUnit = "1"
	default:
		s.at(n, "%s is in %s; output is counted in t, or in pieces (unit \"1\"): give the point scale and unit", o.Output, cmp.Or(p.Unit, "no unit"))
	}
}

// inputOf is the id of an input of the account in one of the units.
func (s *site) inputOf(a *accountSpec, n ast.Node, id string, units ...string) string {
	var known []string
	for _, in := range s.kpis.inputs {
		known = append(known, in.out.ID)
		if in.out.ID != id {
			continue
		}
		if !slices.Contains(units, in.out.Unit) {
			s.at(n, "input %s is in %s, and must be in %s", id, in.out.Unit, strings.Join(units, " or "))
		}
		if in.out.Subject != a.out.ID {
			s.at(n, "input %s is one of %s: the account needs an input with subject: %s", id, in.out.Subject, a.out.ID)
		}
		return id
	}
	if len(known) == 0 {
		s.at(n, "there is no input %q: the site has no inputs", id)
		return id
	}
	s.oneOf(n, "input", id, known)
	return id
}

// readTerm reads one meter of an account.
func (s *site) readTerm(n ast.Node, a *accountSpec) {
	term, at := kpi.Term{Sign: 1}, nodes{"": n}
	if !isMapping(n) {
		s.at(n, "a term must be keys and values, such as {tag: meter-1.energy_import, medium: electricity}")
		return
	}
	s.signal(&s.document, n, func(g kpi.Signal, p *knownPoint, places nodes) {
		term.Signal = g
		if places["invert"] != nil {
			s.at(places["invert"], "invert turns true into false: amounts of energy have a sign")
		}
		unit, ok := s.mediumUnit(term.Medium)
		switch {
		case term.Medium == "":
		case !ok:
			s.oneOf(at.of("medium"), "medium", term.Medium, s.media())
		case p.Kind != drivers.Counter.String():
			s.at(places["tag"], "%s is %s; a term of an account must be a counter", g.Tag, article(p.Kind))
		case s.convert(&s.document, places["tag"], &term.Signal, p, unit):
			a.out.Terms = append(a.out.Terms, term)
		}
	}, at.keeping(
		must("medium", s.text(&term.Medium)),
		may("sign", func(n ast.Node) {
			switch text, _ := s.scalar(n, "+ or - is expected"); text {
			case "+", "1", "+1", "plus":
			case "-", "-1", "minus":
				term.Sign = -1
			default:
				s.at(n, "sign %q: write \"+\" for what comes in and \"-\" for what goes out, in quotes", text)
			}
		}))...)
}
