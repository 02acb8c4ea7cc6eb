package uplink

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/millgate/millgate/buffer"
	"github.com/millgate/millgate/drivers"
)

func reading(tag *drivers.Tag, v drivers.Value, at int64) drivers.Reading {
	return drivers.Reading{Tag: tag, Value: v, Quality: drivers.Good, Time: at}
}

func TestReadingsMessage(t *testing.T) {
	up := &drivers.Tag{Device: "meter-1", Name: "up", Index: 0}
	voltage := &drivers.Tag{Device: "meter-1", Name: "voltage_a", Index: 1}
	energy := &drivers.Tag{Device: "meter-1", Name: "energy_import", Index: 2}
	strokes := &drivers.Tag{Device: "press-7", Name: "strokes", Index: 3}
	pressure := &drivers.Tag{Device: "press-7", Name: "pressure", Index: 4}
	doubted := reading(strokes, drivers.UintValue(88121), 104)
	doubted.Quality, doubted.Cause = drivers.Uncertain, drivers.CauseSourceTime

	tests := []struct {
		name     string
		readings []drivers.Reading
		seen     []buffer.Seen
		want     string
	}{
		{"nothing", nil, nil, `[]`},
		{"one object for a device and a time",
			[]drivers.Reading{reading(up, drivers.BoolValue(true), 20), reading(voltage, drivers.Float32Value(230.1), 20), reading(energy, drivers.Float64Value(15230.4), 20)},
			nil, `[{"device":"meter-1","t":20,"values":{"up":true,"voltage_a":230.1,"energy_import":15230.4}}]`},
		{"order of tags does not part them",
			[]drivers.Reading{reading(energy, drivers.IntValue(-1), 20), reading(up, drivers.BoolValue(true), 20), reading(voltage, drivers.IntValue(2), 20)},
			nil, `[{"device":"meter-1","t":20,"values":{"energy_import":-1,"up":true,"voltage_a":2}}]`},
		{"bad and uncertain",
			[]drivers.Reading{doubted, drivers.BadReading(pressure, drivers.ModbusException(2), 104)}, []buffer.Seen{{Device: "oven-3", Time: 50}, {Device: "oven-4", Time: 51}},
			`[{"device":"press-7","t":104,"values":{"strokes":88121},"bad":{"pressure":"modbus_exception_2"},"uncertain":{"strokes":"source_time"}}],"seen":{"oven-3":50,"oven-4":51}`},
		{"only bad", []drivers.Reading{drivers.BadReading(pressure, drivers.CauseTimeout, 104), drivers.BadReading(strokes, drivers.CauseTimeout, 104)}, nil,
			`[{"device":"press-7","t":104,"bad":{"pressure":"timeout","strokes":"timeout"}}]`},
		{"another time, another device, back again",
			[]drivers.Reading{reading(up, drivers.BoolValue(true), 1), reading(up, drivers.BoolValue(false), 2), reading(strokes, drivers.IntValue(1), 2), reading(voltage, drivers.IntValue(2), 2)}, nil,
			`[{"device":"meter-1","t":1,"values":{"up":true}},{"device":"meter-1","t":2,"values":{"up":false}},{"device":"press-7","t":2,"values":{"strokes":1}},{"device":"meter-1","t":2,"values":{"voltage_a":2}}]`},
		{"a tag twice at one time",
			[]drivers.Reading{reading(up, drivers.BoolValue(true), 1), reading(voltage, drivers.IntValue(1), 1), reading(up, drivers.BoolValue(false), 1), reading(voltage, drivers.IntValue(2), 1)}, nil,
			`[{"device":"meter-1","t":1,"values":{"up":true,"voltage_a":1}},{"device":"meter-1","t":1,"values":{"up":false,"voltage_a":2}}]`},
		{"a bad tag twice, too",
			[]drivers.Reading{drivers.BadReading(up, drivers.CauseTimeout, 1), reading(up, drivers.BoolValue(false), 1)}, nil,
			`[{"device":"meter-1","t":1,"bad":{"up":"timeout"}},{"device":"meter-1","t":1,"values":{"up":false}}]`},
		{"nothing passes for good without a value or for bad without a cause",
			[]drivers.Reading{{Tag: up, Quality: drivers.Good, Time: 1}, {Tag: voltage, Quality: drivers.Uncertain, Time: 1}, {Tag: energy, Value: drivers.IntValue(7), Time: 1}}, nil,
			`[{"device":"meter-1","t":1,"bad":{"up":"internal","voltage_a":"internal","energy_import":"internal"}}]`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := &buffer.Block{Epoch: "01J8", Stream: buffer.Readings, Seq: 18231, Catalogue: "9f2c", Readings: tt.readings, Seen: tt.seen}
			want := `{"v":1,"stream":"readings","site":"hz-yuhang-0042","gateway":"gw-01","epoch":"01J8","seq":18231,"catalogue":"9f2c","readings":` + tt.want + `}`
			if got := string(AppendBlock(nil, testSelf, b)); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func TestEventsMessage(t *testing.T) {
	e := drivers.Event{Time: 1795406401020, Kind: drivers.EventEvicted, Severity: drivers.Severe, Subject: "uplink/province", Cause: drivers.CauseSize,
		Ref: &drivers.BlockRange{Stream: "readings", From: 100, To: 140}, Count: 51230, Text: drivers.EventText{ZH: "删除", EN: "dropped"}}
	b := &buffer.Block{Epoch: "01J8", Stream: buffer.Events, Seq: 77, Events: []drivers.Event{e, {Fields: []byte("{broken")}}}
	want := `{"v":1,"stream":"events","site":"hz-yuhang-0042","gateway":"gw-01","epoch":"01J8","seq":77,"events":[` +
		`{"t":1795406401020,"kind":"evicted","severity":"error","subject":"uplink/province","cause":"size","ref":{"stream":"readings","from":100,"to":140},"count":51230,"text":{"zh":"删除","en":"dropped"}},` +
		`{"t":0,"kind":"","severity":"","subject":"","text":{"zh":"","en":""}}]}`
	if got := string(AppendBlock(nil, testSelf, b)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestRoundTrip reads messages back and finds the block in them, reading by reading, in order.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := drawBlock(t)
		payload := AppendBlock([]byte("before"), testSelf, b)[len("before"):]
		if !json.Valid(payload) {
			t.Fatalf("not JSON: %s", payload)
		}
		m, err := ParseMessage(payload)
		if err != nil {
			t.Fatal(err)
		}
		if m.Stream != b.Stream || m.Site != testSelf.Site || m.Gateway != testSelf.Gateway || m.Epoch != b.Epoch || m.Seq != b.Seq || m.Catalogue != b.Catalogue {
			t.Fatalf("identity %+v of block %+v", m, b)
		}
		next := 0
		for _, o := range m.Readings {
			for n := len(o.Values) + len(o.Bad); n > 0; n-- {
				checkMember(t, &o, &b.Readings[next])
				next++
			}
		}
		if next != len(b.Readings) {
			t.Fatalf("%d of %d readings in %s", next, len(b.Readings), payload)
		}
		seen := map[string]int64{}
		for _, s := range b.Seen {
			seen[s.Device] = s.Time
		}
		if len(seen)+len(m.Seen) > 0 && !reflect.DeepEqual(seen, m.Seen) {
			t.Fatalf("seen %v, want %v", m.Seen, seen)
		}
	})
}

func checkMember(t *rapid.T, o *Object, r *drivers.Reading) {
	value, isValue := o.Values[r.Tag.Name]
	bad, isBad := o.Bad[r.Tag.Name]
	uncertain := o.Uncertain[r.Tag.Name]
	switch {
	case o.Device != r.Tag.Device || o.Time != r.Time:
		t.Fatalf("%v at %d stands in an object of %s at %d", r.Tag, r.Time, o.Device, o.Time)
	case r.Quality == drivers.Bad && (bad != r.Cause || isValue || uncertain != ""):
		t.Fatalf("%+v as bad %q, value %s", r, bad, value)
	case r.Quality == drivers.Good && (isBad || uncertain != ""):
		t.Fatalf("%+v as bad %q, uncertain %q", r, bad, uncertain)
	case r.Quality == drivers.Uncertain && uncertain != r.Cause:
		t.Fatalf("%+v as uncertain %q", r, uncertain)
	case r.Quality != drivers.Bad && string(value) != string(r.Value.AppendJSON(nil)):
		t.Fatalf("%+v as %s", r, value)
	}
}

func TestSameBlockSameBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		for _, b := range []*buffer.Block{drawBlock(t), drawEvents(t)} {
			first := AppendBlock(nil, testSelf, b)
			again := *b
			again.Readings = append([]drivers.Reading(nil), b.Readings...)
			if second := AppendBlock(make([]byte, 0, 7), testSelf, &again); !bytes.Equal(first, second) {
				t.Fatalf("first  %s\nsecond %s", first, second)
			}
		}
	})
}

// TestSizeStaysBelowBound holds the queue to its promise: it closes blocks by buffer.JSONSize, brokers have a limit.
func TestSizeStaysBelowBound(t *testing.T) {
	const envelope = 1024
	rapid.Check(t, func(t *rapid.T) {
		b := drawBlock(t)
		b.Seen = nil
		bound := envelope
		var prev *drivers.Reading
		for i := range b.Readings {
			r := &b.Readings[i]
			bound += buffer.JSONSize(prev, r)
			prev = r
			one := &buffer.Block{Epoch: b.Epoch, Stream: b.Stream, Seq: 1, Catalogue: b.Catalogue}
			empty := len(AppendBlock(nil, testSelf, one))
			one.Readings = []drivers.Reading{*r}
			if got, max := len(AppendBlock(nil, testSelf, one))-empty, buffer.JSONSize(nil, r); got > max {
				t.Fatalf("%s of type %s takes %d bytes, JSONSize says %d", r.Value, r.Value.Type(), got, max)
			}
		}
		if got := len(AppendBlock(nil, testSelf, b)); got > bound {
			t.Fatalf("%d bytes, promised %d", got, bound)
		}
	})
}

// typicalBlock is 100 tags of one device, over and over: what a block of a busy site looks like.
func typicalBlock() *buffer.Block {
	b := &buffer.Block{Epoch: testEpoch, Stream: buffer.Readings, Seq: 1, Catalogue: testCatalogue().Hash()}
	tags := make([]*drivers.Tag, 100)
	for i := range tags {
		tags[i] = &drivers.Tag{Device: "meter-1", Name: "energy_import_" + string(rune('a'+i%26)), Index: i}
	}
	for i := range 7000 {
		v := drivers.Float32Value(float32(230+math.Sin(float64(i))) * 1.0)
		switch i % 4 {
		case 1:
			v = drivers.Float64Value(float64(i) / 10)
		case 2:
			v = drivers.UintValue(uint64(i) * 1000)
		case 3:
			v = drivers.BoolValue(i%8 == 3)
		}
		b.Readings = append(b.Readings, reading(tags[i%100], v, 1795406401020+int64(i/100*1000)))
	}
	return b
}

func TestNoAllocationPerReading(t *testing.T) {
	b := typicalBlock()
	dst := AppendBlock(nil, testSelf, b)
	if n := testing.AllocsPerRun(10, func() { dst = AppendBlock(dst[:0], testSelf, b) }); n > 2 {
		t.Errorf("%v allocations for %d readings", n, len(b.Readings))
	}
}

func BenchmarkAppendReadings(bench *testing.B) {
	b := typicalBlock()
	var dst []byte
	for bench.Loop() {
		dst = AppendBlock(dst[:0], testSelf, b)
	}
	bench.ReportMetric(float64(bench.Elapsed().Nanoseconds())/float64(bench.N)/float64(len(b.Readings)), "ns/reading")
	bench.ReportMetric(float64(len(dst))/float64(len(b.Readings)), "B/reading")
}
