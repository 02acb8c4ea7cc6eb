package worker

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/gopcua/opcua/ua"

	"github.com/millgate/millgate/drivers/opcua"
)

// claim is a variable of which a companion specification says what it is.
type claim struct {
	spec    string
	part    *partRule
	owner   *browsed // the object that the rule is about
	node    *browsed
	machine *browsed // nil: none
	tag     string   // without the machine's prefix
}

// recognise finds the machines and what is known of them, in the order of the rules.
func (b *browser) recognise() (machines []opcua.BrowsedMachine, claims []*claim) {
	for _, n := range b.nodes {
		for _, rule := range b.rulesOf(n) {
			switch {
			case rule.machine:
				n.machine = true
			case rule.parent && n.parent != nil && n.parent != b.start:
				n.parent.machine = true
			}
		}
	}
	for _, n := range b.nodes {
		for _, rule := range b.rulesOf(n) {
			for i := range rule.parts {
				part := &rule.parts[i]
				node := n.child(part.path)
				if node == nil || node.claimedBy != nil || node.variable == nil || len(b.partRows(part, node)) == 0 {
					continue
				}
				node.claimedBy = &claim{spec: rule.spec, part: part, owner: n, node: node, machine: n.machineAbove()}
				claims = append(claims, node.claimedBy)
			}
		}
	}
	roots := b.machinesOf(claims)
	for i, m := range roots {
		machine := opcua.BrowsedMachine{Name: m.display, Node: mapNodeID(m.id, b.types.namespaces), Spec: b.specOf(m)}
		if machine.Name == "" {
			machine.Name = m.name
		}
		if len(roots) > 1 {
			machine.Prefix = prefixOf(m, i, machines)
		}
		machines = append(machines, machine)
	}
	for _, m := range append(slices.Clone(roots), nil) {
		b.nameClaims(claims, m)
	}
	order := func(c *claim) int {
		if i := slices.Index(roots, c.machine); i >= 0 {
			return i
		}
		return len(roots)
	}
	slices.SortStableFunc(claims, func(x, y *claim) int {
		return cmp.Or(cmp.Compare(order(x), order(y)), cmp.Compare(partOrder(x.part), partOrder(y.part)), strings.Compare(x.tag, y.tag))
	})
	return machines, claims
}

// partOrder is where a part stands among all rules, what machines have first.
func partOrder(p *partRule) int {
	if i := slices.Index(firstTags, p.tag); i >= 0 {
		return i - len(firstTags)
	}
	n := 0
	for i := range objectRules {
		for j := range objectRules[i].parts {
			if &objectRules[i].parts[j] == p {
				return n
			}
			n++
		}
	}
	return n
}

// firstTags are what KPIs of a machine begin with.
var firstTags = []string{"item_state", "machinery_mode"}

func (b *browser) rulesOf(n *browsed) []*objectRule {
	if n.class != ua.NodeClassObject {
		return nil
	}
	return rulesFor(b.chains[plainNodeID(n.typeID)])
}

// machineAbove is the outermost machine that holds the node, or that it is.
func (b *browsed) machineAbove() (m *browsed) {
	for ; b != nil; b = b.parent {
		if b.machine {
			m = b
		}
	}
	return m
}

// machinesOf is the machines of claims in the order of their paths. A machine of which nothing is known is none.
func (b *browser) machinesOf(claims []*claim) []*browsed {
	var roots []*browsed
	for _, c := range claims {
		if c.machine != nil && !slices.Contains(roots, c.machine) {
			roots = append(roots, c.machine)
		}
	}
	slices.SortStableFunc(roots, func(x, y *browsed) int { return slices.Compare(x.path(), y.path()) })
	return roots
}

// specOf is the specification that makes the object a machine: that of its type, else that of general machinery.
func (b *browser) specOf(m *browsed) string {
	for _, rule := range b.rulesOf(m) {
		if rule.machine {
			return rule.spec
		}
	}
	return "OPC 40001-1"
}

// prefixOf is the prefix of a machine among several.
func prefixOf(m *browsed, number int, before []opcua.BrowsedMachine) string {
	prefix := slug(m.name)
	taken := slices.ContainsFunc(before, func(o opcua.BrowsedMachine) bool { return o.Prefix == prefix })
	if prefix == "" || taken || prefix[0] >= '0' && prefix[0] <= '9' {
		return fmt.Sprintf("m%d", number+1)
	}
	return prefix
}

// nameClaims gives the tags of one machine their names. Of several with one name the one that stands highest keeps it, if there is one; the others have
// the name of what they belong to in front.
func (b *browser) nameClaims(claims []*claim, machine *browsed) {
	groups := map[string][]*claim{}
	var tags []string
	for _, c := range claims {
		if c.machine != machine {
			continue
		}
		if groups[c.part.tag] == nil {
			tags = append(tags, c.part.tag)
		}
		groups[c.part.tag] = append(groups[c.part.tag], c)
	}
	for _, tag := range tags {
		group := groups[tag]
		slices.SortStableFunc(group, func(x, y *claim) int {
			return cmp.Or(cmp.Compare(x.owner.depth, y.owner.depth), slices.Compare(x.owner.path(), y.owner.path()))
		})
		if len(group) == 1 || group[0].owner.depth < group[1].owner.depth {
			group[0].tag = tag
			group = group[1:]
		}
		prefixes := distinct(group)
		for i, c := range group {
			c.tag = joined(prefixes[i], tag)
		}
	}
}

// joined is spindle1_override for spindle1 and spindle_override.
func joined(prefix, tag string) string {
	if word, rest, more := strings.Cut(tag, "_"); more && strings.HasPrefix(prefix, word) {
		tag = rest
	}
	return prefix + "_" + tag
}

// distinct is a name for the owner of each claim: its own, or that of what holds it, whichever tells them apart; else numbers.
func distinct(group []*claim) []string {
	const levels = 4
	for level := range levels {
		var names []string
		for _, c := range group {
			at := c.owner
			for range level {
				if at.parent != nil {
					at = at.parent
				}
			}
			if name := slug(at.name); name != "" && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		if len(names) == len(group) {
			return names
		}
	}
	numbers := make([]string, len(group))
	for i := range group {
		numbers[i] = fmt.Sprintf("n%d", i+1)
	}
	return numbers
}

// partRows is the rows of a variable of which the rule speaks.
func (b *browser) partRows(part *partRule, node *browsed) []opcua.BrowseRow {
	rows := b.rowsOf(node)
	if part.sel != "" {
		return slices.DeleteFunc(rows, func(r opcua.BrowseRow) bool { return !part.takes(r.Select) })
	}
	return slices.DeleteFunc(rows, func(r opcua.BrowseRow) bool { return r.Select != "" })
}

// takes says whether the part is this of its variable. Some servers have a single structure where an array of them is meant.
func (p *partRule) takes(sel string) bool { return sel == p.sel || "[0]"+sel == p.sel }

// result makes the rows: what is known first, then everything else.
func (b *browser) result() *opcua.BrowseResult {
	machines, claims := b.recognise()
	prefixes := map[*browsed]string{}
	for _, c := range claims {
		for _, m := range machines {
			if c.machine != nil && m.Node == mapNodeID(c.machine.id, b.types.namespaces) && m.Prefix != "" {
				prefixes[c.machine] = m.Prefix + "_"
			}
		}
	}
	result := &opcua.BrowseResult{Machines: []opcua.BrowsedMachine{}, Rows: []opcua.BrowseRow{}}
	shown := map[string]bool{} // NodeIDs of the machines that have a row
	taken := map[string]bool{}
	for _, c := range claims {
		for _, r := range b.partRows(c.part, c.node) {
			r.Name, r.Spec = unique(prefixes[c.machine]+c.tag, taken), c.spec
			r.Label = c.part.label
			if c.part.kind != "" && (r.Type != "string" || c.part.kind == "text") {
				r.Kind = c.part.kind
			}
			if c.part.unit != "" {
				r.Unit = c.part.unit
			}
			if c.part.states != "" && r.Type != "string" {
				r.States = named(c.part.states, r.States)
			}
			if b.filter(r.Name, r.Path) {
				result.Rows = append(result.Rows, r)
				if c.machine != nil {
					shown[mapNodeID(c.machine.id, b.types.namespaces)] = true
				}
			}
		}
	}
	for _, m := range machines {
		if shown[m.Node] {
			result.Machines = append(result.Machines, m)
		}
	}
	result.Rows = append(result.Rows, slices.DeleteFunc(b.others(taken), func(r opcua.BrowseRow) bool { return !b.filter(r.Name, r.Path) })...)
	result.Notes = b.notes
	return result
}

// others is the rows of the variables that no rule speaks of, by path.
func (b *browser) others(taken map[string]bool) (rows []opcua.BrowseRow) {
	var list []*browsed
	for _, n := range b.nodes {
		if n.class == ua.NodeClassVariable && n.variable != nil && !n.claimedBy.whole() && b.wanted(n) {
			list = append(list, n)
		}
	}
	slices.SortStableFunc(list, func(x, y *browsed) int { return slices.Compare(x.path(), y.path()) })
	names := namesFor(list, taken)
	left := 0
	for i, n := range list {
		all := b.rowsOf(n)
		if len(all) == 0 && len(b.elements(n.variable)) == 0 {
			left++
		}
		for _, r := range all {
			if n.claimedBy != nil && n.claimedBy.part.takes(r.Select) {
				continue
			}
			r.Name = unique(names[i]+selectName(r.Select), taken)
			rows = append(rows, r)
		}
	}
	if left > 0 {
		b.note("%d variables have no value that a map can hold, such as empty arrays and structures that the server does not describe", left)
	}
	return rows
}

// whole says that the claim takes all of its variable.
func (c *claim) whole() bool { return c != nil && c.part.sel == "" }

// wanted leaves out what describes something else.
func (b *browser) wanted(n *browsed) bool {
	switch {
	case describing[n.name] && n.property:
		return false
	case n.parent != nil && n.parent.name == "CurrentState" && (n.name == "Id" || n.name == "Number"):
		return false // they are in the row of CurrentState
	}
	return !n.property || b.ask.Properties || n == b.start
}
