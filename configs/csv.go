package configs

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// A device map may be a table: lines "# key: value" for the map's own keys, a line with the keys of points, and a line for each point.
// It is read into the same syntax tree as the YAML that says the same, so that nothing is checked twice and nothing differs.

// ownKeyForm is the line of one of the map's own keys; other lines with # are for people.
var ownKeyForm = regexp.MustCompile(`^#\s*([A-Za-z_]+)\s*[:：]\s*(.*?)\s*$`)

// structured are the map's own keys whose value in a table is YAML on one line.
var structured = []string{"params", "variants", "root", "budget"}

// loadCSV reads the file as a table; nil if that failed, which is noted.
func (d *document) loadCSV() ast.Node {
	data, ok := d.content()
	if !ok {
		return nil
	}
	return d.parseCSV(data)
}

// parseCSV gives the device map in a table; nil if there is none, which is noted.
func (d *document) parseCSV(data []byte) ast.Node {
	text, ok := d.decodeText(data)
	if !ok {
		return nil
	}
	var own []*ast.MappingValueNode
	var sources *ast.SequenceNode
	protocol := string(modbusProtocol)
	lines := strings.SplitAfter(text, "\n")
	head := 0
	for ; head < len(lines); head++ {
		line, is := ownLine(lines[head])
		if !is {
			break
		}
		at := ownKeyForm.FindStringSubmatchIndex(line)
		if at == nil {
			continue
		}
		key, value := line[at[2]:at[3]], line[at[4]:at[5]]
		keyNode := textNode(key, head+1, 1+utf8.RuneCountInString(line[:at[2]]))
		column := 1 + utf8.RuneCountInString(line[:at[4]])
		switch {
		case key == "source" && sources != nil:
			sources.Values = append(sources.Values, textNode(value, head+1, column))
		case key == "source":
			sources = listNode(head+1, column, textNode(value, head+1, column))
			own = append(own, pairNode(keyNode, sources))
		default:
			if n := d.ownValue(key, value, head+1, column); n != nil {
				own = append(own, pairNode(keyNode, n))
			}
		}
		if key == "protocol" {
			protocol = value
		}
	}
	points := d.parseRows(strings.Join(lines[head:], ""), head, d.pointTable(protocolOf(protocol)))
	if points == nil {
		return nil
	}
	return mapNode(1, 1, append(own, pairNode(textNode("points", head+1, 1), points))...)
}

func protocolOf(word string) protocol {
	if word == string(opcuaProtocol) {
		return opcuaProtocol
	}
	return modbusProtocol
}

// ownLine is the line without what a spreadsheet does to it, if it is one for people or of the map's own keys, or empty.
func ownLine(line string) (text string, is bool) {
	text = strings.TrimRight(line, " \t\n")
	if strings.HasPrefix(text, `"#`) {
		for _, s := range separators {
			r := csv.NewReader(strings.NewReader(text))
			r.Comma = s
			if cells, err := r.Read(); err == nil {
				return strings.TrimSpace(cells[0]), true
			}
		}
	}
	if strings.Trim(text, ",;\t ") == "" {
		return "", true
	}
	return strings.TrimRight(text, ",;\t "), strings.HasPrefix(text, "#")
}

// ownValue is the value of one of the map's own keys; nil if there is none, or it can not be read.
func (d *document) ownValue(key, value string, line, column int) ast.Node {
	switch {
	case key == "title":
		return textNode(value, line, column)
	case !slices.Contains(structured, key):
		return plainNode(foldWidth(value), line, column)
	case value == "":
		return nil
	}
	return d.parse([]byte(strings.Repeat("\n", line-1) + strings.Repeat(" ", column-1) + value))
}

// decodeText is the text of a file that a spreadsheet has written, with one kind of line ends; not ok if it is none, which is noted.
func (d *document) decodeText(data []byte) (text string, ok bool) {
	switch {
	case bytes.HasPrefix(data, []byte("\xff\xfe")), bytes.HasPrefix(data, []byte("\xfe\xff")):
		d.whole("the file is UTF-16: save it as CSV UTF-8")
		return "", false
	case !utf8.Valid(data):
		var err error
		if data, err = simplifiedchinese.GB18030.NewDecoder().Bytes(data); err != nil || bytes.ContainsRune(data, utf8.RuneError) {
			d.whole("the file is neither UTF-8 nor GBK: save it as CSV UTF-8")
			return "", false
		}
	}
	return strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(strings.TrimPrefix(string(data), "\ufeff")), true
}

var separators = []rune{',', ';', '\t'}

// table is what the columns of a table may be, and how its cells are read.
type table struct {
	noun  string                      // what a line is, such as "a point"
	empty string                      // what to do if there is no table
	knows func(key string) bool       // whether a column may have this key
	hint  func(key string) string     // what was probably meant by another one
	cell  func(in tableCell) ast.Node // nil if it can not be read, which is noted
	row   func(line int, pairs []*ast.MappingValueNode) ast.Node
	units bool // whether a key may have the unit of the column behind it, in brackets
}

// tableCell is a cell that is not empty.
type tableCell struct {
	column
	text       string
	line, from int // from is the number of its column
}

// pointTable is a table of points.
func (d *document) pointTable(in protocol) *table {
	fields := (&pointSpec{protocol: in}).fields(d)
	return &table{
		noun:  "a point",
		empty: "the file has no table: behind the lines with # one line names the keys of points, such as name, type and node or table and address, and one line follows for each point",
		knows: func(key string) bool { return slices.ContainsFunc(fields, func(f field) bool { return f.key == key }) },
		hint:  func(key string) string { return hint(key, fields) },
		cell:  func(c tableCell) ast.Node { return d.cell(c.key, c.text, c.line, c.from) },
		row:   func(line int, pairs []*ast.MappingValueNode) ast.Node { return mapNode(line, 1, pairs...) },
	}
}

// column is a column of a table: a key, or nothing.
type column struct{ key, unit string }

// parseRows reads the table that begins behind so many lines; nil if there is none.
func (d *document) parseRows(text string, before int, t *table) *ast.SequenceNode {
	head, _, _ := strings.Cut(text, "\n")
	if strings.TrimSpace(head) == "" {
		d.whole("%s", t.empty)
		return nil
	}
	d.headRow = before + 1
	r := csv.NewReader(strings.NewReader(text))
	r.Comma, r.FieldsPerRecord, r.LazyQuotes = t.separatorOf(head), -1, true
	var columns []column
	list := listNode(before+1, 1)
	for {
		cells, err := r.Read()
		if err == io.EOF {
			return list
		}
		var wrong *csv.ParseError
		if errors.As(err, &wrong) {
			d.at(textNode("", before+wrong.Line, 1), "the line can not be read as a table: %v", wrong.Err)
			return list
		}
		line, _ := r.FieldPos(0)
		line += before
		switch {
		case columns == nil:
			columns = d.readHead(cells, line, t)
		case strings.HasPrefix(strings.TrimSpace(cells[0]), "#"): // switched off, or for people
		default:
			if row := d.readRow(cells, line, columns, t); row != nil {
				list.Values = append(list.Values, row)
			}
		}
	}
}

// separatorOf is what stands between the cells of the head: that with which most of them are keys.
func (t *table) separatorOf(head string) rune {
	best, most := separators[0], 0
	for _, s := range separators {
		r := csv.NewReader(strings.NewReader(head))
		r.Comma, r.LazyQuotes = s, true
		cells, err := r.Read()
		if err != nil {
			continue
		}
		n := 0
		for _, c := range cells {
			if t.knows(t.columnOf(c).key) {
				n++
			}
		}
		if n > most {
			best, most = s, n
		}
	}
	return best
}

// unitForm is a key with the unit of its column.
var unitForm = regexp.MustCompile(`^(.+?)\s*[(\[](.+)[)\]]$`)

// columnOf reads a cell of the head.
func (t *table) columnOf(cell string) column {
	cell = strings.TrimSpace(foldWidth(cell))
	unit := ""
	if parts := unitForm.FindStringSubmatch(cell); parts != nil && t.units {
		cell, unit = parts[1], parts[2]
	}
	return column{strings.ToLower(cell), unit}
}

// readHead reads the line with the keys.
func (d *document) readHead(cells []string, line int, t *table) []column {
	columns := make([]column, len(cells))
	first := map[string]int{}
	for i, c := range cells {
		in, at := t.columnOf(c), textNode(c, line, i+1)
		switch {
		case in.key == "":
		case !t.knows(in.key):
			d.at(at, "%s has no key %q%s", t.noun, in.key, t.hint(in.key))
			in.key = unknownKey
		case first[in.key] > 0:
			d.at(at, "%q stands here a second time; the first is in column %s", in.key, columnName(first[in.key]))
			in.key = unknownKey
		default:
			first[in.key] = i + 1
		}
		columns[i] = in
	}
	return columns
}

const unknownKey = "?" // of a column that was told to be wrong

// readRow reads a line; nil if it is empty.
func (d *document) readRow(cells []string, line int, columns []column, t *table) ast.Node {
	var pairs []*ast.MappingValueNode
	for i, c := range cells {
		at := textNode(c, line, i+1)
		switch {
		case strings.TrimSpace(c) == "":
		case i >= len(columns) || columns[i].key == "":
			d.at(at, "%q stands in a column without a key: name the key in line %d", strings.TrimSpace(c), d.headRow)
		case columns[i].key == unknownKey:
		case strings.Contains(c, "\n"):
			d.at(at, "there is a line break in the cell: write it without, or close the quotation mark with which it begins")
		default:
			if n := t.cell(tableCell{columns[i], c, line, i + 1}); n != nil {
				pairs = append(pairs, pairNode(textNode(columns[i].key, line, i+1), n))
			}
		}
	}
	if pairs == nil {
		return nil
	}
	return t.row(line, pairs)
}

// columnName is how spreadsheets name a column, counted from 1: A, B, …, Z, AA.
func columnName(n int) string {
	name := ""
	for ; n > 0; n = (n - 1) / 26 {
		name = string(rune('A'+(n-1)%26)) + name
	}
	return name
}

// foldWidth turns the wide forms of digits, letters and signs, as Chinese input methods write them, into the plain ones.
func foldWidth(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= '！' && r <= '～':
			return r - '！' + '!'
		case r == '\u3000':
			return ' '
		}
		return r
	}, s)
}

func position(line, column int) *token.Position { return &token.Position{Line: line, Column: column} }

func textNode(text string, line, column int) *ast.StringNode {
	return ast.String(token.New(text, text, position(line, column)))
}

// plainNode is the value that YAML would take a bare word for, as far as anything here looks at that.
func plainNode(text string, line, column int) ast.Node {
	if text == "true" || text == "false" {
		return ast.Bool(token.New(text, text, position(line, column)))
	}
	return textNode(text, line, column)
}

func pairNode(key *ast.StringNode, value ast.Node) *ast.MappingValueNode {
	return ast.MappingValue(token.MappingValue(key.GetToken().Position), key, value)
}

func mapNode(line, column int, pairs ...*ast.MappingValueNode) *ast.MappingNode {
	return ast.Mapping(token.MappingStart("{", position(line, column)), true, pairs...)
}

func listNode(line, column int, items ...ast.Node) *ast.SequenceNode {
	n := ast.Sequence(token.SequenceStart("[", position(line, column)), true)
	n.Values = items
	return n
}
