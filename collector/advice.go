package collector

import (
	"github.com/millgate/millgate/drivers"
)

// advice says what to look at first when a device does not answer.
var advice = map[drivers.Cause]drivers.EventText{
	drivers.CauseTimeout: {
		ZH: "请检查设备是否通电、接线是否松动、站号（unit）和串口参数是否与设备一致。",
		EN: "Check that it has power, that its cable is in place, and that unit id and serial settings are the device's own.",
	},
	drivers.CauseRefused: {
		ZH: "请检查端口号是否正确、设备是否已启用该协议，以及是否有其他软件占满了设备的连接数。",
		EN: "Check the port, that the protocol is enabled in the device, and that no other software holds all the connections it allows.",
	},
	drivers.CauseUnreachable: {
		ZH: "请检查 IP 地址、网线和交换机，以及网关与设备是否在同一网段。",
		EN: "Check the IP address, the cable and the switch, and that gateway and device are in networks that reach each other.",
	},
	drivers.CauseLost: {
		ZH: "请检查接线和供电是否稳定，以及是否有其他软件抢占了设备的连接。",
		EN: "Check that cable and power are steady, and that no other software takes the connection over.",
	},
	drivers.CauseGarbled: {
		ZH: "请检查协议类型（TCP、RTU、RTU over TCP）、波特率和校验位，以及总线上是否有重复的站号。",
		EN: "Check the protocol (TCP, RTU, RTU over TCP), baud rate and parity, and that no two units on the line have the same id.",
	},
	drivers.CauseLinkBusy: {
		ZH: "请用 millgate check 查看线路一个周期需要多长时间：加大采集间隔、减少测点、提高波特率，或增加一条线路。",
		EN: "See with millgate check how long a cycle of the line takes: poll less often or fewer points, raise the baud rate, or add a second line.",
	},
	drivers.ModbusException(10): {
		ZH: "请检查网桥的路由设置和站号（unit）。",
		EN: "Check the unit id and the routes set in the bridge.",
	},
	drivers.ModbusException(11): {
		ZH: "请检查网桥后面的设备是否通电、接线和站号（unit）是否正确。",
		EN: "Check that the device behind the bridge has power, and its wiring and unit id.",
	},
	drivers.CauseCounterRollover: {
		ZH: "无需处理：增量已按满量程计算。",
		EN: "There is nothing to do: what it counted goes through its end.",
	},
	drivers.CauseCounterReset: {
		ZH: "如果没有人清零，请检查设备供电；清零前未读取的增量无法得知。",
		EN: "If nobody did it, check the device's power supply. What it counted between the last reading and that moment is not known.",
	},
	drivers.CauseCounterSwap: {
		ZH: "如果更换了表计，请记录日期、旧表止码、新表起码和新变比；否则请核对站号（unit）和寄存器地址。",
		EN: "If a meter was changed, note the date, its last and the new one's first reading, and the new ratios; if not, check unit id and address.",
	},
	drivers.CauseCounterSpike: {
		ZH: "如果反复出现，请检查接线干扰、字序，以及映射中的 max_rate 是否过小。",
		EN: "If it comes again, check the cable for interference, the word order, and whether the map's max_rate is too small.",
	},
	drivers.CauseInternal: {
		ZH: "请将网关日志发送给开发者。",
		EN: "Please send the gateway's log to its makers.",
	},
}

// generalAdvice is for causes that say themselves what is wrong.
var generalAdvice = drivers.EventText{
	ZH: "请用 millgate probe 逐个读取该设备的测点，并与设备手册核对。",
	EN: "Read its tags one by one with millgate probe and compare them with the device's manual.",
}

// explain is what a cause means and what to do about it.
func explain(cause drivers.Cause) (meaning, next drivers.EventText) {
	meaning = drivers.EventText{ZH: string(cause), EN: string(cause)}
	for _, c := range drivers.Causes() {
		if c.Cause == cause {
			meaning = drivers.EventText{ZH: c.ZH, EN: c.EN}
		}
	}
	next, ok := advice[cause]
	if !ok {
		next = generalAdvice
	}
	return meaning, next
}
