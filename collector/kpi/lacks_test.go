package kpi

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// lacksCatalogue has a KPI of each kind of need.
func lacksCatalogue() *Catalogue {
	d := func(id, scope, group string, needs ...string) Definition {
		return Definition{ID: id, Scope: scope, Group: group, Needs: needs}
	}
	return &Catalogue{
		Definitions: []Definition{
			d("availability", "equipment", "utilisation", "state", "calendar"),
			d("apt", "equipment", "utilisation", "state"),
			d("spindle_rate", "equipment", "utilisation", "state", "spindle_on"),
			d("parts_good", "equipment", "utilisation", "good_parts|parts", "good_parts|scrap"),
			d("oee", "equipment", "utilisation", "state", "calendar", "parts", "program", "products", "good_parts|scrap"),
			d("energy", "equipment", "energy", "energy|power"),
			d("standard_coal", "equipment", "energy", "energy|power|fuel", "coal_set"),
			d("account_energy", "account", "energy", "terms"),
			d("running_hours", "equipment", "age", "run_hours|state"),
			d("years_in_service", "equipment", "age", "commissioned|manufactured"),
			d("policy_focus_over_10y", "equipment", "age", "commissioned|manufactured"),
			d("calendar_ageing", "equipment", "age", "commissioned|manufactured", "design_life"),
			d("share_over_10y_by_value", "site", "age", "commissioned|manufactured", "original_value"),
			d("nc_rate_by_equipment", "site", "rates", "key_process", "control"),
			d("operating_transformer_loss", "equipment", "operating", "power_apparent", "no_load_loss"),
		},
		Categories: []Category{
			{
				ID: "lathe", Groups: []string{"utilisation", "energy", "age", "rates"}, FocusYears: 10, LifeYears: 15,
				Signals: []string{"item_state", "parts", "scrap", "program", "energy", "power", "spindle_on", "run_hours"},
			},
			{ID: "transformer", Groups: []string{"age"}, Operating: []string{"operating_transformer_loss"}, Signals: []string{"power_apparent"}, Figures: []string{"no_load_loss"}},
		},
	}
}

func lacksLines(lacks []Lack) (lines []string) {
	for _, l := range lacks {
		lines = append(lines, l.Equipment+": "+strings.Join(l.Missing, "|")+" → "+l.KPI)
	}
	return lines
}

func TestLacks(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  Config
		want []string
	}{
		"nothing but a name": {Config{Equipment: []Equipment{{ID: "L-1", Category: "lathe"}}}, []string{
			"L-1: commissioned|manufactured → calendar_ageing, policy_focus_over_10y, share_over_10y_by_value, years_in_service",
			"L-1: state → apt, availability, oee, spindle_rate",
			"L-1: energy|power → energy, standard_coal", // which fuel would give too, but that is one line less
			"L-1: good_parts|scrap → oee, parts_good",
			"L-1: parts → oee, parts_good",
			"L-1: hours|run_hours → running_hours",
			"L-1: original_value → share_over_10y_by_value",
			"L-1: products → oee",
			"L-1: program → oee",
			"L-1: spindle_on → spindle_rate",
		}},
		"all there is": {Config{
			Products: []Product{{ID: "A", Ideal: 60}},
			Inputs:   []Input{{ID: "waste", Subject: "L-1", Quantity: "scrap"}},
			Equipment: []Equipment{{
				ID: "L-1", Category: "lathe", State: &StateRules{}, Nameplate: Nameplate{OriginalValue: 1}, Life: Life{Manufactured: "2012", HoursAt: "2024"},
				Control: "cnc", Process: "turning",
				Signals: map[string]Signal{"parts": {}, "program": {}, "power": {}, "spindle_on": {}},
			}},
		}, nil},
		"hours that are not trusted, a product of another, no control": {Config{
			Products: []Product{{ID: "A", Ideal: 60, On: []string{"L-2"}}},
			Equipment: []Equipment{{
				ID: "L-1", Category: "lathe", State: &StateRules{}, Nameplate: Nameplate{OriginalValue: 1}, Life: Life{Manufactured: "2012"}, Process: "turning",
				Signals: map[string]Signal{"parts": {}, "program": {}, "power": {}, "spindle_on": {}, "good_parts": {}, "run_hours": {}},
			}},
		}, []string{"L-1: control → nc_rate_by_equipment", "L-1: hours|run_hours → running_hours", "L-1: products → oee"}},
		"other kinds": {Config{Equipment: []Equipment{
			{ID: "T-1", Category: "transformer", Life: Life{Commissioned: "2012"}, Nameplate: Nameplate{OriginalValue: 1}},
			{ID: "U-1", Category: "unheard-of"},
		}}, []string{
			"T-1: design_life → calendar_ageing", // the category has no planning life, and no focus
			"T-1: hours|run_hours → running_hours",
			"T-1: no_load_loss → operating_transformer_loss",
			"T-1: power_apparent → operating_transformer_loss",
		}},
	} {
		got := lacksLines(Lacks(&c.cfg, lacksCatalogue()))
		if !slices.Equal(got, c.want) {
			t.Errorf("%s:\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
}

func TestHints(t *testing.T) {
	cfg := &Config{Equipment: []Equipment{{ID: "L-1", Category: "lathe"}, {ID: "T-1", Category: "transformer"}}}
	for _, l := range Lacks(cfg, lacksCatalogue()) {
		if l.Hint.ZH == "" || l.Hint.EN == "" {
			t.Errorf("%v has no hint", l.Missing)
		}
		want := map[string]string{
			"state": "tag item_state", "parts": "tag part_count", "energy|power": "tag energy_import", "good_parts|scrap": "manual input", "products": "ideal cycle", "no_load_loss": "nameplate",
		}[strings.Join(l.Missing, "|")]
		if !strings.Contains(l.Hint.EN, want) {
			t.Errorf("%v: %q does not name %q", l.Missing, l.Hint.EN, want)
		}
	}
}

// A hint that names a tag which no map has sends people looking for it.
func TestHintsNameTagsOfTheLibrary(t *testing.T) {
	files, err := filepath.Glob("../../configs/maps/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no device maps: %v", err)
	}
	tags := map[string]bool{}
	name := regexp.MustCompile(`\bname: ([a-z0-9_]+)`)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range name.FindAllStringSubmatch(string(text), -1) {
			tags[m[1]] = true
		}
	}
	for role, fits := range libraryTags {
		if _, known := RoleNamed(role); !known && role != needState {
			t.Errorf("%s is no role", role)
		}
		for _, tag := range fits {
			if !tags[tag] {
				t.Errorf("no map has %s, which %s is told to take", tag, role)
			}
		}
	}
}
