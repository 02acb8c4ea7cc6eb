package main

import (
	"math"
	"math/rand/v2"
	"time"
)

// machineState is what a machine is doing, as its control would show it.
type machineState uint8

// The states.
const (
	machineOff machineState = iota
	machineIdle
	machineRunning
	machineAlarm
)

func (s machineState) String() string {
	return [...]string{"off", "idle", "running", "alarm"}[s&3]
}

// load is a machine and its three-phase supply: one consistent piece of physics behind every point of a simulated device. The same
// seed and the same steps give the same values.
type load struct {
	rng      *rand.Rand
	rated    float64 // kW
	share    [3]float64
	state    machineState
	left     time.Duration // in this state
	level    float64       // of rated power drawn, 0 to 1, following the state with some inertia
	sag      float64       // slow drift of the mains, V
	volts    [3]float64    // line to neutral
	amps     [3]float64
	watts    [3]float64 // = volts × amps × pf
	pf       float64
	energy   float64       // kWh, the integral of watts
	reactive float64       // kvarh
	hours    float64       // running
	age      time.Duration // since it was made
	cycle    float64       // of the part in work, 0 to 1
	parts    float64       // whole
	heat     float64       // °C
}

const (
	mains       = 230.0 // V
	mainsHertz  = 50.0
	ambient     = 22.0 // °C
	heating     = 45.0 // °C above ambient at full load
	partSeconds = 4.0
)

func newLoad(seed uint64) *load {
	rng := rand.New(rand.NewPCG(seed, 0x6d696c6c67617465))
	l := &load{rng: rng, state: machineRunning, heat: ambient + 10, level: 0.5}
	l.rated = 5 + 25*rng.Float64()
	l.left = time.Duration(5+20*rng.Float64()) * time.Second
	l.energy = math.Floor(2000 + 60000*rng.Float64())
	l.reactive = math.Floor(l.energy * 0.6)
	l.hours = math.Floor(l.energy / l.rated)
	l.parts = math.Floor(500 + 9000*rng.Float64())
	a, b := 0.02*rng.Float64(), 0.02*rng.Float64()
	l.share = [3]float64{1.0/3 + a, 1.0/3 - b, 1.0/3 - a + b}
	l.supply()
	return l
}

// step lets dt pass; now decides between day and night shift. What is measured during the step is what stands at its end.
func (l *load) step(now time.Time, dt time.Duration) {
	if l.left -= dt; l.left <= 0 {
		l.change(now)
	}
	seconds := dt.Seconds()
	l.age += dt
	l.level += (l.target() - l.level) * (1 - math.Exp(-seconds/1.5))
	l.sag += -l.sag*seconds/120 + 0.3*math.Sqrt(seconds)*l.rng.NormFloat64()
	l.sag = min(max(l.sag, -6), 6)
	l.heat += (ambient + heating*l.level - l.heat) * (1 - math.Exp(-seconds/60))
	if l.state == machineRunning {
		l.hours += dt.Hours()
		l.cycle += seconds / partSeconds
		l.parts += math.Floor(l.cycle)
		l.cycle -= math.Floor(l.cycle)
	}
	l.supply()
	l.energy += l.power() / 1000 * dt.Hours()
	l.reactive += l.power() / 1000 * l.tangent() * dt.Hours()
}

// change goes on to the next state. By night a machine that has stopped often stays so.
func (l *load) change(now time.Time) {
	between := func(from, to float64) time.Duration {
		return time.Duration((from + (to-from)*l.rng.Float64()) * float64(time.Second))
	}
	night := now.Hour() < 6 || now.Hour() >= 22
	chance := l.rng.Float64()
	switch {
	case l.state == machineRunning && chance < 0.05:
		l.state, l.left = machineAlarm, between(5, 15)
	case l.state == machineRunning:
		l.state, l.left = machineIdle, between(3, 8)
	case l.state == machineIdle && night && chance < 0.5:
		l.state, l.left = machineOff, between(20, 60)
	case l.state == machineIdle:
		l.state, l.left = machineRunning, between(15, 45)
	default: // off or alarm
		l.state, l.left = machineIdle, between(2, 5)
	}
}

// target is the share of rated power that the state draws, once the machine has settled: a cut swings with the part in work.
func (l *load) target() float64 {
	switch l.state {
	case machineRunning:
		return 0.65 + 0.2*math.Sin(2*math.Pi*l.cycle)
	case machineIdle, machineAlarm:
		return 0.15
	case machineOff:
	}
	return 0.005
}

// supply measures the three phases: what the load draws of a mains that drifts and sags under it.
func (l *load) supply() {
	l.pf = 0.6 + 0.32*math.Sqrt(l.level)
	for phase := range l.volts {
		l.volts[phase] = mains + l.sag - 2*l.level + 0.15*l.rng.NormFloat64()
		watts := 1000 * l.rated * l.level * l.share[phase] * (1 + 0.01*l.rng.NormFloat64())
		l.amps[phase] = max(0, watts) / (l.volts[phase] * l.pf)
		l.watts[phase] = l.volts[phase] * l.amps[phase] * l.pf
	}
}

// power is the active power of all phases in W.
func (l *load) power() float64 { return l.watts[0] + l.watts[1] + l.watts[2] }

// tangent is reactive over active power.
func (l *load) tangent() float64 { return math.Sqrt(1-l.pf*l.pf) / l.pf }

// hertz is the mains frequency: steadier than anything else here.
func (l *load) hertz() float64 { return mainsHertz + 0.003*l.sag }

// lampPeriod is how often the lamp of a machine at work is lit.
const lampPeriod = time.Second

// lamp is the green lamp on top: it blinks while the machine works, is steady while it waits for somebody, else dark.
func (l *load) lamp() bool {
	return l.state == machineIdle || (l.state == machineRunning && l.age%lampPeriod < lampPeriod/2)
}

// unloaded is the share of rated power at which a compressor turns without delivering.
const unloaded = 0.15

// specificPower is what a compressor takes for its air above what it takes unloaded, kW for m3/min.
const specificPower = 6.0

// air is what a compressor delivers, m3/min at inlet conditions.
func (l *load) air() float64 {
	if l.state != machineRunning {
		return 0
	}
	return max(0, l.power()/1000-unloaded*l.rated) / specificPower
}
