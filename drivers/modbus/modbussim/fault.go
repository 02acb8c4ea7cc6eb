package modbussim

import (
	"net"
	"slices"
	"sync"
	"time"
)

// FaultKind is what a faulty unit does to an answer.
type FaultKind uint8

// The faults.
const (
	None      FaultKind = iota
	Late                // answers Delay later, without holding up what comes after
	Never               // does not answer
	Split               // sends the answer in two segments, Delay apart
	Merged              // holds the answer back and sends it together with the next one
	WrongID             // answers with another transaction id
	WrongUnit           // answers for another unit
	Exception           // answers exception Code
	Reset               // resets the connection instead of answering
	Short               // sends a whole frame with less data than was asked for
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
func (u *Unit) Fault(f Fault) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.fault = f
}

// nextFault is the fault of the next answer.
func (u *Unit) nextFault() Fault {
	u.mu.Lock()
	defer u.mu.Unlock()
	f := u.fault
	if f.Times > 0 {
		if u.fault.Times--; u.fault.Times == 0 {
			u.fault = Fault{}
		}
	}
	return f
}

// conn is one client's connection.
type conn struct {
	raw    net.Conn
	server *Server
	buf    []byte

	mu   sync.Mutex // held while writing
	held []byte     // answers held back by Merged
}

// send sends the answer as the fault has it; false ends the connection.
func (c *conn) send(answer []byte, f Fault) bool {
	switch f.Kind {
	case Late:
		late := slices.Clone(answer)
		c.server.running.Go(func() {
			time.Sleep(f.Delay)
			c.write(late)
		})
		return true
	case Never:
		return true
	case Split:
		return c.split(answer, f.Delay)
	case Merged:
		c.mu.Lock()
		defer c.mu.Unlock()
		c.held = append(c.held, answer...)
		return true
	case WrongID:
		answer[0] ^= 0x55
	case WrongUnit:
		answer[6]++
	case Exception:
		answer = append(answer[:7], answer[7]|0x80, f.Code)
		answer[4], answer[5] = 0, 3
	case Reset:
		if tcp, ok := c.raw.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // so that closing resets
		}
		return false
	case Short:
		answer = shorten(answer)
	case Garbled:
		answer = []byte("\xff\xff\xff\xff\xff\xff no frame")
	case None:
	}
	return c.write(answer)
}

// shorten takes the last two bytes of data off and says so in the lengths, as a device does that knows fewer registers.
func shorten(answer []byte) []byte {
	if len(answer) < 12 {
		return answer
	}
	answer = answer[:len(answer)-2]
	answer[5] -= 2
	answer[8] -= 2
	return answer
}

// split lets nothing come between the halves: a TCP stream has no other order than that of its bytes.
func (c *conn) split(answer []byte, pause time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	half := len(answer) / 2
	if _, err := c.raw.Write(append(c.held, answer[:half]...)); err != nil {
		return false
	}
	c.held = nil
	time.Sleep(pause)
	_, err := c.raw.Write(answer[half:])
	return err == nil
}

func (c *conn) write(b []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.held) > 0 {
		b = append(c.held, b...)
		c.held = nil
	}
	_, err := c.raw.Write(b)
	return err == nil
}
