package kpi

import "slices"

// Role is what a signal of equipment means: the vocabulary of equipment.signals.
type Role struct {
	Name string
	How  How
	Unit string // UCUM; what Signal.Factor converts to. Empty: a pure number, or a code
	Text Text
}

// How a role's readings become figures of a window.
type How uint8

// The ways. Counters are counted (Counter), gauges integrated over the time for which they hold, flags timed, codes and texts interpreted.
const (
	Counted How = iota
	Integrated
	Timed
	Coded
	Named
)

// roles are sorted by name.
var roles = []Role{
	{"alarm", Timed, "", Text{"报警停机", "an alarm that stops the machine"}},
	{"alarm_code", Coded, "", Text{"报警代码", "code of the present alarm"}},
	{"auto_mode", Coded, "", Text{"自动方式代码", "code of the automatic mode (FANUC aut)"}},
	{"channel_state", Coded, "", Text{"通道状态", "state of the channel"}},
	{"current_a", Integrated, "A", Text{"A 相电流", "current of phase A"}},
	{"current_b", Integrated, "A", Text{"B 相电流", "current of phase B"}},
	{"current_c", Integrated, "A", Text{"C 相电流", "current of phase C"}},
	{"cutting", Timed, "", Text{"切削", "cutting"}},
	{"differential_pressure", Integrated, "Pa", Text{"进出口压差", "pressure across the pump or fan"}},
	{"emergency", Coded, "", Text{"急停", "emergency stop"}},
	{"energy", Counted, "kW.h", Text{"电能", "active energy"}},
	{"energy_reactive", Counted, "kvar.h", Text{"无功电能", "reactive energy"}},
	{"feed_water_temperature", Integrated, "Cel", Text{"给水温度", "temperature of the feed water"}},
	{"flow", Integrated, "m3/h", Text{"体积流量", "volume flow"}},
	{"fuel", Counted, "", Text{"燃料量", "amount of fuel, in the unit of its medium"}},
	{"good_parts", Counted, "", Text{"合格件数", "good parts"}},
	{"item_state", Coded, "", Text{"设备状态", "item state (OPC 40001-1)"}},
	{"operation_mode", Coded, "", Text{"操作模式", "operation mode"}},
	{"operation_state", Coded, "", Text{"运行状态代码", "code of the run state (FANUC run, KND run-status)"}},
	{"output", Counted, "t", Text{"产量", "output in tonnes"}},
	{"packml_mode", Coded, "", Text{"PackML 模式", "PackML unit mode"}},
	{"packml_state", Coded, "", Text{"PackML 状态", "PackML state"}},
	{"parts", Counted, "", Text{"工件数", "parts made"}},
	{"power", Integrated, "kW", Text{"有功功率", "active power"}},
	{"power_apparent", Integrated, "kVA", Text{"视在功率", "apparent power"}},
	{"power_on_hours", Counted, "h", Text{"通电时间", "time with power on"}},
	{"power_reactive", Integrated, "kvar", Text{"无功功率", "reactive power"}},
	{"pressure", Integrated, "Pa", Text{"压力（表压）", "outlet pressure above ambient"}},
	{"program", Named, "", Text{"程序名", "active program"}},
	{"program_state", Coded, "", Text{"程序状态", "state of the program"}},
	{"return_temperature", Integrated, "Cel", Text{"回水温度", "temperature of the return"}},
	{"run_hours", Counted, "h", Text{"运行时间", "running hours"}},
	{"scrap", Counted, "", Text{"废品数", "scrapped parts"}},
	{"spindle_on", Timed, "", Text{"主轴运转", "spindle turns"}},
	{"steam", Counted, "t", Text{"蒸汽量", "amount of steam"}},
	{"steam_enthalpy", Integrated, "kJ/kg", Text{"蒸汽焓", "enthalpy of the steam"}},
	{"supply_temperature", Integrated, "Cel", Text{"供水温度", "temperature of the supply"}},
	{"volume_flow", Integrated, "m3/min", Text{"吸气状态体积流量", "volume flow at inlet conditions (FAD)"}},
}

// RoleNamed finds a role; ok is false if there is none of that name.
func RoleNamed(name string) (r Role, ok bool) {
	i, ok := slices.BinarySearchFunc(roles, name, func(r Role, name string) int {
		switch {
		case r.Name < name:
			return -1
		case r.Name > name:
			return 1
		}
		return 0
	})
	if !ok {
		return Role{}, false
	}
	return roles[i], true
}

// Roles are all roles, by name.
func Roles() []Role { return slices.Clone(roles) }
