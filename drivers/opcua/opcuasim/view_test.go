package opcuasim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/gopcua/opcua"
	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/millgate/millgate/drivers"
)

// browse is the references of a node, in pages of the given size.
func browse(t *testing.T, c *opcua.Client, d *ua.BrowseDescription, page uint32) (all []*ua.ReferenceDescription) {
	t.Helper()
	d.ResultMask = uint32(ua.BrowseResultMaskAll)
	r, err := c.Browse(background(t), &ua.BrowseRequest{
		View: &ua.ViewDescription{ViewID: ua.NewTwoByteNodeID(0)}, RequestedMaxReferencesPerNode: page, NodesToBrowse: []*ua.BrowseDescription{d},
	})
	must(t, err)
	result := r.Results[0]
	for {
		if result.StatusCode != ua.StatusOK || page > 0 && len(result.References) > int(page) {
			t.Fatalf("%v: %d references, %v", d.NodeID, len(result.References), result.StatusCode)
		}
		all = append(all, result.References...)
		if len(result.ContinuationPoint) == 0 {
			return all
		}
		next, err := c.BrowseNext(background(t), &ua.BrowseNextRequest{ContinuationPoints: [][]byte{result.ContinuationPoint}})
		must(t, err)
		result = next.Results[0]
	}
}

// names is BrowseNames with the namespace's place.
func names(all []*ua.ReferenceDescription) (names []string) {
	for _, r := range all {
		names = append(names, fmt.Sprintf("%d:%s", r.BrowseName.NamespaceIndex, r.BrowseName.Name))
	}
	return names
}

func TestBrowse(t *testing.T) {
	s := listen(t, Config{})
	must(t, s.AddObject(Object{Node: "ns=2;s=line", Name: "Line"}))
	for i := range 5 {
		must(t, s.Add(Variable{Node: fmt.Sprintf("ns=2;s=v%d", i), Name: fmt.Sprint("V", i), Parent: "ns=2;s=line", Values: []drivers.Value{drivers.BoolValue(true)}}))
	}
	c := client(t, s)
	line := ua.NewStringNodeID(2, "line")
	folder := "0:FolderType"
	five := []string{"2:V0", "2:V1", "2:V2", "2:V3", "2:V4"}
	for _, test := range []struct {
		name string
		d    ua.BrowseDescription
		want []string
	}{
		{"everything", ua.BrowseDescription{BrowseDirection: ua.BrowseDirectionBoth}, append([]string{"0:Objects", folder}, five...)},
		{"forward", ua.BrowseDescription{}, append([]string{folder}, five...)},
		{"back", ua.BrowseDescription{BrowseDirection: ua.BrowseDirectionInverse}, []string{"0:Objects"}},
		{"components", ua.BrowseDescription{ReferenceTypeID: ua.NewNumericNodeID(0, id.HasComponent)}, five},
		{"hierarchy", ua.BrowseDescription{ReferenceTypeID: ua.NewNumericNodeID(0, id.HierarchicalReferences), IncludeSubtypes: true}, five},
		{"hierarchy, not below", ua.BrowseDescription{ReferenceTypeID: ua.NewNumericNodeID(0, id.HierarchicalReferences)}, nil},
		{"types", ua.BrowseDescription{NodeClassMask: uint32(ua.NodeClassObjectType)}, []string{folder}},
	} {
		for _, page := range []uint32{0, 1, 2, 100} {
			d := test.d
			d.NodeID = line
			if d.ReferenceTypeID == nil {
				d.ReferenceTypeID = ua.NewTwoByteNodeID(0)
			}
			if got := names(browse(t, c, &d, page)); !slices.Equal(got, test.want) {
				t.Errorf("%s in pages of %d: got %q, want %q", test.name, page, got, test.want)
			}
		}
	}
	if got := browse(t, c, &ua.BrowseDescription{NodeID: line, ReferenceTypeID: ua.NewNumericNodeID(0, id.HasComponent)}, 0)[0]; got.NodeClass != ua.NodeClassVariable ||
		got.TypeDefinition.NodeID.IntID() != id.BaseDataVariableType || got.NodeID.NodeID.String() != "ns=2;s=v0" {
		t.Errorf("got %+v", got)
	}
	r, err := c.BrowseNext(background(t), &ua.BrowseNextRequest{ContinuationPoints: [][]byte{[]byte("x")}})
	must(t, err)
	if r.Results[0].StatusCode != ua.StatusBadContinuationPointInvalid {
		t.Errorf("a wrong continuation point: %v", r.Results[0].StatusCode)
	}
}

// TestTypes: an object's type is that of the companion specification, or a new one.
func TestTypes(t *testing.T) {
	s := listen(t, Config{})
	must(t, s.AddObject(Object{Node: "ns=2;s=a", Type: "nsu=http://opcfoundation.org/UA/MachineTool/;i=13"}))
	must(t, s.AddObject(Object{Node: "ns=2;s=b", Parent: "ns=2;s=a", Type: "nsu=urn:own;i=1"}))
	must(t, s.AddObject(Object{Node: "ns=2;s=c", Parent: "ns=2;s=a", Type: "nsu=urn:own;i=1"}))
	_, err := s.AddMachineTool("ns=2;s=d", "D")
	must(t, err)
	if err := s.AddObject(Object{Node: "ns=2;s=e", Type: "ns=2;s=a"}); err == nil || s.Has("ns=2;s=e") {
		t.Errorf("an object is a type: %v", err)
	}
	if !s.Has("ns=2;s=a") || s.Has("ns=2;s=f") {
		t.Error("the server has what it has not")
	}
	c := client(t, s)
	for text, want := range map[string][]string{"a": {"MachineToolType", "BaseObjectType"}, "b": {"nsu=urn:own;i=1", "BaseObjectType"}, "c": {"nsu=urn:own;i=1"}, "d": {"MachineToolType"}} {
		n, kind, direction := ua.NewStringNodeID(2, text), uint32(id.HasTypeDefinition), ua.BrowseDirectionForward
		for _, want := range want {
			got := browse(t, c, &ua.BrowseDescription{NodeID: n, ReferenceTypeID: ua.NewNumericNodeID(0, kind), BrowseDirection: direction}, 0)
			if len(got) != 1 || got[0].BrowseName.Name != want {
				t.Fatalf("%s: got %q, want %q", text, names(got), want)
			}
			n, kind, direction = got[0].NodeID.NodeID, id.HasSubtype, ua.BrowseDirectionInverse
		}
	}
}

// machines is a server with two machine tools, a client, and every node below Objects by its BrowseNames.
func machines(t *testing.T) (s *Server, m *MachineTool, c *opcua.Client, found map[string]*ua.NodeID) {
	t.Helper()
	s = listen(t, Config{})
	must(t, s.Add(Variable{Node: "nsu=urn:other;s=x", Values: []drivers.Value{drivers.IntValue(1)}})) // moves the namespaces
	m, err := s.AddMachineTool("nsu=urn:mill;s=cnc-1", "数控车床01")
	must(t, err)
	_, err = s.AddMachineTool("nsu=urn:mill;s=cnc-2", "数控车床02")
	must(t, err)
	c, found = client(t, s), map[string]*ua.NodeID{}
	var walk func(n *ua.NodeID, path string)
	walk = func(n *ua.NodeID, path string) {
		for _, r := range browse(t, c, &ua.BrowseDescription{NodeID: n, ReferenceTypeID: ua.NewNumericNodeID(0, id.HierarchicalReferences), IncludeSubtypes: true}, 3) {
			at := path + "/" + r.BrowseName.Name
			found[at] = r.NodeID.NodeID
			walk(r.NodeID.NodeID, at)
		}
	}
	walk(ua.NewNumericNodeID(0, id.ObjectsFolder), "")
	return s, m, c, found
}

// TestMachineTool finds a machine as a client does that knows the companion specification: by type and BrowseName alone.
func TestMachineTool(t *testing.T) {
	_, _, c, found := machines(t)
	typeOf := func(path string) string {
		t.Helper()
		if found[path] == nil {
			t.Fatalf("%s is not among %q", path, slices.Sorted(maps.Keys(found)))
		}
		d := ua.BrowseDescription{NodeID: found[path], ReferenceTypeID: ua.NewNumericNodeID(0, id.HasTypeDefinition)}
		return browse(t, c, &d, 0)[0].BrowseName.Name
	}
	for path, want := range map[string]string{
		"/Machines/数控车床01": "MachineToolType",
		"/Machines/数控车床02": "MachineToolType",
		"/Machines/数控车床01/MachineryBuildingBlocks/MachineryItemState":                    "MachineryItemState_StateMachineType",
		"/Machines/数控车床01/MachineryBuildingBlocks/MachineryItemState/CurrentState/Id":    "PropertyType",
		"/Machines/数控车床01/Monitoring/MachineTool/MachineryOperationMode/CurrentState":    "FiniteStateVariableType",
		"/Machines/数控车床01/Production/ActiveProgram/State/CurrentState/Number":            "PropertyType",
		"/Machines/数控车床01/Production/Statistics/PartsProducedInLifetime":                 "BaseDataVariableType",
		"/Machines/数控车床01/MachineryBuildingBlocks/OperationCounters/PowerOnDuration":     "PropertyType",
		"/Machines/数控车床01/Monitoring/MachineTool/MachineryItemState/CurrentState/Number": "PropertyType",
	} {
		if got := typeOf(path); got != want {
			t.Errorf("%s is a %s, want %s", path, got, want)
		}
	}
	up := func(n *ua.NodeID) string {
		d := ua.BrowseDescription{NodeID: n, BrowseDirection: ua.BrowseDirectionInverse, ReferenceTypeID: ua.NewNumericNodeID(0, id.HasSubtype)}
		return strings.Join(names(browse(t, c, &d, 0)), " ")
	}
	definition := browse(t, c, &ua.BrowseDescription{
		NodeID: found["/Machines/数控车床01/MachineryBuildingBlocks/MachineryOperationMode"], ReferenceTypeID: ua.NewNumericNodeID(0, id.HasTypeDefinition),
	}, 0)[0].NodeID.NodeID
	if got := up(definition); !strings.HasSuffix(got, ":MachineryOperationModeStateMachineType") {
		t.Errorf("the operation mode's supertype is %q", got)
	}
}

func TestMachineStates(t *testing.T) {
	s, m, c, found := machines(t)
	must(t, m.SetItemState(2))
	must(t, m.SetOperationMode(1))
	must(t, m.SetProgramState(4))
	must(t, s.Set(m.Node("Production/Statistics/PartsProducedInLifetime"), drivers.IntValue(7)))
	if err := m.SetItemState(4); err == nil {
		t.Error("a state is taken that there is not")
	}
	for path, want := range map[string]string{
		"MachineryBuildingBlocks/MachineryItemState": "NotExecuting", "MachineryBuildingBlocks/MachineryOperationMode": "Maintenance", "Production/ActiveProgram/State": "Aborted",
	} {
		at := "/Machines/数控车床01/" + path + "/CurrentState"
		if got := readValue(t, c, found[at], "").Value.LocalizedText().Text; got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
		state := readValue(t, c, found[at+"/Id"], "").Value.NodeID()
		name, err := c.Node(state).BrowseName(background(t))
		must(t, err)
		if name.Name != want {
			t.Errorf("%s: the Id is that of %q", path, name.Name)
		}
	}
	if got := readValue(t, c, found["/Machines/数控车床01/Production/Statistics/PartsProducedInLifetime"], "").Value.Uint(); got != 7 {
		t.Errorf("got %d parts", got)
	}
	if got := readValue(t, c, found["/Machines/数控车床02/Production/Statistics/PartsProducedInLifetime"], "").Value.Uint(); got != 0 {
		t.Errorf("the other machine has %d parts", got)
	}
}

func TestTranslate(t *testing.T) {
	s := listen(t, Config{})
	c := client(t, s)
	path := func(start uint32, names ...string) *ua.BrowsePath {
		p := &ua.BrowsePath{StartingNode: ua.NewNumericNodeID(0, start), RelativePath: &ua.RelativePath{}}
		for _, n := range names {
			p.RelativePath.Elements = append(p.RelativePath.Elements, &ua.RelativePathElement{
				ReferenceTypeID: ua.NewNumericNodeID(0, id.HierarchicalReferences), IncludeSubtypes: true, TargetName: &ua.QualifiedName{Name: n},
			})
		}
		return p
	}
	r, err := send[*ua.TranslateBrowsePathsToNodeIDsResponse](t, c, &ua.TranslateBrowsePathsToNodeIDsRequest{BrowsePaths: []*ua.BrowsePath{
		path(id.RootFolder, "Objects", "Server", "ServerStatus", "CurrentTime"), path(id.RootFolder, "Objects", "?"), path(123456, "Server"),
	}})
	must(t, err)
	for i, want := range []ua.StatusCode{ua.StatusOK, ua.StatusBadNoMatch, ua.StatusBadNodeIDUnknown} {
		if got := r.Results[i].StatusCode; got != want {
			t.Errorf("path %d: got %v, want %v", i, got, want)
		}
	}
	if got := r.Results[0].Targets[0].TargetID.NodeID.IntID(); got != id.Server_ServerStatus_CurrentTime {
		t.Errorf("got %d", got)
	}
}
