package modbussim

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"io"

	"github.com/millgate/millgate/drivers/modbus"
)

// Sizes (MODBUS Application Protocol Specification V1.1b3, 4.1; MODBUS over Serial Line Specification V1.02, 2.5.2).
const (
	maxPDU     = 253
	headerSize = 6 // of MBAP, without the unit
	maxMBAP    = headerSize + 1 + maxPDU
	maxASCII   = 513 // characters
)

// frame is a request or an answer, whatever wraps it.
type frame struct {
	id   uint16 // transaction, with MBAP only
	unit uint8
	pdu  []byte // at least a function
}

// readRequest reads the next request; its PDU is valid until the next call. What is no request is skipped, but for MBAP, where it ends
// the stream: without a checksum there is no finding the next frame.
func readRequest(in *bufio.Reader, f modbus.Framing) (frame, error) {
	switch f {
	case modbus.RTU:
		return readRTU(in)
	case modbus.ASCII:
		return readASCII(in)
	case modbus.MBAP:
	}
	return readMBAP(in)
}

func readMBAP(in *bufio.Reader) (frame, error) {
	head, err := in.Peek(headerSize)
	if err != nil {
		return frame{}, err
	}
	protocol, n := binary.BigEndian.Uint16(head[2:]), int(binary.BigEndian.Uint16(head[4:]))
	if protocol != 0 || n < 2 || n > maxMBAP-headerSize {
		return frame{}, io.ErrUnexpectedEOF
	}
	adu, err := take(in, headerSize+n)
	if err != nil {
		return frame{}, err
	}
	return frame{id: binary.BigEndian.Uint16(adu), unit: adu[headerSize], pdu: adu[headerSize+1:]}, nil
}

// take reads n bytes, which stay where they are until the next read.
func take(in *bufio.Reader, n int) ([]byte, error) {
	b, err := in.Peek(n)
	if err == nil {
		_, err = in.Discard(n)
	}
	return b, err
}

// readRTU knows the end of a request by its function; the functions that it knows are those that are served. Any other byte is skipped,
// so that the first whole request after a disturbance is found without measuring the silence before it.
func readRTU(in *bufio.Reader) (frame, error) {
	for {
		head, err := in.Peek(2)
		if err != nil {
			return frame{}, err
		}
		if n := lengthRTU(head[1]); n > 0 {
			adu, err := in.Peek(n)
			if err != nil {
				return frame{}, err
			}
			if binary.LittleEndian.Uint16(adu[n-2:]) == crc(adu[:n-2]) {
				_, err = in.Discard(n)
				return frame{unit: adu[0], pdu: adu[1 : n-2]}, err
			}
		}
		if _, err := in.Discard(1); err != nil {
			return frame{}, err
		}
	}
}

func lengthRTU(function byte) int {
	switch function {
	case 1, 2, 3, 4:
		return 8
	case 43:
		return 7
	}
	return 0
}

// readASCII takes what stands between a colon and a line feed; a colon always begins anew (MODBUS over Serial Line Specification V1.02,
// 2.5.2.1).
func readASCII(in *bufio.Reader) (frame, error) {
	var text []byte // nil outside a frame
	for {
		b, err := in.ReadByte()
		switch {
		case err != nil:
			return frame{}, err
		case b == ':':
			text = make([]byte, 0, 32)
		case text == nil:
		case len(text) == maxASCII-1:
			text = nil
		case b == '\n':
			if f, ok := parseASCII(text); ok {
				return f, nil
			}
			text = nil
		default:
			text = append(text, b)
		}
	}
}

func parseASCII(text []byte) (f frame, ok bool) {
	digits, ok := bytes.CutSuffix(text, []byte("\r"))
	if !ok {
		return f, false
	}
	adu := make([]byte, hex.DecodedLen(len(digits)))
	if _, err := hex.Decode(adu, digits); err != nil || len(adu) < 3 || len(adu) > 1+maxPDU+1 {
		return f, false
	}
	n := len(adu) - 1
	return frame{unit: adu[0], pdu: adu[1:n]}, adu[n] == lrc(adu[:n])
}

// wrap is the frame as it stands on the wire.
func (x frame) wrap(f modbus.Framing) []byte {
	out := make([]byte, 0, headerSize+1+len(x.pdu)+2)
	switch f {
	case modbus.RTU:
		out = append(append(out, x.unit), x.pdu...)
		return binary.LittleEndian.AppendUint16(out, crc(out))
	case modbus.ASCII:
		out = append(append(out, x.unit), x.pdu...)
		out = append(out, lrc(out))
		return append(append([]byte(":"), bytes.ToUpper(hex.AppendEncode(nil, out))...), '\r', '\n')
	case modbus.MBAP:
	}
	out = binary.BigEndian.AppendUint16(out, x.id)
	out = binary.BigEndian.AppendUint16(out, 0)
	out = binary.BigEndian.AppendUint16(out, uint16(1+len(x.pdu)))
	return append(append(out, x.unit), x.pdu...)
}

// crc is the checksum of RTU (MODBUS over Serial Line Specification V1.02, 6.2.2).
func crc(b []byte) uint16 {
	sum := uint16(0xffff)
	for _, v := range b {
		sum ^= uint16(v)
		for range 8 {
			low := sum & 1
			sum >>= 1
			if low != 0 {
				sum ^= 0xa001
			}
		}
	}
	return sum
}

// lrc is the checksum of ASCII (the same, 6.2.1).
func lrc(b []byte) (sum byte) {
	for _, v := range b {
		sum -= v
	}
	return sum
}
