package kpi

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

const second, hour = 1000, 3_600_000

// told is one reading of a history and what must be said of it.
type told struct {
	after   int64 // ms since the reading before
	value   float64
	verdict Verdict
	delta   float64
}

// dtsu is a DTSU666 (999999.99 kWh) behind a current transformer of 1/1: 400 V, 80 A, so 55 kW at most.
var dtsu = CounterRule{Modulus: 1e6, MaxRate: 55.0 / 3600}

func TestHistories(t *testing.T) {
	parts := CounterRule{Modulus: 1 << 16, MaxRate: 2}
	ct200 := CounterRule{Modulus: 2e6, MaxRate: 200 * 55.0 / 3600}
	unknown := CounterRule{}
	for name, c := range map[string]struct {
		rule    CounterRule
		history []told
	}{
		"decimal rollover": {dtsu, []told{
			{0, 999999.97, First, 0}, {second, 999999.98, Onward, 0.01}, {second, 999999.99, Onward, 0.01},
			{second, 0, Rollover, 0.01}, {second, 0.01, Onward, 0.01}, {second, 0.02, Onward, 0.01}, {second, 0.02, Onward, 0},
			{second, 0.03, Onward, 0.01},
		}},
		"decimal rollover of a float32": {dtsu, []told{
			{0, 999999.9375, First, 0}, {second, 1000000, Onward, 0.0625}, {second, 0, Rollover, 0}, {second, 0.01, Onward, 0.01},
		}},
		"16-bit parts": {parts, []told{
			{0, 65533, First, 0}, {second, 65535, Onward, 2}, {second, 1, Rollover, 2}, {second, 2, Onward, 1}, {second, 4, Onward, 2},
		}},
		"16-bit parts, no rate known": {CounterRule{Modulus: 1 << 16}, []told{
			{0, 65534, First, 0}, {second, 0, Rollover, 2}, {second, 2, Onward, 2},
		}},
		"signed": {CounterRule{Modulus: 1 << 32, MaxRate: 2}, []told{
			{0, math.MaxInt32, First, 0}, {second, math.MinInt32, Rollover, 1}, {second, math.MinInt32 + 2, Onward, 2},
		}},
		"power off": {parts, []told{
			{0, 40000, First, 0}, {second, 40001, Onward, 1}, {8 * hour, 3, Reset, 3}, {second, 4, Onward, 1}, {second, 5, Onward, 1},
			{second, 6, Onward, 1}, {second, 7, Onward, 1},
		}},
		"daily reset, nothing known": {unknown, []told{
			{0, 811, First, 0}, {60 * second, 812, Onward, 1}, {60 * second, 0, Reset, 0}, {60 * second, 2, Onward, 2}, {60 * second, 3, Onward, 1},
		}},
		"swap to a new meter": {dtsu, []told{
			{0, 15230.1, First, 0}, {second, 15230.11, Onward, 0.01}, {second, 3.1, Spike, 0}, {second, 3.1, Spike, 0}, {second, 3.11, Spike, 0},
			{second, 3.12, Swap, 0.02}, {second, 3.13, Onward, 0.01},
		}},
		"swap to a used meter": {dtsu, []told{
			{0, 15230.1, First, 0}, {60 * second, 15230.9, Onward, 0.8}, {2 * hour, 54321, Spike, 0}, {60 * second, 54321.5, Spike, 0},
			{60 * second, 54322, Spike, 0}, {60 * second, 54322.5, Swap, 1.5}, {60 * second, 54323, Onward, 0.5},
		}},
		"swap, nothing known": {unknown, []told{
			{0, 15230.1, First, 0}, {second, 9000, Spike, 0}, {second, 9000, Spike, 0}, {second, 9000, Spike, 0}, {second, 9001, Swap, 1},
		}},
		"swap to a reading that counting on would reach": {parts, []told{
			{0, 100, First, 0}, {second, 101, Onward, 1}, {second, 112, Spike, 0}, {10 * second, 113, Spike, 0}, {second, 114, Spike, 0},
			{second, 115, Swap, 3}, {second, 116, Onward, 1},
		}},
		"reset, and a spike": {parts, []told{ // of the 3 that the second reset claims 1 is counted already
			{0, 40000, First, 0}, {second, 1, Reset, 1}, {second, 500, Spike, 0}, {second, 3, Reset, 2}, {second, 4, Onward, 1},
		}},
		"reset, and jitter of a float32": {unknown, []told{
			{0, 152300, First, 0}, {hour, 152301, Onward, 1}, {hour, 152302, Onward, 1}, {8 * hour, 16.000002, Reset, 16.000002},
			{second, 16, Onward, 0}, {second, 16.000002, Onward, 0},
		}},
		"spike of all ones": {CounterRule{Modulus: 1 << 32, MaxRate: 10}, []told{
			{0, 15230, First, 0}, {second, 15231, Onward, 1}, {second, math.MaxUint32, Spike, 0}, {second, 15233, Onward, 2}, {second, 15234, Onward, 1},
		}},
		"spike of all ones, no rate known": {CounterRule{Modulus: 1 << 32}, []told{
			{0, 15230, First, 0}, {second, math.MaxUint32, Spike, 0}, {second, 15233, Onward, 3}, {second, 15234, Onward, 1},
		}},
		"spike beyond the modulus": {CounterRule{Modulus: 1e6}, []told{
			{0, 15230, First, 0}, {second, 42949672.95, Spike, 0}, {second, 42949672.95, Spike, 0}, {second, 42949672.95, Spike, 0},
			{second, 42949672.95, Spike, 0}, {second, 42949672.95, Spike, 0}, {second, 15231, Onward, 1},
		}},
		"spike, rate learned": {unknown, []told{
			{0, 100, First, 0}, {second, 100.1, Onward, 0.1}, {second, 100.2, Onward, 0.1}, {second, 54321, Spike, 0}, {second, 100.4, Onward, 0.2},
		}},
		"a few spikes": {dtsu, []told{
			{0, 15230.1, First, 0}, {second, 65535, Spike, 0}, {second, 257, Spike, 0}, {second, -1, Spike, 0}, {second, 15230.13, Onward, 0.03},
			{second, 15230.14, Onward, 0.01},
		}},
		"a negative spike": {parts, []told{{0, 40, First, 0}, {second, -1, Spike, 0}, {second, 42, Onward, 2}}},
		"zeros while the device boots": {dtsu, []told{
			{0, 15230.1, First, 0}, {second, 0, Reset, 0}, {second, 0, Onward, 0}, {second, 15230.13, Spike, 0.03}, {second, 15230.14, Onward, 0.01},
		}},
		"a spike that passed for a rollover": {parts, []told{ // what was counted too much is taken off what follows
			{0, 65530, First, 0}, {second, 0, Rollover, 6}, {second, 65531, Spike, 0}, {second, 65533, Onward, 0}, {second, 65535, Onward, 0},
			{second, 1, Rollover, 1}, {second, 2, Onward, 1},
		}},
		"long outage": {dtsu, []told{
			{0, 15230.1, First, 0}, {second, 15230.11, Onward, 0.01}, {72 * hour, 17230.11, Onward, 2000}, {second, 17230.12, Onward, 0.01},
		}},
		"long outage, rate learned": {unknown, []told{
			{0, 15230.1, First, 0}, {second, 15230.11, Onward, 0.01}, {second, 15230.12, Onward, 0.01}, {72 * hour, 17230.12, Onward, 2000},
		}},
		"steps of a current transformer": {ct200, []told{
			{0, 1000, First, 0}, {second, 1002, Onward, 2}, {second, 1002, Onward, 0}, {second, 1002, Onward, 0}, {second, 1004, Onward, 2},
			{second, 1004, Onward, 0}, {60 * second, 1004, Onward, 0}, {60 * second, 1006, Onward, 2},
		}},
		"idle, then at work": {unknown, []told{
			{0, 500, First, 0}, {hour, 500, Onward, 0}, {hour, 501, Onward, 1}, {hour, 502, Onward, 1}, {60 * second, 512, Onward, 10},
		}},
		"jitter of a float32": {unknown, []told{
			{0, 152300.109375, First, 0}, {second, 152300.125, Onward, 0.015625}, {second, 152300.109375, Onward, 0}, {second, 152300.125, Onward, 0},
			{second, 152300.140625, Onward, 0.015625},
		}},
		"the same moment": {parts, []told{{0, 40, First, 0}, {0, 41, Onward, 1}, {-5 * second, 42, Onward, 1}}},
	} {
		t.Run(name, func(t *testing.T) {
			var counter Counter
			at, believed := int64(0), c.history[0].value
			for i, h := range c.history {
				at += h.after
				got := counter.Step(c.rule, h.value, at)
				if got.Verdict != h.verdict || math.Abs(got.Delta-h.delta) > 1e-6 {
					t.Errorf("%d: %v is verdict %d delta %v, want %d and %v", i, h.value, got.Verdict, got.Delta, h.verdict, h.delta)
				}
				if h.verdict == Rollover && got.Before != believed {
					t.Errorf("%d: before %v, want %v", i, got.Before, believed)
				}
				if h.verdict == Onward {
					believed = h.value
				}
			}
		})
	}
}

func TestBefore(t *testing.T) {
	for name, c := range map[string]struct{ values, before []float64 }{
		"rollover":           {[]float64{65533, 65535, 1, 2}, []float64{65533, 65533, 65535, 1}},
		"spike":              {[]float64{40, 41, 9000, 42}, []float64{40, 40, 41, 41}},
		"swap":               {[]float64{40, 9000, 9000, 9000, 9001, 9002}, []float64{40, 40, 40, 40, 40, 9001}},
		"zeros, then a leap": {[]float64{40000, 0, 0, 40001, 40002}, []float64{40000, 40000, 0, 0, 40001}},
	} {
		var counter Counter
		for i, value := range c.values {
			if got := counter.Step(CounterRule{Modulus: 1 << 16, MaxRate: 2}, value, int64(i)*second); got.Before != c.before[i] {
				t.Errorf("%s: %v comes after %v, want %v", name, value, got.Before, c.before[i])
			}
		}
	}
}

var seedFlag = flag.Uint64("seed", 0, "seed of the random property test; 0: a new one")

// meter is a true counter and what it shows.
type meter struct {
	rng     *rand.Rand
	rule    CounterRule
	grain   float64 // it shows multiples of it
	total   float64 // what there was to count
	shown   float64 // what it would show without grain and modulus
	at      int64
	excused float64 // what nobody can know of the total, up to now
}

// wait lets the time of some polls pass at a random load.
func (m *meter) wait(ms int64) {
	d := m.rule.MaxRate * float64(ms) / 1000 * m.rng.Float64()
	if m.rng.IntN(4) == 0 {
		d = 0
	}
	m.total += d
	m.shown += d
	m.at += ms
}

func (m *meter) reading() float64 {
	return math.Mod(math.Floor(m.shown/m.grain)*m.grain, m.rule.Modulus)
}

// The deltas of a counter in trouble sum up to the true total within what passes while it is in trouble, and never exceed what its
// rate allows.
func TestDeltasSumUp(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d", seed)
	seen := map[Verdict]int{}
	for run := range 2000 {
		rng := rand.New(rand.NewPCG(seed, uint64(run)))
		rate := math.Pow(10, 4*rng.Float64()-2)
		m := &meter{rng: rng, rule: CounterRule{Modulus: 1e4 * rate * (1 + 9*rng.Float64()), MaxRate: rate}, grain: rate * math.Pow(10, 2*rng.Float64()-2)}
		m.rule.Modulus = math.Ceil(m.rule.Modulus/m.grain) * m.grain
		if m.shown = m.rule.Modulus * rng.Float64(); run%4 == 0 {
			m.shown = m.rule.Modulus - 100*rate*rng.Float64()
		}
		if history := m.live(t, seen); t.Failed() {
			t.Fatalf("run %d of seed %d, %+v: %s", run, seed, m.rule, history)
		}
	}
	for v := First; v <= Spike; v++ {
		if seen[v] < 100 {
			t.Errorf("verdict %d came %d times only", v, seen[v])
		}
	}
}

// live polls the meter for a while, and now and then does something to it.
func (m *meter) live(t *testing.T, seen map[Verdict]int) (history string) {
	var counter Counter
	poll := int64(1000 + m.rng.IntN(5000))
	sum, begin, quiet := 0.0, m.total, 0
	step := func(value float64) {
		s := counter.Step(m.rule, value, m.at)
		seen[s.Verdict]++
		sum += s.Delta
		history += fmt.Sprintf("\n%d %v %d %v (total %v)", m.at, value, s.Verdict, s.Delta, m.total-begin)
		if s.Delta < 0 || math.IsNaN(s.Delta) {
			t.Errorf("delta %v", s.Delta)
		}
		if most := m.rule.MaxRate*(float64(m.at)/1000+refresh) + m.grain; sum > most*(1+1e-9) {
			t.Errorf("%v was counted, at most %v can have been", sum, most)
		}
	}
	step(m.reading())
	for range 60 {
		m.wait(poll + int64(m.rng.IntN(200)))
		if quiet++; quiet > 6 && m.rng.IntN(8) == 0 {
			quiet = 0
			m.trouble(step, poll)
			continue
		}
		step(m.reading())
	}
	for range few + 2 { // in peace
		m.wait(poll)
		step(m.reading())
	}
	if off := math.Abs(sum - (m.total - begin)); off > m.excused+2*m.grain {
		t.Errorf("counted %v of %v: %v off, excused %v", sum, m.total-begin, off, m.excused)
	}
	return history
}

// trouble does something to the meter, and says how far the sum may be off afterwards.
func (m *meter) trouble(step func(float64), poll int64) {
	most := m.rule.MaxRate * (float64(few+2)*float64(poll+200)/1000 + 2*refresh)
	far := func(from float64) float64 { // a reading that nobody can take for counting on, for a reset or a rollover
		for {
			v := m.rule.Modulus * m.rng.Float64()
			if math.Abs(v-from) > m.rule.Modulus/5 && v > m.rule.Modulus/5 && v < m.rule.Modulus*4/5 {
				return v
			}
		}
	}
	before := m.shown
	switch m.rng.IntN(5) {
	case 0: // an outage
		m.wait(int64(600_000 + m.rng.IntN(600_000)))
		step(m.reading())
	case 1: // set back
		if m.reading() < m.rule.Modulus/10 || m.reading() > m.rule.Modulus*9/10 {
			break
		}
		m.shown = 0
		m.excused += most + m.grain
		m.wait(poll)
		step(m.reading())
	case 2: // another meter
		m.shown = far(m.reading())
		m.excused += most + m.grain
		step(m.reading())
	default: // spikes
		for range 1 + m.rng.IntN(few) {
			step(far(m.reading()))
			m.wait(poll)
		}
		step(m.reading())
		if math.Floor(before/m.rule.Modulus) != math.Floor(m.shown/m.rule.Modulus) {
			m.excused += most + m.grain
		}
	}
}
