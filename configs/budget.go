package configs

import (
	"fmt"
	"strings"
	"time"

	"github.com/millgate/millgate/drivers/modbus"
)

// perRequest is the least that a request takes on Modbus TCP with any device: less asked for can not be met.
const perRequest = 2 * time.Millisecond

// Line is a serial line, or one of known speed behind a bridge, with what its devices ask of it.
type Line struct {
	Name     string        // of the link, else its endpoint
	Devices  []string      // their ids
	Requests int           // of all poll groups together, each once
	Use      float64       // the share of its time that is asked for; above 1 it can not be met
	Cycle    time.Duration // the shortest interval on it
}

// Needs is how long the line takes for what it is asked to do in one Cycle.
func (l Line) Needs() time.Duration {
	return time.Duration(l.Use * float64(l.Cycle)).Round(time.Millisecond)
}

// budgetLines computes the lines of known speed and refuses those that can not do what is asked of them.
func (s *site) budgetLines() {
	at := map[*linkSpec]int{}
	links := map[string]*linkSpec{}
	for i, d := range s.devices {
		if d.modbus == nil {
			continue
		}
		l := d.modbus.link
		if l.config.Baud == 0 || l.config.Endpoint.Address == "" {
			continue
		}
		if first := links[l.wire()]; first != nil {
			l = first
		}
		links[l.wire()] = l
		n, ok := at[l]
		if !ok {
			n = len(s.out.Lines)
			at[l] = n
			name := l.name
			if name == "" {
				name = l.config.Endpoint.String()
			}
			s.out.Lines = append(s.out.Lines, Line{Name: name})
		}
		s.out.Lines[n].add(s.out.Devices[i])
	}
	for l, n := range at {
		if line := s.out.Lines[n]; line.Use > 1 {
			s.at(l.at[""], "this line needs %v per cycle, you asked for %v: %s", line.Needs(), line.Cycle, advice(l, line))
		}
	}
}

func (l *Line) add(d Device) {
	l.Devices = append(l.Devices, d.ID)
	for _, g := range d.Groups {
		if l.Cycle == 0 || g.Interval < l.Cycle {
			l.Cycle = g.Interval
		}
		l.Requests += len(modbus.Plan(*g.Modbus))
		l.Use += float64(modbus.CycleCost(*g.Modbus)) / float64(g.Interval)
	}
}

// advice says what may help a line that is asked for too much.
func advice(l *linkSpec, line Line) string {
	ways := []string{"longer intervals", "fewer points", "a second line"}
	if baud := l.config.Baud; baud < 19200 {
		ways = append([]string{fmt.Sprintf("more than %d baud if its devices can", baud)}, ways...)
	}
	if len(line.Devices) == 1 {
		ways = ways[:len(ways)-1] // a second line would serve nobody
	}
	return "take " + strings.Join(ways[:len(ways)-1], ", ") + " or " + ways[len(ways)-1]
}

// checkFeasible refuses what can not be polled as often as asked.
func (s *site) checkFeasible(d *deviceSpec, out *Device) {
	for _, g := range out.Groups {
		for _, p := range g.Modbus.Points {
			if n := width(p); d.modbus.maxRegisters > 0 && !p.Table.Bits() && n > d.modbus.maxRegisters {
				s.at(d.at[""], "device %q: the %s at address %d takes %d registers, more than max_registers %d", d.id, p.Type, p.Address, n, d.modbus.maxRegisters)
			}
		}
		if d.modbus.timeout > g.Interval {
			s.at(d.at[""], "device %q: timeout %v is longer than the interval %v of its fastest tags", d.id, d.modbus.timeout, g.Interval)
		}
		if n := len(modbus.Plan(*g.Modbus)); d.modbus.link.config.Baud == 0 && time.Duration(n)*perRequest > g.Interval {
			s.at(d.at[""], "device %q: %d requests do not fit into an interval of %v; make it at least %v, or poll fewer tags that often", d.id, n, g.Interval, time.Duration(n)*perRequest)
		}
	}
}
