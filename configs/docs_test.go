package configs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestSiteDocsLoad loads what docs/site.md shows about equipment, in both languages: each block with the devices of the example and with
// what else the blocks say.
func TestSiteDocsLoad(t *testing.T) {
	example, err := os.ReadFile("../docs/examples/equipment-site.yaml")
	if err != nil {
		t.Fatal(err)
	}
	devices, _, ok := strings.Cut(string(example), "\ncalendar:")
	if !ok {
		t.Fatal("the example has no calendar")
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```")
	for file, from := range map[string]string{"../docs/site.md": "\n## Equipment\n", "../docs/site.zh-CN.md": "\n## equipment（设备台账）\n"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, chapters, ok := strings.Cut(string(text), from)
		if !ok {
			t.Errorf("%s has no chapter %q", file, strings.TrimSpace(from))
			continue
		}
		var equipment, rest []string
		for _, m := range blocks.FindAllStringSubmatch(chapters, -1) {
			if strings.HasPrefix(m[1], "equipment:") {
				equipment = append(equipment, m[1])
			} else {
				rest = append(rest, m[1])
			}
		}
		if len(equipment) < 4 || len(rest) < 4 {
			t.Errorf("%s: %d and %d blocks", file, len(equipment), len(rest))
		}
		for i, block := range equipment {
			dir := t.TempDir()
			table, err := os.ReadFile("../docs/examples/equipment.csv")
			if err != nil {
				t.Fatal(err)
			}
			site := devices + "\n" + block
			if i == 0 { // of this equipment the other blocks speak
				site += strings.Join(rest, "")
			}
			if err := os.WriteFile(filepath.Join(dir, "equipment.csv"), table, 0o600); err != nil {
				t.Fatal(err)
			}
			name := filepath.Join(dir, "site.yaml")
			if err := os.WriteFile(name, []byte(site), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Load(name); err != nil {
				t.Errorf("%s, block %d:\n%v\n%s", file, i+1, err, block)
			}
		}
	}
}
