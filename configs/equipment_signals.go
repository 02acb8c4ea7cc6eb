package configs

import (
	"cmp"
	"fmt"

	"github.com/goccy/go-yaml/ast"

	"github.com/millgate/millgate/collector/kpi"
	"github.com/millgate/millgate/drivers"
)

// signalFields are the keys that say from where the equipment's readings come.
func (s *site) signalFields(e *equipmentSpec) []field {
	return append(s.stateFields(e), may("signals", func(n ast.Node) {
		e.out.Signals = map[string]kpi.Signal{}
		e.named(n, "signals", func(role string, key, value ast.Node) {
			r, ok := kpi.RoleNamed(role)
			if !ok {
				var known []string
				for _, r := range kpi.Roles() {
					known = append(known, r.Name)
				}
				e.oneOf(key, "role", role, known)
				return
			}
			e.roles[role] = true
			s.signal(e.document, value, func(g kpi.Signal, p *knownPoint, at nodes) {
				if s.fitRole(e.document, at, r, &g, p) {
					e.out.Signals[role] = g
				}
			})
		})
	}))
}

// signal reads a tag, or a tag with what else is to be said about it, and gives it to then when the devices are known.
func (s *site) signal(d *document, n ast.Node, then func(kpi.Signal, *knownPoint, nodes), more ...field) {
	g, at, text := kpi.Signal{Factor: 1}, nodes{"": n}, ""
	if isMapping(n) {
		d.object(n, "signal", at.keeping(append(more,
			must("tag", d.text(&text)),
			may("share", d.numeral(&g.Share, 0, 1, "share")),
			may("basis", d.text(&g.Basis)),
			may("invert", d.boolean(&g.Invert)))...)...)
	} else if text, _ = d.scalar(n, "a tag is expected, such as meter-1.energy_import"); text != "" {
		at["tag"] = n
	}
	switch {
	case at["share"] != nil && g.Basis == "":
		d.at(at["share"], "a share needs its basis: by what it was found, such as \"rated power\"")
	case at["share"] != nil && g.Share == 0:
		d.at(at["share"], "share 0 is nothing: take the signal out")
	case at["share"] == nil && g.Basis != "":
		d.at(at["basis"], "basis is that of a share, which is missing")
	}
	if text == "" {
		return
	}
	s.afterwards(func() {
		p := s.lookUp(d, at["tag"], text, &g.Tag)
		if p == nil {
			return
		}
		g.Resolution = p.Resolution
		if p.counter != nil {
			g.Modulus, g.MaxRate = p.counter.Modulus, p.counter.MaxRate
		}
		then(g, p, at)
	})
}

// fitRole says whether the point can be what the role means, and how to get from its unit to the role's.
func (s *site) fitRole(d *document, at nodes, r kpi.Role, g *kpi.Signal, p *knownPoint) bool {
	n := at["tag"]
	wants := ""
	switch number := p.Type != drivers.TypeText.String() && p.Type != drivers.TypeBool.String(); {
	case r.How == kpi.Counted && p.Kind != drivers.Counter.String():
		wants = "a counter: give the point kind: counter, if it is one"
	case r.How == kpi.Integrated && (p.Kind != drivers.Gauge.String() || !number):
		wants = "a measured number (kind: gauge)"
	case (r.How == kpi.Timed || r.How == kpi.Coded) && p.Type == drivers.TypeText.String():
		wants = "true or false, or a whole number"
	case r.How == kpi.Named && p.Type != drivers.TypeText.String():
		wants = "a text"
	}
	if wants != "" {
		d.at(n, "%s is %s of type %s; %s must be %s", g.Tag, article(p.Kind), p.Type, r.Name, wants)
		return false
	}
	if g.Invert && r.How != kpi.Timed {
		d.at(at["invert"], "invert turns true into false: %s is neither", r.Name)
	}
	counted := r.How == kpi.Counted || r.How == kpi.Integrated
	if g.Share > 0 && !counted {
		d.at(at["share"], "only amounts can be shared out, which %s is not", r.Name)
	}
	if !counted || r.Name == "fuel" { // in the unit of its medium
		return true
	}
	return s.convert(d, n, g, p, r.Unit)
}

// convert gives the signal the factor from the point's unit to another.
func (s *site) convert(d *document, n ast.Node, g *kpi.Signal, p *knownPoint, unit string) bool {
	if p.Unit == "" && unit != "" {
		s.warn(d, n, fmt.Sprintf("%s has no unit and is taken for %s; give the point its unit", g.Tag, unit))
		return true
	}
	f, err := unitFactor(p.Unit, unit)
	if err != nil {
		d.at(n, "%s: %v", g.Tag, err)
		return false
	}
	g.Factor = f
	return true
}

func article(kind string) string { return "a " + cmp.Or(kind, "value") }
