package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/millgate/millgate/buffer"
)

// binary is the program under test, built once by TestE2E.
var binary string

// TestE2E runs the real binary as a process against foreign counterparts. MILLGATE_REQUIRE_PEERS=1 turns the skip of a test whose
// counterpart is not installed into a failure; scripts/test installs them all.
func TestE2E(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes; runs without -short")
	}
	binary = filepath.Join(t.TempDir(), "millgate")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	tests := []struct {
		name string
		run  func(*testing.T)
	}{
		{"Startup", testStartup}, // before the others make the box busy
		{"BrokerOutage", testBrokerOutage},
		{"DiskFull", testDiskFull},
		{"Kill", testKill},
		{"WrongPassword", testWrongPassword},
		{"ModbusFaults", testModbusFaults},
		{"DurableBeforePublished", testDurableBeforePublished},
		{"AuditKPIs", testAuditKPIs},
		{"Sigterm", testSigterm},
		{"SecondGateway", testSecondGateway},
		{"SerialReplug", testSerialReplug},
		{"OPCUASecurity", testOPCUASecurity},
		{"OPCUARefusals", testOPCUARefusals},
		{"OPCUACuts", testOPCUACuts},
		{"OPCUAOverflow", testOPCUAOverflow},
		{"OPCUAFaults", testOPCUAFaults},
		{"OPCUAHistory", testOPCUAHistory},
		{"OPCUABrowse", testOPCUABrowse},
		{"ProbePymodbus", probes(startPymodbus, "tcp", "rtu", "rtu+tcp", "ascii", "ascii+tcp")},
		{"ProbeLibmodbus", probes(startLibmodbus, "tcp", "rtu")},
	}
	for _, test := range tests {
		t.Run(test.name, test.run)
	}
}

// testStartup measures what a user waits for each time the program is called.
func testStartup(t *testing.T) {
	fastest := time.Hour
	for range 5 {
		began := time.Now()
		if out, err := exec.Command(binary, "version").CombinedOutput(); err != nil {
			t.Fatalf("version: %v\n%s", err, out)
		}
		fastest = min(fastest, time.Since(began))
	}
	t.Logf("starts in %v", fastest)
	if fastest > 500*time.Millisecond {
		t.Errorf("starts in %v; want less than 0.5 s", fastest)
	}
}

// process is a program that a test has started; it ends with the test.
type process struct {
	cmd   *exec.Cmd
	log   *output
	ended chan struct{}
}

// start runs a program. What it wrote is shown if the test fails.
func start(t *testing.T, name string, args ...string) *process {
	t.Helper()
	return startCommand(t, exec.Command(name, args...))
}

// startCommand is start with what else the command needs.
func startCommand(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, log: new(output), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // its result is read from ProcessState
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s:\n%s", strings.Join(cmd.Args, " "), p.log.tail(40))
		}
	})
	return p
}

// kill ends it as a power cut would.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.ended
}

// stop asks it to end, as an init system does; it is the exit code and the time taken. A process that does not end within 30 s is
// killed and has the code -1.
func (p *process) stop() (code int, took time.Duration) {
	began := time.Now()
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	select {
	case <-p.ended:
	case <-time.After(30 * time.Second):
		p.kill()
	}
	return p.cmd.ProcessState.ExitCode(), time.Since(began)
}

func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// output gathers what a process writes.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// lines counts the lines that match.
func (o *output) lines(pattern string) int {
	return len(regexp.MustCompile("(?m)^.*"+pattern+".*$").FindAllString(o.String(), -1))
}

func (o *output) tail(n int) string {
	lines := strings.Split(strings.TrimSpace(o.String()), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// eventually fails the test if ok stays false for so long.
func eventually(t *testing.T, within time.Duration, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after %v still not: %s", within, what)
		}
	}
}

var lastPort atomic.Int64

// freePort is a port of 127.0.0.1 below the range that outgoing connections use.
func freePort(t *testing.T) int {
	t.Helper()
	lastPort.CompareAndSwap(0, 22000+rand.Int64N(8000))
	for range 500 {
		port := int(lastPort.Add(1))
		l, err := net.Listen("tcp", local(port))
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return port
	}
	t.Fatal("no free port")
	return 0
}

func local(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// site is a site.yaml with one data_dir.
type site struct {
	file string
	dir  string // data_dir
}

// writeSite makes a site whose devices and uplink (at broker, with its user gateway) are given as YAML.
func writeSite(t *testing.T, dataDir, queue, uplink, devices string) site {
	t.Helper()
	s := site{file: filepath.Join(t.TempDir(), "site.yaml"), dir: dataDir}
	text := fmt.Sprintf("site: {id: test-site}\ngateway: {id: gw-01, data_dir: %s, timezone: Asia/Shanghai}\nbuffer: {%s}\n%sdevices:\n%s",
		dataDir, queue, uplink, devices)
	if err := os.WriteFile(s.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// run starts the gateway.
func (s site) run(t *testing.T) *process {
	t.Helper()
	return start(t, binary, "run", s.file)
}

// status is what the queue says of itself, by the command.
func (s site) status(t *testing.T) buffer.Snapshot {
	t.Helper()
	out, err := exec.Command(binary, "buffer", "status", s.file, "--output", "json").Output()
	if err != nil {
		t.Fatalf("buffer status: %v", explain(err))
	}
	var snapshot buffer.Snapshot
	if err := json.Unmarshal(out, &snapshot); err != nil {
		t.Fatalf("buffer status: %v\n%s", err, out)
	}
	return snapshot
}

// balance is status, with the ledger proven.
func (s site) balance(t *testing.T) buffer.Snapshot {
	t.Helper()
	snapshot := s.status(t)
	for _, wrong := range snapshot.Ledger.Imbalances() {
		t.Errorf("ledger: %s", wrong)
	}
	return snapshot
}

// stopCleanly stops the gateway as an init system does.
func stopCleanly(t *testing.T, gateway *process) {
	t.Helper()
	code, took := gateway.stop()
	t.Logf("SIGTERM: stopped in %v", took.Round(time.Millisecond))
	if code != 0 || took > 5*time.Second {
		t.Errorf("SIGTERM: exit %d after %v; want 0 within 5 s", code, took)
	}
}

// explain adds what a command said to the error it ended with.
func explain(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	return err
}

// peer is the path of a counterpart's program.
func peer(t *testing.T, name string) string {
	t.Helper()
	for _, candidate := range []string{name, "/usr/sbin/" + name, "/sbin/" + name} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	missingPeer(t, name+" is not installed")
	return ""
}

func missingPeer(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("MILLGATE_REQUIRE_PEERS") == "1" {
		t.Fatalf("%s; scripts/test installs it", why)
	}
	t.Skipf("%s; scripts/test installs it", why)
}
