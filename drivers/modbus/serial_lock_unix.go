//go:build unix

package modbus

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// lockPort claims a serial port against other programs of root, whom the port's own exclusive mode does not keep out. busy says that
// somebody else has it.
func lockPort(path string) (lock io.Closer, busy bool, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NOCTTY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, errors.Is(err, syscall.EBUSY), err
	}
	var locked error
	raw, err := f.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { locked = syscall.Flock(int(fd), syscall.LOCK_EX|syscall.LOCK_NB) })
	}
	if err = errors.Join(err, locked); err != nil {
		return nil, errors.Is(err, syscall.EWOULDBLOCK), errors.Join(err, f.Close())
	}
	return f, false, nil
}
