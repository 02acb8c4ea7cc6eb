package configs

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/template"

	"github.com/millgate/millgate/collector/kpi"
)

var update = flag.Bool("update", false, "write docs/kpis*.md anew from the catalogue")

// kpiPages are generated from the catalogue; the prose between the tables is in the templates.
var kpiPages = []struct {
	file, template string
	words          pageWords
}{
	{"../docs/kpis.md", "testdata/kpis.md.tmpl", pageWords{
		text: func(t kpi.Text) string { return t.EN }, yes: "verified", no: "**not verified**", or: " or ", and: ", ", open: " (", close: ")", semicolon: "; ",
		formula: "formula", unit: "unit, windows", needs: "needs", coverage: "least coverage", classes: "classes", notSaid: "caveats", example: "example", source: "source", any: "any", own: "millgate’s own definition",
		state: "state", mode: "mode", element: "element",
	}},
	{"../docs/kpis.zh-CN.md", "testdata/kpis.zh-CN.md.tmpl", pageWords{
		text: func(t kpi.Text) string { return t.ZH }, yes: "已核实", no: "**未核实**", or: " 或 ", and: "、", open: "（", close: "）", semicolon: "；",
		formula: "公式", unit: "单位、窗口", needs: "需要", coverage: "最低覆盖率", classes: "取值", notSaid: "注意", example: "示例", source: "来源", any: "任意", own: "millgate 自定",
		state: "状态", mode: "模式", element: "时间要素",
	}},
}

// TestKPIDocs: go test ./configs -run TestKPIDocs -update writes the pages.
func TestKPIDocs(t *testing.T) {
	var shapes []string
	for _, page := range kpiPages {
		parsed, err := template.New(filepath.Base(page.template)).Funcs(page.words.functions()).ParseFiles(page.template)
		if err != nil {
			t.Fatal(err)
		}
		var want bytes.Buffer
		if err := parsed.Execute(&want, Policy()); err != nil {
			t.Fatal(err)
		}
		if *update {
			if err := os.WriteFile(page.file, want.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(page.file)
		if err != nil {
			t.Fatal(err)
		}
		shapes = append(shapes, fmt.Sprint(bytes.Count(got, []byte("\n#")), bytes.Count(got, []byte("\n|")), bytes.Count(got, []byte("\n\n"))))
		if !bytes.Equal(got, want.Bytes()) {
			t.Errorf("%s is not what the catalogue gives: go test ./configs -run TestKPIDocs -update", page.file)
		}
	}
	if shapes[0] != shapes[1] {
		t.Errorf("headings, rows and paragraphs are %s in one language and %s in the other", shapes[0], shapes[1])
	}
}

// TestKPIDocsNameEveryWord finds a kind of window, a quality, an absence or a key of a basis that was added in Go and nowhere else.
func TestKPIDocsNameEveryWord(t *testing.T) {
	words := regexp.MustCompile(`(?m)^\s+\w+\s+(?:WindowKind|Grade|Absence)\s+= "([\w ]+)"|^(?:const)?\s+basis\w*\s+= "(\w+)"`)
	files, err := filepath.Glob("../collector/kpi/*.go")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range words.FindAllStringSubmatch(string(text), -1) {
			n++
			for _, page := range kpiPages {
				doc, err := os.ReadFile(page.file)
				if err != nil {
					t.Fatal(err)
				}
				if !strings.Contains(string(doc), "| `"+m[1]+m[2]+"` | ") {
					t.Errorf("%s: %s has no row of %q", file, page.template, m[1]+m[2])
				}
			}
		}
	}
	if n < 19 {
		t.Errorf("only %d words found", n)
	}
}

// pageWords are what a page says in its language between the catalogue's own texts.
type pageWords struct {
	text                                                                   func(kpi.Text) string
	yes, no, or, and, open, close, semicolon, own                          string
	formula, unit, needs, coverage, classes, notSaid, example, source, any string
	state, mode, element                                                   string
}

func (w pageWords) functions() template.FuncMap {
	return template.FuncMap{
		"t":        w.text,
		"group":    definitionsOf,
		"kpi":      w.definition,
		"windows":  windowsOf,
		"source":   w.sourceOf,
		"verified": func(s kpi.Source) string { return map[bool]string{true: w.yes, false: w.no}[s.Verified] },
		"codes":    func(list []string) string { return asCode(list, w.and) },
		"table":    w.codeTable,
		"mapping":  w.mappingTable,
		"number":   func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) },
		"sectors":  sectors,
		"signals":  signalsOf,
		"titles":   w.titles,
		"holidays": w.holidayRows,
		"roles":    kpi.Roles,
		"ref":      ref,
		"shorter":  func(s string) string { return strings.TrimPrefix(s, "operating_") },
	}
}

func definitionsOf(c *kpi.Catalogue, group string) []kpi.Definition {
	return slices.DeleteFunc(slices.Clone(c.Definitions), func(d kpi.Definition) bool { return d.Group != group })
}

func windowsOf(d kpi.Definition) string {
	words := make([]string, len(d.Windows))
	for i, w := range d.Windows {
		words[i] = string(w)
	}
	return strings.Join(words, ", ")
}

func asCode(list []string, between string) string {
	words := make([]string, len(list))
	for i, s := range list {
		words[i] = "`" + s + "`"
	}
	return strings.Join(words, between)
}

func (w pageWords) sourceOf(s kpi.Source) string {
	switch s.Name {
	case "":
		return "–"
	case "millgate":
		return w.own
	}
	text := s.Name
	if s.Clause != "" {
		text += w.open + s.Clause + w.close
	}
	return cell(text + w.semicolon + s.Where + w.semicolon + map[bool]string{true: w.yes, false: w.no}[s.Verified])
}

// cell is text that may stand in a table.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// definition is the section of one KPI below its heading.
func (w pageWords) definition(d kpi.Definition) string {
	var b strings.Builder
	row := func(name, text string) {
		if text != "" {
			fmt.Fprintf(&b, "| %s | %s |\n", name, cell(text))
		}
	}
	unit := "`" + d.Unit + "`"
	if d.Unit == "" {
		unit = "–"
	}
	needs := make([]string, len(d.Needs))
	for i, need := range d.Needs {
		needs[i] = asCode(strings.Split(need, "|"), w.or)
	}
	b.WriteString("| | |\n|---|---|\n")
	row(w.formula, w.text(d.Formula))
	row(w.unit, unit+w.semicolon+windowsOf(d))
	row(w.needs, strings.Join(needs, w.semicolon))
	row(w.classes, asCode(d.Classes, w.and))
	if d.Coverage > 0 {
		row(w.coverage, strconv.FormatFloat(d.Coverage, 'f', -1, 64))
	}
	row(w.notSaid, w.text(d.NotSaid))
	row(w.example, w.text(d.Example))
	b.WriteString("| " + w.source + " | " + w.sourceOf(d.Source) + " |\n")
	return b.String()
}

func (w pageWords) mappingTable(m kpi.Mapping) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| %s | %s | %s |\n|---|---|---|\n", w.state, w.mode, w.element)
	for _, row := range m.Rows {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", row.State, w.orAny(row.Mode), strings.ToUpper(row.Element))
	}
	return b.String()
}

func (w pageWords) orAny(mode string) string {
	if mode == "" {
		return w.any
	}
	return "`" + mode + "`"
}

func (w pageWords) codeTable(c kpi.CodeTable) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| `%s` | %s | %s |\n%s|---|---|\n", strings.Join(c.Roles, "` | `"), w.state, w.mode, strings.Repeat("|---", len(c.Roles)))
	for _, row := range c.Rows {
		for _, role := range c.Roles {
			codes := make([]string, len(row.When[role]))
			for i, code := range row.When[role] {
				codes[i] = strconv.FormatInt(code, 10)
			}
			fmt.Fprintf(&b, "| %s ", strings.Join(codes, ", "))
		}
		mode := "–"
		if row.Mode != "" {
			mode = "`" + row.Mode + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", row.State, mode)
	}
	return b.String()
}

// sector is the categories of one sector, in the catalogue's order.
type sector struct {
	Name       string
	Categories []kpi.Category
}

func sectors(c *kpi.Catalogue) (out []sector) {
	for _, category := range c.Categories {
		i := slices.IndexFunc(out, func(s sector) bool { return s.Name == category.Sector })
		if i < 0 {
			i = len(out)
			out = append(out, sector{Name: category.Sector})
		}
		out[i].Categories = append(out[i].Categories, category)
	}
	return out
}

// signals is a list of roles and the categories that have it.
type signals struct {
	Roles      []string
	Categories []kpi.Category
}

func signalsOf(c *kpi.Catalogue) (out []signals) {
	for _, category := range c.Categories {
		i := slices.IndexFunc(out, func(s signals) bool { return slices.Equal(s.Roles, category.Signals) })
		if i < 0 {
			i = len(out)
			out = append(out, signals{Roles: category.Signals})
		}
		out[i].Categories = append(out[i].Categories, category)
	}
	return out
}

func (w pageWords) titles(list []kpi.Category) string {
	titles := make([]string, len(list))
	for i, c := range list {
		titles[i] = w.text(c.Title)
	}
	return strings.Join(titles, w.and)
}

// holidayRows are the years whose holidays are embedded.
func (w pageWords) holidayRows() string {
	var b strings.Builder
	for year := 2000; year <= 2100; year++ {
		if h, ok := embeddedHolidays(year); ok {
			fmt.Fprintf(&b, "| `cn-%d` | %s | %s |\n", year, cell(h.source), map[bool]string{true: w.yes, false: w.no}[h.verified])
		}
	}
	return b.String()
}
