package modbus

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"go.bug.st/serial"

	"github.com/millgate/millgate/drivers"
)

// serialPoll is how often a reader of a port looks whether the port is to be closed. The port must not be closed under its reader: for a
// moment that would read whatever file the system gives the same number.
const serialPoll = 100 * time.Millisecond

// serialPort is an open port whose Close waits for its reader and its writer.
type serialPort struct {
	serial.Port
	lock    io.Closer
	writing sync.Mutex
	closing atomic.Bool
	idle    chan struct{} // holds a token while nobody reads
}

func openSerial(c LinkConfig) (io.ReadWriteCloser, error) {
	path := c.Endpoint.Address
	lock, busy, err := lockPort(path)
	if err != nil {
		return nil, portError(path, busy, err)
	}
	port, err := serial.Open(path, c.mode())
	if err == nil {
		err = port.SetReadTimeout(serialPoll)
	}
	if err != nil {
		var known *serial.PortError
		busy := errors.As(err, &known) && known.Code() == serial.PortBusy
		return nil, errors.Join(portError(path, busy, err), lock.Close())
	}
	p := &serialPort{Port: port, lock: lock, idle: make(chan struct{}, 1)}
	p.idle <- struct{}{}
	return p, nil
}

func portError(path string, busy bool, err error) error {
	var known *serial.PortError
	switch {
	case busy:
		return &drivers.Error{Cause: drivers.CauseRefused, Err: fmt.Errorf("serial port %s is in use by another program: "+
			"a running gateway holds its ports, so name its site to go through it", path)}
	case errors.Is(err, fs.ErrPermission), errors.As(err, &known) && known.Code() == serial.PermissionDenied:
		return &drivers.Error{Cause: drivers.CauseRefused, Err: fmt.Errorf("serial port %s may not be opened by this user: "+
			"add the user to the group of the port, on Debian dialout", path)}
	default:
		return &drivers.Error{Cause: drivers.CauseUnreachable, Err: fmt.Errorf("serial port %s can not be opened: %w; "+
			"is the adapter plugged in?", path, err)}
	}
}

// mode is the port's settings.
func (c LinkConfig) mode() *serial.Mode {
	m := &serial.Mode{BaudRate: c.baud(), DataBits: cmp.Or(c.DataBits, 8), Parity: serial.NoParity, StopBits: serial.OneStopBit}
	switch c.Parity {
	case 'E':
		m.Parity = serial.EvenParity
	case 'O':
		m.Parity = serial.OddParity
	}
	if c.StopBits == 2 {
		m.StopBits = serial.TwoStopBits
	}
	return m
}

func (p *serialPort) Read(b []byte) (n int, err error) {
	<-p.idle
	defer func() {
		if recover() != nil { // select(2) knows no more than 1024 descriptors
			err = errors.New("the gateway has too many open files to read from a serial port")
		}
		p.idle <- struct{}{}
	}()
	for n == 0 && err == nil {
		if p.closing.Load() {
			return 0, io.ErrClosedPipe
		}
		n, err = p.Port.Read(b)
	}
	return n, err
}

// Write first drops what the port has not sent yet: nobody waits for its answer any more, and where nobody takes it from the port, as from
// an adapter that hangs, it would fill the port's buffer and hold up the writer for ever.
func (p *serialPort) Write(b []byte) (int, error) {
	p.writing.Lock()
	defer p.writing.Unlock()
	if p.closing.Load() {
		return 0, io.ErrClosedPipe
	}
	if err := p.ResetOutputBuffer(); err != nil {
		return 0, err
	}
	return p.Port.Write(b)
}

func (p *serialPort) Close() error {
	if p.closing.Swap(true) {
		return nil
	}
	p.writing.Lock()
	defer p.writing.Unlock()
	<-p.idle
	defer func() { p.idle <- struct{}{} }()
	return errors.Join(p.Port.Close(), p.lock.Close())
}
