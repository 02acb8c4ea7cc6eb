package opcuasim

import (
	"fmt"
	"strconv"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"
)

const (
	maxNodesPerRead   = 1000
	maxNodesPerBrowse = 1000
	maxPages          = 10 // continuation points of a session
)

// read is Part 4, 5.11.2.
func (s *Server) read(r *ua.ReadRequest) (ua.Response, error) {
	if len(r.NodesToRead) > maxNodesPerRead {
		return nil, ua.StatusBadTooManyOperations
	}
	now := time.Now()
	results := make([]*ua.DataValue, len(r.NodesToRead))
	for i, asked := range r.NodesToRead {
		n := s.space.nodes[asked.NodeID.String()]
		switch {
		case n == nil:
			results[i] = failed(ua.StatusBadNodeIDUnknown)
		case asked.AttributeID == ua.AttributeIDValue && n.class == ua.NodeClassVariable:
			results[i] = n.read(asked.IndexRange, r.TimestampsToReturn, now)
		default:
			results[i] = n.attribute(asked.AttributeID)
		}
	}
	return &ua.ReadResponse{ResponseHeader: header(r, ua.StatusOK), Results: results, DiagnosticInfos: []*ua.DiagnosticInfo{}}, nil
}

func failed(status ua.StatusCode) *ua.DataValue {
	return &ua.DataValue{EncodingMask: ua.DataValueStatusCode, Status: status}
}

const severityBad = 0x80000000

// read is the value of a variable.
func (n *node) read(indexRange string, stamps ua.TimestampsToReturn, now time.Time) *ua.DataValue {
	value, set, status := n.value, n.set, n.status
	if n.live != nil {
		value, set = ua.MustVariant(n.live(now)), now
	}
	if indexRange != "" && status&severityBad == 0 {
		value, status = part(value, indexRange)
	}
	out := &ua.DataValue{Status: status}
	if status&severityBad == 0 {
		out.Value = value
	}
	if stamps == ua.TimestampsToReturnSource || stamps == ua.TimestampsToReturnBoth {
		out.SourceTimestamp = set.UTC()
	}
	if stamps == ua.TimestampsToReturnServer || stamps == ua.TimestampsToReturnBoth {
		out.ServerTimestamp = now.UTC()
	}
	out.UpdateMask()
	return out
}

// attribute is every attribute but the value of a variable (Part 3, 5).
func (n *node) attribute(a ua.AttributeID) *ua.DataValue {
	var value any
	switch a {
	case ua.AttributeIDNodeID:
		value = n.id
	case ua.AttributeIDNodeClass:
		value = int32(n.class)
	case ua.AttributeIDBrowseName:
		value = n.name
	case ua.AttributeIDDisplayName:
		value = ua.NewLocalizedText(n.display)
	case ua.AttributeIDDescription:
		value = ua.NewLocalizedText("")
	case ua.AttributeIDWriteMask, ua.AttributeIDUserWriteMask:
		value = uint32(0)
	}
	switch n.class {
	case ua.NodeClassVariable:
		if v := n.variableAttribute(a); v != nil {
			value = v
		}
	case ua.NodeClassObject:
		if a == ua.AttributeIDEventNotifier {
			value = byte(0)
		}
	default:
		if a == ua.AttributeIDIsAbstract {
			value = false
		}
	}
	if value == nil {
		return failed(ua.StatusBadAttributeIDInvalid)
	}
	return &ua.DataValue{EncodingMask: ua.DataValueValue, Value: ua.MustVariant(value)}
}

func (n *node) variableAttribute(a ua.AttributeID) any {
	switch a {
	case ua.AttributeIDDataType:
		if n.dataType != nil {
			return n.dataType
		}
		return ua.NewNumericNodeID(0, uint32(n.typ))
	case ua.AttributeIDValueRank:
		if n.array {
			return int32(1)
		}
		return int32(-1)
	case ua.AttributeIDArrayDimensions:
		if n.array {
			return []uint32{0}
		}
	case ua.AttributeIDAccessLevel, ua.AttributeIDUserAccessLevel:
		return byte(ua.AccessLevelTypeCurrentRead)
	case ua.AttributeIDMinimumSamplingInterval:
		return float64(0)
	case ua.AttributeIDHistorizing:
		return false
	}
	return nil
}

// browse is Part 4, 5.9.2.
func (s *Server) browse(session *session, r *ua.BrowseRequest) (ua.Response, error) {
	if len(r.NodesToBrowse) > maxNodesPerBrowse {
		return nil, ua.StatusBadTooManyOperations
	}
	results := make([]*ua.BrowseResult, len(r.NodesToBrowse))
	for i, asked := range r.NodesToBrowse {
		n := s.space.nodes[asked.NodeID.String()]
		if n == nil {
			results[i] = &ua.BrowseResult{StatusCode: ua.StatusBadNodeIDUnknown}
			continue
		}
		results[i] = session.page(n.browse(asked), r.RequestedMaxReferencesPerNode)
	}
	return &ua.BrowseResponse{ResponseHeader: header(r, ua.StatusOK), Results: results, DiagnosticInfos: []*ua.DiagnosticInfo{}}, nil
}

// browseNext is Part 4, 5.9.3.
func (s *Server) browseNext(session *session, r *ua.BrowseNextRequest) ua.Response {
	results := make([]*ua.BrowseResult, len(r.ContinuationPoints))
	for i, point := range r.ContinuationPoints {
		rest, ok := session.pages[string(point)]
		delete(session.pages, string(point))
		size, err := strconv.ParseUint(string(point[:min(len(point), 8)]), 16, 32)
		switch {
		case !ok || err != nil:
			results[i] = &ua.BrowseResult{StatusCode: ua.StatusBadContinuationPointInvalid}
		case r.ReleaseContinuationPoints:
			results[i] = &ua.BrowseResult{}
		default:
			results[i] = session.page(rest, uint32(size))
		}
	}
	return &ua.BrowseNextResponse{ResponseHeader: header(r, ua.StatusOK), Results: results, DiagnosticInfos: []*ua.DiagnosticInfo{}}
}

// page keeps what is beyond limit for BrowseNext; 0 is no limit. A continuation point begins with the limit.
func (session *session) page(all []*ua.ReferenceDescription, limit uint32) *ua.BrowseResult {
	if limit == 0 || uint64(len(all)) <= uint64(limit) {
		return &ua.BrowseResult{References: all}
	}
	if len(session.pages) >= maxPages {
		return &ua.BrowseResult{StatusCode: ua.StatusBadNoContinuationPoints}
	}
	point := fmt.Sprintf("%08x%x", limit, random(8))
	session.pages[point] = all[limit:]
	return &ua.BrowseResult{References: all[:limit], ContinuationPoint: []byte(point)}
}

// browse is the references that the client wants to see.
func (n *node) browse(d *ua.BrowseDescription) []*ua.ReferenceDescription {
	out := []*ua.ReferenceDescription{}
	for _, ref := range n.references {
		switch {
		case d.BrowseDirection != ua.BrowseDirectionBoth && (d.BrowseDirection == ua.BrowseDirectionForward) != ref.forward:
		case !isKind(ref.kind, d.ReferenceTypeID, d.IncludeSubtypes):
		case d.NodeClassMask != 0 && d.NodeClassMask&uint32(ref.to.class) == 0:
		default:
			out = append(out, &ua.ReferenceDescription{
				ReferenceTypeID: ua.NewNumericNodeID(0, ref.kind), IsForward: ref.forward, NodeID: ua.NewExpandedNodeID(ref.to.id, "", 0),
				BrowseName: ref.to.name, DisplayName: ua.NewLocalizedText(ref.to.display), NodeClass: ref.to.class,
				TypeDefinition: ua.NewExpandedNodeID(ref.to.typeDefinition(), "", 0),
			})
		}
	}
	return out
}

func (n *node) typeDefinition() *ua.NodeID {
	for _, ref := range n.references {
		if ref.kind == id.HasTypeDefinition && ref.forward {
			return ref.to.id
		}
	}
	return ua.NewTwoByteNodeID(0)
}

// referenceTypes is the hierarchy of reference types: each with its supertype (Part 3, 7).
var referenceTypes = map[uint32]uint32{
	id.HierarchicalReferences: id.References, id.NonHierarchicalReferences: id.References,
	id.HasChild: id.HierarchicalReferences, id.Organizes: id.HierarchicalReferences,
	id.Aggregates: id.HasChild, id.HasSubtype: id.HasChild,
	id.HasProperty: id.Aggregates, id.HasComponent: id.Aggregates, id.HasAddIn: id.HasComponent,
	id.HasTypeDefinition: id.NonHierarchicalReferences, id.HasInterface: id.NonHierarchicalReferences,
}

// isKind says whether a reference is of the wanted type; the null NodeID wants all.
func isKind(kind uint32, wanted *ua.NodeID, subtypes bool) bool {
	want := wanted.IntID()
	switch {
	case wanted.Namespace() != 0:
		return false
	case want == 0 || want == kind:
		return true
	}
	for subtypes && kind != id.References {
		if kind = referenceTypes[kind]; kind == want {
			return true
		}
	}
	return false
}

// translate is Part 4, 5.9.4.
func (s *Server) translate(r *ua.TranslateBrowsePathsToNodeIDsRequest) (ua.Response, error) {
	if len(r.BrowsePaths) > maxNodesPerBrowse {
		return nil, ua.StatusBadTooManyOperations
	}
	results := make([]*ua.BrowsePathResult, len(r.BrowsePaths))
	for i, path := range r.BrowsePaths {
		results[i] = &ua.BrowsePathResult{StatusCode: ua.StatusBadNodeIDUnknown, Targets: []*ua.BrowsePathTarget{}}
		n := s.space.nodes[path.StartingNode.String()]
		if n == nil {
			continue
		}
		for _, element := range path.RelativePath.Elements {
			if n = n.follow(element); n == nil {
				break
			}
		}
		if results[i].StatusCode = ua.StatusBadNoMatch; n != nil {
			results[i].StatusCode = ua.StatusOK
			results[i].Targets = append(results[i].Targets, &ua.BrowsePathTarget{
				TargetID: ua.NewExpandedNodeID(n.id, "", 0), RemainingPathIndex: 0xffffffff, // none remains
			})
		}
	}
	return &ua.TranslateBrowsePathsToNodeIDsResponse{
		ResponseHeader: header(r, ua.StatusOK), Results: results, DiagnosticInfos: []*ua.DiagnosticInfo{},
	}, nil
}

func (n *node) follow(e *ua.RelativePathElement) *node {
	for _, ref := range n.references {
		if ref.forward != e.IsInverse && isKind(ref.kind, e.ReferenceTypeID, e.IncludeSubtypes) && *ref.to.name == *e.TargetName {
			return ref.to
		}
	}
	return nil
}
