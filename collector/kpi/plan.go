package kpi

import (
	"fmt"
	"slices"
	"strings"
)

// SiteSubject is the subject of results that concern the whole site; no equipment and no account may have that id.
const SiteSubject = "site"

// Plan is a Config and a Catalogue made ready for work. It is immutable and may serve several engines.
type Plan struct {
	cfg      *Config
	cat      *Catalogue
	schedule *Schedule
	subjects []*subject // equipment, then accounts, in the order of the configuration
	site     ruleSet
	routes   map[string][]target // by "device/tag": whose input it is
	devices  map[string]int32    // number of each device with an input
	members  [][]target          // by the device's number: all inputs on it, but for its own tag `up`
	entries  map[string]target   // by input id: whose manual input it is
}

// target is one input of one subject, both by position.
type target struct{ subject, input int32 }

// rule is a definition with its formula.
type rule struct {
	def     *Definition
	compute formula
}

// ruleSet is what is computed for a subject: by position in WindowKinds, in the catalogue's order.
type ruleSet [numKinds][]rule

const numKinds = 4

// NewPlan checks that everything that cfg refers to is there. The error says what is not, and where in cfg.
func NewPlan(cfg *Config, cat *Catalogue) (*Plan, error) {
	schedule, err := NewSchedule(cfg.Calendar)
	if err != nil {
		return nil, err
	}
	p := &Plan{
		cfg: cfg, cat: cat, schedule: schedule,
		routes: map[string][]target{}, devices: map[string]int32{}, entries: map[string]target{},
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	byCategory := map[string]*ruleSet{}
	for i := range cfg.Equipment {
		s, err := p.newEquipment(&cfg.Equipment[i], byCategory)
		if err != nil {
			return nil, fmt.Errorf("equipment %q: %w", cfg.Equipment[i].ID, err)
		}
		p.subjects = append(p.subjects, s)
	}
	accountRules := p.rulesFor(func(d *Definition) bool { return d.Scope == scopeAccount })
	for i := range cfg.Accounts {
		s, err := p.newAccount(&cfg.Accounts[i], &accountRules)
		if err != nil {
			return nil, fmt.Errorf("account %q: %w", cfg.Accounts[i].ID, err)
		}
		p.subjects = append(p.subjects, s)
	}
	p.site = p.rulesFor(func(d *Definition) bool { return d.Scope == scopeSite })
	if err := p.checkIDs(); err != nil {
		return nil, err
	}
	if err := p.wireInputs(); err != nil {
		return nil, err
	}
	p.wireTags()
	return p, nil
}

// The scopes of definitions, and the group that goes by Category.Operating.
const (
	scopeEquipment = "equipment"
	scopeAccount   = "account"
	scopeSite      = "site"
	groupOperating = "operating"
)

// rulesFor are the definitions that fit.
func (p *Plan) rulesFor(fits func(*Definition) bool) (set ruleSet) {
	for i := range p.cat.Definitions {
		d := &p.cat.Definitions[i]
		compute := formulas[d.ID]
		if !fits(d) {
			continue
		}
		for kind, k := range WindowKinds {
			if slices.Contains(d.Windows, k) {
				set[kind] = append(set[kind], rule{d, compute})
			}
		}
	}
	return set
}

func (p *Plan) categoryRules(c *Category) ruleSet {
	return p.rulesFor(func(d *Definition) bool {
		if d.Scope != scopeEquipment {
			return false
		}
		return slices.Contains(c.Groups, d.Group) || slices.Contains(c.Operating, d.ID)
	})
}

func (p *Plan) category(id string) *Category {
	for i := range p.cat.Categories {
		if p.cat.Categories[i].ID == id {
			return &p.cat.Categories[i]
		}
	}
	return nil
}

// check checks what stands by itself.
func (p *Plan) check() error {
	for i := range p.cat.Definitions {
		if id := p.cat.Definitions[i].ID; formulas[id] == nil {
			return fmt.Errorf("definition %q: this program has no formula for it; take it out of the catalogue", id)
		}
	}

	for i := range p.cfg.Products {
		r := &p.cfg.Products[i]
		switch {
		case r.ID == "":
			return fmt.Errorf("product %d has no id", i+1)
		case r.Excluded && r.Ideal != 0:
			return fmt.Errorf("product %q is excluded and has an ideal cycle; leave one of them out", r.ID)
		case r.Ideal < 0 || r.Ideal-r.Ideal != 0 || r.PerCycle < 0 || r.PerCycle-r.PerCycle != 0:
			return fmt.Errorf("product %q: its ideal cycle and its parts per cycle must be numbers from 0 on", r.ID)
		}
	}
	return nil
}

func (p *Plan) checkIDs() error {
	taken := map[string]bool{SiteSubject: true}
	for _, s := range p.subjects {
		if s.id == "" {
			return fmt.Errorf("equipment or an account has no id")
		}
		if taken[s.id] {
			return fmt.Errorf("id %q: equipment and accounts need ids of their own, and %q is the site's", s.id, SiteSubject)
		}
		taken[s.id] = true
	}
	for i := range p.cfg.Equipment {
		e := &p.cfg.Equipment[i]
		if e.Was != "" && taken[e.Was] {
			return fmt.Errorf("equipment %q: was %q, but that id is still in use", e.ID, e.Was)
		}
	}
	return nil
}

// wireInputs gives the manual inputs to their subjects.
func (p *Plan) wireInputs() error {
	for i := range p.cfg.Inputs {
		in := &p.cfg.Inputs[i]
		if _, ok := p.entries[in.ID]; ok || in.ID == "" || in.ID == SwapTag {
			return fmt.Errorf("input %q: inputs need ids of their own, other than %q", in.ID, SwapTag)
		}
		if kindOf(WindowKind(in.Period)) <= 0 {
			return fmt.Errorf("input %q: period %q is not shift, day or month", in.ID, in.Period)
		}
		at := slices.IndexFunc(p.subjects, func(s *subject) bool { return s.id == in.Subject })
		if at < 0 {
			return fmt.Errorf("input %q: there is no equipment and no account %q", in.ID, in.Subject)
		}
		s := p.subjects[at]
		p.entries[in.ID] = target{int32(at), int32(len(s.shape.Inputs))}
		s.shape.Inputs = append(s.shape.Inputs, *in)
	}
	for _, s := range p.subjects {
		s.shape.Periods = make([]int, len(s.shape.Inputs))
		if s.account == nil {
			continue
		}
		for _, name := range []string{s.account.Output, s.account.Value} {
			t, ok := p.entries[name]
			if name != "" && !strings.Contains(name, "/") && (!ok || p.subjects[t.subject] != s) {
				return fmt.Errorf("account %q: %q is neither a tag (device/tag) nor an input of the account", s.id, name)
			}
		}
	}
	return nil
}

// wireTags finds for each tag and device whose inputs they are.
func (p *Plan) wireTags() {
	for i, s := range p.subjects {
		for k := range s.inputs {
			tag, t := s.inputs[k].tag, target{int32(i), int32(k)}
			p.routes[tag] = append(p.routes[tag], t)
			device, name, _ := strings.Cut(tag, "/")
			n, ok := p.devices[device]
			if !ok {
				n = int32(len(p.members))
				p.devices[device] = n
				p.members = append(p.members, nil)
			}
			if name != upTag {
				p.members[n] = append(p.members[n], t)
			}
		}
	}
}

// kindOf is the position in WindowKinds; -1 if there is no such kind.
func kindOf(k WindowKind) int { return slices.Index(WindowKinds, k) }
