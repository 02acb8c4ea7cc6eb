// Package collector polls devices on time and hands what they say to a store.
//
// It owns the schedule, the inspection of values, report by exception, the tag "up" of each device, and the account of each cycle.
//
// Invariants:
//  1. Ticks are the multiples of a group's interval since 1970 UTC, as the wall clock stood when Run began, on the monotonic clock
//     from then on: groups of equal interval tick at the same instant, and a later step of the wall clock moves no tick.
//  2. Cycles of a group never overlap: a Read ends by the next tick, and ticks that pass meanwhile are counted as overrun.
//  3. Every reading is accounted for once: in each Append, Due = Good + Bad + Skipped, and Good + Bad + Own = Suppressed + the
//     number of readings handed over. A polled group owes a reading per tag and tick; a subscribed one what its device had to tell.
//  4. Unless the store refuses, whoever holds the last stored reading of each tag knows its quality and cause, and its value to
//     within the deadband; what was refused is stored with the next cycle.
//  5. What one device or its driver does wrong touches its own groups only.
//  6. Inspection changes no value: it lowers a quality and tells an event.
//
// Is: when to ask, what of the answer is to be doubted and what is worth storing, whether a device answers. Is not: a protocol, a back-off (drivers know
// when to leave a device alone), a queue, a ledger of totals.
package collector

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/millgate/millgate/collector/kpi"
	"github.com/millgate/millgate/drivers"
)

// Store takes what the collector has; buffer.Queue is one. It is called by several poll loops at once.
type Store interface {
	// Append takes them into the open block without waiting for the disk, and copies what it keeps. An error says that the readings
	// were refused (and counted by the store); events and accounts are always taken.
	Append([]drivers.Reading, []drivers.Event, []drivers.Cycle) (pos uint64, err error)
	// Durable is the position up to which everything survives a power cut.
	Durable() uint64
}

// Device is one device with its poll groups.
type Device struct {
	ID     string
	Up     *drivers.Tag
	Groups []Group
}

// Group is the tags of one device that share an interval: one loop and one Driver.
type Group struct {
	Interval time.Duration
	Driver   drivers.Driver
	Tags     []TagRule // in point-map order, as Driver.Read returns them: one reading of each per Read
}

// TagRule is a tag with its report by exception. Whatever the rule, a tag is stored at every quarter-hour mark, and a failure that
// lasts is stored once and at the marks.
type TagRule struct {
	Tag        *drivers.Tag
	OnChange   bool          // store only what differs by more than Deadband, or after MaxSilence
	Deadband   float64       // in the tag's unit; 0: any change; without meaning for bool, text and states
	MaxSilence time.Duration // 0: only the quarter-hour marks

	States  []StateText      // what the codes of a state mean; empty: nobody said
	Alarms  []Alarm          // the bits of the value that tell of a trouble
	Counter *kpi.CounterRule // how a counter counts; nil: it is none
	Expect  *Expectation     // the value that the tag should have; nil: any
}

// StateText is the meaning of one code of a state.
type StateText struct {
	Code int64
	Text drivers.EventText
}

// Alarm is a bit of a tag's value, the lowest being 0, that is set while something is wrong.
type Alarm struct {
	Bit      uint8
	Severity drivers.Severity
	Text     drivers.EventText
}

// Expectation is a parameter of the site of which the device holds a value of its own in this tag.
type Expectation struct {
	Param string
	Value float64 // what the site says
}

// Config is what a Collector needs.
type Config struct {
	Devices  []Device
	Store    Store
	LastSeen map[string]int64 // when each device last answered before this start, ms since 1970 UTC
	Log      *slog.Logger     // nil: slog.Default
}

// Collector runs the poll loops.
type Collector struct {
	devices  []*device
	loops    []*loop
	lastSeen map[string]int64
	wall     func() time.Time // what time stamps and quarter-hour marks are taken from
}

// New starts nothing.
func New(cfg Config) *Collector {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	c := &Collector{lastSeen: cfg.LastSeen, wall: time.Now}
	out := &outlet{store: cfg.Store, log: cfg.Log}
	for _, d := range cfg.Devices {
		dev := newDevice(d, cfg.Log)
		c.devices = append(c.devices, dev)
		for _, g := range d.Groups {
			c.loops = append(c.loops, newLoop(dev, g, out))
		}
	}
	return c
}

// Run polls until ctx is done; it returns when every loop has ended and every driver is closed. It must be called once. The error
// says that a group can not be polled because its interval is not positive; nothing was polled then.
func (c *Collector) Run(ctx context.Context) error {
	if err := c.check(); err != nil {
		for _, l := range c.loops {
			l.close()
		}
		return err
	}
	clock := newClock(time.Now(), c.wall)
	alive := lastAlive(c.lastSeen, clock.origin)
	var running sync.WaitGroup
	for _, l := range c.loops {
		l.clock = clock
		if seen := fromMillis(c.lastSeen[l.device.status.Device]); l.subscription == nil && seen > 0 && seen < clock.origin {
			first := tickAfter(clock.origin, l.group.Interval)
			l.downtime = ticksBetween(alive, first, l.group.Interval) * uint64(len(l.group.Tags))
		}
		running.Go(func() { l.run(ctx) })
	}
	running.Wait()
	return nil
}

func (c *Collector) check() error {
	for _, l := range c.loops {
		if l.group.Interval <= 0 {
			return fmt.Errorf("device %q: can not poll every %v: give its tags an interval above zero", l.device.status.Device, l.group.Interval)
		}
	}
	return nil
}

// DeviceStatus is what the collector knows of one device. Before the first answer or failure Up is false and Since is 0.
type DeviceStatus struct {
	Device   string        `json:"device"`
	Up       bool          `json:"up"`
	Since    int64         `json:"since_t"`         // ms since 1970 UTC of the last change
	Cause    drivers.Cause `json:"cause,omitempty"` // of the last failure while not up
	Error    string        `json:"error,omitempty"` // in words
	Cycles   uint64        `json:"cycles"`          // calls of Read, over all groups
	Overruns uint64        `json:"overruns"`        // ticks that passed while a cycle was still running
}

// Snapshot is the status of every device, in the order of the configuration. It may be called at any time.
func (c *Collector) Snapshot() []DeviceStatus {
	out := make([]DeviceStatus, 0, len(c.devices))
	for _, d := range c.devices {
		out = append(out, d.snapshot())
	}
	return out
}
