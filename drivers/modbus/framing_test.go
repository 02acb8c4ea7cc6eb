package modbus

import "testing"

// TestEchoIsNoAnswer: an adapter that hears itself sends each request back before the answer. That of three bytes of bits at such an
// address has the form of an answer.
func TestEchoIsNoAnswer(t *testing.T) {
	for _, framing := range []Framing{RTU, ASCII} {
		f := newFramer(framing, 1)
		c := newCall(Request{Coil, 0x0305, 20})
		c.begin(f)
		if found, _ := f.find(c.adu, &c); found {
			t.Errorf("%v: % x was taken for the answer", framing, c.answer)
		}
		answer := f.frame([]byte{1, 3, 0xAA, 0xBB, 0x0C})
		c.begin(f)
		if found, _ := f.find(append(append([]byte{}, c.adu...), answer...), &c); !found || c.data()[0] != 0xAA {
			t.Errorf("%v: the answer behind the echo was not found: % x", framing, c.answer)
		}
	}
}
