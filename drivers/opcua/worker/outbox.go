package worker

import (
	"cmp"
	"slices"
	"sync/atomic"

	"github.com/gopcua/opcua/ua"

	"github.com/millgate/millgate/drivers/opcua"
)

const (
	maxHeld     = 64 << 20 // bytes of readings that wait in a worker for the gateway
	readingSize = 96       // bytes of one without text
	maxText     = 16 << 20 // bytes of text in one batch
)

// mark says that the readings of a notification are among the first so many of an outbox.
type mark struct {
	end  uint64
	call uint64 // in which the last of them went out
	ack  ua.SubscriptionAcknowledgement
}

// outbox holds what a group has for the gateway, and knows which notifications may be acknowledged.
type outbox struct {
	held     *atomic.Int64 // bytes in all outboxes of the worker
	readings []opcua.BatchReading
	head     int    // readings before it are gone
	gone     uint64 // how many went in all
	marks    []mark // notifications with readings that wait
	given    []mark // notifications that went out and are not durable yet
	acks     []ua.SubscriptionAcknowledgement
}

func sizeOf(r *opcua.BatchReading) int64 { return readingSize + int64(len(r.Value.Text())) }

// push adds a reading, and gives how many old ones it had to drop for it.
func (o *outbox) push(r opcua.BatchReading) (dropped uint64) {
	held := o.held.Add(sizeOf(&r))
	o.readings = append(o.readings, r)
	for held > maxHeld && o.head < len(o.readings)-1 {
		held = o.held.Add(-sizeOf(&o.readings[o.head]))
		o.readings[o.head] = opcua.BatchReading{}
		o.head++
		o.gone++
		dropped++
	}
	return dropped
}

// end marks that a notification's readings are all in.
func (o *outbox) end(subscription, seq uint32) {
	o.marks = append(o.marks, mark{end: o.gone + uint64(len(o.readings)-o.head), ack: ua.SubscriptionAcknowledgement{SubscriptionID: subscription, SequenceNumber: seq}})
}

// take gives the oldest readings, at most n, in the order of their times, for an answer to call. They are valid until the next push.
func (o *outbox) take(call uint64, n int) []opcua.BatchReading {
	all := o.readings[o.head:]
	all = all[:min(n, len(all))]
	text, size := 0, int64(0)
	for i := range all {
		size += sizeOf(&all[i])
		if text += len(all[i].Value.Text()); text > maxText {
			all = all[:i+1]
			break
		}
	}
	o.held.Add(-size)
	o.head += len(all)
	o.gone += uint64(len(all))
	if o.head == len(o.readings) {
		if cap(o.readings) > 4*opcua.MaxReadings {
			o.readings = nil
		}
		o.readings, o.head = o.readings[:0], 0
	}
	done := 0
	for done < len(o.marks) && o.marks[done].end <= o.gone {
		o.marks[done].call = call
		done++
	}
	o.given = append(o.given, o.marks[:done]...)
	o.marks = slices.Delete(o.marks, 0, done)
	older := func(a, b opcua.BatchReading) int {
		return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Point, b.Point))
	}
	if !slices.IsSortedFunc(all, older) {
		slices.SortStableFunc(all, older)
	}
	return all
}

// committed says that what went out in the first calls is durable.
func (o *outbox) committed(calls uint64) {
	done := 0
	for done < len(o.given) && o.given[done].call <= calls {
		o.acks = append(o.acks, o.given[done].ack)
		done++
	}
	o.given = slices.Delete(o.given, 0, done)
}

// takeAcks appends to dst what may be acknowledged, at most n in all.
func (o *outbox) takeAcks(dst []*ua.SubscriptionAcknowledgement, n int) []*ua.SubscriptionAcknowledgement {
	i := 0
	for ; i < len(o.acks) && len(dst) < n; i++ {
		ack := o.acks[i]
		dst = append(dst, &ack)
	}
	o.acks = slices.Delete(o.acks, 0, i)
	return dst
}

// forget drops what it knows of a subscription that is no more.
func (o *outbox) forget() { o.marks, o.given, o.acks = nil, nil, nil }
