package modbus

import (
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

func TestZeroScaleWithExponent(t *testing.T) {
	p := Point{Tag: &drivers.Tag{}, Table: HoldingRegister, Type: DataType{Name: "uint16"}, Scale: Decimal{Exponent: 3}}
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
