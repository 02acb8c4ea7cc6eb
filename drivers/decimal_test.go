package drivers

import (
	"math"
	"testing"
)

func TestDecimals(t *testing.T) {
	f := func(s string, want Decimal, ok bool) {
		t.Helper()
		got, err := ParseDecimal(s)
		if got != want || (err == nil) != ok {
			t.Errorf("%q: %+v, %v", s, got, err)
		}
	}
	f("0.1", Decimal{1, -1}, true)
	f("-40", Decimal{-4, 1}, true)
	f("1e-3", Decimal{1, -3}, true)
	f("2.50", Decimal{25, -1}, true)
	f(".5", Decimal{5, -1}, true)
	f("0", Decimal{}, true)
	f("-0.05", Decimal{-5, -2}, true)
	for _, bad := range []string{"", ".", "-", "--1", "1e", "0x10", "1_000", "NaN", "1e99", "12345678901234567890", "1,5", "1e1e1", "+-1"} {
		f(bad, Decimal{}, false)
	}
	if p, ok := (Decimal{4, 1}).Mul(Decimal{1, -1}); !ok || p != (Decimal{4, 0}) {
		t.Errorf("40 × 0.1 = %+v %v", p, ok)
	}
	if _, ok := (Decimal{math.MaxInt64, 0}).Mul(Decimal{3, 0}); ok {
		t.Error("an overflow was not noticed")
	}
}
