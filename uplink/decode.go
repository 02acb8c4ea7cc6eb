package uplink

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/millgate/millgate/buffer"
	"github.com/millgate/millgate/drivers"
)

// Decoder turns messages of readings back into what the gateway has stored, by one version of the catalogue: numbers of the types that the
// catalogue says, to the bit.
type Decoder struct {
	Catalogue *buffer.Catalogue
	tags      map[string]map[string]*drivers.Tag // by device and name
	devices   map[string]int                     // device → its place in the catalogue
}

// NewDecoder reads the payload of a catalogue message. The error says that it is none, or has tags of a kind that this version does not know.
func NewDecoder(payload []byte) (*Decoder, error) {
	d := &Decoder{Catalogue: new(buffer.Catalogue), tags: map[string]map[string]*drivers.Tag{}, devices: map[string]int{}}
	if err := json.Unmarshal(payload, d.Catalogue); err != nil {
		return nil, fmt.Errorf("catalogue: %w", err)
	}
	tags, err := d.Catalogue.Tags()
	if err != nil {
		return nil, err
	}
	for i, device := range d.Catalogue.Devices {
		d.devices[device.ID] = i
		d.tags[device.ID] = map[string]*drivers.Tag{}
	}
	for _, tag := range tags {
		d.tags[tag.Device][tag.Name] = tag
	}
	return d, nil
}

// Tag finds a tag; nil if the catalogue has none of that name.
func (d *Decoder) Tag(device, name string) *drivers.Tag { return d.tags[device][name] }

// Readings appends the readings of m to dst: objects in their order, within an object by the catalogue's order, because members of JSON have
// none. What messages do not hold, the stamp of a device that was not believed, is 0. The error names a tag that the catalogue does not
// have, or a value that is not of its type.
func (d *Decoder) Readings(dst []drivers.Reading, m *Message) ([]drivers.Reading, error) {
	for i := range m.Readings {
		begin := len(dst)
		var err error
		if dst, err = d.object(dst, &m.Readings[i]); err != nil {
			return dst, fmt.Errorf("block %d of %s: %w", m.Seq, m.Stream, err)
		}
		slices.SortFunc(dst[begin:], func(a, b drivers.Reading) int { return cmp.Compare(a.Tag.Index, b.Tag.Index) })
	}
	return dst, nil
}

// Seen are the silent devices of m, in the order of the catalogue.
func (d *Decoder) Seen(m *Message) ([]buffer.Seen, error) {
	seen := make([]buffer.Seen, 0, len(m.Seen))
	for device, t := range m.Seen {
		if _, ok := d.devices[device]; !ok {
			return nil, fmt.Errorf("block %d of %s: its catalogue has no device %q", m.Seq, m.Stream, device)
		}
		seen = append(seen, buffer.Seen{Device: device, Time: t})
	}
	slices.SortFunc(seen, func(a, b buffer.Seen) int { return cmp.Compare(d.devices[a.Device], d.devices[b.Device]) })
	return seen, nil
}

func (d *Decoder) object(dst []drivers.Reading, o *Object) ([]drivers.Reading, error) {
	for name, text := range o.Values {
		tag := d.Tag(o.Device, name)
		if tag == nil {
			return dst, fmt.Errorf("its catalogue has no tag %s/%s", o.Device, name)
		}
		value, ok := decodeValue(tag.Type, text)
		if !ok {
			return dst, fmt.Errorf("%s is %.40s, which is no %s", tag, text, tag.Type)
		}
		r := drivers.Reading{Tag: tag, Value: value, Quality: drivers.Good, Time: o.Time}
		if cause := o.Uncertain[name]; cause != "" {
			r.Quality, r.Cause = drivers.Uncertain, cause
		}
		dst = append(dst, r)
	}
	for name, cause := range o.Bad {
		tag := d.Tag(o.Device, name)
		if tag == nil {
			return dst, fmt.Errorf("its catalogue has no tag %s/%s", o.Device, name)
		}
		if _, both := o.Values[name]; both {
			return dst, fmt.Errorf("%s has a value and is bad at %d", tag, o.Time)
		}
		dst = append(dst, drivers.BadReading(tag, cause, o.Time))
	}
	return dst, nil
}

// decodeValue is the inverse of Value.AppendJSON for a type; 64-bit integers may be strings, as some consumers need them.
func decodeValue(t drivers.Type, text []byte) (v drivers.Value, ok bool) {
	if t == drivers.TypeText {
		var s string
		if err := json.Unmarshal(text, &s); err != nil {
			return v, false
		}
		v = drivers.TextValue(s)
		return v, !v.IsZero()
	}
	number := string(bytes.Trim(text, `"`))
	if len(number) != len(text) && t != drivers.TypeInt64 && t != drivers.TypeUint64 {
		return v, false
	}
	var err error
	switch t {
	case drivers.TypeBool:
		return drivers.BoolValue(number == "true"), number == "true" || number == "false"
	case drivers.TypeInt64:
		var i int64
		i, err = strconv.ParseInt(number, 10, 64)
		v = drivers.IntValue(i)
	case drivers.TypeUint64:
		var u uint64
		u, err = strconv.ParseUint(number, 10, 64)
		v = drivers.UintValue(u)
	case drivers.TypeFloat32:
		var f float64
		f, err = strconv.ParseFloat(number, 32)
		v = drivers.Float32Value(float32(f))
	case drivers.TypeFloat64:
		var f float64
		f, err = strconv.ParseFloat(number, 64)
		v = drivers.Float64Value(f)
	case drivers.TypeNone, drivers.TypeText:
	}
	return v, err == nil && !v.IsZero()
}
