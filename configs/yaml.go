package configs

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

const maxFileSize = 4 << 20

// document reads one file by what is expected in it. Whatever is not as expected becomes a Problem, and reading goes on.
type document struct {
	file     string
	headRow  int // of a table: the line with its keys; below it columns are cells; 0: YAML
	problems *Problems
}

// at notes a mistake at a node.
func (d *document) at(n ast.Node, format string, args ...any) {
	*d.problems = append(*d.problems, d.problem(n, fmt.Sprintf(format, args...)))
}

func (d *document) problem(n ast.Node, message string) Problem {
	p := Problem{File: d.file, Message: message}
	switch m := n.(type) { // a block mapping's own token is its first colon
	case *ast.MappingNode:
		if !m.IsFlowStyle && len(m.Values) > 0 {
			n = m.Values[0].Key
		}
	case *ast.MappingValueNode:
		n = m.Key
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		p.Line, p.Column = t.Position.Line, t.Position.Column
	}
	if d.headRow > 0 && p.Line >= d.headRow {
		p.Cell = columnName(p.Column) + strconv.Itoa(p.Line)
	}
	return p
}

// whole notes a mistake of the whole file.
func (d *document) whole(format string, args ...any) {
	*d.problems = append(*d.problems, Problem{File: d.file, Message: fmt.Sprintf(format, args...)})
}

// load reads and parses the file; nil if that failed, which is noted.
func (d *document) load() ast.Node {
	data, ok := d.content()
	if !ok {
		return nil
	}
	return d.parse(data)
}

// content is what is in the file; not ok if it can not be read, which is noted.
func (d *document) content() (data []byte, ok bool) {
	info, err := os.Stat(d.file)
	if err == nil && info.Size() > maxFileSize {
		d.whole("the file has %d bytes; at most %d are read", info.Size(), maxFileSize)
		return nil, false
	}
	if data, err = os.ReadFile(d.file); err != nil {
		d.whole("can not be read: %v", errors.Unwrap(err))
		return nil, false
	}
	return data, true
}

// parse gives the body of the only document in data; nil if there is none, which is noted.
func (d *document) parse(data []byte) ast.Node {
	// Line ends are made one kind: the scanner counts lines of CR LF twice behind a comment.
	data = []byte(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(strings.TrimPrefix(string(data), "\ufeff")))
	if !utf8.Valid(data) {
		d.whole("the file is not UTF-8 (perhaps GBK): save it as UTF-8")
		return nil
	}
	if line := tooDeep(string(data)); line > 0 {
		*d.problems = append(*d.problems, Problem{File: d.file, Line: line, Column: 1, Message: "nested too deeply: a bracket or a level of indentation is not closed"})
		return nil
	}
	file, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		d.syntax(err)
		return nil
	}
	var body ast.Node
	for _, doc := range file.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType {
			continue
		}
		if body != nil {
			d.at(doc.Body, "a second document in the file: a file holds one")
			break
		}
		body = doc.Body
	}
	if body == nil {
		d.whole("the file is empty")
	}
	return body
}

const maxDepth = 50

// tooDeep is the first line at which more brackets are open or more columns indented than any site needs; 0 if there is none. The
// parser's memory grows with the depth times the size.
func tooDeep(text string) int {
	n, open := 0, 0
	for line := range strings.Lines(text) {
		n++
		var quote rune
		for _, c := range line {
			switch {
			case quote != 0:
				if c == quote {
					quote = 0
				}
			case c == '"' || c == '\'':
				quote = c
			case c == '[' || c == '{':
				open++
			case (c == ']' || c == '}') && open > 0:
				open--
			}
			if open > maxDepth {
				return n
			}
		}
		if len(line)-len(strings.TrimLeft(line, " -?")) > 4*maxDepth {
			return n
		}
	}
	return 0
}

func (d *document) syntax(err error) {
	var syntax yaml.Error
	if !errors.As(err, &syntax) || syntax.GetToken() == nil {
		d.whole("not YAML: %v", err)
		return
	}
	p := syntax.GetToken().Position
	*d.problems = append(*d.problems, Problem{File: d.file, Line: p.Line, Column: p.Column, Message: "not YAML: " + syntax.GetMessage()})
}

// field is one key that an object may have.
type field struct {
	key      string
	required bool
	hidden   bool // not proposed: it is known for the sake of a better message
	read     func(ast.Node)
}

func must(key string, read func(ast.Node)) field { return field{key: key, required: true, read: read} }
func may(key string, read func(ast.Node)) field  { return field{key: key, read: read} }

// nodes is where the values of a mapping stand, by key; that of "" is the mapping.
type nodes map[string]ast.Node

// of is the node of the key, or of the mapping if the key is not there.
func (w nodes) of(key string) ast.Node {
	if n, ok := w[key]; ok {
		return n
	}
	return w[""]
}

// keeping makes fields also note where their values stand.
func (w nodes) keeping(fields ...field) []field {
	for i := range fields {
		key, read := fields[i].key, fields[i].read
		fields[i].read = func(n ast.Node) { w[key] = n; read(n) }
	}
	return fields
}

// object reads a mapping: each key once, none that is not listed, all that are required.
func (d *document) object(n ast.Node, what string, fields ...field) {
	pairs, ok := d.pairs(n, what)
	if !ok {
		return
	}
	seen := map[string]int{}
	for _, pair := range pairs {
		key := pair.Key.GetToken().Value
		i := slices.IndexFunc(fields, func(f field) bool { return f.key == key })
		if i < 0 {
			d.at(pair.Key, "%s has no key %q%s", what, key, hint(key, fields))
			continue
		}
		if line, twice := seen[key]; twice {
			d.at(pair.Key, "%q stands here a second time; the first is in line %d", key, line)
			continue
		}
		seen[key] = pair.Key.GetToken().Position.Line
		fields[i].read(pair.Value)
	}
	for _, f := range fields {
		if _, ok := seen[f.key]; f.required && !ok {
			d.at(n, "%s lacks %q", what, f.key)
		}
	}
}

// hint names the key that was probably meant, or all that there are.
func hint(key string, fields []field) string {
	known := make([]string, 0, len(fields))
	for _, f := range fields {
		if !f.hidden {
			known = append(known, f.key)
		}
	}
	if near := suggestion(key, known); near != "" {
		return near
	}
	return "; known here: " + strings.Join(known, ", ")
}

func isMapping(n ast.Node) bool {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return true
	}
	return false
}

// pairs is the content of a mapping.
func (d *document) pairs(n ast.Node, what string) ([]*ast.MappingValueNode, bool) {
	switch m := n.(type) {
	case *ast.MappingNode:
		return m.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{m}, true
	}
	d.at(n, "%s must be keys and values, not %s", what, describe(n))
	return nil, false
}

// list reads a sequence.
func (d *document) list(what string, read func(ast.Node)) func(ast.Node) {
	return func(n ast.Node) {
		s, ok := n.(*ast.SequenceNode)
		if !ok {
			d.at(n, "%s must be a list, not %s", what, describe(n))
			return
		}
		for _, item := range s.Values {
			read(item)
		}
	}
}

// scalar is the text of a plain value as it was written: a code of digits keeps its zeros.
func (d *document) scalar(n ast.Node, what string) (string, bool) {
	switch v := n.(type) {
	case *ast.StringNode:
		return v.Value, true
	case *ast.LiteralNode:
		return v.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	d.at(n, "%s, not %s", what, describe(n))
	return "", false
}

func describe(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "keys and values"
	case *ast.SequenceNode:
		return "a list"
	case *ast.NullNode:
		return "nothing"
	case *ast.AnchorNode, *ast.AliasNode:
		return "an anchor or alias (write the value out)"
	case *ast.TagNode:
		return "a YAML tag"
	}
	return fmt.Sprintf("%q", n.GetToken().Value)
}

func (d *document) text(into *string) func(ast.Node) {
	return func(n ast.Node) {
		s, ok := d.scalar(n, "text is expected")
		switch {
		case !ok:
		case strings.ContainsFunc(s, unicode.IsControl):
			d.at(n, "%q has a line break or another control character in it", s)
		default:
			*into = s
		}
	}
}

// matching reads text of a form; rule says the form in words.
func (d *document) matching(into *string, form *regexp.Regexp, rule string) func(ast.Node) {
	return func(n ast.Node) {
		s, ok := d.scalar(n, "text is expected")
		switch {
		case !ok:
		case !form.MatchString(s):
			d.at(n, "%q: %s", s, rule)
		default:
			*into = s
		}
	}
}

func (d *document) boolean(into *bool) func(ast.Node) {
	return func(n ast.Node) {
		if b, ok := n.(*ast.BoolNode); ok {
			*into = b.Value
			return
		}
		d.at(n, "true or false is expected, not %s", describe(n))
	}
}
