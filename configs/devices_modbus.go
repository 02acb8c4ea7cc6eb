package configs

import (
	"cmp"
	"fmt"
	"path/filepath"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/millgate/millgate/drivers/modbus"
)

const maxUnit = 247

// modbusSpec is where a device is on Modbus.
type modbusSpec struct {
	at                   nodes
	linkName             string
	link                 *linkSpec // that of linkName, else its own
	unit                 int
	timeout              time.Duration
	maxRegisters, maxGap int
}

func (s *site) readModbus(n ast.Node, d *deviceSpec) {
	m := &modbusSpec{at: nodes{"": n}, link: &linkSpec{at: nodes{"": n}}, unit: 1, maxGap: unset}
	d.modbus = m
	fields := append(m.at.keeping(may("link", s.text(&m.linkName))), s.linkFields(m.link)...)
	s.object(n, "modbus", append(fields, m.at.keeping(
		may("unit", s.integer(&m.unit, 0, maxUnit, "unit")),
		may("timeout", s.duration(&m.timeout, time.Millisecond, time.Minute, "timeout")),
		may("max_registers", s.integer(&m.maxRegisters, 1, modbus.MaxRegisters, "max_registers")),
		may("max_gap", s.integer(&m.maxGap, 0, modbus.MaxRegisters, "max_gap")),
	)...)...)
	_, link := m.at["link"]
	_, endpoint := m.link.at["endpoint"]
	switch {
	case link && endpoint:
		s.at(m.at["link"], "modbus has both link and endpoint; keep one")
	case link:
		for key, at := range m.link.at {
			if key != "" {
				s.at(at, "%s belongs to the link: write it once, under links: %s", key, m.linkName)
			}
		}
	case !endpoint:
		s.at(n, "modbus says neither where the device is nor on which link: write endpoint, or the name of one of the links")
	}
	s.finishLink(m.link)
	if m.unit == 0 {
		s.warnings = append(s.warnings, s.problem(m.at.of("unit"),
			"unit 0 is the broadcast address: some devices answer to it on Modbus TCP, units behind a bridge never do"))
	}
}

// checkPlace refuses two devices at one place, of which places has the ids.
func (s *site) checkPlace(d *deviceSpec, places map[string]string) {
	m := d.modbus
	unit := fmt.Sprintf(" unit %d", m.unit)
	place := m.link.wire() + unit
	if other, taken := places[place]; taken && m.link.config.Endpoint.Address != "" {
		s.at(d.at[""], "device %q is at %s, where device %q is already: give them different units, or make them one device", d.id, m.link.config.Place()+unit, other)
	}
	places[place] = d.id
}

func (s *site) modbusConfig(d *deviceSpec, interval time.Duration) *modbus.Config {
	m := d.modbus
	c := &modbus.Config{Device: d.id, Link: m.link.config, Unit: uint8(m.unit), Timeout: m.timeout, MaxRegisters: m.maxRegisters, MaxGap: m.maxGap,
		Learned: filepath.Join(s.out.DataDir, "learned", fmt.Sprintf("%s-%d.json", d.id, interval.Milliseconds()))}
	if c.Timeout == 0 {
		c.Timeout = min(cmp.Or(m.link.timeout, defaultTimeout), interval*4/5) // a device that is silent must not cost the next tick
	}
	switch m.maxGap {
	case unset:
		c.MaxGap = 0 // the driver's default
	case 0:
		c.MaxGap = -1
	}
	return c
}
