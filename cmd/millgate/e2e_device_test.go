package main_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millgate/millgate/buffer"
	"github.com/millgate/millgate/drivers/modbus"
	"github.com/millgate/millgate/drivers/modbus/modbussim"
)

// newServer is a Modbus TCP server in this process.
func newServer(t *testing.T) *modbussim.Server {
	t.Helper()
	return newServerOf(t, modbus.MBAP)
}

// newServerOf is newServer with another framing.
func newServerOf(t *testing.T, f modbus.Framing) *modbussim.Server {
	t.Helper()
	server, err := modbussim.ListenFraming("127.0.0.1:0", f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return server
}

// each calls f every period until the test ends.
func each(t *testing.T, period time.Duration, f func()) {
	f()
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		ticker := time.NewTicker(period)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				f()
			}
		}
	})
	t.Cleanup(func() { close(done); running.Wait() })
}

// law is what a counting device holds beside n, so that no reading can be invented or mixed from two.
func law(n uint32) uint32 { return n * 2654435761 }

// newCounter is a server whose unit 1 counts.
func newCounter(t *testing.T) *modbussim.Server {
	t.Helper()
	server := newServer(t)
	count(t, server.Unit(1))
	return server
}

// count makes a unit count n up and hold law(n) beside it.
func count(t *testing.T, unit *modbussim.Unit) {
	n := uint32(0)
	each(t, 20*time.Millisecond, func() {
		n++
		c := law(n)
		unit.SetRegisters(modbus.HoldingRegister, 0, []uint16{uint16(n >> 16), uint16(n), uint16(c >> 16), uint16(c)})
	})
}

// counterDevice is the YAML of a device that reads a counting server.
func counterDevice(id, address string, interval time.Duration) string {
	return counterDeviceAt(id, fmt.Sprintf("endpoint: \"tcp://%s\", unit: 1", address), interval)
}

// counterDeviceAt is counterDevice with what stands under modbus.
func counterDeviceAt(id, place string, interval time.Duration) string {
	return fmt.Sprintf(`- id: %s
  modbus: {%s}
  interval: %v
  points:
  - {name: n, table: holding_register, address: 0, type: uint32, kind: counter}
  - {name: check, table: holding_register, address: 2, type: uint32}
`, id, place, interval)
}

// proveLaw says that every reading of a counting device is one that it has held, in the order in which it held them.
func (r *recorder) proveLaw(t *testing.T, device string) {
	t.Helper()
	last, read := uint32(0), 0
	for _, b := range r.blocks(buffer.Readings) {
		for _, o := range b.Readings {
			if o.Device != device || o.Values["n"] == nil {
				continue
			}
			var n, check uint32
			if json.Unmarshal(o.Values["n"], &n) != nil || json.Unmarshal(o.Values["check"], &check) != nil {
				t.Fatalf("%s: n %s, check %s", device, o.Values["n"], o.Values["check"])
			}
			if check != law(n) || n < last {
				t.Fatalf("%s: n %d after %d with check %d; want %d", device, n, last, check, law(n))
			}
			last = n
			read++
		}
	}
	if read == 0 {
		t.Errorf("%s: no readings", device)
	}
}

// noise is a server with units whose registers hold text that does not compress, anew ten times a second; and the YAML of its devices.
func noise(t *testing.T, units, texts int) string {
	t.Helper()
	const registers = 125 // of one text: one request
	server := newServer(t)
	each(t, 100*time.Millisecond, func() {
		for u := range units {
			for p := range texts {
				words := make([]uint16, registers)
				for i := range words {
					words[i] = uint16('!'+rand.N(94))<<8 | uint16('!'+rand.N(94))
				}
				server.Unit(uint8(u+1)).SetRegisters(modbus.HoldingRegister, uint16(p*registers), words)
			}
		}
	})
	var out strings.Builder
	for u := range units {
		fmt.Fprintf(&out, "- id: noise-%d\n  modbus: {endpoint: \"tcp://%s\", unit: %d}\n  interval: 100ms\n  points:\n", u+1, server.Addr(), u+1)
		for p := range texts {
			fmt.Fprintf(&out, "  - {name: text_%d, table: holding_register, address: %d, type: string(250), kind: text}\n", p, p*registers)
		}
	}
	return out.String()
}
