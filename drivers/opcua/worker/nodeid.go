package worker

import (
	"fmt"
	"strconv"

	"github.com/gopcua/opcua/ua"
)

// uaNamespace is namespace 0, of the standard itself.
const uaNamespace = "http://opcfoundation.org/UA/"

// plainNodeID is a NodeID with its namespace by index, as ns=2;s=… ; empty for one that is none.
func plainNodeID(id *ua.NodeID) string {
	if id == nil || id.Type() > ua.NodeIDTypeByteString {
		return ""
	}
	return id.String()
}

// nodeIDText is a NodeID in a namespace, as maps have it.
func nodeIDText(id *ua.NodeID, namespace string) string {
	own := ""
	switch id.Type() {
	case ua.NodeIDTypeTwoByte, ua.NodeIDTypeFourByte, ua.NodeIDTypeNumeric:
		own = "i=" + strconv.FormatUint(uint64(id.IntID()), 10)
	case ua.NodeIDTypeString:
		own = "s=" + id.StringID()
	case ua.NodeIDTypeGUID:
		own = "g=" + id.StringID()
	case ua.NodeIDTypeByteString:
		own = "b=" + id.StringID()
	}
	if namespace == uaNamespace {
		return own
	}
	return "nsu=" + namespace + ";" + own
}

// mapNodeID is a NodeID as maps have it; one whose namespace the server does not name keeps its index.
func mapNodeID(id *ua.NodeID, namespaces []string) string {
	if id == nil || id.Type() > ua.NodeIDTypeByteString {
		return ""
	}
	if n := int(id.Namespace()); n > 0 && (n >= len(namespaces) || namespaces[n] == "") {
		return id.String()
	} else if n > 0 {
		return nodeIDText(id, namespaces[n])
	}
	return nodeIDText(id, uaNamespace)
}

// parseNodeID is the inverse of mapNodeID at a server with these namespaces.
func parseNodeID(text string, namespaces []string) (id *ua.NodeID, err error) {
	defer func() {
		if recover() != nil { // gopcua trusts a GUID to be one
			id, err = nil, fmt.Errorf("the NodeID %q can not be read", text)
		}
	}()
	expanded, err := ua.ParseExpandedNodeID(text, namespaces)
	if err != nil {
		return nil, err
	}
	return plain(expanded), nil
}

// plain is the NodeID without the flags of an ExpandedNodeID.
func plain(e *ua.ExpandedNodeID) *ua.NodeID {
	if e == nil || e.NodeID == nil {
		return nil
	}
	if !e.HasNamespaceURI() && !e.HasServerIndex() {
		return e.NodeID
	}
	return ua.NewNodeIDFromExpandedNodeID(e)
}
