package kpi

// Class is what the calendar says of a moment.
type Class uint8

// The classes. Without shifts all time is Planned.
const (
	Planned     Class = iota // planned busy time, PBT (ISO 22400-2, 5.5)
	PlannedStop              // breaks and planned downs within a shift
	Unscheduled              // in no shift
	numClasses
)

// Element is what the equipment does, as a mapping makes it of state and mode.
type Element uint8

// The elements of ISO 22400-2 as OPC 40501-1, C.2.3 maps them; Off is evidence that the equipment has no power.
const (
	Unknown Element = iota
	APT             // actual production time
	AUST            // actual unit set-up time
	ADET            // actual unit delay time
	ADOT            // actual unit down time (待机): not running, for no fault
	Off
	numElements
)

// Tally is all that formulas need of one subject and one window, and is additive: the tally of a window is the sum of those of its parts.
type Tally struct {
	Times    [numClasses][numElements]int64 `json:"times"`         // ms; their sum is the window
	Assumed  int64                          `json:"assumed_ms"`    // of the times other than Unknown: by assumption
	Excluded int64                          `json:"excluded_ms"`   // of APT in planned time: programs that make no product
	Stops    int64                          `json:"alarm_stops"`   // changes into ADET
	Channels []Channel                      `json:"channels"`      // by the subject's channels
	Parts    []float64                      `json:"parts"`         // by Config.Products, the last of unknown programs; nil without signal program
	Entered  []Entered                      `json:"entered"`       // by the subject's inputs
	Present  int64                          `json:"collected_ms"`  // Σ over the subject's signal tags of ms with a value
	Wanted   int64                          `json:"to_collect_ms"` // Σ over them of ms of the window
	Ideal    float64                        `json:"ideal_s"`       // Σ parts × ideal cycle of known products, s
	Blind    int64                          `json:"no_program_ms"` // of APT in planned time: the program was not known
}

// Channel is what one signal, or a figure derived from several, came to.
type Channel struct {
	Sum      Sum     `json:"sum,omitzero"`       // counted: growth, in the role's unit. Integrated and derived: ∫ dt, in unit × ms. Timed: ms
	Idle     Sum     `json:"idle,omitzero"`      // the part of Sum while the state was known and not executing, off included
	OffShift Sum     `json:"off_shift,omitzero"` // the part of Sum outside of planned busy time
	Known    int64   `json:"known_ms,omitzero"`  // for so long there was a value
	Spread   float64 `json:"spread,omitzero"`    // by so much Sum may be off towards a neighbouring window: resolution, and what a gap hides
	Readings int64   `json:"readings,omitzero"`  // of a counter
	Open     int64   `json:"open_ms,omitzero"`   // for so long there had been no value at the end; what a counter grew since is not in Sum
	Doubts   int     `json:"doubts,omitzero"`    // resets and spikes within
	Swaps    int     `json:"swaps,omitzero"`     // told ones
}

// Entered is what people entered for one input: the sum over its periods that lie in the window.
type Entered struct {
	Sum   Sum `json:"sum"`
	Given int `json:"given"` // periods with a figure
}

// add adds the tally of the time that follows.
func (t *Tally) add(o *Tally) {
	for class := range o.Times {
		for element, ms := range o.Times[class] {
			t.Times[class][element] += ms
		}
	}
	t.Assumed += o.Assumed
	t.Excluded += o.Excluded
	t.Stops += o.Stops
	t.Present += o.Present
	t.Wanted += o.Wanted
	t.Ideal += o.Ideal
	t.Blind += o.Blind
	for i := range o.Channels {
		t.Channels[i].add(&o.Channels[i])
	}
	for i, n := range o.Parts {
		t.Parts[i] += n
	}
	for i := range o.Entered {
		t.Entered[i].Sum.Join(o.Entered[i].Sum)
		t.Entered[i].Given += o.Entered[i].Given
	}
}

func (c *Channel) add(o *Channel) {
	if c.Readings == 0 {
		c.Spread = o.Spread // what a reading within shows beyond its due stays within
	}
	if o.Readings > 0 || o.Known > 0 {
		c.Open = 0
	}
	c.Open += o.Open
	c.Sum.Join(o.Sum)
	c.Idle.Join(o.Idle)
	c.OffShift.Join(o.OffShift)
	c.Known += o.Known
	c.Readings += o.Readings
	c.Doubts += o.Doubts
	c.Swaps += o.Swaps
}

// clear empties t and keeps its room.
func (t *Tally) clear() {
	channels, parts, entered := t.Channels, t.Parts, t.Entered
	clear(channels)
	clear(parts)
	clear(entered)
	*t = Tally{Channels: channels, Parts: parts, Entered: entered}
}

// blank says that nothing at all is known of the window.
func (t *Tally) blank() bool {
	for class := range t.Times {
		for element := Unknown + 1; element < numElements; element++ {
			if t.Times[class][element] != 0 {
				return false
			}
		}
	}
	for i := range t.Channels {
		if t.Channels[i].Known != 0 || t.Channels[i].Readings != 0 {
			return false
		}
	}
	for i := range t.Entered {
		if t.Entered[i].Given != 0 {
			return false
		}
	}
	return t.Present == 0
}

// Sum adds float64s with compensation (Neumaier): the error does not grow with their number.
type Sum struct {
	S float64 `json:"s"`
	C float64 `json:"c,omitempty"`
}

// Add adds x.
func (s *Sum) Add(x float64) {
	t := s.S + x
	if abs(s.S) >= abs(x) {
		s.C += (s.S - t) + x
	} else {
		s.C += (x - t) + s.S
	}
	s.S = t
}

// Join adds another sum.
func (s *Sum) Join(o Sum) {
	s.Add(o.S)
	s.C += o.C
}

// Value is the sum.
func (s *Sum) Value() float64 { return s.S + s.C }

func abs(x float64) float64 {
	if x < 0 {
		return -x
	}
	return x
}
