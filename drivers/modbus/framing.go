package modbus

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	goburrow "github.com/goburrow/modbus"

	"github.com/millgate/millgate/drivers"
)

const (
	headerSize = 6   // transaction id, protocol id, length (MODBUS Messaging on TCP/IP Implementation Guide V1.0b, 3.1.3)
	minLength  = 2   // unit and function
	maxLength  = 254 // unit and a PDU of 253
	maxADU     = headerSize + maxLength
	maxASCII   = 513 // characters (MODBUS over Serial Line Specification V1.02, 2.5.2)
	crcSize    = 2
)

// framer puts the requests of one unit into frames and finds their answers among bytes. It never changes, so that it may be shared.
type framer struct {
	framing  Framing
	unit     byte
	packager goburrow.Packager
}

func newFramer(f Framing, unit byte) *framer {
	fr := &framer{framing: f, unit: unit}
	switch f { // the handlers are never connected: only their frames are used
	case RTU:
		h := goburrow.NewRTUClientHandler("")
		h.SlaveId = unit
		fr.packager = h
	case ASCII:
		h := goburrow.NewASCIIClientHandler("")
		h.SlaveId = unit
		fr.packager = h
	case MBAP:
		h := goburrow.NewTCPClientHandler("")
		h.SlaveId = unit
		fr.packager = h
	}
	return fr
}

// frame is a request as it goes over the wire; with MBAP its transaction id is set when it is sent.
func (f *framer) frame(pdu []byte) []byte {
	adu, err := f.packager.Encode(&goburrow.ProtocolDataUnit{FunctionCode: pdu[0], Data: pdu[1:]})
	if err != nil { // a PDU longer than any read
		return nil
	}
	return adu
}

// pdu is the request in a whole frame; nil if it is none.
func (f Framing) pdu(adu []byte) []byte {
	switch f {
	case MBAP:
		if len(adu) < headerSize+minLength || len(adu) > maxADU || int(binary.BigEndian.Uint16(adu[4:])) != len(adu)-headerSize {
			return nil
		}
		return adu[headerSize+1:]
	case RTU:
		if len(adu) < 1+1+crcSize {
			return nil
		}
		return adu[1 : len(adu)-crcSize]
	case ASCII:
		if len(adu) < 9 {
			return nil
		}
		binary := make([]byte, (len(adu)-3)/2) // without the colon and the line's end
		if _, err := hex.Decode(binary, adu[1:len(adu)-2]); err != nil {
			return nil
		}
		return binary[1 : len(binary)-1]
	}
	return nil
}

// isRead says that a request is function 1, 2, 3, 4, or 43 with MEI type 14, and nothing more.
func isRead(pdu []byte) bool {
	if len(pdu) == 0 {
		return false
	}
	switch pdu[0] {
	case 1, 2, 3, 4:
		return len(pdu) == 5
	case functionEncapsulated:
		return len(pdu) == 4 && pdu[1] == meiIdentification
	default:
		return false
	}
}

// mbapLength is the length of the frame at the start of in; 0 if more must come to know it, or to have it whole.
func mbapLength(in []byte) (int, error) {
	if len(in) < headerSize {
		return 0, nil
	}
	protocol, length := binary.BigEndian.Uint16(in[2:]), int(binary.BigEndian.Uint16(in[4:]))
	if protocol != 0 || length < minLength || length > maxLength {
		return 0, &drivers.Error{Cause: drivers.CauseGarbled, Err: fmt.Errorf("the bytes % x are not the head of a Modbus TCP frame", in[:headerSize])}
	}
	if len(in) < headerSize+length {
		return 0, nil
	}
	return headerSize + length, nil
}

// find looks for the answer to a call among what came in with a framing that has no transaction id. Frames of others, and noise, are
// passed over. used is how many bytes are of no more interest.
func (f *framer) find(in []byte, c *call) (found bool, used int) {
	if f.framing == ASCII {
		return f.findASCII(in, c)
	}
	return f.findRTU(in, c)
}

// findRTU tries each byte as the beginning of the answer: it must be the unit's, for the function asked, as long as its own fields
// say, hold as much data as was asked for, and have the right CRC.
func (f *framer) findRTU(in []byte, c *call) (found bool, used int) {
	used = len(in)
	for i := range in {
		n := rtuLength(in[i:], f.unit, c.request)
		switch {
		case n < 0:
		case n == 0 || n > len(in)-i:
			used = min(used, i) // it may become one
		case c.take(f.packager, c.adu, in[i:i+n]) == nil:
			return true, i + n
		}
	}
	return false, used
}

// rtuLength is how long the answer is that begins so; 0 if more must come to know it, -1 if this is not the beginning of one.
func rtuLength(in []byte, unit byte, request []byte) int {
	switch {
	case in[0] != unit:
		return -1
	case len(in) < 3:
		return 0
	case in[1] == request[0]|0x80:
		return 1 + 2 + crcSize
	case in[1] != request[0]:
		return -1
	case request[0] == functionEncapsulated:
		return identificationLength(in)
	case int(in[2]) != expected(request):
		return -1
	}
	return 1 + 2 + int(in[2]) + crcSize
}

// identificationLength is rtuLength for function 43/14: unit, function, MEI type, code, conformity, more follows, next id, number of
// objects, and as many objects of id, length and text (V1.1b3, 6.21).
func identificationLength(in []byte) int {
	const head = 8
	if in[2] != meiIdentification {
		return -1
	}
	if len(in) < head {
		return 0
	}
	n := head
	for range in[head-1] {
		if len(in) < n+2 {
			return 0
		}
		n += 2 + int(in[n+1])
		if n > maxADU {
			return -1
		}
	}
	return n + crcSize
}

// findASCII tries each line that begins with a colon.
func (f *framer) findASCII(in []byte, c *call) (found bool, used int) {
	for {
		start := bytes.IndexByte(in[used:], ':')
		if start < 0 {
			return false, len(in)
		}
		used += start
		end := bytes.IndexByte(in[used:], '\n')
		if next := bytes.IndexByte(in[used+1:], ':'); next >= 0 && (end < 0 || next < end) {
			used += 1 + next // a frame that was cut off by the next one
			continue
		}
		if end < 0 {
			if len(in)-used > maxASCII {
				used = len(in)
			}
			return false, used
		}
		line := in[used : used+end+1]
		used += len(line)
		if c.take(f.packager, c.adu, line) == nil {
			return true, used
		}
	}
}
