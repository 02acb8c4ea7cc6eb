package worker

import (
	"context"
	"errors"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/opcua"
)

const (
	historyPace   = 100 * time.Millisecond // between requests, so that live values go on
	historyValues = 1000                   // of one node in one answer
	historyPages  = 200                    // of one request: a bound for a server that never ends
	mayHistory    = 0x04                   // HistoryRead of AccessLevelType (Part 3, 8.57)
)

// fillGaps fills what was missed from the server's history, gap after gap, and counts what is left.
func (s *session) fillGaps(ctx context.Context, c *client) error {
	for ctx.Err() == nil {
		worked := false
		for _, g := range s.groups {
			g.mu.Lock()
			var f *fill
			if len(g.fills) > 0 {
				f = g.fills[0]
			}
			g.mu.Unlock()
			if f == nil {
				continue
			}
			worked = true
			if err := g.fill(ctx, c, f); err != nil {
				if ctx.Err() != nil || linkDead(err) || sessionGone(err) {
					return nil // the rest is tried again with the next connection
				}
				s.log.warn("the history is not read", "device", g.setup.Device, "error", err.Error())
				g.abandon(f)
			}
		}
		if !worked {
			rest(ctx, 2*careEvery)
		}
	}
	return nil
}

// fill reads the history of the spans that are left of f. One that is done is not read again.
func (g *group) fill(ctx context.Context, c *client, f *fill) error {
	for len(f.spans) > 0 {
		part := f.spans[:min(len(f.spans), c.limits.get(&c.limits.history))]
		able, err := g.historic(ctx, c, part)
		if err != nil {
			return err
		}
		counts := make([]uint64, len(part))
		if len(able) > 0 {
			err = g.history(ctx, c, part, able, counts)
			if tooMany(err) && c.limits.shrink(&c.limits.history, len(part)) {
				continue
			}
		}
		if err != nil && (!fault(err) || sessionGone(err)) && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		for i := range part {
			f.account(&part[i], counts[i])
		}
		f.spans = f.spans[len(part):]
		rest(ctx, historyPace)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fills = g.fills[1:]
	g.settle(f)
	return nil
}

// abandon counts what is left of f as missed.
func (g *group) abandon(f *fill) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range f.spans {
		f.account(&f.spans[i], 0)
	}
	g.fills = g.fills[1:]
	g.settle(f)
}

// historic gives the indexes of the spans whose items have a history that we may read and in which something was missed.
func (g *group) historic(ctx context.Context, c *client, part []span) ([]int, error) {
	var which []int
	var nodes []*ua.ReadValueID
	for i := range part {
		if it := part[i].item; it.id != nil && part[i].to > part[i].from+1 {
			which = append(which, i)
			nodes = append(nodes, attribute(it.id, ua.AttributeIDUserAccessLevel))
		}
	}
	if len(nodes) == 0 {
		return nil, nil
	}
	var able []int
	err := c.limits.batches(len(nodes), &c.limits.read, nodeSize, func(from, to int) error {
		got, err := ask[*ua.ReadResponse](ctx, c, &ua.ReadRequest{TimestampsToReturn: ua.TimestampsToReturnNeither, NodesToRead: nodes[from:to]})
		if err != nil {
			return err
		}
		for i, dv := range got.Results {
			if level, ok := dv.Value.Value().(byte); ok && level&mayHistory != 0 && from+i < len(which) {
				able = append(able, which[from+i])
			}
		}
		return nil
	})
	return able, err
}

// history reads the spans with the given indexes, page after page, and counts the values of each.
func (g *group) history(ctx context.Context, c *client, part []span, able []int, counts []uint64) error {
	k := g.session.clock
	begin, end := part[able[0]].from, part[able[0]].to
	nodes := make([]*ua.HistoryReadValueID, len(able))
	for n, i := range able {
		begin, end = min(begin, part[i].from), max(end, part[i].to)
		nodes[n] = &ua.HistoryReadValueID{NodeID: part[i].item.id, DataEncoding: &ua.QualifiedName{}}
	}
	details := ua.NewExtensionObject(&ua.ReadRawModifiedDetails{StartTime: k.toServer(begin), EndTime: k.toServer(end + 1), NumValuesPerNode: historyValues})
	for range historyPages {
		got, err := ask[*ua.HistoryReadResponse](ctx, c, &ua.HistoryReadRequest{HistoryReadDetails: details, TimestampsToReturn: ua.TimestampsToReturnBoth, NodesToRead: nodes})
		if err == nil && len(got.Results) != len(nodes) {
			err = ua.StatusBadUnknownResponse
		}
		if err != nil {
			return err
		}
		var more []*ua.HistoryReadValueID
		var still []int
		for n, r := range got.Results {
			i := able[n]
			if r.StatusCode>>30 < 2 {
				counts[i] += g.past(&part[i], r.HistoryData)
			}
			if len(r.ContinuationPoint) > 0 {
				nodes[n].ContinuationPoint = r.ContinuationPoint
				more, still = append(more, nodes[n]), append(still, i)
			}
		}
		if len(more) == 0 {
			return nil
		}
		nodes, able = more, still
		rest(ctx, historyPace)
	}
	_, err := c.send(ctx, &ua.HistoryReadRequest{HistoryReadDetails: details, ReleaseContinuationPoints: true, NodesToRead: nodes})
	return err
}

// past takes the values of an item that lie within a span, with their own times, and counts them.
func (g *group) past(s *span, data *ua.ExtensionObject) (n uint64) {
	if data == nil {
		return 0
	}
	h, ok := data.Value.(*ua.HistoryData)
	if !ok {
		return 0
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	j := g.session.clock.at(time.Time{}, drivers.Millis(time.Now()))
	last := s.from
	for _, dv := range h.DataValues {
		if dv == nil {
			continue
		}
		stamp := j.of(dv, false)
		if stamp.ours <= last || stamp.ours >= s.to || dv.Status&0x0c1f == 0x0411 { // before, after, or an interpolated bound (Part 11, 4.3)
			continue
		}
		last = stamp.ours
		n++
		for _, p := range s.item.points {
			r := opcua.BatchReading{Point: p, Time: stamp.time, Source: stamp.source}
			r.Value, r.Quality, r.Cause = g.readers[p](dv)
			if stamp.doubted {
				r.Quality, r.Cause = stamp.doubt(r.Quality, r.Cause)
			}
			g.push(r)
		}
	}
	if n > 0 {
		s.from = last
	}
	return n
}
