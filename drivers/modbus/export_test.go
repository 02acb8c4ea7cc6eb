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

// QuickRefusals makes a driver ask again soon for what a device refuses.
func QuickRefusals(t testing.TB, pause time.Duration) {
	before := retryFirst
	retryFirst = pause
	t.Cleanup(func() { retryFirst = before })
}
