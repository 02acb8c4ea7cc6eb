package opcuasim

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/gopcua/opcua/ua"
)

// subscription publishes what its items have queued (Part 4, 5.14).
type subscription struct {
	id        uint32
	session   *session
	interval  time.Duration
	keepAlive uint32 // publishing intervals without a message
	lifetime  uint32 // publishing intervals without a request to publish
	limit     int    // notifications of one message; 0 is none
	items     map[uint32]*item
	sequence  uint32 // of the last message with content
	kept      []*ua.NotificationMessage
	idle      uint32 // publishing intervals since the last message
	unheard   uint32 // publishing intervals since something was due and no request there
	due       bool   // a message waits for a request
	stop      chan struct{}
}

// publishRequest waits in a session until a subscription has something to say.
type publishRequest struct {
	conn    *conn
	id      uint32
	request *ua.PublishRequest
	results []ua.StatusCode // of its acknowledgements
}

const (
	keptNotifications = 10000 // of a subscription, not acknowledged
	waitingRequests   = 20    // of a session
	shortestInterval  = 10 * time.Millisecond
	longestInterval   = time.Minute
)

// createSubscription is Part 4, 5.14.2.
func (s *Server) createSubscription(session *session, r *ua.CreateSubscriptionRequest) ua.Response {
	interval := time.Duration(r.RequestedPublishingInterval * float64(time.Millisecond))
	keepAlive := min(max(r.RequestedMaxKeepAliveCount, 1), 10000)
	sub := &subscription{
		id: s.nextID(), session: session, interval: min(max(interval, shortestInterval), longestInterval),
		keepAlive: keepAlive, lifetime: min(max(r.RequestedLifetimeCount, 3*keepAlive), 100000),
		limit: int(r.MaxNotificationsPerPublish), items: map[uint32]*item{}, stop: make(chan struct{}),
	}
	sub.idle = sub.keepAlive // the first message goes out with the first interval, with or without content
	session.subscriptions[sub.id] = sub
	s.running.Go(func() { s.runSubscription(sub) })
	return &ua.CreateSubscriptionResponse{
		ResponseHeader: header(r, ua.StatusOK), SubscriptionID: sub.id,
		RevisedPublishingInterval: float64(sub.interval) / float64(time.Millisecond),
		RevisedLifetimeCount:      sub.lifetime, RevisedMaxKeepAliveCount: sub.keepAlive,
	}
}

func (s *Server) deleteSubscriptions(session *session, r *ua.DeleteSubscriptionsRequest) ua.Response {
	results := make([]ua.StatusCode, len(r.SubscriptionIDs))
	for i, id := range r.SubscriptionIDs {
		if sub := session.subscriptions[id]; sub != nil {
			s.endSubscription(sub)
		} else {
			results[i] = ua.StatusBadSubscriptionIDInvalid
		}
	}
	if len(session.subscriptions) == 0 {
		session.refuseWaiting(ua.StatusBadNoSubscription)
	}
	return &ua.DeleteSubscriptionsResponse{ResponseHeader: header(r, ua.StatusOK), Results: results, DiagnosticInfos: []*ua.DiagnosticInfo{}}
}

func (s *Server) endSubscription(sub *subscription) {
	close(sub.stop)
	for _, item := range sub.items {
		item.node.unwatch(item)
	}
	delete(sub.session.subscriptions, sub.id)
}

func (s *Server) runSubscription(sub *subscription) {
	tick := time.NewTicker(sub.interval)
	defer tick.Stop()
	for {
		select {
		case <-sub.stop:
			return
		case now := <-tick.C:
			s.mu.Lock()
			if s.sessions[sub.session.token.String()] == sub.session && sub.session.subscriptions[sub.id] == sub {
				s.tick(sub, now)
			}
			s.mu.Unlock()
		}
	}
}

// tick is one publishing interval.
func (s *Server) tick(sub *subscription, now time.Time) {
	queued := false
	for _, item := range sub.items {
		item.sample(now)
		queued = queued || len(item.queue) > 0
	}
	sub.idle++
	sub.due = sub.due || queued || sub.idle >= sub.keepAlive
	if !sub.due {
		return
	}
	if !sub.send() {
		if sub.unheard++; sub.unheard > sub.lifetime {
			s.endSubscription(sub) // its client is gone, so nobody is told
		}
	}
}

// send answers as many waiting requests as it has messages for; false if there is none waiting.
func (sub *subscription) send() bool {
	for sub.due {
		request, ok := sub.session.nextWaiting()
		if !ok {
			return false
		}
		message, more := sub.message()
		sub.due, sub.idle, sub.unheard = more, 0, 0
		available := make([]uint32, len(sub.kept))
		for i, kept := range sub.kept {
			available[i] = kept.SequenceNumber
		}
		request.conn.send(request.id, &ua.PublishResponse{
			ResponseHeader: header(request.request, ua.StatusOK), SubscriptionID: sub.id, MoreNotifications: more,
			NotificationMessage: message, AvailableSequenceNumbers: available,
			Results: request.results, DiagnosticInfos: []*ua.DiagnosticInfo{},
		})
	}
	return true
}

// message takes from the queues what fits one message, or is a keep-alive, which has the number of the next message and is not
// kept (Part 4, 5.14.1.4).
func (sub *subscription) message() (m *ua.NotificationMessage, more bool) {
	var values []*ua.MonitoredItemNotification
	for _, item := range slices.SortedFunc(maps.Values(sub.items), func(a, b *item) int { return cmp.Compare(a.id, b.id) }) {
		for len(item.queue) > 0 && !more {
			if more = sub.limit > 0 && len(values) == sub.limit; !more {
				values = append(values, &ua.MonitoredItemNotification{ClientHandle: item.handle, Value: item.next()})
			}
		}
	}
	m = &ua.NotificationMessage{SequenceNumber: sub.nextSequence(), PublishTime: time.Now(), NotificationData: []*ua.ExtensionObject{}}
	if len(values) == 0 {
		return m, false
	}
	data := ua.NewExtensionObject(&ua.DataChangeNotification{MonitoredItems: values, DiagnosticInfos: []*ua.DiagnosticInfo{}})
	data.UpdateMask()
	m.NotificationData = []*ua.ExtensionObject{data}
	sub.sequence = m.SequenceNumber
	if sub.kept = append(sub.kept, m); len(sub.kept) > keptNotifications {
		sub.kept = slices.Delete(sub.kept, 0, 1)
	}
	return m, more
}

// nextSequence counts from 1 and skips 0 when it wraps (Part 4, 7.8).
func (sub *subscription) nextSequence() uint32 {
	if sub.sequence+1 == 0 {
		return 1
	}
	return sub.sequence + 1
}

// publish is Part 4, 5.14.5: the answer comes when there is something to say.
func (s *Server) publish(session *session, p publishRequest) (ua.Response, error) {
	p.results = make([]ua.StatusCode, len(p.request.SubscriptionAcknowledgements))
	for i, a := range p.request.SubscriptionAcknowledgements {
		p.results[i] = session.acknowledge(a)
	}
	if len(session.subscriptions) == 0 {
		return nil, ua.StatusBadNoSubscription
	}
	if len(session.waiting) >= waitingRequests {
		return nil, ua.StatusBadTooManyPublishRequests
	}
	session.waiting = append(session.waiting, p)
	for _, id := range slices.Sorted(maps.Keys(session.subscriptions)) {
		session.subscriptions[id].unheard = 0
		session.subscriptions[id].send()
	}
	return nil, nil
}

func (session *session) acknowledge(a *ua.SubscriptionAcknowledgement) ua.StatusCode {
	sub := session.subscriptions[a.SubscriptionID]
	if sub == nil {
		return ua.StatusBadSubscriptionIDInvalid
	}
	at := slices.IndexFunc(sub.kept, func(m *ua.NotificationMessage) bool { return m.SequenceNumber == a.SequenceNumber })
	if at < 0 {
		return ua.StatusBadSequenceNumberUnknown
	}
	sub.kept = slices.Delete(sub.kept, at, at+1)
	return ua.StatusOK
}

// nextWaiting takes the oldest request whose connection is still there.
func (session *session) nextWaiting() (publishRequest, bool) {
	for len(session.waiting) > 0 {
		p := session.waiting[0]
		session.waiting = session.waiting[1:]
		select {
		case <-p.conn.done:
		default:
			return p, true
		}
	}
	return publishRequest{}, false
}

func (session *session) refuseWaiting(status ua.StatusCode) {
	for p, ok := session.nextWaiting(); ok; p, ok = session.nextWaiting() {
		p.conn.send(p.id, &ua.ServiceFault{ResponseHeader: header(p.request, status)})
	}
}

// republish is Part 4, 5.14.6.
func republish(session *session, r *ua.RepublishRequest) (ua.Response, error) {
	sub := session.subscriptions[r.SubscriptionID]
	if sub == nil {
		return nil, ua.StatusBadSubscriptionIDInvalid
	}
	for _, m := range sub.kept {
		if m.SequenceNumber == r.RetransmitSequenceNumber {
			return &ua.RepublishResponse{ResponseHeader: header(r, ua.StatusOK), NotificationMessage: m}, nil
		}
	}
	return nil, ua.StatusBadMessageNotAvailable
}
