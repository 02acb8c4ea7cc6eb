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
	points := d.parseRows(strings.Join(lines[head:], ""), head, protocolOf(protocol))
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

// column is a column of a table: a key of points, or nothing.
type column struct{ key string }

// parseRows reads the table that begins behind so many lines; nil if there is none.
func (d *document) parseRows(text string, before int, in protocol) *ast.SequenceNode {
	fields := (&pointSpec{protocol: in}).fields(d)
	head, _, _ := strings.Cut(text, "\n")
	if strings.TrimSpace(head) == "" {
		d.whole("the file has no table: behind the lines with # one line names the keys of points, such as name, type and node or table and address, and one line follows for each point")
		return nil
	}
	d.headRow = before + 1
	r := csv.NewReader(strings.NewReader(text))
	r.Comma, r.FieldsPerRecord, r.LazyQuotes = separatorOf(head, fields), -1, true
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
			columns = d.readHead(cells, line, fields)
		case strings.HasPrefix(strings.TrimSpace(cells[0]), "#"): // switched off, or for people
		default:
			if point := d.readRow(cells, line, columns); point != nil {
				list.Values = append(list.Values, point)
			}
		}
	}
}

// separatorOf is what stands between the cells of the head: that with which most of them are keys.
func separatorOf(head string, fields []field) rune {
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
			if knows(fields, headKey(c)) {
				n++
			}
		}
		if n > most {
			best, most = s, n
		}
	}
	return best
}

func knows(fields []field, key string) bool {
	return slices.ContainsFunc(fields, func(f field) bool { return f.key == key })
}

func headKey(cell string) string { return strings.ToLower(strings.TrimSpace(foldWidth(cell))) }

// readHead reads the line with the keys of points.
func (d *document) readHead(cells []string, line int, fields []field) []column {
	columns := make([]column, len(cells))
	first := map[string]int{}
	for i, c := range cells {
		key, at := headKey(c), textNode(c, line, i+1)
		switch {
		case key == "":
		case !knows(fields, key):
			d.at(at, "a point has no key %q%s", key, hint(key, fields))
			columns[i].key = unknownKey
		case first[key] > 0:
			d.at(at, "%q stands here a second time; the first is in column %s", key, columnName(first[key]))
			columns[i].key = unknownKey
		default:
			first[key] = i + 1
			columns[i].key = key
		}
	}
	return columns
}

const unknownKey = "?" // of a column that was told to be wrong

// readRow reads the line of a point; nil if it is empty.
func (d *document) readRow(cells []string, line int, columns []column) ast.Node {
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
			if n := d.cell(columns[i].key, c, line, i+1); n != nil {
				pairs = append(pairs, pairNode(textNode(columns[i].key, line, i+1), n))
			}
		}
	}
	if pairs == nil {
		return nil
	}
	return mapNode(line, 1, pairs...)
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
