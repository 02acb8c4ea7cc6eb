package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gopcua/opcua/ua"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/opcua"
)

// workshop is a server whose namespace table is in an unusual order, with the types of OPC 40001-1 and OPC 40501-1 that a machine tool needs, and so
// many machines. The type of their operation mode is a subtype with states of its own, as in the nodeset of OPC 40501-1.
func workshop(machines ...string) *space {
	s := newSpace()
	s.nodes["i=2255"].attributes[ua.AttributeIDValue] = []string{"http://opcfoundation.org/UA/", "urn:test:server", nsMachineTool, "urn:other", nsMachinery}
	s.add("i=2261", "0:ProductName", ua.NodeClassVariable).variable("i=12", "Workshop")
	s.add("i=2253", "0:Server", ua.NodeClassObject, "35 i=85")
	s.add("i=58", "0:BaseObjectType", ua.NodeClassObjectType)
	s.add("i=2771", "0:FiniteStateMachineType", ua.NodeClassObjectType, "45 i=58")
	s.add("i=2307", "0:StateType", ua.NodeClassObjectType, "45 i=58")
	stateType := func(id, name, above string, states map[string]int) {
		s.add(id, name, ua.NodeClassObjectType, "45 "+above)
		for state, number := range states {
			node := fmt.Sprintf("%s%d", id, 100+number)
			s.add(node, "4:"+state, ua.NodeClassObject, "47 "+id)
			s.ref(node, 40, "i=2307")
			s.add(node+"0", "0:StateNumber", ua.NodeClassVariable, "46 "+node).variable("i=7", uint32(number))
		}
	}
	stateType("ns=4;i=1002", "4:MachineryItemState_StateMachineType", "i=2771", map[string]int{"NotAvailable": 0, "OutOfService": 1, "NotExecuting": 2, "Executing": 3})
	modes := map[string]int{"None": 0, "Maintenance": 1, "Setup": 2, "Processing": 3}
	stateType("ns=4;i=1008", "4:MachineryOperationModeStateMachineType", "i=2771", modes)
	stateType("ns=2;i=1003", "2:MachineOperationModeStateMachineType", "ns=4;i=1008", modes)
	s.add("ns=4;i=1012", "4:MachineIdentificationType", ua.NodeClassObjectType, "45 i=58")
	s.add("ns=2;i=11", "2:MachineToolIdentificationType", ua.NodeClassObjectType, "45 ns=4;i=1012")
	for id, name := range map[string]string{"13": "MachineToolType", "26": "MachineOperationMonitoringType", "22": "SpindleMonitoringType"} {
		s.add("ns=2;i="+id, "2:"+name, ua.NodeClassObjectType, "45 i=58")
	}
	s.add("ns=1;i=9", "1:MyMillType", ua.NodeClassObjectType, "45 ns=2;i=13") // a vendor's own
	s.add("ns=2;i=65", "2:MachineOperationMode", ua.NodeClassDataType, "45 i=29").attributes[ua.AttributeIDDataTypeDefinition] = definition(&ua.EnumDefinition{
		Fields: []*ua.EnumField{{Value: 0, Name: "Manual", DisplayName: ua.NewLocalizedText(""), Description: ua.NewLocalizedText("")},
			{Value: 9, Name: "Vendor", DisplayName: ua.NewLocalizedText(""), Description: ua.NewLocalizedText("")}}})
	s.add("ns=4;i=1001", "4:Machines", ua.NodeClassObject, "35 i=85")
	for _, name := range machines {
		s.addMachine(name)
	}
	return s
}

func (s *space) addMachine(name string) {
	id := "ns=1;s=" + name
	object := func(path, browseName, typ string) {
		above := id
		if i := strings.LastIndex(path, "/"); i >= 0 {
			above = id + path[:i]
		}
		s.add(id+path, browseName, ua.NodeClassObject, "47 "+above)
		if typ != "" {
			s.ref(id+path, 40, typ)
		}
	}
	s.add(id, "1:"+name, ua.NodeClassObject, "35 ns=4;i=1001")
	s.ref(id, 40, "ns=1;i=9")
	object("/Identification", "4:Identification", "ns=2;i=11")
	object("/Monitoring", "2:Monitoring", "")
	object("/Monitoring/MachineTool", "2:MachineTool", "ns=2;i=26")
	object("/Monitoring/MachineTool/Item", "4:MachineryItemState", "ns=4;i=1002")
	object("/Monitoring/MachineTool/Mode", "4:MachineryOperationMode", "ns=2;i=1003")
	machine := func(path, state string) {
		s.add(id+path+"/CurrentState", "0:CurrentState", ua.NodeClassVariable, "47 "+id+path).variable("i=21", ua.NewLocalizedText("?"))
		s.add(id+path+"/CurrentState/Id", "0:Id", ua.NodeClassVariable, "46 "+id+path+"/CurrentState").variable("i=17", ua.MustParseNodeID(state))
	}
	machine("/Monitoring/MachineTool/Item", "ns=4;i=1002103")
	machine("/Monitoring/MachineTool/Mode", "ns=2;i=1003102")
	s.add(id+"/Op", "2:OperationMode", ua.NodeClassVariable, "47 "+id+"/Monitoring/MachineTool").variable("ns=2;i=65", int32(9))
	feed := s.add(id+"/Feed", "2:FeedOverride", ua.NodeClassVariable, "47 "+id+"/Monitoring/MachineTool").variable("i=11", 100.0)
	feed.display = "Vorschub"
	s.add(id+"/FeedUnit", "0:EngineeringUnits", ua.NodeClassVariable, "46 "+id+"/Feed").variable("i=887",
		ua.NewExtensionObject(&ua.EUInformation{NamespaceURI: unitNamespace, UnitID: 'P'<<8 | '1', DisplayName: ua.NewLocalizedText("%"), Description: ua.NewLocalizedText("percent")}))
	for _, n := range []string{"Left", "Right"} {
		object("/Monitoring/"+n, "1:Spindle"+n, "ns=2;i=22")
		s.add(id+"/Monitoring/"+n+"/Override", "2:Override", ua.NodeClassVariable, "47 "+id+"/Monitoring/"+n).variable("i=11", 50.0)
	}
	s.add(id+"/Extra", "1:油温", ua.NodeClassVariable, "47 "+id).variable("i=10", float32(41.5))
	s.add(id+"/Loads", "1:AxisLoads", ua.NodeClassVariable, "47 "+id).variable("i=10", []float32{1, 2})
	s.add(id+"/Serial", "4:SerialNumber", ua.NodeClassVariable, "46 "+id+"/Identification").variable("i=12", "A-1")
	s.ref(id+"/Monitoring", 35, id) // a way back: it must not go round
}

// browsing gives the result, as it goes through the pipe.
func browsing(t *testing.T, s *space, request opcua.BrowseRequest) *opcua.BrowseResult {
	t.Helper()
	with, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	var last opcua.BrowseAnswer
	err = browse(context.Background(), s, with, func(a any) {
		text, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		last = opcua.BrowseAnswer{}
		if err := json.Unmarshal(text, &last); err != nil {
			t.Fatal(err)
		}
	})
	if err != nil || last.Result == nil {
		t.Fatal(err, last)
	}
	if len(s.points) > 0 {
		t.Errorf("%d continuation points are left at the server", len(s.points))
	}
	names := map[string]bool{}
	for _, r := range last.Result.Rows {
		if names[r.Name] {
			t.Errorf("the name %s stands there twice", r.Name)
		}
		names[r.Name] = true
	}
	return last.Result
}

func rowNames(r *opcua.BrowseResult) (names []string) {
	for _, row := range r.Rows {
		names = append(names, row.Name)
	}
	return names
}

func row(t *testing.T, r *opcua.BrowseResult, name string) opcua.BrowseRow {
	t.Helper()
	for _, row := range r.Rows {
		if row.Name == name {
			return row
		}
	}
	t.Fatalf("no row %s among %v", name, rowNames(r))
	return opcua.BrowseRow{}
}

func TestBrowseMachineTool(t *testing.T) {
	for _, limits := range [][2]int{{0, 0}, {3, 2}, {1, 1}} {
		s := workshop("Mill")
		s.perCall, s.perNode = limits[0], limits[1]
		r := browsing(t, s, opcua.BrowseRequest{})
		want := []string{"item_state", "machinery_mode", "operation_mode", "feed_override", "spindle_left_override", "spindle_right_override",
			"axis_loads[0]", "axis_loads[1]", "mill_extra"}
		if got := rowNames(r); !slices.Equal(got, want) {
			t.Errorf("got  %v\nwant %v", got, want)
		}
		if len(r.Machines) != 1 || r.Machines[0] != (opcua.BrowsedMachine{Name: "Mill", Node: "nsu=urn:test:server;s=Mill", Spec: "OPC 40501-1"}) || r.Server != "Workshop" {
			t.Errorf("machines %+v at %q", r.Machines, r.Server)
		}
		state := row(t, r, "item_state")
		if state.Node != "nsu=urn:test:server;s=Mill/Monitoring/MachineTool/Item/CurrentState/Id" || state.Type != "uint32" || state.Kind != "state" || state.Value != "3" ||
			!slices.Equal(state.States, stateTexts["MachineryItemState"]) || state.Spec != "OPC 40001-1" || state.Label != "设备状态" {
			t.Errorf("item_state: %+v", state)
		}
		if mode := row(t, r, "machinery_mode"); mode.Value != "2" || len(mode.States) != 4 || mode.States[2].ZH != "调整" {
			t.Errorf("machinery_mode of a subtype: %+v", mode)
		}
		if op := row(t, r, "operation_mode"); op.Type != "int32" || !slices.Equal(op.States, []opcua.BrowseState{{Code: 0, ZH: "手动", EN: "Manual"}, {Code: 9, ZH: "Vendor", EN: "Vendor"}}) {
			t.Errorf("operation_mode, with a code of the vendor's: %+v", op)
		}
		if feed := row(t, r, "feed_override"); feed.Unit != "%" || feed.Kind != "gauge" || feed.Value != "100" {
			t.Errorf("feed_override: %+v", feed)
		}
		if load := row(t, r, "axis_loads[1]"); load.Select != "[1]" || load.Type != "float32" || load.Value != "2" || load.Spec != "" {
			t.Errorf("axis_loads[1]: %+v", load)
		}
	}
}

func TestBrowseTwoMachines(t *testing.T) {
	r := browsing(t, workshop("Mill", "车床"), opcua.BrowseRequest{Properties: true})
	if len(r.Machines) != 2 || r.Machines[0].Prefix != "mill" || r.Machines[1].Prefix != "m2" {
		t.Errorf("machines: %+v", r.Machines)
	}
	if got := row(t, r, "m2_item_state"); !strings.Contains(got.Node, "s=车床/") {
		t.Errorf("the second machine's state: %+v", got)
	}
	row(t, r, "mill_spindle_left_override")
	row(t, r, "mill_identification_serial_number")
}

func TestBrowseFrom(t *testing.T) {
	s := workshop("Mill", "Lathe")
	r := browsing(t, s, opcua.BrowseRequest{From: "nsu=urn:test:server;s=Lathe"})
	if len(r.Machines) != 1 || r.Machines[0].Prefix != "" || !slices.Contains(rowNames(r), "item_state") || strings.Contains(row(t, r, "item_state").Node, "Mill") {
		t.Errorf("from one machine: %+v, %v", r.Machines, rowNames(r))
	}
	r = browsing(t, s, opcua.BrowseRequest{From: "nsu=urn:test:server;s=Lathe/Extra"})
	if len(r.Rows) != 1 || r.Rows[0].Value != "41.5" {
		t.Errorf("from a variable: %+v", r.Rows)
	}
	for filter, want := range map[string]int{"*OVERRIDE*": 6, "/^lathe_(item|machinery)_/": 2, "*Lathe/*/Spindle?eft/*": 1, "nothing": 0, "/[0-9]\\]$/": 4} {
		if r := browsing(t, s, opcua.BrowseRequest{Filter: filter}); len(r.Rows) != want {
			t.Errorf("filter %s: %v, want %d", filter, rowNames(r), want)
		}
	}
	if r := browsing(t, s, opcua.BrowseRequest{Filter: "mill_*"}); len(r.Machines) != 1 || r.Machines[0].Name != "Mill" {
		t.Errorf("machines of which the filter leaves nothing: %+v", r.Machines)
	}
	if r := browsing(t, s, opcua.BrowseRequest{Depth: 2}); len(r.Notes) == 0 || slices.Contains(rowNames(r), "item_state") {
		t.Errorf("not deep: %v, %v", rowNames(r), r.Notes)
	}
	for from, cause := range map[string]drivers.Cause{"nsu=urn:test:server;s=None": "opcua_bad_node_id_unknown", "nsu=urn:nowhere;i=1": drivers.CauseInternal, "g=1": drivers.CauseInternal} {
		with, _ := json.Marshal(opcua.BrowseRequest{From: from})
		if err := browse(context.Background(), s, with, func(any) {}); err == nil || drivers.CauseOf(err) != cause {
			t.Errorf("from %s: %v", from, err)
		}
	}
	if err := browse(context.Background(), s, []byte(`{"Filter":"/[/"}`), func(any) {}); err == nil {
		t.Error("a broken filter is accepted")
	}
}

// A structure has a row for each scalar in it, and for those in the arrays that it has now.
func TestBrowseStructures(t *testing.T) {
	s := machineSpace()
	keepBodies(ua.NewNumericNodeID(1, 5011)) // the value is decoded here, before the browser asks
	s.nodes["ns=1;s=machine"].attributes[ua.AttributeIDValue] = object(t, ua.NewNumericNodeID(1, 5011), machineBody())
	r := browsing(t, s, opcua.BrowseRequest{})
	want := []string{"machine.Axis[0].Name", "machine.Axis[0].Load", "machine.Axis[0].State", "machine.Axis[1].Name", "machine.Axis[1].Load", "machine.Axis[1].State",
		"machine.Old", "mode"}
	got := rowNames(r)
	if !slices.Equal(got, want) {
		t.Fatalf("got  %v\nwant %v", got, want)
	}
	if state := row(t, r, "machine.Axis[1].State"); state.Kind != "state" || state.Type != "int32" || state.Value != "3" || len(state.States) != 2 || state.States[1].EN != "Running" {
		t.Errorf("an enumeration in a structure: %+v", state)
	}
	if len(r.Machines) != 0 || len(r.Notes) != 1 {
		t.Errorf("%+v, %v", r.Machines, r.Notes)
	}
}

// A server that refuses in the middle is an error, and ends nothing else.
func TestBrowseFails(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	s := workshop("Mill")
	n := 0
	err := browse(ctx, senderFunc(func(ctx context.Context, req ua.Request) (ua.Response, error) {
		if n++; n == 20 {
			cancel()
		}
		return s.send(ctx, req)
	}), []byte("{}"), func(any) {})
	if err == nil {
		t.Error("stopped, and no error")
	}
	err = browse(context.Background(), senderFunc(func(context.Context, ua.Request) (ua.Response, error) { return &ua.ReadResponse{}, nil }), []byte("{}"), func(any) {})
	if drivers.CauseOf(err) != drivers.CauseGarbled {
		t.Errorf("an answer without results: %v", err)
	}
}

type senderFunc func(ctx context.Context, req ua.Request) (ua.Response, error)

func (f senderFunc) send(ctx context.Context, req ua.Request) (ua.Response, error) {
	return f(ctx, req)
}

func (f senderFunc) bounds() *limits { return new(limits) }

func TestSlug(t *testing.T) {
	for name, want := range map[string]string{"FeedOverride": "feed_override", "Var12": "var12", "axisX-Load": "axis_x_load", "DB3.Temp[1]": "db3_temp_1", "油温": "", "油温A": "a",
		"__x": "x", "ABC": "abc", "PLC1_DB": "plc1_db"} {
		if got := slug(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestUnits(t *testing.T) {
	for code, want := range map[string]string{"CEL": "Cel", "KWH": "kW.h", "P1": "%", "4H": "um"} {
		id := int32(0)
		for i := range code {
			id = id<<8 | int32(code[i])
		}
		eu := &ua.EUInformation{NamespaceURI: unitNamespace, UnitID: id, DisplayName: ua.NewLocalizedText(" x ")}
		if unit, text := unitOf(ua.NewExtensionObject(eu)); unit != want || text != "x" {
			t.Errorf("%s: %q %q", code, unit, text)
		}
		eu.NamespaceURI = "urn:other"
		if unit, text := unitOf(ua.NewExtensionObject(eu)); unit != "" || text != "x" {
			t.Errorf("%s of another system: %q %q", code, unit, text)
		}
	}
}
