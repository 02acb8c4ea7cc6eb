package modbussim

import (
	"encoding/binary"

	"github.com/millgate/millgate/drivers/modbus"
)

// Exceptions (MODBUS Application Protocol Specification V1.1b3, 7).
const (
	illegalFunction = 1
	illegalAddress  = 2
	illegalValue    = 3
)

var tableOf = map[byte]modbus.Table{1: modbus.Coil, 2: modbus.DiscreteInput, 3: modbus.HoldingRegister, 4: modbus.InputRegister}

// answer is the PDU that answers a whole request of at least a function, without any fault.
func (u *Unit) answer(pdu []byte) []byte {
	out := append(make([]byte, 0, maxPDU), pdu[0])
	var exception byte
	switch t, ok := tableOf[pdu[0]]; {
	case ok && len(pdu) == 5:
		address, quantity := binary.BigEndian.Uint16(pdu[1:]), int(binary.BigEndian.Uint16(pdu[3:]))
		out, exception = u.read(out, t, address, quantity)
	case pdu[0] == 43 && len(pdu) == 4 && pdu[1] == 14:
		out = appendIdentification(out)
	default:
		exception = illegalFunction
	}
	if exception != 0 {
		return []byte{pdu[0] | 0x80, exception}
	}
	return out
}

func (u *Unit) read(dst []byte, t modbus.Table, address uint16, quantity int) (out []byte, exception byte) {
	u.mu.Lock()
	defer u.mu.Unlock()
	most, limit, countable := modbus.MaxRegisters, u.limit, 0xff/2 // the byte count is one byte
	if t.Bits() {
		most, limit, countable = modbus.MaxBits, u.bits, 8*0xff
	}
	if limit > 0 {
		most = min(limit, countable)
	}
	if quantity < 1 || quantity > most {
		return dst, illegalValue
	}
	if t.Bits() {
		return u.readBits(dst, t, address, quantity)
	}
	dst = append(dst, byte(2*quantity))
	for i := range quantity {
		v, ok := u.tables[t].get(int(address) + i)
		if !ok {
			return dst, illegalAddress
		}
		dst = binary.BigEndian.AppendUint16(dst, v)
	}
	return dst, 0
}

func (u *Unit) readBits(dst []byte, t modbus.Table, address uint16, quantity int) (out []byte, exception byte) {
	n := (quantity + 7) / 8
	dst = append(dst, byte(n))
	start := len(dst)
	dst = append(dst, make([]byte, n)...)
	for i := range quantity {
		v, ok := u.tables[t].get(int(address) + i)
		if !ok {
			return dst, illegalAddress
		}
		if v != 0 {
			dst[start+i/8] |= 1 << (i % 8)
		}
	}
	return dst, 0
}

// appendIdentification is the data of 43/14, basic category: three objects, nothing more to follow.
func appendIdentification(dst []byte) []byte {
	dst = append(dst, 14, 1, 1, 0, 0, 3)
	for i, text := range []string{"millgate", "modbussim", "1"} {
		dst = append(dst, byte(i), byte(len(text)))
		dst = append(dst, text...)
	}
	return dst
}
