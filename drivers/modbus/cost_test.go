package modbus

import (
	"testing"
	"time"
)

func TestCost(t *testing.T) {
	f := func(c LinkConfig, r Request, want time.Duration) {
		t.Helper()
		if got := c.Cost(r); got != want {
			t.Errorf("%+v of %+v costs %v, want %v", r, c, got, want)
		}
	}
	ten, bits := Request{HoldingRegister, 0, 10}, Request{Coil, 0, 17}
	tcp, rtu, ascii := Endpoint{}, Endpoint{Transport: Serial, Framing: RTU}, Endpoint{Transport: Serial, Framing: ASCII}
	// On Ethernet: 12 bytes there, 9 and the data back, 0.8 µs each.
	f(LinkConfig{Endpoint: tcp}, ten, 2*time.Millisecond+41*800*time.Nanosecond)
	f(LinkConfig{Endpoint: tcp, Turnaround: time.Second, PauseBetween: time.Minute}, bits, time.Minute+time.Second+24*800*time.Nanosecond)
	// 8 and 25 characters of 10 bits, twice 3.5 characters of silence: 40 characters.
	f(LinkConfig{Endpoint: rtu, Baud: 1000}, ten, 10*time.Millisecond+400*time.Millisecond)
	// 8, 8 and 7 characters of 11 bits.
	f(LinkConfig{Endpoint: rtu, Baud: 1000, Parity: 'E'}, bits, 10*time.Millisecond+253*time.Millisecond)
	f(LinkConfig{Endpoint: rtu, Baud: 100_000}, ten, 10*time.Millisecond+3300*time.Microsecond+3500*time.Microsecond)
	// 17 and 51 characters of 10 bits.
	f(LinkConfig{Endpoint: ascii, Baud: 1000, DataBits: 7, StopBits: 2}, ten, 10*time.Millisecond+680*time.Millisecond)
	// A bridge: Modbus TCP here, RTU there.
	f(LinkConfig{Endpoint: tcp, Baud: 1000}, ten, 10*time.Millisecond+41*800*time.Nanosecond+400*time.Millisecond)
	f(LinkConfig{Endpoint: Endpoint{Framing: RTU}, Baud: 1000}, ten, 10*time.Millisecond+33*800*time.Nanosecond+400*time.Millisecond)
}

func TestCharacters(t *testing.T) {
	f := func(c LinkConfig, char, silence time.Duration) {
		t.Helper()
		if c.charTime() != char || c.silence() != silence {
			t.Errorf("%+v: %v, %v", c, c.charTime(), c.silence())
		}
	}
	f(LinkConfig{}, 0, 0)
	f(LinkConfig{Endpoint: Endpoint{Transport: Serial, Framing: RTU}}, 1041666, 3645833) // 9600 8N1
	f(LinkConfig{Endpoint: Endpoint{Transport: Serial, Framing: RTU}, Baud: 38400, Parity: 'O'}, 286458, 1750*time.Microsecond)
	f(LinkConfig{Endpoint: Endpoint{Transport: Serial, Framing: ASCII}}, 1041666, 0)
}

func TestCycleCost(t *testing.T) {
	cfg := Config{Points: []Point{pointAt(Coil, 0, "bool"), pointAt(HoldingRegister, 0, "uint16")}}
	want := cfg.Link.Cost(Request{Coil, 0, 1}) + cfg.Link.Cost(Request{HoldingRegister, 0, 1})
	if got := CycleCost(cfg); got != want || want < 4*time.Millisecond {
		t.Errorf("got %v, want %v", got, want)
	}
}
