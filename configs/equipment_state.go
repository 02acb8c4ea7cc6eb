package configs

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/millgate/millgate/collector/kpi"
	"github.com/millgate/millgate/drivers"
)

// longestDwell is how long a rule may have to hold.
const longestDwell = 24 * time.Hour

// state is how the equipment's state is known; made when something is said about it.
func (e *equipmentSpec) state() *kpi.StateRules {
	if e.out.State == nil {
		e.out.State = &kpi.StateRules{}
	}
	return e.out.State
}

// stateFields are the keys that say how the equipment's state is known.
func (s *site) stateFields(e *equipmentSpec) []field {
	return []field{
		may("state", func(n ast.Node) {
			r := e.state()
			e.object(n, "state", e.at.keeping(
				may("codes", e.text(&r.Codes)),
				may("mapping", e.text(&r.Mapping)),
				may("rules", e.list("rules", func(n ast.Node) { s.stateRule(e, n) })))...)
		}),
		may("power_state", func(n ast.Node) {
			p := &kpi.PowerState{}
			e.state().Power = p
			e.object(n, "power_state",
				must("off_when", s.condition(e, &p.OffWhen)),
				may("on_when", s.condition(e, &p.OnWhen)),
				may("hold", e.dwell(&p.Hold, "hold")))
		}),
		may("unreachable_means", func(n ast.Node) {
			word := ""
			if e.choice(&word, "unreachable_means", "off", "unknown")(n); word == "off" {
				e.state().Unreachable = word
			}
		}),
	}
}

// stateRule reads one line of the rules.
func (s *site) stateRule(e *equipmentSpec, n ast.Node) {
	r := &kpi.StateRule{}
	e.object(n, "rule",
		must("if", s.condition(e, &r.If)),
		may("until", s.condition(e, &r.Until)),
		may("for", e.dwell(&r.For, "for")),
		may("hold", e.dwell(&r.Hold, "hold")),
		must("state", e.choice(&r.State, "state", "executing", "not_executing", "out_of_service", "not_available")),
		may("mode", e.choice(&r.Mode, "mode", "processing", "setup", "maintenance", "none")))
	e.state().Rules = append(e.state().Rules, *r)
	e.rules = append(e.rules, r) // its conditions are known later
}

// dwell reads a duration in ms.
func (d *document) dwell(into *int64, what string) func(ast.Node) {
	return func(n ast.Node) {
		var v time.Duration
		d.duration(&v, 0, longestDwell, what)(n)
		*into = v.Milliseconds()
	}
}

// condition reads an expression over tags and roles. It is kept in the one form that has no units: each number in that of its tag or role.
func (s *site) condition(e *equipmentSpec, into *string) func(ast.Node) {
	return func(n ast.Node) {
		text, ok := e.scalar(n, "a condition is expected, such as meter-1.power_total < 0.05 kW")
		if !ok {
			return
		}
		text = foldWidth(text)
		expr, err := kpi.ParseCondition(text)
		if err != nil {
			e.conditionProblem(n, text, err)
			return
		}
		e.conditions = append(e.conditions, func() {
			units := map[string]string{}
			for _, name := range expr.Names() {
				units[name], ok = s.conditionUnit(e, n, name)
				if !ok {
					return
				}
			}
			err := expr.Convert(func(name string, value float64, unit string) (float64, error) {
				if units[name] == "" {
					return 0, fmt.Errorf("%s has no unit: write the number without", name)
				}
				return inUnit(strconv.FormatFloat(value, 'g', -1, 64), unit, units[name])
			})
			if err != nil {
				e.conditionProblem(n, text, err)
				return
			}
			*into = expr.String()
		})
	}
}

// conditionUnit is the unit of what a name in a condition stands for; not ok if it stands for nothing, which is noted.
func (s *site) conditionUnit(e *equipmentSpec, n ast.Node, name string) (unit string, ok bool) {
	if _, isTag := kpi.TagNamed(name); !isTag {
		if r, known := kpi.RoleNamed(name); known && e.roles[name] {
			return r.Unit, true
		}
		e.document.at(n, "%s is no signal of %s%s; name a tag as device.tag, or map the role in signals", name, e.out.ID, suggestion(name, keysOf(e.roles)))
		return "", false
	}
	var place string
	p := s.lookUp(e.document, n, name, &place)
	if p == nil {
		return "", false
	}
	if p.Type == drivers.TypeText.String() {
		e.document.at(n, "%s is a text, which can not be compared", place)
		return "", false
	}
	return p.Unit, true
}

// conditionProblem notes what is wrong with a condition at the place in it.
func (e *equipmentSpec) conditionProblem(n ast.Node, text string, err error) {
	p := e.problem(n, err.Error())
	var at *kpi.ConditionError
	if errors.As(err, &at) {
		p.Message = at.Reason
		if t := n.GetToken(); e.headRow == 0 && !strings.Contains(text, "\n") && at.Column <= len(text)+1 {
			p.Column += utf8.RuneCountInString(text[:at.Column-1])
			if t.Type == token.DoubleQuoteType || t.Type == token.SingleQuoteType {
				p.Column++
			}
		}
	}
	*e.problems = append(*e.problems, p)
}

// checkState says what can not be about how the equipment's state is known, and finds the code table for its signals if none is named.
func (s *site) checkState(e *equipmentSpec) {
	for _, check := range e.conditions {
		check()
	}
	if r := e.out.State; r != nil {
		if r.Codes != "" && len(r.Rules) > 0 {
			e.document.at(e.at["rules"], "state has both codes and rules: keep what tells the state")
		}
		e.refer(e.at["codes"], "code table", &r.Codes, s.codeTables())
		e.refer(e.at["mapping"], "mapping", &r.Mapping, s.mappings())
		for i, rule := range e.rules {
			r.Rules[i] = *rule
		}
	}
	if e.out.State == nil || e.out.State.Codes == "" && len(e.out.State.Rules) == 0 {
		s.findCodes(e)
	}
}

// codeTables and mappings are the catalogue's, as id@version.
func (s *site) codeTables() (refs []string) {
	for _, t := range s.kpis.policy.Codes {
		refs = append(refs, fmt.Sprintf("%s@%d", t.ID, t.Version))
	}
	return refs
}

func (s *site) mappings() (refs []string) {
	for _, m := range s.kpis.policy.Mappings {
		refs = append(refs, fmt.Sprintf("%s@%d", m.ID, m.Version))
	}
	return refs
}

// refer completes a reference to something of the catalogue by its version: the newest if none is said.
func (d *document) refer(n ast.Node, what string, ref *string, known []string) {
	if *ref == "" || slices.Contains(known, *ref) {
		return
	}
	var ids, versions []string
	for _, k := range known {
		id, version, _ := strings.Cut(k, "@")
		ids = append(ids, id)
		if name, _, _ := strings.Cut(*ref, "@"); id == name {
			versions = append(versions, version)
		}
	}
	switch name, version, said := strings.Cut(*ref, "@"); {
	case len(versions) == 0:
		d.oneOf(n, what, name, ids)
	case said:
		d.at(n, "%s %s has no version %s in this millgate; it has: %s", what, name, version, strings.Join(versions, ", "))
	default:
		*ref = name + "@" + versions[len(versions)-1]
	}
}

// findCodes takes the code table that reads the signals that are mapped, if no other one would give them another meaning.
func (s *site) findCodes(e *equipmentSpec) {
	mapped := map[string]bool{} // of the roles that tables interpret
	for _, t := range s.kpis.policy.Codes {
		for _, role := range t.Roles {
			if r, _ := kpi.RoleNamed(role); r.How == kpi.Coded && e.roles[role] && role != "emergency" {
				mapped[role] = true
			}
		}
	}
	var fits []string
	var first []kpi.CodeRow
	differ := false
	for _, t := range s.kpis.policy.Codes {
		if len(mapped) == 0 || slices.ContainsFunc(keysOf(mapped), func(role string) bool { return !slices.Contains(t.Roles, role) }) {
			continue
		}
		rows := readable(t.Rows, e.roles)
		if len(fits) == 0 {
			first = rows
		}
		differ = differ || !reflect.DeepEqual(rows, first)
		fits = append(fits, fmt.Sprintf("%s@%d", t.ID, t.Version))
	}
	switch {
	case len(fits) == 0:
	case differ:
		e.document.at(e.at.of("signals"), "%s: the codes of %s mean something else from control to control: say state: {codes: …} with one of %s", e.out.ID,
			strings.Join(keysOf(mapped), ", "), strings.Join(fits, ", "))
	default:
		e.state().Codes = fits[0]
	}
}

// readable are the rows that read only roles that are mapped.
func readable(rows []kpi.CodeRow, roles map[string]bool) (out []kpi.CodeRow) {
	for _, row := range rows {
		if !slices.ContainsFunc(keysOf(row.When), func(role string) bool { return !roles[role] }) {
			out = append(out, row)
		}
	}
	return out
}
