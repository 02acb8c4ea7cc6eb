//go:build !linux

package main

import "github.com/millgate/millgate/uplink"

// clockStatus is unknown where the kernel can not be asked.
func clockStatus() uplink.ClockStatus { return uplink.ClockStatus{State: "unknown"} }
