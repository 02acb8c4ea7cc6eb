package modbus

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"go.bug.st/serial"

	"github.com/millgate/millgate/drivers"
)

const (
	// serialPoll is how often a reader of a port looks whether the port is to be closed. The port must not be closed under its reader or
	// writer: that would read, or overwrite, whatever file the system gives the same number.
	serialPoll = 100 * time.Millisecond
	// serialWrite is in which a port must take a request. One does at once, but for an adapter that hangs when its buffer is full.
	serialWrite = 500 * time.Millisecond
)

// serialPort is an open port that is closed when nobody reads or writes, and whose Write ends whatever the adapter does.
type serialPort struct {
	port    serial.Port
	lock    io.Closer
	closing atomic.Bool
	idle    chan struct{} // holds a token while nobody reads
	free    chan struct{} // holds a token while nobody writes
}

func openSerial(c LinkConfig) (io.ReadWriteCloser, error) {
	path := c.Endpoint.Address
	lock, busy, err := lockPort(path)
	if err != nil {
		return nil, portError(path, busy, err)
	}
	port, err := serial.Open(path, c.mode())
	if err == nil {
		if err = port.SetReadTimeout(serialPoll); err != nil {
			err = errors.Join(err, port.Close())
		}
	}
	if err != nil {
		var known *serial.PortError
		busy := errors.As(err, &known) && known.Code() == serial.PortBusy
		return nil, errors.Join(portError(path, busy, err), lock.Close())
	}
	p := &serialPort{port: port, lock: lock, idle: make(chan struct{}, 1), free: make(chan struct{}, 1)}
	p.idle <- struct{}{}
	p.free <- struct{}{}
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
		n, err = p.port.Read(b)
	}
	return n, err
}

func (p *serialPort) Write(b []byte) (int, error) {
	select {
	case <-p.free:
	default: // a Write that was given up is still under way
		return 0, os.ErrDeadlineExceeded
	}
	if p.closing.Load() {
		p.free <- struct{}{}
		return 0, io.ErrClosedPipe
	}
	type result struct {
		n   int
		err error
	}
	ended := make(chan result, 1)
	b = slices.Clone(b) // a Write that is given up may still read it
	go func() {
		// What has not been sent yet nobody waits for any more, and it would fill the port's buffer. Not every adapter can drop it.
		_ = p.port.ResetOutputBuffer()
		n, err := p.port.Write(b)
		p.free <- struct{}{}
		ended <- result{n, err}
	}()
	limit := time.NewTimer(serialWrite)
	defer limit.Stop()
	select {
	case r := <-ended:
		return r.n, r.err
	case <-limit.C:
		return 0, fmt.Errorf("the adapter takes no bytes: %w", os.ErrDeadlineExceeded)
	}
}

// Close waits for the reader. If a Write hangs, the port is closed when that ends.
func (p *serialPort) Close() error {
	if p.closing.Swap(true) {
		return nil
	}
	<-p.idle
	defer func() { p.idle <- struct{}{} }()
	select {
	case <-p.free:
		return p.release()
	default:
	}
	_ = p.port.ResetOutputBuffer() // may free it
	go func() { <-p.free; _ = p.release() }()
	return nil
}

// release belongs to the holder of free.
func (p *serialPort) release() error {
	defer func() { p.free <- struct{}{} }()
	return errors.Join(p.port.Close(), p.lock.Close())
}
