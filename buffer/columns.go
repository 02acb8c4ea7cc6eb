package buffer

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/millgate/millgate/drivers"
)

// Readings are stored as columns, one after the other, each as a length and its bytes. Neighbours in a block are alike: the tag is
// mostly the next one, the time the same, the status good, the value a short decimal. Each column writes what differs from that.
//
//	seen      device position and time of each device that was up but silent
//	tags      zigzag(tag − previous tag − 1)
//	times     zigzag(time − previous time)
//	statuses  dictionary, then runs of (entry, length)
//	sources   zigzag(source time − time), only where the status says so
//	bools     one bit each
//	forms     runs of (exponent, length) of floats: value = mantissa / 10^exponent, or formRaw
//	numbers   zigzag(number − the tag's previous number in the block): integers and mantissas
//	raw32     float32 that are no short decimal, XORed with the tag's previous one, as four planes of bytes
//	raw64     likewise float64, eight planes
//	texts     length and bytes
//
// Behind them, and only in the first block of a run, zigzag(when the run began).
const (
	colSeen = iota
	colTags
	colTimes
	colStatuses
	colSources
	colBools
	colForms
	colNumbers
	colRaw32
	colRaw64
	colTexts
	numColumns
)

const (
	maxExponent   = 6
	formRaw       = 15
	maxMantissa32 = 1 << 20 // beyond, four raw bytes are shorter
	maxMantissa64 = 1 << 50
	ownType       = 0xff // in a status: the value has its tag's own type
)

var pow10 = [maxExponent + 1]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6}

var errContent = errors.New("content does not decode")

// status is what most readings of a block share.
type status struct {
	quality   drivers.Quality
	valueType byte // ownType, or a drivers.Type
	sourced   bool
	cause     drivers.Cause
}

// previous is the last number, form and raw bits of one tag in the block being coded; valid if stamp is that block's.
type previous struct {
	stamp  uint32
	number uint64
	raw    uint64
}

// columns codes the readings of one block after the other.
type columns struct {
	col   [numColumns][]byte
	prev  []previous // by tag index
	stamp uint32
	form  byte
}

func (c *columns) reset(tags int) {
	for i := range c.col {
		c.col[i] = c.col[i][:0]
	}
	if len(c.prev) < tags {
		c.prev = make([]previous, tags)
		c.stamp = 0
	}
	c.stamp++
	if c.stamp == 0 { // wrapped: old stamps would look valid
		clear(c.prev)
		c.stamp = 1
	}
	c.form = formRaw
}

func (c *columns) previous(tag int) *previous {
	p := &c.prev[tag]
	if p.stamp != c.stamp {
		*p = previous{stamp: c.stamp}
	}
	return p
}

func (c *columns) encode(dst []byte, b *Block, cat *catalogue) []byte {
	c.reset(len(cat.tags))
	c.encodeSeen(b.Seen, cat)
	statuses := runs{col: &c.col[colStatuses]}
	forms := runs{col: &c.col[colForms]}
	var dictionary []status
	lastTag, lastTime, bools := -1, int64(0), bitWriter{col: &c.col[colBools]}
	for i := range b.Readings {
		r := &b.Readings[i]
		c.col[colTags] = binary.AppendVarint(c.col[colTags], int64(r.Tag.Index-lastTag-1))
		c.col[colTimes] = binary.AppendVarint(c.col[colTimes], r.Time-lastTime)
		lastTag, lastTime = r.Tag.Index, r.Time
		s := statusOf(r)
		entry := 0
		for entry < len(dictionary) && dictionary[entry] != s {
			entry++
		}
		if entry == len(dictionary) {
			dictionary = append(dictionary, s)
		}
		statuses.add(uint64(entry))
		if s.sourced {
			c.col[colSources] = binary.AppendVarint(c.col[colSources], r.SourceTime-r.Time)
		}
		c.encodeValue(r, &forms, &bools)
	}
	statuses.end()
	forms.end()
	bools.end()
	c.col[colRaw32] = split(c.col[colRaw32], 4)
	c.col[colRaw64] = split(c.col[colRaw64], 8)
	dst = appendDictionary(dst, dictionary)
	for i := range c.col {
		dst = binary.AppendUvarint(dst, uint64(len(c.col[i])))
		dst = append(dst, c.col[i]...)
	}
	if b.Started != 0 {
		dst = binary.AppendVarint(dst, b.Started)
	}
	return dst
}

func (c *columns) encodeSeen(seen []Seen, cat *catalogue) {
	col := &c.col[colSeen]
	for _, s := range seen {
		*col = binary.AppendUvarint(*col, uint64(cat.index[s.Device]))
		*col = binary.AppendVarint(*col, s.Time)
	}
}

func statusOf(r *drivers.Reading) status {
	s := status{quality: r.Quality, valueType: ownType, sourced: r.SourceTime != 0, cause: r.Cause}
	if r.Value.Type() != r.Tag.Type {
		s.valueType = byte(r.Value.Type())
	}
	return s
}

func (c *columns) encodeValue(r *drivers.Reading, forms *runs, bools *bitWriter) {
	switch r.Value.Type() {
	case drivers.TypeBool:
		bools.add(r.Value.Bits() == 1)
	case drivers.TypeInt64, drivers.TypeUint64:
		c.encodeNumber(r.Tag.Index, r.Value.Bits())
	case drivers.TypeFloat32:
		f := float64(math.Float32frombits(uint32(r.Value.Bits())))
		if m, ok := c.shortForm(f, maxMantissa32, true); ok {
			c.encodeNumber(r.Tag.Index, uint64(m))
		} else {
			c.encodeRaw(colRaw32, r, 4)
		}
		forms.add(uint64(c.form))
	case drivers.TypeFloat64:
		if m, ok := c.shortForm(math.Float64frombits(r.Value.Bits()), maxMantissa64, false); ok {
			c.encodeNumber(r.Tag.Index, uint64(m))
		} else {
			c.encodeRaw(colRaw64, r, 8)
		}
		forms.add(uint64(c.form))
	case drivers.TypeText:
		c.col[colTexts] = binary.AppendUvarint(c.col[colTexts], uint64(len(r.Value.Text())))
		c.col[colTexts] = append(c.col[colTexts], r.Value.Text()...)
	case drivers.TypeNone:
	}
}

func (c *columns) encodeNumber(tag int, n uint64) {
	p := c.previous(tag)
	c.col[colNumbers] = binary.AppendVarint(c.col[colNumbers], int64(n-p.number))
	p.number = n
}

// encodeRaw appends the XOR with the tag's previous raw value in size bytes, the lowest first.
func (c *columns) encodeRaw(column int, r *drivers.Reading, size int) {
	p := c.previous(r.Tag.Index)
	x := r.Value.Bits() ^ p.raw
	p.raw = r.Value.Bits()
	for range size {
		c.col[column] = append(c.col[column], byte(x))
		x >>= 8
	}
}

// shortForm finds f = mantissa / 10^exponent, the exponent of the reading before it first, and leaves the form in c.form.
func (c *columns) shortForm(f, limit float64, single bool) (mantissa int64, ok bool) {
	if c.form != formRaw {
		if m, ok := mantissaOf(f, c.form, limit, single); ok {
			return m, true
		}
	}
	for e := byte(0); e <= maxExponent; e++ {
		if m, ok := mantissaOf(f, e, limit, single); ok {
			c.form = e
			return m, true
		}
	}
	c.form = formRaw
	return 0, false
}

func mantissaOf(f float64, exponent byte, limit float64, single bool) (int64, bool) {
	m := math.RoundToEven(f * pow10[exponent])
	if m >= limit || m <= -limit {
		return 0, false
	}
	n := int64(m)
	back := floatOf(n, exponent, single)
	return n, math.Float64bits(back) == math.Float64bits(f) // by bits: -0 is not 0
}

func floatOf(mantissa int64, exponent byte, single bool) float64 {
	f := float64(mantissa) / pow10[exponent]
	if single {
		return float64(float32(f))
	}
	return f
}

func appendDictionary(dst []byte, dictionary []status) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(dictionary)))
	for _, s := range dictionary {
		sourced := byte(0)
		if s.sourced {
			sourced = 1
		}
		dst = append(dst, byte(s.quality), s.valueType, sourced)
		dst = binary.AppendUvarint(dst, uint64(len(s.cause)))
		dst = append(dst, s.cause...)
	}
	return dst
}

// runs writes (value, length) pairs.
type runs struct {
	col   *[]byte
	value uint64
	n     uint64
}

func (r *runs) add(v uint64) {
	if r.n > 0 && v != r.value {
		r.end()
	}
	r.value = v
	r.n++
}

func (r *runs) end() {
	if r.n > 0 {
		*r.col = binary.AppendUvarint(binary.AppendUvarint(*r.col, r.value), r.n)
	}
	r.n = 0
}

// bitWriter packs bools, the first in the lowest bit.
type bitWriter struct {
	col  *[]byte
	byte byte
	n    int
}

func (b *bitWriter) add(set bool) {
	if set {
		b.byte |= 1 << b.n
	}
	if b.n++; b.n == 8 {
		b.end()
	}
}

func (b *bitWriter) end() {
	if b.n > 0 {
		*b.col = append(*b.col, b.byte)
	}
	b.byte, b.n = 0, 0
}

// split turns words of size bytes into planes: all lowest bytes first. Equal exponents then lie side by side.
func split(words []byte, size int) []byte {
	n := len(words) / size
	out := make([]byte, 0, len(words))
	for plane := range size {
		for i := range n {
			out = append(out, words[i*size+plane])
		}
	}
	return out
}
