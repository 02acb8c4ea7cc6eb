package modbus

import (
	"context"
	"time"

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

// ParseTable knows "coil", "discrete_input", "input_register", "holding_register".
func ParseTable(s string) (t Table, ok bool) { panic("stub") }

func (t Table) String() string { panic("stub") }

// DataType is how registers become a value: bool, int16, uint16, int32, uint32, int64, uint64, float32, float64, bcd16, bcd32, string(n).
type DataType struct {
	Name  string // without the length
	Chars int    // of string(n): n characters, 1 to 250
}

// ParseDataType is the inverse of DataType.String.
func ParseDataType(s string) (DataType, error) { panic("stub") }

// Registers is the number of registers (for bit tables: bits) that a value takes.
func (d DataType) Registers() int { panic("stub") }

// WordOrder is the order of bytes on the wire, A the most significant: ABCD, CDAB, BADC, DCBA. 64-bit types extend the pattern
// (ABCDEFGH, GHEFCDAB, BADCFEHG, HGFEDCBA); 16-bit types swap their bytes for BADC and DCBA.
type WordOrder uint8

// The word orders.
const (
	ABCD WordOrder = iota
	CDAB
	BADC
	DCBA
)

// ParseWordOrder knows the four names and their 64-bit forms.
func ParseWordOrder(s string) (WordOrder, bool) { panic("stub") }

// Decimal is an exact decimal number: Mantissa * 10^Exponent. Scales are decimals, so that 2301 * 0.1 is 230.1 and nothing else.
type Decimal struct {
	Mantissa int64
	Exponent int
}

// ParseDecimal reads "0.1", "-40", "1e-3".
func ParseDecimal(s string) (Decimal, error) { panic("stub") }

// Mul is the exact product; ok is false if it does not fit.
func (d Decimal) Mul(e Decimal) (p Decimal, ok bool) { panic("stub") }

// Point is where a tag lives in a device and how it is read.
type Point struct {
	Tag       *drivers.Tag
	Table     Table
	Address   uint16 // 0-based, on the wire
	Type      DataType
	WordOrder WordOrder
	Scale     Decimal // the zero Decimal means 1
	Offset    Decimal // added after the scale
}

// ValueType is the type of the tag that the point fills: a scaled integer is a float64, a scaled float32 stays a float32.
func (p Point) ValueType() drivers.Type { panic("stub") }

// Config is one poll group of one device.
type Config struct {
	Device       string
	Endpoint     string        // tcp://host:port
	Unit         uint8         // 0 to 247
	Timeout      time.Duration // of one request and of connecting
	MaxRegisters int           // largest quantity of registers in one request, 1 to 125; 0 means 125
	MaxGap       int           // registers nobody asked for that may be read to save a request; -1 none, 0 means the default
	Points       []Point
}

// Request is one planned read.
type Request struct {
	Table    Table
	Address  uint16
	Quantity uint16
}

// Plan merges points into as few requests as the limits allow.
func Plan(points []Point, maxRegisters, maxGap int) []Request { panic("stub") }

// Links holds the physical connections, one per endpoint, shared by all drivers that name it.
type Links struct{}

// NewLinks makes an empty set; it opens nothing.
func NewLinks() *Links { panic("stub") }

// Driver makes the driver of one poll group; it connects at the first Read.
func (l *Links) Driver(cfg Config) (*Driver, error) { panic("stub") }

// Close closes every connection and waits for its reader.
func (l *Links) Close() error { panic("stub") }

// Driver reads one poll group. It implements drivers.Driver.
type Driver struct{}

func (d *Driver) Read(ctx context.Context, dst []drivers.Reading) ([]drivers.Reading, error) {
	panic("stub")
}

// Probe is Read with what was on the wire: the registers of each point, for people.
func (d *Driver) Probe(ctx context.Context) ([]Probed, error) { panic("stub") }

// Probed is one point read by Probe.
type Probed struct {
	Point   Point
	Reading drivers.Reading
	Raw     []uint16      // the point's registers as they came; for bit tables one 0 or 1; nil if not read
	Took    time.Duration // of the request that brought it
}

// Close gives up the driver's share of its link.
func (d *Driver) Close() error { panic("stub") }

// Encode is the inverse of reading p: the registers (for bit tables one 0 or 1) that would be read as v, rounded to what p can hold.
func Encode(p Point, v drivers.Value) ([]uint16, error) { panic("stub") }
