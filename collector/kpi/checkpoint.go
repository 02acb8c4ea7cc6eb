package kpi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"slices"
	"strconv"
)

// stateVersion changes when states of before can not be read any more.
const stateVersion = 1

// engineState is an Engine as bytes, without its subjects. What belongs to a part of the configuration is kept under its names, so that another Plan can go on.
type engineState struct {
	Version  int                  `json:"v"`
	Position Position             `json:"position"`
	Times    times                `json:"times"`
	Dirty    *Rewind              `json:"dirty,omitempty"`
	Open     [numKinds]openWindow `json:"open"`
	Subjects []string             `json:"subjects"` // ids
}

// trackState is a track as bytes.
type trackState struct {
	ID      string       `json:"id"`
	Names   trackNames   `json:"names"`
	Now     int64        `json:"now"`
	Holds   []holdState  `json:"holds"`
	Flows   []flowState  `json:"flows"`
	Run     *stateRun    `json:"run,omitempty"`
	Is      standing     `json:"is"`
	Piece   Tally        `json:"piece"`
	Mark    [3]int64     `json:"mark"`
	Windows []Tally      `json:"windows"` // of the open windows
	Life    Lived        `json:"life"`
	Entries []entry      `json:"entries,omitempty"`
	Past    []pastWindow `json:"past,omitempty"`
}

// trackNames say what the positions in a trackState stand for.
type trackNames struct {
	Channels []string `json:"channels"` // with their tags
	Inputs   []string `json:"inputs"`
	Entries  []string `json:"entries"`
	Products []string `json:"products"`
}

type holdState struct {
	Known bool    `json:"known"`
	Value float64 `json:"value"`
	Text  string  `json:"text,omitempty"`
	Gone  bool    `json:"gone,omitempty"`
}

type flowState struct {
	Since int64     `json:"since"`
	Rate  float64   `json:"rate"`
	Known bool      `json:"known"`
	Meter *metering `json:"meter,omitempty"`
	Mark  [3]int64  `json:"mark"`
}

// names are those of a subject, for its state.
func (s *subject) names() (n trackNames) {
	for i := range s.shape.Channels {
		c := &s.shape.Channels[i]
		name := c.Name
		for _, tag := range c.Tags {
			name += " " + tag
		}
		n.Channels = append(n.Channels, name)
	}
	for i := range s.inputs {
		n.Inputs = append(n.Inputs, s.inputs[i].tag)
	}
	for i := range s.shape.Inputs {
		n.Entries = append(n.Entries, s.shape.Inputs[i].ID)
	}
	for i := range s.made {
		n.Products = append(n.Products, s.made[i].ID)
	}
	return n
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// State is all that the engine knows, as lines: JSON of the engine, for each subject JSON of its track and of what is told and waits, and a
// check sum. The same blocks give the same bytes.
func (e *Engine) State() []byte {
	s := engineState{Version: stateVersion, Position: e.position, Times: e.times, Open: e.open}
	if e.dirty.From != unending {
		s.Dirty = &e.dirty
	}
	room := 0
	for _, k := range e.tracks {
		s.Subjects = append(s.Subjects, k.subject.id)
		room += 4096 + 20*len(k.pending)
	}
	text := appendLine(make([]byte, 0, room), &s)
	for _, k := range e.tracks {
		text = appendLine(text, k.state(&e.open))
		text = append(k.appendPending(text), '\n')
	}
	return fmt.Appendf(text, "%08x", crc32.Checksum(text, castagnoli))
}

func appendLine(text []byte, v any) []byte {
	line, err := json.Marshal(v)
	if err != nil { // all is finite, see enormous
		panic("BUG: the state of the KPIs can not be written: " + err.Error())
	}
	return append(append(text, line...), '\n')
}

func (k *track) state(open *[numKinds]openWindow) *trackState {
	s := &trackState{
		ID: k.subject.id, Names: k.subject.names(), Now: k.now, Piece: k.piece, Life: k.life,
		Is:   k.standing,
		Mark: k.mark.array(), Entries: k.entries, Past: k.past,
	}
	for _, o := range k.inputs {
		s.Holds = append(s.Holds, holdState{o.known, o.value, o.text, o.unreachable})
	}
	for i := range k.flows {
		f := &k.flows[i]
		state := flowState{Since: f.since, Rate: f.rate, Known: f.known, Meter: f.meter, Mark: f.mark.array()}
		s.Flows = append(s.Flows, state)
	}
	for kind := range open {
		if open[kind].Open {
			s.Windows = append(s.Windows, k.windows[kind])
		}
	}
	if k.subject.machine != nil {
		s.Run = &k.run
	}
	return s
}

func (p proportions) array() [3]int64 { return [3]int64{p.all, p.idle, p.offShift} }

// appendPending writes what is told and waits compactly, as it is most of a state. Times are ms since the track's. An observation is [t, input]
// if it is not known, [t, input, false] if its device does not answer, [t, input, value], [t, input, null, text], and
// [t, input, null, text, true] of a swap.
func (k *track) appendPending(text []byte) []byte {
	text = append(text, '[')
	for i := range k.pending {
		o := &k.pending[i]
		if i > 0 {
			text = append(text, ',')
		}
		text = append(text, '[')
		text = strconv.AppendInt(text, o.t-k.now, 10)
		text = append(text, ',')
		text = strconv.AppendInt(text, int64(o.input), 10)
		switch {
		case o.text != nil:
			quoted, err := json.Marshal(*o.text)
			if err != nil { // a string can always be written
				panic(err)
			}
			text = append(append(text, ",null,"...), quoted...)
			if o.swap {
				text = append(text, ",true"...)
			}
		case o.gone:
			text = append(text, ",false"...)
		case o.known:
			text = append(text, ',')
			text = strconv.AppendFloat(text, o.value, 'g', -1, 64)
		}
		text = append(text, ']')
	}
	return append(text, ']')
}

// pendingFrom reads what appendPending wrote.
func (e *Engine) pendingFrom(line []byte, now int64) ([]arrival, error) {
	var all [][]any
	if err := json.Unmarshal(line, &all); err != nil {
		return nil, err
	}
	pending := make([]arrival, 0, len(all))
	for _, fields := range all {
		o, ok := e.arrivalFrom(fields)
		if !ok {
			return nil, fmt.Errorf("%v is not an observation", fields)
		}
		o.t += now
		pending = append(pending, o)
	}
	return pending, nil
}

func (e *Engine) arrivalFrom(fields []any) (o arrival, ok bool) {
	if len(fields) < 2 || len(fields) > 5 {
		return o, false
	}
	t, okT := fields[0].(float64)
	input, okInput := fields[1].(float64)
	if !okT || !okInput || t < 0 || t > 1<<53 || input < 0 || input > 1<<30 {
		return o, false
	}
	o.t, o.input = int64(t), int32(input)
	switch len(fields) {
	case 3:
		if fields[2] == false {
			o.gone = true
			return o, true
		}
		o.value, o.known = fields[2].(float64)
		return o, o.known && abs(o.value) <= enormous
	case 4, 5:
		text, ok := fields[3].(string)
		o.text, o.known, o.swap = e.texts.the(text), true, len(fields) == 5
		return o, ok && fields[2] == nil
	}
	return o, true
}

// checked is a state without its check sum, which is right.
func checked(state []byte) ([]byte, error) {
	at := bytes.LastIndexByte(state, '\n')
	if at < 0 {
		return nil, fmt.Errorf("it ends early")
	}
	sum, err := strconv.ParseUint(string(state[at+1:]), 16, 32)
	if err != nil || uint32(sum) != crc32.Checksum(state[:at+1], castagnoli) {
		return nil, fmt.Errorf("its check sum is wrong")
	}
	return state[:at+1], nil
}

// positions are, by what is now, where it was; -1 where it was not.
func positions(now, was []string) []int {
	at := make([]int, len(now))
	for i, name := range now {
		at[i] = slices.Index(was, name)
	}
	return at
}
