package configs

import (
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/millgate/millgate/drivers"
)

// verbatim are the keys of points whose cells are taken as they stand, wide characters and all.
var verbatim = []string{"label", "node", "path", "select", "states", "alarms"}

var severities = []string{string(drivers.Info), string(drivers.Warning), string(drivers.Severe)}

// cell is the value of a key of a point, written into a cell: several names or numbers with ; between them, states as
// 0=空闲|Idle;1=运行|Running, alarms as 0=error:过流|overcurrent, \ before a ; = | : or \ that belongs to a text. nil if it can not be read,
// which is noted.
func (d *document) cell(key, text string, line, column int) ast.Node {
	if text = strings.TrimSpace(text); !slices.Contains(verbatim, key) {
		text = strings.TrimSpace(foldWidth(text))
	}
	switch key {
	case "multiply", "invalid":
		list := listNode(line, column)
		for _, item := range strings.FieldsFunc(text, func(r rune) bool { return r == ';' || r == ',' || r == ' ' }) {
			list.Values = append(list.Values, textNode(item, line, column))
		}
		return list
	case "states", "alarms":
		return d.numberedCell(key, text, line, column)
	case "enabled":
		return plainNode(strings.ToLower(text), line, column) // a spreadsheet writes TRUE
	}
	return textNode(text, line, column)
}

// numberedCell reads 0=空闲|Idle;1=运行|Running, and alarms likewise, each text with its severity: in front.
func (d *document) numberedCell(key, text string, line, column int) ast.Node {
	var pairs []*ast.MappingValueNode
	for more := true; more; {
		var entry string
		entry, text, more = cutAny(text, ";；")
		if strings.TrimSpace(entry) == "" {
			continue
		}
		number, value, found := cutAny(entry, "=＝")
		if !found {
			d.at(textNode(entry, line, column), "%s %q: write the number, = and the text, such as 1=运行|Running, with ; between several", key, strings.TrimSpace(entry))
			return nil
		}
		var fields []*ast.MappingValueNode
		add := func(key, text string) {
			fields = append(fields, pairNode(textNode(key, line, column), textNode(plainText(text), line, column)))
		}
		if severity, rest, found := cutAny(value, ":："); key == "alarms" && found && slices.Contains(severities, plainText(severity)) {
			add("severity", severity)
			value = rest
		}
		var child ast.Node = textNode(plainText(value), line, column)
		if zh, en, two := cutAny(value, "|｜"); two || len(fields) > 0 {
			if !two {
				en = zh
			}
			add("zh", zh)
			add("en", en)
			child = mapNode(line, column, fields...)
		}
		pairs = append(pairs, pairNode(textNode(strings.TrimSpace(foldWidth(number)), line, column), child))
	}
	return mapNode(line, column, pairs...)
}

// cutAny cuts s at the first of the separators that has no \ in front.
func cutAny(s, separators string) (before, after string, found bool) {
	escaped := false
	for i, c := range s {
		switch {
		case escaped:
			escaped = false
		case c == '\\':
			escaped = true
		case strings.ContainsRune(separators, c):
			return s[:i], s[i+len(string(c)):], true
		}
	}
	return s, "", false
}

// plainText is a text without the blanks around it and the \ in it that say how to read it.
func plainText(s string) string {
	var out strings.Builder
	escaped := false
	for _, c := range strings.TrimSpace(s) {
		if c == '\\' && !escaped {
			escaped = true
			continue
		}
		escaped = false
		out.WriteRune(c)
	}
	return out.String()
}

// escapedText is the opposite of plainText.
func escapedText(s string) string {
	var out strings.Builder
	for _, c := range s {
		if strings.ContainsRune(`\;；=＝|｜:：`, c) {
			out.WriteByte('\\')
		}
		out.WriteRune(c)
	}
	return out.String()
}

// cellText writes the value of a point's key as cell reads it. The value is one that was found good.
func cellText(n ast.Node) string {
	switch v := n.(type) {
	case *ast.SequenceNode:
		var items []string
		for _, item := range v.Values {
			items = append(items, scalarText(item))
		}
		return strings.Join(items, ";")
	case *ast.MappingNode, *ast.MappingValueNode:
		var entries []string
		for _, pair := range pairsOf(v) {
			entries = append(entries, pair.Key.GetToken().Value+"="+numberedText(pair.Value))
		}
		return strings.Join(entries, ";")
	}
	return scalarText(n)
}

// numberedText is the text of a state or an alarm.
func numberedText(n ast.Node) string {
	said := map[string]string{}
	if isMapping(n) {
		for _, pair := range pairsOf(n) {
			said[pair.Key.GetToken().Value] = scalarText(pair.Value)
		}
	} else {
		said["zh"] = scalarText(n)
		said["en"] = said["zh"]
	}
	text := escapedText(said["zh"])
	if said["en"] != said["zh"] {
		text += "|" + escapedText(said["en"])
	}
	if severity := said["severity"]; severity != "" && severity != string(drivers.Warning) {
		text = severity + ":" + text
	}
	return text
}

// pairsOf is the content of what is a mapping.
func pairsOf(n ast.Node) []*ast.MappingValueNode {
	switch m := n.(type) {
	case *ast.MappingNode:
		return m.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{m}
	}
	return nil
}

// scalarText is the text of a plain value that was found good.
func scalarText(n ast.Node) string {
	d := document{problems: &Problems{}}
	text, _ := d.scalar(n, "")
	return text
}
