package modbus_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millgate/millgate/collector"
	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/modbus"
	"github.com/millgate/millgate/drivers/modbus/modbussim"
)

// plant is simulated servers behind pipes, in the virtual time of a bubble, and what polls them.
type plant struct {
	t       *testing.T
	links   *modbus.Links
	servers map[string]*modbussim.Server // by address
	devices []collector.Device
	cycles  tally
}

// tally is a store that counts the cycles of each device.
type tally struct {
	mu         sync.Mutex
	due, good  map[string]int
	bad        map[drivers.Cause]int
	skipped    map[drivers.Cause]int
	beforeThat bool // nothing counts yet
}

func (s *tally) Append(_ []drivers.Reading, _ []drivers.Event, cycles []drivers.Cycle) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range cycles {
		if s.beforeThat {
			continue
		}
		s.due[c.Device] += int(c.Due)
		s.good[c.Device] += int(c.Good)
		for _, n := range c.Bad {
			s.bad[n.Cause] += int(n.N)
		}
		for _, n := range c.Skipped {
			s.skipped[n.Cause] += int(n.N)
		}
	}
	return 0, nil
}

func (s *tally) Durable() uint64 { return 0 }

func newPlant(t *testing.T) *plant {
	p := &plant{t: t, links: modbus.NewLinks(), servers: map[string]*modbussim.Server{}}
	p.cycles.beforeThat = true
	p.links.DialWith(func(_ context.Context, c modbus.LinkConfig) (io.ReadWriteCloser, error) {
		near, far := net.Pipe()
		go p.server(c.Endpoint.Address).ServeConn(far, c.Endpoint.Framing)
		return near, nil
	})
	return p
}

func (p *plant) server(address string) *modbussim.Server {
	if p.servers[address] == nil {
		p.servers[address] = modbussim.New()
	}
	return p.servers[address]
}

// device adds a device of one register that is polled every interval and may take as long to answer.
func (p *plant) device(link modbus.LinkConfig, unit uint8, interval time.Duration) *modbussim.Unit {
	id := fmt.Sprintf("%s/%d", link.Endpoint.Address, unit)
	tag := &drivers.Tag{Device: id, Name: "r", Type: drivers.TypeUint64}
	d, err := p.links.Driver(modbus.Config{Device: id, Link: link, Unit: unit, Timeout: interval, Points: []modbus.Point{
		{Tag: tag, Table: modbus.HoldingRegister, Type: modbus.DataType{Name: "uint16"}}}})
	if err != nil {
		p.t.Fatal(err)
	}
	p.devices = append(p.devices, collector.Device{ID: id, Up: &drivers.Tag{Device: id, Name: "up", Type: drivers.TypeBool},
		Groups: []collector.Group{{Interval: interval, Driver: d, Tags: []collector.TagRule{{Tag: tag}}}}})
	u := p.server(link.Endpoint.Address).Unit(unit)
	u.SetRegisters(modbus.HoldingRegister, 0, []uint16{1})
	return u
}

// run polls for warm, and counts what comes in span after that.
func (p *plant) run(warm, span time.Duration) {
	ctx, cancel := context.WithCancel(p.t.Context())
	var running sync.WaitGroup
	poll := collector.New(collector.Config{Devices: p.devices, Store: &p.cycles, Log: slog.New(slog.DiscardHandler)})
	running.Go(func() { _ = poll.Run(ctx) })
	time.Sleep(warm)
	p.cycles.mu.Lock()
	p.cycles.due, p.cycles.good = map[string]int{}, map[string]int{}
	p.cycles.bad, p.cycles.skipped, p.cycles.beforeThat = map[drivers.Cause]int{}, map[drivers.Cause]int{}, false
	p.cycles.mu.Unlock()
	time.Sleep(span)
	p.cycles.mu.Lock()
	p.cycles.beforeThat = true
	p.cycles.mu.Unlock()
	cancel()
	running.Wait()
	_ = p.links.Close()
	for _, s := range p.servers {
		_ = s.Close()
	}
}

// warmUp is how long to poll before what counts, and how long that is: five minutes after the first. With the race detector it is too
// short for the bars: the rests between two looks at a silent unit are still growing.
func warmUp() (warm, span time.Duration) {
	if raceDetector {
		return 10 * time.Second, 30 * time.Second
	}
	return time.Minute, 5 * time.Minute
}

// share is the part of their due cycles that the devices got, of those that are meant.
func (p *plant) share(meant func(id string) bool) float64 {
	due, good := 0, 0
	for id, n := range p.cycles.due {
		if meant(id) {
			due += n
			good += p.cycles.good[id]
		}
	}
	return float64(good) / float64(due)
}

// TestSilentUnitsLeaveTheLinkToTheOthers polls 30 units on one link each second, with a time-out as long as that, of which some never
// answer: for five minutes after the first.
func TestSilentUnitsLeaveTheLinkToTheOthers(t *testing.T) {
	f := func(name string, framing modbus.Framing, transport modbus.Transport, silent int, least float64) {
		t.Run(fmt.Sprint(name, " ", silent, " silent"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPlant(t)
				link := modbus.LinkConfig{Endpoint: modbus.Endpoint{Transport: transport, Framing: framing, Address: "line"}}
				dead := map[string]bool{}
				for unit := range uint8(30) {
					u := p.device(link, unit+1, time.Second)
					u.Latency(10 * time.Millisecond)
					if int(unit)%6 == 3 && len(dead) < silent {
						u.Fault(modbussim.Fault{Kind: modbussim.Never})
						dead[fmt.Sprintf("line/%d", unit+1)] = true
					}
				}
				p.run(warmUp())
				share := p.share(func(id string) bool { return !dead[id] })
				t.Logf("%.2f %% of the others' cycles; bad %v, skipped %v", 100*share, p.cycles.bad, p.cycles.skipped)
				if raceDetector {
					least -= 0.1
				}
				if share < least {
					t.Errorf("the others got %.2f %% of their cycles, want %.0f %%", 100*share, 100*least)
				}
			})
		})
	}
	f("tcp", modbus.MBAP, modbus.TCP, 1, 0.99)
	f("tcp", modbus.MBAP, modbus.TCP, 5, 0.95)
	f("rtu over tcp", modbus.RTU, modbus.TCP, 1, 0.99)
	f("rtu over tcp", modbus.RTU, modbus.TCP, 5, 0.95)
}

// TestSilentLinksTouchNobody polls 50 devices on links of their own, of which five never answer: the others lose not one cycle.
func TestSilentLinksTouchNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlant(t)
		dead := map[string]bool{}
		for i := range 50 {
			address := fmt.Sprint("device-", i)
			u := p.device(modbus.LinkConfig{Endpoint: modbus.Endpoint{Address: address}}, 1, time.Second)
			u.Latency(10 * time.Millisecond)
			if i%10 == 7 {
				u.Fault(modbussim.Fault{Kind: modbussim.Never})
				dead[address+"/1"] = true
			}
		}
		p.run(warmUp())
		if share := p.share(func(id string) bool { return !dead[id] }); share != 1 {
			t.Errorf("the others got %.4f of their cycles; bad %v, skipped %v", share, p.cycles.bad, p.cycles.skipped)
		}
	})
}

// TestUnitsTakeTurns: units are served in turn, whatever the number of requests that each has; one that is looked for comes last.
func TestUnitsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlant(t)
		link := modbus.LinkConfig{Endpoint: modbus.Endpoint{Framing: modbus.RTU, Address: "line"}}
		for range 5 { // five groups of one device, and one of each of the others: all want half of the line's time
			p.device(link, 1, 100*time.Millisecond).Latency(20 * time.Millisecond)
		}
		for unit := range uint8(3) {
			p.device(link, unit+2, 100*time.Millisecond).Latency(20 * time.Millisecond)
		}
		p.run(time.Second, 10*time.Second)
		for id, want := range map[string]float64{"line/2": 1, "line/3": 1, "line/4": 1} {
			if got := float64(p.cycles.good[id]) / float64(p.cycles.due[id]); got != want {
				t.Errorf("%s got %.2f of its cycles beside a device that asks five times as much; bad %v", id, got, p.cycles.bad)
			}
		}
		if got := p.cycles.good["line/1"]; got == 0 {
			t.Error("the device that asks much got nothing")
		}
	})
}
