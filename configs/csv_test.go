package configs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// readTestMap reads a map and fails if it is not good.
func readTestMap(t *rapid.T, name string, read func(d *document) *deviceMap) *deviceMap {
	d := &document{file: name, problems: &Problems{}}
	m := read(d)
	if len(*d.problems) > 0 {
		t.Fatalf("%v", *d.problems)
	}
	return m
}

// TestBadTables reads each testdata/*.bad.csv; its leading comments say all the mistakes that must be found, and no others.
func TestBadTables(t *testing.T) {
	files, err := filepath.Glob("testdata/*.bad.csv")
	if err != nil || len(files) < 3 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	whole := map[string]string{ // that can hold no comment
		"utf16.bad.csv":    "the file is UTF-16: save it as CSV UTF-8",
		"no_table.bad.csv": "the file has no table: ",
		"no_keys.bad.csv":  "3:1 A3: a point has no key \"a\"",
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for line := range strings.Lines(string(text)) {
			if w, ok := strings.CutPrefix(line, "## want: "); ok {
				want = append(want, strings.TrimSpace(w))
			}
		}
		only := whole[filepath.Base(file)]
		_, err = ReadMapTable(file)
		var got Problems
		if !errors.As(err, &got) || len(got) == 0 || only == "" && len(got) != len(want) {
			t.Errorf("%s: got %d mistakes, want %d:\n%v", file, len(got), len(want), err)
			continue
		}
		for i, p := range got {
			s := p.Message
			if p.Line > 0 {
				s = fmt.Sprintf("%d:%d%s: %s", p.Line, p.Column, strings.TrimRight(" "+p.Cell, " "), p.Message)
			}
			w := only
			if only == "" {
				w = want[i]
			}
			if !strings.HasPrefix(s, w) {
				t.Errorf("%s: got  %s\nwant %s", file, s, w)
			}
			if only != "" {
				break
			}
		}
	}
}

// TestTablesSayTheSame: what a spreadsheet saves, in UTF-8 or in GBK, and what a hand writes, with wide signs, is the map that stands in YAML.
func TestTablesSayTheSame(t *testing.T) {
	want := readForComparison("testdata/oven.map.yaml")
	files, err := filepath.Glob("testdata/oven-*.map.csv")
	if err != nil || len(files) != 3 || len(*want.problems) > 0 {
		t.Fatalf("%d files, %v, %v", len(files), err, *want.problems)
	}
	for _, file := range files {
		got := readForComparison(file)
		if len(*got.problems) > 0 || !reflect.DeepEqual(got.essence(), want.essence()) {
			t.Errorf("%s: %v\ngot  %+v\nwant %+v", file, *got.problems, got.essence(), want.essence())
		}
	}
}

// TestConvert turns every map there is into a table, and that back; ConvertMap itself compares what they say.
func TestConvert(t *testing.T) {
	names := libraryNames()
	files, err := filepath.Glob("testdata/*.map.*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Concat(names, files) {
		dir := t.TempDir()
		table, again, yaml := filepath.Join(dir, "a.csv"), filepath.Join(dir, "b.csv"), filepath.Join(dir, "a.yaml")
		if err := errors.Join(ConvertMap(name, table), ConvertMap(table, yaml), ConvertMap(yaml, again)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		a, errA := os.ReadFile(table)
		b, errB := os.ReadFile(again)
		if errA != nil || errB != nil || !bytes.Equal(a, b) {
			t.Errorf("%s: the second table differs from the first:\n%s\n%s", name, a, b)
		}
	}
}

// TestConvertRandom: texts with every sign that means something in either form come back as they were.
func TestConvertRandom(t *testing.T) {
	sign := rapid.SampledFrom([]rune("ab 1é热，；=＝|｜:：\\\"'#{}[]&*!%@`,;~-?.<>/\t"))
	text := rapid.Map(rapid.SliceOfN(sign, 0, 12), func(r []rune) string { return strings.Join(strings.Fields(string(r)), " ") })
	rapid.Check(t, func(t *rapid.T) {
		table := MapTable{Comments: []string{"for people"}, Keys: []MapKey{{"name", "a"}, {"version", "1"}, {"title", text.Draw(t, "title")}, {"source", text.Draw(t, "source")},
			{"source", text.Draw(t, "source")}, {"protocol", "opcua"}}}
		for i := range rapid.IntRange(1, 4).Draw(t, "points") {
			zh, en := text.Draw(t, "zh"), text.Draw(t, "en")
			table.Points = append(table.Points, map[string]string{"name": fmt.Sprintf("p%d", i), "label": text.Draw(t, "label"), "type": "uint16",
				"node":   "nsu=urn:" + rapid.SampledFrom([]string{"x", "y"}).Draw(t, "uri") + ";s=x" + text.Draw(t, "node"),
				"states": "1=" + escapedText(zh) + "|" + escapedText(en) + ";2=" + escapedText(text.Draw(t, "both"))})
		}
		var asTable, asYAML bytes.Buffer
		if err := errors.Join(WriteMapCSV(&asTable, table), WriteMapYAML(&asYAML, table)); err != nil {
			t.Fatal(err)
		}
		a := readTestMap(t, "a.csv", func(d *document) *deviceMap { return d.readMap(d.parseCSV(asTable.Bytes()), false) })
		b := readTestMap(t, "a.yaml", func(d *document) *deviceMap { return d.readMap(d.parse(asYAML.Bytes()), false) })
		if !reflect.DeepEqual(a.essence(), b.essence()) {
			t.Fatalf("%s\n%s\n%+v\n%+v", asTable.String(), asYAML.String(), a.essence(), b.essence())
		}
		for i, p := range a.points {
			if p.label != table.Points[i]["label"] || p.opcua.Node != table.Points[i]["node"] {
				t.Fatalf("%q, %q of %v", p.label, p.opcua.Node, table.Points[i])
			}
		}
	})
}
