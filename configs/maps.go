package configs

import (
	"embed"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/modbus"
	"github.com/millgate/millgate/drivers/opcua"
)

//go:embed maps/*.yaml
var library embed.FS

// Map is a device map of the library.
type Map struct {
	Name     string `json:"name"`
	Version  string `json:"version"`
	Title    string `json:"title"`
	Protocol string `json:"protocol"` // modbus or opcua
	Verified bool   `json:"verified"` // tried on hardware
	Points   int    `json:"points"`
	Text     []byte `json:"-"` // the YAML as it stands
}

// Maps lists the embedded library, sorted by name.
func Maps() []Map {
	var out []Map
	for _, name := range libraryNames() {
		text, err := library.ReadFile(path.Join("maps", name+".yaml"))
		if err != nil { // embedded: it was listed a moment ago
			panic(err)
		}
		d := document{file: "maps/" + name + ".yaml", problems: &Problems{}}
		m := d.readMap(d.parse(text), true)
		out = append(out, Map{Name: m.name, Version: m.version, Title: m.title, Protocol: string(m.protocol), Verified: m.verified, Points: len(m.points), Text: text})
	}
	return out
}

func libraryNames() []string {
	entries, err := library.ReadDir("maps")
	if err != nil { // embedded
		panic(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	slices.Sort(names)
	return names
}

// loadMap reads a device map, as a table if its name says so.
func (d *document) loadMap() ast.Node {
	if strings.EqualFold(path.Ext(d.file), ".csv") {
		return d.loadCSV()
	}
	return d.load()
}

// deviceMap is a device map as written.
type deviceMap struct {
	document
	name, version, title string
	sources              []string
	verified             bool
	dialect
	maxRegisters, maxGap int        // of Modbus
	root                 opcua.Root // of OPC UA, as is budget
	budget               Budget
	params               map[string]*mapParam
	points               []*pointSpec
	variants             map[string]overrides
}

// mapParam is a number that the site fills in.
type mapParam struct {
	value drivers.Decimal // if it does not
	point string          // where the device holds its own; empty: nowhere
	node  ast.Node
}

// overrides are what is changed in points, by tag.
type overrides map[string]layer

// readMap reads a map; one of the library must name its source. A nil root, of a file that can not be read, is an empty map.
func (d *document) readMap(root ast.Node, fromLibrary bool) *deviceMap {
	m := &deviceMap{document: *d, dialect: dialect{protocol: modbusProtocol, addressing: zeroBased}, maxGap: unset, params: map[string]*mapParam{}, variants: map[string]overrides{}}
	if root == nil {
		return m
	}
	var points, variants ast.Node
	at, word := nodes{}, string(modbusProtocol)
	d.object(root, "the device map", at.keeping(
		must("name", d.matching(&m.name, idForm, idRule)),
		must("version", d.text(&m.version)),
		may("title", d.text(&m.title)),
		field{key: "source", required: fromLibrary, read: m.readSources},
		may("verified", d.boolean(&m.verified)),
		may("protocol", d.choice(&word, "protocol", string(modbusProtocol), string(opcuaProtocol))),
		may("addressing", d.choice(&m.addressing, "addressing", zeroBased, oneBased, modicon)),
		may("word_order", d.wordOrder(&m.order)),
		may("max_registers", d.integer(&m.maxRegisters, 1, modbus.MaxRegisters, "max_registers")),
		may("max_gap", d.integer(&m.maxGap, 0, modbus.MaxRegisters, "max_gap")),
		may("root", d.root(&m.root)),
		may("budget", d.budget(&m.budget)),
		may("params", m.readParams),
		must("points", func(n ast.Node) { points = n }),
		may("variants", func(n ast.Node) { variants = n }),
	)...)
	m.protocol = protocol(word)
	m.checkOwnKeys(at)
	if points != nil { // last, whatever the order in the file: the other keys say how to understand them
		d.points(&m.points, &m.dialect)(points)
	}
	if variants != nil {
		m.readVariants(variants)
	}
	m.checkPaths(m.points)
	m.checkParams()
	return m
}

// checkOwnKeys refuses the keys that mean nothing in the map's protocol.
func (m *deviceMap) checkOwnKeys(at nodes) {
	foreign := []string{"root", "budget"}
	if m.protocol == opcuaProtocol {
		foreign = []string{"addressing", "word_order", "max_registers", "max_gap"}
	}
	for _, key := range foreign {
		if n := at[key]; n != nil {
			m.at(n, "%s means nothing in a map for %s", key, m.protocol.title())
		}
	}
}

// checkPaths says if a path begins nowhere.
func (m *deviceMap) checkPaths(points []*pointSpec) {
	for _, p := range points {
		if p.opcua.Path != "" && m.root == (opcua.Root{}) {
			p.at([]string{"path"}, "point %s has a path, but the map does not say where it begins: add root with node or type", p.name)
		}
	}
}

// checkParams says what can not be about points and params together.
func (m *deviceMap) checkParams() {
	for _, p := range m.points {
		m.checkMultiply(p)
	}
	names := slices.Sorted(maps.Keys(m.params))
	holds := map[string]string{}
	for _, name := range names {
		param := m.params[name]
		i := slices.IndexFunc(m.points, func(p *pointSpec) bool { return p.name == param.point })
		switch {
		case param.point == "":
		case i < 0:
			m.at(param.node, "parameter %s: the map has no point %q%s", name, param.point, suggestion(param.point, m.tags()))
		case m.points[i].kind != drivers.Gauge:
			m.at(param.node, "parameter %s: point %s is no number to compare it with", name, param.point)
		case holds[param.point] != "":
			m.at(param.node, "parameter %s: point %s stands for %s already", name, param.point, holds[param.point])
		default:
			holds[param.point] = name
		}
	}
}

// checkMultiply says if a point multiplies by what is no parameter.
func (m *deviceMap) checkMultiply(p *pointSpec) {
	for _, n := range p.multiply {
		if name := n.GetToken().Value; m.params[name] == nil {
			p.places["multiply"].at(n, "point %s multiplies by %q, which is not among the map's params", p.name, name)
		}
	}
}

func (m *deviceMap) tags() []string {
	var names []string
	for _, p := range m.points {
		names = append(names, p.name)
	}
	return names
}

// readVariants reads what other makes of the device have elsewhere.
func (m *deviceMap) readVariants(n ast.Node) {
	pairs, _ := m.pairs(n, "variants")
	for _, pair := range pairs {
		name, text := pair.Key.GetToken().Value, ""
		if !idForm.MatchString(name) {
			m.at(pair.Key, "%q: %s", name, idRule)
		}
		if _, twice := m.variants[name]; twice {
			m.at(pair.Key, "variant %q stands here a second time", name)
		}
		changes := overrides{}
		m.object(pair.Value, "variant", may("text", m.text(&text)), must("override", m.overrides(changes)))
		m.variants[name] = changes
		m.withOverrides(changes) // only for the mistakes
	}
}

// overrides reads the keys of points that are changed, by tag.
func (d *document) overrides(into overrides) func(ast.Node) {
	return func(n ast.Node) {
		pairs, _ := d.pairs(n, "override")
		for _, pair := range pairs {
			name := pair.Key.GetToken().Value
			if _, twice := into[name]; twice {
				d.at(pair.Key, "%q stands here a second time", name)
			}
			into[name] = layer{document: d, node: pair.Value, key: pair.Key}
		}
	}
}

// withOverrides are the map's points with changes laid over them, in order.
func (m *deviceMap) withOverrides(changes ...overrides) []*pointSpec {
	var out []*pointSpec
	for _, p := range m.points {
		layers := slices.Clip(p.layers)
		for _, c := range changes {
			if l, ok := c[p.name]; ok {
				layers = append(layers, l)
			}
		}
		if len(layers) > len(p.layers) {
			p = readPoint(layers, m.dialect)
			m.checkMultiply(p)
			m.checkPaths([]*pointSpec{p})
		}
		out = append(out, p)
	}
	for _, c := range changes {
		for name, l := range c {
			if known := m.tags(); !slices.Contains(known, name) {
				l.at(l.key, "map %s has no tag %q%s; millgate maps show %s lists them", m.name, name, suggestion(name, known), m.name)
			}
		}
	}
	return out
}

func (m *deviceMap) readSources(n ast.Node) {
	m.list("source", func(n ast.Node) {
		var s string
		m.text(&s)(n)
		m.sources = append(m.sources, s)
	})(n)
}

func (m *deviceMap) readParams(n ast.Node) {
	pairs, _ := m.pairs(n, "params")
	for _, pair := range pairs {
		var text string
		p := &mapParam{value: drivers.Decimal{Mantissa: 1}, node: pair.Key}
		m.object(pair.Value, "param",
			must("default", m.factor(&p.value)),
			may("text", m.text(&text)),
			may("point", func(n ast.Node) { p.node = n; m.text(&p.point)(n) }),
		)
		name := pair.Key.GetToken().Value
		if _, twice := m.params[name]; twice {
			m.at(pair.Key, "parameter %q stands here a second time", name)
		}
		m.params[name] = p
	}
}

// factor reads a number that something is multiplied by.
func (d *document) factor(into *drivers.Decimal) func(ast.Node) {
	return func(n ast.Node) {
		d.decimal(into)(n)
		if into.Mantissa <= 0 {
			d.at(n, "a parameter multiplies values: it must be above 0")
		}
	}
}
