package configs

import (
	"encoding/csv"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// MapTable is a device map as a table of texts: what a CSV file holds.
type MapTable struct {
	Comments []string // lines for people, in front of everything
	Keys     []MapKey // the map's own, in order; source may stand several times
	Points   []map[string]string
}

// MapKey is one of a map's own keys. The Text of params, variants, root and budget is YAML in one line, as {type: "…"}.
type MapKey struct{ Name, Text string }

// ReadMapTable reads a device map from a file, .yaml or .csv, or from the library if it has one of that name; the error is Problems if
// the map is not good.
func ReadMapTable(name string) (MapTable, error) {
	d, root, comments := openMap(name)
	m := d.readMap(root, false)
	if len(*d.problems) > 0 {
		return MapTable{}, d.problems.sorted()
	}
	return tableOf(root, m, comments), nil
}

// tableOf is the table of a map that was found good.
func tableOf(root ast.Node, m *deviceMap, comments []string) MapTable {
	t := MapTable{Comments: comments}
	var points ast.Node
	for _, pair := range pairsOf(root) {
		switch key := pair.Key.GetToken().Value; key {
		case "points":
			points = pair.Value
		case "source":
			for _, s := range m.sources {
				t.Keys = append(t.Keys, MapKey{key, s})
			}
		default:
			text := flowText(pair.Value)
			if !slices.Contains(structured, key) {
				text = scalarText(pair.Value)
			}
			t.Keys = append(t.Keys, MapKey{key, text})
		}
	}
	for _, p := range points.(*ast.SequenceNode).Values { // a good map has a list of mappings there
		row := map[string]string{}
		for _, pair := range pairsOf(p) {
			row[pair.Key.GetToken().Value] = cellText(pair.Value)
		}
		t.Points = append(t.Points, row)
	}
	return t
}

// openMap reads a device map of that name from a file, or from the library.
func openMap(name string) (d *document, root ast.Node, comments []string) {
	d = &document{file: name, problems: &Problems{}}
	var data []byte
	if slices.Contains(libraryNames(), name) {
		data, _ = library.ReadFile("maps/" + name + ".yaml") // embedded
	} else {
		var ok bool
		if data, ok = d.content(); !ok {
			return d, nil, nil
		}
	}
	if isTable(d.file) {
		return d, d.parseCSV(data), d.comments(data)
	}
	return d, d.parse(data), d.comments(data)
}

func isTable(file string) bool { return strings.EqualFold(filepath.Ext(file), ".csv") }

// comments are the lines for people in front of a map.
func (d *document) comments(data []byte) (out []string) {
	decoding := document{file: d.file, problems: &Problems{}} // what is wrong was noted already
	text, _ := decoding.decodeText(data)
	for line := range strings.Lines(text) {
		if isTable(d.file) {
			line, _ = ownLine(line)
		}
		if !strings.HasPrefix(line, "#") {
			break
		}
		if !isTable(d.file) || !ownKeyForm.MatchString(line) {
			out = append(out, strings.TrimSpace(strings.TrimLeft(line, "#")))
		}
	}
	return out
}

// pointKeys are the keys of points in the order in which they are written, as far as the table has them.
func (t *MapTable) pointKeys() (keys []string) {
	in := modbusProtocol
	for _, k := range t.Keys {
		if k.Name == "protocol" {
			in = protocolOf(k.Text)
		}
	}
	for _, f := range (&pointSpec{protocol: in}).fields(&document{}) {
		if slices.ContainsFunc(t.Points, func(row map[string]string) bool { return row[f.key] != "" }) {
			keys = append(keys, f.key)
		}
	}
	return keys
}

// WriteMapCSV writes the map as a table in UTF-8, with the mark by which spreadsheets know that.
func WriteMapCSV(w io.Writer, t MapTable) error {
	if _, err := io.WriteString(w, "\ufeff"); err != nil {
		return err
	}
	for _, c := range t.Comments {
		if _, err := io.WriteString(w, aloneInLine(strings.TrimSpace("## "+c))); err != nil {
			return err
		}
	}
	for _, k := range t.Keys {
		if _, err := io.WriteString(w, aloneInLine("# "+k.Name+": "+k.Text)); err != nil {
			return err
		}
	}
	rows := csv.NewWriter(w)
	keys := t.pointKeys()
	_ = rows.Write(keys) // an error stays until it is asked for
	for _, p := range t.Points {
		row := make([]string, len(keys))
		for i, key := range keys {
			row[i] = p[key]
		}
		_ = rows.Write(row)
	}
	rows.Flush()
	return rows.Error()
}

// aloneInLine is a line that has one cell, whatever a spreadsheet takes for a separator.
func aloneInLine(text string) string {
	if strings.ContainsAny(text, "\",;\t") {
		text = `"` + strings.ReplaceAll(text, `"`, `""`) + `"`
	}
	return text + "\n"
}

// WriteMapYAML writes the map as YAML, each point on a line.
func WriteMapYAML(w io.Writer, t MapTable) error {
	var out strings.Builder
	for _, c := range t.Comments {
		out.WriteString(strings.TrimSpace("# "+c) + "\n")
	}
	sources := false
	for _, k := range t.Keys {
		switch {
		case k.Name == "source":
			if !sources {
				out.WriteString("source:\n")
			}
			sources = true
			out.WriteString("  - " + quoted(k.Text) + "\n")
		case slices.Contains(structured, k.Name):
			out.WriteString(k.Name + ": " + k.Text + "\n")
		case k.Name == "version":
			out.WriteString(k.Name + ": " + doubleQuoted(k.Text) + "\n")
		default:
			out.WriteString(k.Name + ": " + scalarYAML(plainNode(k.Text, 1, 1)) + "\n")
		}
	}
	out.WriteString("points:\n")
	keys := t.pointKeys()
	d := document{problems: &Problems{}}
	for _, p := range t.Points {
		var pairs []string
		for _, key := range keys {
			if n := d.cell(key, p[key], 1, 1); p[key] != "" && n != nil {
				pairs = append(pairs, key+": "+flowText(n))
			}
		}
		out.WriteString("  - {" + strings.Join(pairs, ", ") + "}\n")
	}
	if len(*d.problems) > 0 {
		return d.problems.sorted()
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// flowText is a value as YAML in one line.
func flowText(n ast.Node) string {
	var parts []string
	switch v := n.(type) {
	case *ast.SequenceNode:
		for _, item := range v.Values {
			parts = append(parts, flowText(item))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case *ast.MappingNode, *ast.MappingValueNode:
		for _, pair := range pairsOf(v) {
			parts = append(parts, quoted(pair.Key.GetToken().Value)+": "+flowText(pair.Value))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return scalarYAML(n)
}

func scalarYAML(n ast.Node) string {
	if b, ok := n.(*ast.BoolNode); ok {
		return b.GetToken().Value
	}
	return quoted(scalarText(n))
}

// bareForm is a text that YAML takes as it stands, wherever it is.
var bareForm = regexp.MustCompile(`^-?[\p{L}\p{N}_][\p{L}\p{N}_./%+-]*( [\p{L}\p{N}_][\p{L}\p{N}_./%+-]*)*$`)

// quoted is a text as YAML reads it back, in quotation marks if it must.
func quoted(s string) string {
	switch {
	case bareForm.MatchString(s) && !slices.Contains([]string{"null", "true", "false"}, strings.ToLower(s)):
		return s
	case strings.ContainsAny(s, `"\`):
		return "'" + strings.ReplaceAll(s, "'", "''") + "'"
	}
	return doubleQuoted(s)
}

func doubleQuoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// WriteMapFile writes the map into a new file, .csv or .yaml.
func WriteMapFile(file string, t MapTable) (err error) {
	write := WriteMapYAML
	switch ext := strings.ToLower(filepath.Ext(file)); ext {
	case ".csv":
		write = WriteMapCSV
	case ".yaml", ".yml":
	default:
		return fmt.Errorf("%s: a device map is .yaml or .csv", file)
	}
	out, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if os.IsExist(err) {
		return fmt.Errorf("%s is there already: name another file, or remove it first", file)
	}
	if err != nil {
		return err
	}
	defer func() {
		if closed := out.Close(); err == nil {
			err = closed
		}
		if err != nil {
			_ = os.Remove(file)
		}
	}()
	return write(out, t)
}

// ConvertMap writes a device map, from a file or from the library, into a new file of the other form, and proves that both say the same.
func ConvertMap(from, to string) error {
	t, err := ReadMapTable(from)
	if err != nil {
		return err
	}
	if err := WriteMapFile(to, t); err != nil {
		return err
	}
	a, b := readForComparison(from), readForComparison(to)
	if len(*b.problems) > 0 {
		err = b.problems.sorted()
	} else if !reflect.DeepEqual(a.essence(), b.essence()) {
		err = fmt.Errorf("%s says something that %s can not say in its form: write it by hand", from, to)
	}
	if err != nil {
		_ = os.Remove(to)
	}
	return err
}

func readForComparison(name string) *deviceMap {
	d, root, _ := openMap(name)
	return d.readMap(root, false)
}

// essence is all that the map says, without where.
func (m *deviceMap) essence() any {
	type param struct{ Value, Point string }
	params := map[string]param{}
	for name, p := range m.params {
		params[name] = param{p.value.String(), p.point}
	}
	points := map[string][]any{"": essences(m.points)}
	for _, name := range slices.Sorted(maps.Keys(m.variants)) {
		points[name] = essences(m.withOverrides(m.variants[name]))
	}
	return []any{m.name, m.version, m.title, m.sources, m.verified, m.dialect, m.maxRegisters, m.maxGap, m.root, m.budget, params, points}
}

func essences(points []*pointSpec) (out []any) {
	for _, p := range points {
		own := *p
		var multiply []string
		for _, n := range own.multiply {
			multiply = append(multiply, n.GetToken().Value)
		}
		own.layers, own.places, own.multiply = nil, nil, nil
		out = append(out, own, multiply)
	}
	return out
}
