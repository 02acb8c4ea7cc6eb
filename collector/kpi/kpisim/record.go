package kpisim

import (
	"cmp"
	"slices"

	"github.com/millgate/millgate/collector/kpi"
	"github.com/millgate/millgate/drivers"
)

const (
	blockLength = 10 * second
	mostDelay   = 8 * second // of what a control tells by itself
)

// event is a reading on its way.
type event struct {
	arrives int64 // in true time
	reading drivers.Reading
}

// stamp is the time that the gateway gives to what happens at t.
func stamp(t int64) int64 {
	if wrong.has(t) {
		return t + ahead
	}
	return t
}

func (s Span) has(t int64) bool { return t >= s.From && t < s.To }

func within(spans []Span, t int64) bool {
	return slices.ContainsFunc(spans, func(s Span) bool { return s.has(t) })
}

// without is what the given spans leave of the week.
func without(spans ...Span) (left []Span) {
	spans = slices.Clone(spans)
	slices.SortFunc(spans, func(a, b Span) int { return cmp.Compare(a.From, b.From) })
	from := begin
	for _, s := range spans {
		if s.From > from {
			left = append(left, Span{from, s.From})
		}
		from = max(from, s.To)
	}
	if from < end {
		left = append(left, Span{from, end})
	}
	return left
}

// record lets the gateway ask the device for a week.
func (d *device) record(events *[]event) {
	send := func(tag *drivers.Tag, v drivers.Value, q drivers.Quality, t, arrives int64) {
		r := drivers.Reading{Tag: tag, Value: v, Quality: q, Time: stamp(t)}
		if q == drivers.Bad {
			r.Cause = drivers.CauseTimeout
		}
		*events = append(*events, event{arrives, r})
	}
	fails := func(t int64) {
		send(d.up, drivers.BoolValue(false), drivers.Good, t, t)
		for _, s := range d.series {
			send(s.tag, drivers.Value{}, drivers.Bad, t, t)
		}
	}
	d.asked = without(slices.Concat(d.down, gateway)...)
	for _, s := range d.asked {
		send(d.up, drivers.BoolValue(true), drivers.Good, s.From, s.From)
		for _, one := range d.series {
			one.tell(s, func(t, v int64) {
				arrives := t
				if d.slow() && t > s.From && t+mostDelay < s.To {
					arrives += t * 7 % mostDelay
				}
				send(one.tag, one.show(t, v), drivers.Good, t, arrives)
			})
		}
		if within(d.down, s.To) && !within(gateway, s.To) {
			fails(s.To)
		}
	}
	for _, g := range gateway {
		if within(d.down, g.To) {
			fails(g.To)
		}
	}
	d.known = d.asked
	if within(d.down, filled.From) && d.id == "cnc-4" {
		own := Span{filled.From + 1, filled.To}
		for _, one := range d.series {
			one.tell(own, func(t, v int64) { send(one.tag, one.show(t, v), drivers.Good, t, own.To+5*second) })
		}
		d.known = append(slices.Clone(d.asked), own)
		slices.SortFunc(d.known, func(a, b Span) int { return cmp.Compare(a.From, b.From) })
	}
	for _, one := range d.series {
		slices.SortStableFunc(one.shown, func(a, b point) int { return cmp.Compare(a.t, b.t) })
	}
}

// slow says that the device tells changes by itself, with their time.
func (d *device) slow() bool { return d.id[:3] == "cnc" }

// tell tells a series by exception: at the begin of a span, each change within, and now and then again.
func (s *series) tell(span Span, send func(t, v int64)) {
	i, found := slices.BinarySearch(s.t, span.From)
	if !found {
		i--
	}
	for t := span.From; t < span.To; {
		send(t, s.v[i])
		if n := len(s.shown); n == 0 || s.shown[n-1].v != s.v[i] || t == span.From {
			s.shown = append(s.shown, point{t, s.v[i]})
		}
		t = (t/refresh + 1) * refresh
		if i+1 < len(s.t) && s.t[i+1] <= t {
			i++
			t = s.t[i]
		}
	}
}

// pack makes blocks of what arrived. After the week the devices are seen for a minute more, so that its last windows end.
func pack(events []event, devices []*device) (blocks []kpi.Batch) {
	slices.SortStableFunc(events, func(a, b event) int { return cmp.Compare(a.arrives, b.arrives) })
	started := true
	for t := begin; t < end+minute; t += blockLength {
		if within(gateway, t) {
			started = true
			continue
		}
		b := kpi.Batch{Epoch: "kpisim", Seq: uint64(len(blocks) + 1), Catalogue: "kpisim"}
		if started {
			b.Started, started = stamp(t), false
		}
		n := 0
		for n < len(events) && events[n].arrives < t+blockLength {
			n++
		}
		b.Readings = make([]drivers.Reading, n)
		for i := range b.Readings {
			b.Readings[i] = events[i].reading
		}
		events = events[n:]
		for _, d := range devices {
			if last := t + blockLength - 1; last >= end || within(d.asked, last) {
				b.Seen = append(b.Seen, kpi.Seen{Device: d.id, Time: stamp(last)})
			}
		}
		blocks = append(blocks, b)
	}
	return blocks
}
