package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/millgate/millgate/drivers"
)

const (
	alive       = 5 * time.Second        // the longest time in which a server says nothing of a subscription that is well
	minPublish  = 50 * time.Millisecond  // the shortest publishing interval that is asked for
	perPublish  = 5000                   // notifications in one answer
	repairAfter = 300 * time.Millisecond // how long a missing notification may only be late
	gapOpen     = 2 * time.Second        // in which items show their first value after a missing notification
)

// subscription is a group's subscription at the server.
type subscription struct {
	id        uint32 // 0: there is none
	made      bool   // all items were asked for
	live      bool   // the initial values are in
	lost      bool   // the server no longer has it
	order     order
	interval  time.Duration // of publishing, as granted
	keepAlive time.Duration // as granted
	heard     time.Time     // last publish response
	late      time.Time     // since when a notification is missing; zero: none is
	overflows uint64        // since the last event of it
	told      time.Time     // of the last event of overflows
	unable    bool          // the server has no subscriptions: the group is polled
	retry     time.Time     // after a failure to make it
	pause     time.Duration
	err       error
}

// trouble is why nothing comes by the subscription.
func (s *subscription) trouble(of *session) (drivers.Cause, string) {
	switch {
	case s.live:
		return "", ""
	case s.err != nil:
		err := explain(s.err, of.server)
		return drivers.CauseOf(err), err.Error()
	}
	return drivers.CauseBackOff, fmt.Sprintf("the first values of %s are not in yet", of.server.Endpoint)
}

// subscribe makes a group's subscription and its items, in place of any that there was.
func (g *group) subscribe(ctx context.Context, c *client) error {
	publishing := min(max(time.Duration(g.setup.Interval)*time.Millisecond, c.server.Publishing, minPublish), alive)
	keep := uint32(max(alive/publishing, 1))
	life := max(3*keep, uint32(bridged/publishing.Milliseconds()))
	g.mu.Lock()
	old := g.sub.id
	g.mu.Unlock()
	if old != 0 {
		_, _ = c.send(ctx, &ua.DeleteSubscriptionsRequest{SubscriptionIDs: []uint32{old}})
	}
	got, err := ask[*ua.CreateSubscriptionResponse](ctx, c, &ua.CreateSubscriptionRequest{
		RequestedPublishingInterval: float64(publishing.Milliseconds()), RequestedLifetimeCount: life, RequestedMaxKeepAliveCount: keep,
		MaxNotificationsPerPublish: perPublish, PublishingEnabled: true,
	})
	g.mu.Lock()
	if err != nil {
		err = g.unsubscribed(err)
		unable := g.sub.unable
		g.mu.Unlock()
		if err != nil || !unable {
			return err
		}
		return g.pollFirst(ctx, c)
	}
	g.reset()
	g.sub.id, g.sub.heard = got.SubscriptionID, time.Now()
	g.sub.interval = time.Duration(got.RevisedPublishingInterval * float64(time.Millisecond))
	g.sub.keepAlive = max(g.sub.interval*time.Duration(got.RevisedMaxKeepAliveCount), alive)
	g.mu.Unlock()
	if err := g.monitor(ctx, c, g.all()); err != nil {
		return err
	}
	return g.pollFirst(ctx, c)
}

// pollFirst asks for the first values of the items that are polled, and notes that all items were asked for.
func (g *group) pollFirst(ctx context.Context, c *client) error {
	err := g.pollDue(ctx, c)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sub.made = err == nil
	g.sub.live = g.sub.live || g.sub.unable && err == nil
	return err
}

// unsubscribed judges why a subscription can not be made.
func (g *group) unsubscribed(err error) error {
	var code ua.StatusCode
	if !errors.As(err, &code) || sessionGone(err) {
		return err
	}
	switch code {
	case ua.StatusBadServiceUnsupported, ua.StatusBadNotImplemented, ua.StatusBadNotSupported, ua.StatusBadTooManySubscriptions:
		g.reset()
		g.sub.unable = true
		now := time.Now()
		for _, it := range g.items {
			if it.id != nil {
				it.state, it.retry = itemPolled, now
				g.due = time.Time{}
			}
		}
		g.session.log.warn("the server makes no subscription: the group is polled", "device", g.setup.Device, "status", code.Error())
		g.endGapAt(now.Add(gapOpen))
		return nil
	}
	g.sub.err = err
	g.sub.pause = min(max(2*g.sub.pause, time.Second), 30*time.Second)
	g.sub.retry = time.Now().Add(g.sub.pause)
	return nil
}

// reset forgets the subscription. What was received of it stays.
func (g *group) reset() {
	g.sub = subscription{order: newOrder()}
	g.out.forget()
	for _, it := range g.items {
		it.monitored, it.state, it.fresh, it.seen, it.pause = 0, itemNew, true, nil, 0
	}
}

// endGapAt lets the gap end at a time, whatever items have shown a value by then.
func (g *group) endGapAt(t time.Time) {
	if g.gap != nil {
		g.gap.until = t
	}
}

// receive takes a notification message of the subscription with the given id.
func (g *group) receive(id uint32, m *ua.NotificationMessage, more bool) {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.sub.id != id {
		return
	}
	g.sub.heard = now
	if m == nil {
		return
	}
	if len(m.NotificationData) > 0 {
		g.accept(g.sub.order.add(m, nil), now)
	} else if n := steps(g.sub.order.next, m.SequenceNumber); n > 0 && n < maxWaiting && g.sub.late.IsZero() { // it names the next one
		g.sub.late = now
	}
	if g.sub.made && !more && len(g.sub.order.waiting) == 0 && !g.sub.live {
		g.sub.live = true
		g.endGapAt(now)
	}
}

// accept takes notifications that are in order.
func (g *group) accept(messages []*ua.NotificationMessage, now time.Time) {
	for _, m := range messages {
		j := g.session.clock.at(m.PublishTime, drivers.Millis(now))
		for _, data := range m.NotificationData {
			if data == nil {
				continue
			}
			switch v := data.Value.(type) {
			case *ua.DataChangeNotification:
				g.changed(v, &j)
			case *ua.StatusChangeNotification:
				if v.Status>>30 > 1 || v.Status == ua.StatusGoodSubscriptionTransferred {
					g.sub.lost = true
				}
			}
		}
		g.out.end(g.sub.id, m.SequenceNumber)
	}
	switch {
	case len(g.sub.order.waiting) == 0:
		g.sub.late = time.Time{}
	case g.sub.late.IsZero():
		g.sub.late = now
	}
	g.tellOverflows(now)
}

func (g *group) changed(v *ua.DataChangeNotification, j *judge) {
	for _, n := range v.MonitoredItems {
		if n == nil || n.Value == nil || int(n.ClientHandle) >= len(g.items) {
			continue
		}
		it := g.items[n.ClientHandle]
		if it.state != itemMonitored && it.state != itemNew {
			continue
		}
		g.value(it, n.Value, j)
		if nodeGone(n.Value.Status) {
			g.refuse(it, n.Value.Status, time.Now())
		}
	}
}

// nodeGone says that a monitored item's node is no more: its values will not come again by themselves.
func nodeGone(code ua.StatusCode) bool {
	return code == ua.StatusBadNodeIDUnknown || code == ua.StatusBadNodeIDInvalid || code == ua.StatusBadMonitoredItemIDInvalid
}

// tellOverflows makes one event of all overflow bits of a minute.
func (g *group) tellOverflows(now time.Time) {
	if g.sub.overflows == 0 || now.Sub(g.sub.told) < time.Minute {
		return
	}
	n := g.sub.overflows
	g.sub.overflows, g.sub.told = 0, now
	g.event(drivers.Event{Kind: drivers.EventReadingsLost, Severity: drivers.Warning, Cause: drivers.CauseOverflow, Count: n, Text: drivers.EventText{
		EN: fmt.Sprintf("%s: the server's queues were full: at least %d readings are lost; a longer queue or sampling interval helps", g.setup.Device, n),
		ZH: fmt.Sprintf("%s：服务器队列已满，至少丢失 %d 个读数；可加大队列或采样间隔", g.setup.Device, n),
	}})
}

// repair asks the server again for notifications that did not come, and gives up those that it no longer has.
func (g *group) repair(ctx context.Context, c *client) error {
	for {
		g.mu.Lock()
		id, seq, missing := g.sub.id, g.sub.order.next, g.sub.order.missing()
		g.mu.Unlock()
		got, err := republish(ctx, c, id, seq)
		if err != nil {
			return err
		}
		g.mu.Lock()
		now := time.Now()
		switch {
		case g.sub.id != id || g.sub.order.next != seq: // it came after all
		case got != nil:
			g.session.count.republished.Add(1)
			got.SequenceNumber = seq
			g.accept(g.sub.order.add(got, nil), now)
		case missing > maxWaiting:
			g.giveUp(missing, now)
		case missing > 0:
			g.giveUp(1, now)
		}
		done := g.sub.id != id || g.sub.order.next == seq || len(g.sub.order.waiting) == 0 && got == nil
		if done {
			g.sub.late = time.Time{}
		}
		g.mu.Unlock()
		if done {
			return nil
		}
	}
}

// giveUp goes on without the next n notifications.
func (g *group) giveUp(n uint32, now time.Time) {
	g.beginGap(drivers.CauseGap, 0)
	ready, gaps := g.sub.order.skip(n, nil)
	if gaps == 0 {
		g.gap = nil
	} else if g.gap != nil && g.gap.until.IsZero() && g.sub.live {
		g.gap.until = now.Add(gapOpen + g.sub.interval)
	}
	g.session.count.gaps.Add(uint64(gaps))
	g.accept(ready, now)
}

// republish asks for one notification; nil: the server no longer has it, or never had.
func republish(ctx context.Context, c *client, id, seq uint32) (*ua.NotificationMessage, error) {
	got, err := ask[*ua.RepublishResponse](ctx, c, &ua.RepublishRequest{SubscriptionID: id, RetransmitSequenceNumber: seq})
	if err == nil {
		return got.NotificationMessage, nil
	}
	if (fault(err) || unreadable(err)) && !sessionGone(err) && err != ua.StatusBadSubscriptionIDInvalid {
		return nil, nil
	}
	return nil, err
}
