package modbus

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/millgate/millgate/drivers"
)

const (
	headerSize = 6   // transaction id, protocol id, length (MODBUS Messaging on TCP/IP Implementation Guide V1.0b, 3.1.3)
	minLength  = 2   // unit and function
	maxLength  = 254 // unit and a PDU of 253
	maxADU     = headerSize + maxLength
)

var errNotARead = errors.New("refused to send a request that is not a read")

// conn is one TCP connection with its reader.
type conn struct {
	raw     net.Conn
	out     [maxADU]byte
	answers chan []byte   // the answer that was expected
	dead    chan struct{} // closed when the connection has ended; err says why
	once    sync.Once
	err     error
	reader  sync.WaitGroup

	mu       sync.Mutex
	waiting  bool
	expected uint16
}

func newConn(raw net.Conn) *conn {
	c := &conn{raw: raw, answers: make(chan []byte, 1), dead: make(chan struct{})}
	c.reader.Go(func() { c.close(c.read()) })
	return c
}

// write puts a request on the wire. It is the only function that does, and it lets nothing pass but reads. It needs no deadline: a
// connection is closed after a few requests of a dozen bytes without an answer, and any socket buffer takes those at once.
func (c *conn) write(adu []byte, id uint16) error {
	if !isRead(adu) {
		return &drivers.Error{Cause: drivers.CauseInternal, Err: errNotARead}
	}
	n := copy(c.out[:], adu)
	binary.BigEndian.PutUint16(c.out[:], id)
	_, err := c.raw.Write(c.out[:n])
	return err
}

// isRead says that a whole request is function 1, 2, 3, 4, or 43 with MEI type 14.
func isRead(adu []byte) bool {
	if len(adu) < headerSize+minLength || len(adu) > maxADU {
		return false
	}
	switch pdu := adu[headerSize+1:]; pdu[0] {
	case 1, 2, 3, 4:
		return len(pdu) == 5
	case functionEncapsulated:
		return len(pdu) == 4 && pdu[1] == meiIdentification
	default:
		return false
	}
}

// expect makes the reader hand over the answer with that id.
func (c *conn) expect(id uint16) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting, c.expected = true, id
}

// forget makes the answer a stranger. One that came at the last moment is thrown away.
func (c *conn) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = false
	select {
	case <-c.answers:
	default:
	}
}

// read takes frames until the connection ends. Strangers, answers that nobody waits for any more, are dropped.
func (c *conn) read() error {
	in := bufio.NewReaderSize(c.raw, 2*maxADU)
	// The answer that was handed over is in use until the next request is answered, while strangers may come in.
	frame, spare := make([]byte, maxADU), make([]byte, maxADU)
	for {
		n, err := readFrame(in, frame)
		if err != nil {
			return err
		}
		c.mu.Lock()
		if c.waiting && binary.BigEndian.Uint16(frame) == c.expected {
			c.waiting = false
			c.answers <- frame[:n]
			frame, spare = spare, frame
		}
		c.mu.Unlock()
	}
}

// readFrame reads one frame into buf, which holds maxADU bytes, and says how long it is.
func readFrame(in io.Reader, buf []byte) (int, error) {
	if _, err := io.ReadFull(in, buf[:headerSize]); err != nil {
		return 0, err
	}
	protocol, length := binary.BigEndian.Uint16(buf[2:]), int(binary.BigEndian.Uint16(buf[4:]))
	if protocol != 0 || length < minLength || length > maxLength {
		return 0, &drivers.Error{Cause: drivers.CauseGarbled, Err: fmt.Errorf("the bytes % x are not the head of a Modbus TCP frame", buf[:headerSize])}
	}
	if _, err := io.ReadFull(in, buf[headerSize:headerSize+length]); err != nil {
		return 0, err
	}
	return headerSize + length, nil
}

func (c *conn) close(err error) {
	c.once.Do(func() {
		c.err = err
		_ = c.raw.Close() // it has ended either way
		close(c.dead)
	})
}

func (c *conn) ended() bool {
	select {
	case <-c.dead:
		return true
	default:
		return false
	}
}
