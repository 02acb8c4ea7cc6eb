package modbus

import (
	"testing"
)

func FuzzIdentification(f *testing.F) {
	f.Add([]byte{14, 1, 1, 0, 0, 1, 0, 3, 'a', 'b', 'c'})
	f.Fuzz(func(t *testing.T, b []byte) {
		if id, err := parseIdentification(b); err != nil && id.Vendor != "" && len(b) < 8 {
			t.Errorf("%+v from % x", id, b)
		}
	})
}
