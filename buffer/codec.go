package buffer

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/klauspost/compress/zstd"
	"github.com/oklog/ulid/v2"

	"github.com/millgate/millgate/collector/kpi"
	"github.com/millgate/millgate/drivers"
)

// A stored block is a header and a zstd frame. All numbers are little-endian.
//
//	 0  4  "MGB1"            the format
//	 4  4  CRC32C            of everything behind it
//	 8 16  epoch             ULID
//	24  1  stream            1 readings, 2 events, 3 kpis
//	25  8  seq
//	33 16  catalogue         hash
//	49  4  records           readings, events or results in it
//	53  8  time              of the first record, or at which the report's window ends, ms since 1970 UTC
//	61  4  raw size          of the content before compression
//	65     content           zstd: readings as columns (columns.go), events as a JSON array, a report as JSON
const (
	blockMagic  = "MGB1"
	headerSize  = 65
	hashSize    = 16
	maxRawBlock = 16 << 20 // far above any block that Append builds; bounds what a damaged header can make us allocate
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errDamaged = errors.New("block is damaged")

var streamCodes = map[Stream]byte{Readings: 1, Events: 2, KPIs: 3}

// header is what is known of a stored block without decoding its content.
type header struct {
	epoch     ulid.ULID
	stream    Stream
	seq       uint64
	catalogue [hashSize]byte
	records   uint32
	time      int64
	rawSize   uint32
}

// codec turns blocks into bytes and back. It reuses its working memory and belongs to one goroutine.
type codec struct {
	enc     *zstd.Encoder
	dec     *zstd.Decoder
	raw     []byte
	columns columns
	reuse   []drivers.Reading // memory for the readings of the next block decoded; nil makes it anew
}

func newCodec() (*codec, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(256<<10), zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, err
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxRawBlock))
	if err != nil {
		return nil, err
	}
	return &codec{enc: enc, dec: dec}, nil
}

// encode appends the stored form of b to dst.
func (c *codec) encode(dst []byte, b *Block, cat *catalogue) ([]byte, error) {
	h, err := headerOf(b)
	if err != nil {
		return nil, err
	}
	switch b.Stream {
	case Readings:
		c.raw = c.columns.encode(c.raw[:0], b, cat)
	case Events:
		if c.raw, err = json.Marshal(b.Events); err != nil {
			return nil, err
		}
	case KPIs:
		if b.packed != nil {
			h.rawSize = b.packed.rawSize
			return h.seal(append(h.append(dst), b.packed.frame...), len(dst)), nil
		}
		if c.raw, err = json.Marshal(b.Report); err != nil {
			return nil, err
		}
	}
	h.rawSize = uint32(len(c.raw))
	start := len(dst)
	return h.seal(c.enc.EncodeAll(c.raw, h.append(dst)), start), nil
}

// seal puts the CRC into the block that begins at start.
func (h *header) seal(dst []byte, start int) []byte {
	binary.LittleEndian.PutUint32(dst[start+4:], crc32.Checksum(dst[start+8:], castagnoli))
	return dst
}

func headerOf(b *Block) (header, error) {
	epoch, err := ulid.ParseStrict(b.Epoch)
	if err != nil {
		return header{}, fmt.Errorf("epoch %q: %w", b.Epoch, err)
	}
	h := header{epoch: epoch, stream: b.Stream, seq: b.Seq, records: uint32(b.Records()), time: b.Time()}
	if n, err := hex.Decode(h.catalogue[:], []byte(b.Catalogue)); err != nil || n != hashSize {
		return header{}, fmt.Errorf("catalogue hash %q is not %d hex digits", b.Catalogue, 2*hashSize)
	}
	return h, nil
}

func (h *header) append(dst []byte) []byte {
	dst = append(dst, blockMagic...)
	dst = append(dst, 0, 0, 0, 0)
	dst = append(dst, h.epoch[:]...)
	dst = append(dst, streamCodes[h.stream])
	dst = binary.LittleEndian.AppendUint64(dst, h.seq)
	dst = append(dst, h.catalogue[:]...)
	dst = binary.LittleEndian.AppendUint32(dst, h.records)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.time))
	return binary.LittleEndian.AppendUint32(dst, h.rawSize)
}

// parseHeader checks the CRC and reads the header of a stored block.
func parseHeader(stored []byte) (header, error) {
	if len(stored) < headerSize || string(stored[:4]) != blockMagic {
		return header{}, fmt.Errorf("%w: it does not begin like a block", errDamaged)
	}
	if want, got := binary.LittleEndian.Uint32(stored[4:]), crc32.Checksum(stored[8:], castagnoli); want != got {
		return header{}, fmt.Errorf("%w: CRC32C is %08x, its header says %08x", errDamaged, got, want)
	}
	h := header{
		seq:     binary.LittleEndian.Uint64(stored[25:]),
		records: binary.LittleEndian.Uint32(stored[49:]),
		time:    int64(binary.LittleEndian.Uint64(stored[53:])),
		rawSize: binary.LittleEndian.Uint32(stored[61:]),
	}
	copy(h.epoch[:], stored[8:])
	copy(h.catalogue[:], stored[33:])
	for s, code := range streamCodes {
		if code == stored[24] {
			h.stream = s
		}
	}
	if h.stream == "" || h.rawSize > maxRawBlock {
		return header{}, fmt.Errorf("%w: stream %d, content of %d bytes", errDamaged, stored[24], h.rawSize)
	}
	return h, nil
}

// decode is the inverse of encode; lookup finds the catalogue that the header names.
func (c *codec) decode(stored []byte, lookup func(hash string) (*catalogue, error)) (*Block, error) {
	h, err := parseHeader(stored)
	if err != nil {
		return nil, err
	}
	raw, err := c.dec.DecodeAll(stored[headerSize:], c.raw[:0])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	c.raw = raw
	if len(raw) != int(h.rawSize) {
		return nil, fmt.Errorf("%w: content has %d bytes instead of %d", errDamaged, len(raw), h.rawSize)
	}
	b := &Block{Epoch: h.epoch.String(), Stream: h.stream, Seq: h.seq, Catalogue: hex.EncodeToString(h.catalogue[:])}
	switch h.stream {
	case Events:
		err = json.Unmarshal(raw, &b.Events)
	case KPIs:
		b.Report = new(kpi.Report)
		err = json.Unmarshal(raw, b.Report)
	case Readings:
		var cat *catalogue
		if cat, err = lookup(b.Catalogue); err != nil {
			return nil, err
		}
		b.Readings, c.reuse = c.reuse, nil
		err = c.columns.decode(raw, int(h.records), b, cat)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	if b.Records() != int(h.records) {
		return nil, fmt.Errorf("%w: %d records instead of %d", errDamaged, b.Records(), h.records)
	}
	return b, nil
}

// Records is the number of readings, events or results.
func (b *Block) Records() int {
	switch {
	case b.packed != nil:
		return b.packed.records
	case b.Report != nil:
		return len(b.Report.Results)
	}
	return len(b.Readings) + len(b.Events)
}

// Time is that of the first record, or at which the report's window ends, ms since 1970 UTC; 0 if there is none.
func (b *Block) Time() int64 {
	switch {
	case len(b.Readings) > 0:
		return b.Readings[0].Time
	case len(b.Events) > 0:
		return b.Events[0].Time
	case b.packed != nil:
		return b.packed.time
	case b.Report != nil:
		return b.Report.Window.To
	}
	return 0
}

// deflate and inflate hold texts (catalogues, accounts) in the segments.
func (c *codec) deflate(text []byte) []byte { return c.enc.EncodeAll(text, nil) }

func (c *codec) inflate(packed []byte) ([]byte, error) {
	text, err := c.dec.DecodeAll(packed, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	return text, nil
}
