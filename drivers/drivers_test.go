package drivers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestValueText(t *testing.T) {
	f := func(v Value, json, text string) {
		t.Helper()
		if got := string(v.AppendJSON(nil)); got != json {
			t.Errorf("JSON %s, want %s", got, json)
		}
		if got := v.String(); got != text {
			t.Errorf("text %s, want %s", got, text)
		}
	}
	f(Value{}, "null", "-")
	f(BoolValue(true), "true", "true")
	f(IntValue(-5), "-5", "-5")
	f(UintValue(math.MaxUint64), "18446744073709551615", "18446744073709551615")
	f(Float32Value(230.1), "230.1", "230.1") // not 230.10000610351562
	f(Float64Value(230.1), "230.1", "230.1")
	f(Float64Value(1e-7), "1e-07", "1e-07")
	f(Float64Value(1e21), "1e+21", "1e+21")
	f(Float64Value(100), "100", "100")
	f(TextValue("a\"\n余"), `"a\"\n余"`, "a\"\n余")
}

func TestNothingInvalidIsAValue(t *testing.T) {
	for i, v := range []Value{
		Float32Value(float32(math.NaN())), Float64Value(math.Inf(1)), Float64Value(math.Inf(-1)), TextValue("\xff"),
		ValueFromBits(TypeBool, 2), ValueFromBits(TypeFloat32, 1<<40), ValueFromBits(TypeFloat64, math.Float64bits(math.NaN())),
		ValueFromBits(TypeText, 0), ValueFromBits(99, 0),
	} {
		if !v.IsZero() {
			t.Errorf("value %d is %v", i, v)
		}
	}
}

func TestBitsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bits := rapid.Uint64().Draw(t, "bits")
		typ := Type(rapid.IntRange(int(TypeBool), int(TypeFloat64)).Draw(t, "type"))
		v := ValueFromBits(typ, bits)
		if v.IsZero() {
			return
		}
		if v.Type() != typ || v.Bits() != bits || ValueFromBits(v.Type(), v.Bits()) != v {
			t.Fatalf("%v of type %v, bits %x, want %v %x", v, v.Type(), v.Bits(), typ, bits)
		}
		if !json.Valid(v.AppendJSON(nil)) {
			t.Fatalf("%s is no JSON", v.AppendJSON(nil))
		}
	})
}

func TestNames(t *testing.T) {
	for k := range Text + 1 {
		if got, ok := ParseKind(k.String()); !ok || got != k {
			t.Errorf("kind %d", k)
		}
	}
	for typ := range TypeText + 1 {
		if got, ok := ParseType(typ.String()); !ok || got != typ {
			t.Errorf("type %d", typ)
		}
	}
	if _, ok := ParseKind("guage"); ok || Kind(99).String() != "invalid" || Good.String() != "good" {
		t.Error("a name that is none")
	}
}

func TestCauses(t *testing.T) {
	seen := map[Cause]bool{}
	for _, c := range Causes() {
		if seen[c.Cause] || c.EN == "" || c.ZH == "" {
			t.Errorf("%+v", c)
		}
		seen[c.Cause] = true
	}
	for _, c := range []Cause{CauseTimeout, CauseBackOff, CauseSize, ModbusException(2)} {
		if !seen[c] {
			t.Errorf("%s is not listed", c)
		}
	}
	wrapped := fmt.Errorf("outer: %w", &Error{CauseRefused, errors.New("inner")})
	if CauseOf(wrapped) != CauseRefused || CauseOf(context.DeadlineExceeded) != CauseTimeout || CauseOf(errors.New("x")) != CauseInternal {
		t.Error("causes of errors")
	}
}

func TestMillisTruncates(t *testing.T) {
	if got := Millis(time.UnixMicro(1_999)); got != 1 {
		t.Errorf("got %d", got)
	}
}
