package opcuasim

import (
	"fmt"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"
)

const standardNamespace = "http://opcfoundation.org/UA/"

// standard is the text of a NodeID of the OPC UA namespace.
func standard(n uint32) string { return fmt.Sprintf("i=%d", n) }

// standardNode is a node of the OPC UA namespace: what clients look for to find their way, and no more.
type standardNode struct {
	id      uint32
	name    string
	class   ua.NodeClass
	parent  uint32 // 0: none
	by      uint32 // reference from the parent
	defines uint32 // type definition; 0: none
}

const (
	object       = ua.NodeClassObject
	variable     = ua.NodeClassVariable
	objectType   = ua.NodeClassObjectType
	variableType = ua.NodeClassVariableType
	dataType     = ua.NodeClassDataType
)

// standardNodes has parents before children.
var standardNodes = []standardNode{
	{id.BaseObjectType, "BaseObjectType", objectType, 0, 0, 0},
	{id.FolderType, "FolderType", objectType, id.BaseObjectType, id.HasSubtype, 0},
	{id.ServerType, "ServerType", objectType, id.BaseObjectType, id.HasSubtype, 0},
	{id.StateMachineType, "StateMachineType", objectType, id.BaseObjectType, id.HasSubtype, 0},
	{id.FiniteStateMachineType, "FiniteStateMachineType", objectType, id.StateMachineType, id.HasSubtype, 0},
	{id.StateType, "StateType", objectType, id.BaseObjectType, id.HasSubtype, 0},
	{id.BaseVariableType, "BaseVariableType", variableType, 0, 0, 0},
	{id.BaseDataVariableType, "BaseDataVariableType", variableType, id.BaseVariableType, id.HasSubtype, 0},
	{id.PropertyType, "PropertyType", variableType, id.BaseVariableType, id.HasSubtype, 0},
	{id.StateVariableType, "StateVariableType", variableType, id.BaseDataVariableType, id.HasSubtype, 0},
	{id.FiniteStateVariableType, "FiniteStateVariableType", variableType, id.StateVariableType, id.HasSubtype, 0},

	{id.RootFolder, "Root", object, 0, 0, id.FolderType},
	{id.ObjectsFolder, "Objects", object, id.RootFolder, id.Organizes, id.FolderType},
	{id.TypesFolder, "Types", object, id.RootFolder, id.Organizes, id.FolderType},
	{id.ObjectTypesFolder, "ObjectTypes", object, id.TypesFolder, id.Organizes, id.FolderType},
	{id.VariableTypesFolder, "VariableTypes", object, id.TypesFolder, id.Organizes, id.FolderType},
	{id.DataTypesFolder, "DataTypes", object, id.TypesFolder, id.Organizes, id.FolderType},

	{id.BaseDataType, "BaseDataType", dataType, id.DataTypesFolder, id.Organizes, 0},
	{id.Boolean, "Boolean", dataType, id.BaseDataType, id.HasSubtype, 0},
	{id.Number, "Number", dataType, id.BaseDataType, id.HasSubtype, 0},
	{id.Integer, "Integer", dataType, id.Number, id.HasSubtype, 0},
	{id.UInteger, "UInteger", dataType, id.Number, id.HasSubtype, 0},
	{id.SByte, "SByte", dataType, id.Integer, id.HasSubtype, 0},
	{id.Byte, "Byte", dataType, id.UInteger, id.HasSubtype, 0},
	{id.Int16, "Int16", dataType, id.Integer, id.HasSubtype, 0},
	{id.UInt16, "UInt16", dataType, id.UInteger, id.HasSubtype, 0},
	{id.Int32, "Int32", dataType, id.Integer, id.HasSubtype, 0},
	{id.UInt32, "UInt32", dataType, id.UInteger, id.HasSubtype, 0},
	{id.Int64, "Int64", dataType, id.Integer, id.HasSubtype, 0},
	{id.UInt64, "UInt64", dataType, id.UInteger, id.HasSubtype, 0},
	{id.Float, "Float", dataType, id.Number, id.HasSubtype, 0},
	{id.Double, "Double", dataType, id.Number, id.HasSubtype, 0},
	{id.String, "String", dataType, id.BaseDataType, id.HasSubtype, 0},
	{id.DateTime, "DateTime", dataType, id.BaseDataType, id.HasSubtype, 0},
	{id.NodeID, "NodeId", dataType, id.BaseDataType, id.HasSubtype, 0},
	{id.LocalizedText, "LocalizedText", dataType, id.BaseDataType, id.HasSubtype, 0},
	{id.Enumeration, "Enumeration", dataType, id.BaseDataType, id.HasSubtype, 0},
	{id.Duration, "Duration", dataType, id.Double, id.HasSubtype, 0},

	{id.Server, "Server", object, id.ObjectsFolder, id.Organizes, id.ServerType},
	{id.Server_ServerArray, "ServerArray", variable, id.Server, id.HasProperty, id.PropertyType},
	{id.Server_NamespaceArray, "NamespaceArray", variable, id.Server, id.HasProperty, id.PropertyType},
	{id.Server_ServerStatus, "ServerStatus", variable, id.Server, id.HasComponent, id.BaseDataVariableType},
	{id.Server_ServerStatus_StartTime, "StartTime", variable, id.Server_ServerStatus, id.HasComponent, id.BaseDataVariableType},
	{id.Server_ServerStatus_CurrentTime, "CurrentTime", variable, id.Server_ServerStatus, id.HasComponent, id.BaseDataVariableType},
	{id.Server_ServerStatus_State, "State", variable, id.Server_ServerStatus, id.HasComponent, id.BaseDataVariableType},
	{id.Server_ServerCapabilities, "ServerCapabilities", object, id.Server, id.HasComponent, id.BaseObjectType},
	{
		id.Server_ServerCapabilities_OperationLimits, "OperationLimits", object, id.Server_ServerCapabilities, id.HasComponent, id.FolderType,
	},
	{
		id.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead, "MaxNodesPerRead", variable,
		id.Server_ServerCapabilities_OperationLimits, id.HasProperty, id.PropertyType,
	},
	{
		id.Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse, "MaxNodesPerBrowse", variable,
		id.Server_ServerCapabilities_OperationLimits, id.HasProperty, id.PropertyType,
	},
	{
		id.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall, "MaxMonitoredItemsPerCall", variable,
		id.Server_ServerCapabilities_OperationLimits, id.HasProperty, id.PropertyType,
	},
}

// newSpace is the standard nodes of a server.
func newSpace(s *Server) *space {
	sp := &space{namespaces: []string{standardNamespace, ApplicationURI}, nodes: map[string]*node{}, spelled: map[string]*node{}}
	for _, d := range standardNodes {
		n := &node{id: ua.NewNumericNodeID(0, d.id), class: d.class, name: &ua.QualifiedName{Name: d.name}, display: d.name}
		sp.nodes[standard(d.id)] = n
		if d.parent != 0 {
			refer(sp.nodes[standard(d.parent)], d.by, n)
		}
		if d.defines != 0 {
			refer(n, id.HasTypeDefinition, sp.nodes[standard(d.defines)])
		}
	}
	refer(sp.nodes[standard(id.ObjectTypesFolder)], id.Organizes, sp.nodes[standard(id.BaseObjectType)])
	refer(sp.nodes[standard(id.VariableTypesFolder)], id.Organizes, sp.nodes[standard(id.BaseVariableType)])

	shows := func(n uint32, t Type, live func(now time.Time) any) {
		shown := sp.nodes[standard(n)]
		shown.typ, shown.live = t, live
	}
	shows(id.Server_NamespaceArray, String, func(time.Time) any { return sp.namespaces })
	sp.nodes[standard(id.Server_NamespaceArray)].array = true
	shows(id.Server_ServerArray, String, func(time.Time) any { return []string{ApplicationURI} })
	sp.nodes[standard(id.Server_ServerArray)].array = true
	shows(id.Server_ServerStatus, 0, func(now time.Time) any { return ua.NewExtensionObject(s.status(now)) })
	sp.nodes[standard(id.Server_ServerStatus)].dataType = ua.NewNumericNodeID(0, id.ServerStatusDataType)
	shows(id.Server_ServerStatus_StartTime, DateTime, func(time.Time) any { return s.started.UTC() })
	shows(id.Server_ServerStatus_CurrentTime, DateTime, func(now time.Time) any { return now.UTC() })
	shows(id.Server_ServerStatus_State, Int32, func(time.Time) any { return int32(ua.ServerStateRunning) })
	shows(id.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead, UInt32, func(time.Time) any { return uint32(maxNodesPerRead) })
	shows(id.Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse, UInt32, func(time.Time) any { return uint32(maxNodesPerBrowse) })
	shows(id.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall, UInt32, func(time.Time) any { return uint32(maxItemsPerCall) })
	return sp
}

// status is the structure that ServerStatus holds (Part 5, 12.10).
func (s *Server) status(now time.Time) *ua.ServerStatusDataType {
	current, ok := s.space.nodes[standard(id.Server_ServerStatus_CurrentTime)].live(now).(time.Time)
	if !ok {
		current = now
	}
	return &ua.ServerStatusDataType{
		StartTime: s.started.UTC(), CurrentTime: current, State: ua.ServerStateRunning, ShutdownReason: ua.NewLocalizedText(""),
		BuildInfo: &ua.BuildInfo{ProductURI: ApplicationURI, ManufacturerName: "millgate", ProductName: "millgate simulator"},
	}
}
