package modbus

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/millgate/millgate/drivers"
)

// Shown is what a panel shows: a decimal number that may be off by half of its last digit.
type Shown struct{ Value, Half float64 }

// ParseShown reads "228.4", "-5", "50.00". Zeros at the end count: they say how exact the number is.
func ParseShown(s string) (Shown, error) {
	d, err := drivers.ParseDecimal(s)
	if err != nil || strings.ContainsAny(s, "eE") {
		return Shown{}, fmt.Errorf("%q is not a number as a panel shows it; write it as 228.4", s)
	}
	_, fraction, _ := strings.Cut(s, ".")
	if len(fraction) > drivers.MaxDecimalExponent {
		return Shown{}, fmt.Errorf("%q has more than %d decimals", s, drivers.MaxDecimalExponent)
	}
	return Shown{Value: d.Float(), Half: 0.5 / math.Pow10(len(fraction))}, nil
}

// Block is what addresses next to each other hold: registers, or for bit tables a 0 or 1 each.
type Block struct {
	Table   Table    `json:"table"`
	Address uint16   `json:"address"`
	Values  []uint16 `json:"values"`
}

// Candidate is one way to read what is shown from registers.
type Candidate struct {
	Point    Point // without a tag
	Value    float64
	Exact    bool    // Value is what is shown; else it is near, as if the device had moved on
	OneBased bool    // the address asked for was one too high: a manual that counts from 1
	Bits     float64 // how much speaks for it, in bits: one more is twice as likely
}

// Line is the candidate as a point of a device map.
func (c Candidate) Line(name string) string {
	p := c.Point
	var b strings.Builder
	fmt.Fprintf(&b, "- {name: %s, table: %s, address: 0x%04X, type: %s", name, p.Table, p.Address, p.Type)
	if p.Type.Registers() > 1 || p.WordOrder != ABCD {
		fmt.Fprintf(&b, ", word_order: %s", p.WordOrder)
	}
	if p.scaled() {
		fmt.Fprintf(&b, ", scale: %s", strconv.FormatFloat(p.Scale.Float(), 'f', -1, 64))
	}
	return b.String() + "}"
}

// What device maps use, in bits: a type that is half as common has one bit less. The figures are a judgement.
var (
	guessTypes = []struct {
		name string
		bits float64
	}{
		{"uint16", 0}, {"float32", 0}, {"int16", -0.5}, {"uint32", -0.5}, {"int32", -1},
		{"float64", -4}, {"uint64", -4}, {"int64", -4.5}, {"bcd16", -5}, {"bcd32", -6},
	}
	guessOrders = [...]float64{ABCD: 0, CDAB: -1.5, DCBA: -4, BADC: -4.5}
	guessScales = []struct {
		exponent int
		bits     float64
	}{
		{0, 0}, {-1, -0.5}, {-2, -0.5}, {-3, -1}, {-4, -4}, {1, -4}, {2, -5}, {3, -5}, {4, -7},
	}
)

const (
	bitsScaledFloat = -6   // a float has a decimal point of its own
	bitsOneBased    = -2   // most manuals are right
	bitsNear        = -4   // most panels stand still for a moment
	nearShare       = 0.02 // of the value, that it may have moved
)

// Guess lists how a register at an address may hold what the panel shows, the most likely first: every type, word order and scale, at
// the address and at the one below it, as far as the block reaches.
//
// A candidate is worth the bits of the registers that it explains, less the choice that it leaves: a float32 that may vary within the last
// digit shown explains fewer of its 32 bits than an integer that must be exactly so. What is common counts for more.
func Guess(block Block, asked uint16, shown Shown) []Candidate {
	var out []Candidate
	for _, at := range []int{int(asked), int(asked) - 1} {
		from := at - int(block.Address)
		if block.Table.Bits() || from < 0 || from >= len(block.Values) {
			continue
		}
		for _, t := range guessTypes {
			if t := (DataType{Name: t.name}); from+t.Registers() > len(block.Values) {
				continue
			}
			for order, orderBits := range guessOrders {
				p := Point{Table: block.Table, Address: uint16(at), Type: DataType{Name: t.name}, WordOrder: WordOrder(order)}
				words := block.Values[from : from+p.Type.Registers()]
				if len(words) == 1 && p.WordOrder.swapsWords() {
					continue // the same as without
				}
				found := guessScaled(p, words, shown)
				for i := range found {
					found[i].OneBased = at != int(asked)
					if found[i].Bits += t.bits + orderBits; found[i].OneBased {
						found[i].Bits += bitsOneBased
					}
				}
				out = append(out, found...)
			}
		}
	}
	slices.SortStableFunc(out, compareCandidates)
	return out
}

// compareCandidates puts what is exact before what is near.
func compareCandidates(a, b Candidate) int {
	if a.Exact != b.Exact {
		if a.Exact {
			return -1
		}
		return 1
	}
	return cmp.Compare(b.Bits, a.Bits)
}

// guessScaled tries the scales on one point.
func guessScaled(p Point, words []uint16, shown Shown) (out []Candidate) {
	float := strings.HasPrefix(p.Type.Name, "float")
	raw := make([]byte, 0, 8)
	for _, w := range words {
		raw = append(raw, byte(w>>8), byte(w))
	}
	for _, scale := range guessScales {
		p.Scale = drivers.Decimal{}
		if scale.exponent != 0 {
			p.Scale = drivers.Decimal{Mantissa: 1, Exponent: scale.exponent}
		}
		codec := newCodec(&p)
		decoded, cause := codec.decode(raw)
		value, ok := decoded.Float()
		if cause != "" || !ok {
			return nil
		}
		off := math.Abs(value - shown.Value)
		c := Candidate{Point: p, Value: value, Exact: off <= shown.Half*(1+1e-9), Bits: scale.bits}
		window := 2 * shown.Half
		if !c.Exact {
			if window = 2 * nearShare * math.Abs(shown.Value); off > window/2 {
				continue
			}
			c.Bits += bitsNear
		}
		if float && scale.exponent != 0 {
			c.Bits += bitsScaledFloat
		}
		c.Bits += evidence(words) - math.Abs(math.Log2(window/step(p, value)))
		out = append(out, c)
	}
	return out
}

// step is the distance from value to the next one that the point can have. A window of many steps leaves that many raw values; one of a
// part of a step is hit by that part of all values.
func step(p Point, value float64) float64 {
	scale := 1.0
	if p.scaled() {
		scale = p.Scale.Float()
	}
	raw := math.Abs(value / scale)
	switch p.Type.Name {
	case "float32":
		scale *= float64(math.Nextafter32(float32(raw), math.MaxFloat32) - float32(raw))
	case "float64":
		scale *= math.Nextafter(raw, math.MaxFloat64) - raw
	}
	return max(scale, minStep)
}

// minStep bounds what is said of floats near zero, where they stand without number.
const minStep = 1e-12

// evidence is how unlikely the words are by chance, in bits: zeros are everywhere and do not stand alone, small numbers are common.
func evidence(words []uint16) (bits float64) {
	for i, w := range words {
		switch {
		case w == 0 && i > 0 && words[i-1] == 0:
			bits++
		case w == 0:
			bits += 3
		case w == 0xffff:
			bits += 6
		case w < 256:
			bits += 10
		default:
			bits += 16.5
		}
	}
	return bits
}
