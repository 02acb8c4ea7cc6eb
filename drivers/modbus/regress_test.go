package modbus_test

import (
	"context"
	"testing"
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
	f("exponent", func(p *modbus.Point) { p.Scale = modbus.Decimal{Mantissa: 1, Exponent: 99} })
}
