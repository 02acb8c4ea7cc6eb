package modbus

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/millgate/millgate/drivers"
)

// identifying is a device that answers 43/14 from object n on with pages[n], and counts.
func identifying(t *testing.T, pages map[byte][]byte) (LinkConfig, *int) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		request := make([]byte, headerSize+1+4)
		for {
			if _, err := io.ReadFull(conn, request); err != nil {
				return
			}
			asked++
			pdu := append([]byte{43}, pages[request[10]]...)
			answer := binary.BigEndian.AppendUint16(append([]byte{}, request[:4]...), uint16(1+len(pdu)))
			if _, err := conn.Write(append(append(answer, request[6]), pdu...)); err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { _ = listener.Close(); <-done })
	return LinkConfig{Endpoint: Endpoint{Address: listener.Addr().String()}}, &asked
}

func page(more, next byte, objects ...string) []byte {
	out := []byte{14, 1, 1, more, next, byte(len(objects))}
	for _, o := range objects {
		id, text, _ := strings.Cut(o, "=")
		out = append(append(out, id[0]-'0', byte(len(text))), text...)
	}
	return out
}

func TestIdentification(t *testing.T) {
	whole := Identification{"Acme", "PM", "1.0"}
	for _, test := range []struct {
		name  string
		pages map[byte][]byte
		want  Identification
		asked int
		cause drivers.Cause
	}{
		{"at once", map[byte][]byte{0: page(0, 0, "0=Acme", "1=PM", "2=1.0")}, whole, 1, ""},
		{"in three answers", map[byte][]byte{0: page(0xff, 1, "0=Acme"), 1: page(0xff, 2, "1=PM"), 2: page(0, 0, "2=1.0")}, whole, 3, ""},
		{"goes on beyond what is basic", map[byte][]byte{0: page(0xff, 3, "0=Acme", "1=PM", "2=1.0")}, whole, 1, ""},
		{"begins again for ever", map[byte][]byte{0: page(0xff, 1, "0=Acme"), 1: page(0xff, 1, "0=Acme")}, Identification{}, 2, drivers.CauseGarbled},
		{"points back", map[byte][]byte{0: page(0xff, 0, "0=Acme")}, Identification{}, 1, drivers.CauseGarbled},
		{"is cut off", map[byte][]byte{0: page(0, 0, "0=Acme", "1=PM")[:12]}, Identification{}, 1, drivers.CauseGarbled},
		{"is no text", map[byte][]byte{0: page(0, 0, "0=\xff\xfe")}, Identification{Vendor: "?"}, 1, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			links := NewLinks()
			link, asked := identifying(t, test.pages)
			asker := links.Asker(link, 5*time.Second)
			got, err := asker.Identify(context.Background(), 1)
			if err := errors.Join(asker.Close(), links.Close()); err != nil {
				t.Error(err)
			}
			if test.cause == "" && (err != nil || got != test.want) || test.cause != "" && (err == nil || drivers.CauseOf(err) != test.cause) {
				t.Errorf("%+v, %v", got, err)
			}
			if *asked != test.asked {
				t.Errorf("asked %d times, want %d", *asked, test.asked)
			}
		})
	}
}

func FuzzIdentification(f *testing.F) {
	f.Add(page(0xff, 1, "0=abc"))
	f.Add([]byte{14, 1, 1, 0, 0, 1, 0, 3, 'a', 'b'})
	f.Fuzz(func(t *testing.T, b []byte) {
		var id Identification
		next, more, err := id.take(b)
		if err != nil && more || more && next > 2 {
			t.Errorf("next %d, more %v, %v", next, more, err)
		}
		if n := len(id.Vendor) + len(id.Product) + len(id.Revision); n > len(b) {
			t.Errorf("%d bytes of text from % x", n, b)
		}
	})
}
