package kpi

import (
	"encoding/json"
	"strings"

	"github.com/millgate/millgate/drivers"
)

// table says for each tag of a catalogue, by its index, what its readings are for.
type table struct{ routes []route }

// route is where the readings of one tag go.
type route struct {
	use     use
	device  int32    // by Plan.devices; -1: nobody listens to it
	targets []target // whose input the tag is
}

// use is what the readings of a tag are for.
type use uint8

const (
	notLookedUp use = iota
	observed        // by targets, or nobody
	liveness        // the tag `up`: false makes all of its device unknown
	entered         // by people
)

// table finds the table of a catalogue. The engine keeps few: catalogues follow each other.
func (e *Engine) table(catalogue string) *table {
	t := e.tables[catalogue]
	if t == nil {
		if len(e.tables) >= 4 {
			clear(e.tables)
		}
		t = &table{}
		e.tables[catalogue] = t
	}
	return t
}

// route looks a tag up, the first time by its name.
func (p *Plan) route(tb *table, tag *drivers.Tag) *route {
	if uint(tag.Index) < uint(len(tb.routes)) && tb.routes[tag.Index].use != notLookedUp {
		return &tb.routes[tag.Index]
	}
	r := route{use: observed, device: -1, targets: p.routes[tag.Device+"/"+tag.Name]}
	if n, ok := p.devices[tag.Device]; ok {
		r.device = n
	}
	switch {
	case tag.Device == ManualDevice:
		r.use = entered
	case tag.Name == upTag:
		r.use = liveness
	}
	const most = 1 << 20 // tags of a gateway; whatever has a higher index is looked up each time
	if tag.Index < 0 || tag.Index >= most {
		return &r
	}
	if grow := tag.Index + 1 - len(tb.routes); grow > 0 {
		tb.routes = append(tb.routes, make([]route, grow)...)
	}
	tb.routes[tag.Index] = r
	return &tb.routes[tag.Index]
}

// distribute tells everybody what the block says.
func (e *Engine) distribute(b *Batch, out *Output) {
	tb := e.table(b.Catalogue)
	for i := range b.Readings {
		r := &b.Readings[i]
		route := e.plan.route(tb, r.Tag)
		if route.use == entered {
			e.enter(r, out)
			continue
		}
		if route.device < 0 {
			continue
		}
		o := e.arrivalOf(r)
		for _, t := range route.targets {
			o.input = t.input
			e.tell(t, o)
		}
		if route.use == liveness && o.known && o.value == 0 {
			for _, t := range e.plan.members[route.device] {
				e.tell(t, arrival{t: r.Time, input: t.input, gone: true})
			}
		}
	}
}

// unanswered are the causes that mean that the device itself does not answer.
var unanswered = map[drivers.Cause]bool{
	drivers.CauseTimeout: true, drivers.CauseRefused: true, drivers.CauseUnreachable: true, drivers.CauseLost: true,
	drivers.ModbusException(10): true, drivers.ModbusException(11): true,
}

// arrivalOf is what a reading says. A bad one says that the value is unknown; an uncertain one is a value all the same.
func (e *Engine) arrivalOf(r *drivers.Reading) arrival {
	if r.Quality == drivers.Bad {
		return arrival{t: r.Time, gone: unanswered[r.Cause]}
	}
	if r.Value.Type() == drivers.TypeText {
		return arrival{t: r.Time, known: true, text: e.texts.the(r.Value.Text())}
	}
	v, ok := r.Value.Float()
	if !ok || abs(v) > enormous {
		return arrival{t: r.Time}
	}
	return arrival{t: r.Time, known: true, value: v}
}

// enter takes what a person entered.
func (e *Engine) enter(r *drivers.Reading, out *Output) {
	o := e.arrivalOf(r)
	if !o.known {
		return
	}
	if r.Tag.Name == SwapTag {
		var s MeterSwap
		if o.text == nil || json.Unmarshal([]byte(*o.text), &s) != nil {
			return
		}
		o.swap = true
		for _, t := range e.plan.routes[s.Tag] {
			o.input = t.input
			e.tell(t, o)
		}
		return
	}
	t, ok := e.plan.entries[r.Tag.Name]
	if !ok || o.text != nil || r.Time > e.times.Horizon+leap {
		return
	}
	in := &e.plan.subjects[t.subject].shape.Inputs[t.input]
	w, ok := e.plan.schedule.Window(WindowKind(in.Period), r.Time)
	if !ok {
		return
	}
	if e.replay.under {
		o.t, o.input, o.entry = w.From, t.input, true
		e.late(t, o, o.t, ReasonInput)
		return
	}
	k, n := e.tracks[t.subject], entry{Input: int(t.input), Time: w.From, Value: o.value}
	k.note(n)
	if w.To > e.times.Done || w.To <= e.times.Start {
		return
	}
	if out.Reports, ok = e.amend(k, &n, w, out.Reports); !ok {
		e.late(t, o, max(w.From, e.times.Start), ReasonInput)
	}
}

// texts keep one copy of each text. A gateway has few: programs and states.
type texts map[string]*string

// the is the copy of a text, which shares no memory with it.
func (t texts) the(text string) *string {
	if known := t[text]; known != nil {
		return known
	}
	const most = 10_000
	if len(t) >= most {
		clear(t)
	}
	own := strings.Clone(text)
	t[own] = &own
	return &own
}
