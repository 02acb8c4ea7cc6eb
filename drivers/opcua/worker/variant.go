package worker

import (
	"math"
	"reflect"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/millgate/millgate/drivers"
)

// maxNesting bounds variants in variants and structures in structures.
const maxNesting = 32

// pick is the scalar in v that the point selects, or the cause why there is none.
func (r *valueReader) pick(v *ua.Variant) (raw, drivers.Cause) {
	if v == nil {
		return raw{}, drivers.CauseNotAvailable
	}
	value, cause := unwrap(v.Value())
	for i := 0; i < len(r.steps) && cause == ""; i++ {
		step := &r.steps[i]
		switch object := value.(type) {
		case nil:
			return raw{}, drivers.CauseNotAvailable
		case *ua.ExtensionObject:
			return r.fromStructure(object, r.steps[i:])
		default:
			if step.Field != "" {
				return raw{}, drivers.CauseTypeMismatch
			}
			if i == len(r.steps)-1 {
				if got, found, known := elementOf(value, step.Index); known {
					return r.named(got, found)
				}
			}
			if value, cause = child(value, step.Index); cause == "" {
				value, cause = unwrap(value)
			}
		}
	}
	if cause != "" {
		return raw{}, cause
	}
	got, known := scalarOf(value)
	if !known {
		return raw{}, drivers.CauseTypeMismatch
	}
	return r.named(got, true)
}

func (r *valueReader) named(got raw, found bool) (raw, drivers.Cause) {
	if !found {
		return raw{}, causeNoElement
	}
	got.names = r.names
	return got, ""
}

// unwrap takes a value out of the variants and data values around it.
func unwrap(v any) (any, drivers.Cause) {
	for range maxNesting {
		switch inner := v.(type) {
		case *ua.Variant:
			if inner == nil {
				return nil, ""
			}
			v = inner.Value()
		case *ua.DataValue:
			switch {
			case inner == nil || inner.Value == nil:
				return nil, ""
			case inner.Status>>30 > 1:
				return nil, statusCause(inner.Status)
			}
			v = inner.Value.Value()
		default:
			return v, ""
		}
	}
	return nil, drivers.CauseGarbled
}

// elementOf is an element of an array of numbers, without an allocation; known is false for any other value.
func elementOf(v any, i int) (got raw, found, known bool) {
	switch a := v.(type) {
	case []float32:
		if found = i < len(a); found {
			got = raw{form: single, bits: uint64(math.Float32bits(a[i]))}
		}
	case []float64:
		if found = i < len(a); found {
			got = raw{form: double, bits: math.Float64bits(a[i])}
		}
	case []bool:
		if found = i < len(a); found {
			got = ofBool(a[i])
		}
	case []int8:
		return signedAt(a, i)
	case []int16:
		return signedAt(a, i)
	case []int32:
		return signedAt(a, i)
	case []int64:
		return signedAt(a, i)
	case []byte:
		return unsignedAt(a, i)
	case ua.ByteArray:
		return unsignedAt(a, i)
	case []uint16:
		return unsignedAt(a, i)
	case []uint32:
		return unsignedAt(a, i)
	case []uint64:
		return unsignedAt(a, i)
	default:
		return raw{}, false, false
	}
	return got, found, true
}

func signedAt[T int8 | int16 | int32 | int64](a []T, i int) (got raw, found, known bool) {
	if i >= len(a) {
		return raw{}, false, true
	}
	return raw{form: signed, bits: uint64(int64(a[i]))}, true, true
}

func unsignedAt[T byte | uint16 | uint32 | uint64](a []T, i int) (got raw, found, known bool) {
	if i >= len(a) {
		return raw{}, false, true
	}
	return raw{form: unsigned, bits: uint64(a[i])}, true, true
}

// child is an element of any array: a row of a matrix, a structure, a text.
func child(v any, i int) (any, drivers.Cause) {
	a := reflect.ValueOf(v)
	if a.Kind() != reflect.Slice {
		return nil, drivers.CauseTypeMismatch
	}
	if i >= a.Len() {
		return nil, causeNoElement
	}
	return a.Index(i).Interface(), ""
}

func ofBool(b bool) raw {
	if b {
		return raw{form: boolean, bits: 1}
	}
	return raw{form: boolean}
}

// scalarOf is the scalar v; known is false if it is an array, a structure or nothing that millgate has.
func scalarOf(v any) (got raw, known bool) {
	switch x := v.(type) {
	case nil:
		return raw{}, true
	case bool:
		return ofBool(x), true
	case int8:
		return raw{form: signed, bits: uint64(int64(x))}, true
	case int16:
		return raw{form: signed, bits: uint64(int64(x))}, true
	case int32:
		return raw{form: signed, bits: uint64(int64(x))}, true
	case int64:
		return raw{form: signed, bits: uint64(x)}, true
	case byte:
		return raw{form: unsigned, bits: uint64(x)}, true
	case uint16:
		return raw{form: unsigned, bits: uint64(x)}, true
	case uint32:
		return raw{form: unsigned, bits: uint64(x)}, true
	case uint64:
		return raw{form: unsigned, bits: x}, true
	case float32:
		return raw{form: single, bits: uint64(math.Float32bits(x))}, true
	case float64:
		return raw{form: double, bits: math.Float64bits(x)}, true
	case ua.StatusCode:
		return raw{form: code, bits: uint64(x)}, true
	case time.Time:
		return ofTime(x), true
	}
	return textOf(v)
}

// textOf is a scalar that is a text, or is written as one.
func textOf(v any) (got raw, known bool) {
	got.form = words
	switch x := v.(type) {
	case string:
		got.text = x
	case ua.XMLElement:
		got.text = string(x)
	case []byte:
		got.text = string(x) // the copy, since a ByteString lies in the receive buffer
	case ua.ByteArray:
		got.text = string(x)
	case *ua.LocalizedText:
		if x != nil {
			got.text = x.Text
		}
	case *ua.QualifiedName:
		if x != nil {
			got.text = x.Name
		}
	case *ua.GUID:
		if x == nil || len(x.Data4) != 8 {
			return raw{}, true
		}
		got.text = x.String()
	case *ua.NodeID:
		if x == nil {
			return raw{}, true
		}
		got.form, got.text = node, plainNodeID(x)
	case *ua.ExpandedNodeID:
		if x == nil || x.NodeID == nil {
			return raw{}, true
		}
		if got.text = plainNodeID(x.NodeID); x.NamespaceURI != "" {
			got.text = nodeIDText(x.NodeID, x.NamespaceURI)
		}
	default:
		return raw{}, false
	}
	return got, true
}

// The years in which a DateTime is believed. gopcua wraps what does not fit into 64 bits of nanoseconds: 1601 becomes 2185, 9999 becomes 1816.
const firstYear, lastYear = 1970, 2184

func ofTime(t time.Time) raw {
	if y := t.Year(); y < firstYear || y > lastYear {
		return raw{}
	}
	return raw{form: moment, bits: uint64(t.UnixMilli())}
}

// firstOf is the length of an array, and its first element.
func firstOf(v any) (n int, first any, ok bool) {
	a := reflect.ValueOf(v)
	if a.Kind() != reflect.Slice {
		return 0, nil, false
	}
	if a.Len() > 0 {
		first = a.Index(0).Interface()
	}
	return a.Len(), first, true
}

// typeIDOf is the built-in type of a scalar, or of the elements of an array; TypeIDNull for anything else.
func typeIDOf(v any) ua.TypeID {
	for range maxNesting {
		n, first, ok := firstOf(v)
		if _, isText := v.([]byte); !ok || isText || n == 0 {
			break
		}
		v = first
	}
	if v == nil {
		return ua.TypeIDNull
	}
	one, err := ua.NewVariant(v)
	if err != nil {
		return ua.TypeIDNull
	}
	return one.Type()
}
