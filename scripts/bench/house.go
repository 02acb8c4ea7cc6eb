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
	broker    string // host:port
	addresses []string
	queue     string // data_dir
	loop      string // its block device below /sys/block, empty without one

	mu   sync.Mutex
	undo []func() error // what close does, the last first
}

func newHouse() (*house, error) {
	dir, err := os.MkdirTemp("", "millgate-bench-")
	if err != nil {
		return nil, err
	}
	h := &house{dir: dir, queue: filepath.Join(dir, "queue")}
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

// start builds the gateway, makes the disk and starts simulator and broker.
func (h *house) start() error {
	if err := command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", h.path("millgate"), "./cmd/millgate"); err != nil {
		return err
	}
	if os.Getuid() == 0 {
		if err := h.mount(); err != nil {
			fmt.Println("the disk is not measured:", err)
		}
	}
	if err := h.startBroker(); err != nil {
		return err
	}
	simulator := exec.Command(os.Args[0], "-role", "simulator")
	pipe, err := simulator.StdoutPipe()
	if err != nil {
		return err
	}
	if err := h.run(simulator); err != nil {
		return err
	}
	line, err := bufio.NewReaderSize(pipe, 1<<16).ReadString('\n')
	if err != nil {
		return fmt.Errorf("simulator: %w", err)
	}
	h.addresses = strings.Fields(line)
	return nil
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
	out, err := exec.Command(os.Args[0], append([]string{"-role", "bare", "-duration", span.String()}, h.addresses...)...).Output()
	if err != nil {
		return r, err
	}
	_, err = fmt.Sscan(string(out), &r.values, &r.cpu)
	return r, err
}

// measure runs the gateway and watches it.
func (h *house) measure(warm, span time.Duration) (r result, err error) {
	site := fmt.Sprintf("site: {id: bench}\ngateway: {id: gw-01, data_dir: %s, timezone: Asia/Shanghai}\nbuffer: {commit_interval: %v}\n"+
		"uplinks:\n- {id: bench, brokers: [\"tcp://%s\"], topic_prefix: millgate/v1}\ndevices:\n%s", h.queue, commitInterval, h.broker, devicesYAML(h.addresses))
	if err := os.WriteFile(h.path("site.yaml"), []byte(site), 0o600); err != nil {
		return r, err
	}
	sub, err := subscribe(h.broker)
	if err != nil {
		return r, err
	}
	defer sub.close()
	gateway := exec.Command(h.path("millgate"), "run", h.path("site.yaml"))
	gateway.Stderr = os.Stderr
	if err := gateway.Start(); err != nil {
		return r, err
	}
	ended, gone := make(chan error, 1), make(chan struct{})
	go func() { ended <- gateway.Wait(); close(gone) }()
	h.onClose(func() error {
		_ = gateway.Process.Kill() // it may have ended by itself
		<-gone
		return nil
	})
	r, err = h.watch(gateway.Process.Pid, sub, warm, span)
	if err := errors.Join(err, gateway.Process.Signal(syscall.SIGTERM)); err != nil {
		_ = gateway.Process.Kill() // it may have ended by itself
		return r, errors.Join(err, <-ended)
	}
	if err := <-ended; err != nil {
		return r, fmt.Errorf("gateway: %w", err)
	}
	r.overruns, err = h.overruns()
	return r, err
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

// overruns is the number of readings that the ledger has lost to them.
func (h *house) overruns() (n uint64, err error) {
	out, err := exec.Command(h.path("millgate"), "buffer", "status", h.path("site.yaml"), "--output", "json").Output()
	if err != nil {
		return 0, fmt.Errorf("buffer status: %w", err)
	}
	var s buffer.Snapshot
	if err := json.Unmarshal(out, &s); err != nil {
		return 0, fmt.Errorf("buffer status: %w", err)
	}
	for _, d := range s.Ledger.Devices {
		n += d.Skipped[drivers.CauseOverrun]
	}
	return n, nil
}

func command(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}
