package drivers

import "strconv"

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
)

// Causes for which no reading was taken.
const (
	CauseBackOff     Cause = "back_off"
	CauseOverrun     Cause = "overrun"
	CauseGatewayDown Cause = "gateway_down"
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

// CauseText is what a person reads about a cause.
type CauseText struct {
	Cause  Cause
	EN, ZH string
}

// Causes lists every cause with its meaning, in the order of the documentation.
func Causes() []CauseText { return causes }

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
	{CauseBackOff, "not asked: the device is being left alone after failures", "未询问：设备多次失败后暂停询问"},
	{CauseOverrun, "not asked: the previous cycle was still running", "未询问：上一轮采集尚未结束"},
	{CauseGatewayDown, "not asked: the gateway was not running (estimate)", "未询问：网关未运行（估算）"},
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
