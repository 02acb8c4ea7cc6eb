package main

import (
	"cmp"
	"fmt"
	"math"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/millgate/millgate/configs"
	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/opcua"
	"github.com/millgate/millgate/drivers/opcua/opcuasim"
)

// opcuaPlace is an endpoint in one spelling; ok is false if the text is none.
func opcuaPlace(endpoint string) (place string, ok bool) {
	at, err := url.Parse(endpoint)
	if err != nil || at.Scheme != "opc.tcp" || at.Hostname() == "" {
		return "", false
	}
	if at.Port() == "" {
		at.Host = net.JoinHostPort(at.Hostname(), "4840")
	}
	return strings.ToLower(strings.TrimRight(at.String(), "/")), true
}

// simulatedNode is a variable of a simulated server: its points may show elements of one array.
type simulatedNode struct {
	server *opcuasim.Server
	node   string
	array  bool
	values []drivers.Value
}

// set is told once for all elements. A value that does not fit leaves the node as it was.
func (n *simulatedNode) set() { _ = n.server.Set(n.node, n.values...) }

// attachOPCUA gives a device its nodes at the server in the place of its own.
func (s *simulator) attachOPCUA(d *simulated, group configs.Group) error {
	g := group.OPCUA
	place, ok := opcuaPlace(g.Server.Endpoint)
	if !ok {
		return fmt.Errorf("endpoint %q is none of OPC UA", g.Server.Endpoint)
	}
	server := s.servers[place]
	if server == nil {
		var err error
		if server, err = opcuasim.Listen(s.address(), opcuasim.Config{}); err != nil {
			return listening(err)
		}
		s.servers[place] = server
		s.opened = append(s.opened, server)
	}
	d.endpoint = server.Endpoint()
	for i, p := range g.Points {
		node, index, why, err := d.place(server, g.Root, p)
		if err != nil {
			return err
		}
		if why != "" {
			s.left = append(s.left, leftOut{p.Tag.String(), why})
			continue
		}
		d.points = append(d.points, simulatedPoint{p.Tag, instrumentFor(group.Rules[i]), func(v drivers.Value) { node.values[index] = rawValue(p, v) }})
	}
	return nil
}

var (
	elementForm = regexp.MustCompile(`^\[([0-9]{1,4})\]$`)
	notSimple   = "the simulator has scalars and arrays of at most 10000 elements, no structures"
)

// place finds or makes the node of a point, and says which element of its array the point shows; why says what can not be simulated.
func (d *simulated) place(server *opcuasim.Server, root opcua.Root, p opcua.Point) (n *simulatedNode, index int, why string, err error) {
	array := p.Select != ""
	if array {
		m := elementForm.FindStringSubmatch(p.Select)
		if m == nil {
			return nil, 0, notSimple, nil
		}
		if index, err = strconv.Atoi(m[1]); err != nil {
			return nil, 0, "", err
		}
	}
	v := opcuasim.Variable{Node: p.Node, Name: p.Tag.Name, Type: opcuasim.TypeOf(p.Type), Array: array}
	if p.Path != "" {
		if v.Node, v.Name, v.Parent, err = d.placePath(server, root, p.Path); err != nil {
			return nil, 0, "", err
		}
	}
	for _, known := range d.nodes {
		if known.node == v.Node && known.array == array {
			for array && len(known.values) <= index {
				known.values = append(known.values, rawValue(p, drivers.Float64Value(0)))
			}
			return known, index, "", nil
		}
	}
	for range index + 1 {
		v.Values = append(v.Values, rawValue(p, drivers.Float64Value(0)))
	}
	if server.Has(v.Node) {
		return nil, 0, "another device, or another tag in another way, has its node " + v.Node, nil
	}
	n = &simulatedNode{server, v.Node, array, v.Values}
	d.nodes = append(d.nodes, n)
	return n, index, "", server.Add(v)
}

// placePath makes the objects on the way to a node, from the one at which the paths of a device begin.
func (d *simulated) placePath(server *opcuasim.Server, root opcua.Root, path string) (node, name, parent string, err error) {
	place := "nsu=" + opcuasim.ApplicationURI + ";s=" + d.id
	at := opcuasim.Object{Node: cmp.Or(root.Node, place), Name: cmp.Or(root.Name, d.id), Type: root.Type}
	for _, name := range pathNames(path) {
		if !server.Has(at.Node) {
			if err := server.AddObject(at); err != nil {
				return "", "", "", err
			}
		}
		place += "/" + name
		at = opcuasim.Object{Node: place, Name: name, Parent: at.Node}
	}
	return at.Node, at.Name, at.Parent, nil
}

// pathNames are the BrowseNames of a path: / stands between them, & before a / or & within one.
func pathNames(path string) (names []string) {
	var name strings.Builder
	escaped := false
	for _, c := range path {
		switch {
		case c == '&' && !escaped:
			escaped = true
			continue
		case c == '/' && !escaped:
			names = append(names, name.String())
			name.Reset()
		default:
			name.WriteRune(c)
		}
		escaped = false
	}
	return append(names, name.String())
}

// rawValue is what the server holds for a point to read v. What a scale below 1 makes of a float64 was a whole number.
func rawValue(p opcua.Point, v drivers.Value) drivers.Value {
	f, number := v.Float()
	if drivers.Scaled(p.Scale, p.Offset) {
		scale := cmp.Or(p.Scale.Float(), 1)
		if f = (f - p.Offset.Float()) / scale; p.Type == drivers.TypeFloat64 && math.Abs(scale) < 1 {
			f = math.Round(f)
		}
	}
	switch p.Type {
	case drivers.TypeBool:
		return drivers.BoolValue(f != 0)
	case drivers.TypeInt64:
		return drivers.IntValue(int64(math.Round(f)))
	case drivers.TypeUint64:
		return drivers.UintValue(uint64(math.Round(max(0, f))))
	case drivers.TypeFloat32:
		return drivers.Float32Value(float32(f))
	case drivers.TypeText:
		if !number {
			return v
		}
		return drivers.TextValue(v.String())
	case drivers.TypeFloat64, drivers.TypeNone:
	}
	return drivers.Float64Value(f)
}
