package opcuasim

import (
	"fmt"
	"strings"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/millgate/millgate/drivers"
)

// companions are the namespaces of the companion specifications that a machine tool follows (OPC 10000-100, 40001-1, 40501-1), by
// a letter; 0 is the standard's own.
var companions = map[byte]string{
	'0': standardNamespace, 'D': "http://opcfoundation.org/UA/DI/",
	'M': "http://opcfoundation.org/UA/Machinery/", 'T': "http://opcfoundation.org/UA/MachineTool/",
}

// companionNode is a node of a companion specification, by the NodeIDs of its nodeset. Its name is in its own namespace.
type companionNode struct {
	node, name string
	class      ua.NodeClass
	parent     string
	by         uint32
}

// companionNodes has what a machine tool is recognised by. Types in between, that only a nodeset needs, are left out.
var companionNodes = []companionNode{
	{"M i=1001", "Machines", object, "0 i=85", id.Organizes},
	{"M i=1002", "MachineryItemState_StateMachineType", objectType, "0 i=2771", id.HasSubtype},
	{"M i=1008", "MachineryOperationModeStateMachineType", objectType, "0 i=2771", id.HasSubtype},
	{"M i=1009", "MachineryOperationCounterType", objectType, "0 i=58", id.HasSubtype},
	{"T i=13", "MachineToolType", objectType, "0 i=58", id.HasSubtype},
	{"T i=11", "MachineToolIdentificationType", objectType, "0 i=58", id.HasSubtype},
	{"T i=14", "MonitoringType", objectType, "0 i=58", id.HasSubtype},
	{"T i=26", "MachineOperationMonitoringType", objectType, "0 i=58", id.HasSubtype},
	{"T i=21", "ProductionType", objectType, "0 i=58", id.HasSubtype},
	{"T i=32", "ProductionActiveProgramType", objectType, "0 i=58", id.HasSubtype},
	{"T i=20", "ProductionStatisticsType", objectType, "0 i=58", id.HasSubtype},
	{"T i=15", "ProductionProgramStateMachineType", objectType, "0 i=2771", id.HasSubtype},
	{"T i=1003", "MachineOperationModeStateMachineType", objectType, "M i=1008", id.HasSubtype},
	{"T i=65", "MachineOperationMode", dataType, "0 i=29", id.HasSubtype},
}

// companionStates are the states of the machines of states, by the number that StateNumber has.
var companionStates = map[string][]struct{ node, name string }{
	"M i=1002": {{"M i=5005", "NotAvailable"}, {"M i=5004", "OutOfService"}, {"M i=5007", "NotExecuting"}, {"M i=5006", "Executing"}},
	"T i=1003": {{"T i=5059", "None"}, {"T i=5058", "Maintenance"}, {"T i=5061", "Setup"}, {"T i=5060", "Processing"}},
	"T i=15": {
		{"T i=5039", "Initializing"}, {"T i=5041", "Running"}, {"T i=5038", "Ended"}, {"T i=5040", "Interrupted"}, {"T i=5037", "Aborted"},
	},
}

// machineNode is a node of a machine, by its path below it; each name has the letter of its namespace.
type machineNode struct {
	path    string
	by      uint32
	defines string // type definition
	typ     Type   // of a variable
	value   drivers.Value
}

const (
	itemState     = "MachineryBuildingBlocks/MachineryItemState"
	operationMode = "MachineryBuildingBlocks/MachineryOperationMode"
	programState  = "Production/ActiveProgram/State"
)

var machineNodes = []machineNode{
	{"D:Identification", id.HasAddIn, "T i=11", 0, drivers.Value{}},
	{"D:Identification/D:Manufacturer", id.HasProperty, "0 i=68", LocalizedText, drivers.TextValue("millgate")},
	{"D:Identification/D:SerialNumber", id.HasProperty, "0 i=68", String, drivers.TextValue("0")},
	{"M:MachineryBuildingBlocks", id.HasComponent, "0 i=61", 0, drivers.Value{}},
	{"M:MachineryBuildingBlocks/M:MachineryItemState", id.HasAddIn, "M i=1002", 0, drivers.Value{}},
	{"M:MachineryBuildingBlocks/M:MachineryOperationMode", id.HasAddIn, "T i=1003", 0, drivers.Value{}},
	{"M:MachineryBuildingBlocks/D:OperationCounters", id.HasAddIn, "M i=1009", 0, drivers.Value{}},
	{"M:MachineryBuildingBlocks/D:OperationCounters/D:PowerOnDuration", id.HasProperty, "0 i=68", Double, drivers.Float64Value(0)},
	{"T:Monitoring", id.HasComponent, "T i=14", 0, drivers.Value{}},
	{"T:Monitoring/T:MachineTool", id.HasComponent, "T i=26", 0, drivers.Value{}},
	{"T:Monitoring/T:MachineTool/T:OperationMode", id.HasComponent, "0 i=63", Int32, drivers.IntValue(1)},
	{"T:Monitoring/T:MachineTool/T:FeedOverride", id.HasComponent, "0 i=63", Double, drivers.Float64Value(100)},
	{"T:Production", id.HasComponent, "T i=21", 0, drivers.Value{}},
	{"T:Production/T:ActiveProgram", id.HasComponent, "T i=32", 0, drivers.Value{}},
	{"T:Production/T:ActiveProgram/T:Name", id.HasProperty, "0 i=68", String, drivers.TextValue("O1000")},
	{"T:Production/T:ActiveProgram/0:NumberInList", id.HasProperty, "0 i=68", UInt16, drivers.UintValue(0)},
	{"T:Production/T:ActiveProgram/T:State", id.HasComponent, "T i=15", 0, drivers.Value{}},
	{"T:Production/T:Statistics", id.HasComponent, "T i=20", 0, drivers.Value{}},
	{"T:Production/T:Statistics/T:PartsProducedInLifetime", id.HasComponent, "0 i=63", UInt32, drivers.UintValue(0)},
}

// MachineTool is a machine as OPC 40501-1 has it: the part of it that is needed to recognise it and to count its times.
type MachineTool struct {
	server *Server
	node   string
	states map[string]string // type of each machine of states, by its path
}

// AddMachineTool makes a machine tool in the Machines folder. The NodeID must be a string; those of the nodes below go on from it.
func (s *Server) AddMachineTool(nodeID, name string) (*MachineTool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.space.addCompanions(); err != nil {
		return nil, err
	}
	machine, err := s.space.add(nodeID, name, object)
	if err != nil {
		return nil, err
	}
	refer(s.space.companion("M i=1001"), id.Organizes, machine)
	refer(machine, id.HasTypeDefinition, s.space.companion("T i=13"))
	m := &MachineTool{s, nodeID, map[string]string{}}
	for _, d := range machineNodes {
		if err := m.add(d); err != nil {
			return nil, err
		}
	}
	monitored := s.space.below(m, "Monitoring/MachineTool")
	refer(monitored, id.HasAddIn, s.space.below(m, itemState))
	refer(monitored, id.HasAddIn, s.space.below(m, operationMode))
	s.space.below(m, "Monitoring/MachineTool/OperationMode").dataType = s.space.companion("T i=65").id
	for path, state := range map[string]int{itemState: 3, operationMode: 3, programState: 1} {
		if err := m.show(path, state); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// add makes a node of the machine, and a CurrentState in a machine of states.
func (m *MachineTool) add(d machineNode) error {
	sp := m.server.space
	var path []string
	var namespace byte
	for step := range strings.SplitSeq(d.path, "/") {
		namespace = step[0]
		path = append(path, step[2:])
	}
	last := len(path) - 1
	parent, err := sp.find(m.Node(strings.Join(path[:last], "/")))
	if err != nil {
		return err
	}
	class := variable
	if d.typ == 0 {
		class = object
	}
	n, err := sp.add(m.Node(strings.Join(path, "/")), path[last], class)
	if err != nil {
		return err
	}
	n.name = &ua.QualifiedName{NamespaceIndex: sp.namespace(companions[namespace]), Name: path[last]}
	refer(parent, d.by, n)
	refer(n, id.HasTypeDefinition, sp.companion(d.defines))
	if class == variable {
		n.typ, n.set = d.typ, time.Now()
		n.value, err = sp.variant(d.typ, false, []drivers.Value{d.value})
		return err
	}
	if companionStates[d.defines] == nil {
		return nil
	}
	m.states[strings.Join(path, "/")] = d.defines
	for _, below := range []machineNode{
		{"/0:CurrentState", id.HasComponent, "0 i=2760", LocalizedText, drivers.TextValue("")},
		{"/0:CurrentState/0:Id", id.HasProperty, "0 i=68", NodeID, drivers.TextValue("i=0")},
		{"/0:CurrentState/0:Number", id.HasProperty, "0 i=68", UInt32, drivers.UintValue(0)},
	} {
		below.path = d.path + below.path
		if err := m.add(below); err != nil {
			return err
		}
	}
	return nil
}

// Node is the NodeID below the machine by a path of BrowseNames, such as Production/ActiveProgram/Name; empty for the machine itself.
func (m *MachineTool) Node(path string) string {
	if path == "" {
		return m.node
	}
	return m.node + "/" + path
}

// SetItemState is MachineryItemState: 0 NotAvailable, 1 OutOfService, 2 NotExecuting, 3 Executing.
func (m *MachineTool) SetItemState(number int) error { return m.set(itemState, number) }

// SetOperationMode is MachineryOperationMode: 0 None, 1 Maintenance, 2 Setup, 3 Processing.
func (m *MachineTool) SetOperationMode(number int) error { return m.set(operationMode, number) }

// SetProgramState is the state of the ActiveProgram: 0 Initializing, 1 Running, 2 Ended, 3 Interrupted, 4 Aborted.
func (m *MachineTool) SetProgramState(number int) error { return m.set(programState, number) }

func (m *MachineTool) set(path string, number int) error {
	m.server.mu.Lock()
	defer m.server.mu.Unlock()
	return m.show(path, number)
}

// show makes a machine of states tell the state with the number; the server is locked.
func (m *MachineTool) show(path string, number int) error {
	states := companionStates[m.states[path]]
	if number < 0 || number >= len(states) {
		return fmt.Errorf("%s of %s has no state %d", path, m.node, number)
	}
	state := m.server.space.companion(states[number].node)
	for below, value := range map[string]any{
		"/CurrentState": ua.NewLocalizedText(states[number].name), "/CurrentState/Id": state.id, "/CurrentState/Number": uint32(number),
	} {
		m.server.space.below(m, path+below).put(ua.MustVariant(value), ua.StatusOK, time.Now())
	}
	return nil
}

// below is a node of the machine that is there.
func (s *space) below(m *MachineTool, path string) *node {
	n, err := s.find(m.Node(path))
	if err != nil {
		panic(err) // machineNodes has it
	}
	return n
}

// addCompanions makes the nodes of the companion specifications, once.
func (s *space) addCompanions() error {
	if s.nodes[s.companionID("T i=13").String()] != nil {
		return nil
	}
	for _, d := range companionNodes {
		s.addCompanion(d)
	}
	for machine, states := range companionStates {
		for number, state := range states {
			n := s.addCompanion(companionNode{state.node, state.name, object, machine, id.HasComponent})
			refer(n, id.HasTypeDefinition, s.companion("0 i=2307"))
			property, err := s.add(fmt.Sprintf("nsu=%s;s=%s.StateNumber", ApplicationURI, state.node), "StateNumber", variable)
			if err != nil {
				return err
			}
			property.name = &ua.QualifiedName{Name: "StateNumber"}
			property.typ = UInt32
			property.put(ua.MustVariant(uint32(number)), ua.StatusOK, time.Now())
			refer(n, id.HasProperty, property)
			refer(property, id.HasTypeDefinition, s.companion("0 i=68"))
		}
	}
	refer(s.companion("M i=1001"), id.HasTypeDefinition, s.companion("0 i=61"))
	return nil
}

func (s *space) addCompanion(d companionNode) *node {
	nid := s.companionID(d.node)
	n := &node{id: nid, class: d.class, name: &ua.QualifiedName{NamespaceIndex: nid.Namespace(), Name: d.name}, display: d.name}
	s.nodes[nid.String()] = n
	refer(s.companion(d.parent), d.by, n)
	return n
}

// companionID is the NodeID of one of the companions' nodes: the letter of its namespace, a blank, and the number.
func (s *space) companionID(text string) *ua.NodeID {
	nid := ua.MustParseNodeID(text[2:])
	return ua.NewNumericNodeID(s.namespace(companions[text[0]]), nid.IntID())
}

func (s *space) companion(text string) *node { return s.nodes[s.companionID(text).String()] }
