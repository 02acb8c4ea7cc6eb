package modbus

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	goburrow "github.com/goburrow/modbus"

	"github.com/millgate/millgate/drivers"
)

// call is one request on its way through a link and what became of it. Whoever makes it owns it before and after the exchange.
type call struct {
	request []byte // the PDU: function, and what follows

	began, at time.Time // when it was sent, and when it ended
	answer    []byte    // the answer's PDU behind the function; empty if err is set
	exception byte      // the code of a refusal; then err says it too
	err       error     // *drivers.Error, or ctx's if that was cancelled; nil if the answer is there

	framer *framer // what adu was made by
	adu    []byte
	ended  bool
}

// newCall is the call that reads r.
func newCall(r Request) call {
	pdu := binary.BigEndian.AppendUint16([]byte{tables[r.Table].function}, r.Address)
	return call{request: binary.BigEndian.AppendUint16(pdu, r.Quantity)}
}

// begin makes the call ready to be sent.
func (c *call) begin(f *framer) {
	if c.framer != f {
		c.framer, c.adu = f, f.frame(c.request)
	}
	c.began, c.answer, c.exception, c.err, c.ended = time.Now(), c.answer[:0], 0, nil, false
}

// send notes that the call goes out, under a transaction id if its framing has one.
func (c *call) send(id uint16) {
	c.began = time.Now()
	if c.framer.framing == MBAP && len(c.adu) > 1 {
		binary.BigEndian.PutUint16(c.adu, id)
	}
}

// isFor says that a frame with a transaction id has that of the call.
func (c *call) isFor(frame []byte) bool { return frame[0] == c.adu[0] && frame[1] == c.adu[1] }

// end notes what became of the call. A refusal is an answer that take has kept.
func (c *call) end(err error) {
	if err == nil && c.exception != 0 {
		err = &drivers.Error{Cause: drivers.ModbusException(c.exception), Err: fmt.Errorf("the device refuses with exception %d", c.exception)}
	}
	c.at, c.err, c.ended = time.Now(), err, true
}

// data is what follows the byte count of an answer to a read.
func (c *call) data() []byte { return c.answer[1:] }

// expected is the length of the data that answers a read; -1 if it is not fixed.
func expected(request []byte) int {
	if len(request) != 5 {
		return -1
	}
	quantity := int(binary.BigEndian.Uint16(request[3:]))
	switch request[0] {
	case 1, 2:
		return (quantity + 7) / 8
	case 3, 4:
		return 2 * quantity
	}
	return -1
}

// take checks that answer answers adu, and keeps what is in it. A refusal is an answer.
func (c *call) take(packager goburrow.Packager, adu, answer []byte) error {
	if bytes.Equal(adu, answer) { // a read of 17 to 24 bits at 0x0300 to 0x03FF looks like an answer to itself
		return garbled("the request came back, as from a line adapter that hears itself")
	}
	if err := packager.Verify(adu, answer); err != nil {
		return garbled("%w", err)
	}
	pdu, err := packager.Decode(answer)
	if err != nil {
		return garbled("%w", err)
	}
	asked := c.request[0]
	switch {
	case pdu.FunctionCode == asked|0x80 && len(pdu.Data) == 1:
		c.exception = pdu.Data[0]
		return nil
	case pdu.FunctionCode != asked:
		return garbled("an answer to function %d where %d was asked", pdu.FunctionCode, asked)
	}
	if n := expected(c.request); n >= 0 && (len(pdu.Data) != 1+n || int(pdu.Data[0]) != n) {
		if got := len(pdu.Data) - 1; got >= 0 && got < n && int(pdu.Data[0]) == got {
			return garbled("%d bytes of data instead of %d: %w", got, n, errShort)
		}
		return garbled("%d bytes of data instead of %d", len(pdu.Data)-1, n)
	}
	c.answer = append(c.answer, pdu.Data...)
	return nil
}

func garbled(format string, args ...any) error {
	return &drivers.Error{Cause: drivers.CauseGarbled, Err: fmt.Errorf("bad answer: "+format, args...)}
}
