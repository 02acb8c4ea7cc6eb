// Package modbus is the client side of Modbus TCP: it plans requests, keeps the connections, and turns registers into values.
//
// It owns one link per endpoint, whoever names it; goburrow/modbus is the codec of frames, never the owner of a connection.
//
// Invariants:
//  1. Nothing but a read leaves the box: the one function that writes to a connection refuses every frame that is not function 1, 2, 3,
//     4 or 43 with MEI type 14.
//  2. An answer is used only if its transaction id, unit, function and length are those of the request that waits for it.
//  3. Every request ends by an absolute deadline, whatever the device sends.
//  4. A time-out leaves the connection up: a late answer is a stranger and is dropped. Three in a row with nothing answered in
//     between, and any framing error, close it.
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
	MaxGap       int           // registers nobody asked for that may be read to save a request; -1 none, 0 means the default
	Points       []Point
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
	for _, d := range []Decimal{p.Scale, p.Offset} {
		if d.Exponent < -maxDecimalExponent || d.Exponent > maxDecimalExponent {
			return fmt.Errorf("the decimal exponent %d is not between -%d and %d", d.Exponent, maxDecimalExponent, maxDecimalExponent)
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
