package configs

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/goccy/go-yaml/ast"

	"github.com/millgate/millgate/collector/kpi"
)

var (
	kindForm    = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	mappingForm = regexp.MustCompile(`^[A-Za-z0-9]+([-.][A-Za-z0-9]+)*$`)
	itemStates  = []string{"executing", "not_executing", "out_of_service", "not_available"}
	itemModes   = []string{"processing", "setup", "maintenance", "none"}
	elements    = []string{"apt", "aust", "adet", "adot"}
)

// readMapping reads one table from state and mode to time elements.
func (f *policyFile) readMapping(n ast.Node) {
	var m kpi.Mapping
	at := nodes{}
	f.object(n, "mapping", at.keeping(
		must("id", f.matching(&m.ID, mappingForm, "the id of a mapping is letters, digits, - and .")),
		must("version", f.integer(&m.Version, 1, 999, "version")),
		must("title", f.said(&m.Title)),
		may("upper", f.boolean(&m.Upper)),
		must("rows", f.list("rows", func(n ast.Node) { m.Rows = append(m.Rows, f.mappingRow(n, m.Rows)) })),
		must("source", f.source(&m.Source)),
	)...)
	once(f, at.of("id"), "mapping", ref(m.ID, m.Version), f.Mappings, func(other kpi.Mapping) string { return ref(other.ID, other.Version) })
	f.Mappings = append(f.Mappings, m)
}

func (f *policyFile) mappingRow(n ast.Node, above []kpi.MappingRow) kpi.MappingRow {
	var row kpi.MappingRow
	f.object(n, "row", must("state", f.choice(&row.State, "state", itemStates...)), may("mode", f.choice(&row.Mode, "mode", itemModes...)),
		must("element", f.choice(&row.Element, "element", elements...)))
	if slices.ContainsFunc(above, func(a kpi.MappingRow) bool { return a.State == row.State && (a.Mode == "" || a.Mode == row.Mode) }) {
		f.at(n, "a row above matches whatever this one does")
	}
	return row
}

// readCodeTable reads the codes of one kind of control.
func (f *policyFile) readCodeTable(n ast.Node) {
	var t kpi.CodeTable
	var rows ast.Node
	at := nodes{}
	f.object(n, "code table", at.keeping(
		must("id", f.matching(&t.ID, kindForm, "the id of a code table is small letters, digits and -")),
		must("version", f.integer(&t.Version, 1, 999, "version")),
		must("title", f.said(&t.Title)),
		must("roles", f.several(&t.Roles, "roles", f.stateRoles()...)),
		must("mapping", f.text(&t.Mapping)),
		must("rows", func(n ast.Node) { rows = n }),
		must("source", f.source(&t.Source)),
	)...)
	if rows != nil { // last: roles may stand below it
		f.list("rows", func(n ast.Node) { t.Rows = append(t.Rows, f.codeRow(n, t.Roles)) })(rows)
	}
	once(f, at.of("id"), "code table", ref(t.ID, t.Version), f.Codes, func(other kpi.CodeTable) string { return ref(other.ID, other.Version) })
	f.later = append(f.later, func() { f.checkMapping(at.of("mapping"), t.Mapping) })
	f.Codes = append(f.Codes, t)
}

func (f *policyFile) checkMapping(n ast.Node, name string) {
	var names []string
	for _, m := range f.Mappings {
		names = append(names, ref(m.ID, m.Version))
	}
	if !slices.Contains(names, name) {
		f.at(n, "there is no mapping %q%s", name, suggestion(name, names))
	}
}

// stateRoles are the roles whose values are codes or flags.
func (f *policyFile) stateRoles() []string {
	var names []string
	for _, r := range kpi.Roles() {
		if r.How == kpi.Coded || r.How == kpi.Timed {
			names = append(names, r.Name)
		}
	}
	return names
}

func (f *policyFile) codeRow(n ast.Node, roles []string) kpi.CodeRow {
	row := kpi.CodeRow{When: map[string][]int64{}}
	f.object(n, "row", must("when", func(n ast.Node) {
		pairs, _ := f.pairs(n, "when")
		for _, pair := range pairs {
			role := pair.Key.GetToken().Value
			if !slices.Contains(roles, role) {
				f.at(pair.Key, "%q is not among the table's roles%s", role, suggestion(role, roles))
			}
			row.When[role] = f.codes(pair.Value)
		}
	}), must("state", f.choice(&row.State, "state", itemStates...)), may("mode", f.choice(&row.Mode, "mode", itemModes...)))
	return row
}

// codes reads one code or a list of them.
func (f *policyFile) codes(n ast.Node) []int64 {
	var codes []int64
	one := func(n ast.Node) {
		var code int
		f.integer(&code, -1<<31, 1<<31-1, "code")(n)
		codes = append(codes, int64(code))
	}
	if _, many := n.(*ast.SequenceNode); many {
		f.list("codes", one)(n)
	} else {
		one(n)
	}
	return codes
}

func ref(id string, version int) string { return fmt.Sprintf("%s@%d", id, version) }
