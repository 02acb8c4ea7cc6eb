package opcua_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/opcua"
	"github.com/millgate/millgate/drivers/opcua/opcuasim"
)

// patcher stands between a worker and a server without security and spoils one answer.
type patcher struct {
	listener net.Listener
	server   string
	spoil    atomic.Pointer[func(message []byte) bool] // says whether it did; then it is done
	all      sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
}

func newPatcher(t *testing.T, server string) *patcher {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &patcher{listener: l, server: server}
	p.all.Go(func() {
		for {
			down, err := l.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp", p.server)
			if err != nil {
				_ = down.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, down, up)
			p.mu.Unlock()
			p.all.Go(func() { _, _ = io.Copy(up, down); _ = up.Close() })
			p.all.Go(func() { p.answers(down, up); _ = down.Close() })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		p.mu.Lock()
		for _, c := range p.conns {
			_ = c.Close()
		}
		p.mu.Unlock()
		p.all.Wait()
	})
	return p
}

// answers passes whole messages on (Part 6, 7.1.2.2).
func (p *patcher) answers(to io.Writer, from io.Reader) {
	for {
		head := make([]byte, 8)
		if _, err := io.ReadFull(from, head); err != nil {
			return
		}
		message := append(head, make([]byte, binary.LittleEndian.Uint32(head[4:])-8)...)
		if _, err := io.ReadFull(from, message[8:]); err != nil {
			return
		}
		if spoil := p.spoil.Load(); spoil != nil && (*spoil)(message) {
			p.spoil.Store(nil)
		}
		if _, err := to.Write(message); err != nil {
			return
		}
	}
}

// The array that is spoilt: three Int32, the first of which is the mark.
const mark = 0x4d494c4c

// wire is the array as a Variant (Part 6, 5.2.2.16) up to its first element.
var wire = binary.LittleEndian.AppendUint32([]byte{0x86, 3, 0, 0, 0}, mark)

// spoiled makes of a change of the message around the array's Variant a spoil for the patcher.
func spoiled(change func(message []byte, at int)) func([]byte) bool {
	return func(message []byte) bool {
		at := bytes.Index(message, wire)
		if at >= 0 {
			change(message, at)
		}
		return at >= 0
	}
}

func put(message []byte, at int, values ...int32) {
	for i, v := range values {
		binary.LittleEndian.PutUint32(message[at+4*i:], uint32(v))
	}
}

// malformed is what TestMalformed lets a server send.
var malformed = []struct {
	name   string
	polled bool
	memory bool // it dies of its limit
	lives  bool // the client can refuse it
	says   string
	change func(message []byte, at int)
}{
	{name: "length -2", polled: true, says: "panic: reflect.MakeSlice: negative len", change: func(m []byte, at int) { put(m, at+1, -2) }},
	{name: "length -2 in a notification", says: "panic: reflect.MakeSlice: negative len", change: func(m []byte, at int) { put(m, at+1, -2) }},
	{name: "100 million elements", polled: true, lives: true, change: func(m []byte, at int) { put(m, at+1, 100_000_000) }},
	{name: "100 million results", polled: true, lives: true, change: func(m []byte, at int) { put(m, at-5, 100_000_000) }},
	{name: "100 million rows", polled: true, memory: true, change: func(m []byte, at int) {
		m[at] |= 0x40
		put(m, at+1, 0, 2, 100_000_000, 1<<24) // the product is 0 in 32 bits
	}},
}

// TestMalformed: an answer ends its worker at most; the device is back within 5 s.
func TestMalformed(t *testing.T) {
	for _, c := range malformed {
		t.Run(c.name, func(t *testing.T) {
			if c.memory && opcua.DefaultMemoryLimit == 0 {
				t.Skip("a worker with the race detector has no limit")
			}
			w, log := newWorkers(t)
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			w.Command = []string{self, opcua.WorkerCommand, "real"}
			good, _ := realDevice(t, w, "good", c.polled, nil)
			var proxy *patcher
			bad, server := realDevice(t, w, "bad", c.polled, func(address string) string {
				proxy = newPatcher(t, address)
				return proxy.listener.Addr().String()
			})
			stop, done := make(chan struct{}), make(chan struct{})
			var reads int
			var failed []error
			go func() {
				defer close(done)
				reads, failed = cycles(good, stop)
			}()

			spoil := spoiled(c.change)
			proxy.spoil.Store(&spoil)
			back := recovered(t, bad, server, func() bool { return proxy.spoil.Load() == nil })
			var deaths []string
			for _, e := range bad.(drivers.Reporter).Events(nil) {
				if e.Kind == drivers.EventWorker {
					deaths = append(deaths, e.Text.EN)
				}
			}
			if len(deaths) != 1 && !c.lives || len(deaths) == 1 && !strings.Contains(deaths[0], c.says) || proxy.spoil.Load() != nil {
				t.Errorf("deaths: %q\n%s", deaths, log)
			}
			t.Logf("back after %v: %q", back, deaths)
			time.Sleep(200 * time.Millisecond)
			close(stop)
			<-done
			if len(failed) > 0 || reads == 0 {
				t.Errorf("the good device lost %d of %d cycles: %v", len(failed), reads, failed)
			}
		})
	}
}

// realDevice is a device with the array on a server of its own, behind what through puts in front of it; it has been read.
func realDevice(t *testing.T, w *opcua.Workers, device string, polled bool, through func(address string) string) (drivers.Driver, *opcuasim.Server) {
	t.Helper()
	server, err := opcuasim.Listen("127.0.0.1:0", opcuasim.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	if err := server.Add(opcuasim.Variable{Node: "ns=1;s=array", Type: opcuasim.Int32, Array: true, Values: array(0)}); err != nil {
		t.Fatal(err)
	}
	address := server.Addr()
	if through != nil {
		address = through(address)
	}
	cfg := opcua.Config{
		Device: device, Interval: 200 * time.Millisecond, Polled: polled,
		Server: opcua.Server{
			Endpoint: "opc.tcp://" + address, Policy: opcua.PolicyNone, Mode: opcua.ModeNone, ApplicationURI: "urn:millgate:test", Trust: t.TempDir(),
			Timeout: 2 * time.Second, SessionTimeout: time.Minute,
		},
		Points: []opcua.Point{{Tag: &drivers.Tag{Device: device, Name: "x"}, Node: "ns=1;s=array", Select: "[1]", Type: drivers.TypeInt64}},
	}
	d := open(t, w, cfg)
	for begun := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		got, err := read(t, d, time.Second)
		if err == nil && len(got) > 0 && got[0].Quality == drivers.Good {
			return d, server
		}
		if time.Since(begun) > 10*time.Second {
			t.Fatalf("%s can not be read: %v %v", device, got, err)
		}
	}
}

func array(second int64) []drivers.Value {
	return []drivers.Value{drivers.IntValue(mark), drivers.IntValue(second), drivers.IntValue(7)}
}

// recovered reads a device whose server's value counts up until its answer was spoilt and it is up again; it is how long that took.
func recovered(t *testing.T, d drivers.Driver, server *opcuasim.Server, spoilt func() bool) time.Duration {
	t.Helper()
	var down time.Time
	var last error
	for n, begun := int64(1), time.Now(); time.Since(begun) < 15*time.Second; n++ {
		if err := server.Set("ns=1;s=array", array(n)...); err != nil {
			t.Fatal(err)
		}
		got, err := read(t, d, time.Second)
		if down.IsZero() && spoilt() {
			down = time.Now()
		}
		switch {
		case err != nil:
			last = err
		case !down.IsZero() && len(got) > 0 && got[len(got)-1].Quality == drivers.Good:
			if took := time.Since(down); took > 5*time.Second {
				t.Errorf("it was back only after %v", took)
			}
			return time.Since(down)
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("down since %v, the last error is %v", down, last)
	return 0
}
