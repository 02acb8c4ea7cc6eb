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

// QuickRefusals makes a driver ask again soon for what a device refuses.
func QuickRefusals(t testing.TB, pause time.Duration) {
	before := retryFirst
	retryFirst = pause
	t.Cleanup(func() { retryFirst = before })
}
