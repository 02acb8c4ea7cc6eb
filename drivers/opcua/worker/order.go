package worker

import "github.com/gopcua/opcua/ua"

// numbers is how many sequence numbers there are: 1 to 2^32-1, and then 1 again (Part 4, 7.8 Counter and 7.26 NotificationMessage).
const numbers = 1<<32 - 1

// following is the sequence number after seq.
func following(seq uint32) uint32 {
	if seq == numbers {
		return 1
	}
	return seq + 1
}

// steps is how far b is ahead of a; more than half of all numbers is behind.
func steps(a, b uint32) uint32 {
	if b >= a {
		return b - a
	}
	return numbers - (a - b)
}

// maxWaiting is how many notifications may wait for one that is missing.
const maxWaiting = 1000

// order puts the notifications of one subscription in the order of their sequence numbers, and drops those that come twice.
type order struct {
	next    uint32 // the number expected; 0: not begun
	begun   bool   // some notification has come
	waiting map[uint32]*ua.NotificationMessage
}

func newOrder() order { return order{next: 1, waiting: make(map[uint32]*ua.NotificationMessage)} }

// add takes a notification and appends to dst those that are next.
func (o *order) add(m *ua.NotificationMessage, dst []*ua.NotificationMessage) []*ua.NotificationMessage {
	if m.SequenceNumber == 0 || steps(o.next, m.SequenceNumber) > numbers/2 {
		return dst
	}
	if m.SequenceNumber != o.next {
		if len(o.waiting) < maxWaiting {
			o.waiting[m.SequenceNumber] = m
		}
		return dst
	}
	o.begun = true
	o.next = following(o.next)
	return o.ready(append(dst, m))
}

func (o *order) ready(dst []*ua.NotificationMessage) []*ua.NotificationMessage {
	for len(o.waiting) > 0 {
		m := o.waiting[o.next]
		if m == nil {
			break
		}
		delete(o.waiting, o.next)
		dst, o.next = append(dst, m), following(o.next)
	}
	return dst
}

// missing is how many notifications lie between the last one in order and the first one that waits; 0: none waits.
func (o *order) missing() uint32 {
	var first uint32
	for seq := range o.waiting {
		if n := steps(o.next, seq); first == 0 || n < first {
			first = n
		}
	}
	return first
}

// skip gives up the next n notifications, and appends to dst those that are next after them. It says how many are to be counted as missing:
// a subscription may begin with any number.
func (o *order) skip(n uint32, dst []*ua.NotificationMessage) (_ []*ua.NotificationMessage, gaps uint32) {
	if o.begun {
		gaps = n
	}
	for ; n > 0 && n < maxWaiting; n-- {
		o.next = following(o.next)
	}
	if n > 0 { // a leap
		o.next = uint32((uint64(o.next)-1+uint64(n))%numbers) + 1
	}
	o.begun = true
	return o.ready(dst), gaps
}
