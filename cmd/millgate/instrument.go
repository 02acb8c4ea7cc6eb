package main

import (
	"math"
	"strings"

	"github.com/millgate/millgate/collector"
	"github.com/millgate/millgate/drivers"
)

// instrument is what one tag of a simulated device shows of its load.
type instrument func(*load) float64

// instrumentFor chooses by the codes that a state has, then by the tag's unit and kind, then by words of its name. A tag that says
// nothing of itself shows a slow swing.
func instrumentFor(rule collector.TagRule) instrument {
	tag := rule.Tag
	if len(rule.States) > 0 && tag.Type != drivers.TypeBool {
		return stateInstrument(rule.States)
	}
	name := strings.ToLower(tag.Name)
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(name, w) {
				return true
			}
		}
		return false
	}
	scale, unit := siPrefix(tag.Unit)
	switch {
	case tag.Type == drivers.TypeBool:
		return boolInstrument(has)
	case tag.Unit == "m3/min":
		return (*load).air
	case has("ratio"):
		return func(*load) float64 { return 1 }
	case strings.HasSuffix(unit, ".h"):
		return energyInstrument(has, name, scale)
	case unit == "V", unit == "A", unit == "W", unit == "var", unit == "V.A":
		return electricInstrument(unit, name, scale)
	case unit == "Hz" && has("out", "set", "freq_ref"):
		return func(l *load) float64 { return mainsHertz * l.level }
	case unit == "Hz":
		return (*load).hertz
	case unit == "Cel":
		return func(l *load) float64 { return l.heat }
	case unit == "h":
		return func(l *load) float64 { return l.hours }
	case has("power_factor", "pf", "cos"):
		return func(l *load) float64 { return l.pf }
	case tag.Kind == drivers.Counter:
		return func(l *load) float64 { return l.parts }
	case tag.Kind == drivers.State && has("fault", "alarm", "error"):
		return func(l *load) float64 { return truth(l.state == machineAlarm) }
	case tag.Kind == drivers.State:
		return func(l *load) float64 { return float64(l.state) }
	case has("thd"):
		return func(l *load) float64 { return 2 + 3*l.level }
	case has("load", "torque"), unit == "%":
		return func(l *load) float64 { return 100 * l.level }
	}
	return func(l *load) float64 { return 4 + 3*l.level }
}

// stateWords begin the texts of codes that say what a machine does, in lower case without blanks.
var stateWords = [...][]string{
	machineOff:     {"notavailable", "off"},
	machineIdle:    {"notexecuting", "idle", "stop", "standby", "ready", "ended", "reset"},
	machineRunning: {"executing", "run", "inprogress", "active", "processing", "auto"},
	machineAlarm:   {"outofservice", "alarm", "fault", "error", "interrupted", "aborted"},
}

// stateInstrument shows the codes of a state whose meaning is known. What a code has no text for is shown as while it runs.
func stateInstrument(states []collector.StateText) instrument {
	code := func(of machineState, other int64) int64 {
		for _, word := range stateWords[of] {
			for _, s := range states {
				if strings.HasPrefix(strings.ReplaceAll(strings.ToLower(s.Text.EN), " ", ""), word) {
					return s.Code
				}
			}
		}
		return other
	}
	running := code(machineRunning, states[0].Code)
	codes := [...]int64{machineRunning: running, machineOff: code(machineOff, running), machineIdle: code(machineIdle, running), machineAlarm: code(machineAlarm, running)}
	return func(l *load) float64 { return float64(codes[l.state]) }
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func boolInstrument(has func(...string) bool) instrument {
	if has("fault", "alarm", "error") {
		return func(l *load) float64 { return truth(l.state == machineAlarm) }
	}
	if has("lamp") {
		return func(l *load) float64 { return truth(l.lamp()) }
	}
	return func(l *load) float64 { return truth(l.state == machineRunning) }
}

// siPrefix is the factor from the unit without prefix to the UCUM unit, and the unit without it.
func siPrefix(ucum string) (scale float64, unit string) {
	if len(ucum) < 2 {
		return 1, ucum
	}
	switch ucum[0] {
	case 'k':
		return 1e-3, ucum[1:]
	case 'M':
		return 1e-6, ucum[1:]
	case 'm':
		return 1e3, ucum[1:]
	}
	return 1, ucum
}

// energyInstrument is for counters of energy: the load takes energy, it gives none back.
func energyInstrument(has func(...string) bool, name string, scale float64) instrument {
	share := func(l *load) float64 { return 1 }
	if phases := phasesOf(name); len(phases) == 1 {
		share = func(l *load) float64 { return l.share[phases[0]] }
	}
	switch {
	case has("export", "reverse"):
		return func(*load) float64 { return 0 }
	case has("reactive", "var"):
		return func(l *load) float64 { return l.reactive * 1000 * scale * share(l) }
	default:
		return func(l *load) float64 { return l.energy * 1000 * scale * share(l) }
	}
}

// electricInstrument is for voltages, currents and powers, of a phase, between two phases, or of all.
func electricInstrument(unit, name string, scale float64) instrument {
	phases := phasesOf(name)
	sum := func(of func(l *load, phase int) float64) instrument {
		return func(l *load) (total float64) {
			for _, p := range phases {
				total += of(l, p)
			}
			return total * scale
		}
	}
	mean := func(of func(l *load, phase int) float64) instrument {
		total := sum(of)
		return func(l *load) float64 { return total(l) / float64(len(phases)) }
	}
	switch unit {
	case "V":
		volts := mean(func(l *load, p int) float64 { return l.volts[p] })
		if len(phases) == 2 || strings.Contains(name, "line") {
			return func(l *load) float64 { return math.Sqrt(3) * volts(l) }
		}
		if strings.Contains(name, "dc_") { // behind a rectifier of six pulses
			return func(l *load) float64 { return 3 * math.Sqrt(6) / math.Pi * volts(l) }
		}
		return volts
	case "A":
		return mean(func(l *load, p int) float64 { return l.amps[p] })
	case "var":
		return sum(func(l *load, p int) float64 { return l.watts[p] * l.tangent() })
	case "V.A":
		return sum(func(l *load, p int) float64 { return l.volts[p] * l.amps[p] })
	default:
		return sum(func(l *load, p int) float64 { return l.watts[p] })
	}
}

// phasesOf reads the phases off the end of a tag's name, as in voltage_a, voltage_l1, voltage_ab, voltage_l1_l2; else it is all three.
func phasesOf(name string) []int {
	for _, n := range []struct {
		ends   []string
		phases []int
	}{
		{[]string{"_ab", "_l1_l2", "_l12"}, []int{0, 1}},
		{[]string{"_bc", "_l2_l3", "_l23"}, []int{1, 2}},
		{[]string{"_ca", "_l3_l1", "_l31"}, []int{2, 0}},
		{[]string{"_a", "_l1"}, []int{0}},
		{[]string{"_b", "_l2"}, []int{1}},
		{[]string{"_c", "_l3"}, []int{2}},
	} {
		for _, end := range n.ends {
			if strings.HasSuffix(name, end) {
				return n.phases
			}
		}
	}
	return []int{0, 1, 2}
}
