package main

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/millgate/millgate/drivers/modbus"
	"github.com/millgate/millgate/drivers/modbus/modbussim"
)

const (
	lineWarm = time.Minute
	lineSpan = 5 * time.Minute
)

// crowd is devices of which some never answer, polled each second with a time-out as long as that.
type crowd struct {
	name            string
	links           int
	units           int // on each link
	silent          int // of all
	least           float64
	share           float64 // of their cycles that the others got
	house           *house
	devices         strings.Builder
	silentByDevice  map[string]bool
	dueAll, goodAll [2]uint64
}

// line runs three crowds at the same time, in real time.
func line(time.Duration, time.Duration) error {
	crowds := []*crowd{
		{name: "30 units on a link, 1 silent", links: 1, units: 30, silent: 1, least: 0.99},
		{name: "30 units on a link, 5 silent", links: 1, units: 30, silent: 5, least: 0.95},
		{name: "50 links of a unit, 5 silent", links: 50, units: 1, silent: 5, least: 1},
	}
	fmt.Printf("cycles of the units that answer, interval and time-out 1 s, %v after %v\n", lineSpan, lineWarm)
	errs := make([]error, len(crowds))
	var running sync.WaitGroup
	for i, c := range crowds {
		running.Go(func() { errs[i] = c.run() })
	}
	running.Wait()
	var c card
	for _, crowd := range crowds {
		c.row(crowd.name, fmt.Sprintf("%.2f %%", 100*crowd.share), fmt.Sprintf("≥ %.0f %%", 100*crowd.least), crowd.share >= crowd.least)
	}
	return errors.Join(append(errs, c.result())...)
}

func (c *crowd) run() (err error) {
	if c.house, err = newHouse("plain", time.Second); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.house.close()) }()
	if err := errors.Join(c.house.build(), c.settle()); err != nil {
		return err
	}
	gateway, err := c.house.gatewayOf("", c.devices.String())
	if err != nil {
		return err
	}
	for i, wait := range []time.Duration{lineWarm, lineSpan} {
		time.Sleep(wait)
		if err := c.count(i); err != nil {
			return errors.Join(err, gateway.stop())
		}
	}
	c.share = float64(c.goodAll[1]-c.goodAll[0]) / float64(c.dueAll[1]-c.dueAll[0])
	return gateway.stop()
}

// settle starts the servers, whose units take 10 ms to answer.
func (c *crowd) settle() error {
	c.silentByDevice = map[string]bool{}
	every := c.links * c.units / c.silent
	n := 0
	for range c.links {
		server, err := modbussim.Listen("127.0.0.1:0")
		if err != nil {
			return err
		}
		c.house.onClose(server.Close)
		for unit := range c.units {
			u := server.Unit(uint8(unit + 1))
			u.SetRegisters(modbus.HoldingRegister, 0, []uint16{1})
			u.Latency(10 * time.Millisecond)
			id := fmt.Sprint("device-", n)
			if n%every == every/2 {
				u.Fault(modbussim.Fault{Kind: modbussim.Never})
				c.silentByDevice[id] = true
			}
			fmt.Fprintf(&c.devices, "- id: %s\n  modbus: {endpoint: \"tcp://%s\", unit: %d, timeout: 1s}\n  interval: 1s\n  points:\n"+
				"  - {name: r, table: holding_register, address: 0, type: uint16}\n", id, server.Addr(), unit+1)
			n++
		}
	}
	return nil
}

// count sums up the books of the devices that answer.
func (c *crowd) count(i int) error {
	s, err := c.house.status()
	if err != nil {
		return err
	}
	for _, d := range s.Ledger.Devices {
		if !c.silentByDevice[d.Device] {
			c.dueAll[i] += d.Due
			c.goodAll[i] += d.Good
		}
	}
	return nil
}
