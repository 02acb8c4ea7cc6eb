package collector

import (
	"context"
	"log/slog"
	"time"

	"github.com/millgate/millgate/drivers"
)

// Store takes what the collector has; buffer.Queue is one.
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
	Tags     []TagRule // in point-map order, as Driver.Read returns them
}

// TagRule is a tag with its report by exception.
type TagRule struct {
	Tag        *drivers.Tag
	OnChange   bool          // store only what differs by more than Deadband, or after MaxSilence
	Deadband   float64       // in the tag's unit; 0: any change
	MaxSilence time.Duration // 0: only the quarter-hour marks
}

// Config is what a Collector needs.
type Config struct {
	Devices  []Device
	Store    Store
	LastSeen map[string]int64 // when each device last answered before this start, ms since 1970 UTC
	Log      *slog.Logger
}

// Collector runs the poll loops.
type Collector struct{}

// New starts nothing.
func New(cfg Config) *Collector { panic("stub") }

// Run polls until ctx is done; it returns when every loop has ended and every driver is closed.
func (c *Collector) Run(ctx context.Context) error { panic("stub") }

// DeviceStatus is what the collector knows of one device.
type DeviceStatus struct {
	Device   string        `json:"device"`
	Up       bool          `json:"up"`
	Since    int64         `json:"since_t"`         // ms since 1970 UTC of the last change
	Cause    drivers.Cause `json:"cause,omitempty"` // of the last failure while not up
	Error    string        `json:"error,omitempty"` // in words
	Cycles   uint64        `json:"cycles"`
	Overruns uint64        `json:"overruns"`
}

// Snapshot may be called at any time.
func (c *Collector) Snapshot() []DeviceStatus { panic("stub") }
