package configs

import (
	"regexp"
	"slices"
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
	protocol          protocol
	name, label, unit string
	typ               dataType
	kind              drivers.Kind
	linear
	counting
	interval time.Duration // 0: the device's
	rule     collector.TagRule
	disabled bool
	modbus   modbus.Point // Scale and Offset only when a device has it
	opcua    opcuaPoint
}

// linear is value = raw*scale + offset, the scale before the params.
type linear struct {
	scale, offset drivers.Decimal
	multiply      []ast.Node // names of params
}

// counting is how a number moves, before the params; the zero Decimal: not given.
type counting struct {
	modulus, resolution, maxRate drivers.Decimal
}

// dataType is a type of either protocol.
type dataType struct {
	text string // as written
	name string // text without a length; empty: not given
	bits int    // of a whole number, or of decimal digits; else 0
}

// protocol is how a device is read.
type protocol string

const (
	modbusProtocol protocol = "modbus"
	opcuaProtocol  protocol = "opcua"
)

func (p protocol) title() string {
	if p == opcuaProtocol {
		return "OPC UA"
	}
	return "Modbus"
}

// dialect is how points are to be understood that one map has, or one device.
type dialect struct {
	protocol   protocol
	addressing string           // of Modbus, as is order
	order      modbus.WordOrder // where a point says nothing
}

var (
	tagForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.\[\]-]{0,127}$`) // x[3] and x.f are parts of an array and of a structure
	tagRule = "a tag's name has 1 to 128 letters, digits, _ . - and [ ]; free text goes into label"
	kinds   = []string{"gauge", "counter", "state", "text"}
)

// points reads a list of points.
func (d *document) points(into *[]*pointSpec, l *dialect) func(ast.Node) {
	return d.list("points", func(n ast.Node) {
		*into = append(*into, readPoint([]layer{{document: d, node: n}}, *l))
	})
}

// readPoint reads a point from its layers; of each key the last one counts.
func readPoint(layers []layer, in dialect) *pointSpec {
	p := &pointSpec{layers: layers, places: map[string]place{}, protocol: in.protocol, modbus: modbus.Point{WordOrder: in.order}}
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
	p.check(in.addressing)
	return p
}

// fields are the keys of a point, name first. A value that depends on another one stands behind it.
func (p *pointSpec) fields(d *document) []field {
	own, foreign := p.modbusFields(d), p.opcuaFields(d)
	if p.protocol == opcuaProtocol {
		own, foreign = foreign, own
	}
	fields := append([]field{must("name", d.matching(&p.name, tagForm, tagRule)), may("label", d.text(&p.label))}, own...)
	fields = append(fields, p.commonFields(d)...)
	for _, f := range foreign {
		if !slices.ContainsFunc(fields, func(g field) bool { return g.key == f.key }) {
			fields = append(fields, d.refused(f.key, p.protocol))
		}
	}
	return fields
}

// refused is a key that only points of the other protocol have.
func (d *document) refused(key string, in protocol) field {
	other, advice := modbusProtocol, "leave it out"
	if in == modbusProtocol {
		other = opcuaProtocol
	}
	switch key {
	case "table", "address":
		advice = "say node, its NodeID"
	case "node", "path":
		advice = "say table and address"
	}
	return field{key: key, hidden: true, read: func(n ast.Node) {
		d.at(n, "%s belongs to points of %s, and this one is read over %s: %s", key, other.title(), in.title(), advice)
	}}
}

// commonFields are the keys that points of both protocols have.
func (p *pointSpec) commonFields(d *document) []field {
	var enabled bool
	return []field{
		may("scale", d.decimal(&p.scale)),
		may("offset", d.decimal(&p.offset)),
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
	if p.protocol == opcuaProtocol && !p.checkOPCUA() || p.protocol == modbusProtocol && !p.checkModbus(addressing) {
		return
	}
	p.checkScale()
	p.checkKind()
	p.checkCodes()
	p.checkCounter()
	p.passDeadband()
}

func (d *document) kind(into *drivers.Kind) func(ast.Node) {
	return func(n ast.Node) {
		word := ""
		d.choice(&word, "kind", kinds...)(n)
		*into, _ = drivers.ParseKind(word)
	}
}

// scaled says that the value is not what the device holds.
func (p *pointSpec) scaled() bool {
	return p.has("scale") || p.offset != drivers.Decimal{} || len(p.multiply) > 0
}

func (p *pointSpec) checkScale() {
	typ := p.typ.name
	if (typ == "bool" || typ == "string") && p.scaled() {
		p.at([]string{"scale", "offset", "multiply", "type"}, "point %s: a %s can not be scaled", p.name, typ)
	} else if p.has("scale") && p.scale.Mantissa == 0 {
		p.at([]string{"scale"}, "scale 0 would make every value 0")
	}
}

func (p *pointSpec) checkKind() {
	typ := p.typ.name
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
