package modbus

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestNothingButReadsLeaves tries every function code, with every MEI type where there is one, past every layer above the wire and in
// every framing.
func TestNothingButReadsLeaves(t *testing.T) {
	for framing := range ASCII + 1 {
		near, far := net.Pipe()
		w := newWire(near, framing, nil, newTrace())
		var sent, want bytes.Buffer
		done := make(chan struct{})
		go func() { _, _ = io.Copy(&sent, far); close(done) }()
		try := func(pdu ...byte) {
			adu := newFramer(framing, 1).frame(pdu)
			err := w.send(adu)
			switch {
			case pdu[0] >= 1 && pdu[0] <= 4 && len(pdu) == 5, pdu[0] == 43 && len(pdu) == 4 && pdu[1] == 14:
				want.Write(adu)
				if err != nil {
					t.Errorf("%s: function %d: %v", framing, pdu[0], err)
				}
			case !errors.Is(err, errNotARead):
				t.Errorf("%s: % x was not refused: %v", framing, pdu, err)
			}
		}
		for function := range 256 {
			try(byte(function), 0, 0, 0, 1)
			try(byte(function), 0, 0, 0, 1, 2, 0, 0) // with data, as a write has it
			for mei := range 256 {
				try(byte(function), byte(mei), 1, 0)
			}
		}
		for _, short := range [][]byte{nil, {1}, {0, 0, 0, 0, 0, 1, 1}, []byte(":\r\n"), []byte(":0106zz0000000f9\r\n")} {
			if err := w.send(short); !errors.Is(err, errNotARead) {
				t.Errorf("%s: % x: %v", framing, short, err)
			}
		}
		w.end(nil)
		w.reader.Wait()
		<-done
		if !bytes.Equal(sent.Bytes(), want.Bytes()) {
			t.Errorf("%s: %d bytes left the box, want %d", framing, sent.Len(), want.Len())
		}
	}
}

// TestTwoRequestsInOneFrame: what a lenient device might take for a write behind a read is refused as well.
func TestTwoRequestsInOneFrame(t *testing.T) {
	near, far := net.Pipe()
	defer func() { _ = far.Close() }()
	w := newWire(near, MBAP, nil, newTrace())
	read, write := []byte{3, 0, 0, 0, 1}, []byte{6, 0, 0, 0, 1}
	f := newFramer(MBAP, 1)
	if err := w.send(append(f.frame(read), f.frame(write)...)); !errors.Is(err, errNotARead) {
		t.Error(err)
	}
	w.end(nil)
	w.reader.Wait()
}

// TestOneFunctionWrites reads the source: a connection is written to in one place only, so that no other path leads out. A serial port's
// own Write stands behind that place.
func TestOneFunctionWrites(t *testing.T) {
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var places []string
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			ast.Inspect(f, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				if method, ok := call.Fun.(*ast.SelectorExpr); ok {
					x, _ := method.X.(*ast.SelectorExpr)
					writes := strings.HasPrefix(method.Sel.Name, "Write") || method.Sel.Name == "ReadFrom" || method.Sel.Name == "Copy"
					ofWire := x != nil && (x.Sel.Name == "raw" || x.Sel.Name == "port" || x.Sel.Name == "conn")
					if writes && ofWire {
						places = append(places, f.Name.Name)
					}
				}
				return true
			})
		}
	}
	if !slices.Equal(places, []string{"Write", "send"}) {
		t.Errorf("connections are written to in %v", places)
	}
}

// FuzzAnswer feeds what a device may send to the search for an answer, in every framing.
func FuzzAnswer(f *testing.F) {
	request := []byte{3, 0, 0, 0, 1}
	rtu, _ := hex.DecodeString("010302000779861234")
	f.Add([]byte{0, 1, 0, 0, 0, 5, 1, 3, 2, 0, 7}, uint16(1))
	f.Add([]byte{0, 1, 0, 0, 0xff, 0xff}, uint16(1))
	f.Add(rtu, uint16(1))
	f.Add([]byte(":010302000"+"7F3\r\n:0183027A\r\n"), uint16(1))
	f.Add([]byte{1, 43, 14, 1, 1, 0, 0, 1, 0, 3, 'a', 'b', 'c', 0, 0}, uint16(9))
	f.Fuzz(func(t *testing.T, in []byte, kind uint16) {
		c := &call{request: request}
		if kind%2 == 1 {
			c.request = []byte{functionEncapsulated, meiIdentification, 1, 0}
		}
		for framing := RTU; framing <= ASCII; framing++ {
			c.begin(newFramer(framing, 1))
			found, used := c.framer.find(in, c)
			if used < 0 || used > len(in) {
				t.Fatalf("%s: %d of %d bytes used", framing, used, len(in))
			}
			if found && c.exception == 0 && c.request[0] == 3 && len(c.answer) != 3 {
				t.Fatalf("%s: the answer % x", framing, c.answer)
			}
		}
		for rest := in; ; {
			n, err := mbapLength(rest)
			if n == 0 || err != nil {
				return
			}
			if n < headerSize+minLength || n > maxADU {
				t.Fatalf("a frame of %d bytes", n)
			}
			c.begin(newFramer(MBAP, 1))
			c.send(binary.BigEndian.Uint16(rest))
			_ = c.take(c.framer.packager, c.adu, rest[:n]) // an error is as good as an answer here
			rest = rest[n:]
		}
	})
}
