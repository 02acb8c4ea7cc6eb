package kpisim

import (
	"fmt"

	"github.com/millgate/millgate/collector/kpi"
)

// Category, code table and mappings that the factory refers to; a catalogue must have them.
const (
	Category  = "machine-tool"
	Codes     = "opc40001@1"
	StateOnly = "state-only@1"
)

// config is what the site's file would say.
func config() *kpi.Config {
	weekdays := []int{1, 2, 3, 4, 5}
	c := &kpi.Config{Calendar: &kpi.Calendar{
		Timezone: "Asia/Shanghai", DayStart: 8 * 60,
		Shifts: []kpi.Shift{
			{ID: "day", From: 8 * 60, To: 16 * 60, Days: weekdays, Breaks: [][2]int{{12 * 60, 12*60 + 30}}},
			{ID: "late", From: 16 * 60, To: 23*60 + 30, Days: weekdays},
			{ID: "night", From: 23*60 + 30, To: 7*60 + 30, Days: weekdays, Breaks: [][2]int{{23*60 + 50, 10}, {180, 210}}},
		},
		Holidays: map[string]string{"2026-09-20": "work", "2026-09-25": "off", "2026-09-26": "off", "2026-09-27": "off"},
	}}
	for n := 1; n <= 8; n++ {
		c.Equipment = append(c.Equipment, equipment(&machine{number: n}))
	}
	return c
}

func equipment(m *machine) kpi.Equipment {
	own := func(device, tag string) string { return fmt.Sprintf("%s-%d/%s", device, m.number, tag) }
	e := kpi.Equipment{ID: m.id(), Category: Category, State: &kpi.StateRules{}}
	e.Signals = map[string]kpi.Signal{}
	if m.offAtNight() {
		e.Shifts = []string{"day", "late"}
	}
	if m.metered() {
		e.Signals["power"] = kpi.Signal{Tag: own("meter", "power"), Factor: 1, Resolution: 0.01}
		e.State.Power = &kpi.PowerState{OffWhen: fmt.Sprintf("power < %g", offBelow), OnWhen: "power > 0.1", Hold: offFor}
	} else {
		e.State.Unreachable = "off"
	}
	if m.counted() {
		e.Signals["energy"] = kpi.Signal{Tag: own("meter", "energy"), Factor: 1, Resolution: 0.01, Modulus: float64(wheel) / 100}
	}
	if !m.old() {
		e.State.Codes = Codes
		e.Signals["item_state"] = kpi.Signal{Tag: own("cnc", "state"), Factor: 1}
		e.Signals["operation_mode"] = kpi.Signal{Tag: own("cnc", "mode"), Factor: 1}
		e.Signals["parts"] = kpi.Signal{Tag: own("cnc", "parts"), Factor: 1}
		return e
	}
	e.Signals["parts"] = kpi.Signal{Tag: fmt.Sprintf("io-1/parts-%d", m.number), Factor: 1}
	e.State.Mapping = StateOnly
	e.State.Rules = []kpi.StateRule{
		{If: fmt.Sprintf("blinks(io-1.red-%d)", m.number), State: "out_of_service"},
		{If: fmt.Sprintf("io-1.green-%d == 1 and power > 2", m.number), Until: "power < 1", State: "executing"},
		{If: "true", State: "not_executing", Mode: "none"},
	}
	return e
}
