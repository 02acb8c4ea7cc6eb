package worker

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/gopcua/opcua/ua"
	"pgregory.net/rapid"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/opcua"
)

// leaf is a scalar that was written into a body, and the way to it.
type leaf struct {
	path string
	want raw
	gone bool // an optional field, or another choice of a union
}

// writer encodes values of random types with gopcua's encoder, and notes each scalar that it wrote.
type writer struct {
	t      *rapid.T
	buf    *ua.Buffer
	leaves []leaf
}

var scalarTypes = []ua.TypeID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15, 17, 19, 20, 21}

func genType(t *rapid.T, depth int) *dataType {
	if depth == 0 || rapid.IntRange(0, 3).Draw(t, "scalar") > 0 {
		return &dataType{builtin: rapid.SampledFrom(scalarTypes).Draw(t, "builtin")}
	}
	return genStructure(t, depth)
}

func genStructure(t *rapid.T, depth int) *dataType {
	typ := &dataType{structure: true, shape: rapid.SampledFrom([]shape{shapePlain, shapeOptional, shapeUnion}).Draw(t, "shape")}
	for i := range rapid.IntRange(1, 5).Draw(t, "fields") {
		typ.fields = append(typ.fields, field{name: fmt.Sprintf("F%d", i), typ: genType(t, depth-1), rank: rapid.SampledFrom([]int32{-1, -1, 1, 2}).Draw(t, "rank"),
			optional: typ.shape == shapeOptional && rapid.Bool().Draw(t, "optional")})
	}
	return typ
}

func (w *writer) structure(typ *dataType, path string) {
	switch typ.shape {
	case shapeUnion:
		choice := rapid.IntRange(0, len(typ.fields)).Draw(w.t, "choice")
		w.buf.WriteUint32(uint32(choice))
		for i, f := range typ.fields {
			if i == choice-1 {
				w.field(&f, path+"."+f.name)
			} else {
				w.leaves = append(w.leaves, leaf{path: path + "." + f.name, gone: true})
			}
		}
		return
	case shapeOptional:
		mask, bit := uint32(0), 0
		for _, f := range typ.fields {
			if f.optional {
				if rapid.Bool().Draw(w.t, "there") {
					mask |= 1 << bit
				}
				bit++
			}
		}
		w.buf.WriteUint32(mask)
		bit = 0
		for _, f := range typ.fields {
			if f.optional {
				if bit++; mask>>(bit-1)&1 == 0 {
					w.leaves = append(w.leaves, leaf{path: path + "." + f.name, gone: true})
					continue
				}
			}
			w.field(&f, path+"."+f.name)
		}
		return
	case shapePlain:
	}
	for _, f := range typ.fields {
		w.field(&f, path+"."+f.name)
	}
}

func (w *writer) field(f *field, path string) {
	switch f.rank {
	case -1:
		w.value(f.typ, path)
	case 1:
		n := rapid.IntRange(-1, 3).Draw(w.t, "length")
		w.buf.WriteInt32(int32(n))
		for i := range max(n, 0) {
			w.value(f.typ, fmt.Sprintf("%s[%d]", path, i))
		}
	default:
		rows, columns := rapid.IntRange(0, 2).Draw(w.t, "rows"), rapid.IntRange(0, 3).Draw(w.t, "columns")
		w.buf.WriteInt32(2)
		w.buf.WriteInt32(int32(rows))
		w.buf.WriteInt32(int32(columns))
		for i := range rows {
			for j := range columns {
				w.value(f.typ, fmt.Sprintf("%s[%d,%d]", path, i, j))
			}
		}
	}
}

func (w *writer) value(typ *dataType, path string) {
	if typ.structure {
		w.structure(typ, path)
		return
	}
	w.leaves = append(w.leaves, leaf{path: path, want: w.scalar(typ.builtin)})
}

func (w *writer) scalar(id ua.TypeID) raw {
	n, s := rapid.Uint64().Draw(w.t, "number"), rapid.String().Draw(w.t, "text")
	switch id {
	case ua.TypeIDBoolean:
		w.buf.WriteBool(n&1 == 1)
		return raw{form: boolean, bits: n & 1}
	case ua.TypeIDSByte:
		w.buf.WriteInt8(int8(n))
		return raw{form: signed, bits: uint64(int8(n))}
	case ua.TypeIDByte:
		w.buf.WriteUint8(byte(n))
		return raw{form: unsigned, bits: uint64(byte(n))}
	case ua.TypeIDInt16:
		w.buf.WriteInt16(int16(n))
		return raw{form: signed, bits: uint64(int16(n))}
	case ua.TypeIDUint16:
		w.buf.WriteUint16(uint16(n))
		return raw{form: unsigned, bits: uint64(uint16(n))}
	case ua.TypeIDInt32:
		w.buf.WriteInt32(int32(n))
		return raw{form: signed, bits: uint64(int32(n))}
	case ua.TypeIDUint32:
		w.buf.WriteUint32(uint32(n))
		return raw{form: unsigned, bits: uint64(uint32(n))}
	case ua.TypeIDInt64:
		w.buf.WriteInt64(int64(n))
		return raw{form: signed, bits: n}
	case ua.TypeIDUint64:
		w.buf.WriteUint64(n)
		return raw{form: unsigned, bits: n}
	case ua.TypeIDFloat:
		w.buf.WriteFloat32(float32(int32(n)))
		return raw{form: single, bits: uint64(math.Float32bits(float32(int32(n))))}
	case ua.TypeIDDouble:
		w.buf.WriteFloat64(float64(int32(n)))
		return raw{form: double, bits: math.Float64bits(float64(int32(n)))}
	case ua.TypeIDStatusCode:
		w.buf.WriteUint32(uint32(n))
		return raw{form: code, bits: uint64(uint32(n))}
	case ua.TypeIDByteString:
		w.buf.WriteByteString([]byte(s))
	case ua.TypeIDNodeID:
		w.buf.WriteStruct(ua.NewStringNodeID(uint16(n), s))
		return raw{form: words, text: ua.NewStringNodeID(uint16(n), s).String()}
	case ua.TypeIDQualifiedName:
		w.buf.WriteStruct(&ua.QualifiedName{NamespaceIndex: uint16(n), Name: s})
	case ua.TypeIDLocalizedText:
		w.buf.WriteStruct(ua.NewLocalizedTextWithLocale(s, "zh-CN"))
	default:
		w.buf.WriteString(s)
	}
	return raw{form: words, text: s}
}

func noLookup(*ua.NodeID) *dataType { return nil }

// What gopcua's encoder writes, the cursor reads: each scalar by its way, and nothing out of a body that is cut.
func TestStructureRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		typ := genStructure(t, 3)
		w := &writer{t: t, buf: ua.NewBuffer(nil)}
		w.structure(typ, "")
		body := w.buf.Bytes()
		cut := 0
		if len(body) > 0 {
			cut = rapid.IntRange(0, len(body)-1).Draw(t, "cut")
		}
		for _, l := range w.leaves {
			steps, err := opcua.ParseSelect(l.path)
			if err != nil {
				t.Fatal(err)
			}
			got, cause := decodeStructure(typ, body, steps, noLookup)
			switch {
			case l.gone && cause != drivers.CauseNotAvailable:
				t.Fatalf("%s: %v %q, want not_available", l.path, got, cause)
			case !l.gone && (cause != "" || got != l.want):
				t.Fatalf("%s: %v %q, want %v", l.path, got, cause, l.want)
			}
			if cut == len(body) {
				continue
			}
			if got, cause := decodeStructure(typ, body[:cut], slices.Clone(steps), noLookup); cause != drivers.CauseGarbled || got != (raw{}) {
				t.Fatalf("%s of a cut body: %v %q", l.path, got, cause)
			}
			if got, cause := decodeStructure(typ, append(slices.Clone(body), 0), steps, noLookup); cause != drivers.CauseGarbled || got != (raw{}) {
				t.Fatalf("%s of a body that goes on: %v %q", l.path, got, cause)
			}
		}
	})
}

// A field may say its type itself: a Variant, here with a matrix, whose dimensions come last.
func TestVariantField(t *testing.T) {
	typ := &dataType{structure: true, fields: []field{{name: "V", typ: anyValue, rank: -1}, {name: "W", typ: anyValue, rank: -1}}}
	b := ua.NewBuffer(nil)
	b.WriteStruct(ua.MustVariant([][]int32{{1, 2, 3}, {4, 5, 6}}))
	b.WriteStruct(ua.MustVariant("after"))
	for path, want := range map[string]raw{".V[1,0]": {form: signed, bits: 4}, ".V[0][2]": {form: signed, bits: 3}, ".W": {form: words, text: "after"}} {
		steps, err := opcua.ParseSelect(path)
		if err != nil {
			t.Fatal(err)
		}
		if got, cause := decodeStructure(typ, b.Bytes(), steps, noLookup); got != want || cause != "" {
			t.Errorf("%s: %v %q, want %v", path, got, cause, want)
		}
	}
}

// machineSpace has a structure in a structure, an enumeration with a definition, an old one without, and an alias of Double.
func machineSpace() *space {
	s := newSpace()
	s.add("ns=1;i=10", "1:AxisType", ua.NodeClassDataType, "45 i=22").attributes[ua.AttributeIDDataTypeDefinition] = definition(&ua.StructureDefinition{
		DefaultEncodingID: ua.NewNumericNodeID(1, 5010), BaseDataType: ua.NewNumericNodeID(0, 22), Fields: []*ua.StructureField{
			structField("Name", 0, 12, -1), structField("Load", 1, 13, -1), structField("State", 1, 12, -1)}})
	s.add("ns=1;i=11", "1:MachineType", ua.NodeClassDataType, "45 i=22").attributes[ua.AttributeIDDataTypeDefinition] = definition(&ua.StructureDefinition{
		DefaultEncodingID: ua.NewNumericNodeID(0, 0), BaseDataType: ua.NewNumericNodeID(0, 22), Fields: []*ua.StructureField{
			structField("Axis", 1, 10, 1), structField("Old", 1, 14, -1)}})
	s.add("ns=1;i=5011", "0:Default Binary", ua.NodeClassObject, "38 ns=1;i=11")
	s.add("ns=1;i=12", "1:StateEnum", ua.NodeClassDataType, "45 i=29").attributes[ua.AttributeIDDataTypeDefinition] = definition(&ua.EnumDefinition{Fields: []*ua.EnumField{
		{Value: 0, Name: "Idle", DisplayName: ua.NewLocalizedText("x"), Description: ua.NewLocalizedText("")},
		{Value: 3, DisplayName: ua.NewLocalizedText("Running"), Description: ua.NewLocalizedText("")}}})
	s.add("ns=1;i=13", "1:Percent", ua.NodeClassDataType, "45 i=11")
	s.add("ns=1;i=14", "1:OldEnum", ua.NodeClassDataType, "45 i=29")
	s.add("ns=1;i=15", "0:EnumStrings", ua.NodeClassVariable, "46 ns=1;i=14").variable("i=21", []*ua.LocalizedText{ua.NewLocalizedText("off"), ua.NewLocalizedText("on")})
	s.add("ns=1;s=machine", "1:Machine", ua.NodeClassVariable, "47 i=85").variable("ns=1;i=11", nil)
	s.add("ns=1;s=mode", "1:Mode", ua.NodeClassVariable, "47 i=85").variable("ns=1;i=12", int32(3))
	s.add("ns=1;s=lost", "1:Lost", ua.NodeClassVariable, "47 i=85").variable("ns=1;i=99", int32(3))
	return s
}

func structField(name string, ns uint16, typ uint32, rank int32) *ua.StructureField {
	return &ua.StructureField{Name: name, Description: ua.NewLocalizedText(""), DataType: ua.NewNumericNodeID(ns, typ), ValueRank: rank}
}

func definition(d any) any { return ua.NewExtensionObject(d) }

// object is a structure as gopcua gives it, off the wire.
func object(t *testing.T, encoding *ua.NodeID, body []byte) *ua.DataValue {
	t.Helper()
	b := ua.NewBuffer(nil)
	b.WriteByte(1) // a DataValue with a value only
	b.WriteByte(byte(ua.TypeIDExtensionObject))
	b.WriteStruct(encoding)
	b.WriteByte(1)
	b.WriteByteString(body)
	dv := new(ua.DataValue)
	if _, err := dv.Decode(b.Bytes()); err != nil {
		t.Fatal(err)
	}
	return dv
}

func machineBody() []byte {
	b := ua.NewBuffer(nil)
	b.WriteInt32(2)
	for i, name := range []string{"X", "主轴"} {
		b.WriteString(name)
		b.WriteFloat64(float64(i) + 0.5)
		b.WriteInt32(int32(3 * i))
	}
	b.WriteInt32(1)
	return b.Bytes()
}

func TestStructures(t *testing.T) {
	for _, perCall := range []int{0, 1, 2} {
		s := machineSpace()
		s.perCall, s.perNode = perCall, 2
		types := newTypes(s)
		nodes := []*ua.NodeID{ua.MustParseNodeID("ns=1;s=machine"), ua.MustParseNodeID("ns=1;s=mode"), ua.MustParseNodeID("ns=1;s=lost"), ua.MustParseNodeID("ns=1;s=none")}
		if err := types.prepare(context.Background(), nodes); err != nil {
			t.Fatal(err)
		}
		if len(s.points) > 0 || s.most > 8 {
			t.Errorf("%d continuation points are left, %d at once", len(s.points), s.most)
		}
		dv := object(t, ua.NewNumericNodeID(1, 5011), machineBody())
		for _, c := range []struct {
			sel  string
			to   drivers.Type
			want string
		}{
			{".Axis[1].Load", drivers.TypeFloat64, "1.5"},
			{".Axis[1].Name", drivers.TypeText, "主轴"},
			{".Axis[1].State", drivers.TypeText, "Running"},
			{".Axis[0].State", drivers.TypeText, "Idle"},
			{".Axis[1].State", drivers.TypeInt64, "3"},
			{".Old", drivers.TypeText, "on"},
			{".Axis[2].Load", drivers.TypeFloat64, "opcua_bad_index_range_no_data"},
			{".Axis[1]", drivers.TypeFloat64, "type_mismatch"},
			{".Axis[1].Load.More", drivers.TypeFloat64, "type_mismatch"},
			{".Axis", drivers.TypeFloat64, "type_mismatch"},
			{".None", drivers.TypeFloat64, "type_mismatch"},
			{"[0]", drivers.TypeFloat64, "type_mismatch"},
			{"", drivers.TypeFloat64, "type_mismatch"},
		} {
			read := newReader(opcua.Point{Node: "nsu=urn:test:server;s=machine", Select: c.sel, Type: c.to}, types)
			for range 2 { // the second time the type is at hand
				v, q, cause := read(dv)
				got := v.String()
				if q == drivers.Bad {
					got = string(cause)
				}
				if got != c.want {
					t.Errorf("%s: got %s, want %s", c.sel, got, c.want)
				}
			}
		}
		if v, _, cause := newReader(opcua.Point{Node: "nsu=urn:test:server;s=mode", Type: drivers.TypeText}, types)(dataValue(int32(3))); v.Text() != "Running" {
			t.Errorf("an enumeration as text: %v %q", v, cause)
		}
	}
}

// A structure that no node's data type announced is bad first, and known after one more prepare.
func TestStructureThatIsMet(t *testing.T) {
	s := machineSpace()
	types := newTypes(s)
	if err := types.prepare(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	read := newReader(opcua.Point{Node: "ns=1;s=any", Select: ".Axis[0].Load", Type: drivers.TypeFloat64}, types)
	if _, _, cause := read(object(t, ua.NewNumericNodeID(1, 5011), machineBody())); cause != causeUnknownStruct {
		t.Errorf("before: %q", cause)
	}
	if err := types.prepare(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	if v, _, cause := read(object(t, ua.NewNumericNodeID(1, 5011), machineBody())); v != drivers.Float64Value(0.5) {
		t.Errorf("after: %v %q", v, cause)
	}
	if _, _, cause := read(object(t, ua.NewNumericNodeID(1, 5999), []byte{1})); cause != causeUnknownStruct {
		t.Errorf("one that the server does not describe: %q", cause)
	}
}

// A structure of the standard, which gopcua has decoded by itself, has fields all the same.
func TestStandardStructure(t *testing.T) {
	s := newSpace()
	s.nodes["i=884"].attributes[ua.AttributeIDDataTypeDefinition] = definition(&ua.StructureDefinition{DefaultEncodingID: ua.NewNumericNodeID(0, 886),
		Fields: []*ua.StructureField{structField("Low", 0, 11, -1), structField("High", 0, 11, -1)}})
	s.add("ns=1;s=range", "1:Range", ua.NodeClassVariable, "47 i=85").variable("i=884", nil)
	types := newTypes(s)
	if err := types.prepare(context.Background(), []*ua.NodeID{ua.MustParseNodeID("ns=1;s=range")}); err != nil {
		t.Fatal(err)
	}
	dv := roundTrip(t, ua.NewExtensionObject(&ua.Range{Low: 1, High: 2.5}))
	if v, _, cause := newReader(opcua.Point{Node: "ns=1;s=range", Select: ".High", Type: drivers.TypeFloat64}, types)(dv); v != drivers.Float64Value(2.5) {
		t.Errorf("got %v %q", v, cause)
	}
}
