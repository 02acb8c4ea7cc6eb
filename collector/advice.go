package collector

import (
	"github.com/millgate/millgate/drivers"
)

// advice says what to look at first when a device does not answer.
var advice = map[drivers.Cause]drivers.EventText{
	drivers.CauseTimeout: {
		ZH: "请检查设备是否通电、接线是否松动；Modbus 设备还要检查站号（unit）和串口参数是否与设备一致。",
		EN: "Check that it has power and that its cable is in place; with Modbus, that unit id and serial settings are the device's own.",
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
		ZH: "请检查该地址上的协议；Modbus 设备请检查协议类型（TCP、RTU、RTU over TCP）、波特率和校验位，以及总线上是否有重复的站号。",
		EN: "Check which protocol is spoken at this address; with Modbus, the framing (TCP, RTU, RTU over TCP), baud rate and parity, and that no two units on the line have the same id.",
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
	drivers.CauseCertificateUnknown: {
		ZH: "请先在服务器上核对其证书指纹，再用 millgate trust accept 接受；millgate trust list 可查看待确认的证书。",
		EN: "Compare the fingerprint with the one at the server, then accept the certificate with millgate trust accept; millgate trust list shows it.",
	},
	drivers.CauseCertificateExpired: {
		ZH: "请核对网关和服务器的时钟；如果证书确已过期，请在服务器上更新证书，再用 millgate trust accept 接受新证书。",
		EN: "Compare the clocks of gateway and server; if the certificate has really expired, renew it at the server and accept the new one with millgate trust accept.",
	},
	drivers.CauseCertificateWrong: {
		ZH: "请在服务器上重新生成证书（RSA 2048 位、SHA-256，应用 URI 与服务器一致），再用 millgate trust accept 接受。",
		EN: "Make a new certificate at the server (RSA 2048, SHA-256, with the server's own application URI) and accept it with millgate trust accept.",
	},
	drivers.CauseCertificateRefused: {
		ZH: "请在服务器的证书管理中信任网关的证书；millgate trust list 可查看其指纹。",
		EN: "Trust the gateway's certificate in the server's list of certificates; millgate trust list shows its fingerprint.",
	},
	drivers.CauseUserRefused: {
		ZH: "请核对站点中的用户名、密码或用户证书，以及该用户在服务器上是否启用、是否有权通过 OPC UA 登录。",
		EN: "Check the user, the password or the user's certificate in the site, and that the server knows the user and lets it log in over OPC UA.",
	},
	drivers.CauseSecurityMismatch: {
		ZH: "请将 security_policy、security_mode 和 user 改为服务器提供的方式，或在服务器上启用所配置的方式。",
		EN: "Set security_policy, security_mode and user to what the server offers, or enable the configured ones at the server.",
	},
	drivers.CauseSessionsExhausted: {
		ZH: "请关闭其他 OPC UA 客户端，或提高服务器的会话数上限；已断开连接遗留的会话稍后会自行结束。",
		EN: "Close other OPC UA clients, or raise the server's limit; what lost connections have left there ends by itself after a while.",
	},
	drivers.CauseServerNotReady: {
		ZH: "请等待服务器启动完成；如果一直如此，请查看服务器自身的状态、日志和授权。",
		EN: "Wait until the server has started; if it stays so, look at its own state, log and licence.",
	},
	drivers.CauseSilent: {
		ZH: "请检查服务器是否死机或过载，必要时重启；网关会自行重新连接。",
		EN: "Check whether the server hangs or is overloaded, and restart it if so; the gateway connects again by itself.",
	},
	drivers.CauseWorkerCrash: {
		ZH: "采集进程会自动重启；如果反复出现，请将网关日志发送给开发者，并查看服务器是否有固件更新。",
		EN: "The process is restarted by itself; if it happens again and again, send the gateway's log to its makers and see whether there is newer firmware for the server.",
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
