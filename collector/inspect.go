package collector

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/millgate/millgate/collector/kpi"
	"github.com/millgate/millgate/drivers"
)

const (
	toldAgain   = time.Minute // how often at most one trouble of one tag is told
	maxUnknown  = 32          // codes of one tag that are told as unknown; a register that runs wild has more
	sameRatio   = 1e-6        // relative: a parameter that went through float32 is still the same
	counterTell = int(kpi.Spike) + 1
)

// watch is what is remembered of a tag whose rule speaks of its values.
type watch struct {
	index int // of the tag in its group
	rule  *TagRule

	counter kpi.Counter
	broke   [counterTell]pace // per verdict

	code    drivers.Value   // the last state
	unknown []drivers.Value // states that were told as unknown

	set    uint64 // bits that were told as set
	alarms []pace // per alarm

	differs drivers.Value // the device's value of a parameter that was told as different; nothing if none was
	param   pace
}

// pace lets something be told once in toldAgain. The zero pace is ready.
type pace struct{ next time.Duration }

func (p *pace) free(now time.Duration) bool {
	if now < p.next {
		return false
	}
	p.next = now + toldAgain
	return true
}

// watchesOf lists the tags to inspect.
func watchesOf(tags []TagRule) (watched []watch) {
	for i := range tags {
		if t := &tags[i]; t.Counter != nil || len(t.States) > 0 || len(t.Alarms) > 0 || t.Expect != nil {
			watched = append(watched, watch{index: i, rule: t, alarms: make([]pace, len(t.Alarms))})
		}
	}
	return slices.Clip(slices.Clone(watched)) // they stay as long as the gateway runs
}

// inspect judges the values of a cycle, one reading per tag or none at all, before report by exception. It lowers the quality of
// what is to be doubted, in place, and appends what is to be told. A bad reading says nothing of a value.
func inspect(watched []watch, readings []drivers.Reading, events []drivers.Event, now time.Duration) []drivers.Event {
	if len(readings) == 0 {
		return events
	}
	for i := range watched {
		w := &watched[i]
		if r := &readings[w.index]; r.Quality != drivers.Bad {
			events = w.inspect(r, events, now)
		}
	}
	return events
}

// inspect judges one reading that has a value.
func (w *watch) inspect(r *drivers.Reading, events []drivers.Event, now time.Duration) []drivers.Event {
	if w.rule.Counter != nil {
		events = w.count(r, events, now)
	}
	if len(w.rule.States) > 0 && r.Value != w.code {
		events = w.state(r, events)
	}
	if len(w.rule.Alarms) > 0 {
		events = w.alarm(r, events, now)
	}
	if w.rule.Expect != nil {
		events = w.expect(r, events, now)
	}
	return events
}

// breaks are the causes of verdicts on which a counter's reading is to be doubted.
var breaks = [counterTell]drivers.Cause{
	kpi.Rollover: drivers.CauseCounterRollover,
	kpi.Reset:    drivers.CauseCounterReset,
	kpi.Swap:     drivers.CauseCounterSwap,
	kpi.Spike:    drivers.CauseCounterSpike,
}

// count follows a counter. Its time is the schedule's: a step of the wall clock must not look like a jump of the counter.
func (w *watch) count(r *drivers.Reading, events []drivers.Event, now time.Duration) []drivers.Event {
	value, ok := r.Value.Float()
	if !ok {
		return events
	}
	step := w.counter.Step(*w.rule.Counter, value, now.Milliseconds())
	cause := breaks[step.Verdict]
	if cause == "" {
		return events
	}
	r.Quality, r.Cause = drivers.Uncertain, cause
	if !w.broke[step.Verdict].free(now) {
		return events
	}
	before := alike(r.Value, step.Before)
	meaning, advice := explain(cause)
	event := newEvent(r, drivers.EventCounter, drivers.Warning, struct {
		Tag    string          `json:"tag"`
		Before json.RawMessage `json:"before"`
		After  json.RawMessage `json:"after"`
		Delta  float64         `json:"delta"`
	}{r.Tag.Name, before.AppendJSON(nil), r.Value.AppendJSON(nil), step.Delta})
	event.Cause = cause
	event.Text = drivers.EventText{
		ZH: fmt.Sprintf("计数器 %s 由 %s 变为 %s：%s。%s", r.Tag, before, r.Value, meaning.ZH, advice.ZH),
		EN: fmt.Sprintf("Counter %s went from %s to %s: %s. %s", r.Tag, before, r.Value, meaning.EN, advice.EN),
	}
	return append(events, event)
}

// state tells of a code that nobody explained, once.
func (w *watch) state(r *drivers.Reading, events []drivers.Event) []drivers.Event {
	w.code = r.Value
	code, whole := codeOf(r.Value)
	listed := func(s StateText) bool { return whole && s.Code == code }
	if slices.ContainsFunc(w.rule.States, listed) || len(w.unknown) == maxUnknown || slices.Contains(w.unknown, r.Value) {
		return events
	}
	w.unknown = append(w.unknown, r.Value)
	event := newEvent(r, drivers.EventUnknownState, drivers.Warning, struct {
		Tag  string          `json:"tag"`
		Code json.RawMessage `json:"code"`
	}{r.Tag.Name, r.Value.AppendJSON(nil)})
	event.Text = drivers.EventText{
		ZH: fmt.Sprintf("状态 %s 出现未列出的代码 %s，仍按数值上报。请查阅设备手册，并在设备映射中补充该状态。", r.Tag, r.Value),
		EN: fmt.Sprintf("State %s has the code %s, which its map does not list; the number is published all the same. "+
			"Look it up in the device's manual and add it to the map.", r.Tag, r.Value),
	}
	return append(events, event)
}

// alarm tells of bits that changed. One that flaps is told as it stands after a while.
func (w *watch) alarm(r *drivers.Reading, events []drivers.Event, now time.Duration) []drivers.Event {
	switch r.Value.Type() {
	case drivers.TypeBool, drivers.TypeInt64, drivers.TypeUint64:
	default: // has no bits
		return events
	}
	for i, a := range w.rule.Alarms {
		bit := uint64(1) << a.Bit
		if (r.Value.Bits()^w.set)&bit == 0 || !w.alarms[i].free(now) {
			continue
		}
		w.set ^= bit
		set, severity := w.set&bit != 0, a.Severity
		text := drivers.EventText{
			ZH: fmt.Sprintf("%s 报警：%s（第 %d 位）。处理方法见设备手册。", r.Tag, a.Text.ZH, a.Bit),
			EN: fmt.Sprintf("Alarm of %s: %s (bit %d). What to do is in the device's manual.", r.Tag, a.Text.EN, a.Bit),
		}
		if !set {
			severity = drivers.Info
			text.ZH = fmt.Sprintf("%s 报警解除：%s（第 %d 位）。", r.Tag, a.Text.ZH, a.Bit)
			text.EN = fmt.Sprintf("The alarm of %s is over: %s (bit %d).", r.Tag, a.Text.EN, a.Bit)
		}
		event := newEvent(r, drivers.EventAlarm, severity, struct {
			Tag string `json:"tag"`
			Bit uint8  `json:"bit"`
			Set bool   `json:"set"`
		}{r.Tag.Name, a.Bit, set})
		event.Text = text
		events = append(events, event)
	}
	return events
}

// expect compares the device's value of a parameter with the site's.
func (w *watch) expect(r *drivers.Reading, events []drivers.Event, now time.Duration) []drivers.Event {
	site, value := w.rule.Expect.Value, r.Value
	f, ok := value.Float()
	if ok && math.Abs(f-site) <= sameRatio*max(math.Abs(f), math.Abs(site)) {
		value = drivers.Value{}
	}
	if !ok || value == w.differs || !w.param.free(now) {
		return events
	}
	w.differs = value
	severity, param := drivers.Warning, w.rule.Expect.Param
	text := drivers.EventText{
		ZH: fmt.Sprintf("参数 %s 不一致：设备（%s）为 %s，站点配置为 %v。请核对并改正其中之一：换算按站点配置进行。", param, r.Tag, r.Value, site),
		EN: fmt.Sprintf("The parameter %s differs: the device has %s (%s), the site says %v. Find out which is right and correct the other: "+
			"values are scaled by the site's.", param, r.Value, r.Tag, site),
	}
	if value.IsZero() {
		severity = drivers.Info
		text.ZH = fmt.Sprintf("参数 %s 已一致：设备（%s）为 %s，与站点配置相同。", param, r.Tag, r.Value)
		text.EN = fmt.Sprintf("The parameter %s agrees again: the device has %s (%s), and so says the site.", param, r.Value, r.Tag)
	}
	event := newEvent(r, drivers.EventParamMismatch, severity, struct {
		Tag    string          `json:"tag"`
		Param  string          `json:"param"`
		Device json.RawMessage `json:"device"`
		Site   float64         `json:"site"`
	}{r.Tag.Name, param, r.Value.AppendJSON(nil), site})
	event.Text = text
	return append(events, event)
}

func newEvent(r *drivers.Reading, kind drivers.EventKind, severity drivers.Severity, data any) drivers.Event {
	return drivers.Event{Time: r.Time, Kind: kind, Severity: severity, Subject: "device/" + r.Tag.Device, Fields: fields(data)}
}

// codeOf is v as the code of a state; ok is false if it is no whole number.
func codeOf(v drivers.Value) (code int64, ok bool) {
	switch v.Type() {
	case drivers.TypeBool, drivers.TypeInt64, drivers.TypeUint64:
		return int64(v.Bits()), v.Type() != drivers.TypeUint64 || v.Bits() <= math.MaxInt64
	case drivers.TypeFloat32, drivers.TypeFloat64: // a scaled integer
		f, _ := v.Float()
		return int64(f), f == math.Trunc(f) && math.Abs(f) < 1<<53
	case drivers.TypeNone, drivers.TypeText:
	}
	return 0, false
}

// alike is f as a value of v's type, so that it reads as v does.
func alike(v drivers.Value, f float64) drivers.Value {
	switch v.Type() {
	case drivers.TypeFloat32:
		return drivers.Float32Value(float32(f))
	case drivers.TypeInt64:
		return drivers.IntValue(int64(f))
	case drivers.TypeUint64:
		return drivers.UintValue(uint64(f))
	case drivers.TypeNone, drivers.TypeBool, drivers.TypeFloat64, drivers.TypeText:
	}
	return drivers.Float64Value(f)
}
