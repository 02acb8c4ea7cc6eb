package opcua_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/opcua"
	"github.com/millgate/millgate/drivers/opcua/worker"
)

// TestMain serves as a worker too: the tests' Workers start this program.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == opcua.WorkerCommand {
		serve := (&fake{}).serve
		if len(os.Args) > 2 {
			serve = worker.Run // the real one
		}
		if err := serve(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
		os.Exit(0)
	}
	if len(os.Args) > 1 && os.Args[1] == gatewayCommand {
		gateway(os.Args[2])
	}
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0") // of the workers: each would end a second later
	goleak.VerifyTestMain(m)
}

// fake is a worker that fails on demand: the endpoint's path says how, the server's Trust is a folder in which its lives are counted.
// The trouble is in its first life and begins with the third order, but that of "always", which is in all lives and at once.
type fake struct {
	mu     sync.Mutex
	setup  opcua.Setup
	life   int
	orders int
}

// The points of the fake's groups: what the worker was told.
const (
	toldCommitted = iota // of the order
	toldCall
	toldLife
	toldReason // why readings are missing
	toldSince
	toldLast // of this point
	toldTimeout
	toldPassword
	toldPoints // how many there are
)

const fakeStamp = 1_700_000_000_000 // plus the call: the time of its readings

func (f *fake) serve(in io.Reader, out io.Writer) error {
	var buffer []byte
	for {
		kind, body, err := opcua.ReadFrame(in, &buffer)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch kind {
		case opcua.FrameSetup:
			if err := f.begin(body, out); err != nil {
				return err
			}
		case opcua.FrameRead:
			o, err := opcua.DecodeOrder(body)
			if err != nil {
				return err
			}
			f.orders++
			if trouble := f.trouble(); trouble != "" {
				if f.misbehave(trouble, o, out) {
					continue
				}
			}
			if err := f.answer(o, out); err != nil {
				return err
			}
		case opcua.FrameAsk:
			var q opcua.Question
			if err := json.Unmarshal(body, &q); err != nil {
				return err
			}
			if err := f.reply(q, out); err != nil {
				return err
			}
		}
	}
}

func (f *fake) begin(body []byte, out io.Writer) error {
	if err := json.Unmarshal(body, &f.setup); err != nil {
		return err
	}
	lives := filepath.Join(f.setup.Server.Trust, "lives")
	before, _ := os.ReadFile(lives)
	f.life = len(before) + 1
	if err := os.WriteFile(lives, append(before, '.'), 0o600); err != nil {
		return err
	}
	if strings.HasSuffix(f.setup.Server.Endpoint, "/deaf") && f.life == 1 {
		time.Sleep(time.Hour)
	}
	status, _ := json.Marshal(opcua.ServerStatus{State: opcua.Up, Items: len(f.setup.Groups), Mode: f.setup.Server.Mode})
	if err := f.send(out, opcua.FrameStatus, status); err != nil {
		return err
	}
	line, _ := json.Marshal(opcua.LogLine{Level: 4, Message: "hello", Attrs: map[string]string{"life": fmt.Sprint(f.life)}})
	return f.send(out, opcua.FrameLog, line)
}

func (f *fake) send(out io.Writer, kind byte, body []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return opcua.WriteFrame(out, kind, body)
}

func (f *fake) trouble() string {
	mode := f.setup.Server.Endpoint[strings.LastIndexByte(f.setup.Server.Endpoint, '/')+1:]
	if mode == "always" || f.life == 1 && f.orders == 3 {
		return mode
	}
	return ""
}

var sink []int32

// misbehave says whether the order is left unanswered.
func (f *fake) misbehave(mode string, o opcua.Order, out io.Writer) bool {
	switch mode {
	case "panic", "always":
		var none []int
		done := make(chan bool)
		go func() { done <- none[int(o.Call)-100] == 0 }()
		<-done
	case "hang":
		time.Sleep(time.Hour)
	case "memory":
		sink = make([]int32, 100_000_000)
		for i := range sink {
			sink[i] = int32(i)
		}
	case "garbage":
		_, _ = io.WriteString(out, "HTTP/1.1 400 Bad Request\r\n\r\n")
		time.Sleep(time.Hour)
	case "half":
		_, _ = out.Write([]byte{100, 0, 0, 0, opcua.FrameReadings, 1, 2, 3})
		os.Exit(3)
	case "exit":
		os.Exit(0)
	case "late":
		time.Sleep(time.Duration(o.Timeout)*time.Millisecond + 300*time.Millisecond)
		return false
	case "twice":
		_ = f.answer(o, out)
		return false
	case "call":
		o.Call++
		return f.answer(o, out) == nil
	case "group":
		o.Group++
		return f.answer(o, out) == nil
	case "kind":
		_ = f.send(out, '?', nil)
		return true
	case "json":
		_ = f.send(out, opcua.FrameStatus, []byte("{"))
		return true
	case "short":
		body, _ := f.batch(o).Append(nil)
		_ = f.send(out, opcua.FrameReadings, body[:len(body)-1])
		return true
	case "points":
		b := f.batch(o)
		b.Points++
		body, _ := b.Append(nil)
		_ = f.send(out, opcua.FrameReadings, body)
		return true
	case "fewer":
		b := f.batch(o)
		b.Readings = b.Readings[1:]
		body, _ := b.Append(nil)
		_ = f.send(out, opcua.FrameReadings, body)
		return true
	}
	return false
}

func (f *fake) answer(o opcua.Order, out io.Writer) error {
	body, err := f.batch(o).Append(nil)
	if err != nil {
		return err
	}
	return f.send(out, opcua.FrameReadings, body)
}

func (f *fake) batch(o opcua.Order) *opcua.Batch {
	b := &opcua.Batch{Group: o.Group, Call: o.Call}
	if int(o.Group) >= len(f.setup.Groups) {
		return b
	}
	g := f.setup.Groups[o.Group]
	b.Points = uint32(len(g.Points))
	if f.setup.Server.Timeout == time.Hour && o.Call%4 == 0 { // now and then it has no news to give but trouble
		b.Cause, b.Error = drivers.CauseSilent, "no publish response"
		return b
	}
	for i := range g.Points {
		b.Readings = append(b.Readings, opcua.BatchReading{Point: uint32(i), Quality: drivers.Good, Time: fakeStamp + int64(o.Call), Value: f.told(o, &g, i)})
	}
	if o.Call == 1 {
		b.Lost = []drivers.CauseCount{{Cause: drivers.CauseOverflow, N: 1}, {Cause: drivers.CauseOverflow, N: 2}}
		b.Events = []drivers.Event{{Kind: drivers.EventReadingsLost, Count: 3}}
	}
	return b
}

func (f *fake) told(o opcua.Order, g *opcua.GroupSetup, point int) drivers.Value {
	switch point {
	case toldCommitted:
		return drivers.UintValue(o.Committed)
	case toldCall:
		return drivers.UintValue(o.Call)
	case toldLife:
		return drivers.UintValue(uint64(f.life))
	case toldReason:
		return drivers.TextValue(string(g.Reason))
	case toldSince:
		return drivers.IntValue(g.Since)
	case toldLast:
		if g.Last == nil {
			return drivers.IntValue(0)
		}
		return drivers.IntValue(g.Last[point])
	case toldTimeout:
		return drivers.UintValue(uint64(o.Timeout))
	case toldPassword:
		return drivers.TextValue(f.setup.Password)
	}
	return drivers.BoolValue(true)
}

func (f *fake) reply(q opcua.Question, out io.Writer) error {
	switch q.What {
	case "die":
		panic("asked to")
	case "silence":
		return nil
	}
	for i := range 3 {
		a := opcua.Answer{ID: q.ID, With: q.With, Done: i == 2}
		if a.Done && q.What == "refuse" {
			a.Cause, a.Error = drivers.CauseUserRefused, "no"
		}
		body, _ := json.Marshal(a)
		if err := f.send(out, opcua.FrameAnswer, body); err != nil {
			return err
		}
	}
	return nil
}
