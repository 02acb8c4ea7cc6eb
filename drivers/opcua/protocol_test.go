package opcua_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/opcua"
)

var causes = func() (all []drivers.Cause) {
	for _, c := range drivers.Causes() {
		all = append(all, c.Cause)
	}
	return all
}()

func drawValue(t *rapid.T) drivers.Value {
	switch rapid.IntRange(0, 5).Draw(t, "type") {
	case 0:
		return drivers.BoolValue(rapid.Bool().Draw(t, "bool"))
	case 1:
		return drivers.IntValue(rapid.Int64().Draw(t, "int"))
	case 2:
		return drivers.UintValue(rapid.Uint64().Draw(t, "uint"))
	case 3:
		return drivers.Float32Value(rapid.Float32Range(-math.MaxFloat32, math.MaxFloat32).Draw(t, "float32"))
	case 4:
		return drivers.Float64Value(rapid.Float64Range(-math.MaxFloat64, math.MaxFloat64).Draw(t, "float64"))
	}
	return drivers.TextValue(rapid.String().Draw(t, "text"))
}

func drawReading(t *rapid.T, points uint32) opcua.BatchReading {
	r := opcua.BatchReading{
		Point: rapid.Uint32Range(0, points-1).Draw(t, "point"), Quality: drivers.Quality(rapid.IntRange(0, 2).Draw(t, "quality")),
		Time: rapid.Int64().Draw(t, "time"), Source: rapid.OneOf(rapid.Just(int64(0)), rapid.Int64()).Draw(t, "source"),
	}
	if r.Quality != drivers.Bad {
		r.Value = drawValue(t)
	}
	if r.Quality != drivers.Good {
		r.Cause = rapid.SampledFrom(causes).Draw(t, "cause")
	}
	return r
}

func drawBatch(t *rapid.T) opcua.Batch {
	b := opcua.Batch{
		Group: rapid.Uint32().Draw(t, "group"), Points: rapid.Uint32Range(1, math.MaxUint32).Draw(t, "points"), Call: rapid.Uint64().Draw(t, "call"),
		Cause: rapid.OneOf(rapid.Just(drivers.Cause("")), rapid.SampledFrom(causes)).Draw(t, "cause"), Error: rapid.String().Draw(t, "error"),
	}
	b.Readings = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) opcua.BatchReading { return drawReading(t, b.Points) }), 0, 20).Draw(t, "readings")
	b.Lost = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) drivers.CauseCount {
		return drivers.CauseCount{Cause: rapid.SampledFrom(causes).Draw(t, "cause"), N: rapid.Uint64().Draw(t, "n")}
	}), 0, 3).Draw(t, "lost")
	for range rapid.IntRange(0, 2).Draw(t, "events") {
		b.Events = append(b.Events, drivers.Event{Time: rapid.Int64().Draw(t, "at"), Kind: drivers.EventClockOffset, Text: drivers.EventText{ZH: "钟", EN: "clock"}})
	}
	return b
}

// same compares batches; nil and empty slices are the same.
func same(a, b opcua.Batch) bool {
	norm := func(b *opcua.Batch) {
		b.Readings, b.Lost, b.Events = append([]opcua.BatchReading{}, b.Readings...), append([]drivers.CauseCount{}, b.Lost...), append([]drivers.Event{}, b.Events...)
	}
	norm(&a)
	norm(&b)
	return reflect.DeepEqual(a, b)
}

func TestBatchRoundTrip(t *testing.T) {
	var got opcua.Batch // reused, as the gateway does
	rapid.Check(t, func(t *rapid.T) {
		b := drawBatch(t)
		body, err := b.Append([]byte("before"))
		if err != nil {
			t.Fatal(err)
		}
		body = bytes.TrimPrefix(body, []byte("before"))
		if err := got.Decode(body); err != nil || !same(b, got) {
			t.Fatalf("%v\n%+v\n%+v", err, b, got)
		}
		cut := rapid.IntRange(0, len(body)-1).Draw(t, "cut")
		if got.Decode(body[:cut]) == nil {
			t.Fatalf("the first %d of %d bytes are decoded", cut, len(body))
		}
	})
}

// TestBatchRefused: what is not a batch is refused by the worker, before the gateway would end it for that.
func TestBatchRefused(t *testing.T) {
	good := opcua.BatchReading{Point: 1, Quality: drivers.Good, Value: drivers.BoolValue(true)}
	for name, change := range map[string]func(*opcua.BatchReading){
		"no such point":           func(r *opcua.BatchReading) { r.Point = 2 },
		"good without value":      func(r *opcua.BatchReading) { r.Value = drivers.Value{} },
		"good with cause":         func(r *opcua.BatchReading) { r.Cause = drivers.CauseSilent },
		"bad with value":          func(r *opcua.BatchReading) { r.Quality, r.Cause = drivers.Bad, drivers.CauseSilent },
		"uncertain without cause": func(r *opcua.BatchReading) { r.Quality = drivers.Uncertain },
		"no such quality":         func(r *opcua.BatchReading) { r.Quality, r.Cause = 3, drivers.CauseSilent },
	} {
		r := good
		change(&r)
		b := opcua.Batch{Points: 2, Readings: []opcua.BatchReading{good, r}}
		if _, err := b.Append(nil); err == nil {
			t.Errorf("%s: encoded", name)
		}
	}
	b := opcua.Batch{Points: 2, Readings: make([]opcua.BatchReading, opcua.MaxReadings+1)}
	for i := range b.Readings {
		b.Readings[i] = good
	}
	if _, err := b.Append(nil); err == nil {
		t.Error("too many readings: encoded")
	}
	b.Points = opcua.MaxReadings + 1
	body, err := b.Append(nil)
	if err == nil {
		err = b.Decode(body)
	}
	if err != nil || len(b.Readings) != opcua.MaxReadings+1 {
		t.Errorf("a group of many points: %v", err)
	}
	b = opcua.Batch{Points: 2, Cause: "made_up"}
	if body, err = b.Append(nil); err == nil {
		err = b.Decode(body)
	}
	if err != nil || b.Cause != drivers.CauseInternal {
		t.Errorf("a cause that is not on the list is %q, %v", b.Cause, err)
	}
}

func TestFrames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var pipe bytes.Buffer
		bodies := rapid.SliceOfN(rapid.SliceOf(rapid.Byte()), 1, 5).Draw(t, "bodies")
		if rapid.Bool().Draw(t, "long") {
			bodies = append(bodies, bytes.Repeat([]byte{7}, rapid.IntRange(1<<20-1, 1<<20+2).Draw(t, "length")), []byte{1})
		}
		for i, body := range bodies {
			if err := opcua.WriteFrame(&pipe, byte(i), body); err != nil {
				t.Fatal(err)
			}
		}
		cut := pipe.Len() - rapid.IntRange(1, len(bodies[len(bodies)-1])+4).Draw(t, "cut")
		short := bytes.NewReader(bytes.Clone(pipe.Bytes()[:cut]))
		var buffer []byte
		for i, want := range bodies {
			kind, body, err := opcua.ReadFrame(&pipe, &buffer)
			if err != nil || kind != byte(i) || !bytes.Equal(body, want) {
				t.Fatalf("frame %d: %d %d %v", i, kind, len(body), err)
			}
		}
		if _, _, err := opcua.ReadFrame(&pipe, &buffer); err != io.EOF {
			t.Fatalf("at the end: %v", err)
		}
		for i := range bodies {
			if _, _, err := opcua.ReadFrame(short, &buffer); (err == nil) != (i < len(bodies)-1) || err == io.EOF {
				t.Fatalf("frame %d of a cut pipe: %v", i, err)
			}
		}
	})
	if err := opcua.WriteFrame(io.Discard, 'x', make([]byte, 64<<20)); err == nil {
		t.Error("a frame without measure was written")
	}
	for _, head := range []string{"\x00\x00\x00\x00x", "\x01\x00\x00\x04x", "HTTP/1.1"} {
		if _, _, err := opcua.ReadFrame(bytes.NewReader([]byte(head)), new([]byte)); err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q: %v", head, err)
		}
	}
}

// TestBelievedLength: a length costs memory only as far as its bytes come.
func TestBelievedLength(t *testing.T) {
	var buffer []byte
	if _, _, err := opcua.ReadFrame(bytes.NewReader([]byte("\x00\x00\x00\x04x1234")), &buffer); !errors.Is(err, io.ErrUnexpectedEOF) || cap(buffer) > 4<<20 {
		t.Errorf("%v, %d bytes", err, cap(buffer))
	}
}

func TestOrderRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := opcua.Order{rapid.Uint32().Draw(t, "g"), rapid.Uint64().Draw(t, "c"), rapid.Uint64().Draw(t, "d"), rapid.Uint32().Draw(t, "t")}
		body := o.Append(nil)
		if got, err := opcua.DecodeOrder(body); err != nil || got != o {
			t.Fatalf("%+v %v", got, err)
		}
		if _, err := opcua.DecodeOrder(body[1:]); err == nil {
			t.Fatal("a short order was decoded")
		}
	})
}

// TestSetupRoundTrip: what is not told in the setup must be known to be left out.
func TestSetupRoundTrip(t *testing.T) {
	s := opcua.Setup{
		Server: opcua.Server{
			Endpoint: "opc.tcp://a:4840", Policy: opcua.Basic256Sha256, Mode: opcua.Sign, User: opcua.User{Name: "n", CertFile: "c", KeyFile: "k"},
			AllowDeprecated: true, AllowPlainPassword: true, AllowTransfer: true, ApplicationURI: "urn:a", Trust: "/t", Timeout: 1, SessionTimeout: 2,
			Publishing: 3, Clock: opcua.Clock{Ignore: true, Zone: "Asia/Shanghai", MaxError: time.Minute},
		},
		Password: "p",
		Groups: []opcua.GroupSetup{{
			Device: "d", Interval: 5, Polled: true, Names: []string{"x"}, Since: 6, Reason: drivers.CauseWorkerCrash, Last: []int64{7},
			Points: []opcua.Point{{
				Node: "nsu=http://x;s=y", Select: "[3]", Type: drivers.TypeInt64, Scale: drivers.Decimal{Mantissa: 1, Exponent: -3}, Offset: drivers.Decimal{Mantissa: -2},
				Sampling: 8, Queue: 9, DiscardNewest: true, Deadband: 0.5,
			}},
		}},
	}
	var got opcua.Setup
	body, err := json.Marshal(s)
	if err == nil {
		err = json.Unmarshal(body, &got)
	}
	if err != nil || !reflect.DeepEqual(s, got) {
		t.Errorf("%v\n%+v\n%+v", err, s, got)
	}
}

func FuzzBatch(f *testing.F) {
	for _, b := range []opcua.Batch{
		{Group: 1, Points: 2, Call: 3, Cause: drivers.CauseSilent, Error: "x"},
		{Points: 3, Call: 1, Readings: []opcua.BatchReading{
			{Point: 0, Quality: drivers.Good, Value: drivers.Float64Value(1.5), Time: fakeStamp},
			{Point: 1, Cause: drivers.CauseNotANumber, Time: fakeStamp},
			{Point: 2, Quality: drivers.Uncertain, Cause: drivers.CauseSourceTime, Value: drivers.TextValue("é"), Time: fakeStamp, Source: 5},
			{Point: 2, Quality: drivers.Good, Value: drivers.IntValue(-5), Time: fakeStamp + 1},
		}},
		{Points: 1, Lost: []drivers.CauseCount{{Cause: drivers.CauseGap, N: 7}}, Events: []drivers.Event{{Kind: drivers.EventNodeBack}}},
	} {
		body, err := b.Append(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var b, again opcua.Batch
		if b.Decode(body) != nil {
			return
		}
		body, err := b.Append(nil)
		if err == nil {
			err = again.Decode(body)
		}
		if err != nil || !same(b, again) {
			t.Fatalf("%v\n%+v\n%+v", err, b, again)
		}
	})
}

func FuzzFrame(f *testing.F) {
	f.Add([]byte("\x03\x00\x00\x00sab\x01\x00\x00\x00R"))
	f.Add([]byte("\x00\x00\x00\x04x1234"))
	f.Fuzz(func(t *testing.T, pipe []byte) {
		var buffer []byte
		from := bytes.NewReader(pipe)
		for at := 0; ; {
			kind, body, err := opcua.ReadFrame(from, &buffer)
			if err != nil {
				return
			}
			var same bytes.Buffer
			if err := opcua.WriteFrame(&same, kind, body); err != nil || !bytes.HasPrefix(pipe[at:], same.Bytes()) {
				t.Fatalf("%v at %d", err, at)
			}
			at += same.Len()
		}
	})
}

func FuzzOrder(f *testing.F) {
	f.Add(opcua.Order{Group: 1, Call: 2, Committed: 3, Timeout: 4}.Append(nil))
	f.Fuzz(func(t *testing.T, body []byte) {
		if o, err := opcua.DecodeOrder(body); err == nil && !bytes.Equal(o.Append(nil), body) {
			t.Fatalf("%+v", o)
		}
	})
}
