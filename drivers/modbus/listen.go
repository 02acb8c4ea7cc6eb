package modbus

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/millgate/millgate/drivers"
)

const (
	registrationTime = 30 * time.Second // in which a serial server must have said who it is
	maxRegistration  = 256
	acceptPause      = 100 * time.Millisecond // after the system failed to accept one
	maxGreeting      = 32                     // connections that have not yet said who they are
)

// listener accepts the serial servers that dial in to one address, and gives each to the link whose registration it sends first.
type listener struct {
	links   *Links
	address string
	socket  net.Listener
	running sync.WaitGroup

	mu       sync.Mutex            // guards what follows
	waiting  map[*link]*dialIn     // the newest connection of each link, until its link takes it
	greeting map[net.Conn]struct{} // those that have not yet said who they are
	closed   bool
}

// dialIn is a connection, and what came behind the registration.
type dialIn struct {
	conn    net.Conn
	already []byte
}

// awaited opens the listener of a link, if it is not, and says that nobody has dialled in.
func (l *Links) awaited(k *link) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	address := k.config.Endpoint.Address
	if l.listeners[address] == nil {
		socket, err := net.Listen("tcp", address)
		if err != nil {
			return fmt.Errorf("listen for serial servers: %w", err)
		}
		open := &listener{links: l, address: address, socket: socket, waiting: map[*link]*dialIn{}, greeting: map[net.Conn]struct{}{}}
		l.listeners[address] = open
		open.running.Go(open.accept)
	}
	who := "no serial server"
	if k.config.Registration != "" {
		who = fmt.Sprintf("no serial server that says %q", k.config.Registration)
	}
	return &drivers.Error{Cause: drivers.CauseUnreachable, Err: fmt.Errorf("%s has dialled in to %s yet: check its SIM card, and the address and port it calls", who, address)}
}

// dialledIn is the connection that has come for a link since it was last asked; nil if there is none.
func (k *link) dialledIn() (io.ReadWriteCloser, []byte) {
	if k.config.Endpoint.Transport != Listen {
		return nil, nil
	}
	k.links.mu.Lock()
	open := k.links.listeners[k.config.Endpoint.Address]
	k.links.mu.Unlock()
	if open == nil {
		return nil, nil
	}
	open.mu.Lock()
	defer open.mu.Unlock()
	d := open.waiting[k]
	delete(open.waiting, k)
	if d == nil {
		return nil, nil
	}
	return d.conn, d.already
}

func (o *listener) accept() {
	for {
		conn, err := o.socket.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // such as too many open files, which passes
			time.Sleep(acceptPause)
			continue
		}
		o.mu.Lock()
		if o.closed || len(o.greeting) >= maxGreeting {
			_ = conn.Close()
		} else {
			o.greeting[conn] = struct{}{}
			o.running.Go(func() { o.greet(conn) })
		}
		o.mu.Unlock()
	}
}

// strip passes over what a serial server sends of itself between the answers; more is whether the rest may become such a message.
func (c LinkConfig) strip(in []byte) (used int, more bool) {
	for _, own := range []string{c.Heartbeat, c.Registration} {
		for own != "" && bytes.HasPrefix(in[used:], []byte(own)) {
			used += len(own)
		}
		if rest := in[used:]; len(rest) > 0 && len(rest) < len(own) && own[:len(rest)] == string(rest) {
			return used, true
		}
	}
	return used, false
}

// greet waits for the registration of a connection, and gives it to its link.
func (o *listener) greet(conn net.Conn) {
	k, came := o.identify(conn)
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.greeting, conn)
	if k == nil || o.closed {
		_ = conn.Close()
		if k == nil && !o.closed && o.links.Log != nil {
			o.links.Log.Warn("a serial server dialled in that no link names; compare its registration with the site's links",
				"address", o.address, "from", conn.RemoteAddr().String(), "sent", fmt.Sprintf("%q", came))
		}
		return
	}
	if older := o.waiting[k]; older != nil {
		_ = older.conn.Close()
	}
	o.waiting[k] = &dialIn{conn, came[len(k.config.Registration):]}
}

// identify reads until a link's registration is there; nil if none comes, or can come any more.
func (o *listener) identify(conn net.Conn) (k *link, came []byte) {
	_ = conn.SetReadDeadline(time.Now().Add(registrationTime)) // a connection that can not be read fails below
	defer func() { _ = conn.SetReadDeadline(time.Time{}) }()
	buf := make([]byte, maxRegistration)
	for {
		k, may := o.linkOf(came)
		if k != nil || !may {
			return k, came
		}
		n, err := conn.Read(buf)
		came = append(came, buf[:n]...)
		if err != nil {
			k, _ := o.linkOf(came)
			return k, came
		}
	}
}

// linkOf is the link whose registration came begins with; may is whether more could make it one.
func (o *listener) linkOf(came []byte) (k *link, may bool) {
	o.links.mu.Lock()
	defer o.links.mu.Unlock()
	for _, k := range o.links.links {
		e, registration := k.config.Endpoint, []byte(k.config.Registration)
		if e.Transport != Listen || e.Address != o.address {
			continue
		}
		if bytes.HasPrefix(came, registration) {
			return k, true
		}
		may = may || bytes.HasPrefix(registration, came)
	}
	return nil, may
}

// close ends the listener and all connections that no link has taken. Whoever calls it waits for running later, without the lock of Links.
func (o *listener) close() error {
	err := o.socket.Close()
	o.mu.Lock()
	o.closed = true
	for conn := range o.greeting {
		_ = conn.Close()
	}
	for _, d := range o.waiting {
		_ = d.conn.Close()
	}
	o.mu.Unlock()
	return err
}

// forget drops what is kept for a link that is no more, and with the last of its links the listener, for which the caller must wait
// without l.mu, which is held here.
func (l *Links) forget(k *link) (ended *listener) {
	address := k.config.Endpoint.Address
	open := l.listeners[address]
	if open == nil || k.config.Endpoint.Transport != Listen {
		return nil
	}
	open.mu.Lock()
	if d := open.waiting[k]; d != nil {
		_ = d.conn.Close()
		delete(open.waiting, k)
	}
	open.mu.Unlock()
	for _, other := range l.links {
		if other.config.Endpoint.Transport == Listen && other.config.Endpoint.Address == address {
			return nil
		}
	}
	delete(l.listeners, address)
	_ = open.close() // nobody is left to tell
	return open
}
