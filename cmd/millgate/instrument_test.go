package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millgate/millgate/collector"
	"github.com/millgate/millgate/configs"
	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/modbus"
)

// TestInstrumentsOfTheLibrary: whatever map of the library is simulated, every point can hold what it shows, over an hour, and what a
// meter shows belongs together.
func TestInstrumentsOfTheLibrary(t *testing.T) {
	var devices strings.Builder
	for i, m := range configs.Maps() {
		if m.Protocol != "modbus" {
			continue // TestSimulateOPCUALibrary
		}
		fmt.Fprintf(&devices, "- {id: d%d, modbus: {endpoint: \"tcp://127.0.0.1:%d\", unit: 1}, map: %s}\n", i, i+1, m.Name)
	}
	file := filepath.Join(t.TempDir(), "site.yaml")
	text := "site: {id: s}\ngateway: {id: g}\ndevices:\n" + devices.String()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	site, err := configs.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range site.Devices {
		l := loadOf(d.ID)
		for s := range 3600 {
			l.step(time.Unix(int64(s), 0).UTC(), time.Second)
		}
		shown := map[string]float64{} // in units without prefix
		for _, g := range d.Groups {
			for i, p := range g.Modbus.Points {
				value := instrumentFor(g.Rules[i])(l)
				if _, err := modbus.Encode(p, drivers.Float64Value(value)); err != nil {
					t.Errorf("%s: %s shows %v: %v", d.Map, p.Tag.Name, value, err)
				}
				scale, _ := siPrefix(p.Tag.Unit)
				shown[p.Tag.Name] = value / scale
			}
		}
		if _, meter := shown["energy_import"]; meter {
			checkMeter(t, d.Map, shown, l)
		}
	}
}

func checkMeter(t *testing.T, name string, shown map[string]float64, l *load) {
	t.Helper()
	equal := func(what string, want float64) {
		t.Helper()
		if got, ok := shown[what]; ok && math.Abs(got-want) > 1e-9*math.Abs(want) {
			t.Errorf("%s: %s is %v, want %v", name, what, got, want)
		}
	}
	equal("energy_import", 1000*l.energy)
	equal("energy_import_a", 1000*l.energy*l.share[0])
	equal("energy_export", 0)
	if _, threePhases := shown["power_c"]; threePhases {
		equal("power_total", shown["power_a"]+shown["power_b"]+shown["power_c"])
	}
	equal("power_a", l.watts[0])
	equal("current_b", l.amps[1])
	equal("voltage_c", l.volts[2])
	equal("voltage_average", (l.volts[0]+l.volts[1]+l.volts[2])/3)
	equal("voltage_ab", math.Sqrt(3)*(l.volts[0]+l.volts[1])/2)
	equal("frequency", l.hertz())
	equal("power_factor_total", l.pf)
	if p, s := shown["power_total"], shown["apparent_power_total"]; s != 0 && math.Abs(p/s-l.pf) > 1e-9 {
		t.Errorf("%s: power factor is %v, but P/S = %v", name, l.pf, p/s)
	}
	if p, s, q := shown["power_total"], shown["apparent_power_total"], shown["reactive_power_total"]; s != 0 && math.Abs(math.Hypot(p, q)-s) > 1e-6*s {
		t.Errorf("%s: S = %v, but √(P²+Q²) = %v", name, s, math.Hypot(p, q))
	}
}

// TestInstrumentsOfMachines: points of a site's own show what their name, unit and kind say.
func TestInstrumentsOfMachines(t *testing.T) {
	l := newLoad(1)
	l.state, l.level, l.parts, l.heat, l.hours = machineAlarm, 0.5, 17, 40, 99
	for _, test := range []struct {
		tag  drivers.Tag
		want float64
	}{
		{drivers.Tag{Name: "running", Type: drivers.TypeBool}, 0},
		{drivers.Tag{Name: "alarm", Type: drivers.TypeBool}, 1},
		{drivers.Tag{Name: "state", Kind: drivers.State}, float64(machineAlarm)},
		{drivers.Tag{Name: "fault_code", Kind: drivers.State}, 1},
		{drivers.Tag{Name: "strokes", Kind: drivers.Counter}, 17},
		{drivers.Tag{Name: "spindle_load", Unit: "%"}, 50},
		{drivers.Tag{Name: "oil", Unit: "Cel"}, 40},
		{drivers.Tag{Name: "run_time", Unit: "h", Kind: drivers.Counter}, 99},
		{drivers.Tag{Name: "output_frequency", Unit: "Hz"}, 25},
		{drivers.Tag{Name: "pressure", Unit: "bar"}, 5.5},
		{drivers.Tag{Name: "depth", Unit: "mm"}, 5.5},
	} {
		if got := instrumentFor(collector.TagRule{Tag: &test.tag})(l); got != test.want {
			t.Errorf("%+v shows %v, want %v", test.tag, got, test.want)
		}
	}
}
