package modbus

import (
	"context"
	"io"
	"testing"
	"time"
)

// QuickRetry makes the pauses of a test short.
func QuickRetry(t testing.TB) {
	before, beforeSerial := retry, retrySerial
	retry = pace{first: 2 * time.Millisecond, last: 5 * time.Millisecond}
	retrySerial = retry
	t.Cleanup(func() { retry, retrySerial = before, beforeSerial })
}

// DialWith makes links connect by dial, in the place of the network.
func (l *Links) DialWith(dial func(context.Context, LinkConfig) (io.ReadWriteCloser, error)) {
	l.dial = dial
}
