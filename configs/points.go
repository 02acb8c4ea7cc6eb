package configs

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/millgate/millgate/collector"
	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/modbus"
)

// layer is a mapping that says something about a point: the point itself, or what a variant or a site changes in it.
type layer struct {
	*document
	node ast.Node
	key  ast.Node // of an override: the tag's name; else nil
}

// place is where the value of a key stands that counts.
type place struct {
	layer
	depth int // of the layer: the later it was laid, the deeper
}

// pointSpec is a point as written: its layers, and what they come to.
type pointSpec struct {
	layers            []layer
	places            map[string]place
	name, label, unit string
	kind              drivers.Kind
	point             modbus.Point
	multiply          []ast.Node
	interval          time.Duration // 0: the device's
	rule              collector.TagRule
	modulus           drivers.Decimal // as resolution and maxRate before the params; the zero Decimal: not given
	resolution        drivers.Decimal
	maxRate           drivers.Decimal
	disabled          bool
}

var (
	tagForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$`)
	tagRule = "a tag's name has 1 to 128 letters, digits, _ . and -; free text goes into label"
	tables  = []string{"coil", "discrete_input", "input_register", "holding_register"}
	kinds   = []string{"gauge", "counter", "state", "text"}
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
	return d.list("points", func(n ast.Node) {
		*into = append(*into, readPoint([]layer{{document: d, node: n}}, *addressing, *order))
	})
}

// readPoint reads a point from its layers; of each key the last one counts.
func readPoint(layers []layer, addressing string, order modbus.WordOrder) *pointSpec {
	p := &pointSpec{layers: layers, places: map[string]place{}, point: modbus.Point{WordOrder: order}}
	var keys []string
	read := map[string]func(){}
	for depth, l := range layers {
		fields, what := p.fields(l.document), "point"
		if depth > 0 {
			fields, what = fields[1:], "override" // a tag keeps its name
		}
		for i := range fields {
			f := &fields[i]
			key, reader := f.key, f.read
			f.required = f.required && depth == 0
			f.read = func(n ast.Node) {
				p.places[key] = place{layer{document: l.document, node: n}, depth}
				read[key] = func() { reader(n) }
			}
			if depth == 0 {
				keys = append(keys, key)
			}
		}
		l.object(l.node, what, fields...)
	}
	for _, key := range keys {
		if r := read[key]; r != nil {
			r()
		}
	}
	p.check(addressing)
	return p
}

// fields are the keys of a point. A value that depends on another one stands behind it.
func (p *pointSpec) fields(d *document) []field {
	var enabled bool
	return []field{
		must("name", d.matching(&p.name, tagForm, tagRule)),
		may("label", d.text(&p.label)),
		must("table", d.table(&p.point.Table)),
		must("address", func(ast.Node) {}), // in check, which knows the table and the width
		must("type", d.dataType(&p.point.Type)),
		may("word_order", d.wordOrder(&p.point.WordOrder)),
		may("bits", d.bitRange(&p.point.Bits)),
		may("scale", d.decimal(&p.point.Scale)),
		may("offset", d.decimal(&p.point.Offset)),
		may("multiply", d.list("multiply", func(n ast.Node) {
			if _, ok := d.scalar(n, "the name of a parameter is expected"); ok {
				p.multiply = append(p.multiply, n)
			}
		})),
		may("unit", d.text(&p.unit)),
		may("kind", d.kind(&p.kind)),
		may("interval", d.duration(&p.interval, minInterval, maxInterval, "interval")),
		may("deadband", func(n ast.Node) {
			var v drivers.Decimal
			d.decimal(&v)(n)
			p.rule.OnChange, p.rule.Deadband = true, v.Float()
		}),
		may("max_silence", func(n ast.Node) {
			p.rule.OnChange = true
			d.duration(&p.rule.MaxSilence, minInterval, maxInterval, "max_silence")(n)
		}),
		may("invalid", d.invalid(p)),
		may("states", d.states(p)),
		may("alarms", d.alarms(p)),
		may("modulus", d.positive(&p.modulus, "modulus")),
		may("resolution", d.positive(&p.resolution, "resolution")),
		may("max_rate", d.positive(&p.maxRate, "max_rate")),
		may("enabled", func(n ast.Node) { d.boolean(&enabled)(n); p.disabled = !enabled }),
	}
}

// at notes a mistake at that one of the keys which was laid last; if none is there, at the point.
func (p *pointSpec) at(keys []string, format string, args ...any) {
	where := place{layer: p.layers[0], depth: -1}
	for _, key := range keys {
		if w, ok := p.places[key]; ok && w.depth > where.depth {
			where = w
		}
	}
	where.document.at(where.node, format, args...)
}

func (p *pointSpec) has(key string) bool { _, ok := p.places[key]; return ok }

// check says what can not be about the whole of the point.
func (p *pointSpec) check(addressing string) {
	if p.name == "up" {
		p.at(nil, `the tag "up" is millgate's own: it says whether the device answers`)
	}
	if !p.has("table") || p.point.Type.Name == "" || int(p.point.Table) == len(tables) {
		return
	}
	if p.has("address") {
		p.readAddress(addressing)
	}
	p.checkType()
	p.checkKind()
	p.checkBits()
	p.checkCodes()
	p.checkCounter()
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

func (d *document) kind(into *drivers.Kind) func(ast.Node) {
	return func(n ast.Node) {
		word := ""
		d.choice(&word, "kind", kinds...)(n)
		*into, _ = drivers.ParseKind(word)
	}
}

func (d *document) dataType(into *modbus.DataType) func(ast.Node) {
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
		*into = t
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

// scaled says that the value is not what the registers hold.
func (p *pointSpec) scaled() bool {
	return p.has("scale") || p.point.Offset != drivers.Decimal{} || len(p.multiply) > 0
}

func (p *pointSpec) checkType() {
	typ := p.point.Type.Name
	if p.point.Table.Bits() && typ != "bool" {
		p.at([]string{"type", "table"}, "point %s: table %s holds single bits, so its type is bool, not %s", p.name, p.point.Table, p.point.Type)
	}
	if (typ == "bool" || typ == "string") && p.scaled() {
		p.at([]string{"scale", "offset", "multiply", "type"}, "point %s: a %s can not be scaled", p.name, typ)
	} else if p.has("scale") && p.point.Scale.Mantissa == 0 {
		p.at([]string{"scale"}, "scale 0 would make every value 0")
	}
}

func (p *pointSpec) checkKind() {
	typ := p.point.Type.Name
	if !p.has("kind") {
		switch {
		case typ == "bool" || p.has("states") || p.has("alarms"):
			p.kind = drivers.State
		case typ == "string":
			p.kind = drivers.Text
		}
	}
	if (p.kind == drivers.Text) != (typ == "string") || (typ == "bool" && p.kind == drivers.Counter) {
		p.at([]string{"kind", "type"}, "point %s: a %s can not be of kind %s", p.name, typ, p.kind)
	}
	if p.rule.Deadband < 0 {
		p.at([]string{"deadband"}, "a deadband is not negative")
	}
	if p.rule.Deadband > 0 && (slices.Contains([]string{"bool", "string"}, typ) || p.kind == drivers.State) {
		p.at([]string{"deadband"}, "point %s: a %s has no deadband but 0, any change", p.name, p.kind)
	}
}
