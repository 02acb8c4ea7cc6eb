package collector

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/millgate/millgate/drivers"
)

// never is a quarter hour in which nothing was stored.
const never = math.MinInt64

// device is what the groups of one device share: whether it answers. Its methods, but for snapshot, want mu to be held.
type device struct {
	up  *drivers.Tag
	log *slog.Logger

	mu      sync.Mutex
	status  DeviceStatus
	answers []bool        // per group: its last Read succeeded
	decided bool          // status.Up is more than the zero value
	changed time.Duration // when it was decided last, by the schedule's clock
	told    bool          // the store has status.Up
	quarter int64         // in which it was last stored

	missedCycles, missedReadings uint64 // since the device went down
}

func newDevice(d Device, log *slog.Logger) *device {
	return &device{up: d.Up, log: log.With("device", d.ID), status: DeviceStatus{Device: d.ID}, quarter: never}
}

// join adds a group, and says which one it is.
func (d *device) join() int {
	d.answers = append(d.answers, false)
	return len(d.answers) - 1
}

func (d *device) snapshot() DeviceStatus {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.status
}

// answered takes a successful Read of a group. It appends the event of a device that is back.
func (d *device) answered(group int, events []drivers.Event, wall time.Time, now time.Duration) []drivers.Event {
	d.answers[group] = true
	if d.status.Up {
		return events
	}
	if d.decided {
		down := (now - d.changed).Round(time.Millisecond)
		d.log.Info("device answers again", "after", down, "missed_cycles", d.missedCycles)
		events = append(events, d.upEvent(wall, down))
	}
	d.decide(true, wall, now)
	d.status.Cause, d.status.Error = "", ""
	return events
}

// failed takes a Read to which the device did not answer. It appends the event of a device that went down: one of which no group
// got an answer with its last Read.
func (d *device) failed(group int, events []drivers.Event, err error, wall time.Time, now time.Duration) []drivers.Event {
	d.answers[group] = false
	if slices.Contains(d.answers, true) {
		return events
	}
	d.status.Cause, d.status.Error = drivers.CauseOf(err), err.Error()
	if d.decided && !d.status.Up {
		return events
	}
	d.decide(false, wall, now)
	d.missedCycles, d.missedReadings = 0, 0
	meaning, advice := explain(d.status.Cause)
	d.log.Warn("device does not answer", "cause", d.status.Cause, "error", err, "meaning", meaning.EN, "advice", advice.EN)
	return append(events, d.downEvent(meaning, advice))
}

func (d *device) decide(up bool, wall time.Time, now time.Duration) {
	d.status.Up, d.status.Since = up, drivers.Millis(wall)
	d.decided, d.changed, d.told = true, now, false
}

// missed counts a cycle and its readings if the device is down.
func (d *device) missed(due uint64) {
	if d.decided && !d.status.Up {
		d.missedCycles++
		d.missedReadings += due
	}
}

// mustTell says whether the store must get "up": after a change, after a refusal, and once in each quarter hour.
func (d *device) mustTell(wall time.Time) bool {
	return d.decided && (!d.told || d.quarter != quarterOf(wall))
}

// tell is the reading of "up".
func (d *device) tell(wall time.Time) drivers.Reading {
	d.told, d.quarter = true, quarterOf(wall)
	return drivers.Reading{Tag: d.up, Value: drivers.BoolValue(d.status.Up), Quality: drivers.Good, Time: drivers.Millis(wall)}
}

func (d *device) downEvent(meaning, advice drivers.EventText) drivers.Event {
	return drivers.Event{
		Time: d.status.Since, Kind: drivers.EventDeviceDown, Severity: drivers.Warning, Subject: "device/" + d.status.Device,
		Cause: d.status.Cause,
		Text: drivers.EventText{
			ZH: fmt.Sprintf("设备 %s 无应答：%s。%s", d.status.Device, meaning.ZH, advice.ZH),
			EN: fmt.Sprintf("Device %s does not answer: %s. %s", d.status.Device, meaning.EN, advice.EN),
		},
		Fields: fields(struct {
			Error string `json:"error"`
		}{d.status.Error}),
	}
}

func (d *device) upEvent(wall time.Time, down time.Duration) drivers.Event {
	return drivers.Event{
		Time: drivers.Millis(wall), Kind: drivers.EventDeviceUp, Severity: drivers.Info, Subject: "device/" + d.status.Device,
		Count: d.missedReadings,
		Text: drivers.EventText{
			ZH: fmt.Sprintf("设备 %s 恢复应答：中断 %v，期间缺失 %d 个采集周期。", d.status.Device, down, d.missedCycles),
			EN: fmt.Sprintf("Device %s answers again after %v and %d missed cycles.", d.status.Device, down, d.missedCycles),
		},
		Fields: fields(struct {
			Down   int64  `json:"down_ms"`
			Cycles uint64 `json:"missed_cycles"`
		}{down.Milliseconds(), d.missedCycles}),
	}
}

// fields is the JSON object of a struct of plain fields.
func fields(v any) json.RawMessage {
	text, err := json.Marshal(v)
	if err != nil { // strings and numbers can always be marshalled
		panic(err)
	}
	return text
}
