package modbus

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

var pcapFrames = []Frame{
	{time.UnixMicro(1795406401000001), true, []byte{0, 1, 0, 0, 0, 6, 1, 3, 0x20, 0, 0, 2}},
	{time.UnixMicro(1795406401004001), false, []byte{0, 1, 0, 0, 0, 7, 1, 3, 4, 0x43, 0x64}}, // in two pieces
	{time.UnixMicro(1795406401004102), false, []byte{0x66, 0x66}},
	{time.UnixMicro(1795406402000000), true, []byte{0, 2, 0, 0, 0, 6, 1, 3, 0xff, 0xff, 0, 1}},
	{time.UnixMicro(1795406402003000), false, []byte{0, 2, 0, 0, 0, 3, 1, 0x83, 2}},
}

// readPacket is one packet as an independent reader of the capture sees it.
type readPacket struct {
	at       time.Time
	from, to netip.AddrPort
	seq, ack uint32
	payload  []byte
}

// readPCAP takes a capture apart by the documents of the formats alone.
func readPCAP(b []byte) (packets []readPacket, err error) {
	in := bytes.NewReader(b)
	var head struct {
		Magic        uint32
		Major, Minor uint16
		Zone         int32
		Accuracy     uint32
		Snap, Link   uint32
	}
	if err := binary.Read(in, binary.LittleEndian, &head); err != nil {
		return nil, err
	}
	if head.Magic != 0xa1b2c3d4 || head.Major != 2 || head.Minor != 4 || head.Link != 101 || head.Zone != 0 {
		return nil, fmt.Errorf("file header %+v", head)
	}
	for {
		var record struct{ Seconds, Micros, Kept, Length uint32 }
		if err := binary.Read(in, binary.LittleEndian, &record); err == io.EOF {
			return packets, nil
		} else if err != nil {
			return nil, err
		}
		packet := make([]byte, record.Kept)
		if _, err := io.ReadFull(in, packet); err != nil {
			return nil, err
		}
		if record.Kept != record.Length || record.Kept > head.Snap || record.Micros >= 1e6 {
			return nil, fmt.Errorf("record %+v", record)
		}
		p, err := readIP(packet)
		if err != nil {
			return nil, err
		}
		p.at = time.Unix(int64(record.Seconds), int64(record.Micros)*1000)
		packets = append(packets, p)
	}
}

func readIP(b []byte) (p readPacket, err error) {
	if b[0] != 0x45 || int(b[2])<<8|int(b[3]) != len(b) || b[9] != 6 || onesComplement(b[:20]) != 0xffff {
		return p, fmt.Errorf("IP header % x", b[:20])
	}
	source, _ := netip.AddrFromSlice(b[12:16])
	destination, _ := netip.AddrFromSlice(b[16:20])
	tcp := b[20:]
	pseudo := append(append([]byte{}, b[12:20]...), 0, 6, byte(len(tcp)>>8), byte(len(tcp)))
	if onesComplement(append(pseudo, tcp...)) != 0xffff || tcp[12] != 0x50 {
		return p, fmt.Errorf("TCP header % x", tcp[:20])
	}
	p.from = netip.AddrPortFrom(source, binary.BigEndian.Uint16(tcp))
	p.to = netip.AddrPortFrom(destination, binary.BigEndian.Uint16(tcp[2:]))
	p.seq, p.ack, p.payload = binary.BigEndian.Uint32(tcp[4:]), binary.BigEndian.Uint32(tcp[8:]), tcp[20:]
	return p, nil
}

// onesComplement is the sum over everything, checksum and all: 0xffff if that is right.
func onesComplement(b []byte) uint16 {
	var s uint64
	for i, v := range b {
		s += uint64(v) << (8 * (1 - i%2))
	}
	for s > 0xffff {
		s = s&0xffff + s>>16
	}
	return uint16(s)
}

func TestPCAP(t *testing.T) {
	for framing, port := range map[Framing]uint16{MBAP: 502, RTU: 10502, ASCII: 10502} {
		var out bytes.Buffer
		if err := WritePCAP(&out, framing, pcapFrames); err != nil {
			t.Fatal(err)
		}
		want := pcapFrames
		if framing != MBAP { // nobody else puts the pieces of a serial frame together
			whole := pcapFrames[1]
			whole.Bytes = slices.Concat(whole.Bytes, pcapFrames[2].Bytes)
			want = []Frame{pcapFrames[0], whole, pcapFrames[3], pcapFrames[4]}
		}
		packets, err := readPCAP(out.Bytes())
		if err != nil || len(packets) != len(want) {
			t.Fatalf("%v: %d packets, %v", framing, len(packets), err)
		}
		next := map[netip.AddrPort]uint32{}
		for i, p := range packets {
			f := want[i]
			device := p.from
			if f.Sent {
				device = p.to
			}
			if !p.at.Equal(f.At) || !bytes.Equal(p.payload, f.Bytes) || device.Port() != port || p.from == p.to {
				t.Errorf("%v: packet %d: %+v of %+v", framing, i, p, f)
			}
			if n, ok := next[p.from]; ok && p.seq != n {
				t.Errorf("%v: packet %d has sequence number %d instead of %d", framing, i, p.seq, n)
			}
			if n, ok := next[p.to]; ok && p.ack != n {
				t.Errorf("%v: packet %d acknowledges %d instead of %d", framing, i, p.ack, n)
			}
			next[p.from] = p.seq + uint32(len(p.payload))
		}
	}
}

// TestPCAPBytes pins a capture that Wireshark was seen to dissect.
func TestPCAPBytes(t *testing.T) {
	var out bytes.Buffer
	if err := WritePCAP(&out, MBAP, pcapFrames[:2]); err != nil {
		t.Fatal(err)
	}
	want := strings.Join(strings.Fields(goldenPCAP), "")
	if got := hex.EncodeToString(out.Bytes()); got != want {
		t.Errorf("the capture is\n%s\nwant\n%s", got, want)
	}
}

const goldenPCAP = `
d4c3b2a1020004000000000000000000ffff000065000000
41ba036b010000003400000034000000
45000034000140004006b6bfc0000201c0000202c00001f600000001000000015018ffff48b80000
000100000006010320000002
41ba036ba10f00003300000033000000
45000033000240004006b6bfc0000202c000020101f6c000000000010000000d5018ffff006b0000
0001000000070103044364
`

func TestPCAPSaysThatItCouldNotWrite(t *testing.T) {
	r, w := io.Pipe()
	_ = r.Close()
	if err := WritePCAP(w, RTU, pcapFrames); err == nil {
		t.Error("no error")
	}
}
