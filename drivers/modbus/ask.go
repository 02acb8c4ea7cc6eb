package modbus

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"time"
)

// Asker sends single reads over one link, to any unit behind it, for a person who looks for something. It takes turns with the drivers of
// the link like one of them, and keeps the link open until Close. It may be used by several goroutines; they wait for each other.
type Asker struct {
	links   *Links
	link    LinkConfig
	timeout time.Duration

	mu   sync.Mutex
	seat *seat // of the unit that was asked last; nil before the first
}

// Asker makes one; it connects at the first request. A timeout of 0 means the default of a driver.
func (l *Links) Asker(link LinkConfig, timeout time.Duration) *Asker {
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	return &Asker{links: l, link: link, timeout: timeout}
}

// Ask sends one request and returns the registers, or for bit tables a 0 or 1 each. A refusal is an error with the exception as cause.
func (a *Asker) Ask(ctx context.Context, unit uint8, r Request) ([]uint16, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	c := newCall(r)
	s, err := a.sit(unit)
	if err != nil {
		return nil, err
	}
	if s.exchange(ctx, a.timeout, &c); c.err != nil {
		return nil, c.err
	}
	values := make([]uint16, r.Quantity)
	for i := range values {
		if r.Table.Bits() {
			values[i] = uint16(c.data()[i/8] >> (i % 8) & 1)
		} else {
			values[i] = binary.BigEndian.Uint16(c.data()[2*i:])
		}
	}
	return values, nil
}

// Identify asks a unit for its basic identification.
func (a *Asker) Identify(ctx context.Context, unit uint8) (Identification, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s, err := a.sit(unit)
	if err != nil {
		return Identification{}, err
	}
	return s.identify(ctx, a.timeout)
}

// sit takes the seat of a unit before it leaves the one before, so that the link stays open between them.
func (a *Asker) sit(unit uint8) (*seat, error) {
	if a.seat != nil && a.seat.unit.id == unit {
		return a.seat, nil
	}
	s, err := a.links.join(a.link, unit)
	if err != nil {
		return nil, err
	}
	if a.seat != nil {
		a.links.leave(a.seat)
	}
	a.seat = s
	return s, nil
}

// Close gives up the link; it closes if nobody else uses it.
func (a *Asker) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.seat != nil {
		a.links.leave(a.seat)
		a.seat = nil
	}
	return nil
}

// check says what no device can be asked for.
func (r Request) check() error {
	most := MaxRegisters
	if r.Table.Bits() {
		most = MaxBits
	}
	switch {
	case int(r.Table) >= len(tables):
		return fmt.Errorf("table %d does not exist: use coil, discrete_input, input_register or holding_register", r.Table)
	case r.Quantity < 1 || int(r.Quantity) > most:
		return fmt.Errorf("a request of %d addresses: 1 to %d can be read at once", r.Quantity, most)
	case int(r.Address)+int(r.Quantity) > 1<<16:
		return fmt.Errorf("a request of %d addresses from %d on ends beyond 65535", r.Quantity, r.Address)
	}
	return nil
}
