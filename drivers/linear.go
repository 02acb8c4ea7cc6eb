package drivers

import (
	"math"
	"math/big"
)

// Linear is value = raw*scale + offset, in integers as far as they reach, so that a decimal scale gives decimal values. The zero Linear
// changes nothing.
type Linear struct {
	scale, offset Decimal
	on            bool
	whole         bool // mul and add are exact
	mul, add      int64
	exponent      int
	limit         uint64 // raw magnitudes up to it stay below 2^53 in integers
}

const exact = 1 << 53

// Scaled says whether a scale and an offset change a value at all. The zero Decimal as a scale means 1.
func Scaled(scale, offset Decimal) bool {
	return (scale.Mantissa != 0 && scale.reduced() != Decimal{Mantissa: 1}) || offset.Mantissa != 0
}

// NewLinear takes the zero Decimal as a scale for 1. The exponents must be within ±18.
func NewLinear(scale, offset Decimal) Linear {
	if !Scaled(scale, offset) {
		return Linear{}
	}
	if scale.Mantissa == 0 {
		scale = Decimal{Mantissa: 1}
	}
	l := Linear{scale: scale, offset: offset, on: true, exponent: scale.Exponent}
	if offset.Mantissa != 0 {
		l.exponent = min(scale.Exponent, offset.Exponent)
	}
	mul, okMul := shift(scale, l.exponent)
	add, okAdd := shift(offset, l.exponent)
	l.mul, l.add = mul, add
	if okMul && okAdd && magnitude(mul) < exact && magnitude(add) < exact {
		l.whole, l.limit = true, (exact-magnitude(add))/magnitude(mul)
	}
	return l
}

// On says that it changes values.
func (l *Linear) On() bool { return l.on }

// shift is d's mantissa at a smaller exponent; ok is false if it does not fit.
func shift(d Decimal, exponent int) (m int64, ok bool) {
	m = d.Mantissa
	if m == 0 {
		return 0, true
	}
	for range d.Exponent - exponent {
		if magnitude(m) > math.MaxInt64/10 {
			return m, false
		}
		m *= 10
	}
	return m, true
}

func (l *Linear) power(f float64) float64 {
	if l.exponent < 0 {
		return f / pow10[-l.exponent]
	}
	return f * pow10[l.exponent]
}

// OfInt is the value of raw.
func (l *Linear) OfInt(raw int64) float64 {
	if l.whole && magnitude(raw) <= l.limit {
		return l.power(float64(raw*l.mul + l.add))
	}
	return l.nearest(big.NewInt(raw))
}

// OfUint is the value of raw.
func (l *Linear) OfUint(raw uint64) float64 {
	if raw <= l.limit { // so it is an int64 too
		return l.OfInt(int64(raw))
	}
	return l.nearest(new(big.Int).SetUint64(raw))
}

// OfFloat is the value of raw, the same on every processor.
func (l *Linear) OfFloat(raw float64) float64 {
	// The conversions keep the compiler from fusing product and sum.
	if !l.whole {
		return float64(raw*l.scale.Float()) + l.offset.Float()
	}
	return l.power(float64(raw*float64(l.mul)) + float64(l.add))
}

// nearest is the value of an integer that is too large for integers, rounded once. It takes its time.
func (l *Linear) nearest(raw *big.Int) float64 {
	v := new(big.Rat).SetInt(raw)
	f, _ := v.Add(v.Mul(v, l.scale.rat()), l.offset.rat()).Float64()
	return f
}
