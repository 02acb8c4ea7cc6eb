package modbus_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/modbus"
	"github.com/millgate/millgate/drivers/modbus/modbussim"
)

// overPipes makes links connect to what serve does at the other end of a pipe, in the bubble of the test.
func overPipes(t *testing.T, serve func(c net.Conn)) *modbus.Links {
	links := modbus.NewLinks()
	links.DialWith(func(context.Context, modbus.LinkConfig) (io.ReadWriteCloser, error) {
		near, far := net.Pipe()
		go serve(far)
		return newBuffered(near), nil
	})
	t.Cleanup(func() { _ = links.Close() })
	return links
}

func callsOf(t *testing.T, links *modbus.Links, link modbus.LinkConfig, unit uint8, requests ...modbus.Request) *modbus.Calls {
	t.Helper()
	c, err := links.Calls(link, unit, requests)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestCancelledRequestLeavesNoAnswerBehind: where no transaction id tells answers apart, what comes for a request that was cancelled must
// not be taken for the next one's.
func TestCancelledRequestLeavesNoAnswerBehind(t *testing.T) {
	for _, transport := range []modbus.Transport{modbus.TCP, modbus.Serial, modbus.Listen} {
		synctest.Test(t, func(t *testing.T) {
			sim := modbussim.New()
			u := sim.Unit(1)
			for _, a := range []uint16{0, 100} {
				u.SetRegisters(modbus.HoldingRegister, a, []uint16{a})
			}
			var asked atomic.Bool
			u.Mangle(func(_, answer []byte) []modbussim.Sending {
				late := 10 * time.Millisecond
				if !asked.Swap(true) {
					late = 100 * time.Millisecond
				}
				return []modbussim.Sending{{Bytes: answer, After: late}}
			})
			links := overPipes(t, func(c net.Conn) { sim.ServeConn(c, modbus.RTU) })
			link := modbus.LinkConfig{Endpoint: modbus.Endpoint{Transport: transport, Framing: modbus.RTU, Address: "x"}}
			calls := callsOf(t, links, link, 1, modbus.Request{Table: modbus.HoldingRegister, Address: 0, Quantity: 1},
				modbus.Request{Table: modbus.HoldingRegister, Address: 100, Quantity: 1})
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(99*time.Millisecond, cancel)
			calls.Exchange(ctx, time.Second, 0, 1)
			calls.Exchange(t.Context(), time.Second, 1, 2)
			if data := calls.Data(1); data == nil || binary.BigEndian.Uint16(data) != 100 {
				t.Errorf("transport %d: % x, want 100", transport, data)
			}
			_ = links.Close()
			_ = sim.Close()
		})
	}
}

// TestServerThatHangsUp between two requests, without an answer to any: whoever asks next is told that the connection is lost.
func TestServerThatHangsUp(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = listener.Close(); <-done })
	go func() {
		defer close(done)
		for c, err := listener.Accept(); err == nil; c, err = listener.Accept() {
			time.Sleep(100 * time.Millisecond)
			_ = c.Close()
		}
	}()
	s := newSite(t)
	link := at(listener.Addr().String())
	var calls []*modbus.Calls
	for unit := range uint8(2) {
		calls = append(calls, callsOf(t, s.links, link, unit+1, modbus.Request{Quantity: 1}))
	}
	calls[0].Exchange(t.Context(), 10*time.Millisecond, 0, 1)
	time.Sleep(200 * time.Millisecond)
	calls[0].Exchange(t.Context(), time.Second, 0, 1)
	calls[1].Exchange(t.Context(), time.Second, 0, 1)
	if err := calls[1].Err(0); drivers.CauseOf(err) != drivers.CauseLost {
		t.Errorf("%v, %v", drivers.CauseOf(err), err)
	}
}

// TestLateCallerIsNoFailureOfTheLink: who comes to dial a moment before his deadline learns nothing of the host.
func TestLateCallerIsNoFailureOfTheLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim, links := modbussim.New(), modbus.NewLinks()
		sim.Unit(1).SetRegisters(modbus.HoldingRegister, 0, []uint16{7})
		links.DialWith(func(ctx context.Context, _ modbus.LinkConfig) (io.ReadWriteCloser, error) {
			select {
			case <-time.After(5 * time.Millisecond):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			near, far := net.Pipe()
			go sim.ServeConn(far, modbus.MBAP)
			return newBuffered(near), nil
		})
		calls := callsOf(t, links, at("x"), 1, modbus.Request{Table: modbus.HoldingRegister, Quantity: 1})
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		calls.Exchange(ctx, time.Second, 0, 1)
		cancel()
		if calls.Err(0) == nil {
			t.Error("no error")
		}
		calls.Exchange(t.Context(), time.Second, 0, 1)
		if calls.Err(0) != nil {
			t.Error(calls.Err(0))
		}
		_ = links.Close()
		_ = sim.Close()
	})
}

// TestAnswersInFlightTakeTheirTimeOnTheLine: behind a bridge each answer comes no sooner than its line carries it.
func TestAnswersInFlightTakeTheirTimeOnTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbussim.New()
		u := sim.Unit(1)
		u.SetRegisters(modbus.HoldingRegister, 0, make([]uint16, 125))
		asked := time.Duration(0)
		u.Mangle(func(_, answer []byte) []modbussim.Sending {
			asked++
			return []modbussim.Sending{{Bytes: answer, After: asked * 2500 * time.Millisecond}} // 255 characters at 1200 bits per second
		})
		links := overPipes(t, func(c net.Conn) { sim.ServeConn(c, modbus.MBAP) })
		link := at("x")
		link.Baud, link.InFlight = 1200, 2
		r := modbus.Request{Table: modbus.HoldingRegister, Quantity: 125}
		calls := callsOf(t, links, link, 1, r, r)
		calls.Exchange(t.Context(), 500*time.Millisecond, 0, 2)
		for i := range 2 {
			if err := calls.Err(i); err != nil {
				t.Errorf("request %d: %v", i, err)
			}
		}
		_ = links.Close()
		_ = sim.Close()
	})
}

// TestCancelledWhileLearning: a Read that was cancelled while it took a refused request apart leaves nothing behind.
func TestCancelledWhileLearning(t *testing.T) {
	for nth := range 5 {
		s := newSite(t)
		d := sparse(t, s, allOf(100), map[int]bool{33: true}, 0)
		ctx, cancel := context.WithCancel(t.Context())
		asked := 0
		s.Unit(1).Mangle(func(_, answer []byte) []modbussim.Sending {
			if asked++; asked == 2+nth {
				cancel()
				return nil
			}
			return []modbussim.Sending{{Bytes: answer}}
		})
		if _, err := d.Read(ctx, nil); !errors.Is(err, context.Canceled) {
			t.Fatalf("request %d: %v", nth, err)
		}
		s.Unit(1).SetRegisters(modbus.HoldingRegister, 33, []uint16{value(1, 33)}) // it is there after all
		if r, err := read(t, d); err != nil || check(t, 1, r) != 100 {
			t.Errorf("request %d: %v, %d good", nth, err, check(t, 1, r))
		}
	}
}

// TestOverloadedLineIsNoRefusal: a line that can not carry its cycle cuts the same requests off in each; the device refuses none of them.
func TestOverloadedLineIsNoRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbussim.New()
		u := sim.Unit(1)
		u.Mangle(func(_, answer []byte) []modbussim.Sending {
			return []modbussim.Sending{{Bytes: answer, After: 300 * time.Millisecond}}
		})
		links := overPipes(t, func(c net.Conn) { sim.ServeConn(c, modbus.MBAP) })
		cfg := modbus.Config{Device: "d", Link: at("x"), Unit: 1}
		for i := range 5 {
			u.SetRegisters(modbus.HoldingRegister, uint16(1000*i), []uint16{1})
			cfg.Points = append(cfg.Points, modbus.Point{Tag: &drivers.Tag{Type: drivers.TypeUint64}, Table: modbus.HoldingRegister,
				Address: uint16(1000 * i), Type: modbus.DataType{Name: "uint16"}})
		}
		d, err := links.Driver(cfg)
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			_ = within(t, d, time.Second)
			if q := d.Learned().Quarantined; len(q) > 0 {
				t.Fatalf("taken for refused: %+v", q)
			}
		}
		_ = links.Close()
		_ = sim.Close()
	})
}
