package kpi

import "math"

// CounterRule is what is known of how a counter counts.
type CounterRule struct {
	Modulus float64 // the value at which it begins again from 0, in the tag's unit; 0: not known
	MaxRate float64 // the most that it can count in a second, in the tag's unit; 0: not known
}

// Verdict says how a counter went on.
type Verdict uint8

// The verdicts. A Swap is told once the counter has gone on from its other reading for a few values, which are Spikes until then.
const (
	First    Verdict = iota // there was nothing before
	Onward                  // it counted, or stood still
	Rollover                // it passed its modulus
	Reset                   // it began again near 0
	Swap                    // it goes on from another reading
	Spike                   // the value is off the line, or is back on it where the one before was taken for more than a spike
)

// Step is what one reading of a counter says.
type Step struct {
	Verdict Verdict
	Delta   float64 // by which the quantity has grown, as far as it can be justified; never negative
	Before  float64 // the last reading that was believed until then; the reading itself if it is the First
}

const (
	few = 3 // so many values off the line may be a spike

	// Devices refresh their registers when it suits them: when a value was true is known to within this many seconds.
	refresh = 2

	// Until a counter is seen to rise nobody knows how long ago its last step was: as if it were an hour, in ms. A meter of 0.01 kWh
	// behind a current transformer of 200/1 moves in steps of 2 kWh.
	lastStep = 3_600_000

	// Without a MaxRate, so many times the highest rate seen is believed: of a rise, since machines idle before they work, and of a
	// rollover or reset, which claim more.
	riseMargin, turnMargin = 1000, 10
)

// Counter follows one counter, reading by reading. The zero Counter has seen nothing.
//
// It keeps the line that it believes and, after a break, a branch: where the values would go on from if the break is real. A few
// values along the branch make it the line; a value back on the line makes the branch a spike. Integers above 2^53 are rounded, as
// float64s are: their deltas still sum up to the total.
type Counter struct {
	known  bool
	line   line
	branch branch
	rate   float64 // the highest seen, per second
	ahead  float64 // what was counted along a branch that was a spike: later deltas are less by it
}

// line is a course of values.
type line struct {
	value float64 // the highest
	at    int64   // when the last value came, ms
	from  int64   // when it was last seen below value, ms; meaningless unless rose
	rose  bool
}

// branch is where the values go after a break. A verdict of First means that there is none.
type branch struct {
	line
	verdict Verdict // Rollover, Reset or Spike
	first   float64 // its first value
	counted float64 // deltas given out along it
	values  int
}

// Step judges the next reading, taken at so many ms on a clock that does not jump. Times may repeat.
func (c *Counter) Step(rule CounterRule, value float64, at int64) Step {
	if !c.known {
		*c = Counter{known: true, line: line{value: value, at: at}}
		return Step{First, 0, value}
	}
	if c.follows(rule, value, at) {
		return c.along(value, at)
	}
	b, before := c.branch, c.line.value
	c.ahead += b.counted
	c.branch = branch{}
	verdict, delta := c.judge(rule, value, at)
	switch {
	case verdict != Onward:
		c.branch = branch{line: line{value: value, at: at}, verdict: verdict, first: value, counted: delta, values: 1}
		if verdict != Spike { // it went through 0
			c.branch.rose, c.branch.from = true, c.line.at
		}
	case b.verdict == Rollover || b.verdict == Reset:
		verdict, before = Spike, b.value
		c.line.advance(value, at)
	default:
		if delta > 0 && c.line.rose {
			c.rate = max(c.rate, delta/seconds(at-c.line.from))
		}
		c.line.advance(value, at)
	}
	return Step{verdict, c.pay(delta), before}
}

// follows says that the value lies along the branch, and nearer to it than to the line.
func (c *Counter) follows(rule CounterRule, value float64, at int64) bool {
	b := &c.branch
	return b.verdict != First && c.rises(rule, &b.line, value, at) &&
		(b.value > c.line.value || !c.rises(rule, &c.line, value, at))
}

// along takes a value of the branch.
func (c *Counter) along(value float64, at int64) Step {
	b := &c.branch
	step := Step{Onward, max(0, value-b.value), b.value}
	b.advance(value, at)
	b.values++
	done := b.values > few
	switch {
	case b.verdict != Spike:
		b.counted += step.Delta
		step.Delta = c.pay(step.Delta)
	case done: // what it counted since its first value is as good as any
		step = Step{Swap, c.pay(b.value - b.first), c.line.value}
	default:
		step = Step{Spike, 0, c.line.value}
	}
	if done {
		c.line, c.branch = b.line, branch{}
	}
	return step
}

// judge says how the line would go on to the value: Onward, Rollover, Reset or Spike.
func (c *Counter) judge(rule CounterRule, value float64, at int64) (v Verdict, delta float64) {
	l := &c.line
	wrapped := rule.Modulus - l.value + value
	turn := min(c.most(rule, l.span(at), turnMargin), rule.Modulus/4) // a longer way could as well be a reset
	zero := c.most(rule, at-l.at, turnMargin)
	if math.IsInf(zero, 1) {
		zero = l.value / 100
	}
	switch {
	case c.rises(rule, l, value, at):
		return Onward, max(0, value-l.value)
	case value < l.value && wrapped >= 0 && wrapped <= turn:
		return Rollover, wrapped
	case value < l.value && value >= 0 && value <= zero:
		return Reset, value
	}
	return Spike, 0
}

// rises says that counting on from l can have led to the value. What float32 rounds away is no fall, and not beyond the modulus.
func (c *Counter) rises(rule CounterRule, l *line, value float64, at int64) bool {
	const noise = 1.0 / (1 << 22)
	most := c.most(rule, l.span(at), riseMargin)
	if rule.Modulus > 0 && math.IsInf(most, 1) {
		most = rule.Modulus / 2
	}
	rise := value - l.value
	return rise >= -noise*math.Abs(l.value) && rise <= most && (rule.Modulus == 0 || value <= rule.Modulus*(1+noise))
}

// most is how much can be counted in so many ms; +Inf if nobody knows.
func (c *Counter) most(rule CounterRule, ms int64, margin float64) float64 {
	switch {
	case rule.MaxRate > 0:
		return rule.MaxRate * seconds(ms)
	case c.rate > 0:
		return margin * c.rate * seconds(ms)
	}
	return math.Inf(1)
}

// pay takes what was counted too much off a delta.
func (c *Counter) pay(delta float64) float64 {
	paid := min(delta, c.ahead)
	c.ahead -= paid
	return delta - paid
}

// advance takes a value that lies on l. A lower one is noise: the highest counts.
func (l *line) advance(value float64, at int64) {
	if value > l.value {
		l.value, l.from, l.rose = value, l.at, true
	}
	l.at = at
}

// span is how many ms may have passed since the counter stepped to l's value.
func (l *line) span(at int64) int64 {
	if !l.rose {
		return at - l.at + lastStep
	}
	return at - l.from
}

func seconds(ms int64) float64 { return float64(max(0, ms))/1000 + refresh }
