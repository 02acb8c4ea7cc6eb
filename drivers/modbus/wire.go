package modbus

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/millgate/millgate/drivers"
)

var errNotARead = errors.New("refused to send a request that is not a read")

// maxInbox is more than the longest answers to a full window; beyond it whoever is at the other end only babbles.
const maxInbox = 16 << 10

// wire is one connection, or an open serial port, with its reader.
type wire struct {
	raw     io.ReadWriteCloser
	framing Framing
	trace   *trace
	arrived chan struct{} // holds a token when something has come since it was last looked at
	dead    chan struct{} // closed when the wire has ended; err says why
	once    sync.Once
	err     error
	reader  sync.WaitGroup

	mu   sync.Mutex
	in   []byte    // what has come and is not dealt with
	last time.Time // when the last byte came or went
}

// newWire takes over a connection of which some bytes have been read already.
func newWire(raw io.ReadWriteCloser, f Framing, already []byte, t *trace) *wire {
	w := &wire{raw: raw, framing: f, trace: t, arrived: make(chan struct{}, 1), dead: make(chan struct{}), in: already, last: time.Now()}
	w.reader.Go(func() { w.end(w.read()) })
	return w
}

// send puts a request on the wire. It is the only function that does, and it lets nothing pass but reads. It needs no deadline: a
// connection is given up after a few requests of a dozen bytes without an answer, and any buffer of the system takes those at once; a
// serial port has a limit of its own.
func (w *wire) send(adu []byte) error {
	if !isRead(w.framing.pdu(adu)) {
		return &drivers.Error{Cause: drivers.CauseInternal, Err: errNotARead}
	}
	now := time.Now()
	w.mu.Lock()
	w.last = now
	w.mu.Unlock()
	w.trace.add(now, true, adu)
	if n, err := w.raw.Write(adu); err != nil || n == len(adu) {
		return err
	}
	return io.ErrShortWrite
}

// read takes in what comes until the connection ends.
func (w *wire) read() error {
	buf := make([]byte, 2*maxADU)
	for {
		n, err := w.raw.Read(buf)
		if n > 0 {
			if full := w.takeIn(buf[:n]); full != nil {
				return full
			}
		}
		if err != nil {
			return err
		}
	}
}

func (w *wire) takeIn(b []byte) error {
	now := time.Now()
	w.trace.add(now, false, b)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = now
	if len(w.in)+len(b) > maxInbox {
		return &drivers.Error{Cause: drivers.CauseGarbled, Err: fmt.Errorf("%d bytes came that nobody asked for", len(w.in)+len(b))}
	}
	w.in = append(w.in, b...)
	select {
	case w.arrived <- struct{}{}:
	default:
	}
	return nil
}

// look shows what has come and is not dealt with; see says how many bytes of it are.
func (w *wire) look(see func(in []byte) (used int)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if used := see(w.in); used > 0 {
		w.in = w.in[:copy(w.in, w.in[used:])]
	}
}

// drain throws away what has come, and says how much that was.
func (w *wire) drain() (n int) {
	w.look(func(in []byte) int { n = len(in); return n })
	return n
}

// silent is for how long nothing has come or gone.
func (w *wire) silent() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Since(w.last)
}

// end closes the wire, for the first reason given.
func (w *wire) end(err error) {
	w.once.Do(func() {
		w.err = err
		close(w.dead)
		_ = w.raw.Close() // it has ended either way
	})
}

// reason is why the wire has ended, if a write failed for that: its reader has seen what the other side said last.
func (w *wire) reason(failed error) error {
	if errors.Is(failed, errNotARead) {
		return failed
	}
	const soon = 20 * time.Millisecond
	select {
	case <-w.dead:
		return w.err
	case <-time.After(soon):
		return failed
	}
}

func (w *wire) ended() bool {
	select {
	case <-w.dead:
		return true
	default:
		return false
	}
}
