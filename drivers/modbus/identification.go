package modbus

import (
	"cmp"
	"context"
	"errors"
	"strings"

	goburrow "github.com/goburrow/modbus"

	"github.com/millgate/millgate/drivers"
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
	adu, err := d.packager.Encode(&goburrow.ProtocolDataUnit{FunctionCode: functionEncapsulated, Data: []byte{meiIdentification, basicIdentification, 0}})
	if err != nil {
		return id, err
	}
	var refused error
	err = d.seat.link.exchange(ctx, d.seat, adu, d.timeout, func(answer []byte) error {
		data, exception, err := d.unpack(adu, answer)
		if err != nil {
			return err
		}
		if exception != "" {
			refused = &drivers.Error{Cause: exception, Err: errors.New("the device does not tell its identification")}
			return nil // an answer all the same
		}
		id, err = parseIdentification(data)
		return err
	})
	return id, cmp.Or(err, refused)
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
