package worker

import (
	"context"

	"github.com/gopcua/opcua/ua"
)

const (
	maxTypes  = 20_000 // that are kept of one server
	maxRounds = 64     // of asking for the types that types need
)

// learning collects what the server says of data types that are not known yet; link then makes them known.
type learning struct {
	types *types
	said  map[string]*saidType
	next  []*saidType // not asked for yet
}

// saidType is what the server says of one data type.
type saidType struct {
	id         *ua.NodeID
	definition any // *ua.StructureDefinition, *ua.EnumDefinition or nil
	encoding   *ua.NodeID
	parent     *ua.NodeID
	texts      map[int64]string
}

func newLearning(t *types) *learning { return &learning{types: t, said: map[string]*saidType{}} }

// standard is the data types that need no asking: the built-in ones and the abstract ones over them (Part 6, 5.1.5: an abstract number is a
// Variant). ok is false for any other id.
func standard(id *ua.NodeID) (typ *dataType, ok bool) {
	if id == nil || id.Namespace() != 0 || id.Type() > ua.NodeIDTypeNumeric {
		return nil, false
	}
	switch n := id.IntID(); {
	case n >= 1 && n <= 25:
		return &dataType{builtin: ua.TypeID(n)}, true
	case n >= 26 && n <= 28: // Number, Integer, UInteger
		return &dataType{builtin: ua.TypeIDVariant}, true
	case n == idEnumeration:
		return &dataType{builtin: ua.TypeIDInt32}, true
	}
	return nil, false
}

func (l *learning) want(id *ua.NodeID) {
	key := plainNodeID(id)
	if _, ok := standard(id); ok || key == "" || l.said[key] != nil || len(l.said) >= maxTypes {
		return
	}
	l.types.mu.RLock()
	known := l.types.known[key] != nil
	l.types.mu.RUnlock()
	if known {
		return
	}
	s := &saidType{id: id}
	l.said[key] = s
	l.next = append(l.next, s)
}

// learn asks for the types and for all that they consist of.
func (l *learning) learn(ctx context.Context, ids []*ua.NodeID) error {
	for _, id := range ids {
		l.want(id)
	}
	for range maxRounds {
		asked := l.next
		l.next = nil
		if len(asked) == 0 {
			return nil
		}
		if err := l.askDefinitions(ctx, asked); err != nil {
			return err
		}
		if err := l.askOthers(ctx, asked); err != nil {
			return err
		}
	}
	return nil
}

func (l *learning) askDefinitions(ctx context.Context, asked []*saidType) error {
	ids := make([]*ua.NodeID, len(asked))
	for i, s := range asked {
		ids[i] = s.id
	}
	values, err := readAttributes(ctx, l.types.send, ids, ua.AttributeIDDataTypeDefinition)
	if err != nil {
		return err
	}
	for i, v := range values {
		object, ok := v.(*ua.ExtensionObject)
		if !ok || object == nil {
			continue
		}
		switch d := object.Value.(type) {
		case *ua.StructureDefinition:
			asked[i].definition, asked[i].encoding = d, d.DefaultEncodingID
			for _, f := range d.Fields {
				l.want(f.DataType)
			}
		case *ua.EnumDefinition:
			asked[i].definition = d
		}
	}
	return nil
}

// askOthers asks for what no definition says: the type above, the texts of older servers' enumerations, the encoding of a structure.
func (l *learning) askOthers(ctx context.Context, asked []*saidType) error {
	var ids []*ua.NodeID
	var whose []*saidType
	for _, s := range asked {
		if _, ok := s.definition.(*ua.StructureDefinition); !ok || isNull(s.encoding) {
			ids, whose = append(ids, s.id), append(whose, s)
		}
	}
	refs, err := browseAll(ctx, l.types.send, each(ids, ua.BrowseDirectionBoth, idReferences))
	if err != nil {
		return err
	}
	var properties []*ua.NodeID
	var owners []*saidType
	for i, s := range whose {
		for _, r := range refs[i] {
			switch reference, target := standardID(r.ReferenceTypeID), expanded(r.NodeID); {
			case target == nil:
			case reference == idHasSubtype && !r.IsForward:
				s.parent = target
				if _, ok := s.definition.(*ua.StructureDefinition); !ok {
					l.want(target)
				}
			case reference == idHasEncoding && r.IsForward && r.BrowseName != nil && r.BrowseName.Name == "Default Binary":
				s.encoding = target
			case reference == idHasProperty && r.IsForward && r.BrowseName != nil && (r.BrowseName.Name == "EnumStrings" || r.BrowseName.Name == "EnumValues"):
				properties, owners = append(properties, target), append(owners, s)
			}
		}
	}
	values, err := readAttributes(ctx, l.types.send, properties, ua.AttributeIDValue)
	if err != nil {
		return err
	}
	for i, v := range values {
		if texts := enumTexts(v); texts != nil {
			owners[i].texts = texts
		}
	}
	return nil
}

// enumTexts reads an EnumStrings or EnumValues property (Part 3, 8.40 and Part 8, 5.3.3).
func enumTexts(v any) map[int64]string {
	texts := map[int64]string{}
	switch list := v.(type) {
	case []*ua.LocalizedText:
		for i, text := range list {
			if text != nil {
				texts[int64(i)] = text.Text
			}
		}
	case []*ua.ExtensionObject:
		for _, object := range list {
			if object == nil {
				continue
			}
			if e, ok := object.Value.(*ua.EnumValueType); ok && e.DisplayName != nil {
				texts[e.Value] = e.DisplayName.Text
			}
		}
	default:
		return nil
	}
	return texts
}

func standardID(id *ua.NodeID) uint32 {
	if id == nil || id.Namespace() != 0 {
		return 0
	}
	return id.IntID()
}

// expanded is where a reference leads within this server; nil if it leads out of it.
func expanded(e *ua.ExpandedNodeID) *ua.NodeID {
	if e == nil || e.NodeID == nil || e.ServerIndex != 0 || e.NamespaceURI != "" {
		return nil
	}
	return plain(e)
}

func isNull(id *ua.NodeID) bool {
	return id == nil || id.Namespace() == 0 && id.IntID() == 0 && id.Type() <= ua.NodeIDTypeNumeric
}

// link makes everything known that was said; the caller holds the lock. Types may contain each other, so all are made before any is filled.
func (l *learning) link() {
	t := l.types
	for key := range l.said {
		t.known[key] = &dataType{}
	}
	for key, s := range l.said {
		l.fill(t.known[key], s)
		if t.known[key].structure && !isNull(s.encoding) {
			t.encodings[plainNodeID(s.encoding)] = t.known[key]
			keepBodies(s.encoding)
		}
	}
}

func (l *learning) fill(typ *dataType, s *saidType) {
	switch d := s.definition.(type) {
	case *ua.StructureDefinition:
		l.fillStructure(typ, d)
		return
	case *ua.EnumDefinition:
		s.texts = map[int64]string{}
		for _, f := range d.Fields {
			name := f.Name
			if name == "" && f.DisplayName != nil {
				name = f.DisplayName.Text
			}
			s.texts[f.Value] = name
		}
	}
	typ.builtin = l.builtinOf(s)
	if typ.builtin == ua.TypeIDExtensionObject {
		typ.unknown = true
	}
	if typ.builtin == ua.TypeIDInt32 && len(s.texts) > 0 { // the fields of an option set are bits, not values
		typ.names = &enumeration{texts: s.texts}
	}
}

// builtinOf is the built-in type that a data type comes from.
func (l *learning) builtinOf(s *saidType) ua.TypeID {
	for range maxRounds {
		if typ, ok := standard(s.parent); ok {
			return typ.builtin
		}
		key := plainNodeID(s.parent)
		if typ := l.types.known[key]; typ != nil && l.said[key] == nil {
			if typ.structure || typ.unknown {
				return ua.TypeIDExtensionObject
			}
			return typ.builtin
		}
		above := l.said[key]
		if above == nil {
			break
		}
		if _, ok := above.definition.(*ua.StructureDefinition); ok {
			break
		}
		s = above
	}
	return ua.TypeIDExtensionObject
}

// fillStructure follows a definition (Part 3, 8.48 and 8.51). In the kinds with subtyped values, IsOptional marks a field that may hold a subtype: it is an
// ExtensionObject then, or a Variant.
func (l *learning) fillStructure(typ *dataType, d *ua.StructureDefinition) {
	typ.structure = true
	subtyped := false
	switch d.StructureType {
	case ua.StructureTypeStructure:
	case ua.StructureTypeStructureWithOptionalFields:
		typ.shape = shapeOptional
	case ua.StructureTypeUnion:
		typ.shape = shapeUnion
	case ua.StructureTypeStructureWithSubtypedValues:
		subtyped = true
	case ua.StructureTypeUnionWithSubtypedValues:
		typ.shape, subtyped = shapeUnion, true
	default:
		typ.unknown, typ.structure = true, false
		return
	}
	for _, f := range d.Fields {
		ours := field{name: f.Name, rank: f.ValueRank, optional: typ.shape == shapeOptional && f.IsOptional,
			subtyped: subtyped && f.IsOptional, typ: l.linked(f.DataType)}
		if ours.rank < -1 || ours.rank == 0 { // no fixed layout (Part 3, 8.51)
			ours.typ = &dataType{unknown: true}
		}
		typ.fields = append(typ.fields, ours)
	}
}

func (l *learning) linked(id *ua.NodeID) *dataType {
	if typ, ok := standard(id); ok {
		return typ
	}
	if typ := l.types.known[plainNodeID(id)]; typ != nil {
		return typ
	}
	return &dataType{unknown: true}
}
