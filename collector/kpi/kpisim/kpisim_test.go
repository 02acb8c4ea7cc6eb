package kpisim

import (
	"reflect"
	"strings"
	"testing"

	"github.com/millgate/millgate/collector/kpi"
	"github.com/millgate/millgate/drivers"
)

// TestWeek checks that the week holds what it is for: a trouble that does not happen tests nothing.
func TestWeek(t *testing.T) {
	w := NewWeek(1)
	readings, bad, started, back, newest := 0, 0, 0, false, int64(0)
	rolled, swap, late := false, false, 0
	last := map[string]float64{}
	for i := range w.Blocks {
		b := &w.Blocks[i]
		if b.Started != 0 {
			started++
		}
		if b.Seq != uint64(i+1) {
			t.Fatalf("block %d has seq %d", i+1, b.Seq)
		}
		for _, r := range b.Readings {
			name := r.Tag.String()
			x, number := r.Value.Float()
			switch {
			case r.Quality == drivers.Bad:
				bad++
			case name == "meter-2/energy" && number:
				rolled = rolled || x < last[name]
			case name == "manual/meter_swap":
				swap = newest-r.Time > 24*hour
			}
			last[name] = x
			back = back || r.Time < newest-5*minute && !strings.HasPrefix(name, "cnc-4/") && r.Tag.Device != kpi.ManualDevice
			if strings.HasPrefix(name, "cnc-4/") && r.Time < newest-hour {
				late++
			}
			if r.Tag.Device != kpi.ManualDevice {
				newest = max(newest, r.Time)
			}
			readings++
		}
	}
	if readings < 200_000 || readings > 1_000_000 || bad < 50 || started != 1+len(gateway) || !back || !rolled || !swap || late < 50 {
		t.Errorf("%d readings, %d bad, %d late, %d runs, clock set back %t, rollover %t, swap told late %t", readings, bad, late, started, back, rolled, swap)
	}
}

// TestTruth checks that the truth has no holes, and that each machine did what it is for.
func TestTruth(t *testing.T) {
	w := NewWeek(1)
	for i, m := range w.Machines {
		var spent [kpi.Off + 1]int64
		assumed, now := int64(0), w.From
		for _, e := range m.Elements {
			if e.From != now {
				t.Fatalf("%s: a hole at %d", m.ID, now)
			}
			now = e.To
			spent[e.Element] += e.To - e.From
			if e.Assumed {
				assumed += e.To - e.From
			}
		}
		if now != w.To {
			t.Errorf("%s: the truth ends at %d", m.ID, now)
		}
		now = w.From
		for _, p := range m.Planned {
			if p.From != now {
				t.Fatalf("%s: a hole in its plan at %d", m.ID, now)
			}
			now = p.To
		}
		if now != w.To {
			t.Errorf("%s: the plan ends at %d", m.ID, now)
		}
		off, old, n := i < 2 || i == 4 || i == 5, i >= 5, i+1
		if spent[kpi.APT] < 20*hour || spent[kpi.ADOT] < 4*hour || spent[kpi.ADET] < hour || spent[kpi.Unknown] < 20*minute ||
			(spent[kpi.Off] > 24*hour) != off || (spent[kpi.AUST] > hour) == old || (assumed > 0) != (n == 5) {
			t.Errorf("%s: %v ms by element, %d assumed", m.ID, spent, assumed)
		}
		if len(m.Parts) < 200 || (len(m.Energy) > 0) != (n <= 4 || n == 6) || (len(m.Power) > 0) != (n >= 7) {
			t.Errorf("%s: %d parts, %d steps of energy, %d levels of power", m.ID, len(m.Parts), len(m.Energy), len(m.Power))
		}
	}
	if !reflect.DeepEqual(w.Machines, NewWeek(1).Machines) || reflect.DeepEqual(w.Machines, NewWeek(2).Machines) {
		t.Error("the seed does not decide")
	}
}
