// Package drivers holds the nouns that every room of millgate shares, and the contract of a protocol driver.
//
// Invariants:
//  1. A Reading's Value is never NaN, infinite or invalid UTF-8; what a device says of that kind is Bad with a Cause.
//  2. A Tag is immutable once made and is compared by its address; everything static about it stands in the catalogue.
//  3. Times are Unix milliseconds UTC, truncated when they are made.
//
// Is: types, their exact text forms, and the driver contract. Is not: a protocol, a store, a clock, a configuration.
// It imports the standard library only.
package drivers

import (
	"context"
	"errors"
	"time"
)

// Kind says how a tag's values behave over time.
type Kind uint8

// The kinds of tag. A gauge moves freely; a counter only rises but for rollover, reset and meter swap; a state is one of
// a few codes; text is text.
const (
	Gauge Kind = iota
	Counter
	State
	Text
)

var kindNames = [...]string{Gauge: "gauge", Counter: "counter", State: "state", Text: "text"}

func (k Kind) String() string { return nameOf(kindNames[:], int(k)) }

// ParseKind is the inverse of Kind.String; ok is false for any other word.
func ParseKind(s string) (k Kind, ok bool) {
	for i, n := range kindNames {
		if n == s {
			return Kind(i), true
		}
	}
	return 0, false
}

// Tag is one named value of one device. It is static and shared by address.
type Tag struct {
	Device string // the device's id
	Name   string // unique within the device
	Index  int    // position among all tags of the gateway, in catalogue order, from 0
	Unit   string // UCUM, e.g. "V", "kW.h"; empty for a pure number
	Kind   Kind
	Type   Type // what every good reading of the tag holds
}

func (t *Tag) String() string { return t.Device + "/" + t.Name }

// Quality grades a reading with the three severities of OPC UA (Part 8, 6.3.1 and Part 4, 7.39). The zero value is Bad, so that
// a reading nobody filled in can not pass for a good one.
type Quality uint8

// The qualities, in rising order of trust.
const (
	Bad Quality = iota
	Uncertain
	Good
)

var qualityNames = [...]string{Bad: "bad", Uncertain: "uncertain", Good: "good"}

func (q Quality) String() string { return nameOf(qualityNames[:], int(q)) }

// Reading is one value of one tag at one time.
type Reading struct {
	Tag        *Tag
	Value      Value // the zero Value if Quality is Bad
	Quality    Quality
	Cause      Cause // why it is not Good; empty if it is
	Time       int64 // ms since 1970 UTC: the device's stamp where it is believed, else ours
	SourceTime int64 // ms since 1970 UTC: the device's stamp where it was not believed; else 0
}

// BadReading is a reading without a value and with its reason.
func BadReading(tag *Tag, cause Cause, at int64) Reading {
	return Reading{Tag: tag, Quality: Bad, Cause: cause, Time: at}
}

// Millis is t in Unix milliseconds UTC, truncated: the only way in which millgate makes a Reading's time.
func Millis(t time.Time) int64 { return t.UnixMilli() }

// Driver is the client side of one device for one poll group.
type Driver interface {
	// Read appends to dst everything new since the last call, in point-map order, and returns the extended slice.
	//
	// A tag that the device refused is a Reading with Bad quality and a Cause, and no error. An error means that the device did
	// not answer at all: it carries its Cause (see CauseOf), nothing was appended, and the caller makes the bad readings. The
	// cause CauseBackOff means that nothing was sent. Read connects when needed, is never called concurrently, and returns by
	// ctx's deadline. The caller owns dst before and after the call.
	Read(ctx context.Context, dst []Reading) ([]Reading, error)
	// Close releases what the driver holds; no Read may follow.
	Close() error
}

// Committer is what a Driver also implements if its device keeps data until it is told that they are safe.
type Committer interface {
	// Committed says that the readings of the first `reads` calls of Read are durable or were suppressed on purpose. The poll
	// loop calls it just before a Read, never concurrently with one.
	Committed(reads uint64)
}

// Subscriber is what a Driver also implements if its device tells by itself what has changed. Its Read returns what came since the last
// call: of each tag none, one or several readings, oldest first, those of one device time in point-map order. A tag that is not among them
// still holds its last value, unless Read fails; CauseBackOff means that nobody knows yet. Nothing is due by the schedule then, only what
// the device had to tell: what was received, and what Lost says.
type Subscriber interface {
	// Lost appends to dst what the device had to tell and will never come, since the last call. The poll loop calls it after each Read,
	// never concurrently with one.
	Lost(dst []CauseCount) []CauseCount
}

// Reporter is what a Driver also implements if it has more to tell than readings.
type Reporter interface {
	// Events appends to dst what happened since the last call. The poll loop calls it after each Read, never concurrently with one.
	Events(dst []Event) []Event
}

// Error is a failure with the Cause under which it is counted and published.
type Error struct {
	Cause Cause
	Err   error // what happened, for a person
}

func (e *Error) Error() string { return e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

// CauseOf is the Cause that err carries: of the Error in its chain, CauseTimeout for a deadline, else CauseInternal.
func CauseOf(err error) Cause {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e.Cause
	case errors.Is(err, context.DeadlineExceeded):
		return CauseTimeout
	default:
		return CauseInternal
	}
}

func nameOf(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return "invalid"
}
