package configs

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/millgate/millgate/collector"
	"github.com/millgate/millgate/collector/kpi"
	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/modbus"
)

// bitRange reads 3 or 4-7.
func (d *document) bitRange(into *modbus.BitRange) func(ast.Node) {
	return func(n ast.Node) {
		text, ok := d.scalar(n, "a bit or a range of bits is expected")
		if !ok {
			return
		}
		first, last, ranged := strings.Cut(text, "-")
		if !ranged {
			last = first
		}
		low, err := strconv.ParseUint(strings.TrimSpace(first), 10, 6)
		high, err2 := strconv.ParseUint(strings.TrimSpace(last), 10, 6)
		if err != nil || err2 != nil || low > high {
			d.at(n, "bits %q: write one bit, such as 3, or a range, such as 4-7; the lowest is 0, the highest 63", text)
			return
		}
		*into = modbus.BitRange{Low: uint8(low), Count: uint8(high - low + 1)}
	}
}

// invalid reads the raw values with which a device says that it has none.
func (d *document) invalid(p *pointSpec) func(ast.Node) {
	return d.list("invalid", func(n ast.Node) {
		text, ok := d.scalar(n, "a number or all_ones is expected")
		if !ok || p.point.Type.Name == "" {
			return
		}
		raw, err := rawValue(p.point.Type, text)
		if err != nil {
			d.at(n, "invalid %s: %v", text, err)
			return
		}
		if !slices.Contains(p.point.Invalid, raw) {
			p.point.Invalid = append(p.point.Invalid, raw)
		}
	})
}

// rawValue is what the registers of a value hold, in word order: text is 0x… for just that, all_ones, or the number itself.
func rawValue(t modbus.DataType, text string) (raw uint64, err error) {
	bits := 16 * t.Registers()
	hex, isHex := strings.CutPrefix(strings.ToLower(text), "0x")
	switch {
	case t.Name == "string":
		return 0, fmt.Errorf("a string has no such values")
	case text == "all_ones":
		return 1<<(bits-1)<<1 - 1, nil
	case isHex:
		raw, err = strconv.ParseUint(hex, 16, bits)
	case strings.HasPrefix(t.Name, "bcd"):
		return 0, fmt.Errorf("write a %s as the registers hold it, such as 0x%s", t.Name, strings.Repeat("F", bits/4))
	case strings.HasPrefix(t.Name, "float"):
		var v float64
		if v, err = strconv.ParseFloat(text, bits); math.IsNaN(v) {
			return 0, fmt.Errorf("what is no number is never taken for a value; it need not be written")
		}
		if raw = math.Float64bits(v); bits == 32 {
			raw = uint64(math.Float32bits(float32(v)))
		}
	case strings.HasPrefix(t.Name, "int"):
		var v int64
		v, err = strconv.ParseInt(text, 10, bits)
		raw = uint64(v) << (64 - bits) >> (64 - bits)
	default:
		raw, err = strconv.ParseUint(text, 10, bits)
	}
	if err != nil {
		return 0, fmt.Errorf("that is no number that a %s can hold: write the number, 0x… for the registers as they are, or all_ones", t.Name)
	}
	return raw, nil
}

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
	t := p.point.Type
	switch {
	case t.Name == "bool":
		return 1
	case p.point.Bits.Count > 0:
		return int(p.point.Bits.Count)
	case strings.HasPrefix(t.Name, "int"), strings.HasPrefix(t.Name, "uint"):
		return 16 * t.Registers()
	}
	return 0
}

// span is how many different numbers the point gives before its scale: where a counter must begin again. 0: no such limit.
func (p *pointSpec) span() float64 {
	if strings.HasPrefix(p.point.Type.Name, "bcd") {
		return math.Pow10(4 * p.point.Type.Registers())
	}
	if n := p.bitsOf(); n > 0 {
		return math.Ldexp(1, n)
	}
	return 0
}

func (p *pointSpec) checkBits() {
	b, t := p.point.Bits, p.point.Type
	if len(p.point.Invalid) > 0 && p.point.Table.Bits() {
		p.at([]string{"invalid", "table"}, "point %s: the table %s holds single bits, none of which could mean that there is no value", p.name, p.point.Table)
	}
	if b.Count == 0 {
		return
	}
	bits := 16 * t.Registers()
	switch {
	case p.point.Table.Bits() || !strings.HasPrefix(t.Name, "uint") && t.Name != "bool":
		p.at([]string{"bits", "type", "table"}, "point %s: bits are taken from registers as uint16, uint32, uint64 or bool", p.name)
	case t.Name == "bool" && b.Count > 1:
		p.at([]string{"bits", "type"}, "point %s: a bool is one bit; take several as uint16", p.name)
	case int(b.Low)+int(b.Count) > bits:
		p.at([]string{"bits", "type"}, "point %s: a %s has the bits 0 to %d", p.name, t, bits-1)
	}
}

// checkCodes says what can not be about states and alarms.
func (p *pointSpec) checkCodes() {
	for _, key := range []string{"states", "alarms"} {
		switch {
		case !p.has(key):
		case p.kind != drivers.State:
			p.at([]string{key, "kind"}, "point %s: %s are of kind state, not %s", p.name, key, p.kind)
		case p.bitsOf() == 0:
			p.at([]string{key, "type"}, "point %s: a %s has no %s; use bool or a whole number", p.name, p.point.Type, key)
		case p.scaled() && p.point.Type.Name != "bool": // a bool was told so already
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
	if strings.HasPrefix(p.point.Type.Name, "int") {
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
		p.at([]string{"modulus", "type", "scale", "bits"}, "point %s: it never reaches modulus %v: a %s with this scale begins again at %v", p.name, p.modulus, p.point.Type, end)
	}
}

// factor is the size of the scale.
func (p *pointSpec) factor() float64 {
	if p.point.Scale == (drivers.Decimal{}) {
		return 1
	}
	return math.Abs(p.point.Scale.Float())
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
