package modbus

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/millgate/millgate/drivers"
)

// model is a device in words: it refuses what is too long, holds an address it does not have, or goes across a seam.
type model struct {
	limit    int
	missing  map[int]bool
	seams    map[int]bool // between an address and the one before it
	long     drivers.Cause
	down     bool // refuses everything
	requests int
}

func (m *model) refuses(s span) drivers.Cause {
	m.requests++
	if m.down {
		return drivers.ModbusException(2)
	}
	if s.len() > m.limit && !s.Table.Bits() {
		return m.long
	}
	for a := s.From; a < s.To; a++ {
		if m.missing[a] || a > s.From && m.seams[a] {
			return drivers.ModbusException(2)
		}
	}
	return ""
}

// cycles is the Reads of one learner from one model.
type cycles struct {
	*learner
	*model
	jobs   []job
	now    time.Time
	extras int
	good   map[span]bool // items that the last Read brought
}

func newCycles(cfg Config, m *model) *cycles {
	c := &cycles{learner: &learner{rules: newRules(cfg), items: itemsOf(cfg.Points)}, model: m, now: time.Unix(1e9, 0)}
	c.jobs = c.plan()
	return c
}

func (c *cycles) may() bool { return c.extras < maxExtras }

func (c *cycles) ask(j job) fate {
	c.extras++
	return c.fate(j)
}

func (c *cycles) fate(j job) fate {
	if cause := c.refuses(j.span); cause != "" {
		return fate{refused: cause}
	}
	for _, it := range j.items {
		c.good[it.span] = true
	}
	return fate{answered: true}
}

// cycle is one Read; it says whether the plan stands.
func (c *cycles) cycle() bool {
	c.extras, c.good, c.now = 0, map[span]bool{}, c.now.Add(time.Second)
	var plan []told
	for _, j := range c.jobs {
		plan = append(plan, told{job: j, fate: c.fate(j)})
	}
	next := c.learner.read(plan, c, c.now)
	if next != nil {
		c.jobs = next
	}
	return next == nil
}

// best is the cost of the plan of one who knows the device.
func (c *cycles) best() time.Duration {
	r := *c.learner.rules
	r.most[0] = min(r.most[0], c.limit)
	for t := range Table(len(tables)) {
		for a := range 1000 {
			if c.missing[a] {
				r.banned = append(r.banned, span{t, a, a + 1})
			}
			if c.seams[a] {
				r.banned = append(r.banned, span{t, a - 1, a + 1})
			}
		}
	}
	slices.SortFunc(r.banned, compareSpans)
	return r.cost(r.plan(c.present()))
}

// present is the items that the device has.
func (c *cycles) present() (items []item) {
	for _, it := range c.items {
		if c.refuses(it.span) == "" {
			items = append(items, it)
		}
	}
	return items
}

// readsAll checks that the last Read brought what the device has.
func (c *cycles) readsAll(t *testing.T) {
	t.Helper()
	for _, it := range c.present() {
		if !c.good[it.span] {
			t.Fatalf("the item %v is not read (limit %d, holes %v, seams %v)\n%+v", it, c.limit, c.missing, c.seams, c.know)
		}
	}
}

var learnLinks = []LinkConfig{
	{},
	{Endpoint: Endpoint{Transport: Serial, Framing: RTU}},
	{Endpoint: Endpoint{Transport: Serial, Framing: RTU}, Baud: 1200},
}

// randomCycles is a device with up to so many holes and seams, and n points in it.
func randomCycles(rnd *rand.Rand, n, holes, seams int) *cycles {
	m := &model{limit: 1 + rnd.IntN(MaxRegisters), missing: map[int]bool{}, seams: map[int]bool{}, long: drivers.ModbusException(byte(2 + rnd.IntN(2)))}
	cfg := Config{Link: learnLinks[rnd.IntN(len(learnLinks))]}
	step := 1 + rnd.IntN(4)
	at := 0
	for range n {
		p := pointAt(HoldingRegister, at, []string{"uint16", "uint16", "float32", "uint64"}[rnd.IntN(4)])
		cfg.Points = append(cfg.Points, p)
		if at = p.end() + rnd.IntN(step); rnd.IntN(20) == 0 {
			at = max(1, p.end()-1) // it overlaps the next
		}
	}
	for range rnd.IntN(holes + 1) {
		m.missing[rnd.IntN(at)] = true
	}
	for range rnd.IntN(seams + 1) {
		m.seams[rnd.IntN(at)] = true
	}
	if rnd.IntN(4) == 0 {
		m.limit = MaxRegisters
	}
	return newCycles(cfg, m)
}

// TestBestPlanWithinTenReads: of a device that refuses more than so many registers, and has up to three holes among 100 points.
func TestBestPlanWithinTenReads(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	slowest := 0
	for n := range 3000 {
		c := randomCycles(rnd, 100, 3, 0)
		if c.limit = max(c.limit, 4); n%2 == 0 { // no point is too long
			c.limit = 40
		}
		reads := 0
		for reads < 10 && !c.cycle() {
			reads++
		}
		slowest = max(slowest, reads)
		c.requests = 0
		standing := c.cycle()
		if got, best := c.learner.rules.cost(c.jobs), c.best(); got != best || !standing {
			t.Fatalf("map %d: after %d reads a plan of %v, but the best is %v (limit %d, holes %v)\n%+v", n, reads, got, best, c.limit, c.missing, c.know)
		}
		c.readsAll(t)
	}
	t.Logf("the plan stood after %d reads at most", slowest)
}

// TestLearningEnds: whatever the device has of holes and seams, all it has is read from some Read on, no Read asks without bounds, and
// the plan is the best.
func TestLearningEnds(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	for n := range 1500 {
		c := randomCycles(rnd, 1+rnd.IntN(120), rnd.IntN(30), rnd.IntN(20))
		if len(c.present()) == 0 {
			continue
		}
		reads := 0
		for !c.cycle() {
			if reads++; reads > 100 {
				t.Fatalf("map %d: no end after %d reads (limit %d, holes %v, seams %v)\n%+v", n, reads, c.limit, c.missing, c.seams, c.know)
			}
			if c.extras > maxExtras {
				t.Fatalf("map %d: %d requests that were not planned", n, c.extras)
			}
		}
		c.readsAll(t)
		if got, best := c.learner.rules.cost(c.jobs), c.best(); got != best {
			t.Fatalf("map %d: after %d reads a plan of %v, but the best is %v (limit %d, holes %v, seams %v)\n%+v", n, reads, got, best, c.limit, c.missing, c.seams, c.know)
		}
		if k := c.know; !k.believable() {
			t.Fatalf("map %d: not to be believed: %+v", n, k)
		}
	}
}

// hundred is a device of 100 registers without gaps, whose plan stands.
func hundred(t *testing.T, limit int, missing ...int) *cycles {
	t.Helper()
	cfg := Config{}
	for a := range 100 {
		cfg.Points = append(cfg.Points, pointAt(HoldingRegister, a, "uint16"))
	}
	c := newCycles(cfg, &model{limit: limit, missing: map[int]bool{}, long: drivers.ModbusException(3)})
	for _, a := range missing {
		c.missing[a] = true
	}
	c.settle(t, 15)
	return c
}

// settle reads until the plan stands, and is the best.
func (c *cycles) settle(t *testing.T, most int) (reads int) {
	t.Helper()
	for ; !c.cycle(); reads++ {
		if reads == most {
			t.Fatalf("the plan does not stand after %d reads: %+v", reads, c.know)
		}
	}
	if got, best := c.learner.rules.cost(c.jobs), c.best(); got != best {
		t.Fatalf("a plan of %v, but the best is %v: %+v", got, best, c.know)
	}
	c.readsAll(t)
	return reads
}

// refuseOnce makes the device refuse everything in the plan of one Read, and nothing that is asked in it besides.
func (c *cycles) refuseOnce() {
	c.extras, c.good, c.now = 0, map[span]bool{}, c.now.Add(time.Second)
	var plan []told
	for _, j := range c.jobs {
		plan = append(plan, told{job: j, fate: fate{refused: drivers.ModbusException(2)}})
	}
	if next := c.learner.read(plan, c, c.now); next != nil {
		c.jobs = next
	}
}

// TestOneRefusalIsChance: what was answered before is believed again when it is answered again.
func TestOneRefusalIsChance(t *testing.T) {
	c := hundred(t, MaxRegisters)
	before := c.know.clone()
	c.refuseOnce()
	c.readsAll(t)
	c.settle(t, 2)
	if len(c.jobs) != 1 || c.know.Limits != before.Limits || len(c.know.Refused) != 0 {
		t.Errorf("%+v", c.know)
	}
}

// TestAnotherLimit: the device is changed for one that answers less, and then for one that answers more.
func TestAnotherLimit(t *testing.T) {
	c := hundred(t, MaxRegisters, 50)
	c.limit = 30
	c.settle(t, 15)
	c.now = c.now.Add(2 * doubtTime)
	c.limit = 45
	c.settle(t, 15)
}

// TestHolesComeAndGo: a register that appears is read after its retry, one that disappears spoils nothing.
func TestHolesComeAndGo(t *testing.T) {
	c := hundred(t, 40, 7, 60)
	c.missing = map[int]bool{7: true, 60: true, 30: true, 31: true}
	c.settle(t, 10)
	c.missing = map[int]bool{}
	for range 4 { // one retry a Read
		c.now = c.now.Add(retryFirst)
		c.settle(t, 10)
	}
	if len(c.know.Refused) != 0 {
		t.Errorf("%+v", c.know.Refused)
	}
}

// TestRestart: a device that has just started, and for a minute refuses half of what it had, is read as before soon after.
func TestRestart(t *testing.T) {
	c := hundred(t, 40)
	for a := range 50 {
		c.missing[50+a] = true
	}
	for range 60 {
		c.cycle()
	}
	clear(c.missing)
	for range 4 * 60 {
		c.cycle()
	}
	c.settle(t, 0)
	if len(c.know.Refused) != 0 {
		t.Errorf("%+v", c.know.Refused)
	}
}

// TestRetriesAreFew: what stays refused is asked for less and less often, and one thing a Read.
func TestRetriesAreFew(t *testing.T) {
	c := hundred(t, 40, 7, 60)
	c.requests = 0
	planned, reads := len(c.jobs), 0
	for range 10 * 24 * 60 {
		before := c.requests
		c.now = c.now.Add(time.Minute)
		if c.cycle(); c.requests-before > planned+1 {
			t.Fatalf("%d requests in a read", c.requests-before)
		}
		reads++
	}
	extras := c.requests - reads*planned
	// Three things, each after 1, 3, 7, 15, ..., 1023 minutes, and from then on once a day.
	if extras < 3*15 || extras > 3*21 {
		t.Errorf("%d retries in ten days", extras)
	}
}

// TestRefusalOfEverything: after a few Reads only the plan is sent; what was known before stays known; and it is all back at once.
func TestRefusalOfEverything(t *testing.T) {
	c := hundred(t, 40, 7, 60)
	best, known := c.best(), c.know.clone()
	planned := len(c.jobs)
	c.down, c.requests = true, 0
	for range 10 {
		c.cycle()
	}
	if c.requests > 150 {
		t.Errorf("%d requests in ten Reads", c.requests)
	}
	c.requests = 0
	if c.cycle(); c.requests != planned {
		t.Errorf("%d requests, want the plan of %d", c.requests, planned)
	}
	c.down = false
	if c.cycle(); c.learner.rules.cost(c.jobs) != best || !slices.EqualFunc(c.know.Refused, known.Refused, func(a, b fact) bool { return a.span == b.span }) {
		t.Errorf("%v instead of %v, %+v", c.learner.rules.cost(c.jobs), best, c.know)
	}
	c.readsAll(t)
}

// TestNothingIsLeft: a device all of whose points are refused is still asked.
func TestNothingIsLeft(t *testing.T) {
	c := newCycles(Config{Points: []Point{pointAt(HoldingRegister, 3, "uint16")}}, &model{limit: 9, missing: map[int]bool{3: true}})
	for range 9 {
		if c.cycle(); len(c.jobs) != 1 {
			t.Fatalf("the plan is %v", c.jobs)
		}
	}
	c.missing = nil
	c.settle(t, 2)
}

// TestExtrasAreBounded: in number, and in time: none in the last quarter before the deadline.
func TestExtrasAreBounded(t *testing.T) {
	f := func(past, left time.Duration, n int, want bool) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), left)
		defer cancel()
		x := &extras{ctx: ctx, t: &tally{began: time.Now().Add(-past)}, n: n}
		if x.may() != want {
			t.Errorf("%v before the deadline, %v after the beginning, request %d: want %v", left, past, n, want)
		}
	}
	f(0, time.Hour, 0, true)
	f(0, time.Hour, maxExtras, false)
	f(time.Hour, time.Hour, 0, true)
	f(4*time.Hour, time.Hour, 0, false)
}

// FuzzLearned: whatever stands in the file, a driver learns on.
func FuzzLearned(f *testing.F) {
	f.Add([]byte(`{"place":"h:502","unit":1,"framing":"tcp","knowledge":{"limits":[{"answered":40,"refused":{"table":3,"from":0,"to":41,` +
		`"cause":"modbus_exception_3","since":"2026-01-01T00:00:00Z","retry":"2026-01-01T01:00:00Z","pause":3600000000000}},{"answered":0}],` +
		`"proven":[{"table":3,"from":0,"to":40}],"refused":[{"table":3,"from":50,"to":51,"cause":"modbus_exception_2",` +
		`"since":"2026-01-01T00:00:00Z","retry":"2026-01-01T01:00:00Z","pause":3600000000000}]}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		learned := parseLearned(b)
		cfg := Config{MaxRegisters: 60}
		for a := range 100 {
			cfg.Points = append(cfg.Points, pointAt(HoldingRegister, a, "uint16"))
		}
		c := newCycles(cfg, &model{limit: 30, missing: map[int]bool{51: true}, long: drivers.ModbusException(3)})
		c.know = learned.Knowledge
		c.jobs = c.plan()
		for range 20 {
			c.cycle()
		}
	})
}
