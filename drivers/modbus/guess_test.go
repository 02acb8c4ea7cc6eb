package modbus

import (
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/millgate/millgate/drivers"
)

// quantity is something that a meter or drive measures, with the ways in which device maps hold it: type and scale.
type quantity struct {
	name      string
	low, high float64
	decimals  int // of the panel
	held      []string
}

var quantities = []quantity{
	{"voltage", 215, 242, 1, []string{"float32", "uint16 -1", "uint32 -1", "uint16 -2", "uint32 -3", "int32 -1"}},
	{"line voltage", 375, 410, 1, []string{"float32", "uint16 -1", "uint32 -2"}},
	{"current", 0.8, 480, 2, []string{"float32", "uint16 -2", "uint32 -3", "int16 -2", "int32 -3"}},
	{"power", 1.5, 300, 2, []string{"float32", "int16 -2", "int32 -3", "int32 -2", "float64"}},
	{"reactive power", -90, -1.5, 2, []string{"float32", "int16 -2", "int32 -3"}},
	{"frequency", 49.8, 50.2, 2, []string{"float32", "uint16 -2", "uint32 -3", "bcd16 -2"}},
	{"energy", 900, 800000, 2, []string{"float32", "uint32 -2", "uint32 -1", "float64", "bcd32 -2", "uint64 -3"}},
	{"temperature", 12, 95, 1, []string{"float32", "int16 -1", "int16 -2"}},
	{"speed", 300, 2950, 0, []string{"float32", "uint16", "int16", "uint16 -1"}},
}

// simulated is one register of a made-up map, with what stands around it and what the panel shows.
type simulated struct {
	point Point
	block Block
	asked uint16
	shown string
}

func simulate(random *rand.Rand, q quantity) (s simulated, ok bool) {
	typeName, exponent, scaled := strings.Cut(q.held[random.IntN(len(q.held))], " ")
	p := Point{Table: HoldingRegister, Address: uint16(1 + random.IntN(60000)), Type: DataType{Name: typeName}}
	if scaled {
		e, _ := strconv.Atoi(exponent)
		p.Scale = drivers.Decimal{Mantissa: 1, Exponent: e}
	}
	if p.Type.Registers() > 1 {
		p.WordOrder = []WordOrder{ABCD, ABCD, ABCD, CDAB, CDAB, BADC, DCBA}[random.IntN(7)]
	}
	near := func() float64 { return q.low + (q.high-q.low)*random.Float64() }
	value := near()
	s = simulated{point: p, asked: p.Address, block: Block{Table: p.Table, Address: p.Address - 1}}
	if random.IntN(5) == 0 {
		s.asked++ // the manual counts from 1
	}
	// A map holds values of one kind side by side.
	for len(s.block.Values) < 8 {
		v := near()
		if len(s.block.Values) == 0 {
			words, err := Encode(p, drivers.Float64Value(v))
			if err != nil {
				return s, false
			}
			s.block.Values = append(s.block.Values, words[len(words)-1])
			v = value
		}
		words, err := Encode(p, drivers.Float64Value(v))
		if err != nil {
			return s, false
		}
		s.block.Values = append(s.block.Values, words...)
	}
	width := p.Type.Registers()
	c := newCodec(&p)
	var raw []byte
	for _, w := range s.block.Values[1 : 1+width] {
		raw = append(raw, byte(w>>8), byte(w))
	}
	decoded, _ := c.decode(raw)
	held, _ := decoded.Float()
	s.shown = strconv.FormatFloat(held, 'f', q.decimals, 64)
	return s, true
}

// same says that two points read the same registers as the same number. Signed or not does not show while a number is positive.
func same(a, b Point) bool {
	return a.Address == b.Address && strings.TrimPrefix(a.Type.Name, "u") == strings.TrimPrefix(b.Type.Name, "u") && a.WordOrder == b.WordOrder && a.Scale == b.Scale
}

// TestGuessFindsTheMap simulates 30 maps of 100 points each.
func TestGuessFindsTheMap(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	const maps, points = 30, 100
	first, third, total := 0, 0, 0
	for total < maps*points {
		q := quantities[random.IntN(len(quantities))]
		s, ok := simulate(random, q)
		if !ok {
			continue
		}
		total++
		shown, err := ParseShown(s.shown)
		if err != nil {
			t.Fatal(err)
		}
		rank := slices.IndexFunc(Guess(s.block, s.asked, shown), func(c Candidate) bool { return same(c.Point, s.point) })
		if rank == 0 {
			first++
		}
		if rank >= 0 && rank < 3 {
			third++
		}
	}
	t.Logf("first %.1f %%, among three %.1f %%", 100*float64(first)/float64(total), 100*float64(third)/float64(total))
	if first*100 < 95*total || third*100 < 99*total {
		t.Errorf("of %d points %d come first and %d among three", total, first, third)
	}
}

func TestGuess(t *testing.T) {
	for _, test := range []struct {
		name   string
		words  []uint16 // from address 0x1fff on
		asked  uint16
		shown  string
		line   string
		exact  bool
		oneOff bool
	}{
		{"a float with its noise", []uint16{0x1234, 0x4364, 0x6a3d, 0x4363, 0x8000}, 0x2000, "228.4",
			"- {name: volts, table: holding_register, address: 0x2000, type: float32, word_order: ABCD}", true, false},
		{"the same, words swapped", []uint16{0x4363, 0x6a3d, 0x4364, 0x8000, 0x4363}, 0x2000, "228.4",
			"- {name: volts, table: holding_register, address: 0x2000, type: float32, word_order: CDAB}", true, false},
		{"tenths", []uint16{2291, 2284, 2303, 0, 0}, 0x2000, "228.4",
			"- {name: volts, table: holding_register, address: 0x2000, type: uint16, scale: 0.1}", true, false},
		{"a manual that counts from 1", []uint16{2284, 2291, 2303, 0, 0}, 0x2000, "228.4",
			"- {name: volts, table: holding_register, address: 0x1FFF, type: uint16, scale: 0.1}", true, true},
		{"thousandths of a long counter", []uint16{7, 0x0012, 0xd687, 0, 9}, 0x2000, "1234.567",
			"- {name: volts, table: holding_register, address: 0x2000, type: uint32, word_order: ABCD, scale: 0.001}", true, false},
		{"the panel has moved", []uint16{1, 2291, 500, 0, 0}, 0x2000, "228.4",
			"- {name: volts, table: holding_register, address: 0x2000, type: uint16, scale: 0.1}", false, false},
		{"negative", []uint16{3, 0xff88, 55, 0, 0}, 0x2000, "-12.0",
			"- {name: volts, table: holding_register, address: 0x2000, type: int16, scale: 0.1}", true, false},
		{"digits", []uint16{3, 0x4998, 0x5001, 0, 0}, 0x2000, "49.98",
			"- {name: volts, table: holding_register, address: 0x2000, type: bcd16, scale: 0.01}", true, false},
		{"the block ends there", []uint16{3, 4998}, 0x2000, "49.98",
			"- {name: volts, table: holding_register, address: 0x2000, type: uint16, scale: 0.01}", true, false},
	} {
		shown, err := ParseShown(test.shown)
		if err != nil {
			t.Fatal(err)
		}
		found := Guess(Block{HoldingRegister, 0x1fff, test.words}, test.asked, shown)
		if len(found) == 0 {
			t.Errorf("%s: nothing found", test.name)
			continue
		}
		if c := found[0]; c.Line("volts") != test.line || c.Exact != test.exact || c.OneBased != test.oneOff {
			t.Errorf("%s: %+v\n%s\nwant %s", test.name, c, c.Line("volts"), test.line)
		}
		for i, c := range found[1:] {
			if c.Exact && !found[i].Exact || c.Exact == found[i].Exact && c.Bits > found[i].Bits {
				t.Errorf("%s: candidate %d is better than the one before", test.name, i+1)
			}
		}
	}
	shown := Shown{228.4, 0.05}
	for _, block := range []Block{{Coil, 0x2000, []uint16{1}}, {HoldingRegister, 0x2000, []uint16{1, 1}}, {HoldingRegister, 0x2002, []uint16{2284}}, {}} {
		if found := Guess(block, 0x2000, shown); len(found) > 0 {
			t.Errorf("%+v has %+v", block, found[0])
		}
	}
}

func TestParseShown(t *testing.T) {
	for s, want := range map[string]Shown{"228.4": {228.4, 0.05}, "50.00": {50, 0.005}, "-5": {-5, 0.5}, "+0.10": {0.1, 0.005}, "12000": {12000, 0.5}} {
		if got, err := ParseShown(s); got != want || err != nil {
			t.Errorf("%q: %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "volts", "1e3", "228,4", "228.4 V", "NaN", "0.0000000000000000000"} {
		if got, err := ParseShown(s); err == nil {
			t.Errorf("%q is %v", s, got)
		}
	}
}

func FuzzGuess(f *testing.F) {
	f.Add(uint64(0x4364666600010002), uint16(0), "228.4")
	f.Add(^uint64(0), uint16(65535), "0")
	f.Fuzz(func(t *testing.T, raw uint64, asked uint16, text string) {
		shown, err := ParseShown(text)
		if err != nil {
			return
		}
		words := []uint16{uint16(raw >> 48), uint16(raw >> 32), uint16(raw >> 16), uint16(raw)}
		for _, c := range Guess(Block{InputRegister, asked, words}, asked, shown) {
			if math.IsNaN(c.Bits) || math.IsInf(c.Bits, 0) || c.Exact && math.Abs(c.Value-shown.Value) > shown.Half*(1+1e-6) {
				t.Errorf("%+v for %+v", c, shown)
			}
		}
	})
}
