package configs

import (
	"fmt"
	"math/big"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/millgate/millgate/drivers"
)

// measure is a unit: what it measures, and how many base units of that it is, as a fraction.
type measure struct{ of, size string }

// measures are the units that can be converted, in UCUM. Degrees differ from kelvins by an offset, so they are of their own kind.
var measures = map[string]measure{
	"W": {"power", "1"}, "kW": {"power", "1000"}, "MW": {"power", "1000000"}, "GW": {"power", "1000000000"},
	"V.A": {"apparent power", "1"}, "kV.A": {"apparent power", "1000"}, "MV.A": {"apparent power", "1000000"},
	"var": {"reactive power", "1"}, "kvar": {"reactive power", "1000"}, "Mvar": {"reactive power", "1000000"},
	"J": {"energy", "1"}, "kJ": {"energy", "1000"}, "MJ": {"energy", "1000000"}, "GJ": {"energy", "1000000000"}, "TJ": {"energy", "1000000000000"},
	"W.h": {"energy", "3600"}, "kW.h": {"energy", "3600000"}, "MW.h": {"energy", "3600000000"}, "GW.h": {"energy", "3600000000000"},
	"var.h": {"reactive energy", "1"}, "kvar.h": {"reactive energy", "1000"}, "Mvar.h": {"reactive energy", "1000000"},
	"mA": {"current", "1/1000"}, "A": {"current", "1"}, "kA": {"current", "1000"},
	"mV": {"voltage", "1/1000"}, "V": {"voltage", "1"}, "kV": {"voltage", "1000"},
	"Pa": {"pressure", "1"}, "hPa": {"pressure", "100"}, "kPa": {"pressure", "1000"}, "MPa": {"pressure", "1000000"},
	"mbar": {"pressure", "100"}, "bar": {"pressure", "100000"},
	"m3/h": {"volume flow", "1/3600"}, "m3/min": {"volume flow", "1/60"}, "m3/s": {"volume flow", "1"},
	"L/h": {"volume flow", "1/3600000"}, "L/min": {"volume flow", "1/60000"}, "L/s": {"volume flow", "1/1000"},
	"kg/h": {"mass flow", "1/3600"}, "kg/s": {"mass flow", "1"}, "t/h": {"mass flow", "1000/3600"},
	"mg": {"mass", "1/1000000"}, "g": {"mass", "1/1000"}, "kg": {"mass", "1"}, "t": {"mass", "1000"}, "kt": {"mass", "1000000"},
	"L": {"volume", "1/1000"}, "m3": {"volume", "1"},
	"mm": {"length", "1/1000"}, "cm": {"length", "1/100"}, "m": {"length", "1"}, "km": {"length", "1000"},
	"ms": {"time", "1/1000"}, "s": {"time", "1"}, "min": {"time", "60"}, "h": {"time", "3600"}, "d": {"time", "86400"},
	"a":   {"years", "1"},
	"Cel": {"temperature", "1"}, "K": {"temperature difference", "1"},
	"Hz": {"frequency", "1"}, "kHz": {"frequency", "1000"}, "{rev}/min": {"speed", "1"}, "{rev}/s": {"speed", "60"},
	"J/g": {"specific energy", "1000"}, "kJ/kg": {"specific energy", "1000"}, "MJ/kg": {"specific energy", "1000000"}, "GJ/t": {"specific energy", "1000000"},
	"kJ/m3": {"heating value", "1000"}, "MJ/m3": {"heating value", "1000000"},
	"1": {"number", "1"}, "%": {"number", "1/100"},
	"CNY": {"money", "1"}, "10k CNY": {"money", "10000"},
	"kg{ce}": {"standard coal", "1"}, "t{ce}": {"standard coal", "1000"},
}

// spellings are how units are also written.
var spellings = map[string]string{
	"Wh": "W.h", "kWh": "kW.h", "MWh": "MW.h", "GWh": "GW.h", "VA": "V.A", "kVA": "kV.A", "MVA": "MV.A", "varh": "var.h", "kvarh": "kvar.h", "Mvarh": "Mvar.h",
	"l": "L", "l/h": "L/h", "l/min": "L/min", "l/s": "L/s", "m³": "m3", "m³/h": "m3/h", "m³/min": "m3/min", "m³/s": "m3/s", "℃": "Cel", "°C": "Cel",
	"元": "CNY", "万元": "10k CNY", "kgce": "kg{ce}", "tce": "t{ce}", "r/min": "{rev}/min", "rpm": "{rev}/min", "": "1", "件": "1",
}

// annotationForm is a unit of counted things, such as {parts}.
var annotationForm = regexp.MustCompile(`^\{[^{}]*\}$`)

// measureOf finds a unit, however it is spelled.
func measureOf(unit string) (measure, bool) {
	if annotationForm.MatchString(unit) {
		unit = "1"
	}
	if usual, ok := spellings[unit]; ok {
		unit = usual
	}
	m, ok := measures[unit]
	return m, ok
}

// unitFactor is what a number in the unit from must be multiplied by to be in the unit to.
func unitFactor(from, to string) (float64, error) { return inUnit("1", from, to) }

// inUnit is a decimal number of one unit in another, as near as a float64 can be.
func inUnit(number, from, to string) (float64, error) {
	v, ok := new(big.Rat).SetString(number)
	if !ok {
		return 0, fmt.Errorf("%q is not a number", number)
	}
	ratio, err := unitRatio(from, to)
	if err != nil {
		return 0, err
	}
	f, _ := v.Mul(v, ratio).Float64()
	return f, nil
}

func unitRatio(from, to string) (*big.Rat, error) {
	if from == to {
		return big.NewRat(1, 1), nil
	}
	a, okA := measureOf(from)
	b, okB := measureOf(to)
	switch {
	case !okA:
		return nil, fmt.Errorf("unit %q is not one that millgate can turn into %s", from, unitName(to))
	case !okB:
		return nil, fmt.Errorf("unit %s can not be turned into %q", unitName(from), to)
	case a.of != b.of && strings.HasPrefix(a.of, "temperature") && strings.HasPrefix(b.of, "temperature"):
		return nil, fmt.Errorf("%s and %s differ by an offset: let the point give %s, with scale and offset", from, to, to)
	case a.of != b.of:
		return nil, fmt.Errorf("%s is %s, and %s is %s: the one can not be turned into the other", unitName(from), a.of, unitName(to), b.of)
	}
	x, _ := new(big.Rat).SetString(a.size) // of the table above
	y, _ := new(big.Rat).SetString(b.size)
	return x.Quo(x, y), nil
}

func unitName(unit string) string {
	if unit == "" || unit == "1" {
		return "a pure number"
	}
	return unit
}

// quantityForm is a number, with a unit or without; thousands may be set apart as spreadsheets do.
var quantityForm = regexp.MustCompile(`^([+-]?[0-9][0-9,]*(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)\s*(.*)$`)

// quantity reads a number with its unit, such as 15 kW, and gives it in the unit in.
func (d *document) quantity(into *float64, in, what string) func(ast.Node) {
	return func(n ast.Node) {
		text, ok := d.scalar(n, "a number and its unit are expected")
		if !ok {
			return
		}
		parts := quantityForm.FindStringSubmatch(strings.TrimSpace(foldWidth(text)))
		if parts == nil {
			d.at(n, "%s %q: write a number and its unit, such as 15 %s", what, text, in)
			return
		}
		v, err := drivers.ParseDecimal(strings.ReplaceAll(parts[1], ",", ""))
		if err != nil {
			d.at(n, "%s: %v", what, err)
			return
		}
		if m, known := measureOf(in); parts[2] == "" && (!known || m.of != "number") {
			d.at(n, "%s %s: the unit is missing; write %s %s", what, text, parts[1], in)
			return
		}
		f, err := inUnit(v.String(), parts[2], in)
		if err != nil {
			d.at(n, "%s %q: %v", what, text, err)
			return
		}
		*into = f
	}
}

// positiveQuantity reads a quantity above 0.
func (d *document) positiveQuantity(into *float64, in, what string) func(ast.Node) {
	return func(n ast.Node) {
		before := len(*d.problems)
		if d.quantity(into, in, what)(n); *into <= 0 && len(*d.problems) == before {
			d.at(n, "%s must be above 0", what)
		}
	}
}

// numeral reads a plain number from lo to hi.
func (d *document) numeral(into *float64, lo, hi float64, what string) func(ast.Node) {
	return func(n ast.Node) {
		var v drivers.Decimal
		before := len(*d.problems)
		if d.decimal(&v)(n); len(*d.problems) > before {
			return
		}
		if *into = v.Float(); *into < lo || *into > hi {
			d.at(n, "%s %v is out of range: %v to %v", what, v, lo, hi)
		}
	}
}
