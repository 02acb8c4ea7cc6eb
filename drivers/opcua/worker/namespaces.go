package worker

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/gopcua/opcua/ua"
)

const (
	nodeNamespaceArray = 2255
	nodeCurrentTime    = 2258
	nodeServerState    = 2259
)

// readNamespaces asks for the server's namespace table, which may differ in each session (Part 5, 6.3.1); nil if it does not tell.
func readNamespaces(ctx context.Context, s sender) ([]string, error) {
	values, err := readAttributes(ctx, s, []*ua.NodeID{ua.NewNumericNodeID(0, nodeNamespaceArray)}, ua.AttributeIDValue)
	if err != nil {
		return nil, err
	}
	uris, _ := values[0].([]string)
	return uris, nil
}

// resolve is the NodeID of a text, with its namespace by its place in uris: nsu=URI;s=…, ns=2;s=…, i=… of namespace 0. A namespace that the
// server does not have is BadNodeIdUnknown, a text that is no NodeID is BadNodeIdInvalid.
func resolve(text string, uris []string) (*ua.NodeID, error) {
	if rest, ok := strings.CutPrefix(text, "nsu="); ok {
		at := strings.LastIndex(rest, ";") // a URI may hold a semicolon, and so may a string id
		for _, kind := range []string{";i=", ";s=", ";g=", ";b="} {
			if i := strings.Index(rest, kind); i >= 0 && (at < 0 || i < at) {
				at = i
			}
		}
		if at < 0 {
			return nil, ua.StatusBadNodeIDInvalid
		}
		n := slices.Index(uris, unescape(rest[:at]))
		if n < 0 {
			return nil, ua.StatusBadNodeIDUnknown
		}
		text = "ns=" + strconv.Itoa(n) + rest[at:]
	}
	kind := text
	if strings.HasPrefix(text, "ns=") {
		_, kind, _ = strings.Cut(text, ";")
	}
	if len(kind) < 2 || kind[1] != '=' { // which the library takes for a text
		return nil, ua.StatusBadNodeIDInvalid
	}
	id, err := parseNodeID(text, nil)
	if err != nil || id == nil {
		return nil, ua.StatusBadNodeIDInvalid
	}
	return id, nil
}

// unescape undoes the escapes of a namespace URI in a NodeID (Part 6, 5.1.12).
func unescape(uri string) string {
	return strings.NewReplacer("%3B", ";", "%3b", ";", "%25", "%").Replace(uri)
}

func (c *client) setNamespaces(uris []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.namespaces = uris
}

// uris is the server's namespace table in this session.
func (c *client) uris() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.namespaces
}
