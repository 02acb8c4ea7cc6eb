package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/opcua"
)

// probe reads points once, as a polled group of their own would.
func probe(ctx context.Context, s *session, c *client, with json.RawMessage, say func(any)) error {
	var setup opcua.GroupSetup
	if err := json.Unmarshal(with, &setup); err != nil {
		return fmt.Errorf("the question is damaged: %w", err)
	}
	setup.Polled = true
	g := newGroup(s, 0, &setup)
	g.resolveNodes(ctx, c.uris(), newTypes(c), g.all())
	if _, err := s.look(ctx, c); err != nil { // for its clock
		return err
	}
	values, err := g.ask(ctx, c)
	if err != nil {
		return err
	}
	answer := opcua.Probe{Points: make([]opcua.ProbedPoint, len(g.items))}
	if offset, known, _ := s.clock.state(); known {
		answer.Offset = &offset
	}
	j := s.clock.at(time.Time{}, drivers.Millis(time.Now()))
	for i, it := range g.items {
		dv := values[i]
		r := g.polled(it, dv, &j)
		p := opcua.ProbedPoint{Point: i, Status: statusText(dv.Status), Quality: r.Quality, Cause: r.Cause, Time: r.Time,
			Type: r.Value.Type(), Bits: r.Value.Bits(), Text: r.Value.Text()}
		if !dv.SourceTimestamp.Before(sane) {
			p.Stamp = drivers.Millis(dv.SourceTimestamp)
		}
		answer.Points[i] = p
	}
	say(answer)
	return nil
}

// ask reads each item of a group once; one that has no NodeID in this session has its StatusCode.
func (g *group) ask(ctx context.Context, c *client) ([]*ua.DataValue, error) {
	g.mu.Lock()
	values := make([]*ua.DataValue, len(g.items))
	ids, at := make([]*ua.NodeID, 0, len(g.items)), make([]int, 0, len(g.items))
	for i, it := range g.items {
		values[i] = &ua.DataValue{Status: it.status, Value: new(ua.Variant)}
		if it.id != nil {
			ids, at = append(ids, it.id), append(at, i)
		}
	}
	g.mu.Unlock()
	got, err := c.read(ctx, ids)
	for i, dv := range got {
		if dv != nil {
			values[at[i]] = dv
		}
	}
	return values, err
}
