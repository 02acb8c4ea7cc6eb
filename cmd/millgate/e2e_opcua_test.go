package main_test

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/millgate/millgate/buffer"
	"github.com/millgate/millgate/drivers"
)

// opcuaServer is a node-opcua of scripts/peers, a process that a test drives over its standard input.
type opcuaServer struct {
	pki  string // folder of its certificates
	port int
	args []string

	*process
	stdin io.Writer
	asked int
}

const plantNamespace = "http://millgate.example/plant"

// startOPCUA starts a server with the options of node-opcua.js.
func startOPCUA(t *testing.T, args ...string) *opcuaServer {
	t.Helper()
	s := &opcuaServer{pki: t.TempDir(), port: freePort(t), args: args}
	s.start(t)
	return s
}

// starting lets one server start at a time: it takes four seconds of a processor.
var starting sync.Mutex

// start starts it, again on the same port; more is added to its options.
func (s *opcuaServer) start(t *testing.T, more ...string) {
	t.Helper()
	node := peer(t, "node")
	script := filepath.Join(peersDir, "node-opcua.js")
	if _, err := os.Stat(filepath.Join(peersDir, "node_modules/node-opcua")); err != nil {
		missingPeer(t, "node-opcua is not installed")
	}
	cmd := exec.Command(node, append(append([]string{script, "--port", strconv.Itoa(s.port), "--pki", s.pki}, s.args...), more...)...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	starting.Lock()
	defer starting.Unlock()
	s.stdin, s.asked, s.process = stdin, 0, startCommand(t, cmd)
	eventually(t, time.Minute, "node-opcua is ready", func() bool {
		if !s.running() {
			t.Fatal("node-opcua ended")
		}
		return s.log.lines("^READY ") > 0
	})
}

var answered = regexp.MustCompile(`(?m)^(ok|error) \S+ ?(.*)$`)

// ask gives it a command and returns the answer.
func (s *opcuaServer) ask(t *testing.T, command string) string {
	t.Helper()
	if _, err := fmt.Fprintln(s.stdin, command); err != nil {
		t.Fatalf("node-opcua: %s: %v", command, err)
	}
	var answers [][]string
	eventually(t, 30*time.Second, "node-opcua answers to "+command, func() bool {
		answers = answered.FindAllStringSubmatch(s.log.String(), -1)
		return len(answers) > s.asked
	})
	answer := answers[s.asked]
	s.asked++
	if answer[1] != "ok" {
		t.Fatalf("node-opcua: %s: %s", command, answer[2])
	}
	return answer[2]
}

// number is ask for an answer that is one.
func (s *opcuaServer) number(t *testing.T, command string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(s.ask(t, command), 10, 64)
	if err != nil {
		t.Fatalf("node-opcua: %s: %v", command, err)
	}
	return n
}

// signal freezes it with SIGSTOP and lets it go on with SIGCONT.
func (s *opcuaServer) signal(t *testing.T, sig syscall.Signal) {
	t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

func (s *opcuaServer) endpoint() string { return opcuaURL(s.port) }

func opcuaURL(port int) string { return fmt.Sprintf("opc.tcp://%s/UA/test", local(port)) }

// certificate is the DER of the certificate that it has made itself.
func (s *opcuaServer) certificate(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.pki, "server/own/certs/certificate.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatalf("node-opcua's certificate: %q", text)
	}
	return block.Bytes
}

// opcuaSite is a site of one device, c, that reads n counters; security is what stands beside the endpoint.
func opcuaSite(t *testing.T, dataDir, uplink, endpoint, security string, interval time.Duration, n int) site {
	t.Helper()
	return writeSite(t, dataDir, "commit_interval: 200ms", uplink, opcuaDevice("c", endpoint, security, interval, "", n))
}

// opcuaDevice is the YAML of a device that reads n counters; more is what else each point has.
func opcuaDevice(id, endpoint, security string, interval time.Duration, more string, n int) string {
	var out strings.Builder
	fmt.Fprintf(&out, "- id: %s\n  opcua: {endpoint: %q%s}\n  interval: %v\n  points:\n", id, endpoint, security, interval)
	for i := range n {
		fmt.Fprintf(&out, "  - {name: n%d, node: \"nsu=%s;s=Counter.%d\", type: uint32%s}\n", i, plantNamespace, i, more)
	}
	return out.String()
}

const (
	plain     = ", security_policy: None, security_mode: None"
	encrypted = ", security_policy: Basic256Sha256, security_mode: SignAndEncrypt"
)

// trust puts a server's certificate where the gateway of the site looks for those that it trusts.
func (s site) trust(t *testing.T, der []byte) {
	t.Helper()
	dir := filepath.Join(s.dir, "opcua/trusted")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "server.der"), der, 0o600); err != nil {
		t.Fatal(err)
	}
}

// passwordFile is a file with a password in it.
func passwordFile(t *testing.T, password string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// wire is a connection that can be cut: what is connected to its port is passed on to another port.
type wire struct {
	port, to int

	mu       sync.Mutex
	listener net.Listener // nil while it is cut
	open     map[net.Conn]bool
	running  sync.WaitGroup
}

func newWire(t *testing.T, to int) *wire {
	t.Helper()
	w := &wire{port: freePort(t), to: to, open: map[net.Conn]bool{}}
	w.mend(t)
	t.Cleanup(func() { w.cut(); w.running.Wait() })
	return w
}

// mend takes connections again. A process that is being started holds the port for a moment longer, as a copy of what was open here.
func (w *wire) mend(t *testing.T) {
	t.Helper()
	var listener net.Listener
	eventually(t, 10*time.Second, "the port is free again", func() (ok bool) {
		var err error
		listener, err = net.Listen("tcp", local(w.port))
		return err == nil
	})
	w.mu.Lock()
	w.listener = listener
	w.mu.Unlock()
	w.running.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", local(w.to))
			if err != nil {
				_ = near.Close() // there is nobody
				continue
			}
			w.join(near, far)
		}
	})
}

func (w *wire) join(near, far net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range [][2]net.Conn{{near, far}, {far, near}} {
		w.open[c[0]] = true
		w.running.Go(func() {
			_, _ = io.Copy(c[1], c[0]) // until either is closed
			_, _ = c[0].Close(), c[1].Close()
			w.mu.Lock()
			delete(w.open, c[0])
			w.mu.Unlock()
		})
	}
	if w.listener == nil { // cut meanwhile
		_, _ = near.Close(), far.Close()
	}
}

// cut breaks all connections, with a reset, and refuses others.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.listener != nil {
		_ = w.listener.Close() // nothing to lose
		w.listener = nil
	}
	for c := range w.open {
		_ = c.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
	}
}

// reading is one value that a subscriber received.
type reading struct {
	n         uint32
	t         int64 // ms since 1970 UTC
	uncertain bool
}

// values are the readings of a counter in the order in which they were stored.
func (r *recorder) values(t *testing.T, device, tag string) (out []reading) {
	t.Helper()
	for _, b := range r.blocks(buffer.Readings) {
		for _, o := range b.Readings {
			raw := o.Values[tag]
			if o.Device != device || raw == nil {
				continue
			}
			_, uncertain := o.Uncertain[tag]
			v := reading{t: o.Time, uncertain: uncertain}
			if err := json.Unmarshal(raw, &v.n); err != nil {
				t.Fatalf("%s.%s: %s: %v", device, tag, raw, err)
			}
			out = append(out, v)
		}
	}
	return out
}

// awaitEvent waits for an event of the kind that happened at or after since with one of the causes, if any are given.
func (r *recorder) awaitEvent(t *testing.T, within time.Duration, since time.Time, kind drivers.EventKind, causes ...drivers.Cause) drivers.Event {
	t.Helper()
	var found drivers.Event
	eventually(t, within, fmt.Sprintf("an event %s %v", kind, causes), func() bool {
		for _, b := range r.blocks(buffer.Events) {
			for _, e := range b.Events {
				if e.Kind == kind && e.Time >= since.UnixMilli() && (len(causes) == 0 || slices.Contains(causes, e.Cause)) {
					found = e
					return true
				}
			}
		}
		return false
	})
	return found
}

// awaitValue waits for a reading of the tag taken at or after since.
func (r *recorder) awaitValue(t *testing.T, within time.Duration, since time.Time, device, tag string) {
	t.Helper()
	eventually(t, within, "a new value of "+device+"."+tag, func() bool {
		all := r.values(t, device, tag)
		return len(all) > 0 && all[len(all)-1].t >= since.UnixMilli()
	})
}
