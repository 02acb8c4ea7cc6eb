package kpi

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// Lack is one input that equipment does not have, and what it would give.
type Lack struct {
	Equipment string
	KPI       string   // ids of the KPIs that need it, sorted, with ", " between them; some may need more
	Missing   []string // roles or entries of the ledger; one of them is enough
	Hint      Text     // what would supply it
}

// Lacks are the inputs that the KPIs of each equipment's category need and the equipment does not have: by equipment in the order of cfg, the
// input that serves most KPIs first. Signals that are not worth mapping for the category (Category.Signals) are not asked for.
func Lacks(cfg *Config, cat *Catalogue) []Lack {
	var all []Lack
	for i := range cfg.Equipment {
		e := &cfg.Equipment[i]
		at := slices.IndexFunc(cat.Categories, func(c Category) bool { return c.ID == e.Category })
		if at < 0 {
			continue
		}
		l := ledger{cfg: cfg, category: &cat.Categories[at], equipment: e}
		all = append(all, l.lacks(cat)...)
	}
	return all
}

// ledger answers what is known of one piece of equipment.
type ledger struct {
	cfg       *Config
	category  *Category
	equipment *Equipment
}

func (l *ledger) lacks(cat *Catalogue) []Lack {
	wanted := map[string][]string{} // KPIs by what is missing
	for i := range cat.Definitions {
		d := &cat.Definitions[i]
		if !l.concerns(d) {
			continue
		}
		for _, need := range d.Needs {
			either := alternatives(d, need)
			if !l.worth(either) || slices.ContainsFunc(either, l.has) {
				continue
			}
			key := strings.Join(either, "|")
			wanted[key] = append(wanted[key], d.ID)
		}
	}
	fold(wanted)
	lacks := make([]Lack, 0, len(wanted))
	for key, ids := range wanted {
		missing := strings.Split(key, "|")
		lacks = append(lacks, Lack{Equipment: l.equipment.ID, KPI: strings.Join(sorted(ids), ", "), Missing: missing, Hint: l.hint(missing)})
	}
	slices.SortFunc(lacks, func(a, b Lack) int {
		return cmp.Or(strings.Count(b.KPI, ",")-strings.Count(a.KPI, ","), slices.Compare(a.Missing, b.Missing))
	})
	return lacks
}

// concerns says whether the equipment has a part in d: its own KPIs, and those of the site that it is counted in.
func (l *ledger) concerns(d *Definition) bool {
	c := l.category
	if strings.Contains(d.ID, "over_10y") && c.FocusYears == 0 || slices.Contains(d.Needs, "key_process") && l.equipment.Process == "" {
		return false
	}
	switch d.Scope {
	case "equipment":
		return c.applies(d.Group) || slices.Contains(c.Operating, d.ID)
	case "site":
		return c.applies(d.Group)
	}
	return false
}

// alternatives are the inputs of which one is enough, sorted. Hours of a lifetime need more than a signal that tells hours or a state.
func alternatives(d *Definition, need string) []string {
	if d.Group == "age" && slices.Contains(strings.Split(need, "|"), "run_hours") {
		need = needHours
	}
	return sorted(strings.Split(need, "|"))
}

// fold drops what something else that is missing would supply too, and has it named there.
func fold(wanted map[string][]string) {
	keys := slices.SortedFunc(maps.Keys(wanted), func(a, b string) int {
		return cmp.Or(strings.Count(b, "|")-strings.Count(a, "|"), strings.Compare(a, b))
	})
	for i, wide := range keys {
		folded := false
		for _, narrow := range keys[i+1:] {
			if within(narrow, wide) {
				wanted[narrow] = append(wanted[narrow], wanted[wide]...)
				folded = true
			}
		}
		if folded {
			delete(wanted, wide)
		}
	}
}

// within says whether each alternative of narrow is one of wide.
func within(narrow, wide string) bool {
	in := strings.Split(wide, "|")
	for _, name := range strings.Split(narrow, "|") {
		if !slices.Contains(in, name) {
			return false
		}
	}
	return true
}

// worth says whether to ask for one of these: always for what the ledger has, and for signals that are worth mapping for the category.
func (l *ledger) worth(either []string) bool {
	if len(l.category.Signals) == 0 {
		return true
	}
	return slices.ContainsFunc(either, func(name string) bool {
		_, role := RoleNamed(name)
		return !role || slices.Contains(l.category.Signals, name)
	})
}

// has says whether the equipment has an input. What is no matter of the equipment (the calendar, coefficients) it has.
func (l *ledger) has(name string) bool {
	e := l.equipment
	if name == "run_hours" && e.Life.HoursTrusted || name != "run_hours" {
		if _, ok := e.Signals[name]; ok {
			return true
		}
	}
	switch name {
	case needState:
		return e.State != nil
	case "hours":
		return e.Life.HoursAt != "" && e.State != nil
	case "commissioned":
		return e.Life.Commissioned != ""
	case "manufactured":
		return e.Life.Manufactured != ""
	case needLife:
		return e.Life.DesignYears > 0 || e.Life.DesignHours > 0 || l.category.LifeYears > 0 || l.category.LifeHours > 0
	case "design_hours":
		return e.Life.DesignHours > 0 || l.category.LifeHours > 0
	case "model":
		return e.Nameplate.Model != ""
	case "original_value":
		return e.Nameplate.OriginalValue > 0
	case "rated_power":
		return e.Nameplate.RatedPower > 0
	case "control":
		return e.Control != ""
	case "label":
		return e.Label != nil
	case "baseline":
		return e.Baseline != nil
	case "products":
		return slices.ContainsFunc(l.cfg.Products, l.makes)
	}
	return l.hasFigure(name)
}

// makes says whether p is made on the equipment and has an ideal cycle.
func (l *ledger) makes(p Product) bool {
	return p.Ideal > 0 && p.madeOn(l.equipment)
}

// hasFigure looks among manual inputs and figures of the nameplate. What is neither, nor a role, is no matter of the equipment.
func (l *ledger) hasFigure(name string) bool {
	if slices.ContainsFunc(l.cfg.Inputs, func(in Input) bool { return in.Subject == l.equipment.ID && in.Quantity == name }) {
		return true
	}
	if slices.Contains(l.category.Figures, name) {
		return l.equipment.Nameplate.Figures[name] != 0
	}
	_, role := RoleNamed(name)
	return !role && !slices.Contains(enteredOnly, name)
}

// enteredOnly are quantities that only a manual input gives.
var enteredOnly = []string{"output_t", "output_value_cny"}
