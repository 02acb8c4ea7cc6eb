package worker

import (
	"errors"
	"testing"

	"github.com/gopcua/opcua/ua"
	"pgregory.net/rapid"
)

// TestBatches lets a server take fewer operations than it says: everything is sent once, in order, and no more than the server takes after it
// has said so a few times.
func TestBatches(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 3000).Draw(t, "n")
		takes := rapid.IntRange(1, 2000).Draw(t, "takes")
		l := limits{read: rapid.IntRange(1, 1000).Draw(t, "says")}
		size := rapid.IntRange(1, 2000).Draw(t, "bytes")
		done, refused := 0, 0
		err := l.batches(n, &l.read, func(int) int { return size }, func(from, to int) error {
			if from != done || to <= from {
				t.Fatalf("from %d to %d after %d", from, to, done)
			}
			if to-from > 1 && (to-from)*size > mostBytes {
				t.Fatalf("%d operations of %d bytes", to-from, size)
			}
			if to-from > takes {
				refused++
				return ua.StatusBadTooManyOperations
			}
			done = to
			return nil
		})
		if err != nil || done != n {
			t.Fatalf("%d of %d, %v", done, n, err)
		}
		if refused > 10 {
			t.Fatalf("%d refusals: the limit does not shrink", refused)
		}
	})
}

func TestBatchesFail(t *testing.T) {
	l := limits{read: 100}
	calls := 0
	err := l.batches(300, &l.read, func(int) int { return 1 }, func(int, int) error { calls++; return ua.StatusBadSessionIDInvalid })
	if !errors.Is(err, ua.StatusBadSessionIDInvalid) || calls != 1 {
		t.Errorf("%d calls, %v", calls, err)
	}
	calls = 0
	err = l.batches(1, &l.read, func(int) int { return 1 }, func(int, int) error { calls++; return ua.StatusBadResponseTooLarge })
	if !errors.Is(err, ua.StatusBadResponseTooLarge) || calls != 1 {
		t.Errorf("one operation that is too large: %d calls, %v", calls, err)
	}
}
