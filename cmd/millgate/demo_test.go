package main

import (
	"context"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/millgate/millgate/drivers"
)

// TestDemo runs all of it for a few seconds, twice in the same folder: the second run goes on with the queue of the first.
func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("runs for seconds")
	}
	dir := t.TempDir()
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		d, err := openDemo(dir, 0)
		if err != nil {
			t.Fatal(err)
		}
		before := towards(d.before)
		var out strings.Builder
		s := newScreen(&out, d)
		if err := d.run(ctx, s); err != nil {
			t.Error(err)
		}
		cancel()
		checkScreen(t, s)
		if err := d.close(); err != nil {
			t.Error(err)
		}
		if err := d.conclude(&out); err != nil {
			t.Errorf("%v\n%s", err, &out)
		}
		if got := d.board.received().readings; got < 100 || got != towards(d.after).Acknowledged-before.Acknowledged {
			t.Errorf("%d readings received, %d acknowledged before, %d after", got, before.Acknowledged, towards(d.after).Acknowledged)
		}
		for _, device := range d.after.Ledger.Devices {
			if device.Good == 0 || len(device.Bad) > 0 {
				t.Errorf("device %s: %d good, bad %v", device.Device, device.Good, device.Bad)
			}
		}
	}
}

// checkScreen draws what a terminal would show: every device is up, and has what devices of its kind have.
func checkScreen(t *testing.T, s *screen) {
	t.Helper()
	var drawn strings.Builder
	s.w, s.live = &drawn, true
	if err := s.show(time.Now()); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(drawn.String(), clearHome) {
		t.Errorf("the terminal is not cleared: %q", drawn.String()[:20])
	}
	for _, row := range []string{
		`cnc-1 +up +(off|idle|running|alarm) +[0-9]+ +- +- +[0-9.]+ °C +一号立式加工中心`,
		`press-1 +up +(off|idle|running|alarm) +[0-9]+ +- +- +[0-9.]+ °C +一号冲床`,
		`meter-oven +up +- +- +[0-9.]+ kW +[0-9.]+ kWh +- +热处理炉电表`,
		`meter-cnc +up +- +- +[0-9.]+ kW +[0-9.]+ kWh +- +加工中心电表`,
		`meter-press +up +- +- +[0-9.]+ kW +[0-9.]+ kWh +- +冲床电表`,
		`meter-air +up +- +- +[0-9.]+ kW +[0-9.]+ kWh +- +空压站电表`,
		`meter-lathe +up +- +- +[0-9.]+ kW +[0-9.]+ kWh +- +老车床电表`,
		`so far +producing +waiting +alarm +off +unknown +parts +energy +age +over 10 a +name`,
		`M-01 .* [0-9]+ +[0-9.]+ kWh +[0-9]+\.[0-9]+ a +no +一号立式加工中心`,
		`M-02 .* - +[0-9.]+ kWh +[0-9]+\.[0-9]+ a +yes +老车床`,
		`K-01 +- +- +- +- +- +- +[0-9.]+ kWh +[0-9]+\.[0-9]+ a +- +一号空压机`,
		`readings +[1-9][0-9]* stored, [1-9][0-9]* acknowledged, 0 pending`,
	} {
		if !regexp.MustCompile(`(?m)^` + row).MatchString(drawn.String()) {
			t.Errorf("nothing like %s in\n%s", row, drawn.String())
		}
	}
}

// TestDemoTellsLoss: what the broker acknowledged and the subscriber did not get is an error, and so is a ledger that does not balance.
func TestDemoTellsLoss(t *testing.T) {
	d, err := openDemo(t.TempDir(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.close(); err != nil {
			t.Error(err)
		}
	}()
	var out strings.Builder
	d.after = d.before
	if err := d.conclude(&out); err != nil {
		t.Errorf("nothing happened: %v\n%s", err, &out)
	}
	d.after = d.gateway.queue.Snapshot()
	d.after.Ledger.Uplinks[0].Acknowledged, d.after.Ledger.Uplinks[0].Stored = 7, 7
	if err := d.conclude(&out); err == nil || !strings.Contains(err.Error(), "did not receive") {
		t.Errorf("seven readings are lost: %v\n%s", err, &out)
	}
	d.after.Ledger.Uplinks[0].Stored = 8
	if err := d.conclude(&out); err == nil || !strings.Contains(err.Error(), "balance") {
		t.Errorf("one reading is nowhere: %v\n%s", err, &out)
	}
}

// TestDemoMeters: a meter shows the power and the energy of the machine in its supply, and they stay the same load over time.
func TestDemoMeters(t *testing.T) {
	d, err := openDemo(t.TempDir(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.close(); err != nil {
			t.Error(err)
		}
	}()
	loads := map[string]*load{}
	now := time.Now()
	for i := range d.simulator.devices {
		device := &d.simulator.devices[i]
		loads[device.id] = device.load
		for step := range 600 {
			device.load.step(now.Add(time.Duration(step)*simulationStep), simulationStep)
		}
	}
	for meter, machine := range demoSupply {
		if a, b := loads[meter], loads[machine]; a == nil || b == nil || a.power() != b.power() || a.parts != b.parts {
			t.Errorf("%s measures %+v, but %s is %+v", meter, a, machine, b)
		}
	}
	for _, device := range d.simulator.devices {
		for _, p := range device.points {
			var want float64
			switch {
			case p.tag.Name == "energy_import" && p.tag.Unit == "kW.h":
				want = device.load.energy
			case p.tag.Name == "energy_import" && p.tag.Unit == "W.h":
				want = device.load.energy * 1000
			case p.tag.Name == "power_total" && p.tag.Unit == "W":
				want = device.load.power()
			case p.tag.Name == "parts" && p.tag.Kind == drivers.Counter:
				want = device.load.parts
			default:
				continue
			}
			if got := p.shows(device.load); math.Abs(got-want) > 1e-9*want {
				t.Errorf("%s shows %v, want %v", p.tag, got, want)
			}
		}
	}
}
