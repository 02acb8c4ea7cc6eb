package worker

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/gopcua/opcua/ua"
)

// space is an address space in memory that answers Read, Browse and BrowseNext as a server does, over the wire format.
type space struct {
	mu       sync.Mutex
	nodes    map[string]*spaceNode
	perCall  int // operations in a request; more is BadTooManyOperations; 0: any number
	perNode  int // references in an answer; 0: as asked
	points   map[string][]*ua.ReferenceDescription
	most     int // continuation points at the same time
	requests int
	allows   limits
}

func (s *space) bounds() *limits { return &s.allows }

type spaceNode struct {
	id         *ua.NodeID
	name       *ua.QualifiedName
	display    string
	class      ua.NodeClass
	attributes map[ua.AttributeID]any
	refs       []spaceRef
}

type spaceRef struct {
	kind    uint32
	forward bool
	to      string
}

func newSpace() *space {
	s := &space{nodes: map[string]*spaceNode{}, points: map[string][]*ua.ReferenceDescription{}}
	s.add("i=84", "0:Root", ua.NodeClassObject, "")
	s.add("i=85", "0:Objects", ua.NodeClassObject, "35 i=84")
	s.add("i=2255", "0:NamespaceArray", ua.NodeClassVariable, "").attributes[ua.AttributeIDValue] = []string{"http://opcfoundation.org/UA/", "urn:test:server"}
	for id, name := range map[int]string{1: "Boolean", 6: "Int32", 7: "UInt32", 10: "Float", 11: "Double", 12: "String", 21: "LocalizedText", 22: "Structure", 29: "Enumeration", 884: "Range", 887: "EUInformation"} {
		s.add(fmt.Sprintf("i=%d", id), "0:"+name, ua.NodeClassDataType, "")
	}
	return s
}

// add makes a node below others: "47 i=85" is HasComponent from i=85.
func (s *space) add(id, name string, class ua.NodeClass, below ...string) *spaceNode {
	ns, name := cutNamespace(name)
	n := &spaceNode{id: ua.MustParseNodeID(id), name: &ua.QualifiedName{NamespaceIndex: ns, Name: name}, display: name, class: class, attributes: map[ua.AttributeID]any{}}
	s.nodes[plainNodeID(n.id)] = n
	for _, b := range below {
		if b == "" {
			continue
		}
		var kind uint32
		var parent string
		if _, err := fmt.Sscanf(b, "%d %s", &kind, &parent); err != nil {
			panic(err)
		}
		s.ref(parent, kind, plainNodeID(n.id))
	}
	return n
}

func cutNamespace(name string) (uint16, string) {
	for i := range name {
		if name[i] == ':' {
			n, err := strconv.Atoi(name[:i])
			if err != nil {
				panic(err)
			}
			return uint16(n), name[i+1:]
		}
	}
	return 0, name
}

func (s *space) ref(from string, kind uint32, to string) {
	s.nodes[from].refs = append(s.nodes[from].refs, spaceRef{kind, true, to})
	s.nodes[to].refs = append(s.nodes[to].refs, spaceRef{kind, false, from})
}

// variable sets what a variable has; the data type is a NodeID.
func (n *spaceNode) variable(dataType string, value any) *spaceNode {
	n.attributes[ua.AttributeIDDataType] = ua.MustParseNodeID(dataType)
	n.attributes[ua.AttributeIDValueRank] = int32(-1)
	n.attributes[ua.AttributeIDAccessLevel] = byte(1)
	if value != nil {
		n.attributes[ua.AttributeIDValue] = value
	}
	return n
}

func (s *space) send(ctx context.Context, req ua.Request) (ua.Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	switch r := req.(type) {
	case *ua.ReadRequest:
		if s.perCall > 0 && len(r.NodesToRead) > s.perCall {
			return nil, ua.StatusBadTooManyOperations
		}
		res := &ua.ReadResponse{}
		for _, id := range r.NodesToRead {
			res.Results = append(res.Results, s.read(id))
		}
		return res, nil
	case *ua.BrowseRequest:
		if s.perCall > 0 && len(r.NodesToBrowse) > s.perCall {
			return nil, ua.StatusBadTooManyOperations
		}
		res := &ua.BrowseResponse{}
		for _, d := range r.NodesToBrowse {
			res.Results = append(res.Results, s.part(s.browse(d), int(r.RequestedMaxReferencesPerNode)))
		}
		return res, nil
	case *ua.BrowseNextRequest:
		res := &ua.BrowseNextResponse{}
		for _, p := range r.ContinuationPoints {
			rest := s.points[string(p)]
			delete(s.points, string(p))
			if !r.ReleaseContinuationPoints {
				res.Results = append(res.Results, s.part(rest, s.perNode))
			}
		}
		return res, nil
	}
	return nil, ua.StatusBadServiceUnsupported
}

func (s *space) part(refs []*ua.ReferenceDescription, limit int) *ua.BrowseResult {
	if s.perNode > 0 {
		limit = min(limit, s.perNode)
	}
	if len(refs) <= limit || limit == 0 {
		return &ua.BrowseResult{References: refs}
	}
	key := fmt.Sprint("point", s.requests, len(s.points))
	s.points[key] = refs[limit:]
	s.most = max(s.most, len(s.points))
	return &ua.BrowseResult{References: refs[:limit], ContinuationPoint: []byte(key)}
}

func (s *space) read(id *ua.ReadValueID) *ua.DataValue {
	n := s.nodes[plainNodeID(id.NodeID)]
	if n == nil {
		return &ua.DataValue{EncodingMask: ua.DataValueStatusCode, Value: &ua.Variant{}, Status: ua.StatusBadNodeIDUnknown}
	}
	v, ok := n.attributes[id.AttributeID]
	switch id.AttributeID {
	case ua.AttributeIDBrowseName:
		v, ok = n.name, true
	case ua.AttributeIDDisplayName:
		v, ok = ua.NewLocalizedText(n.display), true
	case ua.AttributeIDNodeClass:
		v, ok = int32(n.class), true
	}
	if !ok {
		return &ua.DataValue{EncodingMask: ua.DataValueStatusCode, Value: &ua.Variant{}, Status: ua.StatusBadAttributeIDInvalid}
	}
	if dv, ready := v.(*ua.DataValue); ready {
		return dv
	}
	return dataValue(v)
}

func (s *space) browse(d *ua.BrowseDescription) (out []*ua.ReferenceDescription) {
	n := s.nodes[plainNodeID(d.NodeID)]
	if n == nil {
		return nil
	}
	for _, r := range n.refs {
		if r.forward && d.BrowseDirection == ua.BrowseDirectionInverse || !r.forward && d.BrowseDirection == ua.BrowseDirectionForward {
			continue
		}
		if want := d.ReferenceTypeID.IntID(); want != r.kind && want != 31 && (want != 33 || r.kind == 40 || r.kind == 38 || r.kind == 45) {
			continue
		}
		to := s.nodes[r.to]
		ref := &ua.ReferenceDescription{ReferenceTypeID: ua.NewNumericNodeID(0, r.kind), IsForward: r.forward,
			NodeID: ua.NewExpandedNodeID(to.id, "", 0), BrowseName: to.name, DisplayName: ua.NewLocalizedText(to.display), NodeClass: to.class,
			TypeDefinition: ua.NewTwoByteExpandedNodeID(0)}
		for _, t := range to.refs {
			if t.kind == 40 && t.forward {
				ref.TypeDefinition = ua.NewExpandedNodeID(s.nodes[t.to].id, "", 0)
			}
		}
		out = append(out, ref)
	}
	return out
}

// TestSpace keeps the test's own server honest: what it links is linked both ways.
func TestSpace(t *testing.T) {
	s := newSpace()
	s.add("ns=1;s=x", "1:x", ua.NodeClassVariable, "47 i=85")
	refs := s.browse(each([]*ua.NodeID{ua.MustParseNodeID("i=85")}, ua.BrowseDirectionForward, 33)[0])
	if len(refs) != 1 || refs[0].BrowseName.Name != "x" || len(slices.Collect(maps.Keys(s.nodes))) < 4 {
		t.Error(refs)
	}
}
