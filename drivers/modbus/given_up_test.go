package modbus_test

import (
	"context"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millgate/millgate/drivers/modbus"
	"github.com/millgate/millgate/drivers/modbus/modbussim"
)

// TestGivenUpRequestsAnswerIsNobodyElses: whoever gives up a request before its time, because a person has pressed Ctrl-C or the turn came
// late, leaves an answer on its way. It must not be taken for that of the next request, which may ask for as many registers elsewhere.
func TestGivenUpRequestsAnswerIsNobodyElses(t *testing.T) {
	for _, transport := range []modbus.Transport{modbus.TCP, modbus.Serial, modbus.Listen} {
		for _, framing := range []modbus.Framing{modbus.MBAP, modbus.RTU, modbus.ASCII} {
			for _, why := range []error{context.Canceled, context.DeadlineExceeded} {
				synctest.Test(t, func(t *testing.T) {
					sim, links := modbussim.New(), modbus.NewLinks()
					links.DialWith(func(context.Context, modbus.LinkConfig) (io.ReadWriteCloser, error) {
						near, far := net.Pipe()
						go sim.ServeConn(far, framing)
						return newBuffered(near), nil
					})
					sim.Unit(1).SetRegisters(modbus.HoldingRegister, 0, []uint16{100, 101})
					sim.Unit(1).Latency(500 * time.Millisecond)
					link := modbus.LinkConfig{Endpoint: modbus.Endpoint{Transport: transport, Framing: framing, Address: "d"}}
					c, err := links.Calls(link, 1, []modbus.Request{
						{Table: modbus.HoldingRegister, Address: 0, Quantity: 1}, {Table: modbus.HoldingRegister, Address: 1, Quantity: 1}})
					if err != nil {
						t.Fatal(err)
					}
					ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
					if why == context.Canceled {
						time.AfterFunc(50*time.Millisecond, cancel)
					}
					c.Exchange(ctx, time.Second, 0, 1)
					cancel()
					c.Exchange(t.Context(), time.Second, 1, 2)
					if got := c.Data(1); len(got) != 2 || got[1] != 101 {
						t.Errorf("%v %v, %v: got % x for register 1", transport, framing, why, got)
					}
					_ = links.Close()
					_ = sim.Close()
				})
			}
		}
	}
}
