package opcua

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"

	"github.com/millgate/millgate/drivers"
)

// MaxReadings is how many readings a Batch may hold, unless its group has more points; the worker gives the others with the next order.
const MaxReadings = 1 << 16

// Batch is the answer to an Order.
type Batch struct {
	Group, Points uint32 // Points is how many the group has: it bounds the Readings' indexes
	Call          uint64
	Cause         drivers.Cause // why the device can not be read; empty: it can
	Error         string
	Readings      []BatchReading
	Lost          []drivers.CauseCount // readings that the server had and that will never come
	Events        []drivers.Event
}

// BatchReading is a drivers.Reading on its way through the pipe: Point is the index in the group. Bad readings have no value and all others
// have one; a Good one has no cause and all others have one.
type BatchReading struct {
	Point   uint32
	Value   drivers.Value
	Quality drivers.Quality
	Cause   drivers.Cause
	Time    int64
	Source  int64
}

const (
	flagQuality = 0x03 // drivers.Quality
	flagType    = 0x1c // drivers.Type, shifted by 2
	flagSource  = 0x20
	flagsAll    = flagQuality | flagType | flagSource
)

// whole says that r is what a BatchReading must be.
func (r *BatchReading) whole(points uint32) bool {
	return r.Point < points && r.Quality <= drivers.Good && (r.Quality == drivers.Bad) == r.Value.IsZero() && (r.Quality == drivers.Good) == (r.Cause == "")
}

// limit is how many readings b may hold.
func (b *Batch) limit() uint64 { return max(MaxReadings, uint64(b.Points)) }

// Append encodes b. Times are differences from the reading before, so that a value takes about as many bytes as it has. The error says
// that b is not what a Batch must be.
func (b *Batch) Append(dst []byte) ([]byte, error) {
	if n := uint64(max(len(b.Readings), len(b.Lost))); n > b.limit() {
		return nil, fmt.Errorf("group %d: %d readings are too many for one answer, which takes %d", b.Group, n, b.limit())
	}
	dst = binary.AppendUvarint(dst, uint64(b.Group))
	dst = binary.AppendUvarint(dst, uint64(b.Points))
	dst = binary.AppendUvarint(dst, b.Call)
	dst = appendText(appendText(dst, string(b.Cause)), b.Error)
	dst = binary.AppendUvarint(dst, uint64(len(b.Lost)))
	for _, l := range b.Lost {
		dst = binary.AppendUvarint(appendText(dst, string(l.Cause)), l.N)
	}
	var events []byte
	if len(b.Events) > 0 {
		var err error
		if events, err = json.Marshal(b.Events); err != nil {
			return nil, fmt.Errorf("group %d: events: %w", b.Group, err)
		}
	}
	dst = appendText(dst, string(events))
	dst = binary.AppendUvarint(dst, uint64(len(b.Readings)))
	at := int64(0)
	for i := range b.Readings {
		r := &b.Readings[i]
		if !r.whole(b.Points) {
			return nil, fmt.Errorf("group %d: a reading of point %d of %d is %s with a value of type %s and cause %q", b.Group, r.Point, b.Points, r.Quality, r.Value.Type(), r.Cause)
		}
		dst = r.append(dst, at)
		at = r.Time
	}
	return dst, nil
}

func (r *BatchReading) append(dst []byte, at int64) []byte {
	flags := byte(r.Quality) | byte(r.Value.Type())<<2
	if r.Source != 0 {
		flags |= flagSource
	}
	dst = binary.AppendUvarint(append(dst, flags), uint64(r.Point))
	dst = binary.AppendVarint(dst, r.Time-at)
	if r.Quality != drivers.Good {
		dst = appendText(dst, string(r.Cause))
	}
	if r.Source != 0 {
		dst = binary.AppendVarint(dst, r.Source)
	}
	switch bits := r.Value.Bits(); r.Value.Type() {
	case drivers.TypeBool, drivers.TypeUint64:
		dst = binary.AppendUvarint(dst, bits)
	case drivers.TypeInt64:
		dst = binary.AppendVarint(dst, int64(bits))
	case drivers.TypeFloat32:
		dst = binary.LittleEndian.AppendUint32(dst, uint32(bits))
	case drivers.TypeFloat64:
		dst = binary.LittleEndian.AppendUint64(dst, bits)
	case drivers.TypeText:
		dst = appendText(dst, r.Value.Text())
	case drivers.TypeNone:
	}
	return dst
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// parser takes a body apart; after a failure it gives zeros.
type parser struct {
	b   []byte
	bad bool
}

func (p *parser) fail() { p.bad, p.b = true, nil }

func (p *parser) uvarint(limit uint64) uint64 {
	v, n := binary.Uvarint(p.b)
	if n <= 0 || v > limit {
		p.fail()
		return 0
	}
	p.b = p.b[n:]
	return v
}

func (p *parser) varint() int64 {
	v, n := binary.Varint(p.b)
	if n <= 0 {
		p.fail()
		return 0
	}
	p.b = p.b[n:]
	return v
}

func (p *parser) byte() byte {
	if len(p.b) == 0 {
		p.fail()
		return 0
	}
	v := p.b[0]
	p.b = p.b[1:]
	return v
}

// bytes is nil after a failure only.
func (p *parser) bytes(n uint64) []byte {
	if p.bad || n > uint64(len(p.b)) {
		p.fail()
		return nil
	}
	b := p.b[:n]
	p.b = p.b[n:]
	return b
}

func (p *parser) text() string { return string(p.bytes(p.uvarint(maxFrame))) }

// cause is one of the list: what is not on it counts as a defect.
func (p *parser) cause() drivers.Cause {
	b := p.bytes(p.uvarint(maxFrame))
	if len(b) == 0 {
		return ""
	}
	if c, ok := causes[string(b)]; ok {
		return c
	}
	return drivers.CauseInternal
}

var causes = func() map[string]drivers.Cause {
	all := map[string]drivers.Cause{}
	for _, c := range drivers.Causes() {
		all[string(c.Cause)] = c.Cause
	}
	return all
}()

func (p *parser) value(t drivers.Type) drivers.Value {
	switch t {
	case drivers.TypeBool, drivers.TypeUint64:
		return drivers.ValueFromBits(t, p.uvarint(math.MaxUint64))
	case drivers.TypeInt64:
		return drivers.IntValue(p.varint())
	case drivers.TypeFloat32:
		if b := p.bytes(4); b != nil {
			return drivers.ValueFromBits(t, uint64(binary.LittleEndian.Uint32(b)))
		}
	case drivers.TypeFloat64:
		if b := p.bytes(8); b != nil {
			return drivers.ValueFromBits(t, binary.LittleEndian.Uint64(b))
		}
	case drivers.TypeText:
		return drivers.TextValue(p.text())
	case drivers.TypeNone:
	default:
		p.fail()
	}
	return drivers.Value{}
}

// Decode is the inverse of Append; it reuses b's slices, and the body may be changed afterwards.
func (b *Batch) Decode(body []byte) error {
	p := parser{b: body}
	b.head(&p)
	return b.rest(&p)
}

// head decodes what says to which order b belongs.
func (b *Batch) head(p *parser) {
	b.Group, b.Points, b.Call = uint32(p.uvarint(math.MaxUint32)), uint32(p.uvarint(math.MaxUint32)), p.uvarint(math.MaxUint64)
}

func (b *Batch) rest(p *parser) error {
	b.Cause, b.Error = p.cause(), p.text()
	b.Lost, b.Readings, b.Events = b.Lost[:0], b.Readings[:0], nil
	for n := p.uvarint(b.limit()); n > 0 && !p.bad; n-- {
		b.Lost = append(b.Lost, drivers.CauseCount{Cause: p.cause(), N: p.uvarint(math.MaxUint64)})
	}
	if events := p.bytes(p.uvarint(maxFrame)); len(events) > 0 {
		if err := json.Unmarshal(events, &b.Events); err != nil {
			return errFrame
		}
	}
	at := int64(0)
	for n := p.uvarint(b.limit()); n > 0 && !p.bad; n-- {
		flags := p.byte()
		r := BatchReading{Quality: drivers.Quality(flags & flagQuality), Point: uint32(p.uvarint(math.MaxUint32))}
		at += p.varint()
		r.Time = at
		if r.Quality != drivers.Good {
			r.Cause = p.cause()
		}
		if flags&flagSource != 0 {
			r.Source = p.varint()
		}
		r.Value = p.value(drivers.Type(flags & flagType >> 2))
		if p.bad || flags&^flagsAll != 0 || !r.whole(b.Points) {
			return errFrame
		}
		b.Readings = append(b.Readings, r)
	}
	if p.bad || len(p.b) > 0 {
		return errFrame
	}
	return nil
}
