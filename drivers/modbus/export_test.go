package modbus

import (
	"testing"
	"time"
)

// QuickRetry makes the pauses of a test short.
func QuickRetry(t testing.TB) {
	before := retry
	retry = pace{first: 2 * time.Millisecond, last: 5 * time.Millisecond}
	t.Cleanup(func() { retry = before })
}
