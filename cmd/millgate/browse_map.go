package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/millgate/millgate/configs"
	"github.com/millgate/millgate/drivers/opcua"
)

// mapFormat is how a map is written.
type mapFormat string

const (
	mapCSV  mapFormat = "csv"
	mapYAML mapFormat = "yaml"
	mapJSON mapFormat = "json"
)

// mapOf makes a device map of what was found. If a machine was recognised, the tags that no specification knows are switched off, so that the map
// is ready as it is; all of them stay on if enabled says so.
func mapOf(r *opcua.BrowseResult, endpoint string, enabled bool) configs.MapTable {
	t := configs.MapTable{Keys: []configs.MapKey{{Name: "name", Text: mapNameOf(r)}, {Name: "version", Text: "1"}, {Name: "title", Text: titleOf(r)},
		{Name: "source", Text: "browsed at " + endpoint}, {Name: "verified", Text: "false"}, {Name: "protocol", Text: "opcua"}}}
	for _, m := range r.Machines {
		line := fmt.Sprintf("%s: %s, %s", m.Name, m.Spec, m.Node)
		if m.Prefix != "" {
			line += ", tags " + m.Prefix + "_…"
		}
		t.Comments = append(t.Comments, oneLine(line))
	}
	known := slices.ContainsFunc(r.Rows, func(row opcua.BrowseRow) bool { return row.Spec != "" })
	off := false
	for _, row := range r.Rows {
		p := map[string]string{"name": row.Name, "label": labelOf(row), "node": row.Node, "type": row.Type, "select": row.Select, "unit": row.Unit, "kind": row.Kind}
		if row.Kind == "state" && (row.Type != "bool" || len(row.States) > 0) {
			p["states"] = statesText(row.States)
		}
		if row.Denied || known && !enabled && row.Spec == "" {
			p["enabled"], off = "false", true
		}
		t.Points = append(t.Points, p)
	}
	if off {
		t.Comments = append(t.Comments, "A tag with enabled false is not read: no specification says what it means, or the user may not read it. Switch on what you need.")
	}
	return t
}

// mapNameOf is an id for the map.
func mapNameOf(r *opcua.BrowseResult) string {
	if len(r.Machines) > 0 {
		return strings.ToLower(strings.ReplaceAll(strings.ReplaceAll(r.Machines[0].Spec, "OPC ", "opc"), " ", "-")) + "-browsed"
	}
	return "opcua-browsed"
}

func titleOf(r *opcua.BrowseResult) string {
	if len(r.Machines) == 1 {
		return oneLine(r.Machines[0].Name)
	}
	if r.Server != "" {
		return oneLine(r.Server)
	}
	return "OPC UA"
}

// labelOf is the display name, with the server's unit if no UCUM unit is known for it. What a spreadsheet would take for the beginning of a
// formula is cut off.
func labelOf(row opcua.BrowseRow) string {
	label := row.Label
	if row.Unit == "" && row.UnitText != "" {
		label += " [" + row.UnitText + "]"
	}
	return strings.TrimLeft(oneLine(label), "=+-@ ")
}

// oneLine is s without what would end a line: it came from outside.
func oneLine(s string) string { return strings.Join(strings.Fields(printable(s)), " ") }

// statesText is 0=空闲|Idle;1=运行|Running, with \ before what separates.
func statesText(states []opcua.BrowseState) string {
	var entries []string
	for _, s := range states {
		if s.EN == "" && s.ZH == "" {
			continue
		}
		text := escapeState(s.ZH)
		if s.EN != s.ZH {
			text += "|" + escapeState(s.EN)
		}
		entries = append(entries, strconv.FormatInt(s.Code, 10)+"="+text)
	}
	return strings.Join(entries, ";")
}

func escapeState(s string) string {
	var out strings.Builder
	for _, c := range oneLine(s) {
		if strings.ContainsRune(`\;；=＝|｜:：`, c) {
			out.WriteByte('\\')
		}
		out.WriteRune(c)
	}
	return out.String()
}

// writeMap writes the map, or, as JSON, all that was found.
func writeMap(w io.Writer, t configs.MapTable, r *opcua.BrowseResult, kind mapFormat) error {
	switch kind {
	case mapJSON:
		return printJSON(w, r)
	case mapYAML:
		return configs.WriteMapYAML(w, t)
	case mapCSV:
	}
	return configs.WriteMapCSV(w, t)
}
