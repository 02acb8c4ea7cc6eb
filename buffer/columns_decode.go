package buffer

import (
	"encoding/binary"

	"github.com/millgate/millgate/drivers"
)

// decode fills b.Readings with n readings, b.Seen and b.Started. Any bytes may come in: what does not decode is an error, never a panic.
func (c *columns) decode(raw []byte, n int, b *Block, cat *catalogue) error {
	c.reset(len(cat.tags))
	in := reader{b: raw}
	dictionary := readDictionary(&in)
	var col [numColumns]reader
	for i := range col {
		col[i] = reader{b: in.take(in.uvarint())}
	}
	if !in.bad && len(in.b) > 0 {
		b.Started = in.varint()
		in.bad = in.bad || b.Started == 0 // which would not have been written
	}
	if in.bad || len(in.b) != 0 || n > len(col[colTags].b) { // a reading takes at least a byte of the tag column
		return errContent
	}
	if cap(b.Readings) >= n {
		b.Readings = b.Readings[:n]
	} else {
		b.Readings = make([]drivers.Reading, n)
	}
	d := decoder{columns: c, col: col, dictionary: dictionary, cat: cat,
		raw32: planes{b: col[colRaw32].b, size: 4}, raw64: planes{b: col[colRaw64].b, size: 8}}
	tag, time := -1, int64(0)
	for i := range b.Readings {
		tag += 1 + int(d.col[colTags].varint())
		time += d.col[colTimes].varint()
		if tag < 0 || tag >= len(cat.tags) {
			return errContent
		}
		b.Readings[i] = drivers.Reading{Tag: cat.tags[tag], Time: time}
		if !d.reading(&b.Readings[i]) {
			return errContent
		}
	}
	for len(d.col[colSeen].b) > 0 && !d.col[colSeen].bad {
		device, at := d.col[colSeen].uvarint(), d.col[colSeen].varint()
		if device >= uint64(len(cat.devices)) {
			return errContent
		}
		b.Seen = append(b.Seen, Seen{Device: cat.devices[device], Time: at})
	}
	for i := range d.col {
		if d.col[i].bad {
			return errContent
		}
	}
	return nil
}

type decoder struct {
	*columns
	col          [numColumns]reader
	dictionary   []status
	cat          *catalogue
	statuses     runReader
	forms        runReader
	bools        int // bits taken
	raw32, raw64 planes
}

func (d *decoder) reading(r *drivers.Reading) bool {
	entry, ok := d.statuses.next(&d.col[colStatuses])
	if !ok || entry >= uint64(len(d.dictionary)) {
		return false
	}
	s := d.dictionary[entry]
	r.Quality, r.Cause = s.quality, s.cause
	if s.sourced {
		r.SourceTime = r.Time + d.col[colSources].varint()
	}
	typ := r.Tag.Type
	if s.valueType != ownType {
		typ = drivers.Type(s.valueType)
	}
	if typ == drivers.TypeNone {
		return true
	}
	r.Value, ok = d.value(r.Tag.Index, typ)
	return ok && !r.Value.IsZero()
}

func (d *decoder) value(tag int, typ drivers.Type) (drivers.Value, bool) {
	switch typ {
	case drivers.TypeBool:
		i := d.bools
		d.bools++
		col := d.col[colBools].b
		if i/8 >= len(col) {
			return drivers.Value{}, false
		}
		return drivers.BoolValue(col[i/8]>>(i%8)&1 == 1), true
	case drivers.TypeInt64, drivers.TypeUint64:
		return drivers.ValueFromBits(typ, d.number(tag)), true
	case drivers.TypeFloat32, drivers.TypeFloat64:
		return d.float(tag, typ)
	case drivers.TypeText:
		return drivers.TextValue(string(d.col[colTexts].take(d.col[colTexts].uvarint()))), true
	case drivers.TypeNone:
	}
	return drivers.Value{}, false
}

func (d *decoder) number(tag int) uint64 {
	p := d.previous(tag)
	p.number += uint64(d.col[colNumbers].varint())
	return p.number
}

func (d *decoder) float(tag int, typ drivers.Type) (drivers.Value, bool) {
	form, ok := d.forms.next(&d.col[colForms])
	switch {
	case !ok:
		return drivers.Value{}, false
	case form <= maxExponent:
		f := floatOf(int64(d.number(tag)), byte(form), typ == drivers.TypeFloat32)
		if typ == drivers.TypeFloat32 {
			return drivers.Float32Value(float32(f)), true
		}
		return drivers.Float64Value(f), true
	case form != formRaw:
		return drivers.Value{}, false
	}
	from := &d.raw64
	if typ == drivers.TypeFloat32 {
		from = &d.raw32
	}
	x, ok := from.next()
	p := d.previous(tag)
	p.raw ^= x
	return drivers.ValueFromBits(typ, p.raw), ok
}

func readDictionary(in *reader) []status {
	n := in.uvarint()
	if n > uint64(len(in.b)) {
		in.bad = true
		return nil
	}
	dictionary := make([]status, 0, n)
	for range n {
		head := in.take(3)
		cause := in.take(in.uvarint())
		if in.bad || head[0] > byte(drivers.Good) || (head[1] != ownType && head[1] > byte(drivers.TypeText)) {
			in.bad = true
			return nil
		}
		dictionary = append(dictionary, status{quality: drivers.Quality(head[0]), valueType: head[1], sourced: head[2] != 0, cause: drivers.Cause(cause)})
	}
	return dictionary
}

// reader takes numbers off bytes; after one that is not there it is bad and gives zeros.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	return v * uint64(r.skip(n))
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	return v * int64(r.skip(n))
}

// skip moves on by n bytes and is 1, or 0 if there were no n bytes.
func (r *reader) skip(n int) int {
	if n <= 0 || r.bad {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return 1
}

func (r *reader) take(n uint64) []byte {
	if r.bad || n > uint64(len(r.b)) {
		r.bad = true
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

type runReader struct {
	value, left uint64
}

func (r *runReader) next(col *reader) (uint64, bool) {
	if r.left == 0 {
		r.value, r.left = col.uvarint(), col.uvarint()
		if r.left == 0 {
			return 0, false
		}
	}
	r.left--
	return r.value, true
}

// planes reads back the words that split took apart.
type planes struct {
	b    []byte
	size int
	i    int
}

func (p *planes) next() (uint64, bool) {
	n := len(p.b) / p.size
	if p.i >= n {
		return 0, false
	}
	var x uint64
	for plane := range p.size {
		x |= uint64(p.b[plane*n+p.i]) << (8 * plane)
	}
	p.i++
	return x, true
}
