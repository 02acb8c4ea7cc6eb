package opcua

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millgate/millgate/drivers"
)

// grace is how long a worker may take to end by itself, and so to close its session.
const grace = 3 * time.Second

// process is one life of a worker.
type process struct {
	workers  *Workers
	endpoint string
	edition  int     // of the server's groups
	seats    []*seat // by the group's number; one for each group
	onStatus func(p *process, body []byte) error
	cmd      *exec.Cmd
	pipes    pipes
	stderr   lastWords
	orders   chan []byte // as many as seats: nobody waits
	asks     asks

	fate
}

type pipes struct {
	in    io.WriteCloser
	out   io.Reader
	spare chan []byte // a buffer that is free again
}

// fate is how a process ends.
type fate struct {
	mu       sync.Mutex
	gone     bool   // its pid may be another's
	killed   string // why it was killed by us; empty: it was not
	meant    atomic.Bool
	patience *time.Timer   // until it is killed if it does not end as it was told
	over     chan struct{} // closed when nothing more is written
	dead     chan struct{} // closed when it has ended, after the next two were set
	why      string
	failure  error // with drivers.CauseWorkerCrash; nil: it was meant to end
}

// start starts a worker and prepares its setup; run must follow.
func (w *Workers) start(setup Setup) (*process, error) {
	body, err := json.Marshal(setup)
	if err != nil {
		return nil, fmt.Errorf("the setup of the worker for %s: %w", setup.Server.Endpoint, err)
	}
	command := w.Command
	if command == nil {
		command = thisProgram()
	}
	p := &process{
		workers: w, endpoint: setup.Server.Endpoint, cmd: exec.Command(command[0], command[1:]...), onStatus: func(*process, []byte) error { return nil },
		orders: make(chan []byte, len(setup.Groups)+1), asks: asks{out: make(chan []byte), open: map[uint64]*answers{}},
		pipes: pipes{spare: make(chan []byte, 1)}, fate: fate{over: make(chan struct{}), dead: make(chan struct{})},
	}
	p.cmd.Env, p.cmd.Stderr, p.cmd.WaitDelay = environment(), &p.stderr, time.Second
	adopt(p.cmd)
	if p.pipes.in, err = p.cmd.StdinPipe(); err == nil {
		if p.pipes.out, err = p.cmd.StdoutPipe(); err == nil {
			err = p.cmd.Start()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("the worker for %s can not be started: %w", p.endpoint, err)
	}
	if err := limitData(p.pid(), w.MemoryLimit); err != nil {
		w.log().Warn("the memory of an OPC UA worker is not limited", "endpoint", p.endpoint, "error", err)
	}
	p.orders <- frame(FrameSetup, body)
	return p, nil
}

// thisProgram is the command that makes a worker of the program that runs, even when its file was replaced meanwhile.
func thisProgram() []string {
	if path, err := os.Executable(); err == nil {
		return []string{selfPath(path), WorkerCommand}
	}
	return []string{os.Args[0], WorkerCommand}
}

// environment is what a worker gets of ours: nothing that may be a secret.
func environment() []string {
	var env []string
	for _, name := range []string{"TZ", "ZONEINFO", "LANG", "HOME", "TMPDIR", "GODEBUG", "GOTRACEBACK", "GORACE", "GOCOVERDIR"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// run serves the pipes until the worker has ended.
func (p *process) run() {
	go func() {
		var writer sync.WaitGroup
		writer.Go(p.write)
		if err := p.read(); err != nil {
			p.kill("its output can not be understood: " + err.Error())
		}
		close(p.over)
		p.bury()
		writer.Wait()
		close(p.dead)
	}()
}

// write begins with the setup, which start left in front of all orders: a question that is there already must wait.
func (p *process) write() {
	next := <-p.orders
	for {
		if _, err := p.pipes.in.Write(next); err != nil {
			return // it has ended, or is about to
		}
		select {
		case next = <-p.orders:
		case next = <-p.asks.out:
		case <-p.over:
			return
		}
	}
}

// read returns nil when the worker's output ends, between two frames or not.
func (p *process) read() error {
	from := bufio.NewReaderSize(p.pipes.out, 1<<16)
	var buffer []byte
	for {
		kind, body, err := ReadFrame(from, &buffer)
		switch {
		case errors.Is(err, errFrame):
			return err
		case err != nil:
			return nil
		}
		switch kind {
		case FrameReadings:
			if err = p.deliver(body); err == nil {
				buffer = nil
				select {
				case buffer = <-p.pipes.spare:
				default:
				}
			}
		case FrameAnswer:
			err = p.asks.deliver(body)
		case FrameStatus:
			err = p.onStatus(p, bytes.Clone(body))
		case FrameLog:
			err = p.log(body)
		default:
			err = fmt.Errorf("%w: its kind is %#x", errFrame, kind)
		}
		if err != nil {
			return err
		}
	}
}

// deliver hands the answer to an order over to its group.
func (p *process) deliver(body []byte) error {
	var b Batch
	b.head(&parser{b: body})
	if int(b.Group) >= len(p.seats) {
		return fmt.Errorf("%w: there is no group %d", errFrame, b.Group)
	}
	return p.seats[b.Group].answer(body)
}

func (p *process) log(body []byte) error {
	var line LogLine
	if err := json.Unmarshal(body, &line); err != nil {
		return errors.Join(errFrame, err)
	}
	attrs := []any{"endpoint", p.endpoint}
	for key, value := range line.Attrs {
		if key != "endpoint" {
			attrs = append(attrs, key, value)
		}
	}
	p.workers.log().Log(context.Background(), slog.Level(line.Level), line.Message, attrs...)
	return nil
}

// kill ends the worker at once; the first reason counts.
func (p *process) kill(why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone {
		return
	}
	if p.killed == "" {
		p.killed = why
	}
	killGroup(p.cmd.Process)
}

// finish lets the worker end by itself.
func (p *process) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone || p.meant.Swap(true) {
		return
	}
	_ = p.pipes.in.Close()
	p.patience = time.AfterFunc(grace, func() { p.kill("it did not end when it was told to") })
}

// bury waits for the process, whose output has ended, and finds out why it ended.
func (p *process) bury() {
	p.mu.Lock()
	killGroup(p.cmd.Process) // whoever is left of it; not yet waited for, its number is still its own
	p.gone = true
	killed := p.killed
	if p.patience != nil {
		p.patience.Stop()
	}
	p.mu.Unlock()
	err := p.cmd.Wait()
	for _, s := range p.seats {
		s.stop()
	}
	if p.meant.Load() {
		p.why = "it was told to"
		return
	}
	switch panicked, last := p.stderr.cause(); {
	case killed != "":
		p.why = killed
	case strings.HasPrefix(panicked, "SIGSEGV") && p.workers.MemoryLimit > 0:
		p.why = fmt.Sprintf("%s (as happens at the memory limit of %d MiB)", panicked, p.workers.MemoryLimit>>20) // the runtime is not always prepared for it
	case panicked != "":
		p.why = panicked
	case err == nil:
		p.why = "it ended by itself"
	case last != "":
		p.why = fmt.Sprintf("%v: %s", err, last)
	default:
		p.why = err.Error()
	}
	p.failure = &drivers.Error{Cause: drivers.CauseWorkerCrash, Err: fmt.Errorf("the worker for %s ended and is started again: %s", p.endpoint, p.why)}
}
