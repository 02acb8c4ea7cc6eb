package kpi

import (
	"encoding/json"
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

// oldLathe is known by lamp and power, with every kind of timer.
func oldLathe() *StateRules {
	return &StateRules{
		Rules: []StateRule{
			{If: "blinks(lamp.red, 2s)", Hold: 700, State: "out_of_service"},
			{If: "meter.power > 2 and lamp.green == 1", Until: "meter.power < 1", For: 300, Hold: 900, State: "executing"},
			{If: "lamp.green == 1", Hold: 500, State: "executing", Mode: "setup"},
			{If: "true", State: "not_executing", Mode: "none"},
		},
		Power: &PowerState{OffWhen: "meter.power < 0.05", OnWhen: "meter.power > 0.1", Hold: 1000}, Unreachable: "off",
	}
}

func drawEvents(t *rapid.T, m *stateMachine, unknown bool) (events []event, end int64) {
	at := rapid.Int64Range(0, 300).Draw(t, "begin")
	for range rapid.IntRange(0, 25).Draw(t, "events") {
		e := event{t: at, tag: rapid.SampledFrom(m.inputs).Draw(t, "tag")}
		e.v = observation{known: true, value: rapid.SampledFrom([]float64{0, 0.07, 1, 1.5, 3}).Draw(t, "value")}
		if unknown && rapid.IntRange(0, 4).Draw(t, "unknown") == 0 {
			e.v = observation{unreachable: rapid.Bool().Draw(t, "unreachable")}
		}
		events = append(events, e)
		at += rapid.SampledFrom([]int64{0, 1, 100, 499, 500, 999, 1001, 3000}).Draw(t, "after")
	}
	return events, at + 5000
}

// TestStateIsIndependentOfLooking: it does not matter how often at is called, nor that the memory goes through JSON between any two calls.
func TestStateIsIndependentOfLooking(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := machineOf(t, oldLathe(), nil)
		events, end := drawEvents(t, m, true)
		seldom, often := m.start(), m.start()
		now := int64(0)
		for i := 0; i <= len(events); i++ {
			to := end
			if i < len(events) {
				to = events[i].t
			}
			for now < to {
				_, until := m.at(&often, now)
				now = min(to, until, now+rapid.Int64Range(1, 2000).Draw(t, "step"))
				data, err := json.Marshal(&often)
				if err != nil {
					t.Fatal(err)
				}
				var back stateRun
				if err := json.Unmarshal(data, &back); err != nil || !reflect.DeepEqual(back, often) || !m.fits(&back) {
					t.Fatalf("%s reads as %+v, %v", data, back, err)
				}
				often = back
			}
			if i == len(events) {
				break
			}
			for k, input := range m.inputs {
				if input == events[i].tag {
					m.observe(&often, k, events[i].v, events[i].t)
					m.observe(&seldom, k, events[i].v, events[i].t)
				}
			}
		}
		m.at(&often, end)
		m.at(&seldom, end)
		if !reflect.DeepEqual(often, seldom) {
			t.Fatalf("looked at often %+v\nseldom %+v", often, seldom)
		}
	})
}

// TestStateIsNeverWrong: what the machine says while some values are not known is what it says of any values they may have been, in state,
// mode and element, wherever it says something.
func TestStateIsNeverWrong(t *testing.T) {
	rules := oldLathe()
	rules.Power, rules.Unreachable = nil, "" // evidence and assumption are no logic
	// Changes that were not seen do not count, by definition: a condition without blinks instead.
	rules.Rules[0] = StateRule{If: "lamp.red == 1", Until: "lamp.red == 0 and meter.power < 1 or lamp.red == 1.5", For: 200, Hold: 300, State: "out_of_service"}
	rapid.Check(t, func(t *rapid.T) {
		m := machineOf(t, rules, nil)
		events, end := drawEvents(t, m, true)
		var full []event
		for _, input := range m.inputs { // what was the case before it was seen
			v := rapid.SampledFrom([]float64{0, 1, 1.5, 3}).Draw(t, "before")
			full = append(full, event{-10_000, input, observation{known: true, value: v}})
		}
		for _, e := range events {
			if !e.v.known {
				e.v = observation{known: true, value: rapid.SampledFrom([]float64{0, 0.07, 1, 1.5, 3}).Draw(t, "in truth")}
			}
			full = append(full, e)
		}
		partly, truly := m.start(), m.start()
		feed := func(r *stateRun, events []event, i *int, now int64) {
			for ; *i < len(events) && events[*i].t <= now; *i++ {
				for k, input := range m.inputs {
					if input == events[*i].tag {
						m.observe(r, k, events[*i].v, events[*i].t)
					}
				}
			}
		}
		var a, b int
		for now := int64(0); now < end; now += 50 {
			feed(&partly, events, &a, now)
			feed(&truly, full, &b, now)
			said, _ := m.at(&partly, now)
			is, _ := m.at(&truly, now)
			if said.State != StateUnknown && said.State != is.State || said.Mode != ModeUnknown && said.Mode != is.Mode || said.Element != Unknown && said.Element != is.Element {
				t.Fatalf("at %d: says %s, is %s", now, said.words(), is.words())
			}
		}
	})
}
