package kpi

import (
	"encoding/json"
	"math"
)

// unheard is how old a counter's last reading may be and still be a value that held, ms: every tag is stored at least once a quarter of an
// hour while its device is up. After a longer time nobody knows when the growth happened.
const unheard = 16 * 60_000

// metering turns the readings of one counter into growth. It is written into checkpoints as JSON; the zero metering has seen nothing.
type metering struct {
	counter Counter
	last    int64        // when it was last read, ms since 1970 UTC
	lost    bool         // since then it may have counted unseen
	swaps   []toldChange // since then, in order of time
}

// toldChange is a MeterSwap as far as it counts.
type toldChange struct {
	Final   float64 `json:"final"`
	Initial float64 `json:"initial"`
	At      int64   `json:"at"`
}

// growth is what one reading of a counter adds, in the role's unit, after Signal.Factor and Signal.Share.
type growth struct {
	delta  float64 // never negative
	spread float64 // by so much delta may belong to the time before: the resolution, and all of it if it was counted unseen. It does not add up over readings
	doubt  bool    // a reset, a spike, a change that nobody told or that does not fit: what was counted meanwhile is not known
	swap   bool    // a told change of the meter lies between, and fits
}

// read takes the next reading, in order of time (ms since 1970 UTC). A value that is no number is passed over with a doubt.
func (m *metering) read(s *Signal, value float64, t int64) growth {
	if value-value != 0 {
		return growth{doubt: true}
	}
	rule := CounterRule{Modulus: s.Modulus, MaxRate: s.MaxRate}
	known, unseen := m.counter.known || len(m.swaps) > 0, m.lost || t-m.last > unheard
	var g growth
	for _, c := range m.swaps {
		g.delta += m.change(rule, c, &g)
	}
	if len(m.swaps) > 0 {
		m.swaps = m.swaps[:0]
	}
	step := m.counter.Step(rule, value, t)
	switch step.Verdict {
	case Reset, Swap, Spike:
		g.doubt = true
	}
	g.delta += step.Delta
	g.spread = s.Resolution
	if known && unseen {
		g.spread += g.delta
	}
	m.last, m.lost = t, false

	share := math.Abs(s.Factor)
	if s.Share != 0 {
		share *= s.Share
	}
	g.delta *= share
	g.spread *= share
	return g
}

// lose says that from here on the counter may count unseen: its device is down or its tag is bad.
func (m *metering) lose() { m.lost = true }

// swap takes a told change of the meter at t, in order of time among the readings. It counts with the next reading.
func (m *metering) swap(s *MeterSwap, t int64) {
	if s.Final-s.Final != 0 || s.Initial-s.Initial != 0 {
		return
	}
	m.swaps = append(m.swaps, toldChange{Final: s.Final, Initial: s.Initial, At: t})
}

// change goes on from the old meter's last reading to the new one's first: what the old one still counted up to its final value is sure.
// A final value that the old meter can not have come to is a doubt, and adds nothing; if the readings were on the new meter already, the
// counter is left where it is, since its growth has been counted.
func (m *metering) change(rule CounterRule, c toldChange, g *growth) (delta float64) {
	k := &m.counter
	if k.known {
		verdict, grown := k.judge(rule, c.Final, c.At)
		delta = grown
		if verdict != Onward && verdict != Rollover {
			g.doubt, delta = true, 0
			if c.Final > k.line.value && k.line.value >= c.Initial {
				return 0
			}
		}
		k.ahead += k.branch.counted
		delta = k.pay(delta)
	}
	g.swap = true
	k.known, k.branch = true, branch{}
	k.line = line{value: c.Initial, at: c.At}
	return delta
}

// meteringState is metering as JSON has it.
type meteringState struct {
	Known  bool         `json:"known"`
	Line   lineState    `json:"line"`
	Branch *branchState `json:"branch,omitempty"`
	Rate   float64      `json:"rate,omitempty"`
	Ahead  float64      `json:"ahead,omitempty"`
	Last   int64        `json:"last"`
	Lost   bool         `json:"lost,omitempty"`
	Swaps  []toldChange `json:"swaps,omitempty"`
}

type lineState struct {
	Value float64 `json:"value"`
	At    int64   `json:"at"`
	From  int64   `json:"from,omitempty"`
	Rose  bool    `json:"rose,omitempty"`
}

type branchState struct {
	Line    lineState `json:"line"`
	Verdict Verdict   `json:"verdict"`
	First   float64   `json:"first"`
	Counted float64   `json:"counted,omitempty"`
	Values  int       `json:"values"`
}

// MarshalJSON writes all that is known: what is read back goes on exactly alike.
func (m *metering) MarshalJSON() ([]byte, error) {
	k := &m.counter
	s := meteringState{Known: k.known, Line: k.line.state(), Rate: k.rate, Ahead: k.ahead, Last: m.last, Lost: m.lost, Swaps: m.swaps}
	if b := &k.branch; b.verdict != First {
		s.Branch = &branchState{b.state(), b.verdict, b.first, b.counted, b.values}
	}
	return json.Marshal(&s)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (m *metering) UnmarshalJSON(data []byte) error {
	var s meteringState
	if err := json.Unmarshal(data, &s); err != nil {
		return err
	}
	*m = metering{last: s.Last, lost: s.Lost, swaps: s.Swaps}
	m.counter = Counter{known: s.Known, line: s.Line.line(), rate: s.Rate, ahead: s.Ahead}
	if b := s.Branch; b != nil {
		m.counter.branch = branch{line: b.Line.line(), verdict: b.Verdict, first: b.First, counted: b.Counted, values: b.Values}
	}
	return nil
}

func (l *line) state() lineState { return lineState{l.value, l.at, l.from, l.rose} }

func (s lineState) line() line { return line{value: s.Value, at: s.At, from: s.From, rose: s.Rose} }
