package opcuasim

import (
	"context"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/gopcua/opcua"
	"github.com/gopcua/opcua/ua"

	"github.com/millgate/millgate/drivers"
)

// send is a request with its answer.
func send[T ua.Response](t *testing.T, c *opcua.Client, r ua.Request) (answer T, err error) {
	t.Helper()
	err = c.Send(background(t), r, func(got ua.Response) error {
		var ok bool
		if answer, ok = got.(T); !ok {
			return fmt.Errorf("got %T", got)
		}
		return nil
	})
	return answer, err
}

func subscribe(t *testing.T, c *opcua.Client, keepAlive uint32) uint32 {
	t.Helper()
	r, err := send[*ua.CreateSubscriptionResponse](t, c, &ua.CreateSubscriptionRequest{
		RequestedPublishingInterval: 20, RequestedMaxKeepAliveCount: keepAlive, RequestedLifetimeCount: 1000, PublishingEnabled: true,
	})
	must(t, err)
	return r.SubscriptionID
}

// monitor is what the server says to a monitored item.
func monitor(t *testing.T, c *opcua.Client, sub uint32, n *ua.NodeID, p *ua.MonitoringParameters) *ua.MonitoredItemCreateResult {
	t.Helper()
	r, err := send[*ua.CreateMonitoredItemsResponse](t, c, &ua.CreateMonitoredItemsRequest{
		SubscriptionID: sub, TimestampsToReturn: ua.TimestampsToReturnBoth,
		ItemsToCreate: []*ua.MonitoredItemCreateRequest{{
			ItemToMonitor:  &ua.ReadValueID{NodeID: n, AttributeID: ua.AttributeIDValue, DataEncoding: &ua.QualifiedName{}},
			MonitoringMode: ua.MonitoringModeReporting, RequestedParameters: p,
		}},
	})
	must(t, err)
	return r.Results[0]
}

func publish(t *testing.T, c *opcua.Client, acknowledged ...*ua.SubscriptionAcknowledgement) *ua.PublishResponse {
	t.Helper()
	r, err := send[*ua.PublishResponse](t, c, &ua.PublishRequest{SubscriptionAcknowledgements: acknowledged})
	must(t, err)
	return r
}

// told is the values of a message, an overflow marked.
func told(m *ua.NotificationMessage) (values []string) {
	for _, data := range m.NotificationData {
		for _, item := range data.Value.(*ua.DataChangeNotification).MonitoredItems {
			text := fmt.Sprint(item.ClientHandle, ":", item.Value.Value.Value())
			if item.Value.Status == overflowBits {
				text += " overflow"
			} else if item.Value.Status != ua.StatusOK {
				text += fmt.Sprintf(" %x", uint32(item.Value.Status))
			}
			values = append(values, text)
		}
	}
	return values
}

func wantTold(t *testing.T, m *ua.NotificationMessage, want ...string) {
	t.Helper()
	if got := told(m); !slices.Equal(got, want) {
		t.Errorf("message %d: got %q, want %q", m.SequenceNumber, got, want)
	}
}

const counterNode = "nsu=" + testURI + ";s=counter"

// counting is a server with a counter, a client, and the counter's NodeID.
func counting(t *testing.T) (*Server, *opcua.Client, *ua.NodeID) {
	t.Helper()
	s := listen(t, Config{})
	must(t, s.Add(Variable{Node: counterNode, Values: []drivers.Value{drivers.IntValue(0)}}))
	c := client(t, s)
	return s, c, resolve(t, c, "counter")
}

func count(t *testing.T, s *Server, from, to int64) {
	t.Helper()
	for i := from; i <= to; i++ {
		must(t, s.Set(counterNode, drivers.IntValue(i)))
	}
}

func TestQueue(t *testing.T) {
	s, c, n := counting(t)
	for _, test := range []struct {
		name   string
		p      ua.MonitoringParameters
		events func()
		want   []string
	}{
		{"all fit", ua.MonitoringParameters{QueueSize: 5, DiscardOldest: true}, func() { count(t, s, 1, 4) }, []string{"1:1", "1:2", "1:3", "1:4"}},
		{"oldest dropped", ua.MonitoringParameters{QueueSize: 3, DiscardOldest: true}, func() { count(t, s, 1, 5) }, []string{"1:3 overflow", "1:4", "1:5"}},
		{"newest dropped", ua.MonitoringParameters{QueueSize: 3}, func() { count(t, s, 1, 5) }, []string{"1:1", "1:2", "1:5 overflow"}},
		{"a queue of one", ua.MonitoringParameters{DiscardOldest: true}, func() { count(t, s, 1, 5) }, []string{"1:5"}},
		{"no change", ua.MonitoringParameters{QueueSize: 9}, func() { count(t, s, 0, 0); count(t, s, 2, 2); count(t, s, 2, 2) }, []string{"1:2"}},
		{"a status", ua.MonitoringParameters{QueueSize: 9}, func() {
			must(t, s.SetStatus(counterNode, uint32(ua.StatusBadDeviceFailure)))
			must(t, s.SetStatus(counterNode, 0))
		}, []string{"1:<nil> 808b0000", "1:0"}},
		{"a deadband", ua.MonitoringParameters{QueueSize: 9, Filter: ua.NewExtensionObject(&ua.DataChangeFilter{
			Trigger: ua.DataChangeTriggerStatusValue, DeadbandType: uint32(ua.DeadbandTypeAbsolute), DeadbandValue: 2,
		})}, func() { count(t, s, 1, 7) }, []string{"1:3", "1:6"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			count(t, s, 0, 0)
			sub := subscribe(t, c, 1000)
			test.p.ClientHandle = 1
			if r := monitor(t, c, sub, n, &test.p); r.StatusCode != ua.StatusOK || r.RevisedQueueSize != max(1, test.p.QueueSize) {
				t.Fatalf("got %v, queue %d", r.StatusCode, r.RevisedQueueSize)
			}
			wantTold(t, publish(t, c).NotificationMessage, "1:0")
			test.events() // nothing is published meanwhile, as no request waits
			wantTold(t, publish(t, c).NotificationMessage, test.want...)
			_, err := send[*ua.DeleteSubscriptionsResponse](t, c, &ua.DeleteSubscriptionsRequest{SubscriptionIDs: []uint32{sub}})
			must(t, err)
		})
	}
	if got := s.Stats(); got.Subscriptions != 0 || got.Items != 0 || got.Sessions != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestItemsRefused(t *testing.T) {
	_, c, n := counting(t)
	sub := subscribe(t, c, 1000)
	plain := &ua.MonitoringParameters{ClientHandle: 1, QueueSize: 1}
	if r := monitor(t, c, sub, ua.NewStringNodeID(n.Namespace(), "?"), plain); r.StatusCode != ua.StatusBadNodeIDUnknown {
		t.Errorf("a node that there is not: %v", r.StatusCode)
	}
	if r := monitor(t, c, sub, ua.NewNumericNodeID(0, 85), plain); r.StatusCode != ua.StatusBadAttributeIDInvalid {
		t.Errorf("an object: %v", r.StatusCode)
	}
	percent := &ua.MonitoringParameters{Filter: ua.NewExtensionObject(&ua.DataChangeFilter{DeadbandType: uint32(ua.DeadbandTypePercent)})}
	if r := monitor(t, c, sub, n, percent); r.StatusCode != ua.StatusBadMonitoredItemFilterUnsupported {
		t.Errorf("a deadband in percent: %v", r.StatusCode)
	}
	r, err := send[*ua.DeleteMonitoredItemsResponse](t, c, &ua.DeleteMonitoredItemsRequest{
		SubscriptionID: sub, MonitoredItemIDs: []uint32{monitor(t, c, sub, n, plain).MonitoredItemID, 12345},
	})
	must(t, err)
	if want := []ua.StatusCode{ua.StatusOK, ua.StatusBadMonitoredItemIDInvalid}; !slices.Equal(r.Results, want) {
		t.Errorf("deleted: %v", r.Results)
	}
	for _, request := range []ua.Request{
		&ua.DeleteMonitoredItemsRequest{SubscriptionID: 12345}, &ua.CreateMonitoredItemsRequest{SubscriptionID: 12345},
		&ua.RepublishRequest{SubscriptionID: 12345}, &ua.CallRequest{}, &ua.WriteRequest{},
	} {
		if err := c.Send(background(t), request, func(ua.Response) error { return nil }); err == nil {
			t.Errorf("%T is taken", request)
		}
	}
	if err := c.Send(background(t), &ua.ReadRequest{NodesToRead: slices.Repeat([]*ua.ReadValueID{{NodeID: n, DataEncoding: &ua.QualifiedName{}}}, 1001)},
		func(ua.Response) error { return nil }); err != ua.StatusBadTooManyOperations {
		t.Errorf("1001 nodes: %v", err)
	}
}

// TestKeepAlive: without values a message with the next number, which does not use it up.
func TestKeepAlive(t *testing.T) {
	s, c, n := counting(t)
	sub := subscribe(t, c, 2)
	for range 2 {
		if m := publish(t, c).NotificationMessage; m.SequenceNumber != 1 || len(m.NotificationData) != 0 {
			t.Errorf("got message %d with %q", m.SequenceNumber, told(m))
		}
	}
	monitor(t, c, sub, n, &ua.MonitoringParameters{ClientHandle: 1, QueueSize: 10})
	if m := publish(t, c).NotificationMessage; m.SequenceNumber != 1 {
		t.Errorf("got message %d", m.SequenceNumber)
	}
	count(t, s, 1, 1)
	if m := publish(t, c).NotificationMessage; m.SequenceNumber != 2 {
		t.Errorf("got message %d", m.SequenceNumber)
	}
}

// TestCut: a session is taken up again on another connection, and what was not acknowledged comes again; nothing is lost.
func TestCut(t *testing.T) {
	s, c, n := counting(t)
	sub := subscribe(t, c, 1000)
	monitor(t, c, sub, n, &ua.MonitoringParameters{ClientHandle: 1, QueueSize: 100, DiscardOldest: true})
	wantTold(t, publish(t, c).NotificationMessage, "1:0")
	count(t, s, 1, 2)
	wantTold(t, publish(t, c, &ua.SubscriptionAcknowledgement{SubscriptionID: sub, SequenceNumber: 1}).NotificationMessage, "1:1", "1:2")

	session, err := c.DetachSession(background(t))
	must(t, err)
	s.Disconnect()
	_ = c.Close(context.Background()) // there is nobody any more
	count(t, s, 3, 5)
	c2, err := opcua.NewClient(s.Endpoint(), opcua.AutoReconnect(false))
	must(t, err)
	must(t, c2.Dial(background(t)))
	defer func() { _ = c2.Close(context.Background()) }()
	must(t, c2.ActivateSession(background(t), session))

	for sequence, want := range map[uint32]error{1: ua.StatusBadMessageNotAvailable, 2: nil, 3: ua.StatusBadMessageNotAvailable} {
		r, err := send[*ua.RepublishResponse](t, c2, &ua.RepublishRequest{SubscriptionID: sub, RetransmitSequenceNumber: sequence})
		if err != want {
			t.Errorf("message %d: got %v, want %v", sequence, err, want)
		} else if want == nil {
			wantTold(t, r.NotificationMessage, "1:1", "1:2")
		}
	}
	r := publish(t, c2, &ua.SubscriptionAcknowledgement{SubscriptionID: sub, SequenceNumber: 2}, &ua.SubscriptionAcknowledgement{SubscriptionID: sub, SequenceNumber: 9})
	wantTold(t, r.NotificationMessage, "1:3", "1:4", "1:5")
	if r.NotificationMessage.SequenceNumber != 3 || !slices.Equal(r.AvailableSequenceNumbers, []uint32{3}) ||
		!slices.Equal(r.Results, []ua.StatusCode{ua.StatusOK, ua.StatusBadSequenceNumberUnknown}) {
		t.Errorf("got message %d, available %v, results %v", r.NotificationMessage.SequenceNumber, r.AvailableSequenceNumbers, r.Results)
	}
	if got := s.Stats(); got.SessionsMade != 1 || got.Connections != 2 || got.Subscriptions != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestSessionsEnd(t *testing.T) {
	s, c, _ := counting(t)
	subscribe(t, c, 1000)
	publish(t, c)
	waiting := make(chan error)
	go func() {
		waiting <- c.Send(context.Background(), &ua.PublishRequest{}, func(ua.Response) error { return nil })
	}()
	for s.waiting() == 0 {
		time.Sleep(time.Millisecond)
	}
	s.EndSessions()
	if err := <-waiting; err != ua.StatusBadSessionClosed {
		t.Errorf("a waiting request: %v", err)
	}
	if err := c.Send(background(t), &ua.ReadRequest{}, func(ua.Response) error { return nil }); err != ua.StatusBadSessionIDInvalid {
		t.Errorf("afterwards: %v", err)
	}
	if got := s.Stats(); got.Sessions != 0 || got.Subscriptions != 0 {
		t.Errorf("got %+v", got)
	}
	short, err := connect(t, s, opcua.SessionTimeout(time.Second))
	must(t, err)
	subscribe(t, short, 1000)
	s.Disconnect()
	for deadline := time.Now().Add(10 * time.Second); s.Stats().Sessions > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the session does not time out")
		}
	}
}

// waiting is how many requests to publish wait.
func (s *Server) waiting() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, session := range s.sessions {
		n += len(session.waiting)
	}
	return n
}

// TestStrangers: what is no OPC UA client, and one that says nothing, neither hold up the others nor Close.
func TestStrangers(t *testing.T) {
	s := listen(t, Config{})
	for _, said := range []string{"", "GET / HTTP/1.1\r\n\r\n", "HELF\x08\x00\x00\x00", "HELF\xff\xff\xff\xff", "MSGF\x20\x00\x00\x00" + "abcdefghijklmnopqrstuvwx"} {
		conn, err := net.Dial("tcp", s.Addr())
		must(t, err)
		defer conn.Close()
		_, err = conn.Write([]byte(said))
		must(t, err)
	}
	client(t, s)
}

func TestMoreNotifications(t *testing.T) {
	s := listen(t, Config{})
	c := client(t, s)
	r, err := send[*ua.CreateSubscriptionResponse](t, c, &ua.CreateSubscriptionRequest{RequestedPublishingInterval: 20, MaxNotificationsPerPublish: 2, PublishingEnabled: true})
	must(t, err)
	for i := range 5 {
		must(t, s.Add(Variable{Node: fmt.Sprintf("nsu=%s;s=n%d", testURI, i), Values: []drivers.Value{drivers.IntValue(int64(i))}}))
		monitor(t, c, r.SubscriptionID, resolve(t, c, fmt.Sprintf("n%d", i)), &ua.MonitoringParameters{ClientHandle: uint32(i), QueueSize: 1})
	}
	var got []string
	more := true
	for range 3 {
		if !more {
			t.Error("the end is told too early")
		}
		p := publish(t, c)
		got, more = append(got, told(p.NotificationMessage)...), p.MoreNotifications
	}
	if more || !slices.Equal(got, []string{"0:0", "1:1", "2:2", "3:3", "4:4"}) {
		t.Errorf("got %q, more %v", got, more)
	}
}

func TestSampling(t *testing.T) {
	s, _, _ := counting(t)
	n, err := s.space.find(counterNode)
	must(t, err)
	i := &item{node: n, size: 10, discardOldest: true, sampling: time.Second, trigger: ua.DataChangeTriggerStatusValue}
	start := time.Now()
	i.take(start)
	for step, what := range []int64{1, 2, 3, 3, 4, 3} { // every 400 ms; the sampling is due at the fourth and at the sixth
		count(t, s, what, what)
		i.notice(start.Add(time.Duration(step) * 400 * time.Millisecond))
	}
	i.sample(start.Add(5 * time.Second))
	count(t, s, 7, 7)
	i.notice(start.Add(5500 * time.Millisecond))
	i.sample(start.Add(5999 * time.Millisecond))
	i.sample(start.Add(6000 * time.Millisecond))
	var got []string
	for len(i.queue) > 0 {
		got = append(got, fmt.Sprint(i.next().Value.Value()))
	}
	if want := []string{"0", "3", "7"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
