package worker

import (
	"context"
	"math"

	"github.com/gopcua/opcua/ua"

	"github.com/millgate/millgate/drivers"
)

// The current state of a state machine is told by its Id, the NodeId of a state (Part 16, 4.4.3); the state's number in CurrentState/Number is
// optional. Companion specifications fix the numbers, but subtypes of their state machines have states with NodeIds of their own. So the
// number is looked up at the state itself: its StateNumber (Part 16, 4.4.8).

// stateNode is a state of a state machine.
type stateNode struct {
	number uint32
	name   string
	owner  string // plainNodeID of the type, or the object, that has it; empty: not known
}

const maxSupertypes = 16

// stateNumber is the number of the state with this NodeId. A state that is not known is noted for the next prepare.
func (r *valueReader) stateNumber(id string) (drivers.Value, drivers.Cause) {
	if id == "" || id == "i=0" {
		return drivers.Value{}, drivers.CauseNotAvailable
	}
	if r.types == nil {
		return mismatch()
	}
	r.types.mu.RLock()
	s, known := r.types.states[id]
	r.types.mu.RUnlock()
	if known {
		return ofUint(uint64(s.number), r.to)
	}
	r.types.mu.Lock()
	defer r.types.mu.Unlock()
	if len(r.types.metStates) < maxTypes {
		r.types.metStates[id] = true
	}
	return drivers.Value{}, causeUnknownStruct
}

// learnStates learns all states of the state machines to which the nodes belong, and those that were met since.
func (t *types) learnStates(ctx context.Context, nodes []*ua.NodeID) error {
	var ids []*ua.NodeID
	for _, n := range nodes {
		if t.nodes[plainNodeID(n)] == plainNodeID(ua.NewNumericNodeID(0, idNodeID)) {
			ids = append(ids, n)
		}
	}
	variables, err := t.follow(ctx, ids, ua.BrowseDirectionInverse, idHasProperty)
	if err != nil {
		return err
	}
	machines, err := t.follow(ctx, variables, ua.BrowseDirectionInverse, idHasComponent)
	if err != nil {
		return err
	}
	if err := t.learnStatesBelow(ctx, machines); err != nil {
		return err
	}
	return t.learnMetStates(ctx)
}

func (t *types) learnMetStates(ctx context.Context) error {
	var met []*ua.NodeID
	t.mu.Lock()
	for id := range t.metStates {
		if n, err := ua.ParseNodeID(id); err == nil {
			met = append(met, n)
		}
	}
	t.metStates = map[string]bool{}
	t.mu.Unlock()
	return t.readStates(ctx, met, make([]stateNode, len(met)))
}

// learnStatesBelow learns the states of state machines, which stand at the objects, at their types, or at the types above them.
func (t *types) learnStatesBelow(ctx context.Context, machines []*ua.NodeID) error {
	typeIDs, err := t.follow(ctx, machines, ua.BrowseDirectionForward, idHasTypeDef)
	if err != nil {
		return err
	}
	var states []*ua.NodeID
	var about []stateNode
	level := append(machines, typeIDs...)
	for range maxSupertypes {
		refs, err := browseAll(ctx, t.send, each(level, ua.BrowseDirectionBoth, idReferences))
		if err != nil {
			return err
		}
		above := newSet(nil)
		for i, rs := range refs {
			for _, r := range rs {
				target := expanded(r.NodeID)
				switch reference := standardID(r.ReferenceTypeID); {
				case target == nil:
				case reference == idHasComponent && r.IsForward && isState(r):
					states, about = append(states, target), append(about, stateNode{name: nameOf(r), owner: plainNodeID(level[i])})
				case reference == idHasSubtype && !r.IsForward && target.Namespace() != 0:
					above.add(target)
				}
			}
		}
		if level = above.ids; len(level) == 0 {
			break
		}
	}
	return t.readStates(ctx, states, about)
}

// isState says that an object is a state: its type is StateType or InitialStateType.
func isState(r *ua.ReferenceDescription) bool {
	const stateType, initialStateType = 2307, 2309
	id := standardID(expanded(r.TypeDefinition))
	return r.NodeClass == ua.NodeClassObject && (id == stateType || id == initialStateType)
}

// readStates reads the numbers of states, of which the rest is known.
func (t *types) readStates(ctx context.Context, states []*ua.NodeID, about []stateNode) error {
	refs, err := browseAll(ctx, t.send, each(states, ua.BrowseDirectionForward, idHasProperty))
	if err != nil {
		return err
	}
	var numbers []*ua.NodeID
	var whose []int
	for i, rs := range refs {
		for _, r := range rs {
			if target := expanded(r.NodeID); target != nil && nameOf(r) == "StateNumber" {
				numbers, whose = append(numbers, target), append(whose, i)
			}
		}
	}
	values, err := readAttributes(ctx, t.send, numbers, ua.AttributeIDValue)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, v := range values {
		got, known := scalarOf(v)
		if known && got.form == unsigned && got.bits <= math.MaxUint32 && len(t.states) < maxTypes {
			s := about[whose[i]]
			s.number = uint32(got.bits)
			t.states[plainNodeID(states[whose[i]])] = s
		}
	}
	return nil
}

// follow gives the nodes to which one kind of reference leads, each once.
func (t *types) follow(ctx context.Context, from []*ua.NodeID, direction ua.BrowseDirection, reference uint32) ([]*ua.NodeID, error) {
	refs, err := browseAll(ctx, t.send, each(from, direction, reference))
	if err != nil {
		return nil, err
	}
	out := newSet(nil)
	for _, rs := range refs {
		for _, r := range rs {
			out.add(expanded(r.NodeID))
		}
	}
	return out.ids, nil
}

// nodeSet keeps each node once, in the order in which they came.
type nodeSet struct {
	ids  []*ua.NodeID
	keys map[string]bool
}

func newSet(ids []*ua.NodeID) *nodeSet {
	s := &nodeSet{keys: map[string]bool{}}
	for _, id := range ids {
		s.add(id)
	}
	return s
}

// add says whether id is new; nil never is.
func (s *nodeSet) add(id *ua.NodeID) bool {
	key := plainNodeID(id)
	if key == "" || s.keys[key] {
		return false
	}
	s.keys[key] = true
	s.ids = append(s.ids, id)
	return true
}

// nameOf is the browse name of the node to which a reference leads.
func nameOf(r *ua.ReferenceDescription) string {
	if r.BrowseName == nil {
		return ""
	}
	return r.BrowseName.Name
}
