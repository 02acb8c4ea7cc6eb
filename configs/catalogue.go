package configs

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/goccy/go-yaml/ast"

	"github.com/millgate/millgate/collector/kpi"
)

//go:embed catalogue/*.yaml
var catalogueFiles embed.FS

var embeddedPolicy = sync.OnceValue(func() *kpi.Catalogue {
	p := readPolicy(catalogueFiles)
	if len(p.problems) > 0 {
		panic(fmt.Sprintf("BUG: the embedded catalogue has mistakes:\n%v", p.problems.sorted()))
	}
	return &p.Catalogue
})

// Policy is what policy and standards say, with sources: the definitions of the KPIs, the kinds of equipment, codes, coefficients, limits. It is
// read once from the embedded files and never changes.
func Policy() *kpi.Catalogue { return embeddedPolicy() }

// policy is the catalogue while it is read.
type policy struct {
	kpi.Catalogue
	sources  map[string]kpi.Source
	profiles map[string]profile
	lives    map[string]life
	later    []func() // checks that need all files
	problems Problems
}

// policyFile is one file of the catalogue.
type policyFile struct {
	document
	*policy
}

// readPolicy reads all files of the folder catalogue but those of holidays.
func readPolicy(files fs.FS) *policy {
	p := &policy{sources: map[string]kpi.Source{}, profiles: map[string]profile{}, lives: map[string]life{}}
	names, err := fs.Glob(files, "catalogue/*.yaml")
	if err != nil {
		panic(err) // of a pattern that is not one
	}
	bodies := map[*policyFile]ast.Node{}
	var order []*policyFile
	for _, name := range names {
		if strings.HasPrefix(path.Base(name), holidayPrefix) {
			continue
		}
		f := &policyFile{document{file: name, problems: &p.problems}, p}
		data, err := fs.ReadFile(files, name)
		if err != nil {
			f.whole("can not be read: %v", err)
			continue
		}
		if body := f.parse(data); body != nil {
			bodies[f] = body
			order = append(order, f)
		}
	}
	for _, first := range []bool{true, false} { // what others refer to comes first, whatever file it is in
		for _, f := range order {
			f.object(bodies[f], "the file", f.sections(first)...)
		}
	}
	for _, check := range p.later {
		check()
	}
	return p
}

// sections are the keys of a file: those of one pass, and those that the other one reads.
func (f *policyFile) sections(first bool) []field {
	shared, others := f.shared(), f.others()
	skipped := shared
	if first {
		skipped = others
	}
	for i := range skipped {
		skipped[i].read = func(ast.Node) {}
	}
	return slices.Concat(shared, others)
}

// shared is what the rest of the catalogue refers to.
func (f *policyFile) shared() []field {
	return []field{
		may("sources", f.readSources),
		may("figures", f.readFigures),
		may("lives", f.readLives),
		may("profiles", f.readProfiles),
	}
}

func (f *policyFile) others() []field {
	return []field{
		may("definitions", f.list("definitions", f.readDefinition)),
		may("categories", f.list("categories", f.readCategory)),
		may("code_tables", f.list("code_tables", f.readCodeTable)),
		may("mappings", f.list("mappings", f.readMapping)),
		may("coal_sets", f.list("coal_sets", f.readCoalSet)),
		may("grids", f.list("grids", f.readGrid)),
		may("benchmarks", f.list("benchmarks", f.readBenchmark)),
		may("eliminated", f.list("eliminated", f.readEliminated)),
		may("grades", f.list("grades", f.readGrade)),
		may("constants", f.list("constants", f.readConstant)),
	}
}

// readSources reads the documents that figures come from, by the name under which the files refer to them.
func (f *policyFile) readSources(n ast.Node) {
	pairs, _ := f.pairs(n, "sources")
	for _, pair := range pairs {
		name := pair.Key.GetToken().Value
		if _, twice := f.policy.sources[name]; twice {
			f.at(pair.Key, "source %q is there already", name)
		}
		var s kpi.Source
		f.object(pair.Value, "source", must("name", f.text(&s.Name)), may("in_force", f.matching(&s.InForce, dateForm, dateRule)),
			must("where", f.text(&s.Where)), must("verified", f.boolean(&s.Verified)))
		f.policy.sources[name] = s
	}
}

// source reads the name of a source, or {of: name, …} with the clause, and with what differs from the rest of the document. No figure is
// verified by a word: only a source that was verified makes it so.
func (f *policyFile) source(into *kpi.Source) func(ast.Node) {
	return func(n ast.Node) {
		if !isMapping(n) {
			f.named(n, n, into)
			return
		}
		var of ast.Node
		var clause, where string
		verified := true
		at := nodes{}
		f.object(n, "source", at.keeping(must("of", func(n ast.Node) { of = n }), may("clause", f.text(&clause)), may("where", f.text(&where)),
			may("verified", f.boolean(&verified)))...)
		if of == nil {
			return
		}
		f.named(of, n, into)
		into.Clause = clause
		if where != "" {
			into.Where = where
		}
		if !verified && !into.Verified {
			f.at(at.of("verified"), "source %s is not verified anyway: leave the word out", of.GetToken().Value)
		}
		into.Verified = into.Verified && verified
	}
}

func (f *policyFile) named(n, at ast.Node, into *kpi.Source) {
	name, _ := f.scalar(n, "the name of a source is expected")
	s, ok := f.policy.sources[name]
	if !ok && name != "" {
		f.at(at, "there is no source %q%s", name, suggestion(name, keysOf(f.policy.sources)))
	}
	*into = s
}

// said reads {zh: …, en: …}.
func (d *document) said(into *kpi.Text) func(ast.Node) {
	return func(n ast.Node) {
		d.object(n, "text", must("zh", d.text(&into.ZH)), must("en", d.text(&into.EN)))
	}
}

// several reads a list of words, each once and each among known.
func (d *document) several(into *[]string, what string, known ...string) func(ast.Node) {
	return d.list(what, func(n ast.Node) {
		var word string
		d.choice(&word, what, known...)(n)
		if slices.Contains(*into, word) {
			d.at(n, "%q stands here a second time", word)
			return
		}
		if word != "" {
			*into = append(*into, word)
		}
	})
}

// once notes a second entry of the same id.
func once[T any](f *policyFile, n ast.Node, what, id string, there []T, idOf func(T) string) {
	if id != "" && slices.ContainsFunc(there, func(t T) bool { return idOf(t) == id }) {
		f.at(n, "%s %q is there already", what, id)
	}
}

func keysOf[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
