package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millgate/millgate/drivers/modbus"
)

// testSerialReplug pulls the adapter of a serial line with three units and plugs it in again: within 5 s all of them are read again,
// the gateway does not burn the processor meanwhile, and the books balance.
func testSerialReplug(t *testing.T) {
	t.Parallel()
	const (
		units    = 3
		interval = time.Second
		gap      = 3 * time.Second
	)
	server := newServerOf(t, modbus.RTU)
	var devices strings.Builder
	for unit := 1; unit <= units; unit++ {
		count(t, server.Unit(uint8(unit)))
		devices.WriteString(counterDeviceAt(fmt.Sprint("meter-", unit), fmt.Sprintf("link: line-1, unit: %d", unit), interval))
	}
	port := filepath.Join(t.TempDir(), "ttyUSB0")
	links := fmt.Sprintf("links:\n  line-1: {endpoint: \"rtu://%s\", baud: 9600, parity: N, stop_bits: 1, timeout: 500ms}\n", port)
	b := newBroker(t)
	r := record(t, b)
	s := writeSite(t, t.TempDir(), "commit_interval: 1s", b.uplink()+links, devices.String())

	adapter := plugIn(t, port, server.Addr())
	gateway := s.run(t)
	awaitReadings(t, r, units, 0)
	time.Sleep(5 * interval)

	adapter.kill()
	_ = os.Remove(port) // as udev does; socat would have, had it been asked to end
	unplugged, spent := time.Now(), processorTime(t, gateway)
	time.Sleep(gap)
	if spent == 0 {
		t.Error("the gateway has used no processor time up to now: that can not be")
	}
	share := (processorTime(t, gateway) - spent).Seconds() / time.Since(unplugged).Seconds()

	plugIn(t, port, server.Addr())
	back := time.Now()
	after := awaitReadings(t, r, units, back.UnixMilli())
	t.Logf("unplugged for %v: %.1f %% of one core meanwhile; all %d units read again %v after the port returned",
		back.Sub(unplugged).Round(time.Millisecond), 100*share, units, after)
	if share >= 0.05 {
		t.Errorf("%.1f %% of one core while the port is gone; want less than 5", 100*share)
	}
	if after >= 5*time.Second {
		t.Errorf("read again after %v; want less than 5 s", after)
	}
	time.Sleep(3 * interval)
	stopCleanly(t, gateway)
	r.proveComplete(t, s.balance(t))
	for unit := 1; unit <= units; unit++ {
		id := fmt.Sprint("meter-", unit)
		r.proveLaw(t, id)
		if len(r.causes(id)) == 0 {
			t.Errorf("%s: no bad reading while the port was gone", id)
		}
	}
}

// plugIn makes a serial port behind which a server speaks RTU over TCP.
func plugIn(t *testing.T, port, address string) *process {
	t.Helper()
	p := start(t, peer(t, "socat"), "pty,raw,echo=0,link="+port+",ignoreeof", "tcp:"+address)
	awaitPort(t, port)
	return p
}

// awaitReadings waits until every unit has a good reading of since (ms since 1970) or later, and says how long after since the last of
// the first ones was taken.
func awaitReadings(t *testing.T, r *recorder, units int, since int64) (after time.Duration) {
	t.Helper()
	for unit := 1; unit <= units; unit++ {
		id := fmt.Sprint("meter-", unit)
		eventually(t, 30*time.Second, id+" is read", func() bool {
			for _, tick := range r.ticks(id, time.Millisecond) {
				if tick >= since {
					after = max(after, time.Duration(tick-since)*time.Millisecond)
					return true
				}
			}
			return false
		})
	}
	return after
}

// processorTime is what a process has used so far, by user and by system.
func processorTime(t *testing.T, p *process) time.Duration {
	t.Helper()
	const tick = 10 * time.Millisecond // USER_HZ is 100 on every Linux
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:])) // from the third on; see proc_pid_stat(5)
	user, err1 := strconv.Atoi(fields[14-3])
	system, err2 := strconv.Atoi(fields[15-3])
	if err1 != nil || err2 != nil {
		t.Fatalf("/proc/%d/stat: %q", p.cmd.Process.Pid, text)
	}
	return time.Duration(user+system) * tick
}
