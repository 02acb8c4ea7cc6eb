package worker

import (
	"slices"

	"github.com/millgate/millgate/drivers/opcua"
)

// A companion specification is recognised by its types: by the URI of a type's namespace and the type's browse name, of the object itself or
// of any type above it, never by the NodeId or the name of an instance. What stands at a recognised object is then found by the browse names
// that the specification gives to its parts.

// Namespaces of companion specifications.
const (
	nsMachinery   = "http://opcfoundation.org/UA/Machinery/"
	nsMachineTool = "http://opcfoundation.org/UA/MachineTool/"
	nsCNC         = "http://opcfoundation.org/UA/CNC"
	nsPackML      = "http://opcfoundation.org/UA/PackML/"
)

// objectRule says what the parts of an object of a type mean.
type objectRule struct {
	spec      string // the specification
	namespace string
	name      string // browse name of the type
	machine   bool   // an object of this type is a machine
	parent    bool   // the object that has it is a machine
	parts     []partRule
}

// partRule is a well-known tag. Names are the same in all maps of millgate: what has one name means one thing, whatever the server.
type partRule struct {
	path   string // browse names from the object, / between them
	sel    string // Select
	tag    string
	label  string
	kind   string
	unit   string // where the specification fixes it; else the server's
	states string // of stateTexts; empty: the server's own, if it is an enumeration
}

// A state machine's number is read from CurrentState/Number if the server has it, else from the state that CurrentState/Id names: both
// give the same.
func stateMachine(path, tag, label, states string) partRule {
	if path != "" {
		path += "/"
	}
	return partRule{path: path + "CurrentState", tag: tag, label: label, kind: "state", states: states}
}

// objectRules are the types that millgate knows. The names and codes are those of the nodesets of the OPC Foundation: Machinery 1.03,
// MachineTool 1.02, CNC 1.00 and PackML 1.01.
var objectRules = []objectRule{
	{spec: "OPC 40501-1", namespace: nsMachineTool, name: "MachineToolType", machine: true},
	{spec: "OPC 40501-1", namespace: nsMachineTool, name: "MachineOperationMonitoringType", parts: []partRule{
		{path: "OperationMode", tag: "operation_mode", label: "机床操作模式", kind: "state", states: "MachineOperationMode"},
		{path: "FeedOverride", tag: "feed_override", label: "进给倍率", kind: "gauge"},
		{path: "IsWarmUp", tag: "warm_up", label: "暖机", kind: "state"},
		{path: "PowerOnDuration", tag: "power_on_hours", label: "通电小时", kind: "counter", unit: "h"},
		{path: "Obligation/EndUserObligated", tag: "end_user_obligated", label: "等待用户处理", kind: "state"},
		{path: "Obligation/MachineBuilderObligated", tag: "machine_builder_obligated", label: "等待厂家处理", kind: "state"},
		{path: "OperationCounters/PartsProducedInLifetime", tag: "part_count", label: "累计工件数", kind: "counter"},
	}},
	{spec: "OPC 40501-1", namespace: nsMachineTool, name: "ProductionActiveProgramType", parts: []partRule{
		{path: "Name", tag: "program_name", label: "程序名", kind: "text"},
		{path: "NumberInList", tag: "program_number", label: "程序序号", kind: "state"},
		stateMachine("State", "program_state", "程序状态", "ProductionState"),
	}},
	{spec: "OPC 40501-1", namespace: nsMachineTool, name: "ProductionJobType", parts: []partRule{
		{path: "Identifier", tag: "job", label: "任务号", kind: "text"},
		{path: "RunsPlanned", tag: "job_runs_planned", label: "计划次数", kind: "gauge"},
		{path: "RunsCompleted", tag: "job_runs_completed", label: "完成次数", kind: "counter"},
		{path: "PartsCompleted", tag: "job_parts_completed", label: "完成工件数", kind: "counter"},
		{path: "PartsGood", tag: "job_parts_good", label: "合格工件数", kind: "counter"},
		stateMachine("State", "job_state", "任务状态", "ProductionState"),
	}},
	{spec: "OPC 40501-1", namespace: nsMachineTool, name: "ChannelMonitoringType", parts: []partRule{
		{path: "ChannelState", tag: "channel_state", label: "通道状态", kind: "state", states: "ChannelState"},
		{path: "ChannelMode", tag: "channel_mode", label: "通道模式", kind: "state", states: "ChannelMode"},
		{path: "FeedOverride", tag: "channel_feed_override", label: "通道进给倍率", kind: "gauge"},
		{path: "RapidOverride", tag: "rapid_override", label: "快移倍率", kind: "gauge"},
	}},
	{spec: "OPC 40501-1", namespace: nsMachineTool, name: "SpindleMonitoringType", parts: []partRule{
		{path: "IsRotating", tag: "spindle_rotating", label: "主轴旋转", kind: "state"},
		{path: "IsUsedAsAxis", tag: "spindle_as_axis", label: "主轴作为轴", kind: "state"},
		{path: "Override", tag: "spindle_override", label: "主轴倍率", kind: "gauge"},
	}},
	{spec: "OPC 40501-1", namespace: nsMachineTool, name: "LaserMonitoringType", parts: []partRule{
		{path: "LaserState", tag: "laser_state", label: "激光器状态", kind: "state", states: "LaserState"},
		{path: "ControllerIsOn", tag: "laser_controller_on", label: "激光控制器开", kind: "state"},
	}},
	{spec: "OPC 40501-1", namespace: nsMachineTool, name: "EDMGeneratorMonitoringType", parts: []partRule{
		{path: "EDMGeneratorState", tag: "edm_generator_state", label: "电火花电源状态", kind: "state", states: "EDMGeneratorState"},
		{path: "IsOn", tag: "edm_generator_on", label: "电火花电源开", kind: "state"},
	}},
	{spec: "OPC 40001-1", namespace: nsMachinery, name: "MachineIdentificationType", parent: true},
	{spec: "OPC 40001-1", namespace: nsMachinery, name: "MachineryItemState_StateMachineType", parts: []partRule{
		stateMachine("", "item_state", "设备状态", "MachineryItemState")}},
	{spec: "OPC 40001-1", namespace: nsMachinery, name: "MachineryOperationModeStateMachineType", parts: []partRule{
		stateMachine("", "machinery_mode", "设备运行模式", "MachineryOperationMode")}},
	{spec: "OPC 40001-1", namespace: nsMachinery, name: "MachineryOperationCounterType", parts: []partRule{
		{path: "PowerOnDuration", tag: "power_on_duration", label: "通电时间", kind: "counter", unit: "ms"},
		{path: "OperationDuration", tag: "operation_duration", label: "运行时间", kind: "counter", unit: "ms"},
		{path: "OperationCycleCounter", tag: "operation_cycles", label: "运行循环数", kind: "counter"},
	}},
	{spec: "OPC 40502", namespace: nsCNC, name: "CncInterfaceType", machine: true},
	{spec: "OPC 40502", namespace: nsCNC, name: "CncChannelType", parts: []partRule{
		{path: "ActProgramStatus", tag: "program_status", label: "程序状态", kind: "state", states: "CncChannelProgramStatus"},
		{path: "ActStatus", tag: "channel_status", label: "通道状态", kind: "state", states: "CncChannelStatus"},
		{path: "ActOperationMode", tag: "operating_mode", label: "运行方式", kind: "state", states: "CncOperationMode"},
		{path: "ActMainProgramName", tag: "program_name", label: "程序名", kind: "text"},
		{path: "ActFeedrate", tag: "feed_rate", label: "进给速度", kind: "gauge"},
		{path: "ActOverride", tag: "feed_override", label: "进给倍率", kind: "gauge"},
		{path: "FeedHold", tag: "feed_hold", label: "进给保持", kind: "state"},
		{path: "ToolId", tag: "tool_id", label: "刀具号", kind: "state"},
	}},
	{spec: "OPC 40502", namespace: nsCNC, name: "CncSpindleType", parts: []partRule{
		{path: "ActStatus", tag: "spindle_status", label: "主轴状态", kind: "state", states: "CncSpindleStatus"},
		{path: "ActSpeed", tag: "spindle_speed", label: "主轴转速", kind: "gauge"},
		{path: "ActOverride", tag: "spindle_override", label: "主轴倍率", kind: "gauge"},
		{path: "ActLoad", tag: "spindle_load", label: "主轴负载", kind: "gauge"},
		{path: "ActPower", tag: "spindle_power", label: "主轴功率", kind: "gauge"},
	}},
	{spec: "OPC 40502", namespace: nsCNC, name: "CncAxisType", parts: []partRule{
		{path: "ActStatus", tag: "axis_status", label: "轴状态", kind: "state", states: "CncAxisStatus"},
		{path: "ActLoad", tag: "axis_load", label: "轴负载", kind: "gauge"},
		{path: "ActPower", tag: "axis_power", label: "轴功率", kind: "gauge"},
	}},
	{spec: "PackML", namespace: nsPackML, name: "PackMLBaseObjectType", machine: true},
	{spec: "PackML", namespace: nsPackML, name: "PackMLBaseStateMachineType", parts: []partRule{
		stateMachine("", "packml_base_state", "PackML 基本状态", "PackML")}},
	{spec: "PackML", namespace: nsPackML, name: "PackMLMachineStateMachineType", parts: []partRule{
		stateMachine("", "packml_machine_state", "PackML 机器状态", "PackML")}},
	{spec: "PackML", namespace: nsPackML, name: "PackMLExecuteStateMachineType", parts: []partRule{
		stateMachine("", "packml_execute_state", "PackML 执行状态", "PackML")}},
	{spec: "PackML", namespace: nsPackML, name: "PackMLStatusObjectType", parts: []partRule{
		{path: "UnitModeCurrent", tag: "packml_mode", label: "PackML 模式", kind: "state"},
		{path: "CurMachSpeed", tag: "machine_speed", label: "机器速度", kind: "gauge"},
		{path: "MachSpeed", tag: "machine_speed_set", label: "机器设定速度", kind: "gauge"},
		{path: "EquipmentBlocked", tag: "blocked", label: "下游堵塞", kind: "state"},
		{path: "EquipmentStarved", tag: "starved", label: "上游缺料", kind: "state"},
	}},
	{spec: "PackML", namespace: nsPackML, name: "PackMLAdminObjectType", parts: []partRule{
		{path: "ProdProcessedCount", sel: "[0].AccCount", tag: "part_count", label: "累计产量", kind: "counter"},
		{path: "ProdDefectiveCount", sel: "[0].AccCount", tag: "part_defective", label: "累计不合格数", kind: "counter"},
		{path: "MachDesignSpeed", tag: "design_speed", label: "设计速度", kind: "gauge"},
	}},
}

// typeName is a type as rules name it.
type typeName struct{ namespace, name string }

// rulesFor are the rules for an object of these types, its own first.
func rulesFor(chain []typeName) (rules []*objectRule) {
	for i := range objectRules {
		if slices.Contains(chain, typeName{objectRules[i].namespace, objectRules[i].name}) {
			rules = append(rules, &objectRules[i])
		}
	}
	return rules
}

// named puts the texts of the standard to the codes that the server has; a code that the standard does not know keeps the server's text.
func named(table string, server []opcua.BrowseState) []opcua.BrowseState {
	known := stateTexts[table]
	if len(server) == 0 {
		return slices.Clone(known)
	}
	out := slices.Clone(server)
	for i, s := range out {
		at := slices.IndexFunc(known, func(k opcua.BrowseState) bool { return k.Code == s.Code })
		if at >= 0 {
			out[i] = known[at]
		}
	}
	return out
}
