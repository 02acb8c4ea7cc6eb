package kpi

import (
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/millgate/millgate/drivers"
)

// fullCatalogue has a definition for each formula, a category to which all of them apply, and the tables of stateCatalogue.
func fullCatalogue() *Catalogue {
	c := stateCatalogue()
	additive := []string{
		"apt", "aust", "adet", "adot", "off_time", "unknown_time", "planned_stop_time", "unscheduled_time", "overtime", "planned_busy_time",
		"energy", "account_electricity",
	}
	var operating []string
	for _, id := range slices.Sorted(maps.Keys(formulas)) {
		d := Definition{ID: id, Version: 1, Scope: scopeEquipment, Group: groupUtilisation, Unit: "1", Windows: []WindowKind{InShift, Day, Month}}
		switch {
		case slices.Contains(additive, id):
			d.Windows = WindowKinds
		case utilisationFormulas[id] != nil:
		case operatingFormulas[id] != nil:
			d.Group = groupOperating
			operating = append(operating, id)
		}
		switch {
		case energyFormulas[id] != nil:
			d.Group = "energy"
		case ageFormulas[id] != nil:
			d.Group = "age"
		case ratesFormulas[id] != nil:
			d.Group, d.Scope = "rates", scopeSite
		}
		if strings.HasPrefix(id, "share_") {
			d.Scope = scopeSite
		}
		if strings.HasPrefix(id, "account_") || slices.Contains([]string{"unit_energy", "energy_per_output_value", "benchmark_class"}, id) {
			d.Scope = scopeAccount
		}
		c.Definitions = append(c.Definitions, d)
	}
	c.Categories = []Category{{ID: "machine", Groups: []string{"utilisation", "energy", "age", "rates"}, Operating: operating, LifeYears: 10}}
	c.CoalSets = []CoalSet{{ID: "set", Default: true, Media: []Coefficient{
		{Medium: "electricity", Unit: "kW.h", Basis: "equivalent", Coal: 0.1229}, {Medium: "natural_gas", Unit: "m3", Coal: 1.33},
	}}}
	c.Grids = []Grid{{Area: "zhejiang", Year: 2022, CO2: 0.5}}
	return c
}

// plant is a site with all of its tags, for tests.
type plant struct {
	cfg  *Config
	cat  *Catalogue
	plan *Plan
	tags map[string]*drivers.Tag
	seq  uint64

	byIndex []*drivers.Tag // of a factory
}

func newPlant(cfg *Config) *plant {
	p := &plant{cfg: cfg, cat: fullCatalogue(), tags: map[string]*drivers.Tag{}}
	plan, err := NewPlan(cfg, p.cat)
	if err != nil {
		panic(err)
	}
	p.plan = plan
	return p
}

func (p *plant) tag(name string) *drivers.Tag {
	if p.tags[name] == nil {
		device, tag, _ := strings.Cut(name, "/")
		p.tags[name] = &drivers.Tag{Device: device, Name: tag, Index: len(p.tags)}
	}
	return p.tags[name]
}

// reading is a good one of a number, a bool or a text, and a bad one of a Cause.
func (p *plant) reading(t int64, name string, value any) drivers.Reading {
	r := drivers.Reading{Tag: p.tag(name), Quality: drivers.Good, Time: t}
	switch v := value.(type) {
	case int:
		r.Value = drivers.IntValue(int64(v))
	case float64:
		r.Value = drivers.Float64Value(v)
	case bool:
		r.Value = drivers.BoolValue(v)
	case string:
		r.Value = drivers.TextValue(v)
	case drivers.Cause:
		return drivers.BadReading(r.Tag, v, t)
	default:
		panic(fmt.Sprintf("no reading of %T", value))
	}
	return r
}

// block is the next block.
func (p *plant) block(readings ...drivers.Reading) *Batch {
	p.seq++
	return &Batch{Epoch: "E1", Seq: p.seq, Catalogue: "c", Readings: readings}
}

// archive is a History in memory.
type archive struct {
	blocks    []*Batch
	published map[Window]*publication
	kept      map[string]keptState
}

type publication struct {
	rev     int
	results []Result
}

type keptState struct {
	from  int64
	state []byte
}

func newArchive() *archive {
	return &archive{published: map[Window]*publication{}, kept: map[string]keptState{}}
}

func (a *archive) Blocks(from uint64) iter.Seq2[*Batch, error] {
	return func(yield func(*Batch, error) bool) {
		for _, b := range a.blocks {
			if b.Seq >= from && !yield(b, nil) {
				return
			}
		}
	}
}

func (a *archive) Published(w Window) (int, []Result, bool) {
	if p := a.published[w]; p != nil {
		return p.rev, p.results, true
	}
	return 0, nil, false
}

func (a *archive) Keep(day string, from int64, state []byte) error {
	a.kept[day] = keptState{from, state}
	return nil
}

func (a *archive) Kept(t int64) (state []byte, err error) {
	newest := int64(-1)
	for _, k := range a.kept {
		if k.from <= t && k.from > newest {
			newest, state = k.from, k.state
		}
	}
	return state, nil
}

// publish takes reports as a subscriber does.
func (a *archive) publish(reports []Report) {
	for i := range reports {
		r := &reports[i]
		p := a.published[r.Window]
		if p == nil {
			if r.Rev != 0 {
				panic(fmt.Sprintf("revision %d of window %v comes first", r.Rev, r.Window))
			}
			p = &publication{}
			a.published[r.Window] = p
		} else if r.Rev != p.rev+1 {
			panic(fmt.Sprintf("window %v: revision %d after %d", r.Window, r.Rev, p.rev))
		}
		p.rev = r.Rev
		for _, result := range r.Results {
			at := slices.IndexFunc(p.results, func(old Result) bool { return old.Subject == result.Subject && old.KPI == result.KPI })
			if at < 0 {
				p.results = append(p.results, result)
			} else {
				p.results[at] = result
			}
		}
	}
}

// follow stores blocks and follows them one by one.
func (p *plant) follow(a *archive, f *Follower, blocks ...*Batch) (reports []Report, err error) {
	for _, b := range blocks {
		a.blocks = append(a.blocks, b)
		news, _, failed := f.Take(b)
		if failed != nil {
			err = failed
		}
		a.publish(news)
		reports = append(reports, news...)
	}
	return reports, err
}

func (p *plant) follower(a *archive) *Follower {
	return &Follower{Engine: NewEngine(p.plan), Plan: p.plan, History: a}
}

// final is all that is valid in the end, as text: one line a result, sorted, without revisions. Quarters of which nothing is known have no
// results; one that was published before says so.
func (a *archive) final() string {
	var lines []string
	for w, p := range a.published {
		for i := range p.results {
			if w.Kind == Quarter && p.results[i].Absent == NoData {
				continue
			}
			lines = append(lines, string(w.Kind)+" "+w.Label+" "+string(p.results[i].json()))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// result finds one in reports: the last of that kind of window.
func find(reports []Report, kind WindowKind, label, subject, id string) *Result {
	var found *Result
	for i := range reports {
		if w := &reports[i].Window; w.Kind != kind || w.Label != label {
			continue
		}
		for k := range reports[i].Results {
			if r := &reports[i].Results[k]; r.Subject == subject && r.KPI == id {
				found = r
			}
		}
	}
	return found
}

func asJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// firstDifference shows where two texts begin to differ.
func firstDifference(a, b string) string {
	at := 0
	for at < len(a) && at < len(b) && a[at] == b[at] {
		at++
	}
	from := max(0, at-300)
	return fmt.Sprintf("at %d\n%s\n%s", at, a[from:min(len(a), at+300)], b[from:min(len(b), at+300)])
}
