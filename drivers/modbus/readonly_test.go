package modbus

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
)

// TestNothingButReadsLeaves tries every function code, with every MEI type where there is one, past every layer above the wire.
func TestNothingButReadsLeaves(t *testing.T) {
	near, far := net.Pipe()
	c := newConn(near)
	var sent bytes.Buffer
	done := make(chan struct{})
	go func() { _, _ = io.Copy(&sent, far); close(done) }()
	var want bytes.Buffer
	try := func(pdu ...byte) {
		adu := append(binary.BigEndian.AppendUint16([]byte{0, 0, 0, 0}, uint16(1+len(pdu))), 1)
		adu = append(adu, pdu...)
		err := c.write(adu, 0)
		switch {
		case pdu[0] >= 1 && pdu[0] <= 4 && len(pdu) == 5, pdu[0] == 43 && len(pdu) == 4 && pdu[1] == 14:
			want.Write(adu)
			if err != nil {
				t.Errorf("function %d: %v", pdu[0], err)
			}
		case !errors.Is(err, errNotARead):
			t.Errorf("% x was not refused: %v", pdu, err)
		}
	}
	for function := range 256 {
		try(byte(function), 0, 0, 0, 1)
		try(byte(function), 0, 0, 0, 1, 2, 0, 0) // with data, as a write has it
		for mei := range 256 {
			try(byte(function), byte(mei), 1, 0)
		}
	}
	c.close(nil)
	c.reader.Wait()
	<-done
	if !bytes.Equal(sent.Bytes(), want.Bytes()) {
		t.Errorf("%d bytes left the box, want %d", sent.Len(), want.Len())
	}
	for _, short := range [][]byte{nil, {1}, {0, 0, 0, 0, 0, 1, 1}} {
		if err := c.write(short, 0); !errors.Is(err, errNotARead) {
			t.Errorf("% x: %v", short, err)
		}
	}
}

func FuzzFrame(f *testing.F) {
	f.Add([]byte{0, 1, 0, 0, 0, 5, 1, 3, 2, 0, 7})
	f.Add([]byte{0, 1, 0, 0, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		in := bytes.NewReader(b)
		var buf [maxADU]byte
		for {
			n, err := readFrame(in, buf[:])
			if err != nil {
				return
			}
			if n < headerSize+minLength || n > maxADU {
				t.Fatalf("a frame of %d bytes", n)
			}
		}
	})
}
