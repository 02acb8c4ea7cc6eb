package configs

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/millgate/millgate/collector/kpi"
	"github.com/millgate/millgate/drivers"
)

func loadSite(t *testing.T, file string) *Site {
	t.Helper()
	s, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEquipment(t *testing.T) {
	s := loadSite(t, "testdata/equipment.good.yaml")
	if s.KPI == nil || s.Catalogue.KPI != s.KPI || len(s.KPI.Equipment) != 1 {
		t.Fatalf("%+v", s.KPI)
	}
	e := s.KPI.Equipment[0]
	if e.Life.Manufactured != "2011-12" || e.Life.Commissioned != "2012-05-01" || e.Nameplate.RatedPower != 15 || e.Nameplate.OriginalValue != 480000 {
		t.Errorf("%+v %+v", e.Life, e.Nameplate)
	}
	want := map[string]kpi.Signal{
		"program_state": {Tag: "cnc-1/program_status", Factor: 1},
		"energy":        {Tag: "meter-1/energy_import", Factor: 1, Modulus: 40000000, Resolution: 0.4},
		"power":         {Tag: "meter-1/power_total", Factor: 0.001},
		"parts":         {Tag: "cnc-1/part_count", Factor: 1},
	}
	for role, w := range want {
		got := e.Signals[role]
		if role == "energy" { // as its map says
			p := knownTag(t, s, "meter-1", "energy_import")
			w.Modulus, w.Resolution = p.Modulus, p.Resolution
		}
		if got != w {
			t.Errorf("%s: %+v, want %+v", role, got, w)
		}
	}
	if got := e.State.Power; got.OffWhen != "meter-1.power_total < 50" || got.Hold != 30000 {
		t.Errorf("%+v", got)
	}
	c := s.KPI.Calendar
	if c.DayStart != 480 || !reflect.DeepEqual(c.Shifts[0].Days, []int{1, 2, 3, 4, 5}) || !reflect.DeepEqual(c.Shifts[0].Breaks, [][2]int{{720, 750}}) || c.Timezone != "Asia/Shanghai" {
		t.Errorf("%+v", c)
	}
}

func knownTag(t *testing.T, s *Site, device, tag string) (found struct{ Modulus, Resolution float64 }) {
	t.Helper()
	for _, d := range s.Catalogue.Devices {
		for _, known := range d.Tags {
			if d.ID == device && known.Name == tag {
				found.Modulus, found.Resolution = known.Modulus, known.Resolution
				return found
			}
		}
	}
	t.Fatalf("no tag %s/%s", device, tag)
	return found
}

// TestManualDevice: what people enter is a device like others, behind all others, so that no other tag moves.
func TestManualDevice(t *testing.T) {
	s := loadSite(t, "testdata/equipment.good.yaml")
	last := s.Catalogue.Devices[len(s.Catalogue.Devices)-1]
	if last.ID != kpi.ManualDevice || last.Protocol != "manual" || len(last.Tags) != 4 {
		t.Fatalf("%+v", last)
	}
	tags, err := s.Catalogue.Tags()
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"up", "scrap-0101", "scrap-0101.by", kpi.SwapTag} {
		tag := s.Manual[name]
		if tag == nil || tag.Index != len(tags)-4+i || tag.Device != kpi.ManualDevice {
			t.Errorf("%s: %+v", name, tag)
		}
	}
	if tag := s.Manual["scrap-0101"]; tag.Kind != drivers.Gauge || tag.Type != drivers.TypeFloat64 || last.Tags[1].Source != "manual" {
		t.Errorf("%+v", tag)
	}
	if plain := loadSite(t, "testdata/minimal.good.yaml"); plain.KPI != nil || plain.Manual != nil || plain.Catalogue.KPI != nil {
		t.Errorf("a site without equipment has %+v, %v", plain.KPI, plain.Manual)
	}
}

// TestLedgersSayTheSame: what a spreadsheet saves, in UTF-8 or in GBK, with wide signs and Chinese dates, is the ledger that stands in YAML.
func TestLedgersSayTheSame(t *testing.T) {
	want := loadSite(t, "testdata/ledger.good.yaml").KPI
	for _, name := range []string{"ledger-gbk", "ledger-excel"} {
		got := loadSite(t, "testdata/"+name+".good.yaml").KPI
		a, _ := json.Marshal(want)
		b, _ := json.Marshal(got)
		if string(a) != string(b) {
			t.Errorf("%s:\ngot  %s\nwant %s", name, b, a)
		}
	}
}

func TestCells(t *testing.T) {
	_, err := Load("testdata/ledger.bad.yaml")
	if err == nil || !strings.Contains(err.Error(), "testdata/ledger_bad.csv:2:8 (cell H2): \"2012-13\": there is no such day") {
		t.Errorf("%v", err)
	}
}

func TestDates(t *testing.T) {
	for text, want := range map[string]string{
		"2012": "2012", "2012年": "2012", "2012-05": "2012-05", "2012-5": "2012-05", "2012/5": "2012-05", "2012年5月": "2012-05", "２０１２年５月": "2012-05",
		"2012-05-01": "2012-05-01", "2012/5/1": "2012-05-01", "2012年5月1日": "2012-05-01", "2012 年 5 月 1 日": "2012-05-01", "2012/5/1 0:00": "2012-05-01",
		"2012-02-29": "2012-02-29", " 2012 ": "2012",
		"": "", "12": "", "2013-02-29": "", "2012-00": "", "2012.5": "", "2012-5-1-1": "", "20120501": "", "1712": "", "2012/5/1 8:00": "", "May 2012": "",
	} {
		got, err := parseDate(text)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
}

func TestUnits(t *testing.T) {
	for _, c := range []struct {
		from, to string
		factor   float64 // 0: not possible
	}{
		{"W", "kW", 0.001}, {"MW", "kW", 1000}, {"W.h", "kW.h", 0.001}, {"MW.h", "kW.h", 1000}, {"GJ", "kW.h", 1e3 / 3.6}, {"MJ", "kW.h", 1 / 3.6}, {"J", "kW.h", 1 / 3.6e6},
		{"s", "h", 1. / 3600}, {"min", "h", 1. / 60}, {"ms", "h", 1. / 3600000}, {"bar", "Pa", 100000}, {"MPa", "Pa", 1e6}, {"kPa", "Pa", 1000}, {"L/min", "m3/h", 0.06},
		{"m3/h", "m3/min", 1. / 60}, {"m3/min", "m3/h", 60}, {"kg", "t", 0.001}, {"g", "t", 1e-6}, {"kV.A", "kVA", 1}, {"VA", "kVA", 0.001}, {"var", "kvar", 0.001},
		{"{parts}", "", 1}, {"1", "", 1}, {"", "1", 1}, {"%", "1", 0.01}, {"kWh", "kW.h", 1}, {"t/h", "kg/s", 1. / 3.6}, {"kg", "kg", 1}, {"furlong", "furlong", 1},
		{"kW", "kW.h", 0}, {"K", "Cel", 0}, {"Cel", "K", 0}, {"furlong", "m", 0}, {"m", "furlong", 0}, {"var", "kW", 0}, {"Nm3", "m3", 0},
	} {
		got, err := unitFactor(c.from, c.to)
		if got != c.factor || (err == nil) != (c.factor != 0) {
			t.Errorf("%s to %s: %v, %v; want %v", c.from, c.to, got, err, c.factor)
		}
		if err != nil && (!strings.Contains(err.Error(), c.from) || !strings.Contains(err.Error(), c.to)) {
			t.Errorf("%s to %s: the error does not name both: %v", c.from, c.to, err)
		}
	}
	for name, m := range measures { // no unit of one kind is without the size that makes it convertible
		if f, err := unitFactor(name, name); err != nil || f != 1 || m.size == "" {
			t.Errorf("%s: %v, %v", name, f, err)
		}
	}
}

func FuzzLedger(f *testing.F) {
	files, err := filepath.Glob("testdata/ledger*.csv")
	if err != nil || len(files) == 0 {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("date,energy,parts\n2026-01-01,1,2\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s := newSite("testdata/fuzz.yaml")
		s.read(s.parse([]byte("site: {id: s}\ngateway: {id: g}\ndevices:\n  - {id: meter-1, modbus: {endpoint: \"tcp://h\"}, map: chint-dtsu666}\n")))
		d := &document{file: "ledger.csv", problems: s.problems}
		for _, row := range d.parseLedger(text) {
			s.readEquipment(d, row)
		}
		site, err := s.resolve()
		if (site == nil) == (err == nil) {
			t.Fatalf("%v, %v", site, err)
		}
		if site != nil {
			site.Catalogue.Hash() // can be written as JSON
		}
		other := document{file: "baseline.csv", problems: &Problems{}}
		other.readBaselineRows(text, &kpi.Baseline{})
	})
}
