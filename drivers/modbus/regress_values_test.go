package modbus

import (
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/millgate/millgate/drivers"
)

// TestScaleFarFromOffset: the two have no common unit in 64 bits.
func TestScaleFarFromOffset(t *testing.T) {
	p := point(t, "uint16", ABCD, "1e-9", "1e10")
	for raw := range uint16(3) {
		if v, cause := decodeWords(p, raw); v != drivers.Float64Value(1e10+float64(raw)*1e-9) {
			t.Errorf("raw %d: %s %q", raw, v, cause)
		}
	}
}

// TestLargeIntegersAreRoundedOnce: beyond 2^53 a float64 can not hold the integer before it is scaled.
func TestLargeIntegersAreRoundedOnce(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		raw := rng.Uint64() >> rng.IntN(12)
		words := []uint16{uint16(raw >> 48), uint16(raw >> 32), uint16(raw >> 16), uint16(raw)}
		signed, unsigned := strconv.FormatInt(int64(raw), 10), strconv.FormatUint(raw, 10)
		for typ, text := range map[string]string{"int64": signed, "uint64": unsigned} {
			want, err := strconv.ParseFloat(text+"e-3", 64)
			if err != nil {
				t.Fatal(err)
			}
			if v, cause := decodeWords(point(t, typ, ABCD, "0.001", ""), words...); v != drivers.Float64Value(want) {
				t.Fatalf("%s × 0.001 is %s %q, want %v", text, v, cause, want)
			}
		}
	}
	if v, _ := decodeWords(point(t, "uint64", ABCD, "0.1", "-1"), 0x8000, 0, 0, 0x0001); v != drivers.Float64Value(922337203685477579.9) {
		t.Errorf("2^63+1 × 0.1 - 1 is %s", v)
	}
}

func TestZeroScaleWithExponent(t *testing.T) {
	p := Point{Tag: &drivers.Tag{}, Table: HoldingRegister, Type: DataType{Name: "uint16"}, Scale: drivers.Decimal{Exponent: 3}}
	if v, cause := decodeWords(p, 7); v != drivers.UintValue(7) {
		t.Errorf("%s %q", v, cause)
	}
}

func TestTextIsNotCutInsideACharacter(t *testing.T) {
	p := point(t, "string(4)", ABCD, "", "")
	words, err := Encode(p, drivers.TextValue("一号"))
	if err != nil {
		t.Fatal(err)
	}
	if v, cause := decodeWords(p, words...); v != drivers.TextValue("一") {
		t.Errorf("%s %q", v, cause)
	}
}
