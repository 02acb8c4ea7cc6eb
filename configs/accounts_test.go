package configs

import (
	"reflect"
	"testing"

	"github.com/millgate/millgate/collector/kpi"
)

// TestEquipmentExample: what the example says, in the units of the formulas.
func TestEquipmentExample(t *testing.T) {
	s := loadSite(t, "../docs/examples/equipment-site.yaml")
	c := s.KPI
	ids := make([]string, len(c.Equipment))
	for i, e := range c.Equipment {
		ids[i] = e.ID
	}
	if !reflect.DeepEqual(ids, []string{"M-0101", "K-0001", "T-0001", "M-0102"}) {
		t.Errorf("%v", ids)
	}
	want := []kpi.StateRule{
		{If: "lamp-2.red == 1 or blinks(lamp-2.red, 5s)", State: "out_of_service"},
		{If: "power > 1.2", Until: "power < 0.9", Hold: 10000, State: "executing"},
		{If: "lamp-2.green == 1", State: "not_executing"},
	}
	if lathe := c.Equipment[3]; !reflect.DeepEqual(lathe.State.Rules, want) || lathe.Life.Commissioned != "1998-05" || lathe.Life.HoursBefore != 52000 {
		t.Errorf("%+v %+v", lathe.State.Rules, lathe.Life)
	}
	if got := c.Equipment[2].Nameplate.Figures; !reflect.DeepEqual(got, map[string]float64{"rated_capacity": 500, "no_load_loss": 0.96, "load_loss": 5.1}) {
		t.Errorf("%v", got)
	}
	if compressor := c.Equipment[1]; compressor.Signals["pressure"].Factor != 1e6 || compressor.Label.Grade != 2 {
		t.Errorf("%+v", compressor)
	}
	account := c.Accounts[0]
	if len(account.Terms) != 3 || account.Terms[1].Sign != -1 || account.Terms[0].Sign != 1 || account.Output != "output-t" || account.Value != "output-value" {
		t.Errorf("%+v", account)
	}
	if gas := account.Terms[2]; gas.Tag != "gas-1/volume" || gas.Modulus != 10000000 || gas.Factor != 1 {
		t.Errorf("%+v", gas)
	}
	heat := 35200.0 // kJ/m3
	if got := c.Factors.Media[0]; got.Coal != heat/29307.6 {
		t.Errorf("%+v", got)
	}
	if got := c.Products[0]; got.Ideal != 95 || len(got.Programs) != 2 || !c.Products[1].Excluded {
		t.Errorf("%+v", c.Products)
	}
	if cal := c.Calendar; cal.Holidays["2026-10-01"] != "off" || cal.Holidays["2026-10-10"] != "work" || cal.Sources["2025"] == "" || cal.Downs[0].From != 1795564800000 {
		t.Errorf("%+v", cal.Downs)
	}
}

// TestOutputTag: a counter of tonnes or of pieces tells the output of an account; its unit goes with it.
func TestOutputTag(t *testing.T) {
	s := loadSite(t, "testdata/accounts.good.yaml")
	a := s.KPI.Accounts[0]
	if a.Output != "scale-1/steel" || a.OutputUnit != "t" || a.Benchmark != "converter-steel" || a.Capacity != 500000 {
		t.Errorf("%+v", a)
	}
	if got := a.Terms[0].Factor; got != 1000 { // MW.h
		t.Errorf("factor %v", got)
	}
	if got := a.Baseline; got.From != "2026-01-01" || got.To != "2026-01-03" || !reflect.DeepEqual(got.Drivers, []string{"output_t"}) ||
		!reflect.DeepEqual(got.Days[2], kpi.Observed{Date: "2026-01-03", Energy: 900.5, Drivers: []float64{40}}) {
		t.Errorf("%+v", got)
	}
	if len(s.KPI.Quota) != 2 || s.KPI.Quota[1] != "scale-1/steel" {
		t.Errorf("%v", s.KPI.Quota)
	}
}
