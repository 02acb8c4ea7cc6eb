package uplink

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/millgate/millgate/buffer"
	"github.com/millgate/millgate/collector/kpi"
	"github.com/millgate/millgate/drivers"
)

var languages = map[string]func(drivers.CauseText) string{
	"../docs/messages.md":       func(c drivers.CauseText) string { return c.EN },
	"../docs/messages.zh-CN.md": func(c drivers.CauseText) string { return c.ZH },
}

func readDoc(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestDocsListEveryCauseAndKind(t *testing.T) {
	kinds := regexp.MustCompile(`EventKind = "(\w+)"`).FindAllStringSubmatch(readDoc(t, "../drivers/event.go"), -1)
	if len(kinds) == 0 {
		t.Fatal("no kinds of event found")
	}
	for file, meaning := range languages {
		doc := readDoc(t, file)
		for _, c := range drivers.Causes() {
			if row := "| `" + string(c.Cause) + "` | " + meaning(c) + " |\n"; !strings.Contains(doc, row) {
				t.Errorf("%s lacks the row %s", file, row)
			}
		}
		for _, k := range kinds {
			if !strings.Contains(doc, "\n| `"+k[1]+"` | ") {
				t.Errorf("%s lacks the kind %s", file, k[1])
			}
		}
	}
}

// TestDocsListEveryReasonGradeAndAbsence: the tables are closed lists, the same as the code's.
func TestDocsListEveryReasonGradeAndAbsence(t *testing.T) {
	code := readDoc(t, "../collector/kpi/result.go")
	for head, constant := range map[string]string{"reason": `Reason\w+`, "quality": `\w+ +Grade`, "absent": `\w+ +Absence`} {
		var want []string
		for _, m := range regexp.MustCompile(`\t`+constant+` += "(\w+)"`).FindAllStringSubmatch(code, -1) {
			want = append(want, m[1])
		}
		for file := range languages {
			table := regexp.MustCompile(`(?s)\n\| ` + head + ` \| [^\n]+\n\|---\|---\|\n(.*?)\n\n`).FindStringSubmatch(readDoc(t, file))
			if table == nil {
				t.Fatalf("%s has no table of %s", file, head)
			}
			var got []string
			for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| .+ \\|$").FindAllStringSubmatch(table[1], -1) {
				got = append(got, m[1])
			}
			if len(want) == 0 || !reflect.DeepEqual(got, want) {
				t.Errorf("%s lists %s %q, the code has %q", file, head, got, want)
			}
		}
	}
}

func TestDocsExamplesFollowTheSchemas(t *testing.T) {
	for file := range languages {
		examples := regexp.MustCompile("(?s)```json\n(.*?)```").FindAllStringSubmatch(readDoc(t, file), -1)
		order := []string{"readings", "kpis", "events", "catalogue", "status"}
		if len(examples) != len(order) {
			t.Fatalf("%s has %d examples", file, len(examples))
		}
		for i, name := range order {
			if err := validate(schemaOf(t, name), []byte(examples[i][1])); err != nil {
				t.Errorf("%s: the example of %s: %v", file, name, err)
			}
		}
	}
}

// TestSchemasAndDocsNameEveryMember finds a member that was added in Go and nowhere else.
func TestSchemasAndDocsNameEveryMember(t *testing.T) {
	members := map[string][]any{
		"readings":  {Object{}},
		"kpis":      {kpi.Report{}, kpi.Window{}, kpi.Position{}, kpi.Result{}},
		"events":    {drivers.Event{}, drivers.BlockRange{}, drivers.EventText{}},
		"catalogue": {buffer.Catalogue{}, buffer.CatalogueDevice{}, buffer.CatalogueTag{}},
		"status":    {Status{}, PendingStatus{}, ClockStatus{}, LedgerStatus{}, buffer.PreviousEpoch{}},
	}
	for name, types := range members {
		schema := readDoc(t, "../docs/schema/"+name+".schema.json")
		for _, typ := range types {
			for _, f := range reflect.VisibleFields(reflect.TypeOf(typ)) {
				member, _, _ := strings.Cut(f.Tag.Get("json"), ",")
				if !strings.Contains(schema, `"`+member+`": {`) {
					t.Errorf("%s.schema.json lacks %q of %T", name, member, typ)
				}
				for file := range languages {
					if !strings.Contains(readDoc(t, file), member) {
						t.Errorf("%s lacks %q of %T", file, member, typ)
					}
				}
			}
		}
	}
}
