package opcuasim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/millgate/millgate/drivers"
)

// space is the address space. Namespaces get their index when they are first mentioned.
type space struct {
	namespaces []string
	nodes      map[string]*node // by NodeID
	spelled    map[string]*node // by the text that the caller has used
}

// node is an object, a variable or a type.
type node struct {
	id         *ua.NodeID
	class      ua.NodeClass
	name       *ua.QualifiedName
	display    string
	references []reference

	// Of variables.
	typ      Type
	array    bool
	dataType *ua.NodeID // nil: that of typ
	value    *ua.Variant
	status   ua.StatusCode
	set      time.Time
	live     func(now time.Time) any // in place of value
	items    []*item
}

type reference struct {
	kind    uint32 // NodeID in the OPC UA namespace
	forward bool
	to      *node
}

// Variable is a node with a value.
type Variable struct {
	Node   string          // NodeID: nsu=http://…;s=…, ns=2;s=… or i=…
	Name   string          // BrowseName and DisplayName; empty: the NodeID's text
	Parent string          // NodeID of the object that has it as a component; empty: the Objects folder
	Type   Type            // 0: as TypeOf has it for the first value
	Array  bool            // the value is an array of all Values; else there must be one
	Values []drivers.Value // at first
}

// resolve is the NodeID that a text means, its namespace known from now on.
func (s *space) resolve(text string) (*ua.NodeID, error) {
	if rest, ok := strings.CutPrefix(text, "nsu="); ok {
		uri, _, _ := strings.Cut(rest, ";")
		s.namespace(uri)
	}
	parsed, err := ua.ParseExpandedNodeID(text, s.namespaces)
	if err != nil {
		return nil, fmt.Errorf("node %q: %w", text, err)
	}
	nid := ua.NewNodeIDFromExpandedNodeID(parsed)
	for len(s.namespaces) <= int(nid.Namespace()) {
		s.namespaces = append(s.namespaces, fmt.Sprintf("%s:%d", ApplicationURI, len(s.namespaces)))
	}
	return nid, nil
}

// namespace is the index of a URI.
func (s *space) namespace(uri string) uint16 {
	if at := slices.Index(s.namespaces, uri); at >= 0 {
		return uint16(at)
	}
	s.namespaces = append(s.namespaces, uri)
	return uint16(len(s.namespaces) - 1)
}

// find is the node that a text means.
func (s *space) find(text string) (*node, error) {
	if n := s.spelled[text]; n != nil {
		return n, nil
	}
	nid, err := s.resolve(text)
	if err != nil {
		return nil, err
	}
	n := s.nodes[nid.String()]
	if n == nil {
		return nil, fmt.Errorf("node %q: there is none", text)
	}
	s.spelled[text] = n
	return n, nil
}

// add makes a node with its name in its own namespace.
func (s *space) add(text, name string, class ua.NodeClass) (*node, error) {
	nid, err := s.resolve(text)
	if err != nil {
		return nil, err
	}
	if s.nodes[nid.String()] != nil {
		return nil, fmt.Errorf("node %q: there is one already", text)
	}
	if name == "" {
		name = text
	}
	n := &node{id: nid, class: class, name: &ua.QualifiedName{NamespaceIndex: nid.Namespace(), Name: name}, display: name}
	s.nodes[nid.String()] = n
	return n, nil
}

// refer makes a reference and its inverse.
func refer(from *node, kind uint32, to *node) {
	from.references = append(from.references, reference{kind, true, to})
	to.references = append(to.references, reference{kind, false, from})
}

func (n *node) unwatch(i *item) {
	n.items = slices.DeleteFunc(n.items, func(other *item) bool { return other == i })
}

// Object is a node that has others below it.
type Object struct {
	Node   string // NodeID
	Name   string // BrowseName and DisplayName; empty: the NodeID's text
	Parent string // NodeID of the object that it is below; empty: the Objects folder
	Type   string // NodeID of its type, which is made if there is none; empty: a folder
}

// AddObject makes an object. It may be done while clients read.
func (s *Server) AddObject(o Object) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	above, err := s.space.parent(o.Parent)
	if err != nil {
		return err
	}
	defines, err := s.space.typeOf(o.Type)
	if err != nil {
		return err
	}
	n, err := s.space.add(o.Node, o.Name, object)
	if err != nil {
		return err
	}
	refer(above, id.Organizes, n)
	refer(n, id.HasTypeDefinition, defines)
	return nil
}

// Has says whether there is a node.
func (s *Server) Has(nodeID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.space.find(nodeID)
	return err == nil
}

// typeOf is a type by its NodeID, of a companion specification if it is known there.
func (s *space) typeOf(text string) (*node, error) {
	if text == "" {
		return s.nodes[standard(id.FolderType)], nil
	}
	if err := s.addCompanions(); err != nil {
		return nil, err
	}
	nid, err := s.resolve(text)
	if err != nil {
		return nil, err
	}
	n := s.nodes[nid.String()]
	if n == nil {
		if n, err = s.add(text, "", objectType); err != nil {
			return nil, err
		}
		refer(s.nodes[standard(id.BaseObjectType)], id.HasSubtype, n)
	}
	if n.class != objectType {
		return nil, fmt.Errorf("node %q: it is no type of objects", text)
	}
	return n, nil
}

func (s *space) parent(text string) (*node, error) {
	if text == "" {
		return s.nodes[standard(id.ObjectsFolder)], nil
	}
	return s.find(text)
}

// Add makes a node with a value. It may be done while clients read.
func (s *Server) Add(v Variable) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	above, err := s.space.parent(v.Parent)
	if err != nil {
		return err
	}
	if v.Type == 0 && len(v.Values) > 0 {
		v.Type = TypeOf(v.Values[0].Type())
	}
	value, err := s.space.variant(v.Type, v.Array, v.Values)
	if err != nil {
		return fmt.Errorf("node %q: %w", v.Node, err)
	}
	n, err := s.space.add(v.Node, v.Name, variable)
	if err != nil {
		return err
	}
	n.typ, n.array, n.value, n.set = v.Type, v.Array, value, time.Now()
	refer(above, id.HasComponent, n)
	refer(n, id.HasTypeDefinition, s.space.nodes[standard(id.BaseDataVariableType)])
	return nil
}

// Set gives a node its value, of now, and takes a status away.
func (s *Server) Set(nodeID string, values ...drivers.Value) error {
	return s.SetAt(nodeID, time.Now(), values...)
}

// SetAt is Set with a source time stamp.
func (s *Server) SetAt(nodeID string, at time.Time, values ...drivers.Value) error {
	return s.change(nodeID, func(n *node) error {
		value, err := s.space.variant(n.typ, n.array, values)
		if err != nil {
			return fmt.Errorf("node %q: %w", nodeID, err)
		}
		n.put(value, ua.StatusOK, at)
		return nil
	})
}

// SetStatus makes a node answer with a StatusCode from now on, with its value unless the status is bad; 0 takes it away.
func (s *Server) SetStatus(nodeID string, code uint32) error {
	return s.change(nodeID, func(n *node) error {
		n.put(n.value, ua.StatusCode(code), time.Now())
		return nil
	})
}

func (s *Server) change(text string, f func(*node) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.space.find(text)
	if err != nil {
		return err
	}
	if n.class != ua.NodeClassVariable || n.live != nil {
		return fmt.Errorf("node %q: it can not be set", text)
	}
	return f(n)
}

// put changes a variable and tells the items that watch it.
func (n *node) put(value *ua.Variant, status ua.StatusCode, at time.Time) {
	n.value, n.status, n.set = value, status, at
	now := time.Now()
	for _, i := range n.items {
		i.notice(now)
	}
}

// SetServerTime is what the server tells as its clock; CurrentTime goes on from it. Stamps are as they are set.
func (s *Server) SetServerTime(now time.Time) {
	ahead := time.Until(now)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.space.nodes[standard(id.Server_ServerStatus_CurrentTime)].live = func(now time.Time) any { return now.Add(ahead).UTC() }
}
