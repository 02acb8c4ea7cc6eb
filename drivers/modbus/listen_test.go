package modbus_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/modbus"
	"github.com/millgate/millgate/drivers/modbus/modbussim"
)

// dialIns is links that listen on one address of this machine, and the simulated lines that dial in to it.
type dialIns struct {
	t       *testing.T
	address string
	links   *modbus.Links
	log     lockedBuffer
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func newDialIns(t *testing.T) *dialIns {
	modbus.QuickRetry(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &dialIns{t: t, address: l.Addr().String(), links: modbus.NewLinks()}
	d.links.Log = slog.New(slog.NewTextHandler(&d.log, nil))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.links.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// driver reads one register of unit 1 of the line that says registration, over a link that listens.
func (d *dialIns) driver(registration, heartbeat string, framing modbus.Framing) *modbus.Driver {
	d.t.Helper()
	driver, err := d.links.Driver(modbus.Config{
		Device: "d", Unit: 1, Timeout: 200 * time.Millisecond,
		Link: modbus.LinkConfig{Endpoint: modbus.Endpoint{Transport: modbus.Listen, Framing: framing, Address: d.address},
			Registration: registration, Heartbeat: heartbeat},
		Points: []modbus.Point{{Tag: &drivers.Tag{Type: drivers.TypeUint64}, Table: modbus.HoldingRegister, Type: modbus.DataType{Name: "uint16"}}},
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return driver
}

// line dials in, says who it is, and answers with value.
func (d *dialIns) line(registration string, framing modbus.Framing, value uint16) net.Conn {
	d.t.Helper()
	conn, err := net.Dial("tcp", d.address)
	if err != nil {
		d.t.Fatal(err)
	}
	for i := range len(registration) { // in as many segments as it can have
		if _, err := conn.Write([]byte{registration[i]}); err != nil {
			d.t.Fatal(err)
		}
	}
	sim := modbussim.New()
	sim.Unit(1).SetRegisters(modbus.HoldingRegister, 0, []uint16{value})
	done := make(chan struct{})
	go func() { defer close(done); sim.ServeConn(conn, framing) }()
	d.t.Cleanup(func() {
		if err := sim.Close(); err != nil {
			d.t.Error(err)
		}
		<-done
	})
	return conn
}

// reads waits until the driver reads that value.
func (d *dialIns) reads(driver *modbus.Driver, want uint64) {
	d.t.Helper()
	var got string
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		r, err := read(d.t, driver)
		if err == nil && r[0].Value == drivers.UintValue(want) {
			return
		}
		got = errText(r, err)
	}
	d.t.Fatalf("reads %s, want %d", got, want)
}

func errText(r []drivers.Reading, err error) string {
	if err != nil {
		return err.Error()
	}
	return r[0].Value.String() + " " + string(r[0].Cause)
}

// TestDialIn: two serial servers dial in to one address, each says who it is, and each is found by its link.
func TestDialIn(t *testing.T) {
	for _, framing := range []modbus.Framing{modbus.RTU, modbus.MBAP, modbus.ASCII} {
		t.Run(framing.String(), func(t *testing.T) {
			d := newDialIns(t)
			first, second := d.driver("DTU-0001", "", framing), d.driver("DTU-0002", "", framing)
			_, err := read(t, first)
			if drivers.CauseOf(err) != drivers.CauseUnreachable || !strings.Contains(err.Error(), "DTU-0001") {
				t.Fatalf("before anybody dials in: %v", err)
			}
			d.line("DTU-0002", framing, 2)
			d.line("DTU-0001", framing, 1)
			d.reads(first, 1)
			d.reads(second, 2)
			// The network was gone: the same serial server dials in again while its old connection still seems to be there.
			d.line("DTU-0001", framing, 11)
			d.reads(first, 11)
			d.reads(second, 2)
			if err := errors.Join(first.Close(), second.Close()); err != nil {
				t.Error(err)
			}
			if _, err := net.Dial("tcp", d.address); err == nil {
				t.Error("the last driver has closed, and the address is still served")
			}
		})
	}
}

// TestDialInBeats: what a serial server sends of itself, at any time, is no answer and no fault.
func TestDialInBeats(t *testing.T) {
	for _, framing := range []modbus.Framing{modbus.RTU, modbus.MBAP, modbus.ASCII} {
		t.Run(framing.String(), func(t *testing.T) {
			d := newDialIns(t)
			driver := d.driver("", "\xfe\xfe", framing)
			_, _ = read(t, driver) // opens the address
			conn := d.line("", framing, 7)
			d.reads(driver, 7)
			for range 20 {
				if _, err := conn.Write([]byte("\xfe\xfe")); err != nil { // the simulator never writes between two requests
					t.Fatal(err)
				}
				if r, err := read(t, driver); err != nil || r[0].Value != drivers.UintValue(7) {
					t.Fatalf("reads %s", errText(r, err))
				}
			}
			if s := d.links.Snapshot(); len(s) != 1 || s[0].Connections != 1 {
				t.Errorf("%+v", s)
			}
			_ = driver.Close()
		})
	}
}

// TestSilentUnitBehindDialIn: a unit that is silent does not cost the others the connection, which only the serial server can make anew.
func TestSilentUnitBehindDialIn(t *testing.T) {
	d := newDialIns(t)
	driver := d.driver("", "", modbus.RTU)
	silent, err := d.links.Driver(modbus.Config{Device: "silent", Unit: 9, Timeout: 50 * time.Millisecond,
		Link:   modbus.LinkConfig{Endpoint: modbus.Endpoint{Transport: modbus.Listen, Framing: modbus.RTU, Address: d.address}},
		Points: []modbus.Point{{Tag: &drivers.Tag{Type: drivers.TypeUint64}, Table: modbus.HoldingRegister, Type: modbus.DataType{Name: "uint16"}}}})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = read(t, driver) // opens the address
	d.line("", modbus.RTU, 7)
	d.reads(driver, 7)
	for range 2 {
		if _, err := read(t, silent); drivers.CauseOf(err) != drivers.CauseTimeout {
			t.Errorf("the silent unit: %v", err)
		}
		if r, err := read(t, driver); err != nil || r[0].Value != drivers.UintValue(7) {
			t.Errorf("the other one reads %s", errText(r, err))
		}
	}
	if s := d.links.Snapshot(); s[0].Connections != 1 {
		t.Errorf("%d connections", s[0].Connections)
	}
	_, _ = driver.Close(), silent.Close()
}

// TestStrangerDialsIn: whoever names no link is sent away, and the log says what it sent.
func TestStrangerDialsIn(t *testing.T) {
	d := newDialIns(t)
	driver := d.driver("DTU-0001", "", modbus.RTU)
	_, _ = read(t, driver) // opens the address
	conn, err := net.Dial("tcp", d.address)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("DTU-9999")); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, net.ErrClosed) {
		t.Errorf("not sent away: %v", err)
	}
	_ = conn.Close()
	_ = driver.Close() // waits for the listener
	if !strings.Contains(d.log.String(), "DTU-9999") {
		t.Errorf("the log says %s", d.log.String())
	}
}
