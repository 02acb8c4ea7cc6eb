package modbus

import (
	"encoding/binary"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/millgate/millgate/drivers"
)

func point(t testing.TB, typ string, order WordOrder, scale, offset string) Point {
	t.Helper()
	p := Point{Table: HoldingRegister, WordOrder: order}
	var err error
	if p.Type, err = ParseDataType(typ); err != nil {
		t.Fatal(err)
	}
	for text, into := range map[string]*drivers.Decimal{scale: &p.Scale, offset: &p.Offset} {
		if text == "" {
			continue
		}
		if *into, err = drivers.ParseDecimal(text); err != nil {
			t.Fatal(err)
		}
	}
	p.Tag = &drivers.Tag{Device: "d", Name: "t", Type: p.ValueType()}
	return p
}

func decodeWords(p Point, words ...uint16) (drivers.Value, drivers.Cause) {
	var b []byte
	for _, w := range words {
		b = binary.BigEndian.AppendUint16(b, w)
	}
	c := newCodec(&p)
	return c.decode(b)
}

func TestDecode(t *testing.T) {
	f := func(typ string, order WordOrder, scale, offset string, words []uint16, want string, cause drivers.Cause) {
		t.Helper()
		v, got := decodeWords(point(t, typ, order, scale, offset), words...)
		if v.String() != want || got != cause {
			t.Errorf("%s %s ×%s +%s of %04x: %s %q, want %s %q", typ, order, scale, offset, words, v, got, want, cause)
		}
	}
	f("int16", ABCD, "", "", []uint16{0xffff}, "-1", "")
	f("uint16", ABCD, "", "", []uint16{0xffff}, "65535", "")
	f("uint16", BADC, "", "", []uint16{0x0102}, "513", "")
	f("int16", ABCD, "0.1", "", []uint16{2301}, "230.1", "") // not 230.10000000000002
	f("int16", ABCD, "0.1", "-40", []uint16{2301}, "190.1", "")
	f("int16", ABCD, "0.01", "0.5", []uint16{1}, "0.51", "")
	f("uint16", ABCD, "10", "", []uint16{7}, "70", "")
	// 0x12345678 = 305419896 in the four orders.
	f("uint32", ABCD, "", "", []uint16{0x1234, 0x5678}, "305419896", "")
	f("uint32", CDAB, "", "", []uint16{0x5678, 0x1234}, "305419896", "")
	f("uint32", BADC, "", "", []uint16{0x3412, 0x7856}, "305419896", "")
	f("uint32", DCBA, "", "", []uint16{0x7856, 0x3412}, "305419896", "")
	f("int32", ABCD, "", "", []uint16{0xffff, 0xfffe}, "-2", "")
	// 0x0102030405060708 = 72623859790382856 in the four orders.
	f("uint64", ABCD, "", "", []uint16{0x0102, 0x0304, 0x0506, 0x0708}, "72623859790382856", "")
	f("uint64", CDAB, "", "", []uint16{0x0708, 0x0506, 0x0304, 0x0102}, "72623859790382856", "")
	f("uint64", BADC, "", "", []uint16{0x0201, 0x0403, 0x0605, 0x0807}, "72623859790382856", "")
	f("uint64", DCBA, "", "", []uint16{0x0807, 0x0605, 0x0403, 0x0201}, "72623859790382856", "")
	f("int64", ABCD, "0.001", "", []uint16{0, 0, 0x0001, 0xe240}, "123.456", "")
	// The words 806B 4212 are 36.625 on a TUF-2000M, low word first.
	f("float32", CDAB, "", "", []uint16{0x806b, 0x4212}, "36.62541", "")
	f("float32", ABCD, "0.1", "", []uint16{0x450f, 0xd000}, "230.1", "") // 2301 × 0.1
	f("float32", ABCD, "", "", []uint16{0x7fc0, 0}, "-", drivers.CauseNotANumber)
	f("float32", ABCD, "", "", []uint16{0xff80, 0}, "-", drivers.CauseNotANumber)
	f("float64", ABCD, "", "", []uint16{0x4059, 0, 0, 0}, "100", "")
	f("float64", DCBA, "", "", []uint16{0, 0, 0, 0x5940}, "100", "")
	f("bcd16", ABCD, "", "", []uint16{0x1234}, "1234", "")
	f("bcd32", CDAB, "0.01", "", []uint16{0x5678, 0x1234}, "123456.78", "")
	f("bcd16", ABCD, "", "", []uint16{0x12a4}, "-", drivers.CauseInvalidBCD)
	f("bool", ABCD, "", "", []uint16{0x0100}, "true", "")
	f("bool", ABCD, "", "", []uint16{0}, "false", "")
	f("string(5)", ABCD, "", "", []uint16{0x4142, 0x4344, 0x4546}, "ABCDE", "")
	f("string(6)", BADC, "", "", []uint16{0x4241, 0x2043, 0x0020}, "ABC", "")
	f("string(4)", ABCD, "", "", []uint16{0xff41, 0}, "-", drivers.CauseInvalidText)
}

func TestDecodeBits(t *testing.T) {
	f := func(typ string, order WordOrder, low, count uint8, scale string, words []uint16, want drivers.Value) {
		t.Helper()
		p := point(t, typ, order, scale, "")
		p.Bits = BitRange{low, count}
		if err := p.check(); err != nil {
			t.Errorf("%s bits %+v: %v", typ, p.Bits, err)
		}
		if v, cause := decodeWords(p, words...); v != want || cause != "" || v.Type() != p.ValueType() {
			t.Errorf("%s %s bits %+v ×%s of %04x: %s %s %q, want %s", typ, order, p.Bits, scale, words, v.Type(), v, cause, want)
		}
	}
	f("uint16", ABCD, 0, 0, "", []uint16{0xabcd}, drivers.UintValue(0xabcd))
	f("uint16", ABCD, 0, 16, "", []uint16{0xabcd}, drivers.UintValue(0xabcd))
	f("uint16", ABCD, 4, 8, "", []uint16{0xabcd}, drivers.UintValue(0xbc))
	f("uint16", BADC, 4, 8, "", []uint16{0xcdab}, drivers.UintValue(0xbc))
	f("int16", ABCD, 0, 16, "", []uint16{0xffff}, drivers.UintValue(0xffff)) // a part has no sign
	f("int16", ABCD, 15, 1, "", []uint16{0x8000}, drivers.UintValue(1))
	f("int32", CDAB, 12, 8, "", []uint16{0x5678, 0x1234}, drivers.UintValue(0x45))
	f("uint64", ABCD, 32, 16, "0.1", []uint16{0x0001, 0x000a, 0x0003, 0x0004}, drivers.Float64Value(1))
	f("uint64", ABCD, 0, 64, "", []uint16{0xffff, 0xffff, 0xffff, 0xffff}, drivers.UintValue(math.MaxUint64))
	f("bool", ABCD, 3, 1, "", []uint16{0x0008}, drivers.BoolValue(true))
	f("bool", ABCD, 3, 1, "", []uint16{0xfff7}, drivers.BoolValue(false))
	f("bool", BADC, 0, 1, "", []uint16{0x0100}, drivers.BoolValue(true))
	f("bool", ABCD, 4, 4, "", []uint16{0x0080}, drivers.BoolValue(true)) // any of them
	f("bool", ABCD, 4, 4, "", []uint16{0xff0f}, drivers.BoolValue(false))
}

func TestDecodeInvalid(t *testing.T) {
	f := func(typ string, order WordOrder, invalid []uint64, words []uint16, want string, cause drivers.Cause) {
		t.Helper()
		p := point(t, typ, order, "0.1", "")
		p.Invalid = invalid
		if err := p.check(); err != nil {
			t.Errorf("%s %x: %v", typ, invalid, err)
		}
		if v, got := decodeWords(p, words...); v.String() != want || got != cause {
			t.Errorf("%s %s of %04x: %s %q, want %s %q", typ, order, words, v, got, want, cause)
		}
	}
	none := drivers.CauseNotAvailable
	f("int16", ABCD, []uint64{0x8000}, []uint16{0x8000}, "-", none)
	f("int16", ABCD, []uint64{0x8000}, []uint16{0x8001}, "-3276.7", "")
	f("int16", BADC, []uint64{0x8000}, []uint16{0x0080}, "-", none)
	f("uint32", CDAB, []uint64{1, 0x7fffffff}, []uint16{0xffff, 0x7fff}, "-", none)
	f("float32", ABCD, []uint64{0x7fc00000}, []uint16{0x7fc0, 0}, "-", none)
	f("float32", ABCD, []uint64{0x7fc00000}, []uint16{0x7fc0, 1}, "-", drivers.CauseNotANumber)
	f("bcd16", ABCD, []uint64{0xffff}, []uint16{0xffff}, "-", none)
	f("bool", ABCD, []uint64{0xffff}, []uint16{0xffff}, "-", none)
	f("int64", ABCD, []uint64{1 << 63}, []uint16{0x8000, 0, 0, 0}, "-", none)

	p := point(t, "uint16", ABCD, "", "")
	p.Bits, p.Invalid = BitRange{0, 4}, []uint64{0xffff} // what counts is the whole register
	if v, cause := decodeWords(p, 0x000f); v != drivers.UintValue(15) || cause != "" {
		t.Errorf("%s %q", v, cause)
	}
	if v, cause := decodeWords(p, 0xffff); !v.IsZero() || cause != none {
		t.Errorf("%s %q", v, cause)
	}
	if words, err := Encode(p, drivers.UintValue(15)); err != nil || words[0] != 15 {
		t.Errorf("%04x, %v", words, err)
	}
	p.Bits = BitRange{}
	if words, err := Encode(p, drivers.UintValue(0xffff)); err == nil {
		t.Errorf("no value was written as %04x", words)
	}
}

func TestBitsAndInvalidThatCanNotBe(t *testing.T) {
	for _, c := range []struct {
		typ     string
		table   Table
		bits    BitRange
		invalid []uint64
	}{
		{"uint16", HoldingRegister, BitRange{15, 2}, nil},
		{"uint16", HoldingRegister, BitRange{3, 0}, nil},
		{"uint16", HoldingRegister, BitRange{255, 255}, nil},
		{"int32", HoldingRegister, BitRange{32, 1}, nil},
		{"uint64", HoldingRegister, BitRange{1, 64}, nil},
		{"bool", HoldingRegister, BitRange{16, 1}, nil},
		{"bool", Coil, BitRange{0, 1}, nil},
		{"float32", HoldingRegister, BitRange{0, 8}, nil},
		{"float64", HoldingRegister, BitRange{0, 8}, nil},
		{"bcd16", HoldingRegister, BitRange{0, 8}, nil},
		{"string(4)", HoldingRegister, BitRange{0, 8}, nil},
		{"int16", HoldingRegister, BitRange{}, []uint64{0x8000, 0x10000}},
		{"float32", HoldingRegister, BitRange{}, []uint64{1 << 32}},
		{"string(4)", HoldingRegister, BitRange{}, []uint64{0}},
		{"bool", DiscreteInput, BitRange{}, []uint64{0}},
	} {
		p := point(t, c.typ, ABCD, "", "")
		p.Table, p.Bits, p.Invalid = c.table, c.bits, c.invalid
		if err := p.check(); err == nil {
			t.Errorf("%+v was accepted", c)
		}
	}
}

// randomPart gives p some of its bits and a value that is none, where it can have them.
func randomPart(rt *rapid.T, p *Point) {
	width := 16 * p.Type.Registers()
	if p.wholeBits() && rapid.Bool().Draw(rt, "part") {
		p.Bits.Low = uint8(rapid.IntRange(0, width-1).Draw(rt, "low"))
		p.Bits.Count = uint8(rapid.IntRange(1, width-int(p.Bits.Low)).Draw(rt, "count"))
	}
	if p.Type.Name != "string" && rapid.Bool().Draw(rt, "invalid") {
		p.Invalid = []uint64{rapid.Uint64().Draw(rt, "none") >> (64 - width)}
	}
	p.Tag.Type = p.ValueType()
}

// TestEncodeIsTheInverse decodes what Encode made, for every type, order and a few scales.
func TestEncodeIsTheInverse(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		typ := rapid.SampledFrom([]string{"int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64", "bcd16", "bcd32", "bool", "string(7)"}).Draw(rt, "type")
		p := point(t, typ, WordOrder(rapid.IntRange(0, 3).Draw(rt, "order")), rapid.SampledFrom([]string{"", "0.1", "0.001", "10"}).Draw(rt, "scale"), rapid.SampledFrom([]string{"", "-40"}).Draw(rt, "offset"))
		randomPart(rt, &p)
		if err := p.check(); err != nil {
			rt.Fatal(err)
		}
		words := make([]uint16, p.Type.Registers())
		for i := range words {
			words[i] = rapid.Uint16().Draw(rt, "word")
		}
		v, cause := decodeWords(p, words...)
		if cause != "" {
			return
		}
		if f, ok := v.Float(); ok && math.Abs(f) > 1e15 && p.scaled() {
			return // beyond what a float64 can hold exactly there is no inverse
		}
		back, err := Encode(p, v)
		if err != nil {
			if strings.Contains(err.Error(), "has no value") && (p.Bits.Count > 0 || p.scaled() || typ == "bool") {
				return // bits that are 0 now, or what scaling rounded away, told them apart
			}
			rt.Fatalf("%s ×%s: %v", p.Type, p.Scale, err)
		}
		again, cause := decodeWords(p, back...)
		a, _ := v.Float()
		b, _ := again.Float()
		if cause != "" || again.Type() != v.Type() || math.Abs(a-b) > 1e-6*math.Abs(a)+1e-9 || (!p.scaled() && again != v) {
			rt.Fatalf("%s %s ×%s: %04x is %s, encoded %04x is %s %q", p.Type, p.WordOrder, p.Scale, words, v, back, again, cause)
		}
	})
}

func TestEncodeRefusesWhatDoesNotFit(t *testing.T) {
	for typ, v := range map[string]drivers.Value{
		"int16": drivers.IntValue(40000), "uint16": drivers.IntValue(-1), "uint32": drivers.Float64Value(5e9), "bcd16": drivers.IntValue(10000),
		"int32": drivers.TextValue("x"),
	} {
		if words, err := Encode(point(t, typ, ABCD, "", ""), v); err == nil {
			t.Errorf("%s holds %v as %04x", typ, v, words)
		}
	}
}

func FuzzParsers(f *testing.F) {
	for _, s := range []string{"0.1", "1e-3", "string(16)", "CDAB", "string(0)", "float32"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d, err := drivers.ParseDecimal(s); err == nil && (d.Exponent < -drivers.MaxDecimalExponent || d.Exponent > drivers.MaxDecimalExponent) {
			t.Errorf("%q: %+v", s, d)
		}
		if d, err := ParseDataType(s); err == nil && (d.String() != s || d.Registers() < 1 || d.Registers() > MaxRegisters) {
			t.Errorf("%q: %+v", s, d)
		}
		ParseWordOrder(s)
	})
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8}, uint8(3), uint8(1), uint8(0), uint8(0), uint64(0), "0.1")
	f.Add([]byte{0x80, 0, 0, 0, 0, 0, 0, 0}, uint8(0), uint8(0), uint8(4), uint8(8), uint64(0x8000), "")
	f.Add([]byte{255, 255, 255, 255, 255, 255, 255, 255}, uint8(5), uint8(2), uint8(0), uint8(64), uint64(7), "1e18")
	types := []string{"int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64", "bcd16", "bcd32", "bool", "string(7)"}
	f.Fuzz(func(t *testing.T, b []byte, typ, order, low, count uint8, invalid uint64, scale string) {
		if _, err := drivers.ParseDecimal(scale); err != nil {
			scale = "0.1"
		}
		p := point(t, types[int(typ)%len(types)], WordOrder(order%4), scale, "-7.5")
		if p.Type.Name != "string" {
			p.Bits, p.Invalid = BitRange{low, count}, []uint64{invalid}
		}
		n := 2 * p.Type.Registers()
		if len(b) < n || p.check() != nil {
			return
		}
		c := newCodec(&p)
		v, cause := c.decode(b[:n])
		if v.IsZero() == (cause == "") || (cause == "" && v.Type() != p.ValueType()) {
			t.Errorf("%s: %v %q", p.Type, v, cause)
		}
		if f, ok := v.Float(); ok && (math.IsNaN(f) || math.IsInf(f, 0)) || !utf8.ValidString(v.Text()) {
			t.Errorf("%s: %v", p.Type, v)
		}
		if p.Invalid != nil && (c.raw(b[:n]) == invalid) != (cause == drivers.CauseNotAvailable) {
			t.Errorf("%s of %x is %q where %#x means none", p.Type, b[:n], cause, invalid)
		}
	})
}
