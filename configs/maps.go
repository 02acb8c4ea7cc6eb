package configs

import (
	"embed"
	"path"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/millgate/millgate/drivers/modbus"
)

//go:embed maps/*.yaml
var library embed.FS

// Map is a device map of the library.
type Map struct {
	Name     string `json:"name"`
	Version  string `json:"version"`
	Title    string `json:"title"`
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
		out = append(out, Map{Name: m.name, Version: m.version, Title: m.title, Verified: m.verified, Points: len(m.points), Text: text})
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

// deviceMap is a device map as written.
type deviceMap struct {
	document
	name, version, title string
	sources              []string
	verified             bool
	addressing           string
	order                modbus.WordOrder
	maxRegisters, maxGap int
	params               map[string]modbus.Decimal // with their defaults
	points               []*pointSpec
}

// readMap reads a map; one of the library must name its source. A nil root, of a file that can not be read, is an empty map.
func (d *document) readMap(root ast.Node, fromLibrary bool) *deviceMap {
	m := &deviceMap{document: *d, addressing: zeroBased, maxGap: unset, params: map[string]modbus.Decimal{}}
	if root == nil {
		return m
	}
	var points ast.Node
	inLibrary := field{key: "source", required: fromLibrary, read: m.readSources}
	d.object(root, "the device map",
		must("name", d.matching(&m.name, idForm, idRule)),
		must("version", d.text(&m.version)),
		may("title", d.text(&m.title)),
		inLibrary,
		may("verified", d.boolean(&m.verified)),
		may("addressing", d.choice(&m.addressing, "addressing", zeroBased, oneBased, modicon)),
		may("word_order", d.wordOrder(&m.order)),
		may("max_registers", d.integer(&m.maxRegisters, 1, modbus.MaxRegisters, "max_registers")),
		may("max_gap", d.integer(&m.maxGap, 0, modbus.MaxRegisters, "max_gap")),
		may("params", m.readParams),
		must("points", func(n ast.Node) { points = n }),
	)
	if points != nil { // last, whatever the order in the file: addressing and word_order apply to them
		d.points(&m.points, &m.addressing, &m.order)(points)
	}
	for _, p := range m.points {
		for _, n := range p.multiply {
			name, _ := d.scalar(n, "the name of a parameter is expected")
			if _, ok := m.params[name]; !ok {
				d.at(n, "point %s multiplies by %q, which is not among the map's params", p.name, name)
			}
		}
	}
	return m
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
		value := modbus.Decimal{Mantissa: 1}
		m.object(pair.Value, "param", must("default", m.factor(&value)), may("text", m.text(&text)))
		name := pair.Key.GetToken().Value
		if _, twice := m.params[name]; twice {
			m.at(pair.Key, "parameter %q stands here a second time", name)
		}
		m.params[name] = value
	}
}

// factor reads a number that something is multiplied by.
func (d *document) factor(into *modbus.Decimal) func(ast.Node) {
	return func(n ast.Node) {
		d.decimal(into)(n)
		if into.Mantissa <= 0 {
			d.at(n, "a parameter multiplies values: it must be above 0")
		}
	}
}
