package modbus

import (
	"context"
	"strings"
	"time"
)

const (
	functionEncapsulated = 43
	meiIdentification    = 14
	basicIdentification  = 1
	moreFollows          = 0xff
)

// Identification is what a device says of itself (MODBUS Application Protocol Specification V1.1b3, 6.21, basic category).
type Identification struct {
	Vendor   string `json:"vendor"`
	Product  string `json:"product"`
	Revision string `json:"revision"`
}

// Identification asks the device for its basic identification. Many devices do not know the function: that is an error too.
func (d *Driver) Identification(ctx context.Context) (Identification, error) {
	return d.seat.identify(ctx, d.timeout)
}

// identify reads on for as long as the device says that more objects follow.
func (s *seat) identify(ctx context.Context, timeout time.Duration) (id Identification, err error) {
	for from, more := byte(0), true; more; {
		c := call{request: []byte{functionEncapsulated, meiIdentification, basicIdentification, from}}
		if s.exchange(ctx, timeout, &c); c.err != nil {
			return id, c.err
		}
		var next byte
		if next, more, err = id.take(c.answer); err != nil {
			return id, err
		}
		if more && next <= from {
			return id, garbled("identification goes on at object %d behind object %d", next, from)
		}
		from = next
	}
	return id, nil
}

// take reads MEI type, code, conformity, more follows, next id, number of objects, and objects of id, length and text. If more, the
// others are to be asked for from next on.
func (id *Identification) take(data []byte) (next byte, more bool, err error) {
	if len(data) < 6 || data[0] != meiIdentification {
		return 0, false, garbled("no identification in % x", data)
	}
	texts := [...]*string{&id.Vendor, &id.Product, &id.Revision}
	rest := data[6:]
	for range data[5] {
		if len(rest) < 2 || len(rest) < 2+int(rest[1]) {
			return 0, false, garbled("identification is cut off")
		}
		object, n := int(rest[0]), int(rest[1])
		if object < len(texts) {
			*texts[object] = strings.ToValidUTF8(string(rest[2:2+n]), "?")
		}
		rest = rest[2+n:]
	}
	return data[4], data[3] == moreFollows && int(data[4]) < len(texts), nil
}
