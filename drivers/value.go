package drivers

import (
	"encoding/json"
	"math"
	"strconv"
	"unicode/utf8"
)

// Type is the member of the closed union that a Value holds.
type Type uint8

// The types. Their numbers are written to disk: never renumber, only append.
const (
	TypeNone Type = iota
	TypeBool
	TypeInt64
	TypeUint64
	TypeFloat32
	TypeFloat64
	TypeText
)

var typeNames = [...]string{"none", "bool", "int64", "uint64", "float32", "float64", "text"}

func (t Type) String() string { return nameOf(typeNames[:], int(t)) }

// ParseType is the inverse of Type.String; ok is false for any other word.
func ParseType(s string) (t Type, ok bool) {
	for i, n := range typeNames {
		if n == s {
			return Type(i), true
		}
	}
	return TypeNone, false
}

// Value is one of bool, int64, uint64, float32, float64 or text. The zero Value holds nothing. Values are compared with ==, which
// for floats compares bits: +0 and -0 differ. There is no NaN and no infinity.
type Value struct {
	typ  Type
	bits uint64 // the number's bits; a bool as 0 or 1
	text string
}

// BoolValue holds b.
func BoolValue(b bool) Value {
	if b {
		return Value{typ: TypeBool, bits: 1}
	}
	return Value{typ: TypeBool}
}

// IntValue holds i.
func IntValue(i int64) Value { return Value{typ: TypeInt64, bits: uint64(i)} }

// UintValue holds u.
func UintValue(u uint64) Value { return Value{typ: TypeUint64, bits: u} }

// Float32Value holds f, and nothing if f is NaN or infinite.
func Float32Value(f float32) Value {
	if f64 := float64(f); math.IsNaN(f64) || math.IsInf(f64, 0) {
		return Value{}
	}
	return Value{typ: TypeFloat32, bits: uint64(math.Float32bits(f))}
}

// Float64Value holds f, and nothing if f is NaN or infinite.
func Float64Value(f float64) Value {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return Value{}
	}
	return Value{typ: TypeFloat64, bits: math.Float64bits(f)}
}

// TextValue holds s, and nothing if s is not valid UTF-8.
func TextValue(s string) Value {
	if !utf8.ValidString(s) {
		return Value{}
	}
	return Value{typ: TypeText, text: s}
}

// ValueFromBits is the inverse of Bits for every type but text. It holds nothing if the bits are not a value of that type, so that
// it may be fed from outside.
func ValueFromBits(t Type, bits uint64) Value {
	switch t {
	case TypeBool:
		if bits > 1 {
			return Value{}
		}
		return BoolValue(bits == 1)
	case TypeInt64, TypeUint64:
		return Value{typ: t, bits: bits}
	case TypeFloat32:
		if bits > math.MaxUint32 {
			return Value{}
		}
		return Float32Value(math.Float32frombits(uint32(bits)))
	case TypeFloat64:
		return Float64Value(math.Float64frombits(bits))
	case TypeNone, TypeText:
	}
	return Value{}
}

// Type is the type that v holds; TypeNone for the zero Value.
func (v Value) Type() Type { return v.typ }

// IsZero says that v holds nothing.
func (v Value) IsZero() bool { return v.typ == TypeNone }

// Bits is the number's bit pattern as it is stored (a float32's in the low half); 0 for text.
func (v Value) Bits() uint64 { return v.bits }

// Text is the text of a text value, else empty.
func (v Value) Text() string { return v.text }

// Float is the number as a float64, rounded where it must be; a bool is 0 or 1; ok is false for text and nothing.
func (v Value) Float() (f float64, ok bool) {
	switch v.typ {
	case TypeBool, TypeUint64:
		return float64(v.bits), true
	case TypeInt64:
		return float64(int64(v.bits)), true
	case TypeFloat32:
		return float64(math.Float32frombits(uint32(v.bits))), true
	case TypeFloat64:
		return math.Float64frombits(v.bits), true
	case TypeNone, TypeText:
	}
	return 0, false
}

// AppendJSON appends v as JSON: the shortest text that reads back to the same value of its own type, integers exact, and null for
// nothing.
func (v Value) AppendJSON(dst []byte) []byte {
	switch v.typ {
	case TypeBool:
		return strconv.AppendBool(dst, v.bits == 1)
	case TypeInt64:
		return strconv.AppendInt(dst, int64(v.bits), 10)
	case TypeUint64:
		return strconv.AppendUint(dst, v.bits, 10)
	case TypeFloat32:
		return appendFloat(dst, float64(math.Float32frombits(uint32(v.bits))), 32)
	case TypeFloat64:
		return appendFloat(dst, math.Float64frombits(v.bits), 64)
	case TypeText:
		return appendText(dst, v.text)
	case TypeNone:
	}
	return append(dst, "null"...)
}

// String is v as a person reads it: the JSON form without the quotes of text, and "-" for nothing.
func (v Value) String() string {
	switch v.typ {
	case TypeText:
		return v.text
	case TypeNone:
		return "-"
	case TypeBool, TypeInt64, TypeUint64, TypeFloat32, TypeFloat64:
	}
	return string(v.AppendJSON(nil))
}

// appendFloat prints plain decimals between 1e-6 and 1e21, as JSON printers commonly do, and exponents beyond.
func appendFloat(dst []byte, f float64, bits int) []byte {
	format := byte('f')
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(dst, f, format, -1, bits)
}

func appendText(dst []byte, s string) []byte {
	quoted, err := json.Marshal(s)
	if err != nil { // json.Marshal of a string can not fail
		panic(err)
	}
	return append(dst, quoted...)
}
