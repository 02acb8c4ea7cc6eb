package kpi

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseCondition(t *testing.T) {
	for text, want := range map[string]string{ // canonical form: names
		"true":                              "true: ",
		"running==1":                        "running == 1: running",
		"not  (a.x == 1 or b.y != 2)":       "not (a.x == 1 or b.y != 2): a.x b.y",
		"a.x<1 and (b.y>=2 or c.z<=-3.5e2)": "a.x < 1 and (b.y >= 2 or c.z <= -350): a.x b.y c.z",
		"(a.x == 1 and b.y == 2) or c.z==3": "a.x == 1 and b.y == 2 or c.z == 3: a.x b.y c.z",
		"not not a.x > 0":                   "not not a.x > 0: a.x",
		"meter-1.power_total < 0.05 kW":     "meter-1.power_total < 0.05 kW: meter-1.power_total",
		"m.p < 0.05kW/(m3/min) and m.q > 5": "m.p < 0.05 kW/(m3/min) and m.q > 5: m.p m.q",
		"item_state in (1,2 ,3)":            "item_state in (1, 2, 3): item_state",
		"blinks(lamp.red)":                  "blinks(lamp.red, 5s): lamp.red",
		"blinks( lamp.red ,800ms )":         "blinks(lamp.red, 800ms): lamp.red",
		"cnc.axis[3].load > 20 %":           "cnc.axis[3].load > 20 %: cnc.axis[3].load",
		"3d.x == 1 and 3d.x == 1":           "3d.x == 1 and 3d.x == 1: 3d.x",
		"android == 5 and order == 1":       "android == 5 and order == 1: android order",
		"a.t > 5e3 and a.t > 5 e3":          "a.t > 5000 and a.t > 5 e3: a.t",
	} {
		e, err := ParseCondition(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := e.String() + ": " + strings.Join(e.Names(), " "); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestConditionErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                    "column 1: expected a tag (device.tag), a role, not, true, blinks or (, found the end",
		"running":             "column 8: expected ==, !=, <, <=, >, >= or in after running, found the end",
		"running = 1":         `column 9: expected ==, !=, <, <=, >, >= or in after running, found "="`,
		"running == on":       `column 12: expected a number, found "on"`,
		"a.x == 1 & a.y == 2": `column 10: expected and, or, or the end, found "&"`,
		"(a.x == 1":           "column 10: expected ), found the end",
		"a.x in 1":            `column 8: expected ( after in, found "1"`,
		"a.x in (1; 2)":       `column 10: expected , or ), found ";"`,
		"blinks(a.x, 5)":      `column 13: expected a time in whole milliseconds up to 10m0s, such as 5s or 800ms, found "5)"`,
		"blinks(a.x, 5us)":    `column 13: expected a time in whole milliseconds up to 10m0s, such as 5s or 800ms, found "5us)"`,
		"blinks(1, 2s":        "column 13: expected ) or , and a time, found the end",
		"a. == 1":             `column 1: expected a tag (device.tag), a role, not, true, blinks or (, found "a."`,
		"and == 1":            `column 1: expected a tag (device.tag), a role, not, true, blinks or (, found "and"`,
		"a.x == 1e999":        `column 8: expected a number, found "1e999"`,
	} {
		_, err := ParseCondition(text)
		if at := new(ConditionError); err == nil || err.Error() != want || !errors.As(err, &at) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	for text, want := range map[string]string{
		strings.Repeat("(", 5000):                               "longer than 2000 bytes",
		strings.Repeat("(", 100) + "true":                       "more than 20 levels",
		strings.Repeat("not ", 100) + "true":                    "more than 20 levels",
		"true" + strings.Repeat(" and true", maxConditionTerms): "more than 100 terms",
	} {
		if _, err := ParseCondition(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20s…: %v, want %s", text, err, want)
		}
	}
}

func TestConvertCondition(t *testing.T) {
	e, err := ParseCondition("m.p < 50 W or m.t in (50 [degF], 3) and item_state == 1")
	if err != nil {
		t.Fatal(err)
	}
	err = e.Convert(func(name string, value float64, unit string) (float64, error) {
		switch name + " " + unit {
		case "m.p W":
			return value / 1000, nil
		case "m.t [degF]":
			return (value - 32) / 1.8, nil
		}
		return 0, fmt.Errorf("%s is not measured in %s", name, unit)
	})
	if want := "m.p < 0.05 or m.t in (10, 3) and item_state == 1"; err != nil || e.String() != want {
		t.Errorf("%s, %v, want %s", e, err, want)
	}
	e, _ = ParseCondition("m.p < 50 or m.t < 3 L")
	err = e.Convert(func(string, float64, string) (float64, error) { return 0, errors.New("m.t is a temperature") })
	if want := "column 19: m.t is a temperature"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	err = e.Convert(func(string, float64, string) (float64, error) { return math.Inf(1), nil })
	if want := "column 19: 3 L is too great a number"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestTagNamed(t *testing.T) {
	for name, want := range map[string]string{"cnc-1.axis[3].load": "cnc-1/axis[3].load true", "item_state": "item_state/ false"} {
		tag, ok := TagNamed(name)
		if got := fmt.Sprint(tag, " ", ok); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func drawCondition(t *rapid.T, depth int) string {
	names := []string{"running", "lamp-1.red", "m.p", "cnc.axis[3].load"}
	name := rapid.SampledFrom(names).Draw(t, "name")
	kinds := 7
	if depth > 3 {
		kinds = 4
	}
	number := fmt.Sprint(rapid.Float64().Draw(t, "number")) + rapid.SampledFrom([]string{"", " kW", "%", " kW/(m3/min)"}).Draw(t, "unit")
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return "true"
	case 1:
		return name + rapid.SampledFrom([]string{"==", " !=", "< ", " <= ", " > ", ">="}).Draw(t, "op") + number
	case 2:
		return name + " in (" + number + "," + number + ")"
	case 3:
		return "blinks(" + name + rapid.SampledFrom([]string{")", ", 90s)", ",1ms )"}).Draw(t, "within")
	case 4:
		return "not (" + drawCondition(t, depth+1) + ")"
	case 5:
		return "(" + drawCondition(t, depth+1) + ") and (" + drawCondition(t, depth+1) + ")"
	}
	return drawCondition(t, depth+1) + " or " + drawCondition(t, depth+1)
}

// TestConditionRoundTrip: the canonical form reads as itself, and as the same names.
func TestConditionRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := drawCondition(t, 0)
		e, err := ParseCondition(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		roundTrip(t, e)
	})
}

func roundTrip(t interface{ Fatalf(string, ...any) }, e *Expr) {
	canonical := e.String()
	again, err := ParseCondition(canonical)
	if err != nil {
		t.Fatalf("%s: %v", canonical, err)
	}
	if got := again.String(); got != canonical {
		t.Fatalf("%s reads as %s", canonical, got)
	}
}

func FuzzParseCondition(f *testing.F) {
	for _, text := range []string{
		"true", "not (a.x == 1 or b.y != 2)", "m.p < 0.05 kW/(m3/min)", "item_state in (1, 2)", "blinks(lamp.red, 800ms)", "a.x>-1e3 and", "((", "5e",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := ParseCondition(text)
		if err == nil {
			if canonical := e.String(); len(canonical) <= maxConditionText { // a number may be written shorter than it prints
				roundTrip(t, e)
			}
			return
		}
		at := new(ConditionError)
		if !errors.As(err, &at) || at.Column < 1 || at.Column > len(text)+1 {
			t.Fatalf("error %v of %q", err, text)
		}
	})
}
