package modbus

import "time"

// What a link takes that says nothing of itself. A device on a serial line commonly begins its answer within one of its own cycles, and
// a device on Ethernet within a few milliseconds; LinkConfig.Turnaround replaces both by what was measured.
const (
	lineTurnaround     = 10 * time.Millisecond
	ethernetTurnaround = 2 * time.Millisecond
	ethernetByte       = 800 * time.Nanosecond // on 10 Mbit/s, the slowest Ethernet that devices have
	defaultBaud        = 9600

	fixedSilenceAbove = 19200                   // bits per second (MODBUS over Serial Line Specification V1.02, 2.5.1.1)
	fixedSilence      = 1750 * time.Microsecond // above it (the same)
)

// Cost is what the request r and its answer take of the link: the bytes of both with their framing, on a serial line or on one behind a
// bridge each as a character of start bit, data bits, parity bit and stop bits; in RTU framing 3.5 characters of silence before each;
// the device's turnaround; and the pause after it. On a link without a line (Baud 0 and no serial port) the bytes count as on Ethernet
// of 10 Mbit/s.
func (c LinkConfig) Cost(r Request) time.Duration {
	data := 2 * int(r.Quantity)
	if r.Table.Bits() {
		data = (int(r.Quantity) + 7) / 8
	}
	cost := c.turnaround() + c.PauseBetween
	if c.Endpoint.Transport != Serial {
		cost += time.Duration(frames(c.Endpoint.Framing, data)) * ethernetByte
	}
	if baud := c.baud(); baud > 0 {
		framing := c.Endpoint.Framing
		if framing == MBAP {
			framing = RTU // what a bridge makes of it
		}
		cost += time.Duration(frames(framing, data)*c.charBits())*time.Second/time.Duration(baud) + 2*c.silence()
	}
	return cost
}

// frames is how many bytes a read and its answer of some bytes of data take.
func frames(f Framing, data int) int {
	switch f {
	case RTU: // unit, function, address, quantity, CRC; unit, function, byte count, data, CRC
		return 8 + 5 + data
	case ASCII: // a colon, two characters a byte with an LRC of one byte, CR and LF
		return 17 + 11 + 2*data
	case MBAP:
	}
	return 12 + 9 + data
}

// baud is the speed of the line in bits per second; 0 if the link has none that is known.
func (c LinkConfig) baud() int {
	if c.Baud == 0 && c.Endpoint.Transport == Serial {
		return defaultBaud
	}
	return c.Baud
}

// charBits is the bits of a character with its start, parity and stop bits.
func (c LinkConfig) charBits() int {
	bits := 1 + 8 + 1
	if c.DataBits != 0 {
		bits += c.DataBits - 8
	}
	if c.Parity != 0 && c.Parity != 'N' {
		bits++
	}
	if c.StopBits > 1 {
		bits++
	}
	return bits
}

// charTime is what a character takes on the line; 0 if the link has none that is known.
func (c LinkConfig) charTime() time.Duration {
	if baud := c.baud(); baud > 0 {
		return time.Duration(c.charBits()) * time.Second / time.Duration(baud)
	}
	return 0
}

// silence is what must lie between two frames of RTU on the line: 3.5 characters, or 1.75 ms above 19200 bits per second. It is 0 for
// ASCII, whose frames end by a character, and without a line.
func (c LinkConfig) silence() time.Duration {
	switch baud := c.baud(); {
	case baud == 0 || c.Endpoint.Framing == ASCII:
		return 0
	case baud > fixedSilenceAbove:
		return fixedSilence
	default:
		return time.Duration(7*c.charBits()) * time.Second / time.Duration(2*baud)
	}
}

func (c LinkConfig) turnaround() time.Duration {
	switch {
	case c.Turnaround > 0:
		return c.Turnaround
	case c.baud() > 0:
		return lineTurnaround
	default:
		return ethernetTurnaround
	}
}
