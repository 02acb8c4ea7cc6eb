package worker

import (
	"bufio"
	"encoding/json"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/opcua"
)

// rig is the gateway's side of a worker that runs in this process.
type rig struct {
	t       *testing.T
	in      *io.PipeWriter
	ended   chan error
	batches chan opcua.Batch
	calls   map[uint32]uint64
	told    map[drivers.EventKind]int // how many events of each kind came

	mu     sync.Mutex
	status opcua.ServerStatus
	logs   []opcua.LogLine
}

func newRig(t *testing.T, setup opcua.Setup) *rig {
	t.Helper()
	in, gateway := io.Pipe()
	out, worker := io.Pipe()
	r := &rig{t: t, in: gateway, ended: make(chan error, 1), batches: make(chan opcua.Batch, 10), calls: make(map[uint32]uint64), told: make(map[drivers.EventKind]int)}
	go func() {
		err := Run(in, worker)
		_ = worker.Close()
		r.ended <- err
	}()
	done := make(chan struct{})
	go func() { defer close(done); r.receive(out) }()
	body, err := json.Marshal(setup)
	if err != nil {
		t.Fatal(err)
	}
	if err := opcua.WriteFrame(gateway, opcua.FrameSetup, body); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = gateway.Close()
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			t.Error("the worker does not end with its input")
		}
		if err := <-r.ended; err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *rig) receive(out io.Reader) {
	from := bufio.NewReader(out)
	var buffer []byte
	for {
		kind, body, err := opcua.ReadFrame(from, &buffer)
		if err != nil {
			return
		}
		switch kind {
		case opcua.FrameReadings:
			var b opcua.Batch
			if err := b.Decode(body); err != nil {
				r.t.Errorf("decode a batch: %v", err)
			}
			r.batches <- b
		case opcua.FrameStatus:
			var s opcua.ServerStatus
			if err := json.Unmarshal(body, &s); err != nil {
				r.t.Error(err)
			}
			r.mu.Lock()
			r.status = s
			r.mu.Unlock()
		case opcua.FrameLog:
			var l opcua.LogLine
			if err := json.Unmarshal(body, &l); err != nil {
				r.t.Error(err)
			}
			r.mu.Lock()
			r.logs = append(r.logs, l)
			r.mu.Unlock()
		}
	}
}

// order asks a group once; everything before is committed.
func (r *rig) order(group uint32, timeout time.Duration) opcua.Batch {
	r.t.Helper()
	r.calls[group]++
	o := opcua.Order{Group: group, Call: r.calls[group], Committed: r.calls[group] - 1, Timeout: uint32(timeout.Milliseconds())}
	if err := opcua.WriteFrame(r.in, opcua.FrameRead, o.Append(nil)); err != nil {
		r.t.Fatal(err)
	}
	select {
	case b := <-r.batches:
		for _, e := range b.Events {
			r.told[e.Kind]++
		}
		return b
	case <-time.After(timeout + 10*time.Second):
		r.t.Fatal("the worker does not answer")
	}
	return opcua.Batch{}
}

// until asks a group every 50 ms until a batch is what is wanted.
func (r *rig) until(group uint32, within time.Duration, wanted func(b *opcua.Batch) bool) opcua.Batch {
	r.t.Helper()
	end := time.Now().Add(within)
	for {
		b := r.order(group, time.Second)
		if wanted(&b) {
			return b
		}
		if time.Now().After(end) {
			r.t.Fatalf("not within %v; the last answer: %s %s, %d readings", within, b.Cause, b.Error, len(b.Readings))
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (r *rig) serverStatus() opcua.ServerStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status
}

func good(b *opcua.Batch) bool { return b.Cause == "" && len(b.Readings) > 0 }

// server is how to reach a server without security.
func server(url string) opcua.Server {
	return opcua.Server{
		Endpoint: url, Policy: opcua.PolicyNone, Mode: opcua.ModeNone, ApplicationURI: "urn:millgate:test",
		Timeout: 5 * time.Second, SessionTimeout: time.Minute,
	}
}

// points are as many points as there are nodes, all of one type.
func points(typ drivers.Type, nodes ...string) (all []opcua.Point) {
	for _, n := range nodes {
		all = append(all, opcua.Point{Node: n, Type: typ})
	}
	return all
}
