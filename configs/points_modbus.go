package configs

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/millgate/millgate/drivers/modbus"
)

var (
	tables = []string{"coil", "discrete_input", "input_register", "holding_register"}
	// modiconTable is the table that the first digit of a five- or six-digit address names.
	modiconTable = map[byte]modbus.Table{'0': modbus.Coil, '1': modbus.DiscreteInput, '3': modbus.InputRegister, '4': modbus.HoldingRegister}
)

const (
	zeroBased = "zero_based"
	oneBased  = "one_based"
	modicon   = "modicon"
)

// modbusFields are the keys that only points of Modbus have, and type.
func (p *pointSpec) modbusFields(d *document) []field {
	return []field{
		must("table", d.table(&p.modbus.Table)),
		must("address", func(ast.Node) {}), // in check, which knows the table and the width
		must("type", d.registerType(p)),
		may("word_order", d.wordOrder(&p.modbus.WordOrder)),
		may("bits", d.bitRange(&p.modbus.Bits)),
		may("invalid", d.invalid(p)),
	}
}

// checkModbus says what can not be about where the point is; ok is false if too little is known for more.
func (p *pointSpec) checkModbus(addressing string) (ok bool) {
	if !p.has("table") || p.typ.name == "" || int(p.modbus.Table) == len(tables) {
		return false
	}
	if p.has("address") {
		p.readAddress(addressing)
	}
	if p.modbus.Table.Bits() && p.typ.name != "bool" {
		p.at([]string{"type", "table"}, "point %s: table %s holds single bits, so its type is bool, not %s", p.name, p.modbus.Table, p.typ.text)
	}
	p.checkBits()
	return true
}

func (d *document) table(into *modbus.Table) func(ast.Node) {
	return func(n ast.Node) {
		word := ""
		d.choice(&word, "table", tables...)(n)
		var ok bool
		if *into, ok = modbus.ParseTable(word); !ok {
			*into = modbus.Table(len(tables))
		}
	}
}

func (d *document) registerType(p *pointSpec) func(ast.Node) {
	return func(n ast.Node) {
		text, ok := d.scalar(n, "a type is expected")
		if !ok {
			return
		}
		t, err := modbus.ParseDataType(text)
		if err != nil {
			d.at(n, "%v", err)
			return
		}
		p.modbus.Type = t
		p.typ = dataType{text: t.String(), name: t.Name}
		if t.Name != "string" && !strings.HasPrefix(t.Name, "float") {
			p.typ.bits = 16 * t.Registers()
		}
	}
}

func (d *document) wordOrder(into *modbus.WordOrder) func(ast.Node) {
	return func(n ast.Node) {
		text, ok := d.scalar(n, "a word order is expected")
		if !ok {
			return
		}
		if *into, ok = modbus.ParseWordOrder(text); !ok {
			d.at(n, "word_order %q is unknown; use ABCD, CDAB, BADC or DCBA", text)
		}
	}
}

// readAddress turns the address as written into the one on the wire.
func (p *pointSpec) readAddress(addressing string) {
	d := p.places["address"]
	n, written, base := d.node, 0, 0
	switch addressing {
	case modicon:
		text, ok := d.scalar(n, "an address is expected")
		if !ok {
			return
		}
		table, known := modbus.Table(0), false
		if len(text) == 5 || len(text) == 6 {
			table, known = modiconTable[text[0]]
		}
		if !known {
			d.at(n, "address %s: with modicon addressing write five or six digits such as 40001, the first 0, 1, 3 or 4 for the table", text)
			return
		}
		if table != p.modbus.Table {
			d.at(n, "address %s is in table %s, but the point says %s", text, table, p.modbus.Table)
			return
		}
		if _, err := fmt.Sscanf(strings.TrimLeft(text[1:], "0")+" ", "%d ", &written); err != nil || written < 1 {
			d.at(n, "address %s: numbers count from 1, so the first is %c0001", text, text[0])
			return
		}
		base = 1
	case oneBased:
		base = 1
		d.integer(&written, 1, 65536, "address")(n)
	default:
		d.integer(&written, 0, 65535, "address")(n)
	}
	wire := max(0, written-base)
	if last := wire + width(p.modbus) - 1; last > 65535 {
		d.at(n, "address %d with %d registers ends beyond the last address 65535", wire, width(p.modbus))
		return
	}
	p.modbus.Address = uint16(wire)
}

func width(p modbus.Point) int {
	if p.Table.Bits() {
		return 1
	}
	return p.Type.Registers()
}

func (p *pointSpec) checkBits() {
	b, t := p.modbus.Bits, p.modbus.Type
	if len(p.modbus.Invalid) > 0 && p.modbus.Table.Bits() {
		p.at([]string{"invalid", "table"}, "point %s: the table %s holds single bits, none of which could mean that there is no value", p.name, p.modbus.Table)
	}
	if b.Count == 0 {
		return
	}
	bits := 16 * t.Registers()
	switch {
	case p.modbus.Table.Bits() || !strings.HasPrefix(t.Name, "uint") && t.Name != "bool":
		p.at([]string{"bits", "type", "table"}, "point %s: bits are taken from registers as uint16, uint32, uint64 or bool", p.name)
	case t.Name == "bool" && b.Count > 1:
		p.at([]string{"bits", "type"}, "point %s: a bool is one bit; take several as uint16", p.name)
	case int(b.Low)+int(b.Count) > bits:
		p.at([]string{"bits", "type"}, "point %s: a %s has the bits 0 to %d", p.name, t, bits-1)
	}
}

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
		if !ok || p.modbus.Type.Name == "" {
			return
		}
		raw, err := rawValue(p.modbus.Type, text)
		if err != nil {
			d.at(n, "invalid %s: %v", text, err)
			return
		}
		if !slices.Contains(p.modbus.Invalid, raw) {
			p.modbus.Invalid = append(p.modbus.Invalid, raw)
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
