package modbussim

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/millgate/millgate/drivers/modbus"
)

var framings = []modbus.Framing{modbus.MBAP, modbus.RTU, modbus.ASCII}

// TestWrap: the same request, as published examples have it on the wire, and back.
func TestWrap(t *testing.T) {
	request := frame{unit: 0x11, pdu: []byte{3, 0, 0x6b, 0, 3}}
	for framing, want := range map[modbus.Framing]string{
		modbus.MBAP:  "\x00\x00\x00\x00\x00\x06\x11\x03\x00\x6b\x00\x03",
		modbus.RTU:   "\x11\x03\x00\x6b\x00\x03\x76\x87",
		modbus.ASCII: ":1103006B00037E\r\n",
	} {
		wire := request.wrap(framing)
		if string(wire) != want {
			t.Errorf("%v: % x", framing, wire)
		}
		got, err := readRequest(bufio.NewReader(bytes.NewReader(wire)), framing)
		if err != nil || got.unit != request.unit || !bytes.Equal(got.pdu, request.pdu) {
			t.Errorf("%v: read back as %+v, %v", framing, got, err)
		}
	}
}

// TestResynchronises: whatever came before, a whole request is found, and nothing is taken for one that was not sent.
func TestResynchronises(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	strangers := 0
	for range 2000 {
		framing := framings[1+rnd.IntN(2)]
		request := frame{unit: byte(1 + rnd.IntN(247)), pdu: []byte{byte(1 + rnd.IntN(4)), 1, byte(rnd.IntN(256)), 0, 7}}
		if rnd.IntN(5) == 0 {
			request.pdu = []byte{43, 14, 1, 0}
		}
		whole := request.wrap(framing)
		var in []byte
		for range rnd.IntN(4) {
			switch rnd.IntN(3) {
			case 0: // a request cut short
				in = append(in, whole[:rnd.IntN(len(whole))]...)
			case 1: // one bit wrong
				bad := bytes.Clone(whole)
				bad[rnd.IntN(len(bad))] ^= 1 << rnd.IntN(8)
				in = append(in, bad...)
			case 2: // noise
				for range rnd.IntN(20) {
					in = append(in, byte(rnd.IntN(256)))
				}
			}
		}
		reader := bufio.NewReader(bytes.NewReader(append(in, whole...)))
		found := false
		for {
			got, err := readRequest(reader, framing)
			if err != nil {
				break
			}
			if found = got.unit == request.unit && bytes.Equal(got.pdu, request.pdu); !found {
				strangers++
			}
		}
		if !found {
			t.Fatalf("%v: % x not found behind % x", framing, whole, in)
		}
	}
	if strangers > 5 { // by chance noise bears its own checksum, and a lost case bit of an ASCII digit is none
		t.Errorf("%d requests found that nobody sent", strangers)
	}
}

func fuzzReader(f *testing.F, framing modbus.Framing) {
	f.Add((frame{id: 1, unit: 1, pdu: []byte{3, 0, 0, 0, 2}}).wrap(framing))
	f.Add(append([]byte("\x00:"), (frame{unit: 1, pdu: []byte{43, 14, 1, 0}}).wrap(framing)...))
	u := &Unit{}
	u.SetRegisters(modbus.HoldingRegister, 0, make([]uint16, 200))
	f.Fuzz(func(t *testing.T, b []byte) {
		in, sent := bufio.NewReader(bytes.NewReader(b)), b
		if framing == modbus.ASCII {
			sent = bytes.ToUpper(b)
		}
		for {
			request, err := readRequest(in, framing)
			if err != nil {
				if err != io.EOF && err != io.ErrUnexpectedEOF {
					t.Fatal(err)
				}
				return
			}
			if len(request.pdu) < 1 || len(request.pdu) > maxPDU {
				t.Fatalf("a request of %d bytes", len(request.pdu))
			}
			if !bytes.Contains(sent, request.wrap(framing)) {
				t.Fatalf("%+v was never sent", request)
			}
			if answer := u.answer(request.pdu); len(answer) < 2 || len(answer) > maxPDU {
				t.Fatalf("an answer of %d bytes", len(answer))
			}
		}
	})
}

func FuzzRequestMBAP(f *testing.F)  { fuzzReader(f, modbus.MBAP) }
func FuzzRequestRTU(f *testing.F)   { fuzzReader(f, modbus.RTU) }
func FuzzRequestASCII(f *testing.F) { fuzzReader(f, modbus.ASCII) }

func ExampleServer_ServeConn() {
	// A serial server that dials in is served the same way: net.Dial, send its registration, then ServeConn(conn, modbus.RTU).
	s := New()
	fmt.Println(s.Addr() == "", s.Close())
	// Output: true <nil>
}
