package modbus

import (
	"encoding/binary"
	"slices"
	"sync"
	"time"
)

// Frame is what passed over a link at one moment: a request as it was sent, or bytes as they came in, which need not be a whole answer.
type Frame struct {
	At    time.Time
	Sent  bool // by millgate; else by the device
	Bytes []byte
}

const (
	traceSize  = 8 << 10 // bytes that a trace keeps: some dozens of requests with their answers
	traceHead  = 8 + 1 + 2
	maxTraced  = 1 << 10 // bytes of one frame that are kept; no frame of Modbus is longer than 513 (in ASCII)
	sentByUs   = 1
	sentByThem = 0
)

// trace is the last frames of one link, in a ring of bytes: each is its time, who sent it, its length and its bytes.
type trace struct {
	mu    sync.Mutex
	ring  []byte
	begin int // of the oldest frame
	used  int
}

func newTrace() *trace { return &trace{ring: make([]byte, traceSize)} }

// add keeps a copy of the frame, in place of the oldest ones.
func (t *trace) add(at time.Time, sent bool, frame []byte) {
	frame = frame[:min(len(frame), maxTraced)]
	var head [traceHead]byte
	binary.BigEndian.PutUint64(head[:], uint64(at.UnixNano()))
	head[8] = sentByThem
	if sent {
		head[8] = sentByUs
	}
	binary.BigEndian.PutUint16(head[9:], uint16(len(frame)))

	t.mu.Lock()
	defer t.mu.Unlock()
	for t.used+traceHead+len(frame) > len(t.ring) {
		n := traceHead + t.length(t.begin)
		t.begin, t.used = (t.begin+n)%len(t.ring), t.used-n
	}
	t.put(head[:])
	t.put(frame)
}

func (t *trace) put(b []byte) {
	end := (t.begin + t.used) % len(t.ring)
	n := copy(t.ring[end:], b)
	copy(t.ring, b[n:])
	t.used += len(b)
}

// length is that of the frame whose head begins at i.
func (t *trace) length(i int) int {
	return int(t.ring[(i+9)%len(t.ring)])<<8 | int(t.ring[(i+10)%len(t.ring)])
}

// frames is a copy of what is kept, the oldest first.
func (t *trace) frames() []Frame {
	t.mu.Lock()
	defer t.mu.Unlock()
	unrolled := slices.Concat(t.ring[t.begin:], t.ring[:t.begin])[:t.used]
	var out []Frame
	for len(unrolled) > 0 {
		n := traceHead + int(binary.BigEndian.Uint16(unrolled[9:]))
		out = append(out, Frame{
			At:    time.Unix(0, int64(binary.BigEndian.Uint64(unrolled))),
			Sent:  unrolled[8] == sentByUs,
			Bytes: unrolled[traceHead:n:n],
		})
		unrolled = unrolled[n:]
	}
	return out
}

// Frames are the last ones that passed over the link at a place, the oldest first; none if there is no such link.
func (l *Links) Frames(place string) []Frame {
	l.mu.Lock()
	k := l.links[place]
	l.mu.Unlock()
	if k == nil {
		return nil
	}
	return k.trace.frames()
}
