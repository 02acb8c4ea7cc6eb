package kpisim

import (
	"slices"
	"strconv"

	"github.com/millgate/millgate/collector/kpi"
	"github.com/millgate/millgate/drivers"
)

// series is what one tag would show at any time. Values are whole: codes, counts, hundredths.
type series struct {
	tag   *drivers.Tag
	t     []int64
	v     []int64
	show  func(t, v int64) drivers.Value
	shown []point // what became known, and from when on
}

type point struct{ t, v int64 }

// set goes on with a value; one that is there already is no change.
func (s *series) set(t, v int64) {
	if n := len(s.v); n == 0 || s.v[n-1] != v {
		s.t, s.v = append(s.t, t), append(s.v, v)
	}
}

// device has tags, and does not always answer.
type device struct {
	id     string
	up     *drivers.Tag
	series []*series
	down   []Span // it does not answer
	asked  []Span // it was asked, and answered
	known  []Span // its values came to be known: when it was asked, and what it recorded itself
}

func (d *device) add(name string, typ drivers.Type, show func(t, v int64) drivers.Value) *series {
	s := &series{tag: &drivers.Tag{Device: d.id, Name: name, Type: typ}, show: show}
	d.series = append(d.series, s)
	return s
}

func whole(_, v int64) drivers.Value   { return drivers.IntValue(v) }
func flag(_, v int64) drivers.Value    { return drivers.BoolValue(v != 0) }
func hundred(_, v int64) drivers.Value { return drivers.Float64Value(float64(v) / 100) }

// wire gives the machine its devices and fills their series. Those that are its own are returned.
func (m *machine) wire(lamps *device) (own []*device) {
	n := strconv.Itoa(m.number)
	if m.old() {
		m.lamps = lamps
		m.green, m.red, m.parts = lamps.add("green-"+n, drivers.TypeBool, flag), lamps.add("red-"+n, drivers.TypeBool, flag), lamps.add("parts-"+n, drivers.TypeInt64, whole)
	} else {
		m.control = &device{id: "cnc-" + n, down: slices.Clone(failed["cnc-"+n])}
		m.state, m.mode = m.control.add("state", drivers.TypeInt64, whole), m.control.add("mode", drivers.TypeInt64, whole)
		m.parts = m.control.add("parts", drivers.TypeInt64, whole)
		own = append(own, m.control)
	}
	if m.metered() {
		m.meter = &device{id: "meter-" + n, down: failed["meter-"+n]}
		m.power = m.meter.add("power", drivers.TypeFloat64, hundred)
		if m.counted() {
			m.energy = m.meter.add("energy", drivers.TypeFloat64, hundred)
			if m.number == 2 {
				m.energy.show = func(_, v int64) drivers.Value { return hundred(0, (v+wheel-1000)%wheel) } // 10 kWh before it rolls over
			}
		}
		own = append(own, m.meter)
		m.meterPower()
	}
	m.showStates()
	m.makeParts()
	return own
}

func (m *machine) showStates() {
	for _, a := range m.does {
		if m.old() {
			m.green.set(a.From, map[kind]int64{runs: 1}[a.kind])
			m.red.set(a.From, map[kind]int64{fails: 1}[a.kind])
			for t := a.From + blink; a.kind == fails && t < a.To; t += blink {
				m.red.set(t, 1-m.red.v[len(m.red.v)-1])
			}
			continue
		}
		if a.kind == isOff {
			m.control.down = append(m.control.down, Span{a.From, a.To + booting})
		}
		m.state.set(a.From, map[kind]int64{runs: 3, setsUp: 3, idles: 2, fails: 1}[a.kind])
		m.mode.set(a.From, map[kind]int64{runs: 3, setsUp: 2, fails: 3}[a.kind])
	}
}

func (m *machine) makeParts() {
	cycle, made := m.between(120*second, 300*second), int64(1000*m.number)
	m.parts.set(begin, made)
	for _, a := range m.does {
		for t := a.From + cycle; a.kind == runs && t < a.To; t += cycle {
			made++
			m.parts.set(t, made)
		}
	}
}

// meterPower lets the power change at polls only, so that what is read is exact.
func (m *machine) meterPower() {
	ceil := func(t int64) int64 { return (t + poll - 1) / poll * poll }
	energy := int64(0) // 0.01 kW × ms
	const step = 36 * 100 * second
	if m.energy != nil {
		m.energy.set(begin, 0)
	}
	for _, a := range m.does {
		for t := ceil(a.From); t < ceil(a.To); {
			level, until := m.level(a, t)
			until = min(ceil(until), ceil(a.To))
			m.power.set(t, level)
			for now := t; m.energy != nil; {
				missing := step - energy%step
				polls := (missing + level*poll - 1) / (level * poll)
				if now+polls*poll > until {
					energy += level * (until - now)
					break
				}
				now, energy = now+polls*poll, energy+polls*poll*level
				m.energy.set(now, energy/step)
			}
			t = until
		}
	}
}

// level is the power in 0.01 kW that the machine takes from t on, and until when.
func (m *machine) level(a activity, t int64) (level, until int64) {
	between := func(from, to int) int64 { return int64(from + m.random.IntN(to-from)) }
	switch a.kind {
	case isOff:
		return 2, a.To
	case idles:
		return between(55, 65), t + between(30, 90)*second
	case setsUp:
		return between(150, 210), t + between(20, 60)*second
	case fails:
		return between(45, 55), t + between(30, 90)*second
	}
	if m.old() && t > a.From+minute && m.random.IntN(20) == 0 && calm(t) {
		return between(120, 190), t + 10*second // still running
	}
	if m.old() {
		return between(300, 800), t + between(10, 40)*second
	}
	return between(80, 300), t + between(10, 60)*second
}

// calm says that nothing fails around t: values that do not tell by themselves what is the case are found then only.
func calm(t int64) bool {
	for _, spans := range failed {
		for _, s := range spans {
			if t > s.From-minute && t < s.To+minute {
				return false
			}
		}
	}
	for _, s := range gateway {
		if t > s.From-minute && t < s.To+minute {
			return false
		}
	}
	return t < wrong.From-minute || t > wrong.To+ahead+minute
}

// swapMeter gives meter-3 another meter, and is the reading that tells it.
func swapMeter(devices []*device, index int) event {
	energy := devices[slices.IndexFunc(devices, func(d *device) bool { return d.id == "meter-3" })].series[1]
	i, _ := slices.BinarySearch(energy.t, swapped.From)
	final := energy.v[i-1]
	energy.show = func(t, v int64) drivers.Value {
		if t >= swapped.From {
			v -= final
		}
		return hundred(t, v)
	}
	tag := &drivers.Tag{Device: kpi.ManualDevice, Name: kpi.SwapTag, Index: index, Type: drivers.TypeText}
	text := `{"tag":"meter-3/energy","final":` + strconv.FormatFloat(float64(final)/100, 'f', 2, 64) + `,"initial":0,"by":"Li Wei"}`
	return event{arrives: told, reading: drivers.Reading{Tag: tag, Value: drivers.TextValue(text), Quality: drivers.Good, Time: swapped.From}}
}
