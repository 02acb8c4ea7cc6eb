package drivers

import (
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"strconv"
	"strings"
)

// Decimal is an exact decimal number: Mantissa * 10^Exponent. Scales are decimals, so that 2301 * 0.1 is 230.1 and nothing else.
type Decimal struct {
	Mantissa int64
	Exponent int // within ±MaxDecimalExponent
}

// MaxDecimalExponent bounds the exponents, in both directions.
const MaxDecimalExponent = 18

// ParseDecimal reads "0.1", "-40", "1e-3".
func ParseDecimal(s string) (Decimal, error) {
	number, exponentText, hasExponent := strings.Cut(strings.ToLower(s), "e")
	d := Decimal{}
	if hasExponent {
		e, err := strconv.Atoi(exponentText)
		if err != nil || e < -99 || e > 99 {
			return d, fmt.Errorf("%q is not a decimal number", s)
		}
		d.Exponent = e
	}
	whole, fraction, _ := strings.Cut(number, ".")
	digits := strings.TrimLeft(whole, "+-")
	if len(whole)-len(digits) > 1 || digits+fraction == "" || strings.Trim(digits+fraction, "0123456789") != "" {
		return Decimal{}, fmt.Errorf("%q is not a decimal number", s)
	}
	m, err := strconv.ParseInt(strings.TrimSuffix(whole, digits)+digits+fraction, 10, 64)
	if err != nil {
		return Decimal{}, fmt.Errorf("%q has more digits than the 18 that can be exact", s)
	}
	d.Mantissa, d.Exponent = m, d.Exponent-len(fraction)
	d = d.reduced()
	if d.Exponent < -MaxDecimalExponent || d.Exponent > MaxDecimalExponent {
		return Decimal{}, fmt.Errorf("%q is out of range", s)
	}
	return d, nil
}

// reduced takes zeros off the end, so that equal numbers are equal Decimals.
func (d Decimal) reduced() Decimal {
	if d.Mantissa == 0 {
		return Decimal{}
	}
	for d.Mantissa%10 == 0 {
		d.Mantissa /= 10
		d.Exponent++
	}
	return d
}

// Mul is the exact product; ok is false if it does not fit.
func (d Decimal) Mul(e Decimal) (p Decimal, ok bool) {
	hi, lo := bits.Mul64(magnitude(d.Mantissa), magnitude(e.Mantissa))
	if hi != 0 || lo > math.MaxInt64 {
		return Decimal{}, false
	}
	m := int64(lo)
	if (d.Mantissa < 0) != (e.Mantissa < 0) {
		m = -m
	}
	p = Decimal{m, d.Exponent + e.Exponent}.reduced()
	return p, p.Exponent >= -MaxDecimalExponent && p.Exponent <= MaxDecimalExponent
}

// Float is the nearest float64.
func (d Decimal) Float() float64 {
	if d.Exponent < 0 {
		return float64(d.Mantissa) / pow10[-d.Exponent]
	}
	return float64(d.Mantissa) * pow10[d.Exponent]
}

// rat is the number itself.
func (d Decimal) rat() *big.Rat {
	power := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(d.Exponent, -d.Exponent))), nil)
	if d.Exponent < 0 {
		return new(big.Rat).SetFrac(big.NewInt(d.Mantissa), power)
	}
	return new(big.Rat).SetInt(power.Mul(power, big.NewInt(d.Mantissa)))
}

func (d Decimal) String() string { return strconv.FormatFloat(d.Float(), 'g', -1, 64) }

func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}

// pow10 is exact: powers of ten up to 22 are float64s. The product of two factors reaches 36, where the last bit may be rounded.
var pow10 = func() (p [2*MaxDecimalExponent + 1]float64) {
	for i := range p {
		p[i] = math.Pow10(i)
	}
	return p
}()
