package configs

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/opcua"
)

// opcuaPoint is what only points of OPC UA have.
type opcuaPoint struct {
	opcua.Point        // Type, Scale and Offset only when a device has it
	acquire     string // empty: as the device says
}

const (
	subscribe = "subscribe"
	poll      = "poll"

	minSampling = time.Millisecond
	maxQueue    = 100_000
	maxNodeText = 4096 // characters of a string identifier (Part 3, 8.2.4)
)

var (
	guidForm   = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)
	selectForm = regexp.MustCompile(`^(\[[0-9]{1,9}(,[0-9]{1,9})*\]|\.[^.\[\]]+)+$`)
	selectRule = "write [3] for an element of an array, counted from 0, [1,2] of a matrix, .Field for a field of a structure, or several such as .Axes[2].Load"
)

// opcuaTypes are the types of OPC UA points, with the bits that a whole number has and the type of an unscaled tag.
var opcuaTypes = map[string]struct {
	bits  int
	value drivers.Type
}{
	"bool": {0, drivers.TypeBool}, "string": {0, drivers.TypeText}, "float32": {0, drivers.TypeFloat32}, "float64": {0, drivers.TypeFloat64},
	"int8": {8, drivers.TypeInt64}, "int16": {16, drivers.TypeInt64}, "int32": {32, drivers.TypeInt64}, "int64": {64, drivers.TypeInt64},
	"uint8": {8, drivers.TypeUint64}, "uint16": {16, drivers.TypeUint64}, "uint32": {32, drivers.TypeUint64}, "uint64": {64, drivers.TypeUint64},
}

var opcuaTypeNames = []string{"bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64", "string"}

// opcuaFields are the keys that only points of OPC UA have, and type.
func (p *pointSpec) opcuaFields(d *document) []field {
	discard := ""
	return []field{
		may("node", d.nodeID(&p.opcua.Node)),
		may("path", d.browsePath(&p.opcua.Path)),
		must("type", func(n ast.Node) {
			word := ""
			d.choice(&word, "type", opcuaTypeNames...)(n)
			p.typ = dataType{text: word, name: word, bits: opcuaTypes[word].bits}
		}),
		may("select", d.matching(&p.opcua.Select, selectForm, selectRule)),
		may("sampling", d.duration(&p.opcua.Sampling, minSampling, maxInterval, "sampling")),
		may("queue", func(n ast.Node) {
			length := 0
			d.integer(&length, 1, maxQueue, "queue")(n)
			p.opcua.Queue = uint32(length)
		}),
		may("discard", func(n ast.Node) {
			d.choice(&discard, "discard", "oldest", "newest")(n)
			p.opcua.DiscardNewest = discard == "newest"
		}),
		may("acquire", d.choice(&p.opcua.acquire, "acquire", subscribe, poll)),
	}
}

// checkOPCUA says what can not be about where the point is; ok is false if too little is known for more.
func (p *pointSpec) checkOPCUA() (ok bool) {
	node, path := p.places["node"], p.places["path"]
	switch {
	case !p.has("node") && !p.has("path"):
		if !p.has("table") && !p.has("address") { // else it was told that it is a point of Modbus
			p.at(nil, "point %s says neither node, its NodeID, nor path, the names that lead to it", p.name)
		}
		return false
	case p.has("node") && p.has("path") && node.depth == path.depth:
		p.at([]string{"path"}, "point %s has both node and path; keep one", p.name)
		p.opcua.Path = ""
	case node.depth > path.depth:
		p.opcua.Path = ""
	case path.depth > node.depth:
		p.opcua.Node = ""
	}
	return p.typ.name != ""
}

// passDeadband leaves it to the server to hold back what differs too little, where it counts as the site does and knows how.
func (p *pointSpec) passDeadband() {
	if p.kind != drivers.State && !p.scaled() && p.opcua.Select == "" {
		p.opcua.Deadband = p.rule.Deadband
	}
}

// opcuaValue is the type of the tag: a scaled whole number is a float64, a scaled float32 stays a float32.
func (p *pointSpec) opcuaValue() drivers.Type {
	t := opcuaTypes[p.typ.name].value
	if (t == drivers.TypeInt64 || t == drivers.TypeUint64) && drivers.Scaled(p.scale, p.offset) {
		return drivers.TypeFloat64
	}
	return t
}

// nodeID reads a NodeID as text (Part 6, 5.3.1.10 and 5.3.1.11).
func (d *document) nodeID(into *string) func(ast.Node) {
	return func(n ast.Node) {
		text, ok := d.scalar(n, "a NodeID is expected")
		if !ok {
			return
		}
		if err := checkNodeID(text); err != nil {
			d.at(n, "NodeID %q: %v", text, err)
			return
		}
		*into = strings.Clone(text)
	}
}

const nodeRule = "write nsu=URI;s=text or nsu=URI;i=number, as a client such as UaExpert shows them, or i=number for a node of OPC UA itself"

func checkNodeID(text string) error {
	id := text
	if rest, ok := strings.CutPrefix(text, "nsu="); ok {
		uri, after, found := strings.Cut(rest, ";")
		if !found || uri == "" {
			return fmt.Errorf("behind nsu= the URI of a namespace is expected, then ; and the identifier: %s", nodeRule)
		}
		id = after
	} else if rest, ok := strings.CutPrefix(text, "ns="); ok {
		index, after, found := strings.Cut(rest, ";")
		if _, err := strconv.ParseUint(index, 10, 16); err != nil || !found {
			return fmt.Errorf("behind ns= the number of a namespace is expected, 0 to 65535, then ; and the identifier: %s", nodeRule)
		}
		id = after
	}
	kind, value, found := strings.Cut(id, "=")
	if !found || value == "" {
		return fmt.Errorf("the identifier is missing: %s", nodeRule)
	}
	switch kind {
	case "i":
		if _, err := strconv.ParseUint(value, 10, 32); err != nil {
			return fmt.Errorf("behind i= a number is expected, 0 to 4294967295")
		}
	case "s":
		if len([]rune(value)) > maxNodeText {
			return fmt.Errorf("the identifier has more than %d characters", maxNodeText)
		}
	case "g":
		if !guidForm.MatchString(value) {
			return fmt.Errorf("behind g= a GUID is expected, such as 09087e75-8e5e-499b-954f-f2a9603db28a")
		}
	case "b":
		if _, err := base64.StdEncoding.DecodeString(value); err != nil {
			return fmt.Errorf("behind b= bytes in base 64 are expected")
		}
	default:
		return fmt.Errorf("%q is no kind of identifier: %s", kind+"=", nodeRule)
	}
	return nil
}

// namedByIndex says that the text gives the namespace by a number that the server may give to another one.
func namedByIndex(node string) bool {
	return strings.HasPrefix(node, "ns=") && !strings.HasPrefix(node, "ns=0;")
}

const maxPathNames = 32

// browsePath reads the names that lead to a node.
func (d *document) browsePath(into *string) func(ast.Node) {
	return func(n ast.Node) {
		var text string
		d.text(&text)(n)
		if text == "" {
			return
		}
		switch names := splitPath(text); {
		case slices.Contains(names, ""):
			d.at(n, "path %q: write names with / between them, such as Monitoring/MachineTool/OperationMode, and & before a / that belongs to a name", text)
		case len(names) > maxPathNames:
			d.at(n, "path %q has %d names: at most %d", text, len(names), maxPathNames)
		default:
			*into = strings.Clone(text)
		}
	}
}

// splitPath are the names in a path; an empty one stands for what is no name.
func splitPath(text string) (names []string) {
	var name strings.Builder
	escaped := false
	for _, c := range text {
		switch {
		case !escaped && c == '&':
			escaped = true
			continue
		case !escaped && c == '/':
			names = append(names, name.String())
			name.Reset()
		default:
			name.WriteRune(c)
		}
		escaped = false
	}
	if escaped {
		return append(names, "")
	}
	return append(names, name.String())
}
