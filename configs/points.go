package configs

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/modbus"
)

// pointSpec is a point as written, in a site or in a map.
type pointSpec struct {
	node       ast.Node
	name       string
	label      string
	address    ast.Node
	point      modbus.Point
	multiply   []ast.Node
	unit       string
	kind       drivers.Kind
	interval   time.Duration // 0: the device's
	onChange   bool
	deadband   modbus.Decimal
	maxSilence time.Duration
	disabled   bool
}

var (
	tagForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$`)
	tagRule = "a tag's name has 1 to 128 letters, digits, _ . and -; free text goes into label"
	tables  = []string{"coil", "discrete_input", "input_register", "holding_register"}
	// modiconTable is the table that the first digit of a five- or six-digit address names.
	modiconTable = map[byte]modbus.Table{'0': modbus.Coil, '1': modbus.DiscreteInput, '3': modbus.InputRegister, '4': modbus.HoldingRegister}
)

const (
	zeroBased = "zero_based"
	oneBased  = "one_based"
	modicon   = "modicon"
)

// points reads a list of points; addressing and order are what the map says for all of them.
func (d *document) points(into *[]*pointSpec, addressing *string, order *modbus.WordOrder) func(ast.Node) {
	return d.list("points", func(n ast.Node) { *into = append(*into, d.point(n, *addressing, *order)) })
}

func (d *document) point(n ast.Node, addressing string, order modbus.WordOrder) *pointSpec {
	p := &pointSpec{node: n, point: modbus.Point{WordOrder: order}}
	table, kind, enabled := "", "", true
	var scaleNode, deadbandNode, kindNode ast.Node
	d.object(n, "point",
		must("name", d.matching(&p.name, tagForm, tagRule)),
		may("label", d.text(&p.label)),
		must("table", d.choice(&table, "table", tables...)),
		must("address", func(n ast.Node) { p.address = n }),
		must("type", func(n ast.Node) { d.dataType(n, &p.point.Type) }),
		may("word_order", d.wordOrder(&p.point.WordOrder)),
		may("scale", func(n ast.Node) { scaleNode = n; d.decimal(&p.point.Scale)(n) }),
		may("offset", d.decimal(&p.point.Offset)),
		may("multiply", d.list("multiply", func(n ast.Node) { p.multiply = append(p.multiply, n) })),
		may("unit", d.text(&p.unit)),
		may("kind", func(n ast.Node) { kindNode = n; d.choice(&kind, "kind", "gauge", "counter", "state", "text")(n) }),
		may("interval", d.duration(&p.interval, minInterval, maxInterval, "interval")),
		may("deadband", func(n ast.Node) { deadbandNode = n; p.onChange = true; d.decimal(&p.deadband)(n) }),
		may("max_silence", func(n ast.Node) {
			p.onChange = true
			d.duration(&p.maxSilence, minInterval, maxInterval, "max_silence")(n)
		}),
		may("enabled", d.boolean(&enabled)),
	)
	p.disabled = !enabled
	if p.name == "up" {
		d.at(n, `the tag "up" is millgate's own: it says whether the device answers`)
	}
	var ok bool
	if p.point.Table, ok = modbus.ParseTable(table); !ok || p.point.Type.Name == "" {
		return p
	}
	if p.address != nil {
		d.pointAddress(p, addressing)
	}
	d.checkType(p, table, scaleNode)
	d.checkKind(p, kind, kindNode, deadbandNode)
	return p
}

func (d *document) dataType(n ast.Node, into *modbus.DataType) {
	text, ok := d.scalar(n, "a type is expected")
	if !ok {
		return
	}
	t, err := modbus.ParseDataType(text)
	if err != nil {
		d.at(n, "%v", err)
		return
	}
	*into = t
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

// pointAddress turns the address as written into the one on the wire.
func (d *document) pointAddress(p *pointSpec, addressing string) {
	n, written, base := p.address, 0, 0
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
		if table != p.point.Table {
			d.at(n, "address %s is in table %s, but the point says %s", text, table, p.point.Table)
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
	if last := wire + width(p.point) - 1; last > 65535 {
		d.at(n, "address %d with %d registers ends beyond the last address 65535", wire, width(p.point))
		return
	}
	p.point.Address = uint16(wire)
}

func width(p modbus.Point) int {
	if p.Table.Bits() {
		return 1
	}
	return p.Type.Registers()
}

func (d *document) checkType(p *pointSpec, table string, scale ast.Node) {
	typ := p.point.Type.Name
	if p.point.Table.Bits() && typ != "bool" {
		d.at(p.node, "point %s: table %s holds single bits, so its type is bool, not %s", p.name, table, p.point.Type)
	}
	if (typ == "bool" || typ == "string") && (scale != nil || p.point.Offset != modbus.Decimal{} || len(p.multiply) > 0) {
		d.at(p.node, "point %s: a %s can not be scaled", p.name, typ)
	} else if scale != nil && p.point.Scale.Mantissa == 0 {
		d.at(scale, "scale 0 would make every value 0")
	}
}

func (d *document) checkKind(p *pointSpec, kind string, kindNode, deadband ast.Node) {
	typ := p.point.Type.Name
	switch typ {
	case "bool":
		p.kind = drivers.State
	case "string":
		p.kind = drivers.Text
	}
	if k, ok := drivers.ParseKind(kind); ok {
		p.kind = k
	}
	if (p.kind == drivers.Text) != (typ == "string") || (typ == "bool" && p.kind == drivers.Counter) {
		d.at(kindNode, "point %s: a %s can not be of kind %s", p.name, typ, p.kind)
	}
	if deadband == nil {
		return
	}
	if p.deadband.Mantissa < 0 {
		d.at(deadband, "a deadband is not negative")
	}
	if p.deadband.Mantissa > 0 && (typ == "bool" || typ == "string" || p.kind == drivers.State) {
		d.at(deadband, "point %s: a %s has no deadband but 0, any change", p.name, p.kind)
	}
}
