package buffer

import (
	"encoding/hex"
	"fmt"
	"math"
	"reflect"
	"testing"

	"github.com/oklog/ulid/v2"
	"pgregory.net/rapid"

	"github.com/millgate/millgate/drivers"
)

// testCatalogue describes devices with one tag of each type, "up" first, and then more gauges.
func testCatalogue(devices, gauges int) *Catalogue {
	c := &Catalogue{V: 1, Site: "site", Gateway: "gw", Timezone: "Asia/Shanghai"}
	for d := range devices {
		dev := CatalogueDevice{ID: fmt.Sprintf("device-%d", d), Protocol: "modbus", Tags: []CatalogueTag{UpTag()}}
		for _, t := range []string{"int64", "uint64", "float32", "float64", "text"} {
			dev.Tags = append(dev.Tags, CatalogueTag{Name: "tag_" + t, Kind: "gauge", Type: t, Unit: "V", Interval: 1000})
		}
		for g := range gauges {
			dev.Tags = append(dev.Tags, CatalogueTag{Name: fmt.Sprintf("gauge_%d", g), Kind: "gauge", Type: "float64", Interval: 1000})
		}
		c.Devices = append(c.Devices, dev)
	}
	return c
}

func drawValue(t *rapid.T, typ drivers.Type) drivers.Value {
	switch typ {
	case drivers.TypeBool:
		return drivers.BoolValue(rapid.Bool().Draw(t, "bool"))
	case drivers.TypeInt64:
		return drivers.IntValue(rapid.Int64().Draw(t, "int"))
	case drivers.TypeUint64:
		return drivers.UintValue(rapid.Uint64().Draw(t, "uint"))
	case drivers.TypeFloat32:
		if rapid.Bool().Draw(t, "short") {
			return drivers.Float32Value(float32(rapid.IntRange(-99999, 99999).Draw(t, "tenths")) / 10)
		}
		return drivers.Float32Value(rapid.Float32().Draw(t, "float32"))
	case drivers.TypeFloat64:
		if rapid.Bool().Draw(t, "short") {
			return drivers.Float64Value(float64(rapid.IntRange(-99999, 99999).Draw(t, "hundredths")) / 100)
		}
		return drivers.Float64Value(rapid.OneOf(rapid.Float64(), rapid.Just(math.Copysign(0, -1))).Draw(t, "float64"))
	default:
		return drivers.TextValue(rapid.String().Draw(t, "text"))
	}
}

func drawReading(t *rapid.T, cat *catalogue) drivers.Reading {
	tag := cat.tags[rapid.IntRange(0, len(cat.tags)-1).Draw(t, "tag")]
	r := drivers.Reading{Tag: tag, Time: rapid.Int64Range(-1<<40, 1<<50).Draw(t, "time")}
	r.Quality = rapid.SampledFrom([]drivers.Quality{drivers.Good, drivers.Good, drivers.Good, drivers.Uncertain, drivers.Bad}).Draw(t, "quality")
	if r.Quality != drivers.Good {
		r.Cause = rapid.SampledFrom([]drivers.Cause{drivers.CauseTimeout, drivers.CauseSourceTime, "modbus_exception_77"}).Draw(t, "cause")
	}
	if r.Quality != drivers.Bad {
		typ := tag.Type
		if rapid.IntRange(0, 9).Draw(t, "other") == 0 {
			typ = drivers.TypeInt64
		}
		r.Value = drawValue(t, typ)
		if r.Value.IsZero() { // a drawn NaN or infinity
			r.Value = drivers.IntValue(1)
		}
	}
	if rapid.IntRange(0, 9).Draw(t, "sourced") == 0 {
		r.SourceTime = rapid.Int64Range(1, 1<<50).Draw(t, "source time")
	}
	return r
}

func TestBlockComesBackAsItWas(t *testing.T) {
	cat, err := newCatalogue(testCatalogue(3, 2).JSON())
	if err != nil {
		t.Fatal(err)
	}
	codec, err := newCodec() // shared by all cases: a block must not depend on the one before
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		b := &Block{Epoch: ulid.Make().String(), Stream: Readings, Seq: rapid.Uint64().Draw(t, "seq"), Catalogue: cat.hash}
		for range rapid.IntRange(0, 60).Draw(t, "readings") {
			b.Readings = append(b.Readings, drawReading(t, cat))
		}
		for _, d := range rapid.SliceOfNDistinct(rapid.IntRange(0, 2), 0, 3, rapid.ID[int]).Draw(t, "seen") {
			b.Seen = append(b.Seen, Seen{Device: cat.devices[d], Time: rapid.Int64().Draw(t, "seen at")})
		}
		if rapid.IntRange(0, 3).Draw(t, "begins") == 0 {
			b.Started = rapid.Int64().Draw(t, "started")
		}
		stored, err := codec.encode(nil, b, cat)
		if err != nil {
			t.Fatal(err)
		}
		again, err := codec.encode(nil, b, cat)
		if err != nil || string(again) != string(stored) {
			t.Fatalf("the same block gave other bytes (error %v)", err)
		}
		got, err := codec.decode(stored, func(string) (*catalogue, error) { return cat, nil })
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, b) {
			t.Fatalf("got %+v\nwant %+v", got, b)
		}
	})
}

func TestDamagedBlockIsNeverDecoded(t *testing.T) {
	cat, codec, stored := storedBlock(t)
	for i := range stored {
		for bit := range 8 {
			damaged := append([]byte(nil), stored...)
			damaged[i] ^= 1 << bit
			if _, err := codec.decode(damaged, func(string) (*catalogue, error) { return cat, nil }); err == nil {
				t.Fatalf("byte %d bit %d flipped, and the block still decodes", i, bit)
			}
		}
	}
	for n := range stored {
		if _, err := codec.decode(stored[:n], func(string) (*catalogue, error) { return cat, nil }); err == nil {
			t.Fatalf("cut to %d bytes, and the block still decodes", n)
		}
	}
}

func storedBlock(t testing.TB) (*catalogue, *codec, []byte) {
	t.Helper()
	cat, err := newCatalogue(testCatalogue(2, 2).JSON())
	if err != nil {
		t.Fatal(err)
	}
	codec, err := newCodec()
	if err != nil {
		t.Fatal(err)
	}
	b := &Block{Epoch: ulid.Make().String(), Stream: Readings, Seq: 7, Catalogue: cat.hash, Seen: []Seen{{"device-1", 1795406401050}}}
	for i, tag := range cat.tags[:8] {
		b.Readings = append(b.Readings, drivers.Reading{Tag: tag, Time: 1795406401020, Quality: drivers.Good, Value: drivers.Float64Value(float64(i) * 1.1)})
	}
	stored, err := codec.encode(nil, b, cat)
	if err != nil {
		t.Fatal(err)
	}
	return cat, codec, stored
}

// FuzzColumns feeds the column decoder bytes that no CRC has vouched for.
func FuzzColumns(f *testing.F) {
	cat, codec, stored := storedBlock(f)
	raw, err := codec.dec.DecodeAll(stored[headerSize:], nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw, 8)
	f.Add([]byte{}, 0)
	f.Add(append(raw[:len(raw):len(raw)], 42), 8) // the first block of a run
	f.Fuzz(func(t *testing.T, raw []byte, n int) {
		var b Block
		if n < 0 || n > 1<<20 || codec.columns.decode(raw, n, &b, cat) != nil {
			return
		}
		for i := range b.Readings {
			if r := &b.Readings[i]; r.Tag == nil || (r.Value.IsZero() && r.Tag.Type == drivers.TypeNone) {
				t.Fatalf("reading %d decoded to %+v", i, *r)
			}
		}
	})
}

// FuzzBlock feeds whole stored blocks.
func FuzzBlock(f *testing.F) {
	cat, codec, stored := storedBlock(f)
	f.Add(stored)
	f.Add([]byte(blockMagic))
	report := shiftReport("2026-11-22/day", 2, 7)
	reported, err := codec.encode(nil, &Block{Epoch: ulid.Make().String(), Stream: KPIs, Seq: 7, Catalogue: cat.hash, Report: &report}, cat)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(reported)
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := codec.decode(data, func(hash string) (*catalogue, error) {
			if hash != cat.hash {
				return nil, errDamaged
			}
			return cat, nil
		})
		if err == nil && (b.Epoch == "" || hex.EncodeToString(data[33:49]) != b.Catalogue) {
			t.Fatalf("decoded %+v", b)
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	cat, err := newCatalogue(testCatalogue(100, 94).JSON())
	if err != nil {
		b.Fatal(err)
	}
	codec, err := newCodec()
	if err != nil {
		b.Fatal(err)
	}
	block := &Block{Epoch: ulid.Make().String(), Stream: Readings, Seq: 7, Catalogue: cat.hash}
	for i, tag := range cat.tags {
		r := drivers.Reading{Tag: tag, Time: 1795406401020, Quality: drivers.Good, Value: drivers.Float64Value(float64(2200+i*7919%200) / 10)}
		switch tag.Type {
		case drivers.TypeFloat32:
			r.Value = drivers.Float32Value(float32(i) * 1.2345678)
		case drivers.TypeUint64:
			r.Value = drivers.UintValue(uint64(i * 1001))
		}
		block.Readings = append(block.Readings, r)
	}
	var stored []byte
	for b.Loop() {
		if stored, err = codec.encode(stored[:0], block, cat); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(stored))/float64(len(block.Readings)), "B/reading")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(block.Readings)), "ns/reading")
}
