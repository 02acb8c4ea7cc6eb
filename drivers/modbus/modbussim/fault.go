package modbussim

import (
	"math/rand/v2"
	"time"

	"github.com/millgate/millgate/drivers/modbus"
)

// FaultKind is what a faulty unit does to an answer.
type FaultKind uint8

// The faults.
const (
	None      FaultKind = iota
	Late                // answers Delay later, without holding up what comes after
	Never               // does not answer
	Split               // sends the answer in two parts, Delay apart
	Merged              // holds the answer back and sends it together with the next one of the connection
	WrongID             // answers with another transaction id (MBAP; elsewhere there is none)
	WrongUnit           // answers for another unit
	Exception           // answers exception Code
	Reset               // resets the connection instead of answering
	Short               // sends a whole frame with less data than was asked for
	Garbled             // sends bytes that are no Modbus frame, or one whose checksum is wrong
	Duplicate           // answers twice, the second time Delay later
	Cut                 // sends a part of the answer, and with MBAP nothing ever after: in a stream that is what a gap is; it stays open
	Reordered           // answers up to Delay later, by chance: answers to requests in flight overtake each other
	Babble              // sends noise for Delay instead of answering, and nobody else gets a byte through
)

// Fault is set with Unit.Fault.
type Fault struct {
	Kind  FaultKind
	Delay time.Duration
	Code  byte
	Times int // answers it applies to; 0 means until changed
}

// Sending is something that goes out. Those of one answer are in the order of After.
type Sending struct {
	After time.Duration // from the moment the answer is ready
	Bytes []byte
	More  bool // the next one continues it: nothing else gets between the two; if there is no next one, nothing follows on this stream
}

// twist changes what the answer says.
func (f Fault) twist(answer *frame) {
	switch f.Kind {
	case WrongID:
		answer.id ^= 0x5500
	case WrongUnit:
		answer.unit++
	case Exception:
		answer.pdu = []byte{answer.pdu[0] | 0x80, f.Code}
	case Short:
		if n := len(answer.pdu) - 2; n > 2 { // as a device that knows fewer registers
			answer.pdu = answer.pdu[:n]
			answer.pdu[1] -= 2
		}
	default:
	}
}

// sendings are what goes out for an answer.
func (f Fault) sendings(answer []byte, framing modbus.Framing) []Sending {
	half := len(answer) / 2
	switch f.Kind {
	case Late:
		return []Sending{{After: f.Delay, Bytes: answer}}
	case Never:
		return nil
	case Split:
		return []Sending{{Bytes: answer[:half], More: true}, {After: f.Delay, Bytes: answer[half:]}}
	case Duplicate:
		return []Sending{{Bytes: answer}, {After: f.Delay, Bytes: answer}}
	case Cut:
		return []Sending{{Bytes: answer[:half], More: framing == modbus.MBAP}}
	case Reordered:
		return []Sending{{After: rand.N(f.Delay + 1), Bytes: answer}}
	case Babble:
		return babble(f.Delay)
	case Garbled:
		if framing == modbus.MBAP {
			answer = []byte("\xff\xff\xff\xff\xff\xff no frame")
		} else {
			answer[half] ^= 1
		}
	default:
	}
	return []Sending{{Bytes: answer}}
}

// babble is noise at about the pace of a serial line of 9600 baud.
func babble(length time.Duration) (out []Sending) {
	const pause = 10 * time.Millisecond
	for after := time.Duration(0); after < length; after += pause {
		noise := make([]byte, 10)
		for i := range noise {
			noise[i] = byte(rand.Uint32())
		}
		out = append(out, Sending{After: after, Bytes: noise, More: after+pause < length})
	}
	return out
}
