package worker

import (
	"context"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/opcua"
)

// missingAgain is how often a polled group looks for nodes that the server did not have.
const missingAgain = 30 * time.Second

// attribute is what a read or a monitored item names of a node.
func attribute(id *ua.NodeID, of ua.AttributeID) *ua.ReadValueID {
	return &ua.ReadValueID{NodeID: id, AttributeID: of, DataEncoding: &ua.QualifiedName{}} // the library can not encode nil
}

// read asks for the values of items, in parts of what the server takes, and gives one for each. A part that the server refuses as a whole
// gives its StatusCode for each; the error says that the link or the session is lost.
func (c *client) read(ctx context.Context, ids []*ua.NodeID) ([]*ua.DataValue, error) {
	values := make([]*ua.DataValue, len(ids))
	size := func(i int) int { return 24 + len(ids[i].StringID()) }
	err := c.limits.batches(len(ids), &c.limits.read, size, func(from, to int) error {
		nodes := make([]*ua.ReadValueID, to-from)
		for i := range nodes {
			nodes[i] = attribute(ids[from+i], ua.AttributeIDValue)
		}
		got, err := ask[*ua.ReadResponse](ctx, c, &ua.ReadRequest{TimestampsToReturn: ua.TimestampsToReturnBoth, NodesToRead: nodes})
		if err == nil && len(got.Results) != to-from {
			err = ua.StatusBadUnknownResponse
		}
		if code, fault := err.(ua.StatusCode); fault && !linkDead(err) && !sessionGone(err) && (!tooMany(err) || to-from == 1) {
			for i := from; i < to; i++ {
				values[i] = &ua.DataValue{Status: code, Value: new(ua.Variant)}
			}
			return nil
		}
		if unreadable(err) {
			return c.readEach(ctx, ids[from:to], values[from:to])
		}
		if err == nil {
			copy(values[from:to], got.Results)
		}
		return err
	})
	return values, err
}

// readEach finds the node whose value can not be decoded, by halves.
func (c *client) readEach(ctx context.Context, ids []*ua.NodeID, values []*ua.DataValue) error {
	if len(ids) == 1 {
		values[0] = &ua.DataValue{Status: ua.StatusBadDecodingError, Value: new(ua.Variant)}
		return nil
	}
	half := len(ids) / 2
	for _, part := range [...][2]int{{0, half}, {half, len(ids)}} {
		got, err := c.read(ctx, ids[part[0]:part[1]])
		if err != nil {
			return err
		}
		copy(values[part[0]:part[1]], got)
	}
	return nil
}

// poll answers an order of a polled group: one reading for each point, in their order.
func (g *group) poll(ctx context.Context, o opcua.Order, dst []byte) ([]byte, error) {
	b := opcua.Batch{Group: g.number, Points: uint32(len(g.setup.Points)), Call: o.Call}
	c := g.session.current()
	if c == nil {
		b.Cause, b.Error = g.session.trouble()
	} else if readings, err := g.pollAll(ctx, c); err != nil {
		err = explain(err, c.server)
		b.Cause, b.Error = drivers.CauseOf(err), err.Error()
	} else {
		b.Readings = readings
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	b.Events = g.events
	g.events = nil
	return b.Append(dst)
}

func (g *group) pollAll(ctx context.Context, c *client) ([]opcua.BatchReading, error) {
	g.mu.Lock()
	again := time.Now().After(g.due)
	if again {
		g.due = time.Now().Add(missingAgain)
	}
	g.mu.Unlock()
	if again {
		g.resolveAgain(ctx, c, g.all())
	}
	values, err := g.ask(ctx, c)
	if err != nil {
		return nil, err
	}
	_, _ = g.learnTypes(ctx) // for the next time; a lost connection shows then too
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	j := g.session.clock.at(time.Time{}, drivers.Millis(now))
	readings := make([]opcua.BatchReading, 0, len(g.items))
	for i, it := range g.items {
		readings = append(readings, g.polled(it, values[i], &j))
	}
	return readings, nil
}

// polled is the reading of one item of a polled group. A stamp that is as old as before is not the time of the reading: the server says that
// the value still holds.
func (g *group) polled(it *item, dv *ua.DataValue, j *judge) opcua.BatchReading {
	p := it.points[0]
	s := j.of(dv, true)
	r := opcua.BatchReading{Point: p, Time: s.time, Source: s.source}
	if !s.doubted && s.time <= it.last {
		r.Time = j.now
	}
	it.last = max(it.last, r.Time)
	if dv.Status>>30 > 1 {
		r.Time, r.Source = j.now, 0
	}
	r.Value, r.Quality, r.Cause = g.readers[p](dv)
	g.unknown.note(it, r.Cause)
	if s.doubted && dv.Status>>30 <= 1 {
		r.Quality, r.Cause = s.doubt(r.Quality, r.Cause)
	}
	switch refused := dv.Status>>30 > 1 && refusesNode(dv.Status); {
	case refused && it.state != itemRefused:
		it.state, it.status = itemRefused, dv.Status
		g.tellNode(drivers.EventNodeRefused, it, statusCause(dv.Status), statusText(dv.Status))
	case !refused && it.state == itemRefused:
		it.state = itemPolled
		g.tellNode(drivers.EventNodeBack, it, "", "")
	case !refused:
		it.state = itemPolled
	}
	return r
}

// refusesNode says that a StatusCode is of the node or of who asks, not of the value.
func refusesNode(code ua.StatusCode) bool {
	switch code {
	case ua.StatusBadNodeIDUnknown, ua.StatusBadNodeIDInvalid, ua.StatusBadAttributeIDInvalid, ua.StatusBadNotReadable, ua.StatusBadUserAccessDenied,
		ua.StatusBadSecurityModeInsufficient:
		return true
	}
	return false
}

// pollDue asks for the items of a subscribed group that the server does not monitor, and takes what has changed.
func (g *group) pollDue(ctx context.Context, c *client) error {
	now := time.Now()
	g.mu.Lock()
	var due []*item
	var ids []*ua.NodeID
	for _, it := range g.items {
		if it.state == itemPolled && !now.Before(it.retry) {
			it.retry = now.Add(time.Duration(it.want.sampling) * time.Millisecond)
			due, ids = append(due, it), append(ids, it.id)
		}
	}
	g.mu.Unlock()
	if len(due) == 0 {
		return nil
	}
	values, err := c.read(ctx, ids)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	j := g.session.clock.at(time.Time{}, drivers.Millis(time.Now()))
	for i, it := range due {
		dv := values[i]
		if dv == nil || it.state != itemPolled || it.seen != nil && same(it.seen, dv) {
			continue
		}
		it.seen = dv
		g.value(it, dv, &j)
	}
	return nil
}

// same says that a server would not notify of b after a: neither status nor value differ, nor the time of the source.
func same(a, b *ua.DataValue) bool {
	return a.Status == b.Status && a.SourceTimestamp.Equal(b.SourceTimestamp) && equalValues(a.Value.Value(), b.Value.Value())
}
