package modbus

import (
	"fmt"
	"math"
	"unicode/utf8"

	"github.com/millgate/millgate/drivers"
)

// Encode is the inverse of reading p: the registers (for bit tables one 0 or 1) that would be read as v, rounded to what p can hold.
// A number out of p's range is an error.
func Encode(p Point, v drivers.Value) ([]uint16, error) {
	n := p.Type.Registers()
	if p.Type.Name == "string" {
		return encodeText(p, v.Text()), nil
	}
	f, ok := v.Float()
	if !ok {
		return nil, fmt.Errorf("%s can not hold %q", p.Type, v)
	}
	if p.Type.Name == "bool" {
		if f != 0 {
			return []uint16{1}, nil
		}
		return []uint16{0}, nil
	}
	if p.scaled() {
		scale := p.Scale
		if scale == (Decimal{}) {
			scale = Decimal{Mantissa: 1}
		}
		f = (f - p.Offset.Float()) / scale.Float()
	}
	var raw uint64
	switch p.Type.Name {
	case "float32":
		raw = uint64(math.Float32bits(float32(f)))
	case "float64":
		raw = math.Float64bits(f)
	default:
		if raw, ok = integer(p, v, f); !ok {
			return nil, fmt.Errorf("%s can not hold %v", p.Type, v)
		}
	}
	return p.WordOrder.scatter(raw, n), nil
}

// integer is the raw integer of f, or of v itself where nothing is scaled: a float64 would round beyond 2^53.
func integer(p Point, v drivers.Value, f float64) (raw uint64, ok bool) {
	f = math.RoundToEven(f)
	bits := 16 * p.Type.Registers()
	switch p.Type.Name {
	case "int16", "int32", "int64":
		if !p.scaled() && v.Type() == drivers.TypeInt64 {
			i := int64(v.Bits())
			return v.Bits(), bits == 64 || (i >= -1<<(bits-1) && i < 1<<(bits-1))
		}
		limit := math.Ldexp(1, bits-1)
		return uint64(int64(f)), f >= -limit && f < limit
	case "uint16", "uint32", "uint64":
		if !p.scaled() && v.Type() == drivers.TypeUint64 {
			return v.Bits(), bits == 64 || v.Bits() < 1<<bits
		}
		return uint64(f), f >= 0 && f < math.Ldexp(1, bits)
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
