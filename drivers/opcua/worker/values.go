package worker

import (
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/gopcua/opcua/ua"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/opcua"
)

// maxElements is the longest array that an answer may hold, in place of the library's 65,535: gopcua drops the whole answer if one is longer.
// A float64 array of this length is 8 MB, and the worker's memory limit bounds how many of them come at once.
const maxElements = 1 << 20

func init() { ua.MaxVariantArrayLength = maxElements }

// form says what a raw value is.
type form uint8

const (
	nothing  form = iota
	boolean       // bits: 0 or 1
	signed        // bits: an int64
	unsigned      // bits: a uint64
	single        // bits: a float32's
	double        // bits: a float64's
	words         // text
	moment        // bits: ms since 1970 UTC, an int64
	code          // bits: a StatusCode
	node          // text: a plainNodeID
)

// raw is a scalar as a server sent it.
type raw struct {
	form  form
	bits  uint64
	text  string
	names *enumeration // of an integer that has texts; nil: none
}

// valueReader turns what a server sends for one point into readings.
type valueReader struct {
	steps  []opcua.Step
	to     drivers.Type
	linear drivers.Linear
	types  *types
	names  *enumeration // of the node's data type
	broken bool         // the point's Select can not be read
	last   lastStructure
}

// newReader gives the function that reads the values of p. It is not safe for concurrent use.
//
// A value that the point's type can not hold exactly is Bad with type_mismatch: an integer is held exactly or not at all, also by a float; a
// float becomes an integer only if it is whole; a Double for a float32 is rounded to the nearest one that is not infinite. Scale and offset
// come before that. A bool is 0 or 1 as a number, and no other number is a bool. A DateTime is ms since 1970 as a number; one that means
// "none" (0, the year 9999, outside 1970-2184) is not_available, as is a null. A NodeId of a state is the state's StateNumber as a number, and no
// other NodeId is one. For a text, numbers are written in decimal, enumerations by
// name, DateTimes as RFC 3339 in UTC; a ByteString must be UTF-8, and so must everything else.
func newReader(p opcua.Point, t *types) func(dv *ua.DataValue) (drivers.Value, drivers.Quality, drivers.Cause) {
	steps, err := opcua.ParseSelect(p.Select)
	r := &valueReader{steps: steps, to: p.Type, linear: drivers.NewLinear(p.Scale, p.Offset), types: t, broken: err != nil}
	if t != nil {
		r.names = t.namesOf(p.Node)
	}
	return r.read
}

func (r *valueReader) read(dv *ua.DataValue) (drivers.Value, drivers.Quality, drivers.Cause) {
	if dv == nil {
		return drivers.Value{}, drivers.Bad, drivers.CauseGarbled
	}
	severity := dv.Status >> 30
	if severity > 1 {
		return drivers.Value{}, drivers.Bad, statusCause(dv.Status)
	}
	if r.broken {
		return drivers.Value{}, drivers.Bad, drivers.CauseTypeMismatch
	}
	got, cause := r.pick(dv.Value)
	if cause != "" {
		return drivers.Value{}, drivers.Bad, cause
	}
	v, cause := r.value(&got)
	if cause != "" {
		return drivers.Value{}, drivers.Bad, cause
	}
	if severity == 1 {
		return v, drivers.Uncertain, statusCause(dv.Status)
	}
	return v, drivers.Good, ""
}

// value makes v what the point's type holds.
func (r *valueReader) value(v *raw) (drivers.Value, drivers.Cause) {
	if v.form == nothing {
		return drivers.Value{}, drivers.CauseNotAvailable
	}
	if r.to == drivers.TypeText {
		return r.asText(v)
	}
	if r.linear.On() {
		return r.scaled(v)
	}
	switch v.form {
	case boolean, unsigned, code:
		return ofUint(v.bits, r.to)
	case signed, moment:
		return ofInt(int64(v.bits), r.to)
	case single:
		return ofFloat(float64(math.Float32frombits(uint32(v.bits))), r.to)
	case double:
		return ofFloat(math.Float64frombits(v.bits), r.to)
	case node:
		return r.stateNumber(v.text)
	case words, nothing:
	}
	return mismatch()
}

func mismatch() (drivers.Value, drivers.Cause) { return drivers.Value{}, drivers.CauseTypeMismatch }

func (r *valueReader) scaled(v *raw) (drivers.Value, drivers.Cause) {
	if r.to == drivers.TypeBool {
		return mismatch()
	}
	switch v.form {
	case boolean, unsigned, code:
		return ofFloat(r.linear.OfUint(v.bits), r.to)
	case signed, moment:
		return ofFloat(r.linear.OfInt(int64(v.bits)), r.to)
	case single:
		return ofFloat(r.linear.OfFloat(float64(math.Float32frombits(uint32(v.bits)))), r.to)
	case double:
		return ofFloat(r.linear.OfFloat(math.Float64frombits(v.bits)), r.to)
	case words, node, nothing:
	}
	return mismatch()
}

func ofUint(u uint64, to drivers.Type) (drivers.Value, drivers.Cause) {
	switch {
	case to == drivers.TypeBool && u <= 1:
		return drivers.BoolValue(u == 1), ""
	case to == drivers.TypeInt64 && u <= math.MaxInt64:
		return drivers.IntValue(int64(u)), ""
	case to == drivers.TypeUint64:
		return drivers.UintValue(u), ""
	case to == drivers.TypeFloat64 && exactUint(float64(u), u):
		return drivers.Float64Value(float64(u)), ""
	case to == drivers.TypeFloat32 && exactUint(float64(float32(u)), u):
		return drivers.Float32Value(float32(u)), ""
	}
	return mismatch()
}

func ofInt(i int64, to drivers.Type) (drivers.Value, drivers.Cause) {
	if i >= 0 {
		return ofUint(uint64(i), to)
	}
	switch {
	case to == drivers.TypeInt64:
		return drivers.IntValue(i), ""
	case to == drivers.TypeFloat64 && exactUint(-float64(i), -uint64(i)):
		return drivers.Float64Value(float64(i)), ""
	case to == drivers.TypeFloat32 && exactUint(-float64(float32(i)), -uint64(i)):
		return drivers.Float32Value(float32(i)), ""
	}
	return mismatch()
}

// exactUint says whether f is u. It does not convert an f that no uint64 can hold.
func exactUint(f float64, u uint64) bool { return f < 1<<64 && uint64(f) == u }

func ofFloat(f float64, to drivers.Type) (drivers.Value, drivers.Cause) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return drivers.Value{}, drivers.CauseNotANumber
	}
	switch whole := f == math.Trunc(f); {
	case to == drivers.TypeFloat64:
		return drivers.Float64Value(f), ""
	case to == drivers.TypeFloat32:
		if v := drivers.Float32Value(float32(f)); !v.IsZero() {
			return v, ""
		}
	case to == drivers.TypeInt64 && whole && f >= -1<<63 && f < 1<<63:
		return drivers.IntValue(int64(f)), ""
	case to == drivers.TypeUint64 && whole && f >= 0 && f < 1<<64:
		return drivers.UintValue(uint64(f)), ""
	}
	return mismatch()
}

func (r *valueReader) asText(v *raw) (drivers.Value, drivers.Cause) {
	if r.linear.On() {
		return mismatch()
	}
	var s string
	switch v.form {
	case words, node:
		s = v.text
	case boolean:
		s = strconv.FormatBool(v.bits == 1)
	case signed:
		s = v.names.text(int64(v.bits))
	case unsigned:
		if s = strconv.FormatUint(v.bits, 10); v.names != nil && v.bits <= math.MaxInt64 {
			s = v.names.text(int64(v.bits))
		}
	case single, double:
		n := drivers.ValueFromBits(drivers.TypeFloat64, v.bits)
		if v.form == single {
			n = drivers.ValueFromBits(drivers.TypeFloat32, v.bits)
		}
		if n.IsZero() {
			return n, drivers.CauseNotANumber
		}
		s = n.String()
	case moment:
		s = time.UnixMilli(int64(v.bits)).UTC().Format("2006-01-02T15:04:05.000Z07:00")
	case code:
		s = statusText(ua.StatusCode(v.bits))
	case nothing:
		return drivers.Value{}, drivers.CauseNotAvailable
	}
	if !utf8.ValidString(s) {
		return drivers.Value{}, drivers.CauseInvalidText
	}
	return drivers.TextValue(s), ""
}
