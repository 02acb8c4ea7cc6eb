package configs

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millgate/millgate/buffer"
	"github.com/millgate/millgate/collector"
	"github.com/millgate/millgate/collector/kpi"
	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/modbus"
)

func loadGood(t *testing.T, file string) *Site {
	t.Helper()
	s, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestLinks(t *testing.T) {
	s := loadGood(t, "testdata/links.good.yaml")
	want := map[string]modbus.LinkConfig{
		"values": {Endpoint: modbus.Endpoint{Transport: modbus.Serial, Framing: modbus.RTU, Address: "/dev/serial/by-id/usb-FTDI_FT232R-port0"},
			Baud: 19200, DataBits: 8, Parity: 'E', StopBits: 1, PauseBetween: 20 * time.Millisecond, PauseAfterConnect: time.Second, Turnaround: 10 * time.Millisecond},
		"bridged": {Endpoint: modbus.Endpoint{Transport: modbus.TCP, Framing: modbus.RTU, Address: "192.168.1.30:4001"}, Baud: 9600, DataBits: 8, Parity: 'N', StopBits: 1},
		"dtu-a":   {Endpoint: modbus.Endpoint{Transport: modbus.Listen, Framing: modbus.RTU, Address: ":5020"}, Registration: "hz-dtu-001", Heartbeat: "\xfe"},
		"dtu-b": {Endpoint: modbus.Endpoint{Transport: modbus.Listen, Framing: modbus.MBAP, Address: ":5020"}, Registration: "\x01\x02", InFlight: 2,
			Baud: 9600, DataBits: 8, Parity: 'N', StopBits: 1},
		"plc": {Endpoint: modbus.Endpoint{Transport: modbus.TLS, Framing: modbus.MBAP, Address: "plc.example:802"}, InFlight: 4, PauseAfterConnect: time.Second,
			TLS: modbus.TLSFiles{CA: "testdata/ca.pem", Cert: "testdata/gw.pem", Key: "testdata/gw.key", ServerName: "plc"}},
		"ascii": {Endpoint: modbus.Endpoint{Transport: modbus.TCP, Framing: modbus.ASCII, Address: "192.168.1.31:502"}},
		"usb": {Endpoint: modbus.Endpoint{Transport: modbus.Serial, Framing: modbus.RTU, Address: "/dev/ttyUSB9"},
			Baud: 9600, DataBits: 8, Parity: 'O', StopBits: 1},
	}
	for _, d := range s.Devices {
		w, ok := want[d.ID]
		for _, g := range d.Groups {
			if ok && g.Modbus.Link != w {
				t.Errorf("device %s: %+v\nwant %+v", d.ID, g.Modbus.Link, w)
			}
		}
	}
	for _, timeout := range []struct {
		device int
		want   time.Duration
	}{{0, 300 * time.Millisecond}, {1, 200 * time.Millisecond}, {3, time.Second}} {
		if got := s.Devices[timeout.device].Groups[0].Modbus.Timeout; got != timeout.want {
			t.Errorf("timeout of %s: %v, want %v", s.Devices[timeout.device].ID, got, timeout.want)
		}
	}
	var warned []string
	for _, w := range s.Warnings {
		warned = append(warned, w.Message)
	}
	text := strings.Join(warned, "\n")
	for _, want := range []string{`no device uses the link "spare"`, "ca.pem can not be read here", "/dev/ttyUSB9 names whichever adapter was found first: name it by"} {
		if !strings.Contains(text, want) {
			t.Errorf("no warning %q in\n%s", want, text)
		}
	}
	if len(warned) != 5 {
		t.Errorf("warnings\n%s", text)
	}
}

func TestSerialPortByID(t *testing.T) {
	dir := t.TempDir()
	byID := filepath.Join(dir, "by-id")
	old := serialByID
	serialByID = byID
	t.Cleanup(func() { serialByID = old })
	if err := os.Mkdir(byID, 0o700); err != nil {
		t.Fatal(err)
	}
	// /dev/ttyUSB… may not exist here: what the link leads to need not, either.
	for name, to := range map[string]string{"a": "port-a", "b": "port-b"} {
		if err := os.WriteFile(filepath.Join(dir, to), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join(dir, to), filepath.Join(byID, name)); err != nil {
			t.Skipf("this system or user can make no symbolic links: %v", err)
		}
	}
	if got := byIDName(filepath.Join(dir, "port-b")); got != filepath.Join(byID, "b") {
		t.Errorf("by-id %q", got)
	}
	if got := byIDName(filepath.Join(dir, "port-c")); got != "" {
		t.Errorf("by-id %q of nothing", got)
	}

	// One port by two names is one line, and must be written one way.
	site := filepath.Join(dir, "site.yaml")
	text := "site: {id: s}\ngateway: {id: g}\ndevices:\n"
	for i, port := range []string{filepath.Join(byID, "a"), filepath.Join(dir, "port-a")} {
		text += fmt.Sprintf("  - {id: d%d, modbus: {endpoint: \"rtu://%s\", unit: 1}, points: [{name: a, table: coil, address: 0, type: bool}]}\n", i, port)
	}
	if err := os.WriteFile(site, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Load(site)
	for _, want := range []string{"which spells it rtu://" + filepath.Join(byID, "a"), `where device "d0" is already`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
}

func TestLines(t *testing.T) {
	s := loadGood(t, "testdata/links.good.yaml")
	var names []string
	for _, l := range s.Lines {
		names = append(names, l.Name)
		if l.Use <= 0 || l.Use > 1 || l.Requests == 0 || l.Needs() <= 0 || l.Needs() > l.Cycle {
			t.Errorf("line %+v", l)
		}
	}
	if want := []string{"line-1", "bridge-1", "dtu-2", "rtu:///dev/ttyUSB9"}; !slices.Equal(names, want) {
		t.Errorf("lines %v, want %v", names, want)
	}
	first := s.Lines[0]
	use := 0.0
	for _, d := range s.Devices[:2] {
		for _, g := range d.Groups {
			use += float64(modbus.CycleCost(*g.Modbus)) / float64(g.Interval)
		}
	}
	if first.Use != use || first.Cycle != 5*time.Second || !slices.Equal(first.Devices, []string{"values", "values-2"}) {
		t.Errorf("%+v, want use %v", first, use)
	}
}

// taken is one point with all that was made of it.
type taken struct {
	point modbus.Point
	rule  collector.TagRule
	tag   buffer.CatalogueTag
	every time.Duration
}

func pointsOf(s *Site, device int) map[string]taken {
	out := map[string]taken{}
	for _, g := range s.Devices[device].Groups {
		for i, p := range g.Modbus.Points {
			for _, tag := range s.Catalogue.Devices[device].Tags {
				if tag.Name == p.Tag.Name {
					out[tag.Name] = taken{p, g.Rules[i], tag, g.Interval}
				}
			}
		}
	}
	return out
}

func TestValues(t *testing.T) {
	s := loadGood(t, "testdata/links.good.yaml")
	changed, plain := pointsOf(s, 0), pointsOf(s, 1)

	// Map, variant and site lie over each other, and another device keeps what the map says.
	if e := changed["energy"]; e.point.Address != 100 || e.point.WordOrder != modbus.BADC || e.tag.Label != "电能" || e.every != time.Minute || e.point.Scale.String() != "0.8" {
		t.Errorf("energy %+v", e)
	}
	if e := plain["energy"]; e.point.Address != 0 || e.point.WordOrder != modbus.ABCD || e.every != 5*time.Second || e.point.Scale.String() != "0.02" {
		t.Errorf("energy of the other %+v", e)
	}
	for _, name := range []string{"pressure", "total"} {
		if _, there := changed[name]; there {
			t.Errorf("%s is read", name)
		}
		if _, there := plain[name]; !there {
			t.Errorf("%s is not read", name)
		}
	}

	// A counter begins again where the map says, else where its type ends; in the tag's unit, so with the params.
	for name, want := range map[string]kpi.CounterRule{
		"energy":  {Modulus: 79999999.2, MaxRate: 40}, // 999999.99 × 40 × 2, 0.5 × 40 × 2
		"strokes": {Modulus: 65536, MaxRate: 4},
		"parts":   {Modulus: 1e9},
		"run":     {},
	} {
		if got := changed[name].rule.Counter; got == nil || *got != want {
			t.Errorf("counter %s: %+v, want %+v", name, got, want)
		}
	}
	if got := plain["total"].rule.Counter; got == nil || got.Modulus != 1<<64 {
		t.Errorf("total %+v", got)
	}
	if tag := changed["energy"].tag; tag.Modulus != 79999999.2 || tag.Resolution != 0.8 || changed["strokes"].tag.Modulus != 0 {
		t.Errorf("catalogue %+v", tag)
	}
	if changed["temperature"].rule.Counter != nil {
		t.Error("a gauge counts")
	}

	for device, want := range []float64{40, 1} {
		rule := pointsOf(s, device)["ct_ratio"].rule
		if rule.Expect == nil || *rule.Expect != (collector.Expectation{Param: "ct", Value: want}) {
			t.Errorf("ct_ratio of device %d should be %+v", device, rule.Expect)
		}
	}
	for name, want := range map[string][]uint64{
		"temperature": {0x8000, 0xD8F1}, "pressure": {0xC479C000, 0x7FFFFFFF}, "strokes": {0xFFFF}, "parts": {0xFFFFFFFF}, "total": {1<<64 - 1},
	} {
		if got := plain[name].point.Invalid; !slices.Equal(got, want) {
			t.Errorf("%s is invalid at %x, want %x", name, got, want)
		}
	}
}

func TestStatesAndAlarms(t *testing.T) {
	points := pointsOf(loadGood(t, "testdata/links.good.yaml"), 1)
	mode := points["mode"]
	states := []collector.StateText{{Code: 0, Text: drivers.EventText{ZH: "停机", EN: "stopped"}}, {Code: 1, Text: drivers.EventText{ZH: "运行", EN: "running"}},
		{Code: 15, Text: drivers.EventText{ZH: "15", EN: "15"}}}
	if mode.point.Bits != (modbus.BitRange{Low: 4, Count: 4}) || !slices.Equal(mode.rule.States, states) || mode.tag.Kind != "state" || mode.tag.States[1].ZH != "运行" {
		t.Errorf("mode %+v", mode)
	}
	if p := points["enabled"].point; p.Bits != (modbus.BitRange{Low: 3, Count: 1}) {
		t.Errorf("enabled %+v", p)
	}
	faults := points["faults"]
	alarms := []collector.Alarm{{Bit: 0, Severity: drivers.Severe, Text: drivers.EventText{ZH: "过流", EN: "overcurrent"}},
		{Bit: 31, Severity: drivers.Warning, Text: drivers.EventText{ZH: "断线", EN: "断线"}}}
	if !slices.Equal(faults.rule.Alarms, alarms) || faults.tag.Kind != "state" || faults.tag.Alarms[31].Severity != drivers.Warning {
		t.Errorf("faults %+v", faults)
	}
	if level := points["level"].rule.States; len(level) != 1 || level[0].Code != -1 {
		t.Errorf("level %+v", level)
	}
}
