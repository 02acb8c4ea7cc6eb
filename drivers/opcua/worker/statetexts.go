package worker

import "github.com/millgate/millgate/drivers/opcua"

// stateTexts are the codes of enumerations and state machines that a companion specification fixes, in its own words and in Chinese.
var stateTexts = map[string][]opcua.BrowseState{
	// OPC 40001-1, 12.2: StateNumbers.
	"MachineryItemState": {{Code: 0, ZH: "不可用", EN: "NotAvailable"}, {Code: 1, ZH: "停用", EN: "OutOfService"}, {Code: 2, ZH: "未执行", EN: "NotExecuting"},
		{Code: 3, ZH: "执行中", EN: "Executing"}},
	// OPC 40001-1, MachineryOperationModeStateMachineType: StateNumbers.
	"MachineryOperationMode": {{Code: 0, ZH: "无", EN: "None"}, {Code: 1, ZH: "维护", EN: "Maintenance"}, {Code: 2, ZH: "调整", EN: "Setup"}, {Code: 3, ZH: "加工", EN: "Processing"}},
	// OPC 40501-1, MachineOperationMode.
	"MachineOperationMode": {{Code: 0, ZH: "手动", EN: "Manual"}, {Code: 1, ZH: "自动", EN: "Automatic"}, {Code: 2, ZH: "调整", EN: "Setup"},
		{Code: 3, ZH: "自动（有人工干预）", EN: "AutoWithManualIntervention"}, {Code: 4, ZH: "维修", EN: "Service"}, {Code: 5, ZH: "其他", EN: "Other"}},
	// OPC 40501-1, ProductionStateMachineType: StateNumbers.
	"ProductionState": {{Code: 0, ZH: "初始化", EN: "Initializing"}, {Code: 1, ZH: "运行", EN: "Running"}, {Code: 2, ZH: "结束", EN: "Ended"},
		{Code: 3, ZH: "中断", EN: "Interrupted"}, {Code: 4, ZH: "中止", EN: "Aborted"}},
	// OPC 40501-1, ChannelState.
	"ChannelState": {{Code: 0, ZH: "激活", EN: "Active"}, {Code: 1, ZH: "中断", EN: "Interrupted"}, {Code: 2, ZH: "复位", EN: "Reset"}},
	// OPC 40501-1, ChannelMode.
	"ChannelMode": {{Code: 0, ZH: "自动", EN: "Automatic"}, {Code: 1, ZH: "MDA/MDI", EN: "MdaMdi"}, {Code: 2, ZH: "手动", EN: "JogManual"}, {Code: 3, ZH: "增量", EN: "JogIncrement"},
		{Code: 4, ZH: "示教/手轮", EN: "TeachingHandle"}, {Code: 5, ZH: "远程", EN: "Remote"}, {Code: 6, ZH: "回参考点", EN: "Reference"}, {Code: 7, ZH: "其他", EN: "Other"}},
	// OPC 40501-1, LaserState.
	"LaserState": {{Code: 0, ZH: "未定义", EN: "Undefined"}, {Code: 1, ZH: "就绪", EN: "Ready"}, {Code: 2, ZH: "工作", EN: "Active"}, {Code: 3, ZH: "故障", EN: "Error"}},
	// OPC 40501-1, EDMGeneratorState.
	"EDMGeneratorState": {{Code: 0, ZH: "未定义", EN: "Undefined"}, {Code: 1, ZH: "就绪", EN: "Ready"}, {Code: 2, ZH: "低压工作", EN: "Active_Low_Voltage"},
		{Code: 3, ZH: "高压工作", EN: "Active_High_Voltage"}, {Code: 4, ZH: "故障", EN: "Error"}},
	// OPC 40502, CncChannelProgramStatus.
	"CncChannelProgramStatus": {{Code: 0, ZH: "停止", EN: "Stopped"}, {Code: 1, ZH: "运行", EN: "Running"}, {Code: 2, ZH: "等待", EN: "Waiting"},
		{Code: 3, ZH: "中断", EN: "Interrupted"}, {Code: 4, ZH: "取消", EN: "Canceled"}},
	// OPC 40502, CncChannelStatus.
	"CncChannelStatus": {{Code: 0, ZH: "激活", EN: "Active"}, {Code: 1, ZH: "中断", EN: "Interrupted"}, {Code: 2, ZH: "复位", EN: "Reset"}},
	// OPC 40502, CncOperationMode.
	"CncOperationMode": {{Code: 0, ZH: "手动", EN: "Manual"}, {Code: 1, ZH: "MDA", EN: "MDA"}, {Code: 2, ZH: "自动", EN: "Automatic"}},
	// OPC 40502, CncSpindleStatus.
	"CncSpindleStatus": {{Code: 0, ZH: "停止", EN: "Stopped"}, {Code: 1, ZH: "到达目标", EN: "InTargetArea"}, {Code: 2, ZH: "加速", EN: "Accelerating"},
		{Code: 3, ZH: "减速", EN: "Decelerating"}, {Code: 4, ZH: "停用", EN: "Parked"}},
	// OPC 40502, CncAxisStatus.
	"CncAxisStatus": {{Code: 0, ZH: "到位", EN: "InPosition"}, {Code: 1, ZH: "移动", EN: "Moving"}, {Code: 2, ZH: "停用", EN: "Parked"}},
	// OPC 30050 PackML, and ISA-TR88.00.02: StateNumbers of the three nested state machines.
	"PackML": {{Code: 1, ZH: "清除中", EN: "Clearing"}, {Code: 2, ZH: "已停止", EN: "Stopped"}, {Code: 3, ZH: "启动中", EN: "Starting"}, {Code: 4, ZH: "空闲", EN: "Idle"},
		{Code: 5, ZH: "已挂起", EN: "Suspended"}, {Code: 6, ZH: "执行", EN: "Execute"}, {Code: 7, ZH: "停止中", EN: "Stopping"}, {Code: 8, ZH: "中止中", EN: "Aborting"},
		{Code: 9, ZH: "已中止", EN: "Aborted"}, {Code: 10, ZH: "保持中", EN: "Holding"}, {Code: 11, ZH: "已保持", EN: "Held"}, {Code: 12, ZH: "解除保持中", EN: "Unholding"},
		{Code: 13, ZH: "挂起中", EN: "Suspending"}, {Code: 14, ZH: "解除挂起中", EN: "Unsuspending"}, {Code: 15, ZH: "复位中", EN: "Resetting"},
		{Code: 16, ZH: "完成中", EN: "Completing"}, {Code: 17, ZH: "已完成", EN: "Complete"}, {Code: 18, ZH: "运行", EN: "Running"}, {Code: 19, ZH: "已清除", EN: "Cleared"}},
}
