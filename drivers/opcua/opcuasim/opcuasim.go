// Package opcuasim is an OPC UA server in this process, whose nodes are made and set by the caller.
//
// It stands on gopcua's secure channel, not on gopcua's server package: that one keeps only the last value of an item between two
// publishings, never sends anything again, takes every user and every password, answers for nodes that there are not, writes to the
// log, and needs a quarter of a second and 13 MB for each server.
//
// Invariants:
//  1. A value that was set reaches every monitored item that it concerns, in order, or sets the overflow bit of what is left; but an item
//     with a sampling interval may miss what stood for less than that.
//  2. A notification is kept until it is acknowledged, as long as there are not more than keptNotifications: it can be had again by
//     Republish, also after the session was activated on another connection.
//  3. A client that does not take its answers delays nobody else; its connection is closed.
//  4. Close returns when everything that the server started has ended.
//
// Is: a server for `demo`, `simulate` and quick tests: discovery, sessions, Browse, TranslateBrowsePaths, Read, RegisterNodes and
// subscriptions to data changes. Is not: a reference to test a client against; it has no history, methods, events, writes, structures
// or transfer of subscriptions, and takes every client's certificate. The client's decoder is the library's: whatever is wrong
// there is wrong on both sides.
package opcuasim

import (
	"crypto/rsa"
	"fmt"
	"maps"
	"net"
	"sync"
	"time"

	"github.com/gopcua/opcua/ua"
)

// Config is what a server offers. The zero Config takes anybody without encryption.
type Config struct {
	Secure bool              // also Basic256Sha256, Sign and SignAndEncrypt, with a certificate made for this server
	Users  map[string]string // names and passwords; nil: anonymous only, else nobody is
}

// ApplicationURI is the one of every server of this package.
const ApplicationURI = "urn:millgate:opcuasim"

// Server is a running server.
type Server struct {
	listener    *net.TCPListener
	config      Config
	certificate []byte // DER; nil without security
	key         *rsa.PrivateKey
	started     time.Time
	running     sync.WaitGroup
	done        chan struct{}

	mu       sync.Mutex // guards what follows and everything below it
	space    *space
	conns    map[*conn]struct{}
	sessions map[string]*session // by authentication token
	stats    Stats
	lastID   uint32 // of channels, sessions, subscriptions and items
	closed   bool
}

// Stats counts what the server saw, and what it has now.
type Stats struct {
	Connections, SessionsMade, Requests uint64 // since the start
	Sessions, Subscriptions, Items      int    // now
}

// Listen serves on addr ("127.0.0.1:0" for a free port) until Close.
func Listen(addr string, c Config) (*Server, error) {
	s := &Server{
		config: c, started: time.Now(), done: make(chan struct{}),
		conns: map[*conn]struct{}{}, sessions: map[string]*session{},
	}
	s.config.Users = maps.Clone(c.Users)
	if c.Secure {
		var err error
		if s.certificate, s.key, err = newCertificate(); err != nil {
			return nil, fmt.Errorf("make the simulator's certificate: %w", err)
		}
	}
	s.space = newSpace(s)
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	s.listener = listener.(*net.TCPListener)
	s.running.Go(s.accept)
	s.running.Go(s.expireSessions)
	return s, nil
}

// Addr is host:port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Endpoint is the URL for clients.
func (s *Server) Endpoint() string { return "opc.tcp://" + s.Addr() }

// Certificate is the server's, in DER; nil without security.
func (s *Server) Certificate() []byte { return s.certificate }

// Close ends all connections and waits. No call after the first does anything.
func (s *Server) Close() error {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	if first {
		close(s.done)
		for c := range s.conns {
			c.close()
		}
		for _, session := range s.sessions {
			s.endSession(session, ua.StatusBadSessionClosed)
		}
	}
	s.mu.Unlock()
	var err error
	if first {
		err = s.listener.Close()
	}
	s.running.Wait()
	return err
}

// Disconnect closes all connections. Sessions and subscriptions live on until they time out, as after a cut cable.
func (s *Server) Disconnect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.close()
	}
}

// EndSessions ends all sessions with their subscriptions. Connections live on.
func (s *Server) EndSessions() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, session := range s.sessions {
		s.endSession(session, ua.StatusBadSessionClosed)
	}
}

// Stats may be called at any time.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.stats
	for _, session := range s.sessions {
		out.Sessions++
		for _, sub := range session.subscriptions {
			out.Subscriptions++
			out.Items += len(sub.items)
		}
	}
	return out
}

// nextID is a number that was not given before; the caller holds the lock.
func (s *Server) nextID() uint32 {
	s.lastID++
	return s.lastID
}
