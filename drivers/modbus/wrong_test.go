package modbus_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/modbus"
	"github.com/millgate/millgate/drivers/modbus/modbussim"
)

var wrongAnswers = flag.Int("answers", 40_000, "answers that TestNoWrongValue mangles for each kind of link")

// mangler decides what goes out for each answer: on time, late, twice, behind others, with the next one, in parts, or cut off.
type mangler struct {
	mu      sync.Mutex
	rnd     *rand.Rand
	longest time.Duration // of a delay
	held    []byte        // waits for the next answer
	answers int
	mbap    bool   // without a checksum, what follows half a frame would pass for its end, so nothing does
	cut     func() // ends the connection behind an answer that was cut off; nil: it stays
}

func (m *mangler) mangle(_, answer []byte) []modbussim.Sending {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answers++
	answer = slices.Concat(m.held, answer)
	m.held = nil
	late := func() time.Duration { return time.Duration(m.rnd.Int64N(int64(m.longest))) }
	switch m.rnd.IntN(16) {
	case 0: // late, or behind others
		return []modbussim.Sending{{After: late(), Bytes: answer}}
	case 1: // a little late
		return []modbussim.Sending{{After: late() / 20, Bytes: answer}}
	case 2:
		m.answers++
		return []modbussim.Sending{{Bytes: answer}, {After: late(), Bytes: answer}}
	case 3:
		m.held = answer
		return nil
	case 4: // in parts
		at := 1 + m.rnd.IntN(len(answer)-1)
		return []modbussim.Sending{{Bytes: answer[:at], More: true}, {After: late() / 50, Bytes: answer[at:]}}
	case 5: // in single bytes
		var parts []modbussim.Sending
		for i := range answer {
			parts = append(parts, modbussim.Sending{Bytes: answer[i : i+1], More: i+1 < len(answer)})
		}
		return parts
	case 6:
		if m.rnd.IntN(4) > 0 {
			break
		}
		if m.cut != nil {
			defer m.cut()
		}
		return []modbussim.Sending{{Bytes: answer[:1+m.rnd.IntN(len(answer)-1)], More: m.mbap}}
	case 7: // never
		if m.rnd.IntN(4) == 0 {
			return nil
		}
	}
	return []modbussim.Sending{{Bytes: answer}}
}

// blocks are the requests of the device below: some of the same shape, some not.
var blocks = [][2]int{{0, 10}, {100, 10}, {200, 10}, {300, 20}, {400, 3}, {500, 10}, {600, 20}, {700, 1}, {800, 10}, {900, 20}, {1000, 7}, {1100, 10}}

// mangled reads a device whose answers are mangled, until there were enough. It returns how many good readings there were, how many of
// them were wrong, and how many of these were a whole answer of the same shape.
func mangled(t *testing.T, link modbus.LinkConfig, seed uint64, pause time.Duration, cutEnds bool) (good, wrong, sameShape int) {
	const timeout = 20 * time.Millisecond
	sim, links := modbussim.New(), modbus.NewLinks()
	m := &mangler{rnd: rand.New(rand.NewPCG(seed, 1)), longest: 3 * timeout, mbap: link.Endpoint.Framing == modbus.MBAP}
	links.DialWith(func(context.Context, modbus.LinkConfig) (io.ReadWriteCloser, error) {
		near, far := net.Pipe()
		if cutEnds {
			m.mu.Lock()
			m.cut = func() { time.AfterFunc(time.Millisecond, func() { _ = far.Close() }) }
			m.mu.Unlock()
		}
		go sim.ServeConn(far, link.Endpoint.Framing)
		return near, nil
	})
	cfg := modbus.Config{Device: "d", Link: link, Unit: 3, Timeout: timeout, MaxGap: -1}
	u := sim.Unit(3)
	for _, b := range blocks {
		for a := b[0]; a < b[0]+b[1]; a++ {
			u.SetRegisters(modbus.HoldingRegister, uint16(a), []uint16{value(3, a)})
			cfg.Points = append(cfg.Points, modbus.Point{Tag: &drivers.Tag{Name: fmt.Sprint(a), Type: drivers.TypeUint64},
				Table: modbus.HoldingRegister, Address: uint16(a), Type: modbus.DataType{Name: "uint16"}})
		}
	}
	u.Mangle(m.mangle)
	d, err := links.Driver(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var readings []drivers.Reading
	for done := false; !done; {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		readings, err = d.Read(ctx, readings[:0])
		cancel()
		if err == nil {
			g, w, s := judge(readings)
			good, wrong, sameShape = good+g, wrong+w, sameShape+s
		} else {
			time.Sleep(time.Millisecond) // the time of the bubble stands still while something runs
		}
		time.Sleep(pause)
		m.mu.Lock()
		done = m.answers >= *wrongAnswers
		m.mu.Unlock()
	}
	_ = d.Close()
	_ = sim.Close()
	return good, wrong, sameShape
}

// judge compares the readings with what the device holds, block by block.
func judge(readings []drivers.Reading) (good, wrong, sameShape int) {
	at := 0
	for _, b := range blocks {
		block := readings[at : at+b[1]]
		at += b[1]
		holds := func(o [2]int) bool {
			for i, r := range block {
				if r.Value != drivers.UintValue(uint64(value(3, o[0]+i))) {
					return false
				}
			}
			return o[1] == b[1]
		}
		switch {
		case block[0].Quality != drivers.Good:
			continue
		case holds(b):
		default:
			wrong += len(block)
			if slices.ContainsFunc(blocks, holds) {
				sameShape += len(block)
			}
		}
		good += len(block)
	}
	return good, wrong, sameShape
}

// TestNoWrongValue reads through answers that are late, sent twice, reordered, merged, split and cut off. With transaction ids no
// value is ever wrong. Without them a whole answer to another request of the same unit, function and length, that comes when the next
// such request has been written, is what the protocol can not tell from the right one: those are counted, and nothing else is wrong.
func TestNoWrongValue(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	endpoint := func(tr modbus.Transport, f modbus.Framing, inFlight int) modbus.LinkConfig {
		return modbus.LinkConfig{Endpoint: modbus.Endpoint{Transport: tr, Framing: f, Address: "line"}, Baud: 115200, InFlight: inFlight}
	}
	f := func(name string, link modbus.LinkConfig, pause time.Duration, cutEnds, ids bool) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				good, wrong, sameShape := mangled(t, link, seed, pause, cutEnds)
				t.Logf("%d answers: %d good readings, %d wrong, of which %d of the same shape", *wrongAnswers, good, wrong, sameShape)
				if good == 0 || wrong != sameShape || ids && wrong != 0 {
					t.Errorf("%d good, %d wrong, %d of the same shape", good, wrong, sameShape)
				}
			})
		})
	}
	f("tcp, 1 in flight", endpoint(modbus.TCP, modbus.MBAP, 1), 0, false, true)
	f("tcp, 1 in flight, cuts end the connection", endpoint(modbus.TCP, modbus.MBAP, 1), 0, true, true)
	f("tcp, 16 in flight", endpoint(modbus.TCP, modbus.MBAP, 16), 0, false, true)
	f("rtu", endpoint(modbus.Serial, modbus.RTU, 1), 0, false, false)
	f("rtu over tcp", endpoint(modbus.TCP, modbus.RTU, 1), 0, false, false)
	f("ascii", endpoint(modbus.Serial, modbus.ASCII, 1), 0, false, false)
	f("ascii over tcp", endpoint(modbus.TCP, modbus.ASCII, 1), 0, false, false)
}
