package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/millgate/millgate/buffer"
	"github.com/millgate/millgate/configs"
)

// board is what the demo's subscriber has received: the counts, and the last of each tag.
type board struct {
	kpis demoKPIs

	mu   sync.Mutex
	got  *received
	last map[tagName]json.RawMessage // absent while the tag is bad
}

type tagName struct{ device, tag string }

func newBoard() *board { return &board{got: newReceived(), last: map[tagName]json.RawMessage{}} }

func (b *board) take(topic string, payload []byte) {
	if strings.Contains(topic, "/catalogue/") {
		b.kpis.takeCatalogue(payload)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	m, _ := b.got.take(topic, payload)
	if m == nil {
		return
	}
	if m.Stream == buffer.Readings {
		b.kpis.take(m)
	}
	for _, o := range m.Readings {
		for tag, value := range o.Values {
			b.last[tagName{o.Device, tag}] = value
		}
		for tag := range o.Bad {
			delete(b.last, tagName{o.Device, tag})
		}
	}
}

// tally is the counts of what was received at one moment.
type tally struct {
	blocks, readings uint64
	good             bool
	text             string
}

func (b *board) received() tally {
	b.mu.Lock()
	defer b.mu.Unlock()
	return tally{b.got.blocks, b.got.readings, b.got.good(), b.got.String()}
}

// value is the last text of a tag; empty if there is none.
func (b *board) value(device, tag string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.last[tagName{device, tag}])
}

// screen shows the demo at work: on a terminal in place, else as blocks of text.
type screen struct {
	w       io.Writer
	live    bool
	demo    *demo
	units   map[tagName]string
	began   time.Time
	shownAt time.Time
	shown   uint64 // readings received then
}

func newScreen(w io.Writer, d *demo) *screen {
	s := &screen{w: w, live: isTerminal(w), demo: d, units: map[tagName]string{}}
	for _, device := range d.site.Devices {
		for _, g := range device.Groups {
			for _, r := range g.Rules {
				s.units[tagName{device.ID, r.Tag.Name}] = r.Tag.Unit
			}
		}
	}
	return s
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// run shows the demo until ctx is done or the gateway has ended.
func (s *screen) run(ctx context.Context, ended <-chan struct{}) error {
	interval := 5 * time.Second
	if s.live {
		interval = time.Second
	}
	ticks := time.NewTicker(interval)
	defer ticks.Stop()
	s.began, s.shownAt = time.Now(), time.Now()
	if err := s.greet(); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ended:
			return nil
		case <-ticks.C:
		}
		if err := s.show(time.Now()); err != nil {
			return err
		}
	}
}

func (s *screen) greet() error {
	d := s.demo
	_, err := fmt.Fprintf(s.w, "%s (%s): %d simulated devices, broker %s, files in %s\nIn a second terminal: go run ./cmd/millgate subscribe %s\n"+
		"                      go run ./cmd/millgate kpi list %s\n", d.site.Name, d.site.ID, len(d.site.Devices), d.brokerURL, d.dir, d.brokerURL, d.path("demo.yaml"))
	return err
}

// clearHome empties a terminal from its upper left corner on.
const clearHome = "\x1b[H\x1b[J"

// show prints the state of now; on a terminal over the previous one.
func (s *screen) show(now time.Time) error {
	var text strings.Builder
	got := s.demo.board.received()
	rate := float64(got.readings-s.shown) / now.Sub(s.shownAt).Seconds()
	s.shown, s.shownAt = got.readings, now
	if err := printTable(&text, s.deviceRows()); err != nil {
		return err
	}
	kpis, err := s.demo.board.kpis.rows(s.demo.site.KPI)
	if err != nil {
		return err
	}
	text.WriteByte('\n')
	if err := printTable(&text, kpis); err != nil {
		return err
	}
	text.WriteByte('\n')
	queue := s.demo.gateway.queue.Snapshot()
	var stored, pending uint64
	for _, next := range queue.Next {
		stored += next - 1
	}
	for _, u := range queue.Uplinks {
		pending += u.PendingBlocks
	}
	account := towards(queue)
	fmt.Fprintf(&text, "readings  %d stored, %d acknowledged, %d pending; %.0f received per second\n",
		account.Stored, account.Acknowledged, account.Pending, rate)
	fmt.Fprintf(&text, "blocks    %d stored, %d pending, %d received; %s on disk\n", stored, pending, got.blocks, bytesText(queue.Bytes))
	fmt.Fprintf(&text, "running   %s; Ctrl-C ends it and compares the books\n", now.Sub(s.began).Round(time.Second))
	if s.live {
		if _, err := io.WriteString(s.w, clearHome); err != nil {
			return err
		}
		if err := s.greet(); err != nil {
			return err
		}
	}
	_, err = io.WriteString(s.w, "\n"+text.String())
	return err
}

// deviceRows is the table of devices. Names stand last: their characters may be two columns wide.
func (s *screen) deviceRows() [][]string {
	rows := [][]string{{"device", "up", "state", "parts", "power", "energy", "temperature", "name"}}
	for _, d := range s.demo.site.Devices {
		rows = append(rows, []string{d.ID, upText(s.demo.board.value(d.ID, d.Up.Name)), s.state(d), s.text(d, "parts"),
			s.text(d, "power_total"), s.text(d, "energy_import"), s.text(d, "temperature"), d.Name})
	}
	return rows
}

func upText(value string) string {
	switch value {
	case "true":
		return "up"
	case "false":
		return "DOWN"
	default:
		return "-"
	}
}

func (s *screen) state(d configs.Device) string {
	code, err := strconv.ParseUint(s.demo.board.value(d.ID, "state"), 10, 8)
	if err != nil {
		return "-"
	}
	return machineState(code).String()
}

// text is the last value of a tag with its unit, as people write it.
func (s *screen) text(d configs.Device, tag string) string {
	value := s.demo.board.value(d.ID, tag)
	f, err := strconv.ParseFloat(value, 64)
	if err != nil {
		return "-"
	}
	switch s.units[tagName{d.ID, tag}] {
	case "W":
		return fmt.Sprintf("%.2f kW", f/1000)
	case "kW":
		return fmt.Sprintf("%.2f kW", f)
	case "W.h":
		return fmt.Sprintf("%.2f kWh", f/1000)
	case "kW.h":
		return fmt.Sprintf("%.2f kWh", f)
	case "Cel":
		return fmt.Sprintf("%.1f °C", f)
	default:
		return value
	}
}
