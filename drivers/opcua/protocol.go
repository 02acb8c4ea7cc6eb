package opcua

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/millgate/millgate/drivers"
)

// A gateway and its worker exchange frames over the worker's standard input and output:
//
//	length uint32 (of what follows, little endian), kind byte, body
//
// The gateway begins with one setup, then sends orders in any number; the worker answers each read and each question once, in any
// order, and tells its status when it changes. A worker that can not read a frame ends, and so does one whose input ends.
const (
	FrameSetup    = 'S' // JSON of Setup
	FrameRead     = 'R' // Order
	FrameAsk      = 'A' // JSON of Question
	FrameReadings = 'r' // Batch
	FrameAnswer   = 'a' // JSON of Answer
	FrameStatus   = 's' // JSON of ServerStatus
	FrameLog      = 'l' // JSON of LogLine
)

const (
	maxFrame = 64 << 20
	portion  = 1 << 20 // a length is believed only as far as its bytes come
)

// WorkerCommand is the argument with which this program serves as a worker.
const WorkerCommand = "opcua-worker"

// Setup is what a worker must know.
type Setup struct {
	Server   Server
	Password string // of a user with one
	Groups   []GroupSetup
}

// GroupSetup is a poll group in a Setup; its number is its place there.
type GroupSetup struct {
	Device   string
	Interval int64 // ms
	Polled   bool
	Root     Root
	Points   []Point
	Names    []string      // of the points' tags
	Since    int64         // ms since 1970 UTC: from then on readings are missing; 0: nobody knows
	Reason   drivers.Cause // why they are missing
	Last     []int64       // per point, the stamp of the last reading that arrived, ms since 1970 UTC; nil: none
}

// Order asks for what is new in a group.
type Order struct {
	Group     uint32
	Call      uint64 // counts up by one in each group, from 1
	Committed uint64 // the answers to the first so many calls are durable
	Timeout   uint32 // ms that the answer may take
}

// Question asks for something beside readings.
type Question struct {
	ID   uint64
	What string // one of those that the worker knows, such as "browse"
	With json.RawMessage
}

// Answer belongs to a Question. A worker may send several, of which the last has Done set.
type Answer struct {
	ID    uint64
	Done  bool
	With  json.RawMessage
	Cause drivers.Cause // of the error
	Error string        // why there is no answer
}

// LogLine is something that the worker has to say to the gateway's log.
type LogLine struct {
	Level   int // as in log/slog
	Message string
	Attrs   map[string]string
}

var errFrame = errors.New("the frame is damaged")

// WriteFrame writes one frame in one Write.
func WriteFrame(w io.Writer, kind byte, body []byte) error {
	if len(body)+1 > maxFrame {
		return fmt.Errorf("a frame of %d bytes is too long for the pipe, which takes %d", len(body), maxFrame-1)
	}
	_, err := w.Write(frame(kind, body))
	return err
}

func frame(kind byte, body []byte) []byte {
	f := make([]byte, 5, 5+len(body))
	binary.LittleEndian.PutUint32(f, uint32(len(body)+1))
	f[4] = kind
	return append(f, body...)
}

// ReadFrame reads one frame; the body is valid until the next call with the same buffer. The error is io.EOF only between two frames.
func ReadFrame(r io.Reader, buffer *[]byte) (kind byte, body []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n < 1 || n > maxFrame {
		return 0, nil, errFrame
	}
	body = (*buffer)[:0]
	for left := int(n) - 1; left > 0; {
		at, part := len(body), min(left, max(portion, cap(body)-len(body)))
		body = slices.Grow(body, part)[:at+part]
		*buffer = body
		if _, err := io.ReadFull(r, body[at:]); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return 0, nil, err
		}
		left -= part
	}
	return head[4], body, nil
}

const orderSize = 24

// Append encodes o.
func (o Order) Append(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, o.Group)
	dst = binary.LittleEndian.AppendUint64(dst, o.Call)
	dst = binary.LittleEndian.AppendUint64(dst, o.Committed)
	return binary.LittleEndian.AppendUint32(dst, o.Timeout)
}

// DecodeOrder is the inverse of Append.
func DecodeOrder(b []byte) (Order, error) {
	if len(b) != orderSize {
		return Order{}, errFrame
	}
	le := binary.LittleEndian
	return Order{le.Uint32(b), le.Uint64(b[4:]), le.Uint64(b[12:]), le.Uint32(b[20:])}, nil
}
