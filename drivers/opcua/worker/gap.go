package worker

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/millgate/millgate/drivers"
)

// gap is a time in which a group's values may have been missed: of each item from its last value to the first new one.
type gap struct {
	cause drivers.Cause
	spans map[*item]*span
	until time.Time // when it ends at the latest for items that do not change; zero: when the subscription is live
}

// span is the part of a gap that concerns one item: ms since 1970 UTC, both ends known values.
type span struct {
	item     *item
	from, to int64 // to 0: not yet known
}

// fill is a gap that has ended, on its way to be filled from the server's history.
type fill struct {
	cause  drivers.Cause
	spans  []span
	filled uint64
	missed uint64
}

// beginGap notes where each item's values end. An item without a last value has lost nothing that anybody knows of, unless since says
// from when on. A gap within a gap is one.
func (g *group) beginGap(cause drivers.Cause, since int64) {
	if g.gap != nil {
		return
	}
	g.gap = &gap{cause: cause, spans: make(map[*item]*span, len(g.items))}
	for _, it := range g.items {
		from := it.last
		if from == 0 {
			from = since
		}
		if from != 0 {
			g.gap.spans[it] = &span{item: it, from: from}
		}
	}
}

// ends notes the first new value of an item, by its stamp.
func (p *gap) ends(it *item, stamp int64) {
	if p == nil {
		return
	}
	if s := p.spans[it]; s != nil && s.to == 0 {
		s.to = max(stamp, s.from)
	}
}

// endGap makes a fill of a gap that is over.
func (g *group) endGap() {
	if g.gap == nil {
		return
	}
	f := &fill{cause: g.gap.cause}
	for _, it := range g.items {
		if s := g.gap.spans[it]; s != nil && s.to > s.from {
			f.spans = append(f.spans, *s)
		}
	}
	g.gap = nil
	slices.SortStableFunc(f.spans, func(a, b span) int { return cmp.Compare(a.from, b.from) }) // those that are read together lie together
	if len(f.spans) > 0 {
		g.fills = append(g.fills, f)
	}
}

// missed estimates how many values of an item lie between two known ones, if it changed at each sampling.
func missed(from, to, sampling int64) uint64 {
	if sampling <= 0 || to <= from {
		return 0
	}
	return uint64(max((to-from+sampling/2)/sampling-1, 0))
}

// account counts what is missing after a span was filled with n values.
func (f *fill) account(s *span, n uint64) {
	f.filled += n * uint64(len(s.item.points))
	if m := missed(s.from, s.to, s.item.sampling); m > n {
		f.missed += (m - n) * uint64(len(s.item.points))
	}
}

// settle tells of a fill that is done.
func (g *group) settle(f *fill) {
	g.lose(f.cause, f.missed)
	if f.filled > 0 {
		g.session.count.history.Add(f.filled)
		g.event(drivers.Event{Kind: drivers.EventHistoryFilled, Severity: drivers.Info, Cause: f.cause, Count: f.filled, Text: drivers.EventText{
			EN: fmt.Sprintf("%s: %d readings of an interruption were taken from the server's history", g.setup.Device, f.filled),
			ZH: fmt.Sprintf("%s：已从服务器历史记录补回中断期间的 %d 个读数", g.setup.Device, f.filled),
		}})
	}
	if f.missed > 0 {
		g.event(drivers.Event{Kind: drivers.EventReadingsLost, Severity: drivers.Warning, Cause: f.cause, Count: f.missed, Text: drivers.EventText{
			EN: fmt.Sprintf("%s: up to %d readings of an interruption are lost (estimate)", g.setup.Device, f.missed),
			ZH: fmt.Sprintf("%s：中断期间最多丢失 %d 个读数（估算）", g.setup.Device, f.missed),
		}})
	}
}
