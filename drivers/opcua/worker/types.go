package worker

import (
	"context"
	"strconv"
	"sync"

	"github.com/gopcua/opcua/ua"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/opcua"
)

// shape is how the fields of a structure stand on the wire (Part 3, 8.48).
type shape uint8

const (
	shapePlain shape = iota
	shapeOptional
	shapeUnion
)

// dataType is how values of a data type are read. It does not change once others see it.
type dataType struct {
	builtin   ua.TypeID    // what is on the wire, unless it is a structure
	names     *enumeration // of an enumeration
	structure bool
	unknown   bool // a structure that the server does not describe
	shape     shape
	fields    []field
}

type field struct {
	name     string
	typ      *dataType
	rank     int32 // below 0: a scalar; 1: an array; more: a matrix
	optional bool
	subtyped bool // it may hold a subtype of typ, and says which
}

// enumeration has the texts of an integer's values.
type enumeration struct {
	texts map[int64]string
}

// text is what v is called, else v in decimal.
func (e *enumeration) text(v int64) string {
	if e != nil {
		if s, ok := e.texts[v]; ok {
			return s
		}
	}
	return strconv.FormatInt(v, 10)
}

// types is what is known of a server's data types, for one session. The readers of its points ask it while it learns more.
type types struct {
	send sender

	mu         sync.RWMutex
	namespaces []string
	nodes      map[string]string    // data type of a node, both by plainNodeID
	known      map[string]*dataType // by plainNodeID
	encodings  map[string]*dataType // by plainNodeID of the binary encoding
	met        map[string]*ua.NodeID
	states     map[string]stateNode // by plainNodeID
	metStates  map[string]bool
}

// newTypes knows the built-in types only.
func newTypes(send sender) *types {
	return &types{send: send, nodes: map[string]string{}, known: map[string]*dataType{},
		encodings: map[string]*dataType{}, met: map[string]*ua.NodeID{}, states: map[string]stateNode{}, metStates: map[string]bool{}}
}

// prepare learns the data types of the nodes: the structures with their fields, the texts of enumerations, and the states of the state machines
// whose state they tell. It also learns the structures and states that readers met since and did not know, so calling it again, with no node, is
// worth a try while values are bad with opcua_bad_data_type_id_unknown. A node or a data type that the server does not tell of is no error; only a request that fails is.
func (t *types) prepare(ctx context.Context, nodes []*ua.NodeID) error {
	if err := t.readNamespaces(ctx); err != nil {
		return err
	}
	values, err := readAttributes(ctx, t.send, nodes, ua.AttributeIDDataType)
	if err != nil {
		return err
	}
	var wanted []*ua.NodeID
	found := map[string]string{}
	for i, v := range values {
		if id, ok := v.(*ua.NodeID); ok && id != nil {
			found[plainNodeID(nodes[i])] = plainNodeID(id)
			wanted = append(wanted, id)
		}
	}
	met, err := t.dataTypesOf(ctx, t.takeMet())
	if err != nil {
		return err
	}
	l := newLearning(t)
	if err := l.learn(ctx, append(wanted, met...)); err != nil {
		return err
	}
	t.mu.Lock()
	for node, id := range found {
		t.nodes[node] = id
	}
	l.link()
	t.mu.Unlock()
	return t.learnStates(ctx, nodes)
}

func (t *types) readNamespaces(ctx context.Context) error {
	names, err := readNamespaces(ctx, t.send)
	if err == nil && names != nil {
		t.mu.Lock()
		t.namespaces = names
		t.mu.Unlock()
	}
	return err
}

// takeMet is the encodings that were met and not known.
func (t *types) takeMet() (ids []*ua.NodeID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, id := range t.met {
		ids = append(ids, id)
	}
	return ids
}

// dataTypesOf asks which data types have these encodings.
func (t *types) dataTypesOf(ctx context.Context, encodings []*ua.NodeID) (ids []*ua.NodeID, err error) {
	refs, err := browseAll(ctx, t.send, each(encodings, ua.BrowseDirectionInverse, idHasEncoding))
	if err != nil {
		return nil, err
	}
	for i, rs := range refs {
		if len(rs) == 0 {
			continue
		}
		ids = append(ids, plain(rs[0].NodeID))
		t.mu.Lock()
		delete(t.met, plainNodeID(encodings[i]))
		t.mu.Unlock()
	}
	return ids, nil
}

// typeOf is the data type of a node; nil if it is not known.
func (t *types) typeOf(node *ua.NodeID) *dataType {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.known[t.nodes[plainNodeID(node)]]
}

// namesOf is the texts of a node, written as maps do; nil if it has none.
func (t *types) namesOf(node string) *enumeration {
	t.mu.RLock()
	namespaces := t.namespaces
	t.mu.RUnlock()
	id, err := parseNodeID(node, namespaces)
	if err != nil {
		return nil
	}
	if typ := t.typeOf(id); typ != nil {
		return typ.names
	}
	return nil
}

// encoded is the structure with a binary encoding. One that is not known is noted for the next prepare, nil now.
func (t *types) encoded(encoding *ua.NodeID) *dataType {
	key := plainNodeID(encoding)
	if key == "" {
		return nil
	}
	t.mu.RLock()
	typ, known := t.encodings[key], t.met[key] != nil
	t.mu.RUnlock()
	if typ != nil || known {
		return typ
	}
	keepBodies(encoding)
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.met) < maxTypes {
		t.met[key] = encoding
	}
	return nil
}

// rawBody is the body of a structure as it came. It lies in the receive buffer.
type rawBody struct{ data []byte }

// Decode takes all of it.
func (r *rawBody) Decode(b []byte) (int, error) {
	r.data = b
	return len(b), nil
}

// keepBodies tells gopcua to keep the bodies of structures with this encoding. Without it they are dropped: its table of types is one for
// the whole process, and a Go type may stand in it under any number of encodings. Those of namespace 0 that it knows by itself stay.
func keepBodies(encoding *ua.NodeID) {
	defer func() { _ = recover() }() // it knows this one
	ua.RegisterExtensionObject(encoding, new(rawBody))
}

// bodyOf is the body of a structure; ok is false if gopcua has dropped it.
func bodyOf(object *ua.ExtensionObject) (body []byte, ok bool) {
	switch v := object.Value.(type) {
	case *rawBody:
		return v.data, true
	case nil:
		return nil, false
	}
	defer func() {
		if recover() != nil {
			body, ok = nil, false
		}
	}()
	body, err := ua.Encode(object.Value) // one that gopcua knows: back to what it was
	return body, err == nil
}

// lastStructure saves looking up the type of each value.
type lastStructure struct {
	namespace uint16
	id        uint32
	typ       *dataType
}

func (r *valueReader) fromStructure(object *ua.ExtensionObject, steps []opcua.Step) (raw, drivers.Cause) {
	if object == nil || object.TypeID == nil || object.TypeID.NodeID == nil || object.EncodingMask == ua.ExtensionObjectEmpty {
		return raw{}, drivers.CauseNotAvailable
	}
	if r.types == nil {
		return raw{}, causeUnknownStruct
	}
	typ := r.structure(object.TypeID)
	body, ok := bodyOf(object)
	if typ == nil || !ok {
		return raw{}, causeUnknownStruct
	}
	return decodeStructure(typ, body, steps, r.types.encoded)
}

func (r *valueReader) structure(encoding *ua.ExpandedNodeID) *dataType {
	id := encoding.NodeID
	numeric := id.Type() <= ua.NodeIDTypeNumeric && !encoding.HasNamespaceURI()
	if numeric && r.last.typ != nil && r.last.namespace == id.Namespace() && r.last.id == id.IntID() {
		return r.last.typ
	}
	typ := r.types.encoded(r.types.local(encoding))
	if numeric {
		r.last = lastStructure{namespace: id.Namespace(), id: id.IntID(), typ: typ}
	}
	return typ
}

// local is an ExpandedNodeId with its namespace by index; nil if the server has no such namespace.
func (t *types) local(e *ua.ExpandedNodeID) *ua.NodeID {
	if e.NamespaceURI == "" {
		return plain(e)
	}
	t.mu.RLock()
	namespaces := t.namespaces
	t.mu.RUnlock()
	id, err := parseNodeID(nodeIDText(plain(e), e.NamespaceURI), namespaces)
	if err != nil {
		return nil
	}
	return id
}
