package modbus

import (
	"context"
	"io"
	"testing"
	"time"
)

// QuickRetry makes the pauses of a test short.
func QuickRetry(t testing.TB) {
	before := retry
	retry = pace{first: 2 * time.Millisecond, last: 5 * time.Millisecond}
	t.Cleanup(func() { retry = before })
}

// DialWith makes links connect by dial, in the place of the network.
func (l *Links) DialWith(dial func(context.Context, LinkConfig) (io.ReadWriteCloser, error)) {
	l.dial = dial
}
