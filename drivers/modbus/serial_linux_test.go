package modbus_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/modbus"
	"github.com/millgate/millgate/drivers/modbus/modbussim"
)

// plug makes a pseudo terminal that path leads to, as an adapter that is plugged in, with a simulated line behind it.
func plug(t *testing.T, path string, framing modbus.Framing, value uint16) (unplug func()) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
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
	if err := os.Symlink(fmt.Sprint("/dev/pts/", n), path); err != nil {
		t.Fatal(err)
	}
	// A terminal to which nobody has opened the other side yet reads as ended: one side stays open here.
	side, err := unix.Open(fmt.Sprint("/dev/pts/", n), unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	sim := modbussim.New()
	for unit := range uint8(3) {
		sim.Unit(unit+1).SetRegisters(modbus.HoldingRegister, 0, []uint16{value + uint16(unit)})
	}
	done := make(chan struct{})
	go func() { defer close(done); sim.ServeConn(os.NewFile(uintptr(fd), "ptmx"), framing) }()
	unplugged := false
	unplug = func() {
		if unplugged {
			return
		}
		unplugged = true
		_ = unix.Close(side)
		if err := sim.Close(); err != nil {
			t.Error(err)
		}
		<-done
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(unplug)
	return unplug
}

// serialDriver reads one register of a unit on the line.
func serialDriver(t *testing.T, links *modbus.Links, path string, framing modbus.Framing, unit uint8) *modbus.Driver {
	t.Helper()
	d, err := links.Driver(modbus.Config{
		Device: fmt.Sprint("unit ", unit), Unit: unit, Timeout: 300 * time.Millisecond,
		Link:   modbus.LinkConfig{Endpoint: modbus.Endpoint{Transport: modbus.Serial, Framing: framing, Address: path}, Baud: 9600},
		Points: []modbus.Point{{Tag: &drivers.Tag{Type: drivers.TypeUint64}, Table: modbus.HoldingRegister, Type: modbus.DataType{Name: "uint16"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestSerialLine reads three units of a line, pulls the adapter out and puts it back: no restart is needed.
func TestSerialLine(t *testing.T) {
	modbus.QuickRetry(t)
	for _, framing := range []modbus.Framing{modbus.RTU, modbus.ASCII} {
		t.Run(framing.String(), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "ttyUSB0")
			unplug := plug(t, path, framing, 100)
			links := modbus.NewLinks()
			var line []*modbus.Driver
			for unit := range uint8(3) {
				line = append(line, serialDriver(t, links, path, framing, unit+1))
			}
			reads := func(first uint64) {
				t.Helper()
				for i, d := range line {
					var r []drivers.Reading
					var err error
					for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
						if r, err = read(t, d); err == nil {
							break
						}
					}
					if err != nil || r[0].Value != drivers.UintValue(first+uint64(i)) {
						t.Errorf("unit %d reads %s", i+1, errText(r, err))
					}
				}
			}
			reads(100)
			unplug()
			for _, d := range line {
				if _, err := read(t, d); err == nil {
					t.Error("reads from an adapter that was pulled out")
				}
			}
			time.Sleep(20 * time.Millisecond) // the pause after the failure
			if _, err := read(t, line[0]); drivers.CauseOf(err) != drivers.CauseUnreachable || !strings.Contains(err.Error(), "plugged in") {
				t.Errorf("while it is out: %v", err)
			}
			plug(t, path, framing, 200)
			reads(200)
			if err := links.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestSerialPortIsHeld: a second program is told that the port is in use, and by whom that may be.
func TestSerialPortIsHeld(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ttyUSB0")
	plug(t, path, modbus.RTU, 1)
	holder, other := modbus.NewLinks(), modbus.NewLinks()
	defer func() { _ = holder.Close(); _ = other.Close() }()
	if _, err := read(t, serialDriver(t, holder, path, modbus.RTU, 1)); err != nil {
		t.Fatal(err)
	}
	_, err := read(t, serialDriver(t, other, path, modbus.RTU, 1))
	if drivers.CauseOf(err) != drivers.CauseRefused || !strings.Contains(err.Error(), "in use") {
		t.Errorf("got %v", err)
	}
}
