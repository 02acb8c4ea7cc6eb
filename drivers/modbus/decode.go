package modbus

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/millgate/millgate/drivers"
)

// codec is how one point is read, made once so that a Read only computes.
type codec struct {
	point  *Point
	width  int // addresses that it takes
	make   func(c *codec, b []byte) (drivers.Value, drivers.Cause)
	mask   uint64 // the point's bits, of a bool or of a part of an integer
	linear drivers.Linear
}

func newCodec(p *Point) codec {
	c := codec{point: p, width: p.width(), make: makers[p.Type.Name], mask: p.Bits.mask(), linear: drivers.NewLinear(p.Scale, p.Offset)}
	if p.Bits.Count > 0 && p.Type.Name != "bool" {
		c.make = (*codec).decodePart
	}
	return c
}

// mask has the bits of r set where they stand.
func (r BitRange) mask() uint64 {
	if r.Count == 0 {
		return math.MaxUint64
	}
	return (uint64(1)<<r.Count - 1) << r.Low
}

// checkValue says what can not be about the bits and the invalid values of a point of a known type.
func (p *Point) checkValue() error {
	width := 16 * p.Type.Registers()
	switch r := p.Bits; {
	case r == BitRange{}:
	case p.Table.Bits():
		return fmt.Errorf("the table %s holds single bits: leave the bit range out, or use a table of registers", p.Table)
	case !p.wholeBits():
		return fmt.Errorf("%s has no bits to choose from: use int16 to uint64, or bool on one register", p.Type)
	case r.Count == 0 || int(r.Low)+int(r.Count) > width:
		return fmt.Errorf("%d bits from bit %d: %s has the bits 0 to %d", r.Count, r.Low, p.Type, width-1)
	}
	if len(p.Invalid) > 0 && (p.Table.Bits() || p.Type.Name == "string") {
		return fmt.Errorf("invalid: %s of the table %s has no number that could mean that there is no value", p.Type, p.Table)
	}
	for _, raw := range p.Invalid {
		if width < 64 && raw>>width != 0 {
			return fmt.Errorf("invalid: %#x is wider than the %d bits of %s", raw, width, p.Type)
		}
	}
	return nil
}

// decode makes the value of registers as they came, two bytes each; b holds as many as the point takes. A value that can not be is
// its cause instead.
func (c *codec) decode(b []byte) (drivers.Value, drivers.Cause) {
	if len(c.point.Invalid) > 0 && slices.Contains(c.point.Invalid, c.raw(b)) {
		return drivers.Value{}, drivers.CauseNotAvailable
	}
	return c.make(c, b)
}

// makers decode each data type.
var makers = map[string]func(c *codec, b []byte) (drivers.Value, drivers.Cause){
	"bool": func(c *codec, b []byte) (drivers.Value, drivers.Cause) {
		return drivers.BoolValue(c.raw(b)&c.mask != 0), ""
	},
	"int16": func(c *codec, b []byte) (drivers.Value, drivers.Cause) {
		return number(c.signed(int64(int16(c.raw(b)))))
	},
	"int32": func(c *codec, b []byte) (drivers.Value, drivers.Cause) {
		return number(c.signed(int64(int32(c.raw(b)))))
	},
	"int64":  func(c *codec, b []byte) (drivers.Value, drivers.Cause) { return number(c.signed(int64(c.raw(b)))) },
	"uint16": func(c *codec, b []byte) (drivers.Value, drivers.Cause) { return number(c.unsigned(c.raw(b))) },
	"uint32": func(c *codec, b []byte) (drivers.Value, drivers.Cause) { return number(c.unsigned(c.raw(b))) },
	"uint64": func(c *codec, b []byte) (drivers.Value, drivers.Cause) { return number(c.unsigned(c.raw(b))) },
	"bcd16":  (*codec).decodeBCD,
	"bcd32":  (*codec).decodeBCD,
	"float32": func(c *codec, b []byte) (drivers.Value, drivers.Cause) {
		return number(c.single(math.Float32frombits(uint32(c.raw(b)))))
	},
	"float64": func(c *codec, b []byte) (drivers.Value, drivers.Cause) {
		return number(c.double(math.Float64frombits(c.raw(b))))
	},
	"string": (*codec).decodeText,
}

func (c *codec) raw(b []byte) uint64 { return c.point.WordOrder.assemble(b) }

// number is v, unless it is none: NaN or infinite, before or after scaling.
func number(v drivers.Value) (drivers.Value, drivers.Cause) {
	if v.IsZero() {
		return v, drivers.CauseNotANumber
	}
	return v, ""
}

func (c *codec) decodePart(b []byte) (drivers.Value, drivers.Cause) {
	return number(c.unsigned((c.raw(b) & c.mask) >> c.point.Bits.Low))
}

func (c *codec) decodeBCD(b []byte) (drivers.Value, drivers.Cause) {
	n, ok := fromBCD(c.raw(b), len(b)*2)
	if !ok {
		return drivers.Value{}, drivers.CauseInvalidBCD
	}
	return number(c.unsigned(n))
}

func (c *codec) signed(raw int64) drivers.Value {
	if c.linear.On() {
		return drivers.Float64Value(c.linear.OfInt(raw))
	}
	return drivers.IntValue(raw)
}

func (c *codec) unsigned(raw uint64) drivers.Value {
	if c.linear.On() {
		return drivers.Float64Value(c.linear.OfUint(raw))
	}
	return drivers.UintValue(raw)
}

func (c *codec) single(raw float32) drivers.Value {
	if c.linear.On() {
		return drivers.Float32Value(float32(c.linear.OfFloat(float64(raw))))
	}
	return drivers.Float32Value(raw)
}

func (c *codec) double(raw float64) drivers.Value {
	if c.linear.On() {
		return drivers.Float64Value(c.linear.OfFloat(raw))
	}
	return drivers.Float64Value(raw)
}

// assemble puts one, two or four registers together, the most significant bit first.
func (o WordOrder) assemble(b []byte) uint64 {
	var raw uint64
	for i := 0; i < len(b); i += 2 {
		at := i
		if o.swapsWords() {
			at = len(b) - 2 - i
		}
		raw = raw<<16 | uint64(b[at])<<8 | uint64(b[at+1])
	}
	if o.swapsBytes() {
		const low = 0x00ff00ff00ff00ff
		raw = raw&low<<8 | raw>>8&low
	}
	return raw
}

// scatter is the inverse of assemble for n registers.
func (o WordOrder) scatter(raw uint64, n int) []uint16 {
	words := make([]uint16, n)
	for i := range n {
		word := uint16(raw >> (16 * (n - 1 - i)))
		if o.swapsBytes() {
			word = word<<8 | word>>8
		}
		at := i
		if o.swapsWords() {
			at = n - 1 - i
		}
		words[at] = word
	}
	return words
}

// decodeText cuts the padding, NUL or spaces, off the end.
func (c *codec) decodeText(b []byte) (drivers.Value, drivers.Cause) {
	text := make([]byte, len(b))
	copy(text, b)
	if c.point.WordOrder.swapsBytes() {
		for i := 0; i+1 < len(text); i += 2 {
			text[i], text[i+1] = text[i+1], text[i]
		}
	}
	s := string(text[:c.point.Type.Chars])
	if i := strings.IndexByte(s, 0); i >= 0 {
		s = s[:i]
	}
	if !utf8.ValidString(s) {
		return drivers.Value{}, drivers.CauseInvalidText
	}
	return drivers.TextValue(strings.TrimRight(s, " ")), ""
}

// fromBCD reads so many digits of four bits each.
func fromBCD(raw uint64, digits int) (n uint64, ok bool) {
	for i := digits - 1; i >= 0; i-- {
		d := raw >> (4 * i) & 0xf
		if d > 9 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}
