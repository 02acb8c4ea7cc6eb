// Package modbussim is a Modbus server in this process, over any framing and any byte stream, with units whose registers are set by the
// caller and with faults on demand.
//
// Invariants:
//  1. Registers set by one call change together: no answer shows half of them.
//  2. A fault of one unit does not delay the answers of another, but on the connection that it breaks or babbles on.
//  3. Close returns when every connection and every late answer has ended.
//
// Is: a server for `demo`, `simulate`, tests and benchmarks; it keeps time by the time package alone, so it may run under
// testing/synctest. Is not: a model of a machine; it never changes a register by itself.
package modbussim

import (
	"io"
	"net"
	"sync"
	"sync/atomic"

	"github.com/millgate/millgate/drivers/modbus"
)

// Server answers for its units.
type Server struct {
	listener net.Listener // nil for a server of streams only
	running  sync.WaitGroup
	stats    counters

	mu     sync.Mutex // guards what follows
	units  map[uint8]*Unit
	conns  map[*conn]struct{}
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

// New is a server that listens nowhere: give it streams with ServeConn.
func New() *Server { return &Server{units: map[uint8]*Unit{}, conns: map[*conn]struct{}{}} }

// Listen serves Modbus TCP on addr ("127.0.0.1:0" for a free port) until Close.
func Listen(addr string) (*Server, error) { return ListenFraming(addr, modbus.MBAP) }

// ListenFraming is Listen with another framing over TCP, as a serial server ("transparent" bridge) has it.
func ListenFraming(addr string, f modbus.Framing) (*Server, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	s := New()
	s.listener = listener
	s.running.Go(func() { s.accept(f) })
	return s, nil
}

// Addr is host:port; empty without a listener.
func (s *Server) Addr() string {
	if s.listener == nil {
		return ""
	}
	return s.listener.Addr().String()
}

// Close ends all connections and waits. No call after the first does anything.
func (s *Server) Close() error {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	for c := range s.conns {
		c.close() // its reader ends and says the rest
	}
	s.mu.Unlock()
	var err error
	if first && s.listener != nil {
		err = s.listener.Close()
	}
	s.running.Wait()
	return err
}

// Unit is the unit with that id, made empty at its first mention. Units never mentioned do not answer, and on a serial line unit 0
// never does: it is the broadcast (MODBUS over Serial Line Specification V1.02, 2.1).
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

// asked is the unit that answers for id; nil if none does.
func (s *Server) asked(id uint8, f modbus.Framing) *Unit {
	if id == 0 && f != modbus.MBAP {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.units[id]
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

func (s *Server) accept(f modbus.Framing) {
	for {
		raw, err := s.listener.Accept()
		if err != nil {
			return // closed
		}
		s.running.Go(func() { s.ServeConn(raw, f) })
	}
}

// ServeConn serves one client over a byte stream (a pipe, a serial port, a TCP connection from either side) until the stream or the
// server ends, and closes the stream. Closing it must end a Read and a Write under way.
func (s *Server) ServeConn(stream io.ReadWriteCloser, f modbus.Framing) {
	c := newConn(s, stream, f)
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		c.close()
		return
	}
	s.conns[c] = struct{}{}
	s.running.Add(1)
	s.mu.Unlock()
	s.stats.connections.Add(1)

	var writer sync.WaitGroup
	writer.Go(c.write)
	c.serve()
	c.close()
	writer.Wait()

	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	s.running.Done()
}
