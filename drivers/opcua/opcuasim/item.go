package opcuasim

import (
	"math"
	"reflect"
	"slices"
	"time"

	"github.com/gopcua/opcua/ua"
)

// item is a monitored item (Part 4, 5.13): it queues what its node gets to hold.
type item struct {
	id, handle    uint32
	sub           *subscription
	node          *node
	indexRange    string
	stamps        ua.TimestampsToReturn
	sampling      time.Duration
	size          int
	discardOldest bool
	trigger       ua.DataChangeTrigger
	deadband      float64

	queue   []*ua.DataValue
	last    *ua.DataValue // that was queued
	sampled time.Time     // when
	pending bool          // the node was set since then
}

const (
	maxItemsPerCall = 1000
	maxQueue        = 10000
	overflowBits    = 0x480 // of a DataValue's StatusCode: InfoType DataValue and Overflow (Part 4, 7.39)
)

// createItems is Part 4, 5.13.2.
func (s *Server) createItems(session *session, r *ua.CreateMonitoredItemsRequest) (ua.Response, error) {
	sub := session.subscriptions[r.SubscriptionID]
	switch {
	case sub == nil:
		return nil, ua.StatusBadSubscriptionIDInvalid
	case len(r.ItemsToCreate) > maxItemsPerCall:
		return nil, ua.StatusBadTooManyOperations
	}
	results := make([]*ua.MonitoredItemCreateResult, len(r.ItemsToCreate))
	for i, asked := range r.ItemsToCreate {
		results[i] = &ua.MonitoredItemCreateResult{FilterResult: ua.NewExtensionObject(nil)}
		made, status := s.newItem(sub, asked, r.TimestampsToReturn)
		if results[i].StatusCode = status; status != ua.StatusOK {
			continue
		}
		sub.items[made.id] = made
		made.node.items = append(made.node.items, made)
		made.take(time.Now())
		results[i].MonitoredItemID, results[i].RevisedQueueSize = made.id, uint32(made.size)
		results[i].RevisedSamplingInterval = float64(made.sampling) / float64(time.Millisecond)
	}
	return &ua.CreateMonitoredItemsResponse{ResponseHeader: header(r, ua.StatusOK), Results: results, DiagnosticInfos: []*ua.DiagnosticInfo{}}, nil
}

func (s *Server) newItem(sub *subscription, r *ua.MonitoredItemCreateRequest, stamps ua.TimestampsToReturn) (*item, ua.StatusCode) {
	node := s.space.nodes[r.ItemToMonitor.NodeID.String()]
	asked := r.RequestedParameters
	switch {
	case node == nil:
		return nil, ua.StatusBadNodeIDUnknown
	case r.ItemToMonitor.AttributeID != ua.AttributeIDValue, node.class != ua.NodeClassVariable:
		return nil, ua.StatusBadAttributeIDInvalid
	}
	made := &item{
		id: s.nextID(), handle: asked.ClientHandle, sub: sub, node: node, indexRange: r.ItemToMonitor.IndexRange, stamps: stamps,
		sampling: max(0, time.Duration(asked.SamplingInterval*float64(time.Millisecond))), size: int(min(max(asked.QueueSize, 1), maxQueue)),
		discardOldest: asked.DiscardOldest, trigger: ua.DataChangeTriggerStatusValue,
	}
	if asked.SamplingInterval < 0 { // the publishing interval's (Part 4, 7.21)
		made.sampling = sub.interval
	}
	if asked.Filter != nil && asked.Filter.Value != nil {
		filter, ok := asked.Filter.Value.(*ua.DataChangeFilter)
		if !ok || filter.DeadbandType > uint32(ua.DeadbandTypeAbsolute) {
			return nil, ua.StatusBadMonitoredItemFilterUnsupported
		}
		made.trigger = filter.Trigger
		if filter.DeadbandType == uint32(ua.DeadbandTypeAbsolute) {
			made.deadband = filter.DeadbandValue
		}
	}
	return made, ua.StatusOK
}

func (s *Server) deleteItems(session *session, r *ua.DeleteMonitoredItemsRequest) (ua.Response, error) {
	sub := session.subscriptions[r.SubscriptionID]
	if sub == nil {
		return nil, ua.StatusBadSubscriptionIDInvalid
	}
	results := make([]ua.StatusCode, len(r.MonitoredItemIDs))
	for i, id := range r.MonitoredItemIDs {
		item := sub.items[id]
		if item == nil {
			results[i] = ua.StatusBadMonitoredItemIDInvalid
			continue
		}
		item.node.unwatch(item)
		delete(sub.items, id)
	}
	return &ua.DeleteMonitoredItemsResponse{ResponseHeader: header(r, ua.StatusOK), Results: results, DiagnosticInfos: []*ua.DiagnosticInfo{}}, nil
}

// notice is told that the node was set. What comes faster than the sampling interval is taken when that is over, if it still stands.
func (i *item) notice(now time.Time) {
	i.pending = true
	i.sample(now)
}

func (i *item) sample(now time.Time) {
	if (i.pending || i.node.live != nil) && now.Sub(i.sampled) >= i.sampling {
		i.take(now)
	}
}

// take queues what the node holds, if it differs from what was queued last as the filter wants it.
func (i *item) take(now time.Time) {
	i.pending, i.sampled = false, now
	value := i.node.read(i.indexRange, i.stamps, now)
	if i.last != nil && !i.differs(i.last, value) {
		return
	}
	i.last = value
	if len(i.queue) < i.size {
		i.queue = append(i.queue, value)
		return
	}
	marked := 0 // what stands beside the values that were dropped
	if i.discardOldest {
		i.queue = append(slices.Delete(i.queue, 0, 1), value)
	} else {
		marked = i.size - 1
		i.queue[marked] = value
	}
	if i.size > 1 { // with a queue of one it is no loss (Part 4, 7.21)
		overflowed := *i.queue[marked]
		overflowed.Status |= overflowBits
		overflowed.EncodingMask |= ua.DataValueStatusCode
		i.queue[marked] = &overflowed
	}
}

// differs applies the filter (Part 4, 7.22.2).
func (i *item) differs(a, b *ua.DataValue) bool {
	if a.Status != b.Status {
		return true
	}
	if i.trigger == ua.DataChangeTriggerStatus {
		return false
	}
	if i.trigger == ua.DataChangeTriggerStatusValueTimestamp && !a.SourceTimestamp.Equal(b.SourceTimestamp) {
		return true
	}
	if a.Value == nil || b.Value == nil {
		return a.Value != b.Value
	}
	if i.deadband > 0 {
		from, numberA := number(a.Value)
		to, numberB := number(b.Value)
		if numberA && numberB {
			return math.Abs(to-from) > i.deadband
		}
	}
	return !reflect.DeepEqual(a.Value.Value(), b.Value.Value())
}

// next takes the oldest value of the queue.
func (i *item) next() *ua.DataValue {
	value := i.queue[0]
	i.queue[0] = nil
	if i.queue = i.queue[1:]; len(i.queue) == 0 {
		i.queue = nil
	}
	return value
}
