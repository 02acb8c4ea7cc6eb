package opcuasim

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/millgate/millgate/drivers"
)

// Type is a built-in type of OPC UA, by its number (Part 6, 5.1.2).
type Type uint8

// The types that a Variable can have. A DateTime is set as milliseconds since 1970 UTC, a NodeID and a LocalizedText as text.
const (
	Boolean Type = iota + 1
	SByte
	Byte
	Int16
	UInt16
	Int32
	UInt32
	Int64
	UInt64
	Float
	Double
	String
	DateTime
	NodeID        Type = 17
	LocalizedText Type = 21
)

// TypeOf is the type that holds all values of a tag's type; 0 for none.
func TypeOf(t drivers.Type) Type {
	return [...]Type{
		drivers.TypeNone: 0, drivers.TypeBool: Boolean, drivers.TypeInt64: Int64, drivers.TypeUint64: UInt64,
		drivers.TypeFloat32: Float, drivers.TypeFloat64: Double, drivers.TypeText: String,
	}[t]
}

// variant is the values as the wire has them; an array if it is one.
func (s *space) variant(t Type, array bool, values []drivers.Value) (*ua.Variant, error) {
	if array && len(values) > 0 {
		var slice reflect.Value
		for i, v := range values {
			one, err := s.scalar(t, v)
			if err != nil {
				return nil, fmt.Errorf("element %d: %w", i, err)
			}
			if i == 0 {
				slice = reflect.MakeSlice(reflect.SliceOf(reflect.TypeOf(one)), 0, len(values))
			}
			slice = reflect.Append(slice, reflect.ValueOf(one))
		}
		if bytes, ok := slice.Interface().([]byte); ok { // else it would be one ByteString
			return ua.NewVariant(ua.ByteArray(bytes))
		}
		return ua.NewVariant(slice.Interface())
	}
	if len(values) != 1 {
		return nil, fmt.Errorf("%d values where one is needed", len(values))
	}
	one, err := s.scalar(t, values[0])
	if err != nil {
		return nil, err
	}
	return ua.NewVariant(one)
}

func (s *space) scalar(t Type, v drivers.Value) (any, error) {
	if v.Type() == drivers.TypeText {
		switch t {
		case String:
			return v.Text(), nil
		case LocalizedText:
			return ua.NewLocalizedText(v.Text()), nil
		case NodeID:
			return s.resolve(v.Text())
		}
		return nil, fmt.Errorf("%q is no number", v.Text())
	}
	f, ok := v.Float()
	switch {
	case !ok:
		return nil, fmt.Errorf("there is no value")
	case t == Boolean:
		return f != 0, nil
	case t == Float:
		return float32(f), nil
	case t == Double:
		return f, nil
	case t == Int64 && v.Type() == drivers.TypeInt64:
		return int64(v.Bits()), nil
	case t == UInt64 && v.Type() == drivers.TypeUint64:
		return v.Bits(), nil
	}
	switch f = math.Round(f); t {
	case SByte:
		return whole[int8](f, math.MinInt8, math.MaxInt8)
	case Byte:
		return whole[uint8](f, 0, math.MaxUint8)
	case Int16:
		return whole[int16](f, math.MinInt16, math.MaxInt16)
	case UInt16:
		return whole[uint16](f, 0, math.MaxUint16)
	case Int32:
		return whole[int32](f, math.MinInt32, math.MaxInt32)
	case UInt32:
		return whole[uint32](f, 0, math.MaxUint32)
	case Int64:
		return whole[int64](f, math.MinInt64, math.Nextafter(1<<63, 0))
	case UInt64:
		return whole[uint64](f, 0, math.Nextafter(1<<64, 0))
	case DateTime:
		ms, err := whole[int64](f, 0, 1<<50)
		return time.UnixMilli(ms).UTC(), err
	}
	return nil, fmt.Errorf("%v does not fit the node's type", v)
}

func whole[T int8 | uint8 | int16 | uint16 | int32 | uint32 | int64 | uint64](f, low, high float64) (T, error) {
	if f < low || f > high {
		return 0, fmt.Errorf("%v is outside %v to %v", f, low, high)
	}
	return T(f), nil
}

// number is a scalar number, for a deadband.
func number(v *ua.Variant) (float64, bool) {
	r := reflect.ValueOf(v.Value())
	switch {
	case !r.IsValid():
	case r.CanInt():
		return float64(r.Int()), true
	case r.CanUint():
		return float64(r.Uint()), true
	case r.CanFloat():
		return r.Float(), true
	}
	return 0, false
}

// part is an element or a run of an array, by a NumericRange of one dimension (Part 4, 7.27).
func part(v *ua.Variant, indexRange string) (*ua.Variant, ua.StatusCode) {
	from, to, isRun := strings.Cut(indexRange, ":")
	first, err := strconv.ParseUint(from, 10, 31)
	last := first
	if err == nil && isRun {
		last, err = strconv.ParseUint(to, 10, 31)
	}
	if err != nil || last < first || (isRun && last == first) {
		return nil, ua.StatusBadIndexRangeInvalid
	}
	all := reflect.ValueOf(v.Value())
	if all.Kind() != reflect.Slice || first >= uint64(all.Len()) {
		return nil, ua.StatusBadIndexRangeNoData
	}
	run, err := ua.NewVariant(all.Slice(int(first), min(int(last)+1, all.Len())).Interface())
	if err != nil {
		return nil, ua.StatusBadIndexRangeInvalid
	}
	return run, ua.StatusOK
}
