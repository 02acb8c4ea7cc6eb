package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/millgate/millgate/drivers/modbus"
)

// scanProgress tells a person how far a scan has come: a bar on a terminal, else a line now and then.
type scanProgress struct {
	w       io.Writer
	scan    *modbus.Scan
	timeout time.Duration
	live    bool
	next    time.Time // when to show something again
	waits   time.Time // when to say again that it waits
	began   time.Time
	before  int // addresses that were looked at when it began
}

func newScanProgress(w io.Writer, scan *modbus.Scan, f *scanFlags) *scanProgress {
	return &scanProgress{w: w, scan: scan, timeout: f.line.timeout + f.pause, live: isTerminal(w)}
}

// begin says what is to come.
func (p *scanProgress) begin() {
	units, addresses, _ := p.scan.Progress()
	p.began, p.before = time.Now(), addresses
	p.next = p.began.Add(p.interval())
	cfg := p.scan.Config
	left := len(cfg.Units) - units
	switch {
	case p.scan.Done():
		fmt.Fprintln(p.w, "millgate: this scan was done before; --restart scans again")
	case units > 0 || addresses > 0:
		fmt.Fprintf(p.w, "millgate: going on: %d of %d units asked, %d found\n", units, len(cfg.Units), len(p.scan.Found))
	}
	if left > 0 {
		fmt.Fprintf(p.w, "millgate: asking %d units who is there takes %v at most; then %d addresses are read of each that is (Ctrl-C stops, the same command goes on)\n",
			left, (time.Duration(left) * p.timeout).Round(time.Second), len(cfg.Tables)*(int(cfg.Last)-int(cfg.First)+1))
	}
}

func (p *scanProgress) interval() time.Duration {
	if p.live {
		return 200 * time.Millisecond
	}
	return 10 * time.Second
}

func (p *scanProgress) show() {
	now := time.Now()
	if now.Before(p.next) {
		return
	}
	p.next = now.Add(p.interval())
	if p.live {
		fmt.Fprintf(p.w, "\r\x1b[K%s", p.line(now))
	} else {
		fmt.Fprintln(p.w, "millgate:", p.line(now))
	}
}

func (p *scanProgress) line(now time.Time) string {
	units, addresses, all := p.scan.Progress()
	if total := len(p.scan.Config.Units); units < total {
		return fmt.Sprintf("%s %d of %d units asked, %d found", bar(units, total), units, total, len(p.scan.Found))
	}
	text := fmt.Sprintf("%s %d of %d addresses", bar(addresses, all), addresses, all)
	if n := addresses - p.before; n > 0 {
		left := time.Duration(float64(now.Sub(p.began)) / float64(n) * float64(all-addresses))
		text += fmt.Sprintf(", about %v left", left.Round(time.Second))
	}
	return text
}

func bar(n, of int) string {
	const width = 20
	full := width * n / max(1, of)
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", width-full) + "]"
}

// wait says, now and then, why nothing happens.
func (p *scanProgress) wait(err error) {
	if now := time.Now(); !now.Before(p.waits) {
		p.waits = now.Add(10 * time.Second)
		p.end()
		fmt.Fprintln(p.w, "millgate: waiting:", err)
	}
	time.Sleep(200 * time.Millisecond)
}

// end clears the bar.
func (p *scanProgress) end() {
	if p.live {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
