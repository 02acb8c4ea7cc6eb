package configs

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/millgate/millgate/collector"
	"github.com/millgate/millgate/collector/kpi"
	"github.com/millgate/millgate/drivers"
)

// states reads the texts of codes.
func (d *document) states(p *pointSpec) func(ast.Node) {
	return func(n ast.Node) {
		d.numbered(n, "states", func(code int64, key, n ast.Node) {
			if slices.ContainsFunc(p.rule.States, func(s collector.StateText) bool { return s.Code == code }) {
				d.at(key, "state %d stands here a second time", code)
			}
			s := collector.StateText{Code: code}
			d.bilingual(n, "state", &s.Text)
			p.rule.States = append(p.rule.States, s)
		})
		slices.SortFunc(p.rule.States, func(a, b collector.StateText) int { return cmp.Compare(a.Code, b.Code) })
	}
}

// alarms reads what is wrong while a bit is set.
func (d *document) alarms(p *pointSpec) func(ast.Node) {
	return func(n ast.Node) {
		d.numbered(n, "alarms", func(bit int64, key, n ast.Node) {
			if bit < 0 || bit > 63 {
				d.at(key, "alarm %d: bits are 0 to 63", bit)
				return
			}
			if slices.ContainsFunc(p.rule.Alarms, func(a collector.Alarm) bool { return int64(a.Bit) == bit }) {
				d.at(key, "alarm %d stands here a second time", bit)
			}
			a, severity := collector.Alarm{Bit: uint8(bit)}, string(drivers.Warning)
			d.bilingual(n, "alarm", &a.Text, may("severity", d.choice(&severity, "severity", string(drivers.Info), string(drivers.Warning), string(drivers.Severe))))
			a.Severity = drivers.Severity(severity)
			p.rule.Alarms = append(p.rule.Alarms, a)
		})
		slices.SortFunc(p.rule.Alarms, func(a, b collector.Alarm) int { return cmp.Compare(a.Bit, b.Bit) })
	}
}

// numbered reads a mapping whose keys are whole numbers.
func (d *document) numbered(n ast.Node, what string, read func(number int64, key, value ast.Node)) {
	pairs, _ := d.pairs(n, what)
	for _, pair := range pairs {
		key := pair.Key.GetToken().Value
		number, err := parseWhole(key)
		if err != nil {
			d.at(pair.Key, "%s: the keys are whole numbers, not %q", what, key)
			continue
		}
		read(number, pair.Key, pair.Value)
	}
}

// bilingual reads {zh: …, en: …}, with more keys if there are, or one text for both.
func (d *document) bilingual(n ast.Node, what string, into *drivers.EventText, more ...field) {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		d.object(n, what, append(more, must("zh", d.text(&into.ZH)), must("en", d.text(&into.EN)))...)
	default:
		d.text(&into.ZH)(n)
		into.EN = into.ZH
	}
}

// positive reads a decimal above 0.
func (d *document) positive(into *drivers.Decimal, what string) func(ast.Node) {
	return func(n ast.Node) {
		before := len(*d.problems)
		d.decimal(into)(n)
		if into.Mantissa <= 0 && len(*d.problems) == before {
			d.at(n, "%s must be above 0", what)
		}
	}
}

// bitsOf is how many bits a whole number has that the point gives before its scale; 0 if it gives no such number, or decimal digits.
func (p *pointSpec) bitsOf() int {
	switch {
	case p.typ.name == "bool":
		return 1
	case p.modbus.Bits.Count > 0:
		return int(p.modbus.Bits.Count)
	case strings.HasPrefix(p.typ.name, "bcd"):
		return 0
	}
	return p.typ.bits
}

// span is how many different numbers the point gives before its scale: where a counter must begin again. 0: no such limit.
func (p *pointSpec) span() float64 {
	if strings.HasPrefix(p.typ.name, "bcd") {
		return math.Pow10(p.typ.bits / 4)
	}
	if n := p.bitsOf(); n > 0 {
		return math.Ldexp(1, n)
	}
	return 0
}

// checkCodes says what can not be about states and alarms.
func (p *pointSpec) checkCodes() {
	for _, key := range []string{"states", "alarms"} {
		switch {
		case !p.has(key):
		case p.kind != drivers.State:
			p.at([]string{key, "kind"}, "point %s: %s are of kind state, not %s", p.name, key, p.kind)
		case p.bitsOf() == 0:
			p.at([]string{key, "type"}, "point %s: a %s has no %s; use bool or a whole number", p.name, p.typ.text, key)
		case p.scaled() && p.typ.name != "bool": // a bool was told so already
			p.at([]string{key, "scale", "offset", "multiply"}, "point %s: %s are those of the number as it is read: leave scale and offset out", p.name, key)
		}
	}
	bits := p.bitsOf()
	if bits == 0 {
		return
	}
	low, high := int64(0), int64(math.MaxInt64)
	if bits < 64 {
		high = 1<<bits - 1
	}
	if strings.HasPrefix(p.typ.name, "int") {
		low, high = -1<<(bits-1), 1<<(bits-1)-1
	}
	for _, s := range p.rule.States {
		if s.Code < low || s.Code > high {
			p.at([]string{"states", "bits", "type"}, "point %s: it can not be in state %d: its codes are %d to %d", p.name, s.Code, low, high)
		}
	}
	for _, a := range p.rule.Alarms {
		if int(a.Bit) >= bits {
			p.at([]string{"alarms", "bits", "type"}, "point %s: there is no bit %d: it has the bits 0 to %d", p.name, a.Bit, bits-1)
		}
	}
}

// checkCounter says what can not be about a counter.
func (p *pointSpec) checkCounter() {
	for _, key := range []string{"modulus", "max_rate"} {
		if p.has(key) && p.kind != drivers.Counter {
			p.at([]string{key, "kind"}, "point %s: a %s has no %s: it is for kind counter", p.name, p.kind, key)
		}
	}
	if p.has("resolution") && p.kind != drivers.Counter && p.kind != drivers.Gauge {
		p.at([]string{"resolution", "kind"}, "point %s: a %s has no resolution", p.name, p.kind)
	}
	if p.kind != drivers.Counter {
		return
	}
	if end := p.span() * p.factor(); end > 0 && p.modulus.Float() > end*(1+1e-9) {
		p.at([]string{"modulus", "type", "scale", "bits"}, "point %s: it never reaches modulus %v: a %s with this scale begins again at %v", p.name, p.modulus, p.typ.text, end)
	}
}

// factor is the size of the scale.
func (p *pointSpec) factor() float64 {
	if p.scale == (drivers.Decimal{}) {
		return 1
	}
	return math.Abs(p.scale.Float())
}

// counterRule is how the point counts, its scale being that with the params; modulus and maxRate likewise.
func (p *pointSpec) counterRule() *kpi.CounterRule {
	if p.kind != drivers.Counter {
		return nil
	}
	r := &kpi.CounterRule{Modulus: p.modulus.Float(), MaxRate: p.maxRate.Float()}
	if r.Modulus == 0 {
		r.Modulus = p.span() * p.factor()
	}
	return r
}
