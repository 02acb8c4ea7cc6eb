package kpi

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"
)

// summed is text with its check sum, as a State.
func summed(text []byte) []byte {
	return fmt.Appendf(bytes.Clone(text), "%08x", crc32.Checksum(text, castagnoli))
}

func TestRestoreRefuses(t *testing.T) {
	p := newPlant(lathe())
	e := NewEngine(p.plan)
	for _, b := range p.minutes(localTime("2026-11-24 09:00"), localTime("2026-11-24 09:10"), 1) {
		e.Take(b)
	}
	state := e.State()
	text, err := checked(state)
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(state)
	flipped[len(flipped)/2] ^= 1
	for name, bad := range map[string][]byte{
		"nothing":        nil,
		"half of it":     state[:len(state)/2],
		"a flipped bit":  flipped,
		"another format": summed([]byte(strings.Replace(string(text), `{"v":1`, `{"v":2`, 1))),
		"one line":       summed(text[:bytes.IndexByte(text, '\n')+1]),
		"a hold less":    summed([]byte(strings.Replace(string(text), `"holds":[{"known":`, `"holds":[],"was":[{"known":`, 1))),
	} {
		if _, err := RestoreEngine(p.plan, bad); err == nil {
			t.Errorf("%s is taken for a state", name)
		}
	}
}

// renamed is the lathe after years: with another id, another meter's channel gone, a shift that ends earlier and other rules.
func renamed() *Config {
	c := lathe()
	e := &c.Equipment[0]
	e.ID, e.Was = "M-100", "M-1"
	delete(e.Signals, "spindle_on")
	e.Signals["cutting"] = Signal{Tag: "c/cutting", Factor: 1}
	e.Signals["power"] = Signal{Tag: "m/power", Factor: 2}
	e.State.Rules[2].State = "out_of_service"
	c.Products = []Product{{ID: "lid", Programs: []string{"O2"}, Ideal: 30}, {ID: "flange", Programs: []string{"O1"}, Ideal: 60}}
	c.Calendar.Shifts[0].To = 930
	return c
}

func TestRestoreUnderAnotherPlan(t *testing.T) {
	p := newPlant(lathe())
	e := NewEngine(p.plan)
	begin := localTime("2026-11-24 09:00")
	e.Take(p.block(p.reading(begin, "c/program", "O1"), p.reading(begin, "c/parts", 10)))
	for _, b := range p.minutes(begin, begin+30*testMinute, 1) {
		e.Take(b)
	}
	e.Take(p.block(p.reading(begin+30*testMinute, "c/parts", 14)))
	e.Take(p.block(p.reading(begin+31*testMinute, "c/run", 0)))
	q := newPlant(renamed())
	after, err := RestoreEngine(q.plan, e.State())
	if err != nil {
		t.Fatal(err)
	}
	out := after.Take(&Batch{Epoch: "E1", Seq: p.seq + 1, Catalogue: "d"})
	if len(out.Reports) > 0 {
		t.Fatalf("%v", asJSON(out.Reports))
	}
	end := begin + 7*60*testMinute
	out = after.Take(&Batch{Epoch: "E1", Seq: p.seq + 2, Catalogue: "d", Seen: []Seen{{"c", end}}})
	wantValue(t, "time executing, under both", find(out.Reports, InShift, "2026-11-24/day", "M-100", "apt"), float64(31*testMinute))
	wantValue(t, "delay, by the new rule", find(out.Reports, InShift, "2026-11-24/day", "M-100", "adet"), float64((6*60+30-31-30)*testMinute))
	k := after.tracks[0]
	day := &k.windows[kindOf(Day)]
	if parts := day.Parts; len(parts) != 3 || parts[0] != 0 || parts[1] != 4 {
		t.Errorf("parts: %v; want 4 flanges, which are the second product now", parts)
	}
	if got := channelOf(k, day, "energy").Sum.Value(); got != 29 {
		t.Errorf("energy: %v kWh, want 29", got)
	}
	for i := range out.Reports {
		if w := &out.Reports[i].Window; w.Kind == InShift && w.To != localTime("2026-11-24 15:30") {
			t.Errorf("the shift ends at %d", w.To)
		}
	}
}

func FuzzRestore(f *testing.F) {
	p := newPlant(shopFloor())
	e := NewEngine(p.plan)
	f.Add([]byte("{}\n"))
	for _, b := range p.minutes(localTime("2026-11-24 09:00"), localTime("2026-11-24 09:04"), 1) {
		e.Take(b)
	}
	e.Take(p.block(p.reading(localTime("2026-11-24 08:00"), "manual/tonnes", 3.5), p.reading(localTime("2026-11-24 09:04"), "c/program", "O1")))
	text, err := checked(e.State())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, err := RestoreEngine(p.plan, text); err == nil && len(text) < 8 {
			t.Fatal("too short for a check sum")
		}
		if e, err := RestoreEngine(p.plan, summed(text)); err == nil {
			e.State()
		}
	})
}
