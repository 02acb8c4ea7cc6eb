package modbus_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/modbus"
	"github.com/millgate/millgate/drivers/modbus/modbussim"
)

// at is the link to a Modbus TCP server.
func at(address string) modbus.LinkConfig {
	return modbus.LinkConfig{Endpoint: modbus.Endpoint{Address: address}}
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// site is a simulated server and the links of one gateway.
type site struct {
	*modbussim.Server
	links *modbus.Links
}

func newSite(t testing.TB) *site {
	t.Helper()
	s, err := modbussim.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	links := modbus.NewLinks()
	t.Cleanup(func() {
		if err := errors.Join(links.Close(), s.Close()); err != nil {
			t.Error(err)
		}
	})
	return &site{s, links}
}

// value is what every simulated register holds: nobody may ever read anything else at that unit and address.
func value(unit uint8, address int) uint16 { return uint16(int(unit)<<12 | address) }

// driver reads n registers of unit from address 0, in requests of at most most.
func (s *site) driver(t testing.TB, unit uint8, n, most int, timeout time.Duration) *modbus.Driver {
	t.Helper()
	u := s.Unit(unit)
	cfg := modbus.Config{Device: fmt.Sprint("device-", unit), Link: at(s.Addr()), Unit: unit, Timeout: timeout, MaxRegisters: most}
	for i := range n {
		u.SetRegisters(modbus.HoldingRegister, uint16(i), []uint16{value(unit, i)})
		cfg.Points = append(cfg.Points, modbus.Point{
			Tag: &drivers.Tag{Device: cfg.Device, Name: fmt.Sprint("r", i), Type: drivers.TypeUint64}, Table: modbus.HoldingRegister,
			Address: uint16(i), Type: modbus.DataType{Name: "uint16"},
		})
	}
	d, err := s.links.Driver(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// check says how many of the readings are good, and that each good one is right.
func check(t testing.TB, unit uint8, readings []drivers.Reading) (good int) {
	t.Helper()
	for i, r := range readings {
		if r.Quality == drivers.Good {
			good++
			if r.Value != drivers.UintValue(uint64(value(unit, i))) {
				t.Fatalf("unit %d register %d reads %s, want %d", unit, i, r.Value, value(unit, i))
			}
		} else if r.Cause == "" || !r.Value.IsZero() {
			t.Fatalf("bad reading %+v", r)
		}
	}
	return good
}

func read(t testing.TB, d *modbus.Driver) ([]drivers.Reading, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	return d.Read(ctx, nil)
}

// TestFaults makes each fault once: its cause, and whole answers again at most a back-off later.
func TestFaults(t *testing.T) {
	f := func(fault modbussim.Fault, want drivers.Cause) {
		t.Helper()
		s := newSite(t)
		d := s.driver(t, 1, 20, 0, 100*time.Millisecond)
		if r, err := read(t, d); err != nil || check(t, 1, r) != 20 {
			t.Fatalf("before the fault: %v", err)
		}
		fault.Times = 1
		s.Unit(1).Fault(fault)
		r, err := read(t, d)
		switch {
		case want == "":
			if err != nil || check(t, 1, r) != 20 {
				t.Errorf("fault %d: %v, %v", fault.Kind, r, err)
			}
		case err != nil:
			if got := drivers.CauseOf(err); got != want || len(r) != 0 {
				t.Errorf("fault %d: %v (%s), want %s", fault.Kind, err, got, want)
			}
		case r[0].Cause != want || check(t, 1, r) != 0:
			t.Errorf("fault %d: %+v, want %s", fault.Kind, r[0], want)
		}
		for range 3 { // one back-off at most, and no poison left in the connection
			r, err = read(t, d)
			if err == nil {
				break
			}
			time.Sleep(500 * time.Millisecond)
		}
		if err != nil || check(t, 1, r) != 20 {
			t.Errorf("after fault %d: %v", fault.Kind, err)
		}
	}
	f(modbussim.Fault{Kind: modbussim.Late, Delay: 150 * time.Millisecond}, drivers.CauseTimeout)
	f(modbussim.Fault{Kind: modbussim.Late, Delay: 20 * time.Millisecond}, "")
	f(modbussim.Fault{Kind: modbussim.Never}, drivers.CauseTimeout)
	f(modbussim.Fault{Kind: modbussim.Split, Delay: 20 * time.Millisecond}, "")
	f(modbussim.Fault{Kind: modbussim.Merged}, drivers.CauseTimeout)
	f(modbussim.Fault{Kind: modbussim.WrongID}, drivers.CauseTimeout)
	f(modbussim.Fault{Kind: modbussim.WrongUnit}, drivers.CauseGarbled)
	f(modbussim.Fault{Kind: modbussim.Exception, Code: 4}, drivers.ModbusException(4))
	f(modbussim.Fault{Kind: modbussim.Exception, Code: 2}, "") // its halves are asked at once
	f(modbussim.Fault{Kind: modbussim.Exception, Code: 11}, drivers.ModbusException(11))
	f(modbussim.Fault{Kind: modbussim.Reset}, drivers.CauseLost)
	f(modbussim.Fault{Kind: modbussim.Short}, "") // as after a refusal
	f(modbussim.Fault{Kind: modbussim.Garbled}, drivers.CauseGarbled)
}

// TestOneBadRequestLeavesTheOthers reads a device of which one block is refused.
func TestOneBadRequestLeavesTheOthers(t *testing.T) {
	s := newSite(t)
	d := s.driver(t, 1, 40, 10, time.Second)
	s.Unit(1).Fault(modbussim.Fault{Kind: modbussim.Exception, Code: 4, Times: 1})
	r, err := read(t, d)
	if err != nil || check(t, 1, r) != 30 || r[0].Cause != drivers.ModbusException(4) {
		t.Fatalf("%v, %v", r, err)
	}
}

func TestRefusedConnectionIsLeftAlone(t *testing.T) {
	s := newSite(t)
	gone, err := modbussim.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := (&site{gone, s.links}).driver(t, 1, 1, 0, time.Second)
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err = read(t, d); drivers.CauseOf(err) != drivers.CauseRefused {
		t.Fatalf("got %v", err)
	}
	_, err = read(t, d)
	if drivers.CauseOf(err) != drivers.CauseBackOff {
		t.Fatalf("got %v", err)
	}
}

// TestSilentServer accepts and never answers: every Read ends by its deadline, and the connection is renewed after three.
func TestSilentServer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	connections := make(chan net.Conn, 10)
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				close(connections)
				return
			}
			connections <- c
		}
	}()
	links := modbus.NewLinks()
	d, err := links.Driver(modbus.Config{Device: "d", Link: at(listener.Addr().String()), Unit: 1, Timeout: 20 * time.Millisecond,
		Points: []modbus.Point{{Tag: &drivers.Tag{Type: drivers.TypeUint64}, Table: modbus.HoldingRegister, Type: modbus.DataType{Name: "uint16"}}}})
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		if _, err := read(t, d); drivers.CauseOf(err) != drivers.CauseTimeout {
			t.Errorf("got %v", err)
		}
	}
	if err := errors.Join(links.Close(), listener.Close()); err != nil {
		t.Error(err)
	}
	n := 0
	for c := range connections {
		n++
		if _, err := io.Copy(io.Discard, c); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Log(err)
		}
		_ = c.Close()
	}
	if n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
}

func TestCancelledReadIsNoFailureOfTheDevice(t *testing.T) {
	s := newSite(t)
	d := s.driver(t, 1, 1, 0, time.Minute)
	s.Unit(1).Fault(modbussim.Fault{Kind: modbussim.Never})
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := d.Read(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
}

func TestIdentification(t *testing.T) {
	s := newSite(t)
	d := s.driver(t, 1, 1, 0, time.Second)
	got, err := d.Identification(t.Context())
	if err != nil || got != (modbus.Identification{Vendor: "millgate", Product: "modbussim", Revision: "1"}) {
		t.Fatalf("%+v, %v", got, err)
	}
}

func TestProbeShowsTheWire(t *testing.T) {
	s := newSite(t)
	d := s.driver(t, 1, 3, 0, time.Second)
	got, err := d.Probe(t.Context())
	if err != nil || len(got) != 3 || got[2].Raw[0] != value(1, 2) || got[2].Took <= 0 || got[2].Reading.Value != drivers.UintValue(uint64(value(1, 2))) {
		t.Fatalf("%+v, %v", got, err)
	}
}

func TestBadConfigs(t *testing.T) {
	for name, cfg := range map[string]modbus.Config{
		"unit":       {Link: at("h:502"), Unit: 248},
		"quantity":   {Link: at("h:502"), MaxRegisters: 126},
		"beyond end": {Link: at("h:502"), Points: []modbus.Point{{Tag: &drivers.Tag{Type: drivers.TypeUint64}, Table: modbus.HoldingRegister, Address: 65535, Type: modbus.DataType{Name: "uint32"}}}},
		"tag type":   {Link: at("h:502"), Points: []modbus.Point{{Tag: &drivers.Tag{Type: drivers.TypeText}, Table: modbus.HoldingRegister, Type: modbus.DataType{Name: "uint16"}}}},
	} {
		if _, err := modbus.NewLinks().Driver(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// BenchmarkRead100 reads 100 registers in one request; simulator and driver share the process, so their CPU is counted together.
func BenchmarkRead100(b *testing.B) {
	s := newSite(b)
	d := s.driver(b, 1, 100, 0, time.Second)
	var readings []drivers.Reading
	var err error
	b.ReportAllocs()
	for b.Loop() {
		if readings, err = d.Read(b.Context(), readings[:0]); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBare is the least that the same exchange can cost: one write, one read, no goroutine, no decoding.
func BenchmarkBare(b *testing.B) {
	s := newSite(b)
	s.driver(b, 1, 100, 0, time.Second)
	c, err := net.Dial("tcp", s.Addr())
	if err != nil {
		b.Fatal(err)
	}
	request := []byte{0, 1, 0, 0, 0, 6, 1, 3, 0, 0, 0, 100}
	answer := make([]byte, 9+200)
	for b.Loop() {
		if _, err := c.Write(request); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(c, answer); err != nil {
			b.Fatal(err)
		}
	}
	_ = c.Close()
}
