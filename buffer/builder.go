package buffer

import (
	"math"
	"math/bits"
	"slices"

	"github.com/millgate/millgate/collector/kpi"
	"github.com/millgate/millgate/drivers"
)

// builder collects what the next commit will write: closed blocks, the open block of each stream, and the account.
type builder struct {
	closed   []*Block
	readings Block
	events   Block
	account  account
	through  *kpi.Position       // of the last report in it; nil if there is none
	reports  int                 // bytes of its reports
	pos      uint64              // of the last Append in it
	size     int                 // upper bound of its JSON in bytes, all blocks together
	open     [2]int              // of that, the open readings and events blocks
	answered []int64             // by device position: the last good cycle not yet told by a block, ms since 1970 UTC; 0 none
	spoke    []bool              // by device position: the open block holds a reading of it
	seen     int                 // JSON bytes that a block may need to name all silent devices
	spare    [][]drivers.Reading // memory of committed blocks, for those to come
}

// maxSpare is more than the blocks of one commit in steady work.
const maxSpare = 6

func newBuilder(cat *catalogue) *builder {
	b := &builder{account: account{}, answered: make([]int64, len(cat.devices)), spoke: make([]bool, len(cat.devices))}
	for _, id := range cat.devices {
		b.seen += len(id) + seenSize
	}
	return b
}

// addReadings puts readings into the open block, closing it before it could outgrow limit bytes of JSON, and books them as stored.
func (b *builder) addReadings(readings []drivers.Reading, limit int, cat *catalogue) {
	var prev *drivers.Reading
	if n := len(b.readings.Readings); n > 0 {
		prev = &b.readings.Readings[n-1]
	}
	room := max(limit-envelopeSize-b.seen, limit/2)
	var of *DeviceLedger
	for i := range readings {
		r := &readings[i]
		if of == nil || of.Device != r.Tag.Device {
			of = b.account.device(r.Tag.Device)
			b.spoke[cat.index[r.Tag.Device]] = true
		}
		n := JSONSize(prev, r)
		if b.open[0]+n > room && prev != nil {
			b.closeReadings(cat)
			b.spoke[cat.index[r.Tag.Device]] = true
			n = JSONSize(nil, r)
		}
		b.readings.Readings = append(b.readings.Readings, *r)
		prev = &b.readings.Readings[len(b.readings.Readings)-1]
		b.open[0] += n
		b.size += n
		of.Stored++
	}
}

func (b *builder) addEvents(events []drivers.Event, limit int) {
	for i := range events {
		n := len(marshal(&events[i])) + 1
		if b.open[1]+n > limit-envelopeSize && len(b.events.Events) > 0 {
			b.closeEvents()
		}
		b.events.Events = append(b.events.Events, events[i])
		b.open[1] += n
		b.size += n
	}
}

func (b *builder) book(c *drivers.Cycle, cat *catalogue) {
	b.account.book(c)
	if device, ok := cat.index[c.Device]; ok && c.Time != 0 {
		b.answered[device] = c.Time
	}
}

// closeReadings ends the open readings block. Devices that answered and are not in it are named in its Seen.
func (b *builder) closeReadings(cat *catalogue) {
	if len(b.readings.Readings) == 0 {
		return // silent devices wait for a block to be named in
	}
	closed := b.readings
	closed.Stream = Readings
	for device, at := range b.answered {
		if at != 0 && !b.spoke[device] {
			closed.Seen = append(closed.Seen, Seen{Device: cat.devices[device], Time: at})
			b.size += len(cat.devices[device]) + seenSize
		}
		b.answered[device], b.spoke[device] = 0, false
	}
	b.closed = append(b.closed, &closed)
	b.readings = Block{}
	if last := len(b.spare) - 1; last >= 0 {
		b.readings.Readings, b.spare = b.spare[last], b.spare[:last]
	}
	b.open[0] = 0
}

// addReports takes packed reports as closed blocks.
func (b *builder) addReports(blocks []*Block, through kpi.Position) {
	for _, block := range blocks {
		b.closed = append(b.closed, block)
		b.reports += len(block.packed.frame)
	}
	b.through = &through
}

func (b *builder) closeEvents() {
	if len(b.events.Events) == 0 {
		return
	}
	closed := b.events
	closed.Stream = Events
	b.closed = append(b.closed, &closed)
	b.events = Block{}
	b.open[1] = 0
}

// close ends all open blocks.
func (b *builder) close(cat *catalogue) {
	b.closeEvents()
	b.closeReadings(cat)
}

// reset empties a committed builder for another turn; it keeps the memory of its blocks.
func (b *builder) reset() {
	for _, c := range b.closed {
		if cap(c.Readings) > 0 && len(b.spare) < maxSpare {
			clear(c.Readings) // texts must not outlive their block
			b.spare = append(b.spare, c.Readings[:0])
		}
	}
	open := b.readings.Readings
	clear(open)
	*b = builder{account: account{}, answered: b.answered, spoke: b.spoke, seen: b.seen, spare: b.spare, readings: Block{Readings: open[:0]}}
	clear(b.answered)
	clear(b.spoke)
}

func (b *builder) empty() bool { return len(b.closed) == 0 && len(b.account) == 0 }

// join moves what is closed and booked in from behind what is in b.
func (b *builder) join(from *builder) {
	b.closed = append(b.closed, from.closed...)
	b.account.add(from.account)
	b.pos = max(b.pos, from.pos)
	b.size += from.size
	b.reports += from.reports
	if from.through != nil {
		b.through = from.through
	}
	answered := slices.Clone(from.answered)
	from.closed = nil
	from.reset()
	copy(from.answered, answered)
}

// carry hands what silent devices answered to the builder after this one, which could not yet tell it.
func (b *builder) carry(to *builder) {
	for device, at := range b.answered {
		if !b.spoke[device] {
			to.answered[device] = at
		}
	}
}

const (
	seenSize     = len(`"":-9223372036854775808,`)
	envelopeSize = 1024 // of a message besides its records: identity, catalogue
	objectSize   = len(`{"device":"","t":-9223372036854775808,"values":{},"bad":{},"uncertain":{}},`)
)

// JSONSize is an upper bound of the bytes that r adds to a message behind prev (nil: r is the first): blocks are closed by it, so that
// a message never exceeds the block size that the site set.
func JSONSize(prev, r *drivers.Reading) int {
	n := len(`"":,`) + len(r.Tag.Name) + valueSize(r.Value)
	if r.Quality != drivers.Good {
		n += len(`"":"",`) + len(r.Tag.Name) + len(r.Cause)
	}
	if prev == nil || prev.Tag.Device != r.Tag.Device || prev.Time != r.Time || prev.Tag.Index >= r.Tag.Index {
		n += objectSize + len(r.Tag.Device)
	}
	return n
}

func valueSize(v drivers.Value) int {
	switch v.Type() {
	case drivers.TypeBool:
		return len("false")
	case drivers.TypeInt64, drivers.TypeUint64:
		n := v.Bits()
		if v.Type() == drivers.TypeInt64 && int64(n) < 0 {
			n = -n
		}
		return 2 + bits.Len64(n)*31/100 // log10(2) is a little less than 0.31; and a sign
	case drivers.TypeFloat32, drivers.TypeFloat64:
		f, _ := v.Float()
		if thousandths := f * 1000; math.Abs(thousandths) < 1e9 && thousandths == math.Trunc(thousandths) {
			return len("-1000000.000")
		}
		return len("-0.0000012345678901234567")
	case drivers.TypeText:
		return 2 + 6*len(v.Text()) // every byte as \u00XX
	case drivers.TypeNone:
	}
	return 0
}
