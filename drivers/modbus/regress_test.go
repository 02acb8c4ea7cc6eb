package modbus_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/modbus"
	"github.com/millgate/millgate/drivers/modbus/modbussim"
)

func within(t *testing.T, d *modbus.Driver, interval time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), interval)
	defer cancel()
	_, err := d.Read(ctx, nil)
	return err
}

// TestDeadUnitLeavesTheBusToItsNeighbours: two time-outs show that a unit is silent; from then on it costs the bus one per pause.
func TestDeadUnitLeavesTheBusToItsNeighbours(t *testing.T) {
	s := newSite(t)
	dead, alive := s.driver(t, 1, 1, 0, 200*time.Millisecond), s.driver(t, 2, 1, 0, 200*time.Millisecond)
	s.Unit(1).Fault(modbussim.Fault{Kind: modbussim.Never})
	for range 2 {
		if err := within(t, dead, time.Second); drivers.CauseOf(err) != drivers.CauseTimeout {
			t.Fatalf("got %v", err)
		}
	}
	for range 20 {
		if err := within(t, dead, time.Second); drivers.CauseOf(err) != drivers.CauseBackOff {
			t.Fatalf("got %v", err)
		}
		if err := within(t, alive, time.Second); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLonelyUnitIsAlwaysAsked: without neighbours there is nobody to protect, and its return is seen at once.
func TestLonelyUnitIsAlwaysAsked(t *testing.T) {
	s := newSite(t)
	d := s.driver(t, 1, 1, 0, 20*time.Millisecond)
	s.Unit(1).Fault(modbussim.Fault{Kind: modbussim.Never, Times: 5})
	for range 5 {
		if err := within(t, d, time.Second); drivers.CauseOf(err) != drivers.CauseTimeout {
			t.Fatalf("got %v", err)
		}
	}
	if err := within(t, d, time.Second); err != nil {
		t.Fatal(err)
	}
}

// TestEachDriverLearnsOfAnOutage: the attempt may always fall to a neighbour; a device must be known to be down all the same.
func TestEachDriverLearnsOfAnOutage(t *testing.T) {
	s := newSite(t)
	gone, err := modbussim.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	there := &site{gone, s.links}
	first, second := there.driver(t, 1, 1, 0, time.Second), there.driver(t, 2, 1, 0, time.Second)
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	for _, d := range []*modbus.Driver{first, second} {
		if err := within(t, d, time.Second); drivers.CauseOf(err) != drivers.CauseRefused {
			t.Errorf("got %v", err)
		}
	}
	if err := within(t, second, time.Second); drivers.CauseOf(err) != drivers.CauseBackOff {
		t.Errorf("got %v", err)
	}
}

// TestBusyUnitIsLeftAlone: exceptions 5 and 6 slow the unit, more each time, and nobody else on the link; the first answer ends it.
func TestBusyUnitIsLeftAlone(t *testing.T) {
	for _, code := range []byte{5, 6} {
		s := newSite(t)
		busy, other := s.driver(t, 1, 1, 0, time.Second), s.driver(t, 2, 1, 0, time.Second)
		s.Unit(1).Fault(modbussim.Fault{Kind: modbussim.Exception, Code: code, Times: 1})
		if r, err := read(t, busy); err != nil || r[0].Cause != drivers.ModbusException(code) {
			t.Errorf("exception %d: %s", code, errText(r, err))
		}
		for range 3 {
			if err := within(t, busy, time.Second); drivers.CauseOf(err) != drivers.CauseBackOff {
				t.Errorf("asked again at once: %v", err)
			}
			if err := within(t, other, time.Second); err != nil {
				t.Error(err)
			}
		}
		time.Sleep(500 * time.Millisecond) // the first pause at its longest
		if err := within(t, busy, time.Second); err != nil {
			t.Error(err)
		}
		if err := within(t, busy, time.Second); err != nil {
			t.Errorf("left alone though it has answered: %v", err)
		}
	}
}

// TestBridgeSpeaksForSilentUnit: exceptions 10 and 11 are the unit's fault. It is down, and looked for now and then; the connection and
// the other units stay as they are.
func TestBridgeSpeaksForSilentUnit(t *testing.T) {
	for _, code := range []byte{10, 11} {
		s := newSite(t)
		gone, other := s.driver(t, 1, 1, 0, time.Second), s.driver(t, 2, 1, 0, time.Second)
		s.Unit(1).Fault(modbussim.Fault{Kind: modbussim.Exception, Code: code})
		for range 2 {
			if err := within(t, gone, time.Second); drivers.CauseOf(err) != drivers.ModbusException(code) {
				t.Errorf("exception %d: %v", code, err)
			}
		}
		before := s.Stats().Requests
		for range 5 {
			if err := within(t, gone, time.Second); drivers.CauseOf(err) != drivers.CauseBackOff {
				t.Errorf("exception %d: %v", code, err)
			}
			if err := within(t, other, time.Second); err != nil {
				t.Error(err)
			}
		}
		if n := s.Stats(); n.Requests != before+5 || n.Connections != 1 {
			t.Errorf("%d requests for 5 reads of the other unit, %d connections", n.Requests-before, n.Connections)
		}
	}
}

// TestLateTurnIsNotTheUnitsFault: a unit whose turn comes just before the deadline is not blamed for it, however often that happens.
func TestLateTurnIsNotTheUnitsFault(t *testing.T) {
	s := newSite(t)
	d := s.driver(t, 1, 1, 0, time.Second)
	s.driver(t, 2, 1, 0, time.Second) // a neighbour, so that a silent unit would be left alone
	s.Unit(1).Latency(30 * time.Millisecond)
	for range 4 {
		if err := within(t, d, 10*time.Millisecond); drivers.CauseOf(err) != drivers.CauseLinkBusy {
			t.Errorf("got %v", err)
		}
	}
	expired, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	before := s.Stats().Requests
	if _, err := d.Read(expired, nil); drivers.CauseOf(err) != drivers.CauseLinkBusy || s.Stats().Requests != before {
		t.Errorf("behind the deadline: %v, %d requests", err, s.Stats().Requests-before)
	}
	if err := within(t, d, time.Second); err != nil {
		t.Error(err)
	}
	if n := s.Stats().Connections; n != 1 {
		t.Errorf("%d connections", n)
	}
}

// TestMangledDevice reads a device with several requests in flight through answers that are mangled in every way, while it learns what it
// is refused: no good reading is ever wrong.
func TestMangledDevice(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	synctest.Test(t, func(t *testing.T) {
		sim, links := modbussim.New(), modbus.NewLinks()
		links.DialWith(func(context.Context, modbus.LinkConfig) (io.ReadWriteCloser, error) {
			near, far := net.Pipe()
			go sim.ServeConn(far, modbus.MBAP)
			return newBuffered(near), nil
		})
		m := &mangler{rnd: rand.New(rand.NewPCG(seed, 2)), longest: 60 * time.Millisecond, mbap: true}
		u := sim.Unit(1)
		u.Mangle(m.mangle)
		u.Limit(20)
		cfg := modbus.Config{Device: "d", Unit: 1, Timeout: 20 * time.Millisecond,
			Link: modbus.LinkConfig{Endpoint: modbus.Endpoint{Address: "d"}, InFlight: 16}}
		for a := range 300 {
			if a%50 != 17 {
				u.SetRegisters(modbus.HoldingRegister, uint16(a), []uint16{value(1, a)})
			}
			if a%3 > 0 {
				cfg.Points = append(cfg.Points, modbus.Point{Tag: &drivers.Tag{Name: fmt.Sprint(a), Type: drivers.TypeUint64},
					Table: modbus.HoldingRegister, Address: uint16(a), Type: modbus.DataType{Name: "uint16"}})
			}
		}
		d, err := links.Driver(cfg)
		if err != nil {
			t.Fatal(err)
		}
		good, bad := 0, 0
		for m.count() < 6_000 {
			r, err := read(t, d)
			time.Sleep(time.Millisecond)
			if err != nil {
				continue
			}
			for i := range r {
				if r[i].Quality != drivers.Good {
					bad++
				} else if good++; r[i].Value != drivers.UintValue(uint64(value(1, int(cfg.Points[i].Address)))) {
					t.Fatalf("register %d reads %s", cfg.Points[i].Address, r[i].Value)
				}
			}
		}
		t.Logf("%d good readings, %d bad", good, bad)
		if good < 3_000 {
			t.Errorf("%d good readings prove little", good)
		}
		_ = d.Close()
		_ = sim.Close()
	})
}

func TestLastDriverClosesTheLink(t *testing.T) {
	s := newSite(t)
	first, second := s.driver(t, 1, 1, 0, time.Second), s.driver(t, 2, 1, 0, time.Second)
	f := func(d *modbus.Driver, want uint64) {
		t.Helper()
		if err := within(t, d, time.Second); err != nil || s.Stats().Connections != want {
			t.Errorf("%v, %d connections, want %d", err, s.Stats().Connections, want)
		}
	}
	f(first, 1)
	_ = first.Close()
	f(second, 1)
	_ = second.Close()
	f(s.driver(t, 1, 1, 0, time.Second), 2)
}

func TestIdentificationRefused(t *testing.T) {
	s := newSite(t)
	d := s.driver(t, 1, 1, 0, time.Second)
	s.Unit(1).Fault(modbussim.Fault{Kind: modbussim.Exception, Code: 1, Times: 1})
	if _, err := d.Identification(t.Context()); drivers.CauseOf(err) != drivers.ModbusException(1) {
		t.Fatalf("got %v", err)
	}
}

func TestMoreBadConfigs(t *testing.T) {
	good := modbus.Point{Tag: &drivers.Tag{Type: drivers.TypeUint64}, Table: modbus.HoldingRegister, Type: modbus.DataType{Name: "uint16"}}
	f := func(name string, change func(*modbus.Point)) {
		t.Helper()
		p := good
		change(&p)
		if _, err := modbus.NewLinks().Driver(modbus.Config{Link: at("h:502"), Points: []modbus.Point{p}}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	f("no tag", func(p *modbus.Point) { p.Tag = nil })
	f("register in a bit table", func(p *modbus.Point) { p.Table = modbus.Coil })
	f("no such table", func(p *modbus.Point) { p.Table = 9 })
	f("no such type", func(p *modbus.Point) { p.Type.Name, p.Tag = "uint12", &drivers.Tag{} })
	f("exponent", func(p *modbus.Point) { p.Scale = drivers.Decimal{Mantissa: 1, Exponent: 99} })
}

// TestFaultsAreTold: a garbled answer, a unit that falls silent and a connection that breaks, each once, with the frames around it.
func TestFaultsAreTold(t *testing.T) {
	f := func(name string, fault modbussim.Fault, reads int) {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			told, frames := 0, 0
			s.links.OnFault = func(_ string, _ modbus.Framing, of func() []modbus.Frame) { told++; frames = len(of()) }
			d := s.driver(t, 1, 1, 0, 20*time.Millisecond)
			if err := within(t, d, time.Second); err != nil || told != 0 {
				t.Fatalf("%v, told %d", err, told)
			}
			s.Unit(1).Fault(fault)
			for range reads {
				_ = within(t, d, time.Second) // the fault
			}
			if told != 1 || frames < 3 {
				t.Errorf("told %d times, with %d frames", told, frames)
			}
		})
	}
	f("garbled", modbussim.Fault{Kind: modbussim.Garbled, Times: 1}, 1)
	f("silent", modbussim.Fault{Kind: modbussim.Never}, 5)
	f("reset", modbussim.Fault{Kind: modbussim.Reset, Times: 1}, 1)
}
