package modbus

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/millgate/millgate/drivers"
)

// Table is one of the four Modbus tables.
type Table uint8

// The tables (MODBUS Application Protocol Specification V1.1b3, 4.3).
const (
	Coil Table = iota
	DiscreteInput
	InputRegister
	HoldingRegister
)

var tables = [...]struct {
	name     string
	function byte
}{
	Coil:            {"coil", 1},
	DiscreteInput:   {"discrete_input", 2},
	InputRegister:   {"input_register", 4},
	HoldingRegister: {"holding_register", 3},
}

// ParseTable knows "coil", "discrete_input", "input_register", "holding_register".
func ParseTable(s string) (t Table, ok bool) {
	for i := range tables {
		if tables[i].name == s {
			return Table(i), true
		}
	}
	return 0, false
}

func (t Table) String() string {
	if int(t) < len(tables) {
		return tables[t].name
	}
	return "invalid"
}

// Bits says that the table holds single bits and not registers.
func (t Table) Bits() bool { return t == Coil || t == DiscreteInput }

// DataType is how registers become a value.
type DataType struct {
	Name  string // bool, int16, uint16, int32, uint32, int64, uint64, float32, float64, bcd16, bcd32 or string
	Chars int    // of a string: 1 to 250
}

const maxChars = 250 // 125 registers

// dataTypes is what each type takes and gives.
var dataTypes = map[string]struct {
	registers int
	value     drivers.Type
}{
	"bool":    {1, drivers.TypeBool},
	"int16":   {1, drivers.TypeInt64},
	"uint16":  {1, drivers.TypeUint64},
	"int32":   {2, drivers.TypeInt64},
	"uint32":  {2, drivers.TypeUint64},
	"int64":   {4, drivers.TypeInt64},
	"uint64":  {4, drivers.TypeUint64},
	"float32": {2, drivers.TypeFloat32},
	"float64": {4, drivers.TypeFloat64},
	"bcd16":   {1, drivers.TypeUint64},
	"bcd32":   {2, drivers.TypeUint64},
}

// ParseDataType is the inverse of DataType.String.
func ParseDataType(s string) (DataType, error) {
	if _, ok := dataTypes[s]; ok {
		return DataType{Name: strings.Clone(s)}, nil // s may be a part of a whole file
	}
	if inner, ok := strings.CutPrefix(s, "string("); ok {
		n, err := strconv.Atoi(strings.TrimSuffix(inner, ")"))
		if err != nil || n < 1 || n > maxChars || strconv.Itoa(n)+")" != inner {
			return DataType{}, fmt.Errorf("%q: a string has 1 to %d characters, as in string(16)", s, maxChars)
		}
		return DataType{Name: "string", Chars: n}, nil
	}
	return DataType{}, fmt.Errorf("unknown type %q: use bool, int16, uint16, int32, uint32, int64, uint64, float32, float64, bcd16, bcd32 or string(n)", s)
}

func (d DataType) String() string {
	if d.Name == "string" {
		return fmt.Sprintf("string(%d)", d.Chars)
	}
	return d.Name
}

// Registers is the number of registers (for bit tables: bits) that a value takes.
func (d DataType) Registers() int {
	if d.Name == "string" {
		return (d.Chars + 1) / 2
	}
	return dataTypes[d.Name].registers
}

// WordOrder is the order of bytes on the wire, A the most significant: ABCD, CDAB, BADC, DCBA. 64-bit types extend the pattern
// (ABCDEFGH, GHEFCDAB, BADCFEHG, HGFEDCBA); 16-bit types and the characters of strings swap their bytes for BADC and DCBA.
type WordOrder uint8

// The word orders.
const (
	ABCD WordOrder = iota
	CDAB
	BADC
	DCBA
)

var wordOrders = map[string]WordOrder{
	"ABCD": ABCD, "CDAB": CDAB, "BADC": BADC, "DCBA": DCBA,
	"ABCDEFGH": ABCD, "GHEFCDAB": CDAB, "BADCFEHG": BADC, "HGFEDCBA": DCBA,
}

// ParseWordOrder knows the four names and their 64-bit forms.
func ParseWordOrder(s string) (WordOrder, bool) {
	o, ok := wordOrders[s]
	return o, ok
}

func (o WordOrder) String() string {
	return [...]string{"ABCD", "CDAB", "BADC", "DCBA"}[o&3]
}

func (o WordOrder) swapsBytes() bool { return o == BADC || o == DCBA }
func (o WordOrder) swapsWords() bool { return o == CDAB || o == DCBA }

// Point is where a tag lives in a device and how it is read.
type Point struct {
	Tag       *drivers.Tag
	Table     Table
	Address   uint16 // 0-based, on the wire
	Type      DataType
	WordOrder WordOrder
	Scale     drivers.Decimal // the zero Decimal means 1
	Offset    drivers.Decimal // added after the scale
	Bits      BitRange
	Invalid   []uint64 // raw values, put together in the word order, with which the device says that it has none
}

// BitRange is a part of the bits of an integer, or of a bool's register, once its registers are put together in the word order; the
// lowest bit is 0. The zero BitRange means all of them. A part of an integer is a number of its own, without a sign; a bool is true if
// any of its bits is set.
type BitRange struct{ Low, Count uint8 }

// ValueType is the type of the tag that the point fills: a part of an integer's bits is a uint64, a scaled integer is a float64, a
// scaled float32 stays a float32.
func (p Point) ValueType() drivers.Type {
	if p.Type.Name == "string" {
		return drivers.TypeText
	}
	t := dataTypes[p.Type.Name].value
	if p.Bits.Count > 0 && t == drivers.TypeInt64 {
		t = drivers.TypeUint64
	}
	if p.scaled() && (t == drivers.TypeInt64 || t == drivers.TypeUint64) {
		return drivers.TypeFloat64
	}
	return t
}

func (p Point) scaled() bool {
	return drivers.Scaled(p.Scale, p.Offset)
}

// wholeBits says that each bit of the point's type has a meaning of its own.
func (p Point) wholeBits() bool {
	switch p.Type.Name {
	case "bool", "int16", "uint16", "int32", "uint32", "int64", "uint64":
		return true
	}
	return false
}
