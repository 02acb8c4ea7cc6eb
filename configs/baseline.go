package configs

import (
	"os"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/millgate/millgate/collector/kpi"
)

// baseline reads the frozen comparison of an EnPI, whose days stand in the site file or in a table beside it.
func (s *site) baseline(d *document, into **kpi.Baseline) func(ast.Node) {
	return func(n ast.Node) {
		b := &kpi.Baseline{}
		at := nodes{"": n}
		var days ast.Node
		d.object(n, "baseline", at.keeping(
			may("file", d.text(new(string))),
			may("drivers", d.texts(&b.Drivers, "drivers")),
			may("days", func(n ast.Node) { days = n }),
			may("change", d.day(&b.Change)),
			must("meter_uncertainty", d.numeral(&b.Meter, 0, 1, "meter_uncertainty")),
			may("static_factors", d.text(&b.Static)))...)
		if !isMapping(n) {
			return
		}
		*into = b
		switch file := at["file"]; {
		case file != nil && (days != nil || b.Drivers != nil):
			d.at(file, "baseline has a file and days or drivers beside it: the file has both")
			return
		case file != nil:
			s.readBaselineTable(d, file, b)
		case days != nil:
			d.list("days", func(n ast.Node) { readObserved(d, n, b) })(days)
		default:
			d.at(n, "baseline needs days, or a file with them")
			return
		}
		if at["drivers"] == nil { // they stand in the file
			at["drivers"] = at["file"]
		}
		checkBaseline(d, at, b)
	}
}

// readBaselineTable reads the days from a table: date, energy, and one column for each driver.
func (s *site) readBaselineTable(d *document, n ast.Node, b *kpi.Baseline) {
	name, _ := d.scalar(n, "the name of a file is expected")
	t := &document{file: s.beside(name), problems: s.problems}
	if _, err := os.Stat(t.file); err != nil || !isTable(name) {
		d.at(n, "baseline %q can not be read: a table that ends in .csv is expected, with the columns date, energy and one for each driver", name)
		return
	}
	if data, ok := t.content(); ok {
		t.readBaselineRows(data, b)
	}
}

func (d *document) readBaselineRows(data []byte, b *kpi.Baseline) {
	rows := d.parseSheet(data, &table{
		noun:  "a baseline",
		empty: "the file has no table: one line names date, energy and the drivers, and one line follows for each day",
		knows: idForm.MatchString,
		hint: func(string) string {
			return "; columns are date, energy and the drivers, each named by letters, digits, - and _"
		},
		cell: func(c tableCell) ast.Node { return textNode(strings.TrimSpace(foldWidth(c.text)), c.line, c.from) },
		row:  func(line int, pairs []*ast.MappingValueNode) ast.Node { return mapNode(line, 1, pairs...) },
	})
	for i, row := range rows {
		for _, pair := range pairsOf(row) {
			if key := pair.Key.GetToken().Value; i == 0 && key != "date" && key != "energy" {
				b.Drivers = append(b.Drivers, key)
			}
		}
		readObserved(d, row, b)
	}
}

// readObserved reads one day of a baseline, each driver by its name.
func readObserved(d *document, n ast.Node, b *kpi.Baseline) {
	o := kpi.Observed{Drivers: make([]float64, len(b.Drivers))}
	fields := []field{must("date", d.day(&o.Date)), must("energy", d.numeral(&o.Energy, 0, 1e12, "energy"))}
	for i, driver := range b.Drivers {
		fields = append(fields, must(driver, d.numeral(&o.Drivers[i], -1e12, 1e12, driver)))
	}
	d.object(n, "a day of the baseline", fields...)
	if i := slices.IndexFunc(b.Days, func(other kpi.Observed) bool { return other.Date == o.Date }); i >= 0 && o.Date != "" {
		d.at(n, "%s stands here a second time", o.Date)
	}
	b.Days = append(b.Days, o)
}

// baselineDrivers are what a baseline can be set against: what formulas find of a window.
var baselineDrivers = []string{"parts", "good_parts", "processing_hours", "output_t"}

// checkBaseline says what can not be about a baseline, and takes its span from its days.
func checkBaseline(d *document, at nodes, b *kpi.Baseline) {
	slices.SortStableFunc(b.Days, func(x, y kpi.Observed) int { return strings.Compare(x.Date, y.Date) })
	for _, driver := range b.Drivers {
		d.oneOf(at["drivers"], "driver", driver, baselineDrivers)
	}
	if len(b.Days) == 0 {
		return
	}
	b.From, b.To = b.Days[0].Date, b.Days[len(b.Days)-1].Date
	if b.Change != "" && b.Change <= b.To {
		d.at(at["change"], "change %s is not after the last day of the baseline (%s): the baseline is what was before the change", b.Change, b.To)
	}
}
