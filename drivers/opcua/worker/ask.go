package worker

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/millgate/millgate/drivers"
)

// sender sends one request to the server and waits for its answer. A service fault is an error that is a ua.StatusCode.
type sender interface {
	send(ctx context.Context, req ua.Request) (ua.Response, error)
	bounds() *limits
}

// Nodes of namespace 0 (Part 6, A.3).
const (
	idNodeID        = 17
	idStructure     = 22
	idEnumeration   = 29
	idReferences    = 31
	idHierarchical  = 33
	idHasEncoding   = 38
	idHasTypeDef    = 40
	idHasSubtype    = 45
	idHasProperty   = 46
	idHasComponent  = 47
	idObjectsFolder = 85
	idServer        = 2253
)

const (
	maxReferences    = 1000    // of one node in one answer
	maxAllReferences = 200_000 // of one node
	everyField       = 63      // of a reference
	everyClass       = 0
)

const releaseTime = 2 * time.Second

// read sends the reads in batches and gives as many values.
func read(ctx context.Context, s sender, ids []*ua.ReadValueID) ([]*ua.DataValue, error) {
	values := make([]*ua.DataValue, 0, len(ids))
	l := s.bounds()
	err := l.batches(len(ids), &l.read, nodeSize, func(from, to int) error {
		res, err := s.send(ctx, &ua.ReadRequest{NodesToRead: ids[from:to], TimestampsToReturn: ua.TimestampsToReturnNeither})
		if err != nil {
			return err
		}
		r, ok := res.(*ua.ReadResponse)
		if !ok || len(r.Results) != to-from {
			return wrongAnswer("Read", res)
		}
		values = append(values, r.Results...)
		return nil
	})
	return values, err
}

func wrongAnswer(service string, res ua.Response) error {
	return &drivers.Error{Cause: drivers.CauseGarbled, Err: fmt.Errorf("the server's answer to %s does not fit the request (%T)", service, res)}
}

// readAttributes gives one attribute of each node: its value, or nil where the server refuses it.
func readAttributes(ctx context.Context, s sender, nodes []*ua.NodeID, of ua.AttributeID) ([]any, error) {
	ids := make([]*ua.ReadValueID, len(nodes))
	for i, n := range nodes {
		ids[i] = attribute(n, of)
	}
	values, err := read(ctx, s, ids)
	if err != nil {
		return nil, err
	}
	out := make([]any, len(nodes))
	for i, dv := range values {
		out[i] = goodValue(dv)
	}
	return out, nil
}

// goodValue is what a DataValue holds, nil if it is bad.
func goodValue(dv *ua.DataValue) any {
	if dv == nil || dv.Value == nil || dv.Status>>30 > 1 {
		return nil
	}
	return dv.Value.Value()
}

// each asks for the references of one kind of each node.
func each(nodes []*ua.NodeID, direction ua.BrowseDirection, reference uint32) []*ua.BrowseDescription {
	out := make([]*ua.BrowseDescription, len(nodes))
	for i, n := range nodes {
		out[i] = &ua.BrowseDescription{NodeID: n, BrowseDirection: direction, ReferenceTypeID: ua.NewNumericNodeID(0, reference),
			IncludeSubtypes: true, NodeClassMask: everyClass, ResultMask: everyField}
	}
	return out
}

// browseAll gives the references for each description. A node that the server refuses has none. One request is under way at a time, and no
// continuation point is left behind: servers have few of them.
func browseAll(ctx context.Context, s sender, what []*ua.BrowseDescription) ([][]*ua.ReferenceDescription, error) {
	out := make([][]*ua.ReferenceDescription, 0, len(what))
	l := s.bounds()
	err := l.batches(len(what), &l.browse, nodeSize, func(from, to int) error {
		res, err := s.send(ctx, &ua.BrowseRequest{View: &ua.ViewDescription{ViewID: ua.NewTwoByteNodeID(0)}, NodesToBrowse: what[from:to],
			RequestedMaxReferencesPerNode: maxReferences})
		if err != nil {
			return err
		}
		r, ok := res.(*ua.BrowseResponse)
		if !ok || len(r.Results) != to-from {
			return wrongAnswer("Browse", res)
		}
		again := []int(nil)
		for i, result := range r.Results {
			if result.StatusCode == ua.StatusBadNoContinuationPoints {
				again = append(again, from+i)
			}
		}
		rest, err := finish(ctx, s, r.Results)
		if err != nil {
			return err
		}
		out = append(out, rest...)
		return browseSingly(ctx, s, what, again, out)
	})
	return out, err
}

// browseSingly asks again, one by one, for what a server had no continuation point left.
func browseSingly(ctx context.Context, s sender, what []*ua.BrowseDescription, again []int, out [][]*ua.ReferenceDescription) error {
	for _, i := range again {
		res, err := s.send(ctx, &ua.BrowseRequest{View: &ua.ViewDescription{ViewID: ua.NewTwoByteNodeID(0)}, NodesToBrowse: what[i : i+1],
			RequestedMaxReferencesPerNode: maxReferences})
		if err != nil {
			return err
		}
		r, ok := res.(*ua.BrowseResponse)
		if !ok || len(r.Results) != 1 {
			return wrongAnswer("Browse", res)
		}
		one, err := finish(ctx, s, r.Results)
		if err != nil {
			return err
		}
		out[i] = one[0]
	}
	return nil
}

// finish fetches what did not fit into the answer, node by node.
func finish(ctx context.Context, s sender, results []*ua.BrowseResult) (out [][]*ua.ReferenceDescription, err error) {
	out = make([][]*ua.ReferenceDescription, len(results))
	points := make([][]byte, len(results))
	for i, r := range results {
		out[i], points[i] = r.References, r.ContinuationPoint
	}
	defer func() { release(ctx, s, points) }()
	for i := range points {
		for len(points[i]) > 0 && len(out[i]) < maxAllReferences {
			res, err := s.send(ctx, &ua.BrowseNextRequest{ContinuationPoints: points[i : i+1]})
			if err != nil {
				return nil, err
			}
			next, ok := res.(*ua.BrowseNextResponse)
			if !ok || len(next.Results) != 1 {
				return nil, wrongAnswer("BrowseNext", res)
			}
			out[i] = append(out[i], next.Results[0].References...)
			points[i] = next.Results[0].ContinuationPoint
		}
	}
	return out, nil
}

// release tells the server to forget the continuation points that are left, even when ctx is done. If that fails, they end with the session.
func release(ctx context.Context, s sender, points [][]byte) {
	points = slices.DeleteFunc(points, func(p []byte) bool { return len(p) == 0 })
	if len(points) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTime)
	defer cancel()
	_, _ = s.send(ctx, &ua.BrowseNextRequest{ReleaseContinuationPoints: true, ContinuationPoints: points})
}
