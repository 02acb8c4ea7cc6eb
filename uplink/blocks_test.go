package uplink

import (
	"math"

	"pgregory.net/rapid"

	"github.com/millgate/millgate/buffer"
	"github.com/millgate/millgate/drivers"
)

var testSelf = Self{Site: "hz-yuhang-0042", Gateway: "gw-01", Version: "1.0.0"}

const testEpoch = "01J8XGJ6M7B3N2K5Q4R9T0V1W8"

// testCatalogue has three devices with a tag of each type.
func testCatalogue() *buffer.Catalogue {
	c := &buffer.Catalogue{V: 1, Site: testSelf.Site, Gateway: testSelf.Gateway, Timezone: "Asia/Shanghai"}
	deadband := 0.5
	for _, id := range []string{"meter-1", "press-7", "oven-3"} {
		c.Devices = append(c.Devices, buffer.CatalogueDevice{ID: id, Name: "一号", Protocol: "modbus", Map: "chint-dtsu666@1", Tags: []buffer.CatalogueTag{
			buffer.UpTag(),
			{Name: "strokes", Kind: "counter", Type: "int64", Interval: 1000},
			{Name: "total", Kind: "counter", Type: "uint64", Interval: 1000},
			{Name: "voltage_a", Label: "A 相电压", Unit: "V", Kind: "gauge", Type: "float32", Interval: 1000, Deadband: &deadband, MaxSilence: 60000},
			{Name: "energy_import", Unit: "kW.h", Kind: "counter", Type: "float64", Interval: 1000},
			{Name: "program", Kind: "text", Type: "text", Interval: 1000},
		}})
	}
	return c
}

func testTags() []*drivers.Tag {
	tags, err := testCatalogue().Tags()
	if err != nil {
		panic(err)
	}
	return tags
}

// drawBlock is any block that the queue could hand out.
func drawBlock(t *rapid.T) *buffer.Block {
	b := &buffer.Block{Epoch: testEpoch, Stream: buffer.Readings, Seq: rapid.Uint64Min(1).Draw(t, "seq"), Catalogue: testCatalogue().Hash()}
	tags := testTags()
	at := int64(1795406401020)
	for range rapid.IntRange(0, 60).Draw(t, "readings") {
		if rapid.IntRange(0, 5).Draw(t, "later") == 0 {
			at += rapid.Int64Range(-5, 2000).Draw(t, "by")
		}
		b.Readings = append(b.Readings, drawReading(t, rapid.SampledFrom(tags).Draw(t, "tag"), at))
	}
	for _, device := range []string{"meter-1", "press-7", "oven-3"} {
		if rapid.Bool().Draw(t, "seen") {
			b.Seen = append(b.Seen, buffer.Seen{Device: device, Time: at})
		}
	}
	return b
}

func drawReading(t *rapid.T, tag *drivers.Tag, at int64) drivers.Reading {
	value := drawValue(t, tag.Type)
	switch {
	case value.IsZero() || rapid.IntRange(0, 9).Draw(t, "bad") == 0:
		return drivers.BadReading(tag, drivers.ModbusException(2), at)
	case rapid.IntRange(0, 9).Draw(t, "uncertain") == 0:
		return drivers.Reading{Tag: tag, Value: value, Quality: drivers.Uncertain, Cause: drivers.CauseSourceTime, Time: at, SourceTime: 1}
	}
	return drivers.Reading{Tag: tag, Value: value, Quality: drivers.Good, Time: at}
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
		return drivers.Float32Value(rapid.OneOf(rapid.Float32(), rapid.Map(rapid.Uint32(), math.Float32frombits)).Draw(t, "float32"))
	case drivers.TypeFloat64:
		return drivers.Float64Value(rapid.OneOf(rapid.Float64(), rapid.Map(rapid.Uint64(), math.Float64frombits), meterFloat()).Draw(t, "float64"))
	default:
		return drivers.TextValue(rapid.String().Draw(t, "text"))
	}
}

// meterFloat is a decimal as meters have it, or one of its two neighbours.
func meterFloat() *rapid.Generator[float64] {
	return rapid.Custom(func(t *rapid.T) float64 {
		f := float64(rapid.Int64Range(0, 999_999).Draw(t, "thousandths")) / 1000
		return rapid.SampledFrom([]float64{f, math.Nextafter(f, math.Inf(1)), math.Nextafter(f, math.Inf(-1))}).Draw(t, "neighbour")
	})
}

func drawEvents(t *rapid.T) *buffer.Block {
	b := &buffer.Block{Epoch: testEpoch, Stream: buffer.Events, Seq: rapid.Uint64Min(1).Draw(t, "seq")}
	for range rapid.IntRange(0, 5).Draw(t, "events") {
		e := drivers.Event{
			Time:     rapid.Int64Range(0, 1<<42).Draw(t, "t"),
			Kind:     rapid.SampledFrom([]drivers.EventKind{drivers.EventDeviceDown, drivers.EventEvicted, drivers.EventLedger}).Draw(t, "kind"),
			Severity: rapid.SampledFrom([]drivers.Severity{drivers.Info, drivers.Warning, drivers.Severe}).Draw(t, "severity"),
			Subject:  "device/" + rapid.StringMatching(`[a-z0-9-]{1,8}`).Draw(t, "subject"),
			Text:     drivers.EventText{ZH: rapid.String().Draw(t, "zh"), EN: rapid.String().Draw(t, "en")},
		}
		if rapid.Bool().Draw(t, "evicted") {
			e.Cause, e.Count = drivers.CauseSize, rapid.Uint64Min(1).Draw(t, "count")
			e.Ref = &drivers.BlockRange{Stream: "readings", From: 100, To: 140}
			e.Fields = []byte(`{"free_bytes":12}`)
		}
		b.Events = append(b.Events, e)
	}
	return b
}
