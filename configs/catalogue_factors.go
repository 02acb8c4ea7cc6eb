package configs

import (
	"math"

	"github.com/goccy/go-yaml/ast"

	"github.com/millgate/millgate/collector/kpi"
)

// readCoalSet reads one set of standard-coal coefficients.
func (f *policyFile) readCoalSet(n ast.Node) {
	var s kpi.CoalSet
	at := nodes{}
	f.object(n, "coal set", at.keeping(
		must("id", f.matching(&s.ID, kindForm, "the id of a set is small letters, digits and -")),
		must("title", f.said(&s.Title)),
		may("default", f.boolean(&s.Default)),
		must("media", f.list("media", func(n ast.Node) { s.Media = append(s.Media, f.coefficient(n, s.Media)) })),
		must("source", f.source(&s.Source)),
	)...)
	once(f, at.of("id"), "coal set", s.ID, f.CoalSets, func(other kpi.CoalSet) string { return other.ID })
	for _, other := range f.CoalSets {
		if other.Default && s.Default {
			f.at(at.of("default"), "set %s is the default already", other.ID)
		}
	}
	f.CoalSets = append(f.CoalSets, s)
}

func (f *policyFile) coefficient(n ast.Node, above []kpi.Coefficient) kpi.Coefficient {
	var c kpi.Coefficient
	f.object(n, "coefficient",
		must("medium", f.matching(&c.Medium, definitionForm, "a medium is small letters, digits and _")),
		must("zh", f.text(&c.Title.ZH)),
		must("en", f.text(&c.Title.EN)),
		must("unit", f.unit(&c.Unit)),
		may("basis", f.choice(&c.Basis, "basis", "equivalent", "equal_value")),
		must("kgce", f.numeral(&c.Coal, 0, 1000, "kgce")),
		may("year", f.integer(&c.Year, 2000, 2100, "year")),
		may("secondary", f.boolean(&c.Secondary)),
		must("source", f.source(&c.Source)),
	)
	for _, other := range above {
		if other.Medium == c.Medium && other.Basis == c.Basis && other.Year == c.Year {
			f.at(n, "%s is there already; another needs another basis or year", c.Medium)
		}
	}
	return c
}

// readGrid reads the CO2 factor of one area and year.
func (f *policyFile) readGrid(n ast.Node) {
	var g kpi.Grid
	f.object(n, "grid",
		must("area", f.matching(&g.Area, kindForm, "an area is small letters")),
		must("zh", f.text(&g.Title.ZH)),
		must("en", f.text(&g.Title.EN)),
		must("year", f.integer(&g.Year, 2000, 2100, "year")),
		must("co2", f.numeral(&g.CO2, 0, 2, "co2")),
		must("source", f.source(&g.Source)),
	)
	for _, other := range f.Grids {
		if other.Area == g.Area && other.Year == g.Year {
			f.at(n, "%s has a factor of %d already", g.Area, g.Year)
		}
	}
	f.Grids = append(f.Grids, g)
}

// readBenchmark reads one field of the 标杆/基准 levels.
func (f *policyFile) readBenchmark(n ast.Node) {
	var b kpi.Benchmark
	at := nodes{}
	f.object(n, "benchmark", at.keeping(
		must("id", f.matching(&b.ID, kindForm, "the id of a field is small letters, digits and -")),
		must("zh", f.text(&b.Title.ZH)),
		must("en", f.text(&b.Title.EN)),
		must("unit", f.choice(&b.Unit, "unit", "kgce/t", "kgoe/t", "kWh/t", "kgce/weight_case")),
		must("best", f.numeral(&b.Best, -1e6, 1e6, "best")),
		must("base", f.numeral(&b.Base, -1e6, 1e6, "base")),
		may("need_factor", f.boolean(&b.NeedFactor)),
		must("source", f.source(&b.Source)),
	)...)
	if b.Best >= b.Base && at["base"] != nil {
		f.at(at.of("best"), "best must be below base: less energy is better")
	}
	once(f, at.of("id"), "benchmark", b.ID, f.Benchmarks, func(other kpi.Benchmark) string { return other.ID })
	f.Benchmarks = append(f.Benchmarks, b)
}

// readEliminated reads one line of an elimination list.
func (f *policyFile) readEliminated(n ast.Node) {
	var e kpi.Eliminated
	at := nodes{}
	f.object(n, "line", at.keeping(
		must("id", f.matching(&e.ID, kindForm, "the id of a line is small letters, digits and -")),
		must("categories", f.categoryIDs(&e.Categories)),
		must("models", f.list("models", func(n ast.Node) {
			var model string
			f.text(&model)(n)
			if model == "" || model == "*" {
				f.at(n, "the pattern %q would match every model", model)
			}
			e.Models = append(e.Models, model)
		})),
		may("condition", f.said(&e.Condition)),
		must("source", f.source(&e.Source)),
	)...)
	once(f, at.of("id"), "line", e.ID, f.Eliminated, func(other kpi.Eliminated) string { return other.ID })
	f.Eliminated = append(f.Catalogue.Eliminated, e)
}

// readGrade reads which edition of an energy-efficiency standard is in force.
func (f *policyFile) readGrade(n ast.Node) {
	var g kpi.GradeStandard
	at := nodes{}
	f.object(n, "grade", at.keeping(
		must("standard", f.text(&g.Standard)),
		must("categories", f.categoryIDs(&g.Categories)),
		must("zh", f.text(&g.Title.ZH)),
		must("en", f.text(&g.Title.EN)),
		must("best", f.integer(&g.Best, 1, 9, "best")),
		must("worst", f.integer(&g.Worst, 1, 9, "worst")),
		must("source", f.source(&g.Source)),
	)...)
	once(f, at.of("standard"), "standard", g.Standard, f.Grades, func(other kpi.GradeStandard) string { return other.Standard })
	f.Grades = append(f.Grades, g)
}

// readConstant reads one constant.
func (f *policyFile) readConstant(n ast.Node) {
	var c kpi.Constant
	at := nodes{}
	f.object(n, "constant", at.keeping(
		must("id", f.matching(&c.ID, definitionForm, "the id of a constant is small letters, digits and _")),
		must("value", f.numeral(&c.Value, -math.MaxFloat64, math.MaxFloat64, "value")),
		must("unit", f.unit(&c.Unit)),
		must("source", f.source(&c.Source)),
	)...)
	once(f, at.of("id"), "constant", c.ID, f.Constants, func(other kpi.Constant) string { return other.ID })
	f.Constants = append(f.Constants, c)
}
