package drivers

import (
	"strconv"
	"strings"
)

// Cause is the code that says why a reading is not good, or why it was not taken or not kept. It is published as it stands, is
// counted in the ledger and is written to disk: a code never changes its meaning. The list is closed: see Causes.
type Cause string

// Causes of bad readings.
const (
	CauseTimeout      Cause = "timeout"
	CauseRefused      Cause = "connection_refused"
	CauseUnreachable  Cause = "unreachable"
	CauseLost         Cause = "connection_lost"
	CauseGarbled      Cause = "garbled_frame"
	CauseNotANumber   Cause = "not_a_number"
	CauseInvalidText  Cause = "invalid_text"
	CauseInvalidBCD   Cause = "invalid_bcd"
	CauseNotAvailable Cause = "not_available"
	CauseLinkBusy     Cause = "link_busy"
	CauseInternal     Cause = "internal"
	causeModbusPrefix       = "modbus_exception_"

	CauseCertificateUnknown Cause = "certificate_unknown"
	CauseCertificateExpired Cause = "certificate_expired"
	CauseCertificateWrong   Cause = "certificate_wrong"
	CauseCertificateRefused Cause = "certificate_refused"
	CauseUserRefused        Cause = "user_refused"
	CauseSecurityMismatch   Cause = "security_mismatch"
	CauseSessionsExhausted  Cause = "sessions_exhausted"
	CauseServerNotReady     Cause = "server_not_ready"
	CauseSilent             Cause = "silent"
	CauseTypeMismatch       Cause = "type_mismatch"
	causeOPCUAPrefix              = "opcua_"
)

// Causes for which no reading was taken.
const (
	CauseBackOff     Cause = "back_off"
	CauseOverrun     Cause = "overrun"
	CauseGatewayDown Cause = "gateway_down"
)

// Causes for which a reading that a device had to tell never came. CauseGatewayDown is one of them too.
const (
	CauseOverflow    Cause = "overflow"
	CauseGap         Cause = "gap"
	CauseWorkerCrash Cause = "worker_crash" // also of bad readings, until the worker is back
)

// Causes for which a reading was taken but not kept.
const (
	CauseBackPressure Cause = "back_pressure"
	CauseAge          Cause = "age"
	CauseSize         Cause = "size"
	CauseDisk         Cause = "disk"
)

// Causes of uncertain readings.
const (
	CauseSourceTime      Cause = "source_time"
	CauseCounterRollover Cause = "counter_rollover"
	CauseCounterReset    Cause = "counter_reset"
	CauseCounterSwap     Cause = "counter_swap"
	CauseCounterSpike    Cause = "counter_spike"
)

// ModbusException is the cause for exception code n of the MODBUS Application Protocol Specification V1.1b3, 7.
func ModbusException(n byte) Cause { return Cause(causeModbusPrefix + strconv.Itoa(int(n))) }

// OPCUAStatus is the cause for an OPC UA StatusCode (Part 4, 7.39 and Part 8, 6.3), named in lower case with underscores, such as
// bad_node_id_unknown. One that has no cause of its own is opcua_bad or opcua_uncertain, after its severity.
func OPCUAStatus(name string) Cause {
	cause := Cause(causeOPCUAPrefix + name)
	for _, c := range causes {
		if c.Cause == cause {
			return cause
		}
	}
	if strings.HasPrefix(name, "uncertain") {
		return causeOPCUAPrefix + "uncertain"
	}
	return causeOPCUAPrefix + "bad"
}

// CauseText is what a person reads about a cause.
type CauseText struct {
	Cause  Cause
	EN, ZH string
}

var causes = []CauseText{
	{CauseTimeout, "the device did not answer in time", "设备未在规定时间内应答"},
	{CauseRefused, "the device's address refuses the connection", "设备地址拒绝连接"},
	{CauseUnreachable, "there is no way to the device's address", "无法到达设备地址"},
	{CauseLost, "the connection broke during the request", "请求过程中连接中断"},
	{CauseGarbled, "the answer does not follow the protocol", "应答不符合协议"},
	{CauseNotANumber, "the register holds no number (NaN or infinity)", "寄存器中不是数值（NaN 或无穷大）"},
	{CauseInvalidText, "the registers hold no valid text", "寄存器中不是有效文本"},
	{CauseInvalidBCD, "the register holds a digit above 9 where BCD is expected", "寄存器内容不是有效的 BCD 码"},
	{CauseNotAvailable, "the device marks the value as not available", "设备标示该数值不可用"},
	{CauseLinkBusy, "not read in time: the line was busy with other devices", "未能及时读取：线路正忙于其他设备"},
	{CauseInternal, "a defect of the gateway; please report it", "网关内部缺陷，请反馈"},
	{ModbusException(1), "the device does not know the function", "设备不支持该功能码"},
	{ModbusException(2), "the device has no such address", "设备没有该寄存器地址"},
	{ModbusException(3), "the device refuses the quantity", "设备拒绝该读取数量"},
	{ModbusException(4), "the device failed to read the value", "设备读取数值失败"},
	{ModbusException(5), "the device accepted the request and needs more time", "设备已接受请求，需要更长时间"},
	{ModbusException(6), "the device is busy", "设备忙"},
	{ModbusException(8), "the device reports a memory parity error", "设备报告存储校验错误"},
	{ModbusException(10), "the bridge has no path to the unit", "网桥没有到达该从站的路径"},
	{ModbusException(11), "the unit behind the bridge does not answer", "网桥后的从站没有应答"},
	{CauseCertificateUnknown, "the server's certificate is not trusted yet", "尚未信任服务器的证书"},
	{CauseCertificateExpired, "the server's certificate is not valid at this time", "服务器的证书不在有效期内"},
	{CauseCertificateWrong, "the server's certificate is not acceptable", "服务器的证书不可接受"},
	{CauseCertificateRefused, "the server does not trust the gateway's certificate", "服务器不信任网关的证书"},
	{CauseUserRefused, "the server refuses the user", "服务器拒绝该用户"},
	{CauseSecurityMismatch, "the server does not offer the configured security", "服务器不提供所配置的安全方式"},
	{CauseSessionsExhausted, "the server has no session left", "服务器的会话数已用尽"},
	{CauseServerNotReady, "the server is not running yet", "服务器尚未就绪"},
	{CauseSilent, "the server is connected but sends nothing", "服务器已连接但不发送数据"},
	{CauseTypeMismatch, "the value is not of the type that the map says", "数值类型与映射不符"},
	{causeOPCUAPrefix + "bad", "the server says that the value is bad", "服务器标示该数值为坏值"},
	{causeOPCUAPrefix + "bad_node_id_unknown", "the server has no such node", "服务器没有该节点"},
	{causeOPCUAPrefix + "bad_node_id_invalid", "the server does not accept the node id", "服务器不接受该节点标识"},
	{causeOPCUAPrefix + "bad_attribute_id_invalid", "the node has no value", "该节点没有值属性"},
	{causeOPCUAPrefix + "bad_not_readable", "the node can not be read", "该节点不可读"},
	{causeOPCUAPrefix + "bad_user_access_denied", "the user may not read the node", "该用户无权读取此节点"},
	{causeOPCUAPrefix + "bad_security_mode_insufficient", "the node asks for a stronger security mode", "该节点要求更高的安全模式"},
	{causeOPCUAPrefix + "bad_index_range_no_data", "the array has no such element", "数组没有该元素"},
	{causeOPCUAPrefix + "bad_data_type_id_unknown", "the structure of the value is not known", "数值的结构未知"},
	{causeOPCUAPrefix + "bad_too_many_monitored_items", "the server monitors no more items", "服务器的监视项数已用尽"},
	{causeOPCUAPrefix + "bad_waiting_for_initial_data", "the server has no value yet", "服务器尚无数值"},
	{causeOPCUAPrefix + "bad_no_communication", "the server does not reach the source of the value", "服务器无法与数据源通信"},
	{causeOPCUAPrefix + "bad_communication_error", "the server's connection to the source of the value failed", "服务器与数据源的连接出错"},
	{causeOPCUAPrefix + "bad_not_connected", "the source of the value is not connected to the server", "数据源未连接到服务器"},
	{causeOPCUAPrefix + "bad_device_failure", "the source of the value has failed", "数据源设备故障"},
	{causeOPCUAPrefix + "bad_sensor_failure", "the sensor has failed", "传感器故障"},
	{causeOPCUAPrefix + "bad_out_of_service", "the source of the value is out of service", "数据源停止服务"},
	{causeOPCUAPrefix + "bad_configuration_error", "the server is configured wrongly for the value", "服务器对该数值的配置有误"},
	{causeOPCUAPrefix + "bad_internal_error", "the server failed by itself", "服务器内部错误"},
	{causeOPCUAPrefix + "uncertain", "the server doubts the value", "服务器对该数值存疑"},
	{causeOPCUAPrefix + "uncertain_last_usable_value", "the source no longer updates the value; it is the last one", "数据源不再更新，此为最后可用值"},
	{causeOPCUAPrefix + "uncertain_no_communication_last_usable_value", "the server lost the source of the value; it is the last one", "服务器与数据源通信中断，此为最后可用值"},
	{causeOPCUAPrefix + "uncertain_initial_value", "the value is one set at the start, not a measured one", "此为初始值，并非测量值"},
	{causeOPCUAPrefix + "uncertain_substitute_value", "the value was set by hand", "此为人工设定的替代值"},
	{causeOPCUAPrefix + "uncertain_sensor_not_accurate", "the sensor is at its limit or out of calibration", "传感器达到极限或未校准"},
	{causeOPCUAPrefix + "uncertain_engineering_units_exceeded", "the value is outside the range of its sensor", "数值超出传感器量程"},
	{causeOPCUAPrefix + "uncertain_sub_normal", "the value comes from fewer sources than it should", "数值来源少于应有数量"},
	{CauseBackOff, "not asked: the device is being left alone after failures", "未询问：设备多次失败后暂停询问"},
	{CauseOverrun, "not asked: the previous cycle was still running", "未询问：上一轮采集尚未结束"},
	{CauseGatewayDown, "not asked: the gateway was not running (estimate)", "未询问：网关未运行（估算）"},
	{CauseOverflow, "lost: the server's queue was full (at least so many)", "丢失：服务器队列已满（至少这些）"},
	{CauseGap, "lost: the server no longer had it after an interruption (estimate)", "丢失：中断后服务器已不再保存（估算）"},
	{CauseWorkerCrash, "lost or not read: the worker for this server ended and was replaced (estimate)", "丢失或未读取：该服务器的采集进程异常退出后重启（估算）"},
	{CauseBackPressure, "not kept: the disk did not keep up", "未保存：磁盘写入跟不上"},
	{CauseAge, "dropped from the queue: too old", "从队列中删除：超过保存期限"},
	{CauseSize, "dropped from the queue: the queue was full", "从队列中删除：队列已满"},
	{CauseDisk, "dropped from the queue: the disk was full or damaged", "从队列中删除：磁盘已满或损坏"},
	{CauseSourceTime, "the device's time stamp is not believable", "设备时间戳不可信"},
	{CauseCounterRollover, "the counter passed its end and began again", "计数器计满回零"},
	{CauseCounterReset, "the counter was set back", "计数器被清零"},
	{CauseCounterSwap, "the counter goes on from another reading, as after a change of meters", "计数器从另一读数继续，可能更换了表计"},
	{CauseCounterSpike, "the counter jumped further than it can have counted", "计数器跳变超出合理范围"},
}

// Causes lists every cause with its meaning, in the order of the documentation. It must not be changed.
func Causes() []CauseText { return causes }
