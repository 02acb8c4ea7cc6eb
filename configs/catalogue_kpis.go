package configs

import (
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/millgate/millgate/collector/kpi"
)

var (
	definitionForm = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)
	classForm      = regexp.MustCompile(`^[a-z0-9]+(_[a-z0-9]+)*$`)
	dateForm       = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}$`)
	dateRule       = "a date is written 2026-05-01"
	groups         = []string{"utilisation", "energy", "age", "rates"}
)

// operatingGroup is that of KPIs which a category names one by one.
const operatingGroup = "operating"

// ledgerNeeds are what definitions need beside signals and figures of the nameplate: entries of the site file.
var ledgerNeeds = []string{"baseline", "benchmark", "calendar", "coal_set", "commissioned", "control", "design_hours", "design_life", "equipment", "grid", "key_process", "label",
	"manufactured", "model", "original_value", "output_t", "output_value_cny", "products", "quota", "rated_power", "state", "terms", "unit_factor"}

// readDefinition reads one KPI.
func (f *policyFile) readDefinition(n ast.Node) {
	var def kpi.Definition
	var needs, windows []string
	at := nodes{}
	f.object(n, "definition", at.keeping(
		must("id", f.matching(&def.ID, definitionForm, "an id is small letters, digits and _")),
		must("version", f.integer(&def.Version, 1, 999, "version")),
		must("scope", f.choice(&def.Scope, "scope", "equipment", "account", "site")),
		must("group", f.choice(&def.Group, "group", append([]string{operatingGroup}, groups...)...)),
		must("unit", f.unit(&def.Unit)),
		must("windows", f.several(&windows, "windows", windowWords()...)),
		must("needs", f.list("needs", func(n ast.Node) { needs = append(needs, f.need(n)) })),
		may("coverage", f.numeral(&def.Coverage, 0, 1, "coverage")),
		may("classes", f.list("classes", func(n ast.Node) {
			var class string
			f.matching(&class, classForm, "a class is small letters, digits and _")(n)
			def.Classes = append(def.Classes, class)
		})),
		must("title", f.said(&def.Title)),
		must("formula", f.said(&def.Formula)),
		must("not_said", f.said(&def.NotSaid)),
		must("example", f.said(&def.Example)),
		must("source", f.source(&def.Source)),
	)...)
	def.Needs = needs
	for _, w := range windows {
		def.Windows = append(def.Windows, kpi.WindowKind(w))
	}
	once(f, at.of("id"), "definition", def.ID, f.Definitions, func(d kpi.Definition) string { return d.ID })
	if def.Unit == "" && len(def.Classes) == 0 && at["unit"] != nil {
		f.at(at.of("unit"), "only a classification has no unit: name its classes")
	}
	if slices.Contains(def.Windows, kpi.Quarter) && def.Coverage != 0 {
		f.at(at.of("coverage"), "a quarter of an hour is published for figures that can be added: they need no coverage")
	}
	f.Definitions = append(f.Definitions, def)
}

func windowWords() []string {
	words := make([]string, len(kpi.WindowKinds))
	for i, k := range kpi.WindowKinds {
		words[i] = string(k)
	}
	return words
}

// need reads what a definition asks for: a word, or words with | between of which one will do.
func (f *policyFile) need(n ast.Node) string {
	s, _ := f.scalar(n, "what is needed is expected")
	known := slices.Concat(ledgerNeeds, f.roleNames(), f.figureNames())
	for word := range strings.SplitSeq(s, "|") {
		if !slices.Contains(known, word) {
			f.at(n, "%q is no role, no figure of a nameplate and no entry of a site%s", word, suggestion(word, known))
		}
	}
	return s
}

func (f *policyFile) roleNames() []string {
	var names []string
	for _, r := range kpi.Roles() {
		names = append(names, r.Name)
	}
	return names
}

func (f *policyFile) figureNames() []string {
	var names []string
	for _, figure := range f.Figures {
		names = append(names, figure.Name)
	}
	return names
}

// policyUnits are the units that figures of the catalogue have, in UCUM.
var policyUnits = []string{"", "1", "ms", "h", "a", "kW", "kW.h", "kVA", "kg", "t", "m3", "GJ", "Pa", "m", "Cel", "kg/m3", "m/s2", "kJ", "kJ/kg", "kJ/kg.K", "kg/kg", "kW.min/m3",
	"kW.h/t", "kg/t", "kg/10000{CNY}"}

// unit reads a unit of the catalogue.
func (f *policyFile) unit(into *string) func(ast.Node) {
	return func(n ast.Node) {
		s, ok := f.scalar(n, "a unit is expected")
		switch {
		case !ok:
		case !slices.Contains(policyUnits, s):
			f.at(n, "the catalogue has no unit %q%s", s, suggestion(s, policyUnits))
		default:
			*into = s
		}
	}
}
