package modbussim

import (
	"bytes"
	"testing"

	"github.com/millgate/millgate/drivers/modbus"
)

func ask(u *Unit, pdu ...byte) []byte {
	request := append([]byte{0, 1, 0, 0, 0, byte(1 + len(pdu)), 9}, pdu...)
	return u.answer(nil, request)[7:]
}

func TestAnswers(t *testing.T) {
	u := &Unit{}
	u.SetRegisters(modbus.HoldingRegister, 0xff, []uint16{0x0102, 0x0304})
	u.SetRegisters(modbus.Coil, 0, []uint16{1, 0, 1, 1, 0, 0, 0, 0, 1})
	f := func(want []byte, pdu ...byte) {
		t.Helper()
		if got := ask(u, pdu...); !bytes.Equal(got, want) {
			t.Errorf("% x: got % x, want % x", pdu, got, want)
		}
	}
	f([]byte{3, 4, 1, 2, 3, 4}, 3, 0, 0xff, 0, 2)
	f([]byte{1, 2, 0b1101, 1}, 1, 0, 0, 0, 9)
	f([]byte{0x83, illegalAddress}, 3, 0, 0xfe, 0, 2)
	f([]byte{0x84, illegalAddress}, 4, 0, 0xff, 0, 1)
	f([]byte{0x83, illegalAddress}, 3, 0xff, 0xff, 0, 2)
	f([]byte{0x83, illegalValue}, 3, 0, 0, 0, 126)
	f([]byte{0x83, illegalValue}, 3, 0, 0, 0, 0)
	f([]byte{0x86, illegalFunction}, 6, 0, 0, 0, 1)
	f([]byte{0x83, illegalFunction}, 3, 0, 0)
	u.Limit(1)
	f([]byte{0x83, illegalValue}, 3, 0, 0xff, 0, 2)
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte{0, 1, 0, 0, 0, 6, 1, 3, 0, 0, 0, 2})
	f.Add([]byte{0, 1, 0, 0, 0, 5, 1, 43, 14, 1, 0})
	u := &Unit{}
	u.SetRegisters(modbus.HoldingRegister, 0, make([]uint16, 200))
	f.Fuzz(func(t *testing.T, b []byte) {
		in, buf := bytes.NewReader(b), make([]byte, maxADU)
		for {
			n, err := readRequest(in, buf)
			if err != nil {
				return
			}
			if answer := u.answer(nil, buf[:n]); len(answer) < 9 || len(answer) > maxADU {
				t.Fatalf("an answer of %d bytes", len(answer))
			}
		}
	})
}
