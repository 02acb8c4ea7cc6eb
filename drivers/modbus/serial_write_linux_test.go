package modbus

import (
	"fmt"
	"testing"
	"time"

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
