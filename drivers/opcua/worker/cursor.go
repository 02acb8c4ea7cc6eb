package worker

import (
	"encoding/binary"
	"slices"

	"github.com/gopcua/opcua/ua"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/opcua"
)

// A cursor goes once through the body of a structure (Part 6, 5.2) by its DataTypeDefinition, and picks one scalar on its way. It
// always goes to the end: a body that is longer or shorter than its definition is not of this type, and what was picked is not true.
type cursor struct {
	b       []byte
	bad     bool
	strange bool // there was a structure that nobody knows
	left    int  // values that may still come, so that no definition keeps it busy
	depth   int
	lookup  func(encoding *ua.NodeID) *dataType
}

// picked is what is looked for. A nil picked means that the value is passed over.
type picked struct {
	steps []opcua.Step // from here on
	got   raw
	cause drivers.Cause // why there is none
}

func (p *picked) set(got raw) {
	if p == nil {
		return
	}
	if len(p.steps) > 0 {
		p.cause = drivers.CauseTypeMismatch
		return
	}
	p.got = got
}

func (p *picked) refuse(cause drivers.Cause) {
	if p != nil {
		p.cause = cause
	}
}

// field is p, a step further, if the step leads to this field.
func (p *picked) field(name string) *picked {
	if p == nil || len(p.steps) == 0 || p.steps[0].Field != name {
		return nil
	}
	p.steps = p.steps[1:]
	return p
}

// index is the place in an array of these dimensions to which the next steps lead, or -1, and then p has its cause.
func (p *picked) index(dimensions []int32) int {
	if p == nil {
		return -1
	}
	at := 0
	for _, n := range dimensions {
		switch {
		case len(p.steps) == 0 || p.steps[0].Field != "":
			p.cause = drivers.CauseTypeMismatch
			return -1
		case p.steps[0].Index >= int(n):
			p.cause = causeNoElement
			return -1
		}
		at = at*int(n) + p.steps[0].Index
		p.steps = p.steps[1:]
	}
	return at
}

// decodeStructure picks what the steps lead to out of the body of a structure of type t.
func decodeStructure(t *dataType, body []byte, steps []opcua.Step, lookup func(*ua.NodeID) *dataType) (raw, drivers.Cause) {
	c := &cursor{b: body, left: 2*len(body) + 1024, lookup: lookup}
	p := &picked{steps: steps}
	c.structure(t, p)
	switch {
	case c.strange:
		return raw{}, causeUnknownStruct
	case c.bad || len(c.b) > 0:
		return raw{}, drivers.CauseGarbled
	}
	return p.got, p.cause
}

// fail ends it.
func (c *cursor) fail() { c.bad, c.b = true, nil }

func (c *cursor) take(n int) []byte {
	if n < 0 || n > len(c.b) {
		c.fail()
		return nil
	}
	b := c.b[:n]
	c.b = c.b[n:]
	return b
}

func (c *cursor) uint(size int) uint64 {
	b := c.take(size)
	if b == nil {
		return 0
	}
	var wide [8]byte
	copy(wide[:], b)
	return binary.LittleEndian.Uint64(wide[:])
}

func (c *cursor) int32() int32 { return int32(c.uint(4)) }

// bytes is what has its length before it; a null is empty.
func (c *cursor) bytes() []byte {
	n := c.int32()
	if n == -1 || c.bad {
		return nil
	}
	return c.take(int(n))
}

// enter counts one value, and one level more until leave.
func (c *cursor) enter() bool {
	c.left--
	c.depth++
	if c.left < 0 || c.depth > maxNesting {
		c.fail()
	}
	return !c.bad
}

func (c *cursor) leave() { c.depth-- }

func (c *cursor) structure(t *dataType, p *picked) {
	defer c.leave()
	if !c.enter() {
		return
	}
	if p != nil && (len(p.steps) == 0 || !t.has(p.steps[0].Field)) {
		p.cause = drivers.CauseTypeMismatch // and nothing is picked
		p = nil
	}
	switch t.shape {
	case shapeUnion:
		c.union(t, p)
		return
	case shapeOptional:
		c.optional(t, p)
		return
	case shapePlain:
	}
	for i := range t.fields {
		f := &t.fields[i]
		wanted := p.field(f.name)
		if wanted != nil {
			p = nil // it is further in now
		}
		c.field(f, wanted)
	}
}

// has says whether a field of this name exists.
func (t *dataType) has(name string) bool {
	for i := range t.fields {
		if t.fields[i].name == name && name != "" {
			return true
		}
	}
	return false
}

func (c *cursor) union(t *dataType, p *picked) {
	choice := c.uint(4)
	if choice > uint64(len(t.fields)) {
		c.fail()
		return
	}
	if p != nil && (choice == 0 || t.fields[choice-1].name != p.steps[0].Field) {
		p.cause = drivers.CauseNotAvailable
		p = nil
	}
	if choice > 0 {
		f := &t.fields[choice-1]
		c.field(f, p.field(f.name))
	}
}

func (c *cursor) optional(t *dataType, p *picked) {
	present, bit := c.uint(4), 0
	for i := range t.fields {
		f := &t.fields[i]
		wanted := p.field(f.name)
		if wanted != nil {
			p = nil
		}
		if f.optional {
			bit++
			if present>>(bit-1)&1 == 0 {
				wanted.refuse(drivers.CauseNotAvailable)
				continue
			}
		}
		c.field(f, wanted)
	}
}

// field reads a field: a value, or an array of them (Part 6, 5.2.5 and 5.2.2.16).
func (c *cursor) field(f *field, p *picked) {
	typ := f.typ
	if f.subtyped {
		typ = typ.wrapped()
	}
	switch {
	case f.rank < 0:
		c.value(typ, p)
		return
	case f.rank <= 1:
		c.list(typ, p)
		return
	}
	n := c.int32()
	if n < 0 || int(n) > len(c.b)/4 || n > maxNesting {
		c.fail()
		return
	}
	dimensions := make([]int32, n)
	for i := range dimensions {
		dimensions[i] = c.int32()
	}
	c.array(typ, dimensions, p)
}

var anyStructure, anyValue = &dataType{builtin: ua.TypeIDExtensionObject}, &dataType{builtin: ua.TypeIDVariant}

// wrapped is how a value of t or of one of its subtypes stands on the wire.
func (t *dataType) wrapped() *dataType {
	if t.structure || t.unknown || t.builtin == ua.TypeIDExtensionObject {
		return anyStructure
	}
	return anyValue
}

// list reads an array with its length before it; -1 is null.
func (c *cursor) list(t *dataType, p *picked) {
	n := c.int32()
	if n < -1 {
		c.fail()
	}
	c.array(t, []int32{n}, p)
}

// array reads as many values as the dimensions say. No value takes no bytes: so there are no more of them than bytes.
func (c *cursor) array(t *dataType, dimensions []int32, p *picked) {
	at, total := p.index(dimensions), 1
	if slices.ContainsFunc(dimensions, func(n int32) bool { return n <= 0 }) {
		return // empty, or null
	}
	for _, n := range dimensions {
		if int(n) > len(c.b)/total {
			c.fail()
			return
		}
		total *= int(n)
	}
	for i := 0; i < total && !c.bad; i++ {
		if i == at {
			c.value(t, p)
		} else {
			c.value(t, nil)
		}
	}
}

func (c *cursor) value(t *dataType, p *picked) {
	switch {
	case t.unknown:
		c.strange = true // nobody knows where the body goes on
		c.fail()
	case t.structure:
		c.structure(t, p)
	default:
		defer c.leave()
		if c.enter() {
			c.builtin(t.builtin, t.names, p)
		}
	}
}

// builtin reads a value of a built-in type (Part 6, 5.1.2).
func (c *cursor) builtin(id ua.TypeID, names *enumeration, p *picked) {
	switch id {
	case ua.TypeIDBoolean:
		p.set(ofBool(c.uint(1) != 0))
	case ua.TypeIDSByte:
		p.set(raw{form: signed, bits: uint64(int64(int8(c.uint(1)))), names: names})
	case ua.TypeIDInt16:
		p.set(raw{form: signed, bits: uint64(int64(int16(c.uint(2)))), names: names})
	case ua.TypeIDInt32:
		p.set(raw{form: signed, bits: uint64(int64(int32(c.uint(4)))), names: names})
	case ua.TypeIDInt64:
		p.set(raw{form: signed, bits: c.uint(8), names: names})
	case ua.TypeIDByte:
		p.set(raw{form: unsigned, bits: c.uint(1), names: names})
	case ua.TypeIDUint16:
		p.set(raw{form: unsigned, bits: c.uint(2), names: names})
	case ua.TypeIDUint32:
		p.set(raw{form: unsigned, bits: c.uint(4), names: names})
	case ua.TypeIDUint64:
		p.set(raw{form: unsigned, bits: c.uint(8), names: names})
	case ua.TypeIDFloat:
		p.set(raw{form: single, bits: c.uint(4)})
	case ua.TypeIDDouble:
		p.set(raw{form: double, bits: c.uint(8)})
	case ua.TypeIDStatusCode:
		p.set(raw{form: code, bits: c.uint(4)})
	case ua.TypeIDDateTime:
		p.set(ofTicks(c.uint(8)))
	case ua.TypeIDString, ua.TypeIDXMLElement:
		c.words(p)
	case ua.TypeIDByteString:
		c.byteString(p)
	case ua.TypeIDQualifiedName:
		c.take(2)
		c.words(p)
	case ua.TypeIDLocalizedText:
		c.localizedText(p)
	case ua.TypeIDGUID:
		g := new(ua.GUID)
		if b := c.take(16); b != nil {
			_, _ = g.Decode(b) // 16 bytes are a Guid
			p.set(raw{form: words, text: g.String()})
		}
	default:
		c.compound(id, p)
	}
}

func (c *cursor) words(p *picked) {
	if b := c.bytes(); p != nil {
		p.set(raw{form: words, text: string(b)})
	}
}

func (c *cursor) byteString(p *picked) {
	b := c.bytes()
	if p != nil && len(p.steps) == 1 && p.steps[0].Field == "" {
		if at := p.index([]int32{int32(len(b))}); at >= 0 {
			p.set(raw{form: unsigned, bits: uint64(b[at])})
		}
		return
	}
	if p != nil {
		p.set(raw{form: words, text: string(b)})
	}
}

func (c *cursor) localizedText(p *picked) {
	mask := c.uint(1)
	if mask&ua.LocalizedTextLocale != 0 {
		c.bytes()
	}
	if mask&ua.LocalizedTextText != 0 {
		c.words(p)
	} else {
		p.set(raw{form: words})
	}
}
