package main

import (
	"golang.org/x/sys/unix"

	"github.com/millgate/millgate/uplink"
)

// clockStatus is what the kernel knows of its clock: adjtimex(2).
func clockStatus() uplink.ClockStatus {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return uplink.ClockStatus{State: "unknown"}
	}
	perMilli := int64(1e3) // t.Offset is in microseconds
	if t.Status&unix.STA_NANO != 0 {
		perMilli = 1e6
	}
	status := uplink.ClockStatus{State: "synced", Offset: int64(t.Offset) / perMilli}
	if state == unix.TIME_ERROR || t.Status&unix.STA_UNSYNC != 0 {
		status.State = "unsynced"
	}
	return status
}
