package kpi

import (
	"maps"
	"slices"
	"strconv"
)

// Facts are what a formula draws from: one subject and one window.
type Facts struct {
	Definition *Definition
	Catalogue  *Catalogue
	Config     *Config
	Category   *Category  // of Equipment
	Equipment  *Equipment // nil of an account or the site
	Account    *Account   // nil of equipment or the site
	Window     Window
	Shape      *Shape
	Tally      *Tally // nil of the site
	Life       Lived
	Site       []*Facts // of the site: those of all equipment and accounts, in the order of the configuration

	trace func(Working) // nil: nobody wants to know
}

// Shape says what the slices of a subject's tallies stand for.
type Shape struct {
	Channels []ChannelShape
	Inputs   []Input  // manual ones of the subject
	Periods  []int    // by Inputs: how many periods of the input the window has
	Mapping  string   // id@version; empty: no state is known
	Upper    bool     // see Mapping.Upper
	Codes    string   // id@version of the code table; empty: rules of the site
	Basis    string   // of planned time: "shifts" or "calendar"
	States   []string // tags from which the state is known
	Doubts   []string // what is not verified of Mapping and Codes
}

// ChannelShape is one channel. Its name is the role; of a derived one that of the derivation; of an account's term "term/<position>".
type ChannelShape struct {
	Name   string
	How    How
	Unit   string
	Tags   []string
	Share  float64 // 0: all
	Basis  string  // of Share
	Medium string  // of an account's term
	Sign   int     // likewise
}

// Lived is what has accumulated since the gateway knows the equipment.
type Lived struct {
	Executed int64   `json:"executed_ms"` // APT and AUST
	Since    int64   `json:"since"`       // ms since 1970 UTC; 0: never seen
	Unknown  int64   `json:"unknown_ms"`  // since then
	Counter  float64 `json:"counter_h"`   // the last value of role run_hours
	Counted  bool    `json:"counted"`     // there is one
}

// Working is one line of an explanation.
type Working struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit,omitempty"`
	From  string  `json:"from,omitempty"` // how it comes about: a product, a quotient, a tag
}

// step notes an intermediate value for who wants it explained, and gives it back.
func (f *Facts) step(name string, value float64, unit, from string) float64 {
	if f.trace != nil {
		f.trace(Working{name, value, unit, from})
	}
	return value
}

// formula computes one KPI. It leaves Subject, KPI, Formula, Unit and Mapping to who calls it.
type formula func(*Facts) Result

// formulas by the id of their definition.
var formulas = merge(utilisationFormulas, energyFormulas, operatingFormulas, ageFormulas, ratesFormulas)

// Formulas are the ids of all definitions that can be computed, sorted.
func Formulas() []string { return slices.Sorted(maps.Keys(formulas)) }

func merge(parts ...map[string]formula) map[string]formula {
	all := map[string]formula{}
	for _, part := range parts {
		for id, f := range part {
			if all[id] != nil {
				panic("BUG: two formulas for " + id)
			}
			all[id] = f
		}
	}
	return all
}

// absent is a result without a value.
func absent(why Absence, missing ...string) Result { return Result{Absent: why, Missing: missing} }

// channel finds a channel by name; nil if the subject has none.
func (f *Facts) channel(name string) (*Channel, *ChannelShape) {
	for i := range f.Shape.Channels {
		if f.Shape.Channels[i].Name == name {
			return &f.Tally.Channels[i], &f.Shape.Channels[i]
		}
	}
	return nil, nil
}

// length is the window in ms.
func (f *Facts) length() int64 { return f.Window.To - f.Window.From }

// evaluate computes one result. What the formula can not stand for has no value: less coverage than the definition asks for, or a number
// that is none.
func (f *Facts) evaluate(compute formula) Result {
	r, d := compute(f), f.Definition
	r.Subject, r.KPI, r.Formula = f.subject(), d.ID, d.Ref()
	if d.Group == groupUtilisation {
		r.Mapping = f.Shape.Mapping
	}
	r.Doubts = f.doubts(r.Doubts)
	switch {
	case r.Absent != "":
	case r.Value == nil && r.Class == "" || r.Value != nil && Number(*r.Value) == nil:
		r.Absent = ZeroDenominator
	case d.Coverage > 0 && r.Coverage != nil && *r.Coverage == 0:
		r.Absent = NoData
	case d.Coverage > 0 && (r.Coverage == nil || *r.Coverage < d.Coverage):
		r.Absent = LowCoverage
	}
	if r.Absent != "" {
		return Result{
			Subject: r.Subject, KPI: r.KPI, Formula: r.Formula, Mapping: r.Mapping,
			Coverage: finite(r.Coverage), Inputs: r.Inputs, Basis: r.Basis, Doubts: r.Doubts, Absent: r.Absent, Missing: r.Missing,
		}
	}
	if r.Unit == "" && r.Class == "" {
		r.Unit = d.Unit
	}
	r.Num, r.Den, r.Coverage = finite(r.Num), finite(r.Den), finite(r.Coverage)
	if b := r.Bounds; b != nil && !(b[0] <= b[1] && b[0]-b[0] == 0 && b[1]-b[1] == 0) {
		r.Bounds = nil
	}
	return r
}

// doubts adds what could not be verified of the definition itself and of how the state is known.
func (f *Facts) doubts(doubts []string) []string {
	own := []string(nil)
	if !f.Definition.Source.Verified {
		own = append(own, doubtFormula)
	}
	if slices.Contains(f.Definition.Needs, needState) {
		own = append(own, f.Shape.Doubts...)
	}
	for _, d := range own {
		if !slices.Contains(doubts, d) {
			doubts = append(doubts, d)
		}
	}
	return doubts
}

const doubtFormula = "formula"

const groupUtilisation = "utilisation"

// finite is x, or nil if it points to no number.
func finite(x *float64) *float64 {
	if x == nil {
		return nil
	}
	return Number(*x)
}

// subject is whom the facts are of.
func (f *Facts) subject() string {
	switch {
	case f.Equipment != nil:
		return f.Equipment.ID
	case f.Account != nil:
		return f.Account.ID
	}
	return SiteSubject
}

// Ref is id@version, as results name a formula.
func (d *Definition) Ref() string { return d.ID + "@" + strconv.Itoa(d.Version) }
