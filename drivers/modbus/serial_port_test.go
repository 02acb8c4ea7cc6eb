package modbus

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"go.bug.st/serial"
)

// stubPort is a port of which the test says what it does.
type stubPort struct {
	serial.Port
	read    func([]byte) (int, error)
	write   func([]byte) (int, error)
	closing func()
}

func (s *stubPort) Read(b []byte) (int, error)  { return s.read(b) }
func (s *stubPort) Write(b []byte) (int, error) { return s.write(b) }
func (s *stubPort) ResetOutputBuffer() error    { return nil }
func (s *stubPort) Close() error                { s.closing(); return nil }

func overStub(s *stubPort) *serialPort {
	p := &serialPort{port: s, lock: io.NopCloser(nil), idle: make(chan struct{}, 1), free: make(chan struct{}, 1)}
	p.idle <- struct{}{}
	p.free <- struct{}{}
	return p
}

// TestNothingIsWrittenToAClosedPort: its number may be another file's by then.
func TestNothingIsWrittenToAClosedPort(t *testing.T) {
	p := overStub(&stubPort{write: func([]byte) (int, error) { t.Error("written"); return 0, nil }, closing: func() {}})
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Write([]byte{1}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
}

// TestAdapterThatHangs: it takes nothing more. Write and Close end, and the port is closed when the adapter lets go, not before.
func TestAdapterThatHangs(t *testing.T) {
	hold, closed := make(chan struct{}), make(chan struct{})
	p := overStub(&stubPort{write: func(b []byte) (int, error) {
		<-hold
		if !bytes.Equal(b, []byte{1}) {
			t.Error("the bytes have changed under the adapter")
		}
		return len(b), nil
	}, closing: func() { close(closed) }})
	b := []byte{1}
	for range 2 {
		if _, err := p.Write(b); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	}
	b[0] = 2
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	select {
	case <-closed:
		t.Error("closed under the writer")
	case <-time.After(10 * time.Millisecond):
	}
	close(hold)
	<-closed
}

// TestPortBeyondSelect: the library panics at a descriptor that select(2) can not watch, in a goroutine that would end the process.
func TestPortBeyondSelect(t *testing.T) {
	p := overStub(&stubPort{read: func([]byte) (int, error) { panic("index out of range") }, closing: func() {}})
	if _, err := p.Read(nil); err == nil {
		t.Error("no error")
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}
