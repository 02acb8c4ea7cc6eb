package worker

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/millgate/millgate/drivers"
)

const (
	firstLearn = 2 * time.Second // after a value whose type is not known
	lastLearn  = 5 * time.Minute
)

// via sends through the connection that is in use: what is known of types outlives one.
type via struct {
	c      atomic.Pointer[client]
	limits *limits
}

func (v *via) bounds() *limits { return v.limits }

func (v *via) send(ctx context.Context, req ua.Request) (ua.Response, error) {
	c := v.c.Load()
	if c == nil {
		return nil, ua.StatusBadServerNotConnected
	}
	return c.send(ctx, req)
}

// unknowns are the items of a group whose last value is of a type that is not known.
type unknowns struct {
	items map[*item]bool
	next  time.Time
	pause time.Duration
}

func (u *unknowns) note(it *item, cause drivers.Cause) {
	if cause != causeUnknownStruct {
		return
	}
	if u.items == nil {
		u.items = make(map[*item]bool)
	}
	if len(u.items) == 0 {
		u.pause = min(max(2*u.pause, firstLearn), lastLearn)
		u.next = time.Now().Add(u.pause)
	}
	u.items[it] = true
}

// learnDue asks the server for the types that were met and not known, and for the values once more that had them.
func (g *group) learnDue(ctx context.Context, c *client) error {
	items, err := g.learnTypes(ctx)
	if err != nil || len(items) == 0 {
		return err
	}
	ids := make([]*ua.NodeID, len(items))
	for i, it := range items {
		ids[i] = it.id
	}
	values, err := c.read(ctx, ids)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	j := g.session.clock.at(time.Time{}, drivers.Millis(time.Now()))
	for i, it := range items {
		if dv := values[i]; dv != nil && it.state != itemRefused {
			g.learnt(it, dv, &j)
		}
	}
	return nil
}

// learnTypes asks for the types that were met and not known, if that is due, and gives the items that had values of them.
func (g *group) learnTypes(ctx context.Context) ([]*item, error) {
	g.mu.Lock()
	var items []*item
	if len(g.unknown.items) > 0 && !time.Now().Before(g.unknown.next) {
		for it := range g.unknown.items {
			items = append(items, it)
		}
		g.unknown.items = nil
	}
	g.mu.Unlock()
	if len(items) == 0 {
		return nil, nil
	}
	err := g.session.types.Load().prepare(ctx, nil)
	if err != nil {
		g.mu.Lock()
		defer g.mu.Unlock()
		for _, it := range items {
			g.unknown.note(it, causeUnknownStruct)
		}
	}
	return items, err
}

// learnt adds the readings of a value that can be read by now.
func (g *group) learnt(it *item, dv *ua.DataValue, j *judge) {
	for _, p := range it.points {
		if _, _, cause := g.readers[p](dv); cause == causeUnknownStruct {
			g.unknown.note(it, cause)
			return
		}
	}
	g.unknown.pause = 0
	it.fresh = true // its stamp may be as old as that of the value before
	g.value(it, dv, j)
}
