package worker

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/gopcua/opcua/ua"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/opcua"
)

const (
	maxElementRows = 64  // of one array
	maxFieldRows   = 256 // of one variable
	maxFieldDepth  = 6
	maxValueText   = 80 // characters of a value that is shown
)

// rowsOf is what a map can have of a variable: one row for a scalar, one for each element of an array and each field of a structure. Their
// names are left out.
func (b *browser) rowsOf(n *browsed) []opcua.BrowseRow {
	if machine := n.parent; n.name == "CurrentState" && machine != nil && n.child("Id") != nil {
		return b.stateRow(n)
	}
	v := n.variable
	row := b.baseRow(n)
	kinds := b.elements(v)
	if len(kinds) == 0 {
		return nil
	}
	var rows []opcua.BrowseRow
	for _, k := range kinds {
		if first, _, _ := strings.Cut(strings.TrimPrefix(k.sel, "."), "."); k.sel != "" && k.sel[0] == '.' && n.child(first) != nil {
			continue // the field is a variable of its own too
		}
		r := row
		r.Select, r.Type, r.Kind = k.sel, k.typ, k.kind
		if k.names != nil {
			r.Kind, r.States = "state", enumStates(k.names.texts)
		} else if r.Kind == "text" {
			r.Unit, r.UnitText = "", ""
		}
		b.texts(n, &r)
		b.show(&r, v.value, k.names)
		rows = append(rows, r)
	}
	return rows
}

// baseRow is what all rows of a variable have in common.
func (b *browser) baseRow(n *browsed) opcua.BrowseRow {
	v := n.variable
	row := opcua.BrowseRow{Node: mapNodeID(n.id, b.types.namespaces), Label: n.display, Path: strings.Join(n.path(), "/"), History: v.history, Denied: v.denied}
	if id := b.types.nodes[plainNodeID(n.id)]; id != "" {
		row.DataType = id
		if parsed, err := ua.ParseNodeID(id); err == nil {
			row.DataType = mapNodeID(parsed, b.types.namespaces)
		}
	}
	if c := n.child("EngineeringUnits"); c != nil && c.variable != nil {
		row.Unit, row.UnitText = unitOf(goodValue(c.variable.value))
	}
	if c := n.child("EURange"); c != nil && c.variable != nil {
		if object, ok := goodValue(c.variable.value).(*ua.ExtensionObject); ok && object != nil {
			if r, ok := object.Value.(*ua.Range); ok && r.Low < r.High && !math.IsInf(r.High-r.Low, 0) {
				row.Low, row.High = &r.Low, &r.High
			}
		}
	}
	return row
}

// stateRow is the state of a state machine, as a number.
func (b *browser) stateRow(n *browsed) []opcua.BrowseRow {
	source := n.child("Number")
	if source == nil || source.variable == nil || source.variable.denied {
		source = n.child("Id")
	}
	if source.variable == nil {
		return nil
	}
	row := b.baseRow(source)
	row.Path, row.Label = strings.Join(n.path(), "/"), n.parent.display
	row.Type, row.Kind, row.States = "uint32", "state", b.statesOf(n.parent)
	b.show(&row, source.variable.value, nil)
	return []opcua.BrowseRow{row}
}

// statesOf is the states of a state machine: its own, those of its type, and those of the types above that.
func (b *browser) statesOf(machine *browsed) []opcua.BrowseState {
	var out []opcua.BrowseState
	for _, owner := range append([]string{plainNodeID(machine.id)}, b.above[plainNodeID(machine.typeID)]...) {
		for _, s := range b.types.states {
			known := slices.ContainsFunc(out, func(o opcua.BrowseState) bool { return o.Code == int64(s.number) })
			if s.owner == owner && !known {
				out = append(out, opcua.BrowseState{Code: int64(s.number), ZH: s.name, EN: s.name})
			}
		}
	}
	slices.SortFunc(out, byCode)
	return out
}

func byCode(a, b opcua.BrowseState) int { return cmp.Compare(a.Code, b.Code) }

func enumStates(texts map[int64]string) []opcua.BrowseState {
	var out []opcua.BrowseState
	for code, text := range texts {
		out = append(out, opcua.BrowseState{Code: code, ZH: text, EN: text})
	}
	slices.SortFunc(out, byCode)
	return out
}

// texts puts the texts that a variable has itself (Part 8, 5.3.3): EnumStrings or EnumValues of a number, TrueState and FalseState of a bool.
func (b *browser) texts(n *browsed, row *opcua.BrowseRow) {
	if row.Kind != "gauge" && row.Type != "bool" {
		return
	}
	for _, name := range []string{"EnumStrings", "EnumValues"} {
		if c := n.child(name); c != nil && c.variable != nil && row.Type != "bool" && !strings.HasPrefix(row.Type, "float") {
			if texts := enumTexts(goodValue(c.variable.value)); len(texts) > 0 {
				row.Kind, row.States = "state", enumStates(texts)
			}
		}
	}
	if row.Type != "bool" {
		return
	}
	for code, name := range []string{"FalseState", "TrueState"} {
		if c := n.child(name); c != nil && c.variable != nil {
			if text, ok := goodValue(c.variable.value).(*ua.LocalizedText); ok && text != nil && text.Text != "" {
				row.States = append(row.States, opcua.BrowseState{Code: int64(code), ZH: text.Text, EN: text.Text})
			}
		}
	}
}

// show puts the value as the point would read it now.
func (b *browser) show(row *opcua.BrowseRow, dv *ua.DataValue, names *enumeration) {
	steps, err := opcua.ParseSelect(row.Select)
	r := valueReader{steps: steps, to: tagTypes[row.Type], types: b.types, names: names, broken: err != nil}
	v, _, cause := r.read(dv)
	row.Cause = string(cause)
	if v.IsZero() {
		return
	}
	row.Value = v.String()
	if runes := []rune(row.Value); len(runes) > maxValueText {
		row.Value = string(runes[:maxValueText]) + "…"
	}
}

// element is a scalar in a value.
type element struct {
	sel, typ, kind string
	names          *enumeration
}

// elements is the scalars in a variable's value: by its data type, or by the value that it has now if the data type leaves it open.
func (b *browser) elements(v *variable) []element {
	value, _ := unwrap(goodValue(v.value))
	lengths := lengthsOf(value, v)
	scalar := v.typ
	if scalar == nil || scalar.builtin == ua.TypeIDVariant && !scalar.structure {
		scalar = &dataType{builtin: typeIDOf(value)}
	}
	var out []element
	each := func(sel string, value any) {
		object, _ := value.(*ua.ExtensionObject)
		switch {
		case len(out) >= maxFieldRows:
		case object != nil && object.TypeID != nil && b.types.encoded(b.types.local(object.TypeID)) != nil:
			body, _ := bodyOf(object)
			out = append(out, b.fields(b.types.encoded(b.types.local(object.TypeID)), body, sel, 0)...)
		case scalar.structure:
			out = append(out, b.fields(scalar, nil, sel, 0)...)
		default:
			if typ, kind, ok := mapType(scalar.builtin); ok && !scalar.unknown {
				out = append(out, element{sel: sel, typ: typ, kind: kind, names: scalar.names})
			}
		}
	}
	switch {
	case len(lengths) == 0:
		each("", value)
	case len(lengths) == 1:
		for i := range min(lengths[0], maxElementRows) {
			item, _ := child(value, i)
			each(fmt.Sprintf("[%d]", i), item)
		}
	case len(lengths) == 2:
		for i := range min(lengths[0], maxElementRows) {
			for j := range min(lengths[1], maxElementRows/max(1, min(lengths[0], maxElementRows))) {
				each(fmt.Sprintf("[%d][%d]", i, j), nil)
			}
		}
	}
	return out
}

// lengthsOf is the dimensions of an array, as it is now or as the server promises; none of a scalar.
func lengthsOf(value any, v *variable) (lengths []int) {
	for {
		switch value.(type) {
		case nil, []byte: // nothing, or a ByteString
		default:
			if n, inner, ok := firstOf(value); ok {
				lengths = append(lengths, n)
				value = inner
				continue
			}
			return lengths
		}
		break
	}
	if len(lengths) > 0 || v.rank < 0 {
		return lengths
	}
	for _, n := range v.lengths {
		lengths = append(lengths, int(min(n, maxElementRows)))
	}
	if len(lengths) == 0 {
		lengths = []int{0}
	}
	return lengths
}

// fields is the scalars in a structure. How long an array in it is, the body tells; without one arrays are left out.
func (b *browser) fields(t *dataType, body []byte, prefix string, depth int) (out []element) {
	if depth > maxFieldDepth {
		return nil
	}
	return b.fieldsIn(t, t, body, prefix, "", depth)
}

// fieldsIn is the scalars in the structure t at the place of root's body to which inner leads.
func (b *browser) fieldsIn(root, t *dataType, body []byte, prefix, inner string, depth int) (out []element) {
	for i := range t.fields {
		f := &t.fields[i]
		if strings.ContainsAny(f.name, ".[]") || f.name == "" || len(out) >= maxFieldRows || depth > maxFieldDepth {
			continue
		}
		at := inner + "." + f.name
		if f.rank < 0 {
			out = append(out, b.fieldValue(root, f, body, prefix, at, depth)...)
			continue
		}
		for j := 0; f.rank == 1 && j < maxElementRows; j++ {
			item := b.fieldValue(root, f, body, prefix, fmt.Sprintf("%s[%d]", at, j), depth)
			if len(item) == 0 || !b.isThere(root, body, strings.TrimPrefix(item[0].sel, prefix)) {
				break
			}
			out = append(out, item...)
		}
	}
	return out
}

func (b *browser) fieldValue(root *dataType, f *field, body []byte, prefix, at string, depth int) []element {
	switch {
	case f.subtyped || f.typ.unknown:
		return nil
	case f.typ.structure:
		return b.fieldsIn(root, f.typ, body, prefix, at, depth+1)
	}
	typ, kind, ok := mapType(f.typ.builtin)
	if !ok {
		return nil
	}
	return []element{{sel: prefix + at, typ: typ, kind: kind, names: f.typ.names}}
}

// isThere says whether the body has this element.
func (b *browser) isThere(root *dataType, body []byte, sel string) bool {
	steps, err := opcua.ParseSelect(sel)
	if err != nil || body == nil {
		return false
	}
	_, cause := decodeStructure(root, body, steps, b.types.encoded)
	return cause != causeNoElement && cause != drivers.CauseGarbled && cause != causeUnknownStruct
}
