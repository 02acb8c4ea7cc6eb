package modbussim

import (
	"sync"
	"time"

	"github.com/millgate/millgate/drivers/modbus"
)

// Unit is one device behind the server. Addresses never set answer exception 2.
type Unit struct {
	mu     sync.Mutex
	tables [4]bank
	limit  int // registers of one request; 0 is no limit
	bits   int // the same of coils and discrete inputs
	manner manner
}

// manner is how a unit answers.
type manner struct {
	fault   Fault
	latency time.Duration
	mangle  func(request, answer []byte) []Sending
}

// bank is one table in pages of registers, made as they are set.
type bank map[uint16]*[pageSize]register

const pageSize = 256

type register struct {
	value uint16
	set   bool
}

// SetRegisters writes registers (for bit tables: 0 or 1 each) from address on.
func (u *Unit) SetRegisters(t modbus.Table, address uint16, values []uint16) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.tables[t] == nil {
		u.tables[t] = bank{}
	}
	for i, v := range values {
		at := address + uint16(i)
		page := u.tables[t][at/pageSize]
		if page == nil {
			page = new([pageSize]register)
			u.tables[t][at/pageSize] = page
		}
		page[at%pageSize] = register{v, true}
	}
}

// Registers reads n back; ok is false if one was never set.
func (u *Unit) Registers(t modbus.Table, address uint16, n int) (values []uint16, ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	values = make([]uint16, n)
	for i := range values {
		if values[i], ok = u.tables[t].get(int(address) + i); !ok {
			return nil, false
		}
	}
	return values, true
}

func (b bank) get(at int) (uint16, bool) {
	if at > 0xffff {
		return 0, false
	}
	page := b[uint16(at/pageSize)]
	if page == nil {
		return 0, false
	}
	r := page[at%pageSize]
	return r.value, r.set
}

// Limit makes the unit refuse (exception 3) requests for more registers than n; 0 is no limit but the protocol's.
func (u *Unit) Limit(n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.limit = n
}

// LimitBits is Limit for coils and discrete inputs.
func (u *Unit) LimitBits(n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.bits = n
}

// Latency is what the unit takes to begin each answer. A serial line (RTU, ASCII) does nothing else meanwhile; with MBAP, requests in
// flight wait side by side.
func (u *Unit) Latency(d time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.manner.latency = d
}

// Fault sets what happens to the unit's answers from now on.
func (u *Unit) Fault(f Fault) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.manner.fault = f
}

// Mangle makes f decide what goes out for each answer, in place of the timing of a Fault; nil ends that. f sees the request and the
// answer as they stand on the wire, may keep both, and is called by several connections at once if there are several.
func (u *Unit) Mangle(f func(request, answer []byte) []Sending) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.manner.mangle = f
}

// next is the manner of the next answer.
func (u *Unit) next() manner {
	u.mu.Lock()
	defer u.mu.Unlock()
	m := u.manner
	if m.fault.Times > 0 {
		if u.manner.fault.Times--; u.manner.fault.Times == 0 {
			u.manner.fault = Fault{}
		}
	}
	return m
}
