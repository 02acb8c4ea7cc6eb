package modbussim

import (
	"bytes"
	"testing"

	"go.uber.org/goleak"

	"github.com/millgate/millgate/drivers/modbus"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAnswers(t *testing.T) {
	u := &Unit{}
	u.SetRegisters(modbus.HoldingRegister, 0xff, []uint16{0x0102, 0x0304})
	u.SetRegisters(modbus.InputRegister, 0, make([]uint16, 128))
	u.SetRegisters(modbus.Coil, 0, []uint16{1, 0, 1, 1, 0, 0, 0, 0, 1})
	f := func(want []byte, pdu ...byte) {
		t.Helper()
		if got := u.answer(pdu); !bytes.Equal(got, want) {
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
	f([]byte{1, 2, 0b1101, 1}, 1, 0, 0, 0, 9)
	u.LimitBits(8)
	f([]byte{0x81, illegalValue}, 1, 0, 0, 0, 9)
	f([]byte{1, 1, 0b1101}, 1, 0, 0, 0, 8)
	u.Limit(1000)
	f(append([]byte{4, 254}, make([]byte, 254)...), 4, 0, 0, 0, 127)
	f([]byte{0x84, illegalValue}, 4, 0, 0, 0, 128)
}
