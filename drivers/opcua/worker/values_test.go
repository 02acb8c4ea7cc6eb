package worker

import (
	"math"
	"testing"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/opcua"
)

func decimal(t testing.TB, s string) drivers.Decimal {
	d, err := drivers.ParseDecimal(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func dataValue(v any) *ua.DataValue {
	if v == nil {
		return &ua.DataValue{Value: &ua.Variant{}}
	}
	return &ua.DataValue{EncodingMask: ua.DataValueValue, Value: ua.MustVariant(v)}
}

// roundTrip is v as it comes off the wire.
func roundTrip(t testing.TB, v any) *ua.DataValue {
	t.Helper()
	b, err := dataValue(v).Encode()
	if err != nil {
		t.Fatal(err)
	}
	dv := new(ua.DataValue)
	if _, err := dv.Decode(b); err != nil {
		t.Fatal(err)
	}
	return dv
}

func TestReader(t *testing.T) {
	day := time.Date(2026, 11, 24, 13, 0, 0, 5e6, time.UTC)
	id := ua.NewStringNodeID(2, "温度")
	nested := func(v any) *ua.Variant { return ua.MustVariant(v) }
	for _, c := range []struct {
		name  string
		sent  any
		point opcua.Point
		want  string // type and value, or the cause
	}{
		{"bool", true, opcua.Point{Type: drivers.TypeBool}, "bool true"},
		{"bool as a number", true, opcua.Point{Type: drivers.TypeUint64}, "uint64 1"},
		{"0 as bool", int16(0), opcua.Point{Type: drivers.TypeBool}, "bool false"},
		{"2 as bool", int16(2), opcua.Point{Type: drivers.TypeBool}, "type_mismatch"},
		{"1.0 as bool", 1.0, opcua.Point{Type: drivers.TypeBool}, "type_mismatch"},
		{"sbyte", int8(-128), opcua.Point{Type: drivers.TypeInt64}, "int64 -128"},
		{"byte", byte(255), opcua.Point{Type: drivers.TypeInt64}, "int64 255"},
		{"int16", int16(-5), opcua.Point{Type: drivers.TypeInt64}, "int64 -5"},
		{"negative as unsigned", int16(-5), opcua.Point{Type: drivers.TypeUint64}, "type_mismatch"},
		{"uint16", uint16(65535), opcua.Point{Type: drivers.TypeUint64}, "uint64 65535"},
		{"int32 as float32", int32(1 << 24), opcua.Point{Type: drivers.TypeFloat32}, "float32 16777216"},
		{"int32 that no float32 is", int32(1<<24 + 1), opcua.Point{Type: drivers.TypeFloat32}, "type_mismatch"},
		{"negative that no float32 is", int32(-1<<24 - 1), opcua.Point{Type: drivers.TypeFloat32}, "type_mismatch"},
		{"int64 as float64", int64(-1 << 53), opcua.Point{Type: drivers.TypeFloat64}, "float64 -9007199254740992"},
		{"int64 that no float64 is", int64(1<<53 + 1), opcua.Point{Type: drivers.TypeFloat64}, "type_mismatch"},
		{"least int64", int64(math.MinInt64), opcua.Point{Type: drivers.TypeFloat64}, "float64 -9223372036854776000"},
		{"greatest uint64", uint64(math.MaxUint64), opcua.Point{Type: drivers.TypeUint64}, "uint64 18446744073709551615"},
		{"greatest uint64 as int64", uint64(math.MaxUint64), opcua.Point{Type: drivers.TypeInt64}, "type_mismatch"},
		{"greatest uint64 as float64", uint64(math.MaxUint64), opcua.Point{Type: drivers.TypeFloat64}, "type_mismatch"},
		{"float", float32(0.1), opcua.Point{Type: drivers.TypeFloat32}, "float32 0.1"},
		{"float as double", float32(0.5), opcua.Point{Type: drivers.TypeFloat64}, "float64 0.5"},
		{"double as float", 0.1, opcua.Point{Type: drivers.TypeFloat32}, "float32 0.1"},
		{"double beyond float", 1e300, opcua.Point{Type: drivers.TypeFloat32}, "type_mismatch"},
		{"whole double as int64", -3.0, opcua.Point{Type: drivers.TypeInt64}, "int64 -3"},
		{"double as int64", 3.5, opcua.Point{Type: drivers.TypeInt64}, "type_mismatch"},
		{"large double as int64", 9.3e18, opcua.Point{Type: drivers.TypeInt64}, "type_mismatch"},
		{"large double as uint64", 9.5e18, opcua.Point{Type: drivers.TypeUint64}, "uint64 9500000000000000000"},
		{"NaN", math.NaN(), opcua.Point{Type: drivers.TypeFloat64}, "not_a_number"},
		{"Inf", float32(math.Inf(-1)), opcua.Point{Type: drivers.TypeFloat32}, "not_a_number"},
		{"NaN as int64", math.NaN(), opcua.Point{Type: drivers.TypeInt64}, "not_a_number"},
		{"NaN as text", math.NaN(), opcua.Point{Type: drivers.TypeText}, "not_a_number"},
		{"scaled", int16(2301), opcua.Point{Type: drivers.TypeFloat64, Scale: decimal(t, "0.1")}, "float64 230.1"},
		{"scaled with offset", uint16(40), opcua.Point{Type: drivers.TypeFloat64, Scale: decimal(t, "0.5"), Offset: decimal(t, "-40")}, "float64 -20"},
		{"scaled float", float32(2.5), opcua.Point{Type: drivers.TypeFloat32, Scale: decimal(t, "10")}, "float32 25"},
		{"scaled to whole", 1.5, opcua.Point{Type: drivers.TypeInt64, Scale: decimal(t, "1000")}, "int64 1500"},
		{"scaled NaN", math.NaN(), opcua.Point{Type: drivers.TypeFloat64, Scale: decimal(t, "10")}, "not_a_number"},
		{"text", "数控机床", opcua.Point{Type: drivers.TypeText}, "text 数控机床"},
		{"text as number", "12", opcua.Point{Type: drivers.TypeInt64}, "type_mismatch"},
		{"scaled text", "12", opcua.Point{Type: drivers.TypeText, Scale: decimal(t, "10")}, "type_mismatch"},
		{"broken text", "\xff", opcua.Point{Type: drivers.TypeText}, "invalid_text"},
		{"number as text", int32(-7), opcua.Point{Type: drivers.TypeText}, "text -7"},
		{"float as text", float32(0.1), opcua.Point{Type: drivers.TypeText}, "text 0.1"},
		{"bool as text", true, opcua.Point{Type: drivers.TypeText}, "text true"},
		{"LocalizedText", ua.NewLocalizedTextWithLocale("Executing", "en"), opcua.Point{Type: drivers.TypeText}, "text Executing"},
		{"empty LocalizedText", ua.NewLocalizedText(""), opcua.Point{Type: drivers.TypeText}, "text "},
		{"QualifiedName", &ua.QualifiedName{NamespaceIndex: 2, Name: "Axis"}, opcua.Point{Type: drivers.TypeText}, "text Axis"},
		{"ByteString", []byte("abc"), opcua.Point{Type: drivers.TypeText}, "text abc"},
		{"ByteString that is no text", []byte{0xff, 0}, opcua.Point{Type: drivers.TypeText}, "invalid_text"},
		{"byte of a ByteString", []byte{7, 8}, opcua.Point{Type: drivers.TypeInt64, Select: "[1]"}, "int64 8"},
		{"Guid", ua.NewGUID("1111AAAA-22BB-33CC-44DD-55EE77FF9900"), opcua.Point{Type: drivers.TypeText}, "text 1111AAAA-22BB-33CC-44DD-55EE77FF9900"},
		{"NodeId", id, opcua.Point{Type: drivers.TypeText}, "text ns=2;s=温度"},
		{"ExpandedNodeId", &ua.ExpandedNodeID{NodeID: ua.NewNumericNodeID(0, 84)}, opcua.Point{Type: drivers.TypeText}, "text i=84"},
		{"StatusCode", ua.StatusBadNodeIDUnknown, opcua.Point{Type: drivers.TypeText}, "text BadNodeIdUnknown"},
		{"good StatusCode", ua.StatusGood, opcua.Point{Type: drivers.TypeText}, "text Good"},
		{"StatusCode as number", ua.StatusBadNodeIDUnknown, opcua.Point{Type: drivers.TypeUint64}, "uint64 2150891520"},
		{"DateTime", day, opcua.Point{Type: drivers.TypeInt64}, "int64 1795525200005"},
		{"DateTime as text", day, opcua.Point{Type: drivers.TypeText}, "text 2026-11-24T13:00:00.005Z"},
		{"no DateTime", time.Time{}, opcua.Point{Type: drivers.TypeInt64}, "not_available"},
		{"DateTime of the year 1601", time.Unix(0, math.MinInt64), opcua.Point{Type: drivers.TypeText}, "not_available"},
		{"null", nil, opcua.Point{Type: drivers.TypeInt64}, "not_available"},
		{"element", []float32{1.5, 2.5, float32(math.NaN())}, opcua.Point{Type: drivers.TypeFloat32, Select: "[1]"}, "float32 2.5"},
		{"element that is no number", []float32{1.5, 2.5, float32(math.NaN())}, opcua.Point{Type: drivers.TypeFloat32, Select: "[2]"}, "not_a_number"},
		{"element that is not there", []float32{1.5}, opcua.Point{Type: drivers.TypeFloat32, Select: "[1]"}, "opcua_bad_index_range_no_data"},
		{"element of an empty array", []float32{}, opcua.Point{Type: drivers.TypeFloat32, Select: "[0]"}, "opcua_bad_index_range_no_data"},
		{"byte", ua.ByteArray{1, 2}, opcua.Point{Type: drivers.TypeUint64, Select: "[1]"}, "uint64 2"},
		{"text in an array", []string{"a", "b"}, opcua.Point{Type: drivers.TypeText, Select: "[1]"}, "text b"},
		{"whole array", []float32{1.5}, opcua.Point{Type: drivers.TypeFloat32}, "type_mismatch"},
		{"element of a scalar", int32(4), opcua.Point{Type: drivers.TypeInt64, Select: "[0]"}, "type_mismatch"},
		{"field of a scalar", int32(4), opcua.Point{Type: drivers.TypeInt64, Select: ".Load"}, "type_mismatch"},
		{"matrix", [][]int32{{1, 2, 3}, {4, 5, 6}}, opcua.Point{Type: drivers.TypeInt64, Select: "[1,2]"}, "int64 6"},
		{"matrix in two steps", [][]int32{{1, 2, 3}, {4, 5, 6}}, opcua.Point{Type: drivers.TypeInt64, Select: "[0][1]"}, "int64 2"},
		{"column of a matrix that is not there", [][]int32{{1, 2, 3}, {4, 5, 6}}, opcua.Point{Type: drivers.TypeInt64, Select: "[1,3]"}, "opcua_bad_index_range_no_data"},
		{"row of a matrix", [][]int32{{1, 2, 3}, {4, 5, 6}}, opcua.Point{Type: drivers.TypeInt64, Select: "[1]"}, "type_mismatch"},
		{"third index of a matrix", [][]int32{{1, 2, 3}, {4, 5, 6}}, opcua.Point{Type: drivers.TypeInt64, Select: "[1,2,0]"}, "type_mismatch"},
		{"variants", []*ua.Variant{nested(int32(3)), nested("x")}, opcua.Point{Type: drivers.TypeText, Select: "[1]"}, "text x"},
		{"array in a variant", []*ua.Variant{nested([]int32{3, 4})}, opcua.Point{Type: drivers.TypeInt64, Select: "[0][1]"}, "int64 4"},
		{"broken select", int32(4), opcua.Point{Type: drivers.TypeInt64, Select: "[0"}, "type_mismatch"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, q, cause := newReader(c.point, nil)(roundTrip(t, c.sent))
			got := v.Type().String() + " " + v.String()
			if q == drivers.Bad {
				got = string(cause)
			}
			if got != c.want || (q == drivers.Good) != (cause == "") || (q == drivers.Bad) != v.IsZero() {
				t.Errorf("got %s (%v, cause %q), want %s", got, q, cause, c.want)
			}
		})
	}
}

func TestReaderStatus(t *testing.T) {
	for _, c := range []struct {
		status  ua.StatusCode
		quality drivers.Quality
		cause   drivers.Cause
	}{
		{ua.StatusGood, drivers.Good, ""},
		{0x480, drivers.Good, ""},                 // the overflow bit
		{ua.StatusGoodOverload, drivers.Good, ""}, // a good one that is not 0
		{ua.StatusUncertain, drivers.Uncertain, "opcua_uncertain"},
		{ua.StatusUncertainLastUsableValue | 0x480, drivers.Uncertain, "opcua_uncertain_last_usable_value"},
		{ua.StatusUncertainDataSubNormal, drivers.Uncertain, "opcua_uncertain"},
		{ua.StatusBad, drivers.Bad, "opcua_bad"},
		{ua.StatusBadSensorFailure | 0x400, drivers.Bad, "opcua_bad_sensor_failure"},
		{ua.StatusBadEventIDUnknown, drivers.Bad, "opcua_bad"},
		{0xc0000000, drivers.Bad, "opcua_bad"}, // reserved
	} {
		dv := dataValue(int32(5))
		dv.Status = c.status
		v, q, cause := newReader(opcua.Point{Type: drivers.TypeInt64}, nil)(dv)
		if q != c.quality || cause != c.cause || (q == drivers.Bad) != v.IsZero() {
			t.Errorf("status %08X: %v %v %q, want %v %q", uint32(c.status), v, q, cause, c.quality, c.cause)
		}
	}
	dv := dataValue(math.NaN())
	dv.Status = ua.StatusUncertain
	if v, q, cause := newReader(opcua.Point{Type: drivers.TypeFloat64}, nil)(dv); !v.IsZero() || q != drivers.Bad || cause != drivers.CauseNotANumber {
		t.Errorf("an uncertain NaN: %v %v %q", v, q, cause)
	}
	for _, dv := range []*ua.DataValue{nil, {}} {
		if v, q, cause := newReader(opcua.Point{Type: drivers.TypeFloat64}, nil)(dv); !v.IsZero() || q != drivers.Bad || cause == "" {
			t.Errorf("no value at all: %v %v %q", v, q, cause)
		}
	}
}

// Every cause that the table gives is in the closed list.
func TestStatusCauses(t *testing.T) {
	known := map[drivers.Cause]bool{}
	for _, c := range drivers.Causes() {
		known[c.Cause] = true
	}
	for code, cause := range statusCauses {
		if !known[cause] || cause == causeBad || cause == causeUncertain {
			t.Errorf("%s: the cause %q is not in the list", statusText(code), cause)
		}
	}
	for _, cause := range []drivers.Cause{causeBad, causeUncertain, causeNoElement, causeUnknownStruct} {
		if !known[cause] {
			t.Errorf("the cause %q is not in the list", cause)
		}
	}
}

func TestReaderAllocatesNothing(t *testing.T) {
	for _, c := range []struct {
		sent  any
		point opcua.Point
	}{
		{1234567.25, opcua.Point{Type: drivers.TypeFloat64}},
		{float32(1234567.25), opcua.Point{Type: drivers.TypeFloat32}},
		{int32(1234567), opcua.Point{Type: drivers.TypeFloat64, Scale: decimal(t, "0.01")}},
		{uint64(1234567), opcua.Point{Type: drivers.TypeInt64}},
		{true, opcua.Point{Type: drivers.TypeBool}},
		{[]int16{1000, 2000}, opcua.Point{Type: drivers.TypeInt64, Select: "[1]"}},
	} {
		read, dv := newReader(c.point, nil), dataValue(c.sent)
		if n := testing.AllocsPerRun(100, func() { read(dv) }); n != 0 {
			t.Errorf("%v: %v allocations", c.sent, n)
		}
	}
}
