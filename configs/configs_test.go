package configs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/modbus"
)

// TestBadSites loads each testdata/*.bad.yaml; its leading comments say all the mistakes that must be found, and no others.
func TestBadSites(t *testing.T) {
	files, err := filepath.Glob("testdata/*.bad.yaml")
	if err != nil || len(files) < 25 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for line := range strings.Lines(string(text)) {
			if w, ok := strings.CutPrefix(line, "# want: "); ok {
				want = append(want, strings.TrimSpace(w))
			}
		}
		_, err = Load(file)
		var got Problems
		if !errors.As(err, &got) {
			t.Errorf("%s: got %v", file, err)
			continue
		}
		if len(got) != len(want) {
			t.Errorf("%s: %d mistakes found, want %d:\n%v", file, len(got), len(want), got)
			continue
		}
		for i, p := range got {
			if s := fmt.Sprintf("%d:%d: %s", p.Line, p.Column, p.Message); !strings.HasPrefix(s, want[i]) {
				t.Errorf("%s: got  %s\nwant %s", file, s, want[i])
			}
		}
	}
}

// TestGoodSites loads every site that a reader of this repository may copy.
func TestGoodSites(t *testing.T) {
	n := 0
	for _, pattern := range []string{"testdata/*.good.yaml", "../docs/examples/*site.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			n++
			s, err := Load(file)
			if err != nil {
				t.Errorf("%s:\n%v", file, err)
				continue
			}
			checkTags(t, s)
		}
	}
	if n < 3 {
		t.Errorf("only %d sites", n)
	}
}

// checkTags says that points, rules and catalogue speak of the same tags.
func checkTags(t *testing.T, s *Site) {
	t.Helper()
	n, links := len(s.Manual), modbus.NewLinks()
	for i, d := range s.Devices {
		described := s.Catalogue.Devices[i]
		if d.Up == nil || d.Up.Name != "up" || described.ID != d.ID || described.Tags[0].Name != "up" {
			t.Errorf("device %s has no up", d.ID)
		}
		n++
		for _, g := range d.Groups {
			n += len(g.Rules)
			checkGroup(t, links, d.ID, g)
		}
	}
	if tags, err := s.Catalogue.Tags(); err != nil || len(tags) != n {
		t.Errorf("%d tags in the catalogue, %d in use, %v", len(tags), n, err)
	}
}

func checkGroup(t *testing.T, links *modbus.Links, device string, g Group) {
	t.Helper()
	var tags []*drivers.Tag
	if (g.Modbus == nil) == (g.OPCUA == nil) {
		t.Fatalf("device %s: a group is one of Modbus and OPC UA: %+v", device, g)
	}
	if g.Modbus != nil {
		plain := *g.Modbus
		plain.Link = modbus.LinkConfig{Endpoint: modbus.Endpoint{Address: "h:502"}} // of interest are the points, not a port to open
		if _, err := links.Driver(plain); err != nil {
			t.Errorf("the driver refuses what configs let pass: %v", err)
		}
		for j, p := range g.Modbus.Points {
			if tags = append(tags, p.Tag); p.Tag == nil || p.Tag.Type != p.ValueType() {
				t.Errorf("device %s point %d has tag %+v", device, j, p.Tag)
			}
		}
	} else {
		if g.OPCUA.Interval != g.Interval || g.OPCUA.Device != device {
			t.Errorf("device %s: %+v", device, g.OPCUA)
		}
		for j, p := range g.OPCUA.Points {
			if tags = append(tags, p.Tag); p.Tag == nil || p.Tag.Type != p.Type || p.Type == drivers.TypeNone {
				t.Errorf("device %s point %d has tag %+v", device, j, p.Tag)
			}
			if (p.Node == "") == (p.Path == "") || p.Path != "" && g.OPCUA.Root.Node == "" && g.OPCUA.Root.Type == "" {
				t.Errorf("device %s point %d is nowhere: %+v", device, j, p)
			}
		}
	}
	if len(g.Rules) != len(tags) {
		t.Fatalf("device %s: %d rules for %d points", device, len(g.Rules), len(tags))
	}
	for j, tag := range tags {
		if tag != g.Rules[j].Tag || tag.Device != device {
			t.Errorf("device %s point %d has tag %v, its rule %v", device, j, tag, g.Rules[j].Tag)
		}
	}
}

// where is a place for a device of the protocol.
func where(protocol string) string {
	if protocol == "opcua" {
		return `opcua: {endpoint: "opc.tcp://h"}`
	}
	return `modbus: {endpoint: "tcp://h"}`
}

// TestLibrary reads every map and uses it in a site.
func TestLibrary(t *testing.T) {
	maps := Maps()
	if len(maps) < 4 {
		t.Errorf("only %d maps", len(maps))
	}
	dir := t.TempDir()
	for _, m := range maps {
		d := document{file: m.Name, problems: &Problems{}}
		if d.readMap(d.parse(m.Text), true); len(*d.problems) > 0 {
			t.Errorf("%v", *d.problems)
		}
		site := filepath.Join(dir, m.Name+".yaml")
		text := "site: {id: s}\ngateway: {id: g}\ndevices:\n  - id: d\n    " + where(m.Protocol) + "\n    map: " + m.Name + "@" + m.Version + "\n"
		if err := os.WriteFile(site, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Load(site)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		checkTags(t, s)
		if m.Points == 0 || m.Title == "" || s.Devices[0].Map != m.Name+"@"+m.Version {
			t.Errorf("%+v", m)
		}
	}
}

func TestResolved(t *testing.T) {
	s, err := Load("testdata/full.good.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if s.Location.String() != "Asia/Shanghai" || s.Buffer.MaxSize != 1<<30 || s.Buffer.History != 48*time.Hour || s.Buffer.CommitInterval != 2*time.Second {
		t.Errorf("%+v", s.Buffer)
	}
	u := s.Uplinks[0]
	if u.TopicPrefix != "millgate/330110" || u.Window != 8 || len(u.Brokers) != 2 || u.TLS.CAFile != filepath.Join("testdata", "ca.pem") {
		t.Errorf("%+v", u)
	}
	meter := s.Devices[0]
	scale := map[string]string{}
	for _, p := range meter.Groups[0].Modbus.Points {
		scale[p.Tag.Name] = p.Scale.String()
	}
	if scale["energy"] != "4" || scale["voltage"] != "0.1" { // 0.1 × ct 40; pt at its default
		t.Errorf("scales %v", scale)
	}
	if meter.Groups[0].Modbus.MaxRegisters != 60 || meter.Groups[0].Modbus.MaxGap != -1 {
		t.Errorf("limits of the map and the site: %+v", meter.Groups[0].Modbus)
	}
	press := s.Devices[1]
	if len(press.Groups) != 2 || press.Groups[1].Interval != 100*time.Millisecond || press.Groups[1].Modbus.Timeout != 80*time.Millisecond {
		t.Errorf("groups %+v", press.Groups)
	}
	if got := press.Groups[1].Modbus.Learned; got != filepath.Join("/var/lib/millgate", "learned", "press-7-100.json") {
		t.Errorf("learned %s", got)
	}
	rule := press.Groups[0].Rules[1]
	if !rule.OnChange || rule.Deadband != 0.2 || rule.MaxSilence != time.Minute || rule.Tag.Kind != drivers.Gauge {
		t.Errorf("rule %+v", rule)
	}
	if len(s.Warnings) != 5 || !strings.Contains(s.Warnings[0].Message, "province.password can not be read here: no such file") || !strings.Contains(s.Warnings[4].Message, "broadcast") {
		t.Errorf("warnings %v", s.Warnings)
	}
}

func TestPasswordFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadSecret(file); got != "secret" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadSecret(file); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("world-readable: %v", err)
	}
}

func FuzzSite(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s := newSite("testdata/fuzz.yaml")
		if root := s.parse(text); root != nil {
			s.read(root)
		}
		site, err := s.resolve()
		if (site == nil) == (err == nil) {
			t.Fatalf("%v, %v", site, err)
		}
		if site != nil {
			checkTags(t, site)
		}
	})
}

func FuzzMap(f *testing.F) {
	for _, m := range Maps() {
		f.Add(m.Text)
	}
	files, err := filepath.Glob("testdata/*.map.*")
	if err != nil || len(files) == 0 {
		f.Fatal(err)
	}
	tables, err := filepath.Glob("testdata/*.bad.csv")
	if err != nil || len(tables) == 0 {
		f.Fatal(err)
	}
	for _, file := range append(files, tables...) {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) { // as either form: a map that is good in one must survive being written in the other
		d := document{file: "map.yaml", problems: &Problems{}}
		d.readMap(d.parse(text), true)
		table := document{file: "map.csv", problems: &Problems{}}
		root := table.parseCSV(text)
		m := table.readMap(root, false)
		if len(*table.problems) > 0 {
			return
		}
		var out bytes.Buffer
		if err := WriteMapYAML(&out, tableOf(root, m, nil)); err != nil {
			t.Fatal(err)
		}
		again := document{file: "again.yaml", problems: &Problems{}}
		same := again.readMap(again.parse(out.Bytes()), false)
		if len(*again.problems) > 0 || !reflect.DeepEqual(m.essence(), same.essence()) {
			t.Fatalf("%v\n%s\n%+v\n%+v", *again.problems, out.String(), m.essence(), same.essence())
		}
	})
}
