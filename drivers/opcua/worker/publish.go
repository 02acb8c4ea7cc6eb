package worker

import (
	"context"
	"sync"
	"time"

	"github.com/gopcua/opcua/ua"
)

// flights bounds the publish requests that the server holds at the same time.
type flights struct {
	mu        sync.Mutex
	most, now int
}

func newFlights(most int) *flights { return &flights{most: most} }

// board says that one more may be sent.
func (f *flights) board() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.now >= f.most {
		return false
	}
	f.now++
	return true
}

// land ends one; tooMany says that the server holds no more than the others.
func (f *flights) land(tooMany bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now--
	if tooMany {
		f.most = max(f.now, 1)
	}
}

// publish sends publish requests, one at a time; several of it run. What is acknowledged in one that fails is acknowledged again.
func (s *session) publish(ctx context.Context, c *client, f *flights) error {
	for ctx.Err() == nil {
		if !s.subscribed() || !f.board() {
			rest(ctx, 2*careEvery)
			continue
		}
		acks := s.takeAcks()
		got, err := c.wait(ctx, &ua.PublishRequest{SubscriptionAcknowledgements: acks})
		f.land(err == ua.StatusBadTooManyPublishRequests)
		if err == nil {
			if resp, ok := got.(*ua.PublishResponse); ok {
				s.published(resp)
			}
			continue
		}
		if ctx.Err() != nil {
			return nil
		}
		s.giveAcks(acks)
		switch {
		case linkDead(err), sessionGone(err):
			return err
		case err == ua.StatusBadNoSubscription:
			s.noSubscription()
		case err == ua.StatusBadTimeout, err == ua.StatusBadRequestTimeout: // nothing was published for long
			continue
		}
		rest(ctx, 2*careEvery)
	}
	return nil
}

func rest(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// published hands what the server published to its group.
func (s *session) published(resp *ua.PublishResponse) {
	for _, g := range s.groups {
		g.receive(resp.SubscriptionID, resp.NotificationMessage, resp.MoreNotifications)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.silent = 0
}

// subscribed says that there is a subscription of which the server could publish.
func (s *session) subscribed() bool {
	for _, g := range s.groups {
		g.mu.Lock()
		has := g.sub.id != 0 && !g.sub.lost
		g.mu.Unlock()
		if has {
			return true
		}
	}
	return false
}

// noSubscription notes that the session has none.
func (s *session) noSubscription() {
	now := time.Now()
	for _, g := range s.groups {
		g.mu.Lock()
		if g.sub.id != 0 && g.sub.made && now.Sub(g.sub.heard) > time.Second {
			g.sub.lost = true
		}
		g.mu.Unlock()
	}
}

func (s *session) takeAcks() []*ua.SubscriptionAcknowledgement {
	var acks []*ua.SubscriptionAcknowledgement
	for _, g := range s.groups {
		g.mu.Lock()
		acks = g.out.takeAcks(acks, mostAcks)
		g.mu.Unlock()
	}
	return acks
}

func (s *session) giveAcks(acks []*ua.SubscriptionAcknowledgement) {
	for _, g := range s.groups {
		g.mu.Lock()
		for _, a := range acks {
			if a.SubscriptionID == g.sub.id {
				g.out.acks = append(g.out.acks, *a)
			}
		}
		g.mu.Unlock()
	}
}
