// Package modbussim is a Modbus TCP server in this process, with units whose registers are set by the caller and with faults on demand.
//
// Invariants:
//  1. Registers set by one call change together: no answer shows half of them.
//  2. A fault of one unit does not delay the answers of another, but on the connection that it breaks.
//  3. Close returns when every connection and every late answer has ended.
//
// Is: a server for `demo`, `simulate`, tests and benchmarks. Is not: a model of a machine; it never changes a register by itself.
package modbussim

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"sync/atomic"

	"github.com/millgate/millgate/drivers/modbus"
)

// Server is a Modbus TCP server in this process.
type Server struct {
	listener net.Listener
	running  sync.WaitGroup
	stats    counters

	mu     sync.Mutex // guards what follows
	units  map[uint8]*Unit
	conns  map[net.Conn]struct{}
	closed bool
}

type counters struct {
	connections, requests, exceptions atomic.Uint64
	functions                         [256]atomic.Uint64
}

// Stats counts what the server saw.
type Stats struct {
	Connections, Requests, Exceptions uint64
	Functions                         map[byte]uint64 // requests by function code
}

// Listen serves on addr ("127.0.0.1:0" for a free port) until Close.
func Listen(addr string) (*Server, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	s := &Server{listener: listener, units: map[uint8]*Unit{}, conns: map[net.Conn]struct{}{}}
	s.running.Go(s.accept)
	return s, nil
}

// Addr is host:port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Close ends all connections and waits.
func (s *Server) Close() error {
	err := s.listener.Close()
	s.mu.Lock()
	s.closed = true
	for c := range s.conns {
		_ = c.Close() // its reader ends and says the rest
	}
	s.mu.Unlock()
	s.running.Wait()
	return err
}

// Unit is the unit with that id, made empty at its first mention. Units never mentioned do not answer.
func (s *Server) Unit(id uint8) *Unit {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.units[id]
	if u == nil {
		u = &Unit{}
		s.units[id] = u
	}
	return u
}

// Stats may be called at any time.
func (s *Server) Stats() Stats {
	out := Stats{
		Connections: s.stats.connections.Load(), Requests: s.stats.requests.Load(), Exceptions: s.stats.exceptions.Load(),
		Functions: map[byte]uint64{},
	}
	for f := range s.stats.functions {
		if n := s.stats.functions[f].Load(); n > 0 {
			out.Functions[byte(f)] = n
		}
	}
	return out
}

func (s *Server) accept() {
	for {
		raw, err := s.listener.Accept()
		if err != nil {
			return // closed
		}
		s.mu.Lock()
		if s.closed {
			_ = raw.Close()
		} else {
			s.conns[raw] = struct{}{}
			s.stats.connections.Add(1)
			s.running.Go(func() { s.serve(raw) })
		}
		s.mu.Unlock()
	}
}

func (s *Server) serve(raw net.Conn) {
	c := &conn{raw: raw, server: s}
	defer func() {
		_ = raw.Close()
		s.mu.Lock()
		delete(s.conns, raw)
		s.mu.Unlock()
	}()
	in := bufio.NewReader(raw)
	var request [maxADU]byte
	for {
		n, err := readRequest(in, request[:])
		if err != nil {
			return
		}
		s.stats.requests.Add(1)
		s.mu.Lock()
		u := s.units[request[6]]
		s.mu.Unlock()
		if u == nil {
			continue
		}
		s.stats.functions[request[7]].Add(1)
		answer := u.answer(c.buf[:0], request[:n])
		if answer[7]&0x80 != 0 {
			s.stats.exceptions.Add(1)
		}
		c.buf = answer
		if !c.send(answer, u.nextFault()) {
			return
		}
	}
}

const (
	headerSize = 6
	maxADU     = 260
)

// readRequest reads one frame of at least a unit and a function into buf.
func readRequest(in io.Reader, buf []byte) (int, error) {
	if _, err := io.ReadFull(in, buf[:headerSize]); err != nil {
		return 0, err
	}
	n := int(binary.BigEndian.Uint16(buf[4:]))
	if n < 2 || n > maxADU-headerSize {
		return 0, io.ErrUnexpectedEOF
	}
	_, err := io.ReadFull(in, buf[headerSize:headerSize+n])
	return headerSize + n, err
}

// Unit is one device behind the server. Addresses never set answer exception 2.
type Unit struct {
	mu     sync.Mutex
	tables [4]bank
	limit  int
	fault  Fault
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

// Limit makes the unit refuse (exception 3) requests for more registers than n; 0 is no limit.
func (u *Unit) Limit(n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.limit = n
}
