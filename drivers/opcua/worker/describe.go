package worker

import (
	"context"

	"github.com/gopcua/opcua/ua"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/opcua"
)

// variable is what a server says of a variable.
type variable struct {
	typ     *dataType // nil: not known
	rank    int32     // below 0: a scalar, unless the value is an array
	lengths []uint32  // ArrayDimensions
	denied  bool      // it can not be read, or not by this user
	history bool
	value   *ua.DataValue
}

// describing are the properties that describe a variable, and are no values of their own.
var describing = map[string]bool{"EURange": true, "InstrumentRange": true, "EngineeringUnits": true, "EnumStrings": true, "EnumValues": true, "ValueAsText": true,
	"TrueState": true, "FalseState": true, "ValuePrecision": true, "Definition": true, "InputArguments": true, "OutputArguments": true, "NodeVersion": true,
	"DefaultInstanceBrowseName": true, "AxisScaleType": true, "Title": true, "XAxisDefinition": true, "YAxisDefinition": true, "ZAxisDefinition": true}

var variableAttributes = []ua.AttributeID{ua.AttributeIDValueRank, ua.AttributeIDArrayDimensions, ua.AttributeIDAccessLevel, ua.AttributeIDUserAccessLevel,
	ua.AttributeIDHistorizing, ua.AttributeIDValue}

// readVariables reads what is to be known of each variable, and its value.
func (b *browser) readVariables(ctx context.Context) error {
	var list []*browsed
	for _, n := range b.nodes {
		if n.class == ua.NodeClassVariable {
			list = append(list, n)
		}
	}
	for from := 0; from < len(list); from += browseStep {
		part := list[from:min(len(list), from+browseStep)]
		ids := make([]*ua.NodeID, len(part))
		var reads []*ua.ReadValueID
		for i, n := range part {
			ids[i] = n.id
			for _, a := range variableAttributes {
				reads = append(reads, attribute(n.id, a))
			}
		}
		if err := b.types.prepare(ctx, ids); err != nil { // first, so that no structure's body is dropped
			return err
		}
		values, err := read(ctx, b.types.send, reads)
		if err != nil {
			return err
		}
		for i, n := range part {
			n.variable = b.describe(n, values[i*len(variableAttributes):(i+1)*len(variableAttributes)])
		}
		b.progress(opcua.BrowseAnswer{Reading: true})
	}
	return nil
}

// describe takes the attributes in the order of variableAttributes.
func (b *browser) describe(n *browsed, values []*ua.DataValue) *variable {
	const readable = 1
	v := &variable{typ: b.types.typeOf(n.id), rank: -1, value: values[5]}
	if rank, ok := goodValue(values[0]).(int32); ok {
		v.rank = rank
	}
	v.lengths, _ = goodValue(values[1]).([]uint32)
	for _, level := range values[2:4] {
		if bits, ok := goodValue(level).(byte); ok && bits&readable == 0 {
			v.denied = true
		}
	}
	v.history, _ = goodValue(values[4]).(bool)
	return v
}

// mapType is how maps call a built-in type, and of what kind a tag of it is; ok is false for what is no value of a map.
func mapType(id ua.TypeID) (name, kind string, ok bool) {
	switch id {
	case ua.TypeIDBoolean:
		return "bool", "state", true
	case ua.TypeIDSByte:
		return "int8", "gauge", true
	case ua.TypeIDByte:
		return "uint8", "gauge", true
	case ua.TypeIDInt16:
		return "int16", "gauge", true
	case ua.TypeIDUint16:
		return "uint16", "gauge", true
	case ua.TypeIDInt32:
		return "int32", "gauge", true
	case ua.TypeIDUint32:
		return "uint32", "gauge", true
	case ua.TypeIDInt64:
		return "int64", "gauge", true
	case ua.TypeIDUint64:
		return "uint64", "gauge", true
	case ua.TypeIDFloat:
		return "float32", "gauge", true
	case ua.TypeIDDouble:
		return "float64", "gauge", true
	case ua.TypeIDString, ua.TypeIDDateTime, ua.TypeIDGUID, ua.TypeIDNodeID, ua.TypeIDExpandedNodeID, ua.TypeIDStatusCode, ua.TypeIDQualifiedName,
		ua.TypeIDLocalizedText:
		return "string", "text", true
	}
	return "", "", false
}

// tagTypes are the types of tags for the types of maps.
var tagTypes = map[string]drivers.Type{"bool": drivers.TypeBool, "int8": drivers.TypeInt64, "int16": drivers.TypeInt64, "int32": drivers.TypeInt64,
	"int64": drivers.TypeInt64, "uint8": drivers.TypeUint64, "uint16": drivers.TypeUint64, "uint32": drivers.TypeUint64, "uint64": drivers.TypeUint64,
	"float32": drivers.TypeFloat32, "float64": drivers.TypeFloat64, "string": drivers.TypeText}
