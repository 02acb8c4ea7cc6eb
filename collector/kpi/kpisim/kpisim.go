// Package kpisim is a simulated factory with ground truth: a week of eight machines, what their devices told a gateway about it, and what was
// the case. Nothing in it follows from how KPIs are computed.
//
// The week is that of 2026-09-20, a Sunday worked in exchange (调休), with the Mid-Autumn Festival on its Friday. M-1 to M-5 are machining
// centres that tell their state; M-6 to M-8 are known by lamps and power only. M-1, M-2, M-5 and M-6 are switched off at night; then the
// meters of M-1 and M-2 show it, and of M-5, which has no meter, it is assumed. Devices and the gateway fail, one device brings what it
// recorded meanwhile, a meter is changed, which is told a day later, another one rolls over, and the gateway's clock is wrong for a while.
package kpisim

import (
	"math/rand/v2"
	"time"

	"github.com/millgate/millgate/collector/kpi"
	"github.com/millgate/millgate/drivers"
)

// Span is the time [From, To), ms since 1970 UTC.
type Span struct{ From, To int64 }

// Week is what was recorded and what was the case.
type Week struct {
	Span
	Config   *kpi.Config
	Blocks   []kpi.Batch // in order, seq from 1 on
	Machines []*Machine
	Unsure   Span // the gateway's clock was wrong, or values stamped by it still hold: what is known of this time is not the truth
}

// Machine is the truth about one machine, as far as the devices showed it.
type Machine struct {
	ID       string
	Elements []Stretch // from end to end of the week
	Planned  []Planned // likewise: for this machine
	Parts    []Growth
	Energy   []Growth // kWh, as its counter showed them; nil if there is none
	Power    []Level  // kW; where there is no counter
}

// Stretch is a time in which a machine was found to do one thing.
type Stretch struct {
	Span
	Element kpi.Element
	Assumed bool
}

// Planned is a time with one class.
type Planned struct {
	Span
	Class kpi.Class
}

// Growth is by how much a counter had grown when it was read.
type Growth struct {
	Time int64
	By   float64
}

// Level is a value and how long it was known to hold.
type Level struct {
	Span
	Value float64
}

// The moments of the week's troubles.
var (
	begin   = at(20, 8, 0, 0)
	end     = at(27, 8, 0, 0)
	gateway = []Span{{at(22, 14, 0, 0), at(22, 14, 20, 0)}, {at(24, 3, 0, 0), at(24, 3, 2, 0)}} // it does not run
	wrong   = Span{at(23, 19, 50, 0), at(23, 20, 0, 0)}                                         // its clock is ahead
	filled  = Span{at(21, 22, 0, 0), at(22, 9, 30, 0)}                                          // of cnc-4, which brings the readings later
	swapped = Span{at(23, 10, 0, 0), at(23, 10, 5, 0)}                                          // of meter-3
	told    = at(24, 11, 0, 0)
	blind   = Span{at(21, 15, 0, 0), at(21, 15, 30, 0)} // of meter-7, while M-7 runs
	failed  = map[string][]Span{
		"io-1":    {{at(21, 10, 0, 30), at(21, 10, 12, 10)}},
		"cnc-1":   {{at(23, 13, 0, 0), at(23, 13, 20, 0)}},
		"cnc-4":   {filled},
		"meter-3": {swapped},
		"meter-7": {blind},
	}
)

const (
	second = int64(1000)
	minute = 60 * second
	hour   = 60 * minute

	ahead    = 10 * minute      // of the clock while it is wrong
	refresh  = 15 * minute      // every tag is told at least so often
	poll     = second           // of the meters
	blink    = second / 2       // poll of the lamps, and how long a blinking one is lit or not
	booting  = 90 * second      // from power on until a control answers
	offFor   = 30 * second      // how long a meter must show off
	offBelow = 0.05             // kW
	recent   = 5 * second       // within which three changes are a blinking lamp
	wheel    = int64(100000000) // steps of 0.01 kWh at which meters roll over: 999999.99 kWh
)

// at is a moment of September 2026 in China.
func at(day, hour, minute, second int) int64 {
	return time.Date(2026, 9, day, hour, minute, second, 0, time.FixedZone("", 8*3600)).UnixMilli()
}

// NewWeek simulates a week. The same seed gives the same week.
func NewWeek(seed uint64) *Week {
	w := &Week{Span: Span{begin, end}, Config: config(), Unsure: Span{wrong.From, wrong.To + refresh + minute}}
	lamps := &device{id: "io-1", down: failed["io-1"]}
	devices := []*device{lamps}
	var machines []*machine
	for i := range 8 {
		m := &machine{number: i + 1, random: rand.New(rand.NewPCG(seed, uint64(i)))}
		m.live()
		devices = append(devices, m.wire(lamps)...)
		machines = append(machines, m)
	}
	index := 0
	for _, d := range devices {
		for _, s := range d.series {
			s.tag.Index, index = index, index+1
		}
	}
	events := append(make([]event, 0, 600_000), swapMeter(devices, index))
	for i, d := range devices {
		d.up = &drivers.Tag{Device: d.id, Name: "up", Index: index + 1 + i, Type: drivers.TypeBool}
		d.record(&events)
	}
	for _, m := range machines {
		w.Machines = append(w.Machines, m.truth())
	}
	w.Blocks = pack(events, devices)
	return w
}

// Devices are the tags that the week's readings are of, each once, by device and as they first come; `up` is not among them.
func (w *Week) Devices() (ids []string, tags map[string][]*drivers.Tag) {
	tags = map[string][]*drivers.Tag{}
	known := map[string]bool{}
	for i := range w.Blocks {
		for j := range w.Blocks[i].Readings {
			tag := w.Blocks[i].Readings[j].Tag
			if known[tag.String()] {
				continue
			}
			known[tag.String()] = true
			if _, ok := tags[tag.Device]; !ok {
				ids, tags[tag.Device] = append(ids, tag.Device), nil
			}
			if tag.Name != "up" {
				tags[tag.Device] = append(tags[tag.Device], tag)
			}
		}
	}
	return ids, tags
}
