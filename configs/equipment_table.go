package configs

import (
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/millgate/millgate/collector/kpi"
)

// A ledger of equipment may be a table: a line with the keys, as in YAML with a dot between the levels, and a line for each piece of
// equipment. It is read into the same syntax tree as the YAML that says the same.

// tableKeys are the columns that a ledger may have, beside signals and nameplate.
var tableKeys = []string{
	"id", "name", "category", "was", "maker", "model", "manufactured", "commissioned", "retrofitted", "rated_power", "original_value", "control", "key_process",
	"project", "label.grade", "label.standard", "label.evidence", "design_life.years", "design_life.hours", "hours.before", "hours.at", "hours.trusted", "shifts",
	"networked", "digital", "state.codes", "state.mapping", "power_state.off_when", "power_state.on_when", "power_state.hold", "unreachable_means",
	"baseline.file", "baseline.change", "baseline.meter_uncertainty", "baseline.static_factors",
}

// freeText are the keys whose cells are taken as they stand, wide characters and all.
var freeText = []string{"name", "maker", "model", "project", "label.standard", "label.evidence", "baseline.static_factors"}

// yesNo are the keys that are true or false, as are those of signals that end with invert.
var yesNo = map[string]string{"true": "true", "false": "false", "是": "true", "否": "false", "yes": "true", "no": "false"}

// readEquipmentTable reads the ledger of equipment from a table beside the site file.
func (s *site) readEquipmentTable(n *ast.StringNode) {
	if !isTable(n.Value) {
		s.at(n, "equipment %q: a table of equipment is a file that ends in .csv; else equipment is a list", n.Value)
		return
	}
	d := &document{file: s.beside(n.Value), problems: s.problems}
	if _, err := os.Stat(d.file); err != nil {
		s.at(n, "equipment %s can not be read: no such file", n.Value)
		return
	}
	data, ok := d.content()
	if !ok {
		return
	}
	for _, row := range d.parseLedger(data) {
		s.readEquipment(d, row)
	}
}

// parseLedger gives the pieces of equipment in a table.
func (d *document) parseLedger(data []byte) []ast.Node {
	return d.parseSheet(data, &table{
		noun:  "equipment",
		empty: "the file has no table: one line names the keys of equipment, such as id, name and category, and one line follows for each piece of equipment",
		knows: func(key string) bool {
			return slices.Contains(tableKeys, key) || signalColumn(key) || strings.HasPrefix(key, "nameplate.")
		},
		hint:  ledgerHint,
		cell:  d.ledgerCell,
		row:   nested,
		units: true,
	})
}

// parseSheet gives the lines of a table that may have lines with # in front.
func (d *document) parseSheet(data []byte, t *table) []ast.Node {
	text, ok := d.decodeText(data)
	if !ok {
		return nil
	}
	lines := strings.SplitAfter(text, "\n")
	head := 0
	for head < len(lines) {
		if _, is := ownLine(lines[head]); !is {
			break
		}
		head++
	}
	rows := d.parseRows(strings.Join(lines[head:], ""), head, t)
	if rows == nil {
		return nil
	}
	return rows.Values
}

// signalColumn says whether a key is that of a signal: signals.energy, signals.energy.share.
func signalColumn(key string) bool {
	rest, ok := strings.CutPrefix(key, "signals.")
	role, of, _ := strings.Cut(rest, ".")
	_, known := kpi.RoleNamed(role)
	return ok && known && slices.Contains([]string{"", "tag", "share", "basis", "invert"}, of)
}

func ledgerHint(key string) string {
	known := slices.Clone(tableKeys)
	for _, r := range kpi.Roles() {
		known = append(known, "signals."+r.Name)
	}
	if near := suggestion(key, known); near != "" {
		return near
	}
	return "; known here: " + strings.Join(tableKeys, ", ") + ", signals.<role>, nameplate.<figure>"
}

// bareNumber is a number without a unit.
var bareNumber = regexp.MustCompile(`^[+-]?[0-9][0-9,]*(\.[0-9]+)?$`)

// ledgerCell is the value of a key, written into a cell; several shifts have ; between them.
func (d *document) ledgerCell(c tableCell) ast.Node {
	text := strings.TrimSpace(c.text)
	if !slices.Contains(freeText, c.key) && !strings.HasSuffix(c.key, ".basis") {
		text = strings.TrimSpace(foldWidth(text))
	}
	if c.unit != "" && bareNumber.MatchString(text) {
		text += " " + c.unit
	}
	switch {
	case c.key == "shifts":
		list := listNode(c.line, c.from)
		for _, item := range strings.FieldsFunc(text, func(r rune) bool { return r == ';' || r == ',' || r == ' ' }) {
			list.Values = append(list.Values, textNode(item, c.line, c.from))
		}
		return list
	case c.key == "networked", c.key == "digital", c.key == "hours.trusted", strings.HasSuffix(c.key, ".invert"):
		if word := yesNo[strings.ToLower(text)]; word != "" {
			text = word
		}
		return plainNode(text, c.line, c.from)
	}
	return textNode(text, c.line, c.from)
}

// nested turns keys with dots into mappings in mappings; signals.energy stands for signals.energy.tag.
func nested(line int, pairs []*ast.MappingValueNode) ast.Node {
	row := mapNode(line, 1)
	for _, pair := range pairs {
		key := pair.Key.GetToken()
		path := strings.Split(key.Value, ".")
		if len(path) == 2 && path[0] == "signals" {
			path = append(path, "tag")
		}
		in := row
		for _, step := range path[:len(path)-1] {
			in = within(in, step, key.Position.Line, key.Position.Column)
		}
		in.Values = append(in.Values, pairNode(textNode(path[len(path)-1], key.Position.Line, key.Position.Column), pair.Value))
	}
	return row
}

// within is the mapping of a key, made if it is not there.
func within(m *ast.MappingNode, key string, line, column int) *ast.MappingNode {
	for _, pair := range m.Values {
		if inner, ok := pair.Value.(*ast.MappingNode); ok && pair.Key.GetToken().Value == key {
			return inner
		}
	}
	inner := mapNode(line, column)
	m.Values = append(m.Values, pairNode(textNode(key, line, column), inner))
	return inner
}
