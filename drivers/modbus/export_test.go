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

// Calls is requests to one unit of a link, past planning and learning.
type Calls struct {
	seat  *seat
	calls []*call
}

// Calls takes a seat for them.
func (l *Links) Calls(link LinkConfig, unit uint8, requests []Request) (*Calls, error) {
	s, err := l.join(link, unit)
	c := &Calls{seat: s}
	for _, r := range requests {
		call := newCall(r)
		c.calls = append(c.calls, &call)
	}
	return c, err
}

// Exchange sends requests from to behind; what each brought is Data, nil if it failed.
func (c *Calls) Exchange(ctx context.Context, timeout time.Duration, from, behind int) {
	c.seat.exchange(ctx, timeout, c.calls[from:behind]...)
}

// Data is what the last Exchange brought for request i.
func (c *Calls) Data(i int) []byte {
	if c.calls[i].err != nil {
		return nil
	}
	return c.calls[i].data()
}

// Err is what became of request i.
func (c *Calls) Err(i int) error { return c.calls[i].err }
