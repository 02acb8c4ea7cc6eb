package kpi

import "encoding/json"

// flow is one channel under way.
type flow struct {
	since int64   // up to then it is in the piece
	rate  float64 // of Integrated and Timed: what is added per ms; 0 while unknown
	known bool
	meter *metering   // of Counted; else nil
	mark  proportions // of Counted: at the last reading, or the begin of the piece
}

// proportions are times within a piece, ms.
type proportions struct{ all, idle, offShift int64 }

// number says that a number is known.
func (o *observation) number() bool { return o.known && o.text == "" }

// value is a reading in the role's unit; of a flag 1 while it is set.
func (c *channel) value(o observation) float64 {
	switch {
	case !o.number():
		return 0
	case c.how == Timed:
		if (o.value != 0) != c.signal.Invert {
			return 1
		}
		return 0
	}
	return c.signal.scaled(o.value)
}

// scaled is a value of the tag in the role's unit, as far as it is the subject's share.
func (s *Signal) scaled(x float64) float64 {
	if s.Share != 0 {
		x *= s.Share
	}
	return x * s.Factor
}

// derive computes a derived channel from what holds.
func (k *track) derive(c *channel) (y float64, ok bool) {
	var room [8]float64
	x := room[:0]
	for i, at := range c.from {
		if !k.inputs[at].number() {
			return 0, false
		}
		x = append(x, c.of[i].scaled(k.inputs[at].value))
	}
	y, ok = c.derive.eval(x, &k.subject.equipment.Nameplate)
	return y, ok && abs(y) <= enormous
}

// set changes what a channel adds from now on.
func (k *track) set(c int, rate float64, known bool) {
	f := &k.flows[c]
	if !known {
		rate = 0
	}
	if f.rate != rate || f.known != known {
		k.flush(c)
		f.rate, f.known = rate, known
	}
}

// count takes a reading of a counter. Its growth belongs to this moment; for what it was used is told by what was the case since the
// reading before, as far as that lies within the piece.
func (k *track) count(c int, o observation) {
	f, s := &k.flows[c], &k.subject.channels[c]
	if known := o.number(); f.known != known {
		k.flush(c)
		f.known = known
	}
	if !f.known {
		f.meter.lose()
		return
	}
	g := f.meter.read(&s.signal, o.value, k.now)
	to := &k.piece.Channels[c]
	if to.Readings == 0 {
		to.Spread = g.spread
	}
	to.Readings, to.Open = to.Readings+1, 0
	if g.doubt {
		to.Doubts++
	}
	if g.swap {
		to.Swaps++
	}
	if g.delta > 0 && g.delta <= enormous {
		k.grow(c, g.delta)
	}
	f.mark = k.mark
	if c == k.subject.hours {
		k.life.Counter, k.life.Counted = o.value*s.signal.Factor, true
	}
}

func (k *track) grow(c int, delta float64) {
	f, to := &k.flows[c], &k.piece.Channels[c]
	to.Sum.Add(delta)
	all, idle, off := k.mark.all-f.mark.all, k.mark.idle-f.mark.idle, k.mark.offShift-f.mark.offShift
	if all == 0 { // nothing of it lies within the piece: what is the case now tells
		all = 1
		idle, off = asOne(k.idle()), asOne(k.Class != Planned)
	}
	if idle > 0 {
		to.Idle.Add(delta * (float64(idle) / float64(all)))
	}
	if off > 0 {
		to.OffShift.Add(delta * (float64(off) / float64(all)))
	}
	if k.subject.channels[c].parts && k.piece.Parts != nil {
		k.make(delta)
	}
}

// make books parts to the product that the present program makes.
func (k *track) make(n float64) {
	i := k.product()
	if i < 0 {
		k.piece.Parts[len(k.piece.Parts)-1] += n
		return
	}
	r := &k.subject.made[i]
	n *= r.perCycle()
	k.piece.Parts[i] += n
	k.piece.Ideal += n * r.Ideal
}

func (k *track) swap(in *inlet, text string) {
	var s MeterSwap
	if json.Unmarshal([]byte(text), &s) != nil {
		return
	}
	for _, c := range in.channels {
		if k.subject.channels[c].how == Counted {
			k.flows[c].meter.swap(&s, k.now)
		}
	}
}

// flush sums a channel up to now.
func (k *track) flush(c int) {
	f := &k.flows[c]
	ms := k.now - f.since
	f.since = k.now
	to := &k.piece.Channels[c]
	switch {
	case ms == 0:
		return
	case !f.known:
		to.Open += ms
		return
	}
	to.Known, to.Open = to.Known+ms, 0
	if f.rate == 0 {
		return
	}
	x := f.rate * float64(ms)
	to.Sum.Add(x)
	if k.idle() {
		to.Idle.Add(x)
	}
	if k.Class != Planned {
		to.OffShift.Add(x)
	}
}

func (k *track) flushAll() {
	for c := range k.flows {
		k.flush(c)
	}
}

func asOne(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
