package modbussim

import (
	"bufio"
	"io"
	"net"
	"sync"
	"time"

	"github.com/millgate/millgate/drivers/modbus"
)

// conn is one client's stream. One goroutine reads requests, one writes; each late answer waits in its own.
type conn struct {
	stream  io.ReadWriteCloser
	server  *Server
	framing modbus.Framing
	held    []byte // answers held back by Merged

	line chan struct{} // full while somebody sends: a stream has no other order than that of its bytes
	out  chan []byte
	once sync.Once
	done chan struct{} // closed with the stream
}

func newConn(s *Server, stream io.ReadWriteCloser, f modbus.Framing) *conn {
	return &conn{stream: stream, server: s, framing: f, line: make(chan struct{}, 1), out: make(chan []byte, 64), done: make(chan struct{})}
}

func (c *conn) close() {
	c.once.Do(func() {
		close(c.done)
		_ = c.stream.Close() // it has ended either way
	})
}

// write lets serve read on while the client does not take what is sent.
func (c *conn) write() {
	for {
		select {
		case b := <-c.out:
			if _, err := c.stream.Write(b); err != nil {
				c.close()
				return
			}
		case <-c.done:
			return
		}
	}
}

// serve answers until the stream ends.
func (c *conn) serve() {
	in := bufio.NewReader(c.stream)
	for {
		asked, err := readRequest(in, c.framing)
		if err != nil {
			return
		}
		stats := &c.server.stats
		stats.requests.Add(1)
		u := c.server.asked(asked.unit, c.framing)
		if u == nil {
			continue
		}
		stats.functions[asked.pdu[0]].Add(1)
		answer := frame{id: asked.id, unit: asked.unit, pdu: u.answer(asked.pdu)}
		if answer.pdu[0]&0x80 != 0 {
			stats.exceptions.Add(1)
		}
		if !c.answer(asked, answer, u.next()) {
			return
		}
	}
}

// answer sends the answer in the unit's manner; false ends the connection.
func (c *conn) answer(asked, answer frame, m manner) bool {
	m.fault.twist(&answer)
	bytes := answer.wrap(c.framing)
	var sendings []Sending
	switch {
	case m.mangle != nil:
		sendings = m.mangle(asked.wrap(c.framing), bytes)
	case m.fault.Kind == Reset:
		if tcp, ok := c.stream.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // so that closing resets
		}
		return false
	case m.fault.Kind == Merged:
		c.held = append(c.held, bytes...)
	default:
		sendings = m.fault.sendings(bytes, c.framing)
	}
	if len(sendings) > 0 && len(c.held) > 0 {
		sendings[0].Bytes = append(c.held, sendings[0].Bytes...)
		c.held = nil
	}
	if c.framing != modbus.MBAP {
		return c.pause(m.latency) && c.send(sendings, 0)
	}
	return c.send(sendings, m.latency)
}

// send sends what is due at once before it returns, and the rest when it is due; false means that the connection has ended.
func (c *conn) send(sendings []Sending, latency time.Duration) bool {
	for len(sendings) > 0 {
		n := 1
		for n < len(sendings) && sendings[n-1].More {
			n++
		}
		run := sendings[:n]
		sendings = sendings[n:]
		if latency+run[0].After > 0 {
			c.server.running.Go(func() { c.play(run, latency) })
		} else if !c.play(run, 0) {
			return false
		}
	}
	return true
}

// play sends a run of sendings of which each continues the one before.
func (c *conn) play(run []Sending, latency time.Duration) bool {
	began := time.Now()
	for i, s := range run {
		if !c.pause(latency + s.After - time.Since(began)) {
			return false
		}
		if i == 0 {
			select {
			case c.line <- struct{}{}:
			case <-c.done:
				return false
			}
		}
		select {
		case c.out <- s.Bytes:
		case <-c.done:
			return false
		}
	}
	if !run[len(run)-1].More {
		<-c.line
	}
	return true
}

// pause waits; false means that the connection ended meanwhile.
func (c *conn) pause(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.done:
		return false
	}
}
