package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/opcua"
)

// browseStep is how many nodes are asked about before it is told how far it has come.
const browseStep = 200

// browsed is a node that was found.
type browsed struct {
	id        *ua.NodeID
	name      string // browse name, without its namespace
	display   string
	class     ua.NodeClass
	typeID    *ua.NodeID // of its type; nil: none
	property  bool       // it describes its parent
	depth     int
	parent    *browsed
	children  []*browsed // also those that were found before below another
	variable  *variable  // what is known of a variable
	machine   bool
	claimedBy *claim
}

// path is the browse names that lead to the node from where it began.
func (b *browsed) path() []string {
	var names []string
	for ; b.parent != nil; b = b.parent {
		names = append(names, b.name)
	}
	slices.Reverse(names)
	return names
}

// child is the node at the end of browse names with / between them; nil if there is none.
func (b *browsed) child(path string) *browsed {
	for name := range strings.SplitSeq(path, "/") {
		i := slices.IndexFunc(b.children, func(c *browsed) bool { return c.name == name })
		if i < 0 {
			return nil
		}
		b = b.children[i]
	}
	return b
}

// browser goes through an address space.
type browser struct {
	types  *types
	ask    opcua.BrowseRequest
	filter func(name, path string) bool
	say    func(any)
	told   time.Time
	start  *browsed
	nodes  []*browsed // in the order in which they were found, which is by depth
	found  map[string]*browsed
	chains map[string][]typeName // of each type, by plainNodeID: itself and those above it
	above  map[string][]string   // the same as plainNodeIDs
	notes  []string
}

// browse answers AskBrowse: with is an opcua.BrowseRequest, what it says are opcua.BrowseAnswers. It asks one thing at a time, reads
// and browses only, and leaves nothing behind at the server.
func browse(ctx context.Context, c sender, with json.RawMessage, say func(any)) error {
	b := &browser{types: newTypes(c), say: say, found: map[string]*browsed{}, chains: map[string][]typeName{}, above: map[string][]string{}}
	if err := json.Unmarshal(with, &b.ask); err != nil {
		return fmt.Errorf("the question can not be read: %w", err)
	}
	if b.ask.Depth <= 0 {
		b.ask.Depth = opcua.DefaultBrowseDepth
	}
	if b.ask.Max <= 0 {
		b.ask.Max = opcua.DefaultBrowseNodes
	}
	var err error
	if b.filter, err = parseFilter(b.ask.Filter); err != nil {
		return err
	}
	server, err := b.begin(ctx)
	if err != nil {
		return err
	}
	if err := b.walk(ctx); err != nil {
		return err
	}
	if err := b.readChains(ctx); err != nil {
		return err
	}
	if err := b.readVariables(ctx); err != nil {
		return err
	}
	result := b.result()
	result.Server = server
	b.tell(opcua.BrowseAnswer{Result: result})
	return nil
}

// parseFilter makes a test of names and paths: with * and ?, or a regular expression between slashes.
func parseFilter(text string) (func(name, path string) bool, error) {
	if text == "" {
		return func(string, string) bool { return true }, nil
	}
	pattern := text
	if len(text) > 1 && text[0] == '/' && text[len(text)-1] == '/' {
		pattern = text[1 : len(text)-1]
	} else {
		pattern = regexp.QuoteMeta(pattern)
		pattern = "^(?:" + strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(pattern) + ")$"
	}
	r, err := regexp.Compile("(?i)" + pattern)
	if err != nil {
		return nil, fmt.Errorf("the filter %q can not be read: %w", text, err)
	}
	return func(name, path string) bool { return r.MatchString(name) || r.MatchString(path) }, nil
}

// begin reads what the server is, and finds the node to begin at.
func (b *browser) begin(ctx context.Context) (server string, err error) {
	const idProductName = 2261
	t := b.types
	if err := t.readNamespaces(ctx); err != nil {
		return "", err
	}
	about, err := readAttributes(ctx, t.send, []*ua.NodeID{ua.NewNumericNodeID(0, idProductName)}, ua.AttributeIDValue)
	if err != nil {
		return "", err
	}
	server, _ = about[0].(string)
	id := ua.NewNumericNodeID(0, idObjectsFolder)
	if b.ask.From != "" {
		if id, err = parseNodeID(b.ask.From, t.namespaces); err != nil {
			return "", fmt.Errorf("the node %q to begin at: %w", b.ask.From, err)
		}
	}
	said := map[ua.AttributeID]any{}
	for _, a := range []ua.AttributeID{ua.AttributeIDNodeClass, ua.AttributeIDBrowseName, ua.AttributeIDDisplayName} {
		values, err := readAttributes(ctx, t.send, []*ua.NodeID{id}, a)
		if err != nil {
			return "", err
		}
		said[a] = values[0]
	}
	class, known := said[ua.AttributeIDNodeClass].(int32)
	if !known {
		return "", &drivers.Error{Cause: drivers.OPCUAStatus("bad_node_id_unknown"), Err: fmt.Errorf("the server has no node %s, or does not show it to this user", mapNodeID(id, t.namespaces))}
	}
	b.start = &browsed{id: id, class: ua.NodeClass(class)}
	if name, ok := said[ua.AttributeIDBrowseName].(*ua.QualifiedName); ok && name != nil {
		b.start.name = name.Name
	}
	if text, ok := said[ua.AttributeIDDisplayName].(*ua.LocalizedText); ok && text != nil {
		b.start.display = text.Text
	}
	typeIDs, err := t.follow(ctx, []*ua.NodeID{id}, ua.BrowseDirectionForward, idHasTypeDef)
	if len(typeIDs) > 0 {
		b.start.typeID = typeIDs[0]
	}
	b.nodes, b.found[plainNodeID(id)] = []*browsed{b.start}, b.start
	return server, err
}

// walk finds the objects and variables below the start, level by level.
func (b *browser) walk(ctx context.Context) error {
	for from := 0; from < len(b.nodes); {
		to := min(len(b.nodes), from+browseStep)
		step := b.nodes[from:to]
		if step[0].depth >= b.ask.Depth {
			b.note("what is more than %d references away from the start was not looked at", b.ask.Depth)
			return nil
		}
		ids := make([]*ua.NodeID, len(step))
		for i, n := range step {
			ids[i] = n.id
		}
		refs, err := browseAll(ctx, b.types.send, each(ids, ua.BrowseDirectionForward, idHierarchical))
		if err != nil {
			return err
		}
		for i, n := range step {
			for _, r := range refs[i] {
				b.visit(n, r)
			}
		}
		if len(b.nodes) >= b.ask.Max {
			b.note("after %d nodes it was left off: begin further in, or raise the limit", len(b.nodes))
			return nil
		}
		from = to
		b.progress(opcua.BrowseAnswer{})
	}
	return nil
}

// visit notes the node to which a reference leads. The server's own diagnostics, types and views are left out, unless it began there.
func (b *browser) visit(parent *browsed, r *ua.ReferenceDescription) {
	const idTypesFolder, idViewsFolder = 86, 87
	id := expanded(r.NodeID)
	if id == nil || r.NodeClass != ua.NodeClassObject && r.NodeClass != ua.NodeClassVariable {
		return
	}
	switch standardID(id) {
	case idServer, idTypesFolder, idViewsFolder:
		return
	}
	key := plainNodeID(id)
	if old := b.found[key]; old != nil {
		parent.children = append(parent.children, old)
		return
	}
	n := &browsed{id: id, name: nameOf(r), class: r.NodeClass, typeID: expanded(r.TypeDefinition), depth: parent.depth + 1, parent: parent,
		property: standardID(r.ReferenceTypeID) == idHasProperty}
	if r.DisplayName != nil {
		n.display = r.DisplayName.Text
	}
	b.found[key] = n
	b.nodes = append(b.nodes, n)
	parent.children = append(parent.children, n)
}

func (b *browser) note(format string, args ...any) {
	b.notes = append(b.notes, fmt.Sprintf(format, args...))
}

// progress tells how far it has come, but not too often.
func (b *browser) progress(a opcua.BrowseAnswer) {
	const pause = 200 * time.Millisecond
	if now := time.Now(); now.Sub(b.told) >= pause {
		b.told = now
		b.tell(a)
	}
}

func (b *browser) tell(a opcua.BrowseAnswer) {
	a.Seen = len(b.nodes)
	for _, n := range b.nodes {
		if n.class == ua.NodeClassVariable {
			a.Variables++
		}
	}
	b.say(a)
}

// readChains learns the types of all nodes, with those above them, by namespace and name.
func (b *browser) readChains(ctx context.Context) error {
	parents, names := map[string]string{}, map[string]typeName{}
	level := newSet(nil)
	for _, n := range b.nodes {
		level.add(n.typeID)
	}
	all := newSet(level.ids)
	for range maxSupertypes {
		if len(level.ids) == 0 {
			break
		}
		refs, err := browseAll(ctx, b.types.send, each(level.ids, ua.BrowseDirectionInverse, idHasSubtype))
		if err != nil {
			return err
		}
		values, err := readAttributes(ctx, b.types.send, level.ids, ua.AttributeIDBrowseName)
		if err != nil {
			return err
		}
		next := newSet(nil)
		for i, id := range level.ids {
			if name, ok := values[i].(*ua.QualifiedName); ok && name != nil {
				names[plainNodeID(id)] = typeName{b.namespace(name.NamespaceIndex), name.Name}
			}
			for _, r := range refs[i] {
				if target := expanded(r.NodeID); target != nil {
					parents[plainNodeID(id)] = plainNodeID(target)
					if all.add(target) {
						next.add(target)
					}
				}
			}
		}
		level = next
	}
	for _, n := range b.nodes {
		key := plainNodeID(n.typeID)
		if key == "" || b.above[key] != nil {
			continue
		}
		for up := key; up != "" && len(b.above[key]) <= maxSupertypes; up = parents[up] {
			b.above[key] = append(b.above[key], up)
			b.chains[key] = append(b.chains[key], names[up])
		}
	}
	return nil
}

func (b *browser) namespace(index uint16) string {
	if int(index) < len(b.types.namespaces) {
		return b.types.namespaces[index]
	}
	return ""
}
