package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/modbus"
)

// Bars of fast and plan.
const (
	fastInterval = 20 * time.Millisecond
	minMet       = 0.99
	maxFastCPU   = 0.6 // CPU seconds per million values
	planPoints   = 10_000
	maxPlan      = 100 * time.Millisecond
)

// fast polls every 20 ms, up to the durable queue.
func fast(warm, span time.Duration) (err error) {
	h, err := newHouse("plain", fastInterval)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	fmt.Printf("%d devices × %d tags × %v, %v after %v, without uplinks\n", devices, tagsPerDevice, fastInterval, span, warm)
	if err := h.start(); err != nil {
		return err
	}
	bare, err := h.bare(min(span, 30*time.Second))
	if err != nil {
		return fmt.Errorf("bare loop: %w", err)
	}
	var before, after account
	gateway, err := h.gateway("")
	if err != nil {
		return err
	}
	for _, at := range []struct {
		wait time.Duration
		into *account
	}{{warm, &before}, {span, &after}} {
		time.Sleep(at.wait)
		if *at.into, err = h.account(gateway.pid()); err != nil {
			return errors.Join(err, gateway.stop())
		}
	}
	if err := gateway.stop(); err != nil {
		return err
	}
	due, good := after.due-before.due, after.good-before.good
	stored := float64(after.stored - before.stored)
	met, cpu := float64(good)/float64(due), (after.cpu-before.cpu)/stored*1e6

	var c card
	c.note("values stored", fmt.Sprint(after.stored-before.stored))
	c.row("cycles met", fmt.Sprintf("%.2f %%", 100*met), fmt.Sprintf("≥ %.0f %%", 100*minMet), met >= minMet)
	c.row("CPU-s per million values", fmt.Sprintf("%.2f", cpu), fmt.Sprintf("≤ %.1f", maxFastCPU), cpu <= maxFastCPU)
	c.note("  a bare polling loop", fmt.Sprintf("%.2f", bare.perMillion()))
	c.note("  the simulator, for both", fmt.Sprintf("%.2f", (after.simulator-before.simulator)/stored*1e6))
	return c.result()
}

// plan makes the plan of a device with many points, on a slow line, where each byte counts.
func plan(time.Duration, time.Duration) error {
	cfg := modbus.Config{Unit: 1, Link: modbus.LinkConfig{Endpoint: modbus.Endpoint{Transport: modbus.Serial, Framing: modbus.RTU, Address: "line"}, Baud: 9600}}
	types := []string{"uint16", "int16", "float32", "uint32", "float64"}
	for range planPoints {
		p := modbus.Point{Tag: &drivers.Tag{}, Table: modbus.HoldingRegister, Address: uint16(rand.IntN(60_000)), Type: modbus.DataType{Name: types[rand.IntN(len(types))]}}
		if rand.IntN(4) == 0 {
			p.Table, p.Type.Name = modbus.Coil, "bool"
		}
		cfg.Points = append(cfg.Points, p)
	}
	fastest, requests := time.Hour, 0
	for range 5 {
		began := time.Now()
		requests = len(modbus.Plan(cfg))
		fastest = min(fastest, time.Since(began))
	}
	fmt.Printf("the plan of %d points\n", planPoints)
	var c card
	c.note("requests", fmt.Sprint(requests))
	c.row("computed in", fastest.Round(100*time.Microsecond).String(), fmt.Sprintf("≤ %v", maxPlan), fastest <= maxPlan)
	return c.result()
}
