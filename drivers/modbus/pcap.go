package modbus

import (
	"bufio"
	"encoding/binary"
	"io"
	"slices"
	"time"
)

// The ports that the device has in a capture. Wireshark knows Modbus TCP by its port; frames of a serial line have to be decoded as
// Modbus/RTU there (Decode As…, or tshark -d tcp.port==10502,mbrtu).
const (
	pcapPortMBAP   = 502
	pcapPortSerial = 10502
	pcapPortSelf   = 49152
)

// The hosts of a capture: addresses for documentation (RFC 5737), because a serial line has none.
var (
	pcapSelf   = [4]byte{192, 0, 2, 1}
	pcapDevice = [4]byte{192, 0, 2, 2}
)

const (
	pcapSnapLen = 65535
	linkTypeRaw = 101 // packets begin with the IP header
	ipHead      = 20
	tcpHead     = 20
	protocolTCP = 6
	flagsAckPsh = 0x18
)

// WritePCAP writes the frames as a capture that Wireshark opens (libpcap 2.4, microseconds): one TCP connection between millgate
// (192.0.2.1) and the device (192.0.2.2, port 502, or 10502 if the frames are RTU or ASCII). Times and payload are what was on the wire,
// the headers are made up. Pieces of RTU and ASCII frames are put together.
func WritePCAP(w io.Writer, framing Framing, frames []Frame) error {
	out := bufio.NewWriter(w)
	head := binary.LittleEndian.AppendUint32(nil, 0xa1b2c3d4)
	head = binary.LittleEndian.AppendUint16(head, 2)
	head = binary.LittleEndian.AppendUint16(head, 4)
	head = append(head, make([]byte, 8)...) // UTC, and no claim of accuracy
	head = binary.LittleEndian.AppendUint32(head, pcapSnapLen)
	head = binary.LittleEndian.AppendUint32(head, linkTypeRaw)
	_, _ = out.Write(head) // Flush says what went wrong

	c := pcapConn{port: pcapPortSerial}
	if framing == MBAP {
		c.port = pcapPortMBAP
	} else {
		frames = joined(frames)
	}
	for _, f := range frames {
		packet := c.packet(f)
		record := binary.LittleEndian.AppendUint32(nil, uint32(f.At.Unix()))
		record = binary.LittleEndian.AppendUint32(record, uint32(f.At.Nanosecond()/1000))
		record = binary.LittleEndian.AppendUint32(record, uint32(len(packet)))
		record = binary.LittleEndian.AppendUint32(record, uint32(len(packet)))
		_, _ = out.Write(record)
		_, _ = out.Write(packet)
	}
	return out.Flush()
}

// pieceGap is the pause after which bytes belong to another frame: longer than a USB adapter holds bytes back (16 ms).
const pieceGap = 20 * time.Millisecond

// joined puts together what came in pieces: no dissector does so for a serial line.
func joined(frames []Frame) []Frame {
	var out []Frame
	var last time.Time // of the last piece
	for _, f := range frames {
		if n := len(out); n > 0 && out[n-1].Sent == f.Sent && f.At.Sub(last) < pieceGap {
			out[n-1].Bytes = slices.Concat(out[n-1].Bytes, f.Bytes)
		} else {
			out = append(out, f)
		}
		last = f.At
	}
	return out
}

// pcapConn is the connection that the frames of a capture pass over.
type pcapConn struct {
	port uint16
	sent [2]uint32 // bytes so far, by the device and by millgate: the sequence numbers
	id   uint16    // of the last packet
}

// packet is f with an IPv4 and a TCP header (RFC 791, RFC 9293).
func (c *pcapConn) packet(f Frame) []byte {
	from, to, fromPort, toPort := pcapDevice, pcapSelf, c.port, uint16(pcapPortSelf)
	me, other := 0, 1
	if f.Sent {
		from, to, fromPort, toPort = to, from, toPort, fromPort
		me, other = other, me
	}
	payload := f.Bytes[:min(len(f.Bytes), pcapSnapLen-ipHead-tcpHead)]
	c.id++
	p := []byte{0x45, 0}
	p = binary.BigEndian.AppendUint16(p, uint16(ipHead+tcpHead+len(payload)))
	p = binary.BigEndian.AppendUint16(p, c.id)
	p = append(p, 0x40, 0, 64, protocolTCP, 0, 0) // not to be fragmented; 64 hops; checksum
	p = append(append(p, from[:]...), to[:]...)
	binary.BigEndian.PutUint16(p[10:], checksum(0, p))

	p = binary.BigEndian.AppendUint16(p, fromPort)
	p = binary.BigEndian.AppendUint16(p, toPort)
	p = binary.BigEndian.AppendUint32(p, 1+c.sent[me])
	p = binary.BigEndian.AppendUint32(p, 1+c.sent[other])
	p = append(p, tcpHead/4<<4, flagsAckPsh, 0xff, 0xff, 0, 0, 0, 0) // window; checksum; urgent pointer
	p = append(p, payload...)
	pseudo := sum(sum(0, p[12:20]), []byte{0, protocolTCP, byte((tcpHead + len(payload)) >> 8), byte(tcpHead + len(payload))})
	binary.BigEndian.PutUint16(p[ipHead+16:], checksum(pseudo, p[ipHead:]))
	c.sent[me] += uint32(len(payload))
	return p
}

// sum adds b to a checksum, as 16-bit words (RFC 1071).
func sum(s uint32, b []byte) uint32 {
	for len(b) > 1 {
		s += uint32(binary.BigEndian.Uint16(b))
		b = b[2:]
	}
	if len(b) == 1 {
		s += uint32(b[0]) << 8
	}
	return s
}

func checksum(s uint32, b []byte) uint16 {
	s = sum(s, b)
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return ^uint16(s)
}
