package kpi

import (
	"strings"
	"testing"
)

func TestPlanErrors(t *testing.T) {
	for want, change := range map[string]func(c *Config){
		`equipment "M-1": category "mill" is not in the catalogue`:  func(c *Config) { c.Equipment[0].Category = "mill" },
		`equipment "M-1": signal "powr" is not a role`:              func(c *Config) { c.Equipment[0].Signals["powr"] = Signal{Tag: "m/power", Factor: 1} },
		`equipment "M-1": signal "power": "power" names no tag`:     func(c *Config) { c.Equipment[0].Signals["power"] = Signal{Tag: "power", Factor: 1} },
		`equipment "M-1": signal "power": the factor`:               func(c *Config) { c.Equipment[0].Signals["power"] = Signal{Tag: "m/power"} },
		`equipment "M-1": signal "power": share 2`:                  func(c *Config) { c.Equipment[0].Signals["power"] = Signal{Tag: "m/power", Factor: 1, Share: 2} },
		`equipment "M-1": equipment M-1, state: rule 1`:             func(c *Config) { c.Equipment[0].State.Rules[0].If = "c.run =" },
		`equipment "M-1": program "O1" makes both "flange" and "x"`: func(c *Config) { c.Products = append(c.Products, Product{ID: "x", Programs: []string{"O1"}}) },
		`product "warm-up" is excluded and has an ideal cycle`:      func(c *Config) { c.Products[1].Ideal = 3 },
		`id "M-1": equipment and accounts need ids of their own`:    func(c *Config) { c.Accounts[0].ID = "M-1" },
		`id "site": equipment and accounts need ids of their own`:   func(c *Config) { c.Accounts[0].ID = "site" },
		`equipment "M-2": was "M-1", but that id is still in use`:   func(c *Config) { c.Equipment[1].Was = "M-1" },
		`account "A-1": term 1: sign 0 is neither`:                  func(c *Config) { c.Accounts[0].Terms[0].Sign = 0 },
		`account "A-1": "scrap" is neither a tag (device/tag) nor`:  func(c *Config) { c.Accounts[0].Output = "scrap" },
		`input "scrap": there is no equipment and no account "M-9"`: func(c *Config) { c.Inputs[0].Subject = "M-9" },
		`input "scrap": period "hour" is not shift, day or month`:   func(c *Config) { c.Inputs[0].Period = "hour" },
		`input "tonnes": inputs need ids of their own`:              func(c *Config) { c.Inputs[0].ID = "tonnes" },
		`calendar: time zone "Asia/Hangzhou" is not known`:          func(c *Config) { c.Calendar.Timezone = "Asia/Hangzhou" },
	} {
		c := shopFloor()
		change(c)
		if _, err := NewPlan(c, fullCatalogue()); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	cat := fullCatalogue()
	cat.Definitions = append(cat.Definitions, Definition{ID: "happiness", Version: 1, Scope: scopeEquipment, Windows: WindowKinds})
	if _, err := NewPlan(shopFloor(), cat); err == nil || !strings.HasPrefix(err.Error(), `definition "happiness"`) {
		t.Errorf("a definition without a formula: %v", err)
	}
}

func TestPlanOfNothing(t *testing.T) {
	p, err := NewPlan(&Config{}, &Catalogue{})
	if err != nil {
		t.Fatal(err)
	}
	e := NewEngine(p)
	q := newPlant(lathe())
	for _, b := range q.minutes(localTime("2026-11-24 09:00"), localTime("2026-11-24 09:40"), 1) {
		if out := e.Take(b); len(out.Reports) > 0 {
			t.Fatalf("%s", asJSON(out))
		}
	}
}
