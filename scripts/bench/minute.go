package main

import (
	"errors"
	"fmt"
	"time"
)

// Bars of the minute.
const (
	maxCPU   = 1.2 // CPU seconds per million values
	maxAnon  = 40  // MB
	maxDisk  = 6.0 // bytes per value
	maxDelay = commitInterval + 200*time.Millisecond
)

// result is what one run cost.
type result struct {
	values   uint64
	cpu      float64 // seconds
	overruns uint64
	anon     float64 // MB, the highest seen
	file     float64 // MB, at the same time
	disk     int64   // bytes that reached the block device; -1 if not measured
	p50, p99 time.Duration
}

func (r result) perMillion() float64 { return r.cpu / float64(r.values) * 1e6 }

// minute polls each second and publishes.
func minute(warm, span time.Duration) (err error) {
	h, err := newHouse("mixed", time.Second)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	fmt.Printf("%d devices × %d tags × 1 s, %v after %v\n", devices, tagsPerDevice, span, warm)
	if err := errors.Join(h.startBroker(), h.start()); err != nil {
		return err
	}
	bare, err := h.bare(min(span, 30*time.Second))
	if err != nil {
		return fmt.Errorf("bare loop: %w", err)
	}
	r, err := h.measure(warm, span)
	if err != nil {
		return err
	}
	return report(bare, r)
}

func report(bare, r result) error {
	var c card
	c.note("values", fmt.Sprint(r.values))
	c.row("readings lost to overruns", fmt.Sprint(r.overruns), "0", r.overruns == 0)
	c.row("CPU-s per million values", fmt.Sprintf("%.2f", r.perMillion()), fmt.Sprintf("≤ %.1f", maxCPU), r.perMillion() <= maxCPU)
	c.note("  a bare polling loop", fmt.Sprintf("%.2f", bare.perMillion()))
	c.row("anonymous memory, MB", fmt.Sprintf("%.1f", r.anon), fmt.Sprintf("≤ %d", maxAnon), r.anon <= maxAnon)
	c.note("  file pages beside it, MB", fmt.Sprintf("%.1f", r.file))
	if r.disk >= 0 {
		perValue := float64(r.disk) / float64(r.values)
		c.row("bytes to the block device per value", fmt.Sprintf("%.2f", perValue), fmt.Sprintf("≤ %.0f", maxDisk), perValue <= maxDisk)
	} else {
		c.note("bytes to the block device per value", "needs root")
	}
	c.note("device to subscriber, p50", fmt.Sprint(r.p50))
	c.row("device to subscriber, p99", fmt.Sprint(r.p99), fmt.Sprintf("≤ %v", maxDelay), r.p99 <= maxDelay)
	return c.result()
}
