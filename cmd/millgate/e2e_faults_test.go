package main_test

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millgate/millgate/buffer"
	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/modbus/modbussim"
)

// testModbusFaults gives each of several devices one fault: it is told as the cause of that device's bad readings, and the healthy
// ones are read on every tick.
func testModbusFaults(t *testing.T) {
	t.Parallel()
	faulty := func(f modbussim.Fault) string {
		server := newCounter(t)
		server.Unit(1).Fault(f)
		return server.Addr()
	}
	tests := []struct {
		id, address string
		causes      []drivers.Cause // any of these, and no other
	}{
		{"unreachable", "255.255.255.255:502", []drivers.Cause{drivers.CauseUnreachable}},
		{"refusing", local(freePort(t)), []drivers.Cause{drivers.CauseRefused}},
		{"late", faulty(modbussim.Fault{Kind: modbussim.Late, Delay: 1500 * time.Millisecond}), []drivers.Cause{drivers.CauseTimeout}},
		{"never", faulty(modbussim.Fault{Kind: modbussim.Never}), []drivers.Cause{drivers.CauseTimeout}},
		{"wrong-id", faulty(modbussim.Fault{Kind: modbussim.WrongID}), []drivers.Cause{drivers.CauseTimeout}},
		{"other-unit", faulty(modbussim.Fault{Kind: modbussim.WrongUnit}), []drivers.Cause{drivers.CauseTimeout, drivers.CauseGarbled}},
		{"exception", faulty(modbussim.Fault{Kind: modbussim.Exception, Code: 4}), []drivers.Cause{drivers.ModbusException(4)}},
		{"short", faulty(modbussim.Fault{Kind: modbussim.Short}), []drivers.Cause{drivers.CauseGarbled}},
		{"garbled", faulty(modbussim.Fault{Kind: modbussim.Garbled}), []drivers.Cause{drivers.CauseGarbled}},
		{"reset", faulty(modbussim.Fault{Kind: modbussim.Reset}), []drivers.Cause{drivers.CauseLost}},
	}
	var devices strings.Builder
	for _, test := range tests {
		devices.WriteString(counterDevice(test.id, test.address, time.Second))
	}
	healthy := []string{"healthy-1", "healthy-2", "healthy-3"}
	for _, id := range healthy {
		devices.WriteString(counterDevice(id, newCounter(t).Addr(), time.Second))
	}
	b := newBroker(t)
	r := record(t, b)
	s := writeSite(t, t.TempDir(), "commit_interval: 1s", b.uplink(), devices.String())
	gateway := s.run(t)
	time.Sleep(20 * time.Second)
	stopCleanly(t, gateway)

	snapshot := s.balance(t)
	r.proveComplete(t, snapshot)
	for _, test := range tests {
		causes := r.causes(test.id)
		for cause := range causes {
			if !slices.Contains(test.causes, cause) {
				t.Errorf("%s: bad with cause %s; want %v", test.id, cause, test.causes)
			}
		}
		if len(causes) == 0 {
			t.Errorf("%s: no bad reading", test.id)
		}
		if n := len(r.ticks(test.id, time.Second)); n > 0 {
			t.Errorf("%s: %d good readings", test.id, n)
		}
	}
	for _, id := range healthy {
		r.proveEveryTick(t, id, time.Second)
		if n := len(r.ticks(id, time.Second)); n < 17 {
			t.Errorf("%s: readings at %d ticks in 20 s", id, n)
		}
		if causes := r.causes(id); len(causes) > 0 {
			t.Errorf("%s: bad readings %v", id, causes)
		}
	}
	for _, d := range snapshot.Ledger.Devices {
		if n := d.Skipped[drivers.CauseOverrun]; n > 0 && slices.Contains(healthy, d.Device) {
			t.Errorf("%s: %d readings lost to overruns", d.Device, n)
		}
	}
}

// testSigterm: a stop commits what the next commit would only have brought in ten seconds.
func testSigterm(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	r := record(t, b)
	s := writeSite(t, t.TempDir(), "commit_interval: 10s", b.uplink(), counterDevice("counter", newCounter(t).Addr(), 100*time.Millisecond))
	gateway := s.run(t)
	time.Sleep(5 * time.Second)
	asked := time.Now()
	stopCleanly(t, gateway)
	snapshot := s.balance(t)
	r.proveComplete(t, snapshot)
	r.proveEveryTick(t, "counter", 100*time.Millisecond)
	if age := asked.UnixMilli() - r.newest(); age > 300 {
		t.Errorf("the last reading is %d ms older than SIGTERM; want all, ten a second", age)
	}
	if n := r.count(buffer.Events); n == 0 {
		t.Error("no event tells of start and stop")
	}
}

// testSecondGateway: two gateways on one queue would tear it apart; the second is refused and the first goes on.
func testSecondGateway(t *testing.T) {
	t.Parallel()
	s := writeSite(t, t.TempDir(), "commit_interval: 1s", "", counterDevice("counter", newCounter(t).Addr(), time.Second))
	first := s.run(t)
	time.Sleep(2 * time.Second)
	began := time.Now()
	out, err := exec.Command(binary, "run", s.file).CombinedOutput()
	code := 0
	if err != nil {
		code = err.(*exec.ExitError).ExitCode()
	}
	if code != 1 || time.Since(began) > 10*time.Second {
		t.Errorf("the second gateway: exit %d after %v; want 1 at once", code, time.Since(began))
	}
	for _, want := range []string{s.dir, fmt.Sprintf("process %d", first.cmd.Process.Pid)} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the second gateway says %q; want it to name %q", out, want)
		}
	}
	if !first.running() {
		t.Error("the first gateway ended")
	}
	stopCleanly(t, first)
}
