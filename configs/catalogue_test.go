package configs

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/millgate/millgate/collector/kpi"
)

// TestFormulasAndDefinitions: what is computed is defined, and the reverse.
func TestFormulasAndDefinitions(t *testing.T) {
	var ids []string
	for _, d := range Policy().Definitions {
		ids = append(ids, d.ID)
	}
	slices.Sort(ids)
	formulas := kpi.Formulas()
	for _, id := range ids {
		if !slices.Contains(formulas, id) {
			t.Errorf("%s has a definition but no formula", id)
		}
	}
	for _, id := range formulas {
		if !slices.Contains(ids, id) {
			t.Errorf("%s has a formula but no definition", id)
		}
	}
}

func TestDefinitions(t *testing.T) {
	i := slices.IndexFunc(Policy().Constants, func(c kpi.Constant) bool { return c.ID == "coverage_limit" })
	limit := Policy().Constants[i].Value
	for _, d := range Policy().Definitions {
		if d.Coverage != 0 && d.Coverage != limit {
			t.Errorf("%s asks for a coverage of %g, which has no source: that of coverage_limit is %g", d.ID, d.Coverage, limit)
		}
		if strings.HasPrefix(d.ID, "operating_") != (d.Group == operatingGroup && d.ID != "energy_label_grade") {
			t.Errorf("%s is of group %s", d.ID, d.Group)
		}
		for _, text := range []kpi.Text{d.Title, d.Formula, d.NotSaid, d.Example} {
			checkText(t, d.ID, text)
		}
		if d.Source.Name == "" || d.Source.Where == "" {
			t.Errorf("%s has no source", d.ID)
		}
	}
}

var chinese = regexp.MustCompile(`\p{Han}`)

func checkText(t *testing.T, what string, text kpi.Text) {
	t.Helper()
	if text.ZH == "" || text.EN == "" || chinese.MatchString(text.EN) {
		t.Errorf("%s: a text is missing or in the wrong language: %+v", what, text)
	}
}

func TestCategories(t *testing.T) {
	tools := 0
	for _, c := range Policy().Categories {
		checkText(t, c.ID, c.Title)
		if c.FocusYears > 0 {
			tools++
			if c.Sector != "工业母机" || c.FocusSource.Name == "" {
				t.Errorf("%s: the policy's focus is on machine tools: %+v", c.ID, c)
			}
		}
		if (c.LifeYears > 0) != (c.Source.Name != "") {
			t.Errorf("%s: a life without a source, or the reverse", c.ID)
		}
		for _, list := range [][]string{c.Groups, c.Operating, c.Signals, c.Figures} {
			sorted := slices.Sorted(slices.Values(list))
			if len(slices.Compact(sorted)) != len(list) {
				t.Errorf("%s names something twice: %v", c.ID, list)
			}
		}
		for _, id := range c.Operating {
			checkReachable(t, &c, id)
		}
	}
	if tools == 0 || len(Policy().Categories) < 70 {
		t.Errorf("%d kinds of machine tools, %d categories", tools, len(Policy().Categories))
	}
}

// checkReachable says if a category has a KPI and not what it needs.
func checkReachable(t *testing.T, c *kpi.Category, id string) {
	t.Helper()
	d := definition(t, id)
	for _, need := range d.Needs {
		if !slices.ContainsFunc(strings.Split(need, "|"), func(word string) bool {
			return slices.Contains(ledgerNeeds, word) || slices.Contains(c.Signals, word) || slices.Contains(c.Figures, word)
		}) {
			t.Errorf("%s has %s, but neither signal nor figure %q", c.ID, id, need)
		}
	}
}

func definition(t *testing.T, id string) *kpi.Definition {
	t.Helper()
	i := slices.IndexFunc(Policy().Definitions, func(d kpi.Definition) bool { return d.ID == id })
	if i < 0 {
		t.Fatalf("no definition %s", id)
	}
	return &Policy().Definitions[i]
}

// TestCodes: a machine that does not execute is never set up, whatever mode a control was left in.
func TestCodes(t *testing.T) {
	for _, table := range Policy().Codes {
		for _, row := range table.Rows {
			if row.Mode == "setup" && row.State != "executing" && table.ID != "opc40001" { // whose modes are the standard's own
				t.Errorf("%s: %+v", table.ID, row)
			}
		}
	}
	for _, m := range Policy().Mappings {
		for _, row := range m.Rows {
			if row.Element == "aust" && (row.State != "executing" || row.Mode != "setup") {
				t.Errorf("%s: %+v", m.ID, row)
			}
		}
	}
}

// TestArithmetic finds slips of the pen in figures that follow from others.
func TestArithmetic(t *testing.T) {
	constants := map[string]float64{}
	for _, c := range Policy().Constants {
		constants[c.ID] = c.Value
	}
	near := func(what string, got, want, within float64) {
		t.Helper()
		if d := got - want; d > within || d < -within {
			t.Errorf("%s is %g, expected about %g", what, got, want)
		}
	}
	heat := constants["standard_coal_heat"]
	near("standard_coal_heat", heat, 7000*4.1868, 0.01)
	near("kgoe_in_kgce", constants["kgoe_in_kgce"], 10000.0/7000, 0.0001)
	for _, c := range Policy().CoalSets[0].Media {
		switch c.Medium {
		case "electricity":
			near(c.Medium, c.Coal, 3600/heat, 0.0001)
		case "heat":
			near(c.Medium, c.Coal, 1e6/heat, 0.01)
		case "diesel":
			near(c.Medium, c.Coal, 10200.0/7000, 0.0001)
		case "gasoline", "kerosene":
			near(c.Medium, c.Coal, 10300.0/7000, 0.0001)
		}
	}
}

func TestEmbeddedHolidays(t *testing.T) {
	for year, want := range map[int]struct{ off, work int }{2025: {28, 5}, 2026: {33, 6}} {
		h, ok := embeddedHolidays(year)
		if !ok || h.year != year || h.source == "" {
			t.Fatalf("%d: %+v", year, h)
		}
		off, work := 0, 0
		for date, what := range h.days {
			day, err := time.Parse(time.DateOnly, date)
			if err != nil {
				t.Fatal(err)
			}
			weekend := day.Weekday() == time.Saturday || day.Weekday() == time.Sunday
			switch {
			case what == "off":
				off++
			case !weekend:
				t.Errorf("%s is worked in exchange, but is a working day anyway", date)
			default:
				work++
			}
		}
		if off != want.off || work != want.work {
			t.Errorf("%d: %d days off and %d worked, want %+v", year, off, work, want)
		}
	}
	if _, ok := embeddedHolidays(2031); ok {
		t.Error("holidays of 2031 are not known")
	}
}

// TestPolicyMistakes: each mistake is found where it stands, which § marks.
func TestPolicyMistakes(t *testing.T) {
	const source = "sources: {s: {name: n, where: w, verified: false}}\n"
	for text, want := range map[string]string{
		"grids:\n  - {area: a, zh: z, en: e, year: 2023, co2: §3, source: s}":                                                                                                                                                        "co2 3 is out of range: 0 to 2",
		"grids:\n  - {area: a, zh: z, en: e, year: 2023, co2: 0.5, source: §t}":                                                                                                                                                      `there is no source "t"`,
		"grids:\n  - {area: a, zh: z, en: e, year: 2023, co2: 0.5, source: {of: s, verified: §false}}":                                                                                                                               "source s is not verified anyway",
		"grids:\n  - {area: a, zh: z, en: e, year: 2023, co2: 0.5, source: s}\n  - §{area: a, zh: z, en: e, year: 2023, co2: 0.5, source: s}":                                                                                        "a has a factor of 2023 already",
		"constants:\n  - {id: a, value: 1, unit: §kWh, source: s}":                                                                                                                                                                   `the catalogue has no unit "kWh"; did you mean "kW"?`,
		"constants:\n  - {id: a, value: §x, unit: kW, source: s}":                                                                                                                                                                    `"x" is not a decimal number`,
		"constants:\n  - {id: a, value: 1, unit: kW, source: s}\n  - {id: §a, value: 1, unit: kW, source: s}":                                                                                                                        `constant "a" is there already`,
		"coal_sets:\n  - {id: a, title: {zh: z, en: e}, source: s, media: [{medium: m, zh: z, en: e, unit: kg, kgce: 1, source: s}, §{medium: m, zh: z, en: e, unit: kg, kgce: 2, source: s}]}":                                      "m is there already",
		"benchmarks:\n  - {id: a, zh: z, en: e, unit: kgce/t, best: §2, base: 1, source: s}":                                                                                                                                         "best must be below base",
		"eliminated:\n  - {id: a, categories: [§b], models: [§\"*\"], source: s}":                                                                                                                                                    `there is no category "b"|the pattern "*" would match every model`,
		"mappings:\n  - {id: a, version: 1, title: {zh: z, en: e}, source: s, rows: [{state: executing, element: apt}, §{state: executing, mode: setup, element: aust}]}":                                                            "a row above matches",
		"code_tables:\n  - {id: a, version: 1, title: {zh: z, en: e}, roles: [item_state], mapping: §b@1, source: s, rows: [{when: {§alarm: 1}, state: executing}]}":                                                                 `there is no mapping "b@1"|"alarm" is not among the table's roles`,
		"code_tables:\n  - {id: a, version: 1, title: {zh: z, en: e}, roles: [§energy], mapping: §b@1, source: s, rows: []}":                                                                                                         `roles "energy" is unknown|there is no mapping "b@1"`,
		"profiles: {p: {groups: [age], operating: [§none], signals: [§sound]}}":                                                                                                                                                      `there is no definition "none"|signals "sound" is unknown`,
		"categories:\n  - {id: a, zh: z, en: e, sector: s, like: §p}":                                                                                                                                                                `profile "p" is unknown`,
		"figures: {f: {unit: kW, zh: z, en: e}}\n§category: []":                                                                                                                                                                      `the file has no key "category"`,
		"definitions:\n  - {id: a, version: 1, scope: site, group: age, unit: §\"\", windows: [day], needs: [§sound], title: {zh: z, en: e}, formula: {zh: z, en: e}, not_said: {zh: z, en: e}, example: {zh: z, en: e}, source: s}": `only a classification has no unit|"sound" is no role`,
	} {
		text, wants := source+text, strings.Split(want, "|")
		p := readPolicy(fstest.MapFS{"catalogue/a.yaml": {Data: []byte(strings.ReplaceAll(text, "§", ""))}})
		got := p.problems.sorted()
		if len(got) != len(wants) {
			t.Errorf("%s\ngot  %v\nwant %s", text, got, want)
			continue
		}
		for i, problem := range got {
			if at := fmt.Sprintf("%d:%d", problem.Line, problem.Column); at != marked(text, i) || !strings.HasPrefix(problem.Message, wants[i]) {
				t.Errorf("%s\ngot  %s\nwant %s: %s", text, problem, marked(text, i), wants[i])
			}
		}
	}
}

// marked is the line and column of the i-th mark.
func marked(text string, i int) string {
	before := strings.Join(strings.SplitN(text, "§", i+2)[:i+1], "")
	return fmt.Sprintf("%d:%d", strings.Count(before, "\n")+1, len([]rune(before[strings.LastIndexByte(before, '\n')+1:]))+1)
}

func TestHolidayMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"year: 2026\nsource: s\noff: [2026-02-30]":                                 `3:7: "2026-02-30": write a date`,
		"year: 2026\nsource: s\noff: [2027-01-01]":                                 `3:7: "2027-01-01" is not in 2026`,
		"year: 2026\nsource: s\noff: [2026-01-03..2026-01-01]":                     `3:7: "2026-01-03..2026-01-01" ends before it begins`,
		"year: 2026\nsource: s\noff: [2026-01-01..2026-01-03]\nwork: [2026-01-02]": "4:8: 2026-01-02 is listed already, under off",
		"source: s\noff: [2026-01-01]":                                             `1:1: the file of holidays lacks "year"`,
	} {
		d := document{file: "h.yaml", problems: &Problems{}}
		d.readHolidays(d.parse([]byte(text)))
		if got := (*d.problems).Error(); !strings.HasPrefix(got, "h.yaml:"+want) || len(*d.problems) != 1 {
			t.Errorf("%q\ngot  %s\nwant %s", text, got, want)
		}
	}
}

// TestPlansFromTheCatalogue: an engine can work with each code table and each category.
func TestPlansFromTheCatalogue(t *testing.T) {
	cat := Policy()
	for _, table := range cat.Codes {
		e := kpi.Equipment{ID: "m", Category: "lathe", State: &kpi.StateRules{Codes: ref(table.ID, table.Version)}, Signals: map[string]kpi.Signal{}}
		for _, role := range table.Roles {
			e.Signals[role] = kpi.Signal{Tag: "d/" + role, Factor: 1}
		}
		if _, err := kpi.NewPlan(&kpi.Config{Equipment: []kpi.Equipment{e}}, cat); err != nil {
			t.Errorf("%s: %v", table.ID, err)
		}
	}
	for _, c := range cat.Categories {
		cfg := &kpi.Config{Equipment: []kpi.Equipment{{ID: "m", Category: c.ID}}}
		if _, err := kpi.NewPlan(cfg, cat); err != nil {
			t.Errorf("%s: %v", c.ID, err)
		}
		for _, lack := range kpi.Lacks(cfg, cat) {
			if lack.Hint.ZH == "" || lack.Hint.EN == "" {
				t.Errorf("%s: nothing says what would supply %v for %s", c.ID, lack.Missing, lack.KPI)
			}
		}
	}
}
