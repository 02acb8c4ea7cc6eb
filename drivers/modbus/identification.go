package modbus

import (
	"context"
	"strings"
)

const (
	functionEncapsulated = 43
	meiIdentification    = 14
	basicIdentification  = 1
)

// Identification is what a device says of itself (MODBUS Application Protocol Specification V1.1b3, 6.21, basic category).
type Identification struct {
	Vendor   string `json:"vendor"`
	Product  string `json:"product"`
	Revision string `json:"revision"`
}

// Identification asks the device for its basic identification. Many devices do not know the function: that is an error too.
func (d *Driver) Identification(ctx context.Context) (id Identification, err error) {
	c := call{request: []byte{functionEncapsulated, meiIdentification, basicIdentification, 0}}
	if d.seat.exchange(ctx, d.timeout, &c); c.err != nil {
		return id, c.err
	}
	return parseIdentification(c.answer)
}

// parseIdentification reads MEI type, code, conformity, more follows, next id, number of objects, and objects of id, length and text.
func parseIdentification(data []byte) (id Identification, err error) {
	if len(data) < 6 || data[0] != meiIdentification {
		return id, garbled("no identification in % x", data)
	}
	texts := [...]*string{&id.Vendor, &id.Product, &id.Revision}
	rest := data[6:]
	for range data[5] {
		if len(rest) < 2 || len(rest) < 2+int(rest[1]) {
			return id, garbled("identification is cut off")
		}
		object, n := int(rest[0]), int(rest[1])
		if object < len(texts) {
			*texts[object] = strings.ToValidUTF8(string(rest[2:2+n]), "?")
		}
		rest = rest[2+n:]
	}
	return id, nil
}
