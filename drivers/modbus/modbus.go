// Package modbus is the client side of Modbus: it keeps the links, finds out which requests a device answers, and turns registers into
// values.
//
// It owns one link per physical place, whoever names it: a TCP or TLS connection, a serial port, or the connection of a serial server that
// dials in, with the framing of Modbus TCP, RTU or ASCII. goburrow/modbus is the codec of frames, never the owner of a connection.
//
// Invariants:
//  1. Nothing but a read leaves the box: the one function that writes to a connection refuses every frame that is not function 1, 2, 3,
//     4 or 43 with MEI type 14.
//  2. An answer is used only if its unit, function and length are those of the request that waits for it, and its transaction id or its
//     checksum is right. Where there is no transaction id, what came before the request was written is no answer to it.
//  3. Every request ends by an absolute deadline, whatever the device sends.
//  4. A late answer is nobody's. With transaction ids a time-out leaves the connection up, and three in a row close it; a line waits until
//     it is silent; RTU and ASCII over TCP make a new connection. Half a frame never meets the beginning of the next one.
//  5. Units on a link take turns. A silent one is only looked for, behind those that answer and within a twentieth of the link's time.
//  6. What a device refuses costs only itself: the rest is read without it, in the same cycle, by the plan that takes the link the least
//     time.
//
// Is: Modbus on the wire and in registers. Is not: a schedule, report by exception, a judgement whether a device is up.
package modbus

import (
	"fmt"
	"time"

	"github.com/millgate/millgate/drivers"
)

// Config is one poll group of one device.
type Config struct {
	Device       string
	Link         LinkConfig
	Unit         uint8         // 0 to 247
	Timeout      time.Duration // of one request, and of connecting; default 1 s
	MaxRegisters int           // largest quantity of registers in one request, 1 to 125; 0 means 125
	MaxGap       int           // registers nobody asked for that may be read to save a request; -1 none, 0 as many as pay
	Points       []Point

	// Learned is the file in which is kept what the device has shown about the requests that it answers; empty: it is learned anew
	// after each start.
	Learned string
}

const (
	defaultTimeout = time.Second
	maxUnit        = 247
)

func (c *Config) check() error {
	if c.Unit > maxUnit {
		return fmt.Errorf("unit %d: unit ids are 0 to %d", c.Unit, maxUnit)
	}
	if c.MaxRegisters < 0 || c.MaxRegisters > MaxRegisters {
		return fmt.Errorf("max_registers %d: 1 to %d", c.MaxRegisters, MaxRegisters)
	}
	for i := range c.Points {
		p := &c.Points[i]
		if p.Tag == nil {
			return fmt.Errorf("point %d has no tag", i)
		}
		if err := p.check(); err != nil {
			return fmt.Errorf("point %s: %w", p.Tag, err)
		}
		if p.end() > 1<<16 {
			return fmt.Errorf("point %s: address %d with %d registers ends beyond 65535", p.Tag, p.Address, p.width())
		}
		if c.MaxRegisters > 0 && !p.Table.Bits() && p.width() > c.MaxRegisters {
			return fmt.Errorf("point %s takes %d registers, more than max_registers %d", p.Tag, p.width(), c.MaxRegisters)
		}
		if got := p.ValueType(); p.Tag.Type != got {
			return fmt.Errorf("point %s gives %s, but its tag says %s", p.Tag, got, p.Tag.Type)
		}
	}
	return nil
}

// check says what can not be about a point, whatever the device.
func (p *Point) check() error {
	if int(p.Table) >= len(tables) {
		return fmt.Errorf("table %d does not exist: use coil, discrete_input, input_register or holding_register", p.Table)
	}
	if _, err := ParseDataType(p.Type.String()); err != nil {
		return err
	}
	if p.Table.Bits() && p.Type.Name != "bool" {
		return fmt.Errorf("the table %s holds bits: use type bool instead of %s, or a table of registers", p.Table, p.Type)
	}
	for _, d := range []drivers.Decimal{p.Scale, p.Offset} {
		if d.Exponent < -drivers.MaxDecimalExponent || d.Exponent > drivers.MaxDecimalExponent {
			return fmt.Errorf("the decimal exponent %d is not between -%d and %d", d.Exponent, drivers.MaxDecimalExponent, drivers.MaxDecimalExponent)
		}
	}
	return p.checkValue()
}

// Probed is one point read by Probe.
type Probed struct {
	Point   Point
	Reading drivers.Reading
	Raw     []uint16      // the point's registers as they came; for bit tables one 0 or 1; nil if not read
	Took    time.Duration // of the request that brought it
}
