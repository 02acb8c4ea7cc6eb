package modbus

import (
	"fmt"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/millgate/millgate/drivers"
)

// Encode is the inverse of reading p: the registers (for bit tables one 0 or 1) that would be read as v, rounded to what p can hold.
// Bits that p leaves out are 0. A number out of p's range is an error, and so is one that p takes for no value.
func Encode(p Point, v drivers.Value) ([]uint16, error) {
	if p.Type.Name == "string" {
		return encodeText(p, v.Text()), nil
	}
	f, ok := v.Float()
	if !ok {
		return nil, fmt.Errorf("%s can not hold %q", p.Type, v)
	}
	raw, ok := encodeNumber(p, v, f)
	if !ok {
		return nil, fmt.Errorf("%s can not hold %v", p.Type, v)
	}
	if slices.Contains(p.Invalid, raw) {
		return nil, fmt.Errorf("%v would be %#x, with which the device says that it has no value", v, raw)
	}
	if p.Table.Bits() {
		return []uint16{uint16(raw)}, nil
	}
	return p.WordOrder.scatter(raw, p.Type.Registers()), nil
}

// encodeNumber is the raw value of v, which is f.
func encodeNumber(p Point, v drivers.Value, f float64) (raw uint64, ok bool) {
	if p.Type.Name == "bool" {
		if f != 0 {
			raw = 1 << p.Bits.Low
		}
		return raw, true
	}
	if p.scaled() {
		scale := p.Scale
		if scale == (drivers.Decimal{}) {
			scale = drivers.Decimal{Mantissa: 1}
		}
		f = (f - p.Offset.Float()) / scale.Float()
	}
	switch p.Type.Name {
	case "float32":
		return uint64(math.Float32bits(float32(f))), true
	case "float64":
		return math.Float64bits(f), true
	}
	return integer(p, v, f)
}

// integer is the raw integer of f, or of v itself where nothing is scaled: a float64 would round beyond 2^53.
func integer(p Point, v drivers.Value, f float64) (raw uint64, ok bool) {
	f = math.RoundToEven(f)
	bits := 16 * p.Type.Registers()
	if p.Bits.Count > 0 {
		raw, ok = unsigned(p, v, f, int(p.Bits.Count))
		return raw << p.Bits.Low, ok
	}
	switch p.Type.Name {
	case "int16", "int32", "int64":
		mask := BitRange{Count: uint8(bits)}.mask()
		if !p.scaled() && v.Type() == drivers.TypeInt64 {
			i := int64(v.Bits())
			return v.Bits() & mask, bits == 64 || (i >= -1<<(bits-1) && i < 1<<(bits-1))
		}
		limit := math.Ldexp(1, bits-1)
		return uint64(int64(f)) & mask, f >= -limit && f < limit
	case "uint16", "uint32", "uint64":
		return unsigned(p, v, f, bits)
	case "bcd16", "bcd32":
		digits := bits / 4
		if f < 0 || f >= math.Pow10(digits) {
			return 0, false
		}
		for i, n := 0, uint64(f); i < digits; i++ {
			raw |= n % 10 << (4 * i)
			n /= 10
		}
		return raw, true
	}
	return 0, false
}

// unsigned is the raw integer of so many bits.
func unsigned(p Point, v drivers.Value, f float64, bits int) (raw uint64, ok bool) {
	if !p.scaled() && v.Type() == drivers.TypeUint64 {
		return v.Bits(), bits == 64 || v.Bits() < 1<<bits
	}
	return uint64(f), f >= 0 && f < math.Ldexp(1, bits)
}

func encodeText(p Point, s string) []uint16 {
	text := make([]byte, 2*p.Type.Registers())
	if len(s) > p.Type.Chars {
		cut := p.Type.Chars
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut-- // not inside a character
		}
		s = s[:cut]
	}
	copy(text, s)
	words := make([]uint16, len(text)/2)
	for i := range words {
		words[i] = uint16(text[2*i])<<8 | uint16(text[2*i+1])
		if p.WordOrder.swapsBytes() {
			words[i] = words[i]<<8 | words[i]>>8
		}
	}
	return words
}
