package worker

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/gopcua/opcua/ua"

	"github.com/millgate/millgate/drivers/opcua"
)

const (
	rootDepth  = 6      // below Objects, to which a root is searched
	rootNodes  = 20_000 // that are looked at
	namedRoots = 10     // that a message lists
)

// paths finds what stands at paths below a root, in one session.
type paths struct {
	send  sender
	uris  []string
	found map[string]*ua.NodeID // by the path; the root is ""
	types map[string]bool       // TypeDefinitions, and whether they are of the root's type
}

// findPaths gives the node at each path below root, or nil; the error says that the root was not found, and is then a ua.StatusCode at its
// end, or that nothing can be asked.
func findPaths(ctx context.Context, send sender, uris []string, root opcua.Root, wanted []string) (map[string]*ua.NodeID, error) {
	p := &paths{send: send, uris: uris, found: map[string]*ua.NodeID{}, types: map[string]bool{}}
	id, err := p.root(ctx, root)
	if err != nil {
		return nil, err
	}
	p.found[""] = id
	steps := make([][]string, len(wanted))
	for i, w := range wanted {
		steps[i] = splitPath(w)
	}
	for depth := 1; ; depth++ {
		more, err := p.descend(ctx, steps, depth)
		if err != nil || !more {
			return p.at(wanted, steps), err
		}
	}
}

// at is the found nodes by the paths as they are written.
func (p *paths) at(wanted []string, steps [][]string) map[string]*ua.NodeID {
	out := make(map[string]*ua.NodeID, len(wanted))
	for i, w := range wanted {
		out[w] = p.found[key(steps[i])]
	}
	return out
}

func key(steps []string) string { return strings.Join(steps, "\x00") }

// descend finds the nodes of all paths at one depth.
func (p *paths) descend(ctx context.Context, steps [][]string, depth int) (more bool, err error) {
	var parents []string
	var ids []*ua.NodeID
	for _, s := range steps {
		if len(s) < depth {
			continue
		}
		parent := key(s[:depth-1])
		if id := p.found[parent]; id != nil && !slices.Contains(parents, parent) {
			parents, ids = append(parents, parent), append(ids, id)
		}
	}
	if len(ids) == 0 {
		return false, nil
	}
	children, err := browseAll(ctx, p.send, each(ids, ua.BrowseDirectionForward, idHierarchical))
	if err != nil {
		return false, err
	}
	for i, parent := range parents {
		for _, r := range children[i] {
			k := nameOf(r)
			if parent != "" {
				k = parent + "\x00" + k
			}
			if p.found[k] == nil {
				p.found[k] = expanded(r.NodeID)
			}
		}
	}
	return true, nil
}

// splitPath takes a path apart at its slashes; & stands before one that belongs to a name.
func splitPath(path string) (steps []string) {
	var step strings.Builder
	escaped := false
	for _, r := range path {
		switch {
		case escaped:
			step.WriteRune(r)
			escaped = false
		case r == '&':
			escaped = true
		case r == '/':
			steps = append(steps, step.String())
			step.Reset()
		default:
			step.WriteRune(r)
		}
	}
	return append(steps, step.String())
}

// root finds the object at which the paths begin.
func (p *paths) root(ctx context.Context, root opcua.Root) (*ua.NodeID, error) {
	if root.Node != "" {
		return resolve(root.Node, p.uris)
	}
	wanted, err := resolve(root.Type, p.uris)
	if err != nil {
		return nil, fmt.Errorf("the server has no type %s: %w", root.Type, err)
	}
	all, err := p.instances(ctx, wanted)
	if err != nil {
		return nil, err
	}
	var names []string
	var match []*ua.NodeID
	for _, r := range all {
		display := ""
		if r.DisplayName != nil {
			display = r.DisplayName.Text
		}
		names = append(names, nameOf(r))
		if root.Name == "" || root.Name == nameOf(r) || root.Name == display {
			match = append(match, expanded(r.NodeID))
		}
	}
	names = names[:min(len(names), namedRoots)]
	switch {
	case len(match) == 1:
		return match[0], nil
	case len(all) == 0:
		return nil, fmt.Errorf("the server has no object of type %s: %w", root.Type, ua.StatusBadNoMatch)
	case len(match) == 0:
		return nil, fmt.Errorf("the server has no %q among the objects of type %s, which are %s: %w", root.Name, root.Type, strings.Join(names, ", "), ua.StatusBadNoMatch)
	}
	return nil, fmt.Errorf("the server has several objects of type %s: say which one the device is: %s: %w", root.Type, strings.Join(names, ", "), ua.StatusBadTooManyMatches)
}

// instances lists the objects of a type, or of one below it, level by level.
func (p *paths) instances(ctx context.Context, wanted *ua.NodeID) (found []*ua.ReferenceDescription, err error) {
	seen := newSet(nil)
	level := []*ua.NodeID{ua.NewNumericNodeID(0, idObjectsFolder)}
	for depth := 0; depth < rootDepth && len(level) > 0 && len(seen.ids) < rootNodes; depth++ {
		below, err := browseAll(ctx, p.send, each(level, ua.BrowseDirectionForward, idHierarchical))
		if err != nil {
			return nil, err
		}
		level = nil
		for _, r := range slices.Concat(below...) {
			id := expanded(r.NodeID)
			if r.NodeClass != ua.NodeClassObject || standardID(id) == idServer || !seen.add(id) {
				continue
			}
			is, err := p.isOf(ctx, r.TypeDefinition, wanted)
			if err != nil {
				return nil, err
			}
			if is {
				found = append(found, r)
			} else {
				level = append(level, id)
			}
		}
	}
	return found, nil
}

// isOf says whether a type is wanted or below it.
func (p *paths) isOf(ctx context.Context, typ *ua.ExpandedNodeID, wanted *ua.NodeID) (bool, error) {
	id := expanded(typ)
	if isNull(id) {
		return false, nil
	}
	begin := plainNodeID(id)
	if is, known := p.types[begin]; known {
		return is, nil
	}
	for steps := 0; steps < 50 && !isNull(id); steps++ {
		if plainNodeID(id) == plainNodeID(wanted) {
			p.types[begin] = true
			return true, nil
		}
		above, err := browseAll(ctx, p.send, each([]*ua.NodeID{id}, ua.BrowseDirectionInverse, idHasSubtype))
		if err != nil {
			return false, err
		}
		if id = nil; len(above[0]) > 0 {
			id = expanded(above[0][0].NodeID)
		}
	}
	p.types[begin] = false
	return false, nil
}
