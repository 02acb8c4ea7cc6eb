// Command bench measures the gateway on 100 devices of 100 tags, beside a bare polling loop on the same simulator: polled each second
// and published to a broker, and polled every 20 ms up to the durable queue.
//
// It starts the simulator, a mosquitto and the real `millgate run` as processes of their own, and compares what they cost with the
// bars that the project has set itself; exit 1 if one is missed. As root it puts the queue on a loop-mounted ext4 and counts what
// reaches the block device; else that line stays empty.
//
// Then it subscribes to 10,000 items of node-opcua, beside a bare loop with the same client library. With -only line it polls, for
// minutes of real time, units of which some are silent.
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

func main() {
	role := flag.String("role", "", "for the processes that bench starts itself: simulator, bare or bare-opcua")
	plant := flag.String("layout", "mixed", "likewise: the tags of a device")
	interval := flag.Duration("interval", time.Second, "likewise: how often they are polled")
	only := flag.String("only", "", "minute, fast, plan, opcua or line; empty: all but line")
	warm := flag.Duration("warm-up", 10*time.Second, "time before the measurement")
	span := flag.Duration("duration", time.Minute, "time of the measurement")
	flag.Parse()
	var err error
	switch *role {
	case "simulator":
		err = simulate(layouts[*plant], *interval)
	case "bare":
		err = poll(layouts[*plant], flag.Args(), *interval, *span)
	case "bare-opcua":
		err = loopOPCUA(flag.Arg(0), *span)
	default:
		err = run(*only, *warm, *span)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run makes the measurements, all but the one that takes many minutes unless one is named.
func run(only string, warm, span time.Duration) error {
	measurements := []struct {
		name string
		make func(warm, span time.Duration) error
	}{{"minute", minute}, {"fast", fast}, {"plan", plan}, {"opcua", items}, {"line", line}}
	var errs []error
	for _, m := range measurements {
		if m.name == only || only == "" && m.name != "line" {
			errs = append(errs, m.make(warm, span))
		}
	}
	if errs == nil {
		return fmt.Errorf("there is no measurement %q", only)
	}
	return errors.Join(errs...)
}

// card is the figures of one measurement, with their bars.
type card struct{ missed int }

func (c *card) row(what, got, bar string, ok bool) {
	word := "ok"
	if !ok {
		word = "MISSED"
		c.missed++
	}
	fmt.Printf("%-40s %14s   %-12s %s\n", what, got, bar, word)
}

func (c *card) note(what, got string) { fmt.Printf("%-40s %14s\n", what, got) }

func (c *card) result() error {
	fmt.Println()
	if c.missed > 0 {
		return fmt.Errorf("%d bars missed", c.missed)
	}
	return nil
}
