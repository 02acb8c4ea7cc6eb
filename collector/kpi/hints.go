package kpi

import (
	"slices"
	"strings"
)

// libraryTags are the tags of the library's device maps that fit a role, the likeliest first.
var libraryTags = map[string][]string{
	"alarm_code":      {"top_alarm", "fault_code"},
	"channel_state":   {"channel_status"},
	"current_a":       {"current_a"},
	"current_b":       {"current_b"},
	"current_c":       {"current_c"},
	"energy":          {"energy_import"},
	"energy_reactive": {"reactive_energy_import"},
	"item_state":      {"item_state"},
	"operation_mode":  {"machinery_mode", "operating_mode"},
	"operation_state": {"run_state"},
	"parts":           {"part_count", "statistics_part_count"},
	"power":           {"power_total"},
	"power_apparent":  {"apparent_power_total"},
	"power_on_hours":  {"power_on_duration"},
	"power_reactive":  {"reactive_power_total"},
	"program":         {"program_name", "program_number"},
	"program_state":   {"program_state", "program_status"},
	"spindle_on":      {"spindle_turning"},
	needState:         {"item_state", "program_status", "running"},
}

// ledgerHints are what to write where an entry of the site file is missing.
var ledgerHints = map[string]Text{
	needState:        {"设备状态：state 的代码表，或按信号灯、继电器、功率写的规则", "the state: state with a code table, or rules over lamps, relays or power"},
	"run_hours":      {"信号 run_hours，且台账声明可信（hours.trusted）", "the signal run_hours, which the ledger trusts (hours.trusted)"},
	"hours":          {"台账 hours.before 和 hours.at，此后由状态累计", "hours.before and hours.at in the ledger; from then on the state tells"},
	"commissioned":   {"台账 commissioned（投产日期）", "commissioned in the ledger"},
	"manufactured":   {"台账 manufactured（制造日期）", "manufactured in the ledger"},
	needLife:         {"台账 design_life.years 或 design_life.hours（制造厂设计寿命）", "design_life.years or design_life.hours in the ledger, as the maker says"},
	"design_hours":   {"台账 design_life.hours（制造厂设计小时）", "design_life.hours in the ledger, as the maker says"},
	"model":          {"台账 model（型号）", "model in the ledger"},
	"original_value": {"台账 original_value（原值）", "original_value in the ledger"},
	"rated_power":    {"台账 rated_power（额定功率）", "rated_power in the ledger"},
	"control":        {"台账 control（控制方式）", "control in the ledger"},
	"label":          {"台账 label（能效标识的等级、标准、证明）", "label in the ledger: grade, standard and evidence"},
	"baseline":       {"baseline（改造前的能耗基准）", "baseline: the energy of the periods before a change"},
	"products":       {"products（产品或程序的理想节拍）", "products: the ideal cycle of what the programs make"},
}

// hint says what would supply one of the inputs.
func (l *ledger) hint(missing []string) Text {
	zh, en := make([]string, len(missing)), make([]string, len(missing))
	for i, name := range missing {
		t := l.hintOf(name)
		zh[i], en[i] = t.ZH, t.EN
	}
	return Text{ZH: strings.Join(zh, "；或"), EN: strings.Join(en, "; or ")}
}

func (l *ledger) hintOf(name string) Text {
	t, ok := ledgerHints[name]
	if role, is := RoleNamed(name); is && !ok {
		t = Text{"信号 " + name + "：" + role.Text.ZH, "the signal " + name + ": " + role.Text.EN}
		if enterable[name] {
			t.ZH, t.EN = t.ZH+"，或人工录入", t.EN+", or a manual input of that quantity"
		}
	} else if !ok && slices.Contains(l.category.Figures, name) {
		t = Text{"台账中的铭牌数据 " + name, name + " of the nameplate in the ledger"}
	} else if !ok {
		t = Text{"人工录入 " + name, "a manual input of " + name}
	}
	if tags := libraryTags[name]; len(tags) > 0 {
		t.ZH += "（设备库测点 " + strings.Join(tags, "、") + "）"
		t.EN += " (tag " + strings.Join(tags, " or ") + " of the device library)"
	}
	return t
}

// enterable are the roles whose figure people may enter instead (Input.Quantity).
var enterable = map[string]bool{"scrap": true, "good_parts": true}
