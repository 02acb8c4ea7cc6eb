package modbus

import (
	"fmt"
	"testing"
	"time"

	"go.bug.st/serial"
	"golang.org/x/sys/unix"
)

// TestWritesToAnAdapterThatHangsEnd: nobody takes what is written, as much as it may be, and no write waits for that.
func TestWritesToAnAdapterThatHangsEnd(t *testing.T) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	port, err := openSerial(LinkConfig{Endpoint: Endpoint{Transport: Serial, Framing: RTU, Address: fmt.Sprint("/dev/pts/", n)}})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		for range 20_000 {
			if _, err := port.Write([]byte{1, 3, 0, 0, 0, 1, 0x84, 0x0a}); err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Error("a write is held up")
	}
	_ = unix.Close(fd) // frees a writer that is held up
	if err := port.Close(); err != nil {
		t.Error(err)
	}
}

// slowPort is a port whose writes end when they are let.
type slowPort struct {
	serial.Port
	begun, let chan struct{}
	events     chan string
}

func (p *slowPort) ResetOutputBuffer() error { return nil }
func (p *slowPort) Write(b []byte) (int, error) {
	p.begun <- struct{}{}
	<-p.let
	p.events <- "written"
	return len(b), nil
}

func (p *slowPort) Close() error {
	p.events <- "closed"
	return nil
}

// TestPortIsNotClosedUnderItsWriter: the system may give its number to another file at once, and the request would be written there.
func TestPortIsNotClosedUnderItsWriter(t *testing.T) {
	fake := &slowPort{begun: make(chan struct{}, 1), let: make(chan struct{}), events: make(chan string, 4)}
	p := &serialPort{Port: fake, lock: fake, idle: make(chan struct{}, 1)}
	p.idle <- struct{}{}
	go func() { _, _ = p.Write([]byte{1}) }()
	<-fake.begun
	closed := make(chan struct{})
	go func() { defer close(closed); _ = p.Close() }()
	for !p.closing.Load() {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(10 * time.Millisecond) // a Close that does not wait has closed it by then
	close(fake.let)
	<-closed
	if first := <-fake.events; first != "written" {
		t.Errorf("the port was %s under its writer", first)
	}
	if _, err := p.Write([]byte{1}); err == nil || len(fake.begun) > 0 {
		t.Errorf("written to a closed port: %v", err)
	}
}
