package configs

import (
	"fmt"
	"slices"

	"github.com/goccy/go-yaml/ast"

	"github.com/millgate/millgate/collector/kpi"
)

// equipmentSpec is a piece of equipment as written, in the site file or in a table beside it.
type equipmentSpec struct {
	*document  // where it is written
	at         nodes
	category   *kpi.Category   // nil if it is not known, which is noted
	roles      map[string]bool // of signals, as written
	conditions []func()        // to be looked at when the signals are known
	rules      []*kpi.StateRule
	out        kpi.Equipment
}

// readEquipmentList reads the list of equipment, or the name of the table in which it stands; a list may name tables, too.
func (s *site) readEquipmentList(n ast.Node) {
	one := func(n ast.Node) {
		if name, ok := n.(*ast.StringNode); ok {
			s.readEquipmentTable(name)
			return
		}
		s.readEquipment(&s.document, n)
	}
	if _, ok := n.(*ast.StringNode); ok {
		one(n)
		return
	}
	s.list("equipment", one)(n)
}

func (s *site) readEquipment(d *document, n ast.Node) {
	e := &equipmentSpec{document: d, at: nodes{"": n}, roles: map[string]bool{}}
	d.object(n, "equipment", e.at.keeping(slices.Concat(s.ledgerFields(e), s.signalFields(e))...)...)
	if isMapping(n) {
		s.kpis.equipment = append(s.kpis.equipment, e)
	}
}

// ledgerFields are the keys that stand in every ledger of equipment.
func (s *site) ledgerFields(e *equipmentSpec) []field {
	o, d := &e.out, e.document
	return []field{
		must("id", d.matching(&o.ID, idForm, idRule)),
		may("name", d.text(&o.Name)),
		must("category", s.category(e)),
		may("was", d.matching(&o.Was, idForm, idRule)),
		may("maker", d.text(&o.Nameplate.Maker)),
		may("model", d.text(&o.Nameplate.Model)),
		may("manufactured", d.date(&o.Life.Manufactured)),
		may("commissioned", d.date(&o.Life.Commissioned)),
		may("retrofitted", d.date(&o.Life.Retrofitted)),
		may("rated_power", d.positiveQuantity(&o.Nameplate.RatedPower, "kW", "rated_power")),
		may("original_value", d.positiveQuantity(&o.Nameplate.OriginalValue, "CNY", "original_value")),
		may("control", d.choice(&o.Control, "control", "manual", "plc", "nc", "cnc", "dnc", "dcs")),
		may("key_process", d.matching(&o.Process, idForm, idRule)),
		may("project", d.text(&o.Project)),
		may("label", s.label(e)),
		may("design_life", func(n ast.Node) {
			d.object(n, "design_life",
				may("years", d.numeral(&o.Life.DesignYears, 1, 200, "years")), may("hours", d.numeral(&o.Life.DesignHours, 1, 2e6, "hours")))
		}),
		may("hours", func(n ast.Node) {
			d.object(n, "hours", e.at.keeping(
				may("before", d.numeral(&o.Life.HoursBefore, 0, 2e6, "before")), may("at", d.day(&o.Life.HoursAt)), may("trusted", d.boolean(&o.Life.HoursTrusted)))...)
		}),
		may("shifts", d.texts(&o.Shifts, "shifts")),
		may("nameplate", s.nameplate(e)),
		may("networked", func(n ast.Node) { o.Networking.Required = new(bool); d.boolean(o.Networking.Required)(n) }),
		may("digital", func(n ast.Node) { o.Networking.Digital = new(bool); d.boolean(o.Networking.Digital)(n) }),
		may("baseline", s.baseline(d, &o.Baseline)),
	}
}

// category reads the id of a category of the catalogue.
func (s *site) category(e *equipmentSpec) func(ast.Node) {
	return func(n ast.Node) {
		e.text(&e.out.Category)(n)
		i := slices.IndexFunc(s.kpis.policy.Categories, func(c kpi.Category) bool { return c.ID == e.out.Category })
		if i >= 0 {
			e.category = &s.kpis.policy.Categories[i]
			return
		}
		var ids []string
		for _, c := range s.kpis.policy.Categories {
			ids = append(ids, c.ID)
		}
		e.oneOf(n, "category", e.out.Category, ids)
	}
}

// label reads the energy label.
func (s *site) label(e *equipmentSpec) func(ast.Node) {
	return func(n ast.Node) {
		l := &kpi.Label{}
		at := nodes{"": n}
		e.object(n, "label", at.keeping(
			must("grade", e.integer(&l.Grade, 1, 5, "grade")),
			must("standard", e.text(&l.Standard)),
			must("evidence", e.text(&l.Evidence)))...)
		e.out.Label = l
		s.checkLabel(e, at, l)
	}
}

func (s *site) checkLabel(e *equipmentSpec, at nodes, l *kpi.Label) {
	if l.Grade == 0 || l.Standard == "" { // noted
		return
	}
	i := slices.IndexFunc(s.kpis.policy.Grades, func(g kpi.GradeStandard) bool { return g.Standard == l.Standard })
	if i < 0 {
		s.warn(e.document, at.of("standard"), fmt.Sprintf("%s is not among the standards that millgate knows; the grade is published as it stands", l.Standard))
		return
	}
	if g := s.kpis.policy.Grades[i]; l.Grade < g.Best || l.Grade > g.Worst {
		e.document.at(at.of("grade"), "%s has the grades %d to %d, not %d", l.Standard, g.Best, g.Worst, l.Grade)
	}
}

// nameplate reads the figures that the category's formulas need.
func (s *site) nameplate(e *equipmentSpec) func(ast.Node) {
	return func(n ast.Node) {
		e.out.Nameplate.Figures = map[string]float64{}
		e.named(n, "nameplate", func(name string, key, value ast.Node) {
			s.afterwards(func() { // the category may stand behind it
				if e.category == nil {
					return
				}
				if len(e.category.Figures) == 0 {
					e.document.at(key, "category %s needs no figures of the nameplate: take %q out", e.category.ID, name)
					return
				}
				if !e.oneOf(key, "figure", name, e.category.Figures) {
					return
				}
				var v float64
				e.quantity(&v, s.figureUnit(name), name)(value)
				e.out.Nameplate.Figures[name] = v
			})
		})
	}
}

// checkEquipmentIDs says which ids stand twice or can not be.
func (s *site) checkEquipmentIDs() {
	k := &s.kpis
	lines := map[string]string{}
	take := func(d *document, n ast.Node, what, id string) {
		where := d.problem(n, "")
		switch first, twice := lines[id]; {
		case id == "":
		case id == kpi.SiteSubject:
			d.at(n, "%s %q: this name is the site's own; take another", what, id)
		case twice:
			d.at(n, "%s %q stands here a second time; the first is in %s", what, id, first)
		default:
			lines[id] = fmt.Sprintf("line %d", where.Line)
			if d.file != s.file {
				lines[id] += " of " + d.file
			}
			k.subjects[id] = n
		}
	}
	for _, e := range k.equipment {
		take(e.document, e.at.of("id"), "equipment", e.out.ID)
	}
	for _, a := range k.accounts {
		take(&s.document, a.at.of("id"), "account", a.out.ID)
	}
	former := map[string]string{}
	for _, e := range k.equipment {
		was := e.out.Was
		switch other := former[was]; {
		case was == "":
		case k.subjects[was] != nil:
			e.document.at(e.at["was"], "was: %q is still here, so %s can not have had that id", was, e.out.ID)
		case other != "":
			e.document.at(e.at["was"], "was: %q was %s already", was, other)
		default:
			former[was] = e.out.ID
		}
	}
}

// checkEquipment says what can not be about a piece of equipment, when all its parts are known.
func (s *site) checkEquipment(e *equipmentSpec) {
	o := &e.out
	var shifts []string
	if c := s.kpis.out.Calendar; c != nil {
		for _, shift := range c.Shifts {
			shifts = append(shifts, shift.ID)
		}
	}
	for _, id := range o.Shifts {
		if len(shifts) == 0 {
			e.document.at(e.at["shifts"], "shifts: the calendar has none")
			break
		}
		e.oneOf(e.at["shifts"], "shift", id, shifts)
	}
	life := o.Life
	if before(life.Commissioned, life.Manufactured) {
		e.document.at(e.at["commissioned"], "commissioned %s is before manufactured %s", life.Commissioned, life.Manufactured)
	}
	if first := max(life.Manufactured, life.Commissioned); before(life.Retrofitted, first) {
		e.document.at(e.at["retrofitted"], "retrofitted %s is before the equipment was there (%s)", life.Retrofitted, first)
	}
	if e.at["before"] != nil && life.HoursAt == "" && e.at["at"] == nil {
		e.document.at(e.at["before"], "hours: before needs at, the day on which the hours were read")
	}
	if _, counted := o.Signals["run_hours"]; life.HoursTrusted && !counted {
		e.document.at(e.at["trusted"], "hours: trusted speaks of the signal run_hours, which is not mapped")
	}
	if process := o.Process; process != "" && len(s.kpis.out.Processes) > 0 {
		known := make([]string, len(s.kpis.out.Processes))
		for i, p := range s.kpis.out.Processes {
			known[i] = p.ID
		}
		if near := suggestion(process, known); near != "" && !slices.Contains(known, process) {
			s.warn(e.document, e.at["key_process"], fmt.Sprintf("key_process %s is not among processes%s", process, near))
		}
	}
	s.checkState(e)
}

// figureUnit is the unit in which formulas take a figure of the nameplate.
func (s *site) figureUnit(name string) string {
	for _, f := range s.kpis.policy.Figures {
		if f.Name == name {
			return f.Unit
		}
	}
	return ""
}
