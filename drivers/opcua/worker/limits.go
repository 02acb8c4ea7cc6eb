package worker

import (
	"cmp"
	"context"
	"sync"

	"github.com/gopcua/opcua/ua"
)

// What is assumed of a server that does not say, and what is asked of none.
const (
	assumedRead    = 500
	assumedMonitor = 100
	assumedHistory = 10
	assumedBrowse  = 100
	mostAtOnce     = 1000
	mostBytes      = 60 << 10 // of one request
)

// limits are how many operations the server takes in one request (Part 5, 6.3.11 OperationLimitsType). They shrink when it says that they are
// too many.
type limits struct {
	mu                             sync.Mutex
	read, monitor, history, browse int // 0: nobody knows yet
}

// The nodes of the operation limits (Part 6, A.3).
var limitNodes = [...]uint32{11705, 11714, 12165, 11710}

func (l *limits) fields() [len(limitNodes)]*int {
	return [...]*int{&l.read, &l.monitor, &l.history, &l.browse}
}

// learn asks the server for its limits. One that does not say keeps what was learnt of it before.
func (l *limits) learn(ctx context.Context, c *client) error {
	nodes := make([]*ua.ReadValueID, len(limitNodes))
	for i, n := range limitNodes {
		nodes[i] = attribute(ua.NewNumericNodeID(0, n), ua.AttributeIDValue)
	}
	got, err := ask[*ua.ReadResponse](ctx, c, &ua.ReadRequest{NodesToRead: nodes, TimestampsToReturn: ua.TimestampsToReturnNeither})
	l.mu.Lock()
	defer l.mu.Unlock()
	assumed := [...]int{assumedRead, assumedMonitor, assumedHistory, assumedBrowse}
	for i, f := range l.fields() {
		if *f == 0 {
			*f = assumed[i]
		}
		if err == nil && i < len(got.Results) {
			if n, ok := got.Results[i].Value.Value().(uint32); ok && n > 0 {
				*f = int(min(n, mostAtOnce))
			}
		}
	}
	if _, fault := err.(ua.StatusCode); fault && !sessionGone(err) {
		return nil
	}
	return err
}

// get is the present value of one of the limits.
func (l *limits) get(f *int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return cmp.Or(*f, assumedBrowse)
}

// shrink halves a limit of which n were too many; ok is false if it can not be less.
func (l *limits) shrink(f *int, n int) (ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if half := max(n/2, 1); *f == 0 || *f > half {
		*f = half
	}
	return n > 1
}

// tooMany says that a request had more operations or bytes than the server takes.
func tooMany(err error) bool {
	switch err {
	case ua.StatusBadTooManyOperations, ua.StatusBadRequestTooLarge, ua.StatusBadResponseTooLarge, ua.StatusBadEncodingLimitsExceeded, ua.StatusBadTCPMessageTooLarge:
		return true
	}
	return false
}

// nodeSize is the size of a node in a request, about: that of a NodeID with a text.
func nodeSize(int) int { return 60 }

// batches calls do with part after part of n operations, each of at most f of them and of mostBytes; size is the bytes of one. If the server
// finds a part too large, the limit shrinks and the part is sent again in smaller ones.
func (l *limits) batches(n int, f *int, size func(i int) int, do func(from, to int) error) error {
	for from := 0; from < n; {
		to, bytes, most := from, 0, l.get(f)
		for to < n && to-from < most && (to == from || bytes+size(to) <= mostBytes) {
			bytes += size(to)
			to++
		}
		switch err := do(from, to); {
		case err == nil:
			from = to
		case tooMany(err) && l.shrink(f, to-from):
		default:
			return err
		}
	}
	return nil
}
