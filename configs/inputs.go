package configs

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/millgate/millgate/collector/kpi"
)

// inputSpec is a manual input as written.
type inputSpec struct {
	at  nodes
	out kpi.Input
}

// productSpec is a product as written.
type productSpec struct {
	at  nodes
	out kpi.Product
}

// readProcess reads one key process.
func (s *site) readProcess(n ast.Node) {
	var p kpi.Process
	at := nodes{"": n}
	s.object(n, "process", at.keeping(must("id", s.id(&p.ID)), may("name", s.text(&p.Name)), may("rule", s.choice(&p.Rule, "rule", "all", "majority", "any")))...)
	if slices.ContainsFunc(s.kpis.out.Processes, func(other kpi.Process) bool { return other.ID == p.ID }) && p.ID != "" {
		s.at(at.of("id"), "process %q stands here a second time", p.ID)
	}
	s.kpis.out.Processes = append(s.kpis.out.Processes, p)
}

// readProduct reads what some programs make.
func (s *site) readProduct(n ast.Node) {
	p := &productSpec{at: nodes{"": n}}
	o := &p.out
	var cycle time.Duration
	s.object(n, "product", p.at.keeping(
		must("id", s.id(&o.ID)),
		must("programs", s.texts(&o.Programs, "programs")),
		may("ideal_cycle", s.duration(&cycle, time.Millisecond, 7*24*time.Hour, "ideal_cycle")),
		may("per_cycle", s.numeral(&o.PerCycle, 1e-6, 1e6, "per_cycle")),
		may("excluded", s.boolean(&o.Excluded)),
		may("equipment", s.texts(&o.On, "equipment")),
		may("unit", s.text(&o.Unit)))...)
	if !isMapping(n) {
		return
	}
	o.Ideal = cycle.Seconds()
	s.kpis.products = append(s.kpis.products, p)
	s.afterwards(func() { s.checkProduct(p) })
}

func (s *site) checkProduct(p *productSpec) {
	o := &p.out
	switch {
	case !o.Excluded && p.at["ideal_cycle"] == nil:
		s.at(p.at.of("id"), "product %s needs ideal_cycle, such as 95s, or excluded: true for a program that makes nothing", o.ID)
	case o.Excluded && p.at["ideal_cycle"] != nil:
		s.at(p.at["ideal_cycle"], "product %s is excluded and makes nothing: it has no ideal cycle", o.ID)
	}
	s.knownEquipment(&s.document, p.at["equipment"], o.On)
	for _, other := range s.kpis.products {
		if other == p {
			break
		}
		if other.out.ID == o.ID && o.ID != "" {
			s.at(p.at.of("id"), "product %q stands here a second time", o.ID)
		}
		if !meet(o.On, other.out.On) {
			continue
		}
		for _, program := range o.Programs {
			if slices.Contains(other.out.Programs, program) {
				s.at(p.at.of("programs"), "program %q makes product %s already, on the same equipment", program, other.out.ID)
			}
		}
	}
}

// meet says whether two lists of equipment have some in common; an empty one is all.
func meet(a, b []string) bool {
	return len(a) == 0 || len(b) == 0 || slices.ContainsFunc(a, func(id string) bool { return slices.Contains(b, id) })
}

// reservedInputs can be no ids of inputs: other tags of the device have these names.
var reservedInputs = []string{"up", kpi.SwapTag}

// enteredUnits are the units of what people enter, beside media.
var enteredUnits = map[string]string{"scrap": "1", "good_parts": "1", "rework": "1", "output_t": "t", "output_value_cny": "CNY"}

// readInput reads a figure that people enter.
func (s *site) readInput(n ast.Node) {
	in := &inputSpec{at: nodes{"": n}}
	o := &in.out
	s.object(n, "input", in.at.keeping(
		must("id", s.id(&o.ID)),
		may("name", s.text(&o.Name)),
		must("subject", s.id(&o.Subject)),
		must("quantity", s.text(&o.Quantity)),
		must("unit", s.text(&o.Unit)),
		must("period", s.choice(&o.Period, "period", string(kpi.InShift), string(kpi.Day), string(kpi.Month))))...)
	if !isMapping(n) {
		return
	}
	if slices.Contains(reservedInputs, o.ID) {
		s.at(in.at["id"], "input %q: this name is taken; take another", o.ID)
	}
	if slices.ContainsFunc(s.kpis.inputs, func(other *inputSpec) bool { return other.out.ID == o.ID }) && o.ID != "" {
		s.at(in.at["id"], "input %q stands here a second time", o.ID)
	}
	if m, known := measureOf(o.Unit); known && m == measures["1"] {
		o.Unit = "1" // however pieces are called
	}
	s.kpis.inputs = append(s.kpis.inputs, in)
	s.afterwards(func() { s.checkInput(in) })
}

func (s *site) checkInput(in *inputSpec) {
	o := &in.out
	if s.kpis.subjects[o.Subject] == nil && o.Subject != "" {
		s.at(in.at["subject"], "input %s: there is no equipment or account %q%s", o.ID, o.Subject, suggestion(o.Subject, keysOf(s.kpis.subjects)))
	}
	if o.Period == string(kpi.InShift) && (s.kpis.out.Calendar == nil || len(s.kpis.out.Calendar.Shifts) == 0) {
		s.at(in.at["period"], "input %s is entered for each shift, but the calendar has none", o.ID)
	}
	if o.Quantity == "" || o.Unit == "" {
		return
	}
	unit, ok := enteredUnits[o.Quantity]
	if !ok {
		unit, ok = s.mediumUnit(o.Quantity)
	}
	if !ok {
		s.oneOf(in.at["quantity"], "quantity", o.Quantity, append(keysOf(enteredUnits), s.media()...))
		return
	}
	if o.Unit != unit {
		s.at(in.at["unit"], "input %s: %s is entered in %s, not in %s", o.ID, o.Quantity, unitPhrase(unit), o.Unit)
	}
}

func unitPhrase(unit string) string {
	if unit == "1" {
		return `pieces (unit "1")`
	}
	return fmt.Sprint(strings.TrimSpace(unit))
}
