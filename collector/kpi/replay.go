package kpi

import (
	"cmp"
	"slices"
)

// maxLate is how many late observations one rewinding takes in, about 20 MB of them: an hour of 70 tags that a device recorded once a second
// while nobody asked it.
const maxLate = 1 << 18

// replay is what an engine does that computes anew: first it goes through the blocks for what came late, then it takes all of them with what
// came late in its place.
type replay struct {
	under    bool // what comes late is nobody's concern
	scanning bool // but is collected
	lates    []late
	left     int // late observations beyond maxLate
	backs    []lowRun
}

// late is an observation that came late.
type late struct {
	target
	arrival
	seq uint64 // of its block
}

// collect takes a late observation if it is no news.
func (r *replay) collect(t target, o arrival, seq uint64) bool {
	if r.scanning {
		if len(r.lates) < maxLate {
			r.lates = append(r.lates, late{t, o, seq})
		} else {
			r.left++
		}
	}
	return r.under
}

// setBack notes that the clock was set back with a block: what was stamped before with a later time was stamped wrongly.
func (r *replay) setBack(low lowRun) {
	if !r.scanning {
		return
	}
	r.backs = append(r.backs, low)
	r.lates = slices.DeleteFunc(r.lates, func(l late) bool { return l.seq < low.First && l.t > low.At })
}

// block is a block without the readings whose stamps were wrong.
func (r *replay) block(b *Batch) *Batch {
	limit := int64(unending)
	var copied Batch
	for _, back := range r.backs {
		switch {
		case b.Seq < back.First:
			limit = min(limit, back.At)
		case b.Seq == back.First && b.Started == 0:
			copied = *b
			copied.Started = back.At
			b = &copied
		}
	}
	if limit == unending || b.newest() <= limit {
		return b
	}
	copied = *b
	copied.Readings, copied.Seen = nil, nil
	for i := range b.Readings {
		if r := &b.Readings[i]; r.Time <= limit || r.Tag.Device == ManualDevice {
			copied.Readings = append(copied.Readings, *r)
		}
	}
	for _, s := range b.Seen {
		if s.Time <= limit {
			copied.Seen = append(copied.Seen, s)
		}
	}
	return &copied
}

// scan makes e look for what comes late, and compute nothing.
func (e *Engine) scan() {
	e.tracks, e.replay = nil, replay{under: true, scanning: true}
}

// inject makes e take what a scan has found when its time comes.
func (e *Engine) inject(found *replay) {
	e.replay = replay{under: true, backs: found.backs}
	slices.SortStableFunc(found.lates, func(a, b late) int { return cmp.Compare(a.t, b.t) })
	for i := range found.lates {
		l := &found.lates[i]
		k := e.tracks[l.subject]
		if l.entry {
			k.note(entry{Input: int(l.arrival.input), Time: l.t, Value: l.value})
		} else if l.t >= e.times.Done {
			k.late = append(k.late, l.arrival)
		}
	}
}
