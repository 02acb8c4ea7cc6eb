package modbussim

import (
	"time"

	"github.com/millgate/millgate/drivers/modbus"
)

// Server is a Modbus TCP server in this process.
type Server struct{}

// Listen serves on addr ("127.0.0.1:0" for a free port) until Close.
func Listen(addr string) (*Server, error) { panic("stub") }

// Addr is host:port.
func (s *Server) Addr() string { panic("stub") }

// Close ends all connections and waits.
func (s *Server) Close() error { panic("stub") }

// Unit is the unit with that id, made empty at its first mention. Units never mentioned do not answer.
func (s *Server) Unit(id uint8) *Unit { panic("stub") }

// Unit is one device behind the server. Addresses never set answer exception 2.
type Unit struct{}

// SetRegisters writes registers (for bit tables: 0 or 1 each) from address on.
func (u *Unit) SetRegisters(t modbus.Table, address uint16, values []uint16) { panic("stub") }

// Registers reads n back; ok is false if one was never set.
func (u *Unit) Registers(t modbus.Table, address uint16, n int) (values []uint16, ok bool) {
	panic("stub")
}

// Limit makes the unit refuse (exception 3) requests for more registers than n.
func (u *Unit) Limit(n int) { panic("stub") }

// FaultKind is what a faulty unit does to an answer.
type FaultKind uint8

// The faults.
const (
	None      FaultKind = iota
	Late                // answers after Delay, in order with nothing else held up
	Never               // does not answer
	Split               // sends the answer in two segments, Delay apart
	Merged              // holds the answer back and sends it together with the next one
	WrongID             // answers with another transaction id
	WrongUnit           // answers for another unit
	Exception           // answers exception Code
	Reset               // resets the connection instead of answering
	Short               // sends a frame whose byte count is too small
	Garbled             // sends bytes that are no Modbus frame
)

// Fault is set with Unit.Fault.
type Fault struct {
	Kind  FaultKind
	Delay time.Duration
	Code  byte
	Times int // answers it applies to; 0 means until changed
}

// Fault sets what happens to the unit's answers from now on.
func (u *Unit) Fault(f Fault) { panic("stub") }

// Stats counts what the server saw.
type Stats struct {
	Connections, Requests, Exceptions uint64
	Functions                         map[byte]uint64 // requests by function code
}

// Stats may be called at any time.
func (s *Server) Stats() Stats { panic("stub") }
