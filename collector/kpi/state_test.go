package kpi

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// stateCatalogue has code tables as controls have them, and the mapping of OPC 40501-1, C.2.3.
func stateCatalogue() *Catalogue {
	row := func(state, mode string, when map[string][]int64) CodeRow {
		return CodeRow{When: when, State: state, Mode: mode}
	}
	type codes = map[string][]int64
	return &Catalogue{
		Mappings: []Mapping{
			{ID: "opc-40501-1", Version: 1, Rows: []MappingRow{
				{"executing", "processing", "apt"}, {"executing", "setup", "aust"}, {"executing", "", "apt"}, {"not_executing", "", "adot"}, {"out_of_service", "", "adet"},
			}},
			{ID: "strict", Version: 2, Rows: []MappingRow{{"executing", "processing", "apt"}, {"not_executing", "none", "adot"}}},
		},
		Codes: []CodeTable{
			{ID: "opc-40001-1", Version: 1, Roles: []string{"item_state", "operation_mode"}, Rows: []CodeRow{
				row("executing", "setup", codes{"item_state": {3}, "operation_mode": {2}}), row("executing", "processing", codes{"item_state": {3}, "operation_mode": {3}}),
				row("executing", "", codes{"item_state": {3}}), row("not_executing", "", codes{"item_state": {2}}),
				row("out_of_service", "", codes{"item_state": {1}}), row("not_available", "", codes{"item_state": {0}}),
			}},
			{ID: "sinumerik", Version: 1, Mapping: "opc-40501-1@1", Roles: []string{"program_state", "operation_mode"}, Rows: []CodeRow{
				row("executing", "processing", codes{"program_state": {3}, "operation_mode": {2}}), row("executing", "setup", codes{"program_state": {3}, "operation_mode": {0, 1}}),
				row("not_executing", "", codes{"program_state": {1, 2, 4, 5}}),
			}},
			{ID: "fanuc", Version: 1, Mapping: "strict@2", Roles: []string{"operation_state", "auto_mode", "emergency"}, Rows: []CodeRow{
				row("out_of_service", "", codes{"emergency": {1}}), row("executing", "processing", codes{"operation_state": {3, 4}, "auto_mode": {1, 10}}),
				row("executing", "setup", codes{"operation_state": {3, 4}}), row("not_executing", "none", nil),
			}},
		},
	}
}

func machineOf(t interface{ Fatal(...any) }, rules *StateRules, signals map[string]Signal) *stateMachine {
	m, err := newStateMachine(&Equipment{ID: "M-1", State: rules, Signals: signals}, stateCatalogue())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// signalsOf maps each role to the tag c/<role>.
func signalsOf(roles ...string) map[string]Signal {
	signals := map[string]Signal{}
	for _, role := range roles {
		signals[role] = Signal{Tag: "c/" + role, Factor: 1}
	}
	return signals
}

var stateWords = [...]string{"?", "not_available", "out_of_service", "not_executing", "executing"}
var modeWords = [...]string{"", "/none", "/maintenance", "/setup", "/processing"}
var elementWords = [...]string{"?", "apt", "aust", "adet", "adot", "off"}

func (c Condition) words() string {
	s := stateWords[c.State] + modeWords[c.Mode] + "=" + elementWords[c.Element]
	if c.Assumed {
		s += "(assumed)"
	}
	return s
}

// event is "250 lamp/red=1": ms, tag and value; "?" is not known, "gone" that the device does not answer.
type event struct {
	t   int64
	tag string
	v   observation
}

func parseEvent(text string) event {
	at, rest, _ := strings.Cut(text, " ")
	tag, value, _ := strings.Cut(rest, "=")
	t, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		panic(text)
	}
	e := event{t: t, tag: tag}
	x, err := strconv.ParseFloat(value, 64)
	switch {
	case value == "gone":
		e.v.unreachable = true
	case value == "?":
	case err != nil:
		e.v = observation{known: true, text: strings.Trim(value, `"`)}
	default:
		e.v = observation{known: true, value: x}
	}
	return e
}

// timeline runs the machine and tells each change of its condition, "<ms> <state>/<mode>=<element>".
func timeline(m *stateMachine, events []event, end int64) []string {
	r := m.start()
	var changes []string
	last, now := "", int64(0)
	look := func(until int64) { // the condition in [now, until)
		for now < until {
			c, next := m.at(&r, now)
			if w := c.words(); w != last {
				changes = append(changes, fmt.Sprint(now, " ", w))
				last = w
			}
			now = min(next, until)
		}
	}
	for _, e := range events {
		look(e.t)
		for i, input := range m.inputs {
			if input == e.tag {
				m.observe(&r, i, e.v, e.t)
			}
		}
	}
	look(end)
	return changes
}

// lamp blinks at 1 Hz from one moment to another, and is polled every 500 ms from the first.
func lamp(tag string, from, to int64) (events []string) {
	for t := from; t < to; t += 500 {
		events = append(events, fmt.Sprintf("%d %s=%d", t, tag, (t-from)/500%2))
	}
	return events
}

func rulesOf(rules ...StateRule) *StateRules { return &StateRules{Rules: rules} }

// Rules that several cases share.
var (
	anyRunning = StateRule{If: "c.run == 1", State: "executing"}
	anyRest    = StateRule{If: "true", State: "not_executing", Mode: "none"}
	anyMeter   = &PowerState{OffWhen: "meter.power < 0.05", OnWhen: "meter.power > 0.1", Hold: 30_000}
)

var stateCases = map[string]struct {
	rules   *StateRules
	signals map[string]Signal
	events  []string
	want    string
}{
	"the first that matches": {rulesOf(anyRunning, anyRest), nil, []string{"0 c/run=1", "700 c/run=0", "900 c/run=1"},
		"0 executing/processing=apt; 700 not_executing/none=adot; 900 executing/processing=apt"},
	"for and hold to the ms": {rulesOf(StateRule{If: "c.run == 1", For: 2000, Hold: 300, State: "executing"}, anyRest), nil,
		[]string{"0 c/run=0", "1000 c/run=1", "2999 c/run=0", "3000 c/run=1", "6000 c/run=0", "6299 c/run=1", "8000 c/run=0"},
		// Before 0 it may have been active, so for hold it may still be.
		"0 ?=?; 300 not_executing/none=adot; 5000 executing/processing=apt; 8300 not_executing/none=adot"},
	"until keeps it, then hold": {rulesOf(StateRule{If: "c.p > 2", Until: "c.p < 1", Hold: 100, State: "executing"}, anyRest), nil,
		[]string{"0 c/p=0", "500 c/p=1.5", "1000 c/p=3", "2000 c/p=1.5", "3000 c/p=0.5", "3050 c/p=1.5"},
		"0 ?=?; 100 not_executing/none=adot; 1000 executing/processing=apt; 3100 not_executing/none=adot"},
	"a blinking lamp polled at 500 ms": {
		rulesOf(StateRule{If: "blinks(lamp.red)", State: "out_of_service"}, StateRule{If: "lamp.green == 1", State: "executing"}, anyRest), nil,
		append(append([]string{"0 lamp/red=0", "0 lamp/green=1"}, lamp("lamp/red", 10_000, 20_000)...), "20000 lamp/red=0"),
		// The first poll shows 0 still; changes at 10.5, 11.0 and 11.5 s. The last three, at 19.0, 19.5 and 20.0 s, are old at 24.0 s.
		"0 executing/processing=apt; 11500 out_of_service/processing=adet; 24000 executing/processing=apt"},
	"changes around a gap do not count": {
		rulesOf(StateRule{If: "blinks(lamp.red)", State: "out_of_service"}, anyRest), nil,
		[]string{"0 lamp/red=0", "500 lamp/red=1", "1000 lamp/red=0", "1500 lamp/red=?", "2000 lamp/red=1", "2500 lamp/red=0", "3000 lamp/red=1", "3500 lamp/red=0"},
		// The three of 2.5, 3.0 and 3.5 s do.
		"0 not_executing/none=adot; 1500 ?=?; 2000 not_executing/none=adot; 3500 out_of_service/processing=adet; 7500 not_executing/none=adot"},
	"blinking green is held": {
		rulesOf(StateRule{If: "lamp.green == 1", Hold: 1500, State: "executing"}, anyRest), nil,
		append(lamp("lamp/green", 0, 10_000), "10000 lamp/green=0"),
		"0 ?=?; 500 executing/processing=apt; 11500 not_executing/none=adot"}, // last seen lit until 10.0 s
	"what may win is not passed over": {rulesOf(anyRunning, anyRest), nil,
		[]string{"0 c/run=0", "100 c/run=?", "200 c/run=1"}, "0 not_executing/none=adot; 100 ?=?; 200 executing/processing=apt"},
	"a rule above that is certain": {rulesOf(StateRule{If: "c.alarm == 1", State: "out_of_service"}, anyRunning, anyRest), nil,
		[]string{"0 c/run=?", "0 c/alarm=1", "100 c/alarm=0"}, "0 out_of_service/processing=adet; 100 ?=?"},
	"what may win has this in common": {rulesOf(StateRule{If: "c.door == 1", State: "executing", Mode: "setup"}, anyRunning, anyRest), nil,
		[]string{"0 c/run=1", "0 c/door=?", "100 c/door=1"}, "0 executing=?; 100 executing/setup=aust"},
	"unknown or true, unknown and false": {rulesOf(StateRule{If: "c.a == 1 or c.b == 1", State: "executing"}, StateRule{If: "c.a == 1 and c.b == 1", State: "out_of_service"}, anyRest), nil,
		[]string{"0 c/b=1", "100 c/b=0"}, "0 executing/processing=apt; 100 ?=?"},
	"no rule": {rulesOf(anyRunning), nil, []string{"0 c/run=1", "100 c/run=0"}, "0 executing/processing=apt; 100 ?=?"},
	"after a gap of a rule with for": {rulesOf(StateRule{If: "c.run == 1", For: 1000, State: "executing"}, anyRest), nil,
		[]string{"0 c/run=0", "500 c/run=?", "600 c/run=1", "1700 c/run=?", "9000 c/run=1"},
		// Unknown since 500: true since then at most, since 600 at least. Likewise from 9000 on.
		"0 not_executing/none=adot; 1500 ?=?; 1600 executing/processing=apt; 1700 ?=?; 10000 executing/processing=apt"},
	"off by a meter": {&StateRules{Rules: []StateRule{anyRunning, anyRest}, Power: anyMeter}, nil,
		[]string{"0 c/run=0", "0 meter/power=2", "1000 c/run=gone", "1000 meter/power=0.01", "20000 meter/power=0.07", "25000 meter/power=0.02", "70000 meter/power=0.08", "80000 meter/power=0.5", "90000 c/run=1"},
		"0 not_executing/none=adot; 1000 ?=?; 55000 ?=off; 80000 ?=?; 90000 executing/processing=apt"},
	"off does not count while it runs": {&StateRules{Rules: []StateRule{anyRunning, anyRest}, Power: anyMeter}, nil,
		[]string{"0 c/run=1", "0 meter/power=0", "40000 c/run=0"},
		"0 executing/processing=apt; 40000 not_executing/none=off"},
	"power alone": {&StateRules{Power: &PowerState{OffWhen: "meter.power < 0.05"}}, nil, []string{"0 meter/power=0", "10 meter/power=1"}, "0 ?=off; 10 ?=?"},
	"unreachable without evidence": {&StateRules{Rules: []StateRule{anyRunning, anyRest}, Unreachable: "off"}, nil,
		[]string{"100 c/run=gone", "200 c/run=1", "300 c/run=?"}, "0 ?=?; 100 ?=off(assumed); 200 executing/processing=apt; 300 ?=?"},
	"unreachable with evidence": {&StateRules{Rules: []StateRule{anyRunning, anyRest}, Power: anyMeter, Unreachable: "off"}, nil,
		[]string{"0 c/run=gone", "0 meter/power=1", "1000 meter/power=gone", "2000 meter/power=0", "32500 meter/power=gone", "33000 meter/power=3"},
		// The meter says on until 1000, so it is not off before 31000; from 2000 on it says off.
		"0 ?=?; 31000 ?=off(assumed); 32000 ?=off; 32500 ?=off(assumed); 33000 ?=?"},
	"unreachable in part": {&StateRules{Rules: []StateRule{{If: "c.run == 1 and io.lamp == 1", State: "executing"}, anyRest}, Unreachable: "off"}, nil,
		[]string{"0 c/run=gone", "0 io/lamp=1", "100 io/lamp=0"}, "0 ?=?; 100 not_executing/none=adot"},
	"OPC 40001-1": {&StateRules{Codes: "opc-40001-1@1"}, signalsOf("item_state", "operation_mode"),
		[]string{"0 c/item_state=3", "0 c/operation_mode=3", "100 c/operation_mode=2", "200 c/operation_mode=1", "300 c/item_state=2", "400 c/item_state=1", "500 c/item_state=0", "600 c/item_state=7"},
		"0 executing/processing=apt; 100 executing/setup=aust; 200 executing=apt; 300 not_executing=adot; 400 out_of_service=adet; 500 not_available=?; 600 ?=?"},
	"OPC 40001-1, the mode not known": {&StateRules{Codes: "opc-40001-1@1"}, signalsOf("item_state", "operation_mode"),
		[]string{"0 c/item_state=3", "100 c/item_state=2"}, "0 executing=?; 100 not_executing=adot"},
	"OPC 40001-1 without a mode": {&StateRules{Codes: "opc-40001-1@1"}, signalsOf("item_state"),
		[]string{"0 c/item_state=3", "100 c/item_state=2"}, "0 executing=apt; 100 not_executing=adot"},
	"Sinumerik": {&StateRules{Codes: "sinumerik@1"}, signalsOf("program_state", "operation_mode"),
		[]string{"0 c/program_state=3", "0 c/operation_mode=2", "100 c/operation_mode=1", "200 c/program_state=2", "300 c/operation_mode=?"},
		"0 executing/processing=apt; 100 executing/setup=aust; 200 not_executing=adot"},
	"FANUC, codes as texts": {&StateRules{Codes: "fanuc@1"}, signalsOf("operation_state", "auto_mode", "emergency"),
		[]string{`0 c/operation_state="3"`, `0 c/auto_mode="1"`, "0 c/emergency=0", "100 c/auto_mode=5", "200 c/operation_state=0", "300 c/emergency=1", `400 c/emergency="****"`},
		"0 executing/processing=apt; 100 executing/setup=?; 200 not_executing/none=adot; 300 out_of_service=?; 400 ?=?"},
	"inverted, and in its own unit": {rulesOf(StateRule{If: "alarm == 1", State: "out_of_service"}, StateRule{If: "power > 1", State: "executing"}, anyRest),
		map[string]Signal{"alarm": {Tag: "c/ok", Factor: 1, Invert: true}, "power": {Tag: "c/watts", Factor: 0.001}},
		[]string{"0 c/ok=1", "0 c/watts=1500", "100 c/watts=999", "200 c/ok=0"},
		"0 executing/processing=apt; 100 not_executing/none=adot; 200 out_of_service/processing=adet"},
}

func TestState(t *testing.T) {
	for name, c := range stateCases {
		t.Run(name, func(t *testing.T) {
			var events []event
			for _, text := range c.events {
				events = append(events, parseEvent(text))
			}
			if got := strings.Join(timeline(machineOf(t, c.rules, c.signals), events, 100_000), "; "); got != c.want {
				t.Errorf("\ngot  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestStateErrors(t *testing.T) {
	one := func(r StateRule) StateRules { return StateRules{Rules: []StateRule{r}} }
	for want, rules := range map[string]StateRules{
		`equipment M-1, state: rule 1: state "on"; there are [executing`:                                one(StateRule{If: "true", State: "on"}),
		`rule 1: mode "auto"; there are [maintenance none processing setup]`:                            one(StateRule{If: "true", State: "executing", Mode: "auto"}),
		`rule 1: "running == 1": running has no signal; map it in signals, or name a tag as device.tag`: one(StateRule{If: "running == 1", State: "executing"}),
		`rule 1: "a.x = 1": column 5: expected ==`:                                                      one(StateRule{If: "a.x = 1", State: "executing"}),
		`rule 1: "a.x < ": column 7: expected a number, found the end`:                                  one(StateRule{If: "true", Until: "a.x < ", State: "executing"}),
		`rule 1: "a.x < 1 kW": column 7: 1 kW has a unit that was not converted to that of a.x`:         one(StateRule{If: "a.x < 1 kW", State: "executing"}),
		`rule 1: "power > 1": signal power has the factor 0`:                                            one(StateRule{If: "power > 1", State: "executing"}),
		`rule 1: a time below 0`:                                                          one(StateRule{If: "true", For: -1, State: "executing"}),
		`power_state: "": column 1: expected a tag`:                                       {Power: &PowerState{}},
		`unreachable_means is "on"; it can be "off"`:                                      {Unreachable: "on"},
		`there is no code table "fanuc@2"; there are [opc-40001-1@1 sinumerik@1 fanuc@1]`: {Codes: "fanuc@2"},
		`there is no mapping "x@1"; there are [opc-40501-1@1 strict@2]`:                   {Mapping: "x@1", Rules: []StateRule{{If: "true", State: "executing"}}},
		`both a code table and rules`:                                                     {Codes: "fanuc@1", Rules: []StateRule{{}}},
		`code table fanuc@1 reads the roles [operation_state auto_mode emergency]; map`:   {Codes: "fanuc@1"},
	} {
		_, err := newStateMachine(&Equipment{ID: "M-1", State: &rules, Signals: map[string]Signal{"power": {Tag: "a/p"}}}, stateCatalogue())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	if m, err := newStateMachine(&Equipment{ID: "M-1"}, stateCatalogue()); m != nil || err != nil {
		t.Errorf("without rules: %v, %v", m, err)
	}
}

func TestStateClone(t *testing.T) {
	m := machineOf(t, oldLathe(), nil)
	r := m.start()
	m.observe(&r, 0, observation{known: true, value: 1}, 0)
	copied := r.clone()
	before := fmt.Sprint(copied)
	m.observe(&r, 0, observation{known: true}, 100)
	m.at(&r, 5000)
	if after := fmt.Sprint(copied); after != before {
		t.Errorf("the clone changed from %s to %s", before, after)
	}
	changed := oldLathe()
	changed.Rules[1].Hold++
	if machineOf(t, changed, nil).fits(&r) {
		t.Error("the memory of other rules fits")
	}
}

func TestStateAllocatesNothing(t *testing.T) {
	m := machineOf(t, oldLathe(), nil)
	r := m.start()
	now := int64(0)
	if n := testing.AllocsPerRun(1000, func() { stateStep(m, &r, &now) }); n != 0 {
		t.Errorf("%g allocations", n)
	}
}

// stateStep is 100 ms of a busy machine.
func stateStep(m *stateMachine, r *stateRun, now *int64) {
	*now += 100
	m.observe(r, int(*now/100)%len(m.inputs), observation{known: true, value: float64(*now / 500 % 4)}, *now)
	m.at(r, *now)
}

func BenchmarkState(b *testing.B) {
	m := machineOf(b, oldLathe(), nil)
	r := m.start()
	now := int64(0)
	b.ReportAllocs()
	for b.Loop() {
		stateStep(m, &r, &now)
	}
}
