package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/millgate/millgate/buffer"
	"github.com/millgate/millgate/drivers"
)

// house is everything that runs during a measurement.
type house struct {
	dir       string
	plant     string // the layout of a device
	interval  time.Duration
	broker    string // host:port
	addresses []string
	simulator int    // its process
	queue     string // data_dir
	loop      string // its block device below /sys/block, empty without one

	mu   sync.Mutex
	undo []func() error // what close does, the last first
}

func newHouse(plant string, interval time.Duration) (*house, error) {
	dir, err := os.MkdirTemp("", "millgate-bench-")
	if err != nil {
		return nil, err
	}
	h := &house{dir: dir, plant: plant, interval: interval, queue: filepath.Join(dir, "queue")}
	h.onClose(func() error { return os.RemoveAll(dir) })
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-interrupted
		if err := h.close(); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
		os.Exit(1)
	}()
	return h, nil
}

func (h *house) onClose(undo func() error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.undo = append(h.undo, undo)
}

// close ends and removes everything; an interrupt calls it too.
func (h *house) close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var errs []error
	for i := len(h.undo) - 1; i >= 0; i-- {
		errs = append(errs, h.undo[i]())
	}
	h.undo = nil
	return errors.Join(errs...)
}

// start builds the gateway, makes the disk and starts the simulator.
func (h *house) start() error {
	if err := h.build(); err != nil {
		return err
	}
	if os.Getuid() == 0 {
		if err := h.mount(); err != nil {
			fmt.Println("the disk is not measured:", err)
		}
	}
	simulator := exec.Command(os.Args[0], "-role", "simulator", "-layout", h.plant, "-interval", h.interval.String())
	pipe, err := simulator.StdoutPipe()
	if err != nil {
		return err
	}
	if err := h.run(simulator); err != nil {
		return err
	}
	h.simulator = simulator.Process.Pid
	line, err := bufio.NewReaderSize(pipe, 1<<16).ReadString('\n')
	if err != nil {
		return fmt.Errorf("simulator: %w", err)
	}
	h.addresses = strings.Fields(line)
	return nil
}

func (h *house) build() error {
	return command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", h.path("millgate"), "./cmd/millgate")
}

func (h *house) path(name string) string { return filepath.Join(h.dir, name) }

// mount puts the queue on an ext4 of its own.
func (h *house) mount() error {
	image, at := h.path("image"), h.path("disk")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		return err
	}
	if err := errors.Join(os.Truncate(image, 1<<30), os.Mkdir(at, 0o700)); err != nil {
		return err
	}
	if err := command("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", image); err != nil {
		return err
	}
	if err := command("mount", "-o", "loop", image, at); err != nil {
		return err
	}
	h.onClose(func() error { return command("umount", at) })
	out, err := exec.Command("findmnt", "-no", "SOURCE", at).Output()
	if err != nil {
		return fmt.Errorf("findmnt: %w", err)
	}
	h.loop, h.queue = filepath.Base(strings.TrimSpace(string(out))), filepath.Join(at, "queue")
	return nil
}

func (h *house) startBroker() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	h.broker = listener.Addr().String()
	_, port, _ := strings.Cut(h.broker, ":")
	conf := fmt.Sprintf("listener %s 127.0.0.1\nallow_anonymous true\npersistence false\nlog_dest none\n", port)
	if err := errors.Join(listener.Close(), os.WriteFile(h.path("mosquitto.conf"), []byte(conf), 0o644), os.Chmod(h.dir, 0o755)); err != nil {
		return err
	}
	mosquitto, err := exec.LookPath("mosquitto")
	if err != nil {
		mosquitto = "/usr/sbin/mosquitto"
	}
	if err := h.run(exec.Command(mosquitto, "-c", h.path("mosquitto.conf"))); err != nil {
		return fmt.Errorf("%w (scripts/test installs mosquitto)", err)
	}
	for range 100 {
		conn, err := net.Dial("tcp", h.broker)
		if err == nil {
			return conn.Close()
		}
		time.Sleep(50 * time.Millisecond)
	}
	return errors.New("mosquitto does not accept connections")
}

// run starts a process that ends with the house.
func (h *house) run(cmd *exec.Cmd) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	h.onClose(func() error {
		_ = cmd.Process.Kill() // it may have ended by itself
		_ = cmd.Wait()         // killed
		return nil
	})
	return nil
}

// bare is the cost of the bare loop.
func (h *house) bare(span time.Duration) (r result, err error) {
	out, err := exec.Command(os.Args[0], append([]string{"-role", "bare", "-layout", h.plant, "-interval", h.interval.String(), "-duration", span.String()}, h.addresses...)...).Output()
	if err != nil {
		return r, err
	}
	_, err = fmt.Sscan(string(out), &r.values, &r.cpu)
	return r, err
}

// measure runs the gateway with an uplink to the broker, and watches it.
func (h *house) measure(warm, span time.Duration) (r result, err error) {
	sub, err := subscribe(h.broker)
	if err != nil {
		return r, err
	}
	defer sub.close()
	gateway, err := h.gateway(fmt.Sprintf("uplinks:\n- {id: bench, brokers: [\"tcp://%s\"], topic_prefix: millgate/v1}\n", h.broker))
	if err != nil {
		return r, err
	}
	r, err = h.watch(gateway.pid(), sub, warm, span)
	if err := errors.Join(err, gateway.stop()); err != nil {
		return r, err
	}
	s, err := h.status()
	for _, d := range s.Ledger.Devices {
		r.overruns += d.Skipped[drivers.CauseOverrun]
	}
	return r, err
}

// gateway is a running gateway.
type gateway struct {
	cmd   *exec.Cmd
	ended chan struct{}
	err   error // once ended
}

// gateway starts it on the simulated plant.
func (h *house) gateway(uplinks string) (*gateway, error) {
	return h.gatewayOf(uplinks, layouts[h.plant].devicesYAML(h.addresses, h.interval))
}

// gatewayOf starts it on devices that are given as YAML.
func (h *house) gatewayOf(uplinks, devices string) (*gateway, error) {
	site := fmt.Sprintf("site: {id: bench}\ngateway: {id: gw-01, data_dir: %s, timezone: Asia/Shanghai}\nbuffer: {commit_interval: %v}\n%sdevices:\n%s",
		h.queue, commitInterval, uplinks, devices)
	if err := os.WriteFile(h.path("site.yaml"), []byte(site), 0o600); err != nil {
		return nil, err
	}
	g := &gateway{cmd: exec.Command(h.path("millgate"), "run", h.path("site.yaml")), ended: make(chan struct{})}
	g.cmd.Stderr = os.Stderr
	if err := g.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { g.err = g.cmd.Wait(); close(g.ended) }()
	h.onClose(func() error {
		_ = g.cmd.Process.Kill() // it may have ended by itself
		<-g.ended
		return nil
	})
	return g, nil
}

func (g *gateway) pid() int { return g.cmd.Process.Pid }

func (g *gateway) stop() error {
	if err := g.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	<-g.ended
	return g.err
}

// watch compares the gauges at the start and the end of the measurement.
func (h *house) watch(pid int, sub *subscriber, warm, span time.Duration) (r result, err error) {
	time.Sleep(warm)
	sub.reset()
	before, err := h.gauges(pid)
	if err != nil {
		return r, err
	}
	for end := time.Now().Add(span); time.Now().Before(end); time.Sleep(time.Second) {
		now, err := memory(pid)
		if err != nil {
			return r, err
		}
		if now.anon > r.anon {
			r.anon, r.file = now.anon, now.file
		}
	}
	after, err := h.gauges(pid)
	if err != nil {
		return r, err
	}
	r.cpu, r.disk = after.cpu-before.cpu, -1
	if h.loop != "" {
		r.disk = after.disk - before.disk
	}
	r.values, r.p50, r.p99 = sub.result()
	if r.values == 0 {
		return r, errors.New("the subscriber received nothing")
	}
	return r, nil
}

// status is what the queue says of itself.
func (h *house) status() (s buffer.Snapshot, err error) {
	out, err := exec.Command(h.path("millgate"), "buffer", "status", h.path("site.yaml"), "--output", "json").Output()
	if err != nil {
		return s, fmt.Errorf("buffer status: %w", err)
	}
	return s, json.Unmarshal(out, &s)
}

// account is the books and the processor time of one moment.
type account struct {
	due, good, stored uint64
	cpu, simulator    float64 // seconds
}

func (h *house) account(pid int) (a account, err error) {
	s, err := h.status()
	if err != nil {
		return a, err
	}
	for _, d := range s.Ledger.Devices {
		a.due, a.good, a.stored = a.due+d.Due, a.good+d.Good, a.stored+d.Stored
	}
	if a.cpu, err = processorTime(pid); err != nil {
		return a, err
	}
	a.simulator, err = processorTime(h.simulator)
	return a, err
}

func command(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}
