package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/millgate/millgate/buffer"
	"github.com/millgate/millgate/drivers"
)

// testOPCUAHistory: what a server counted while the gateway was dead for 10 s, and while its worker was, comes from the server's
// history: once, with the server's own times.
func testOPCUAHistory(t *testing.T) {
	t.Parallel()
	const items, tick = 10, 500 * time.Millisecond
	server := startOPCUA(t, "--variables", fmt.Sprint(items), "--tick", fmt.Sprint(tick.Milliseconds()), "--history", fmt.Sprint(items))
	b := newBroker(t)
	r := record(t, b)
	s := writeSite(t, t.TempDir(), "commit_interval: 200ms", b.uplink(), opcuaDevice("c", server.endpoint(), plain, tick, ", sampling: 100ms", items))
	gateway := s.run(t)
	r.awaitValue(t, time.Minute, time.Now(), "c", "n0")
	time.Sleep(3 * time.Second)

	began := time.Now()
	gateway.kill()
	time.Sleep(10 * time.Second)
	gateway = s.run(t)
	e := r.awaitEvent(t, opcuaLimit, began, drivers.EventHistoryFilled)
	t.Logf("%v after the gateway was killed: %s", time.Since(began).Round(100*time.Millisecond), e.Text.EN)
	r.awaitValue(t, opcuaLimit, time.Now(), "c", "n0")
	time.Sleep(2 * time.Second)

	began = time.Now()
	killed := 0
	for time.Since(began) < 4*time.Second { // as often as it is started again: once alone would leave no gap
		for _, worker := range children(t, gateway.cmd.Process.Pid) {
			if syscall.Kill(worker, syscall.SIGKILL) == nil { // else it has ended
				killed++
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	if killed == 0 {
		t.Fatal("the gateway has no worker")
	}
	r.awaitEvent(t, opcuaLimit, began, drivers.EventWorker)
	e = r.awaitEvent(t, opcuaLimit, began, drivers.EventHistoryFilled)
	t.Logf("%v after the worker was killed, %d times: %s", time.Since(began).Round(100*time.Millisecond), killed, e.Text.EN)
	time.Sleep(3 * time.Second)

	last := uint32(server.number(t, "pause"))
	first := server.number(t, "start?")
	eventually(t, opcuaLimit, "the last value arrives", func() bool {
		all := r.values(t, "c", "n9")
		return len(all) > 0 && all[len(all)-1].n == last
	})
	stopCleanly(t, gateway)
	r.proveComplete(t, s.balance(t))
	for i := range items {
		proveHistory(t, r, fmt.Sprintf("n%d", i), first, tick)
	}
}

// proveHistory says that a counter's values came once, none missing, each with the time at which the server counted it.
func proveHistory(t *testing.T, r *recorder, tag string, first int64, tick time.Duration) {
	t.Helper()
	times := map[uint32][]int64{}
	lowest, highest := ^uint32(0), uint32(0)
	for _, v := range r.values(t, "c", tag) {
		times[v.n] = append(times[v.n], v.t)
		lowest, highest = min(lowest, v.n), max(highest, v.n)
	}
	for n := lowest; n <= highest; n++ {
		if len(times[n]) == 0 {
			t.Errorf("%s: %d is missing of %d to %d", tag, n, lowest, highest)
			continue
		}
		for i, at := range times[n] {
			if i > 0 && at == times[n][0] {
				t.Errorf("%s: %d came twice for %v", tag, n, time.UnixMilli(at))
			}
		}
		want := first + int64(n-1)*tick.Milliseconds()
		if drift := times[n][0] - want; n > lowest && (drift < -tick.Milliseconds() || drift > 5*tick.Milliseconds()) { // of a timer in a busy process
			t.Errorf("%s: %d has the time %v; the server counted it at about %v", tag, n, time.UnixMilli(times[n][0]), time.UnixMilli(want))
		}
	}
}

// children are the processes that another has started.
func children(t *testing.T, pid int) (out []int) {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if err != nil {
			continue // the thread has ended
		}
		for _, word := range strings.Fields(string(text)) {
			child, err := strconv.Atoi(word)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, child)
		}
	}
	return out
}

// testOPCUABrowse: a machine of OPC 40501-1 is found by its type, and the map that browse writes runs as it is.
func testOPCUABrowse(t *testing.T) {
	t.Parallel()
	server := startOPCUA(t, "--variables", "5", "--machine-tool")
	file := filepath.Join(t.TempDir(), "machine.csv")
	out, err := exec.Command(binary, "browse", server.endpoint(), "--policy", "None", "--mode", "None", "-o", file).CombinedOutput()
	if err != nil {
		t.Fatalf("browse: %v\n%s", err, out)
	}
	t.Logf("browse says:\n%s", out)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"数控车床01: OPC 40501-1", "\noperation_mode,", "\nprogram_state,"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the map does not have %q:\n%s", want, text)
		}
	}
	b := newBroker(t)
	r := record(t, b)
	s := writeSite(t, t.TempDir(), "commit_interval: 200ms", b.uplink(),
		fmt.Sprintf("- id: c\n  opcua: {endpoint: %q%s}\n  map: %q\n  interval: 1s\n", server.endpoint(), plain, file))
	gateway := s.run(t)
	for _, tag := range []string{"operation_mode", "program_state"} {
		r.awaitTag(t, opcuaLimit, "c", tag)
	}
	stopCleanly(t, gateway)
	r.proveComplete(t, s.balance(t))
	if causes := r.causes("c"); len(causes) > 0 {
		t.Errorf("readings of the browsed map are bad: %v", causes)
	}
}

// awaitTag waits for any value of a tag.
func (r *recorder) awaitTag(t *testing.T, within time.Duration, device, tag string) {
	t.Helper()
	eventually(t, within, "a value of "+device+"."+tag, func() bool {
		for _, b := range r.blocks(buffer.Readings) {
			for _, o := range b.Readings {
				if o.Device == device && o.Values[tag] != nil {
					return true
				}
			}
		}
		return false
	})
}
