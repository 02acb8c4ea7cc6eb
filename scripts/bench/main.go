// Command bench measures the gateway on 100 devices of 100 tags each second, beside a bare polling loop on the same simulator.
//
// It starts the simulator, a mosquitto and the real `millgate run` as processes of their own, and compares what they cost with the
// bars that the project has set itself; exit 1 if one is missed. As root it puts the queue on a loop-mounted ext4 and counts what
// reaches the block device; else that line stays empty.
//
// Is: a yardstick. Is not: part of the product.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"time"
)

const (
	devices        = 100
	commitInterval = time.Second
)

// Bars.
const (
	maxCPU   = 1.2 // CPU seconds per million values
	maxAnon  = 40  // MB
	maxDisk  = 6.0 // bytes per value
	maxDelay = commitInterval + 200*time.Millisecond
)

func main() {
	role := flag.String("role", "", "for the processes that bench starts itself: simulator or bare")
	warm := flag.Duration("warm-up", 10*time.Second, "time before the measurement")
	span := flag.Duration("duration", time.Minute, "time of the measurement")
	flag.Parse()
	var err error
	switch *role {
	case "simulator":
		err = simulate()
	case "bare":
		err = poll(flag.Args(), *span)
	default:
		err = bench(*warm, *span)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

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

func bench(warm, span time.Duration) (err error) {
	h, err := newHouse()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	fmt.Printf("%d devices × %d tags × 1 s, %v after %v\n", devices, tagsPerDevice, span, warm)
	if err := h.start(); err != nil {
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
	missed := 0
	row := func(what, got, bar string, ok bool) {
		word := "ok"
		if !ok {
			word = "MISSED"
			missed++
		}
		fmt.Printf("%-34s %14s   %-12s %s\n", what, got, bar, word)
	}
	note := func(what, got string) { fmt.Printf("%-34s %14s\n", what, got) }

	note("values", fmt.Sprint(r.values))
	row("readings lost to overruns", fmt.Sprint(r.overruns), "0", r.overruns == 0)
	row("CPU-s per million values", fmt.Sprintf("%.2f", r.perMillion()), fmt.Sprintf("≤ %.1f", maxCPU), r.perMillion() <= maxCPU)
	note("  a bare polling loop", fmt.Sprintf("%.2f", bare.perMillion()))
	row("anonymous memory, MB", fmt.Sprintf("%.1f", r.anon), fmt.Sprintf("≤ %d", maxAnon), r.anon <= maxAnon)
	note("  file pages beside it, MB", fmt.Sprintf("%.1f", r.file))
	if r.disk >= 0 {
		perValue := float64(r.disk) / float64(r.values)
		row("bytes to the block device per value", fmt.Sprintf("%.2f", perValue), fmt.Sprintf("≤ %.0f", maxDisk), perValue <= maxDisk)
	} else {
		note("bytes to the block device per value", "needs root")
	}
	note("device to subscriber, p50", fmt.Sprint(r.p50))
	row("device to subscriber, p99", fmt.Sprint(r.p99), fmt.Sprintf("≤ %v", maxDelay), r.p99 <= maxDelay)
	if missed > 0 {
		return fmt.Errorf("%d bars missed", missed)
	}
	return nil
}
