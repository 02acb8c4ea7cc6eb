package modbus_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millgate/millgate/drivers/modbus"
	"github.com/millgate/millgate/drivers/modbus/modbussim"
)

var wrongAnswers = flag.Int("answers", 8_000, "answers that TestNoWrongValue mangles for each kind of link")

// mangler decides what goes out for each answer: on time, late, twice, behind others, with the next one, in parts, or cut off.
type mangler struct {
	mu      sync.Mutex
	rnd     *rand.Rand
	longest time.Duration // of a delay
	held    []byte        // waits for the next answer
	answers int
	mbap    bool // without a checksum, what follows half a frame would pass for its end, so nothing does
}

func (m *mangler) mangle(_, answer []byte) []modbussim.Sending {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answers++
	answer = slices.Concat(m.held, answer)
	m.held = nil
	late := func() time.Duration { return time.Duration(m.rnd.Int64N(int64(m.longest))) }
	switch m.rnd.IntN(16) {
	case 0: // late, or behind others
		return []modbussim.Sending{{After: late(), Bytes: answer}}
	case 1: // a little late
		return []modbussim.Sending{{After: late() / 20, Bytes: answer}}
	case 2:
		m.answers++
		return []modbussim.Sending{{Bytes: answer}, {After: late(), Bytes: answer}}
	case 3:
		m.held = answer
		return nil
	case 4: // in parts
		at := 1 + m.rnd.IntN(len(answer)-1)
		return []modbussim.Sending{{Bytes: answer[:at], More: true}, {After: late() / 50, Bytes: answer[at:]}}
	case 5: // in single bytes
		var parts []modbussim.Sending
		for i := range answer {
			parts = append(parts, modbussim.Sending{Bytes: answer[i : i+1], More: i+1 < len(answer)})
		}
		return parts
	case 6:
		if m.rnd.IntN(4) > 0 {
			break
		}
		return []modbussim.Sending{{Bytes: answer[:1+m.rnd.IntN(len(answer)-1)], More: m.mbap}}
	case 7: // never
		if m.rnd.IntN(4) == 0 {
			return nil
		}
	}
	return []modbussim.Sending{{Bytes: answer}}
}

// blocks are the requests of the device below: some of the same shape, some not.
var blocks = [][2]int{{0, 10}, {100, 10}, {200, 10}, {300, 20}, {400, 3}, {500, 10}, {600, 20}, {700, 1}, {800, 10}, {900, 20}, {1000, 7}, {1100, 10}}

// mangled asks a device whose answers are mangled, until there were enough, and judges what comes: how many answers were taken, how many
// of them were wrong, and how many of these were a whole answer to another request of the same shape that came after the request had
// been written.
func mangled(t *testing.T, link modbus.LinkConfig, seed uint64) (good, wrong, sameShape int) {
	const timeout = 20 * time.Millisecond
	sim, links := modbussim.New(), modbus.NewLinks()
	m := &mangler{rnd: rand.New(rand.NewPCG(seed, 1)), longest: 3 * timeout, mbap: link.Endpoint.Framing == modbus.MBAP}
	var wire *buffered // the present one
	links.DialWith(func(context.Context, modbus.LinkConfig) (io.ReadWriteCloser, error) {
		near, far := net.Pipe()
		go sim.ServeConn(far, link.Endpoint.Framing)
		wire = newBuffered(near)
		return wire, nil
	})
	u := sim.Unit(3)
	u.Mangle(m.mangle)
	var requests []modbus.Request
	var holds [][]byte
	for _, b := range blocks {
		var data []byte
		for a := b[0]; a < b[0]+b[1]; a++ {
			u.SetRegisters(modbus.HoldingRegister, uint16(a), []uint16{value(3, a)})
			data = binary.BigEndian.AppendUint16(data, value(3, a))
		}
		holds = append(holds, data)
		requests = append(requests, modbus.Request{Table: modbus.HoldingRegister, Address: uint16(b[0]), Quantity: uint16(b[1])})
	}
	calls, err := links.Calls(link, 3, requests)
	if err != nil {
		t.Fatal(err)
	}
	together := max(1, link.InFlight)
	for m.count() < *wrongAnswers {
		for from := 0; from < len(requests); from += together {
			behind := min(from+together, len(requests))
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			calls.Exchange(ctx, timeout, from, behind)
			cancel()
			for i := from; i < behind; i++ {
				data := calls.Data(i)
				switch {
				case data == nil:
					continue
				case !bytes.Equal(data, holds[i]):
					wrong++
					if slices.ContainsFunc(holds, func(o []byte) bool { return bytes.Equal(data, o) }) && wire.came(data, link.Endpoint.Framing) {
						sameShape++
					}
				}
				good++
			}
		}
		time.Sleep(time.Millisecond) // the time of the bubble stands still while something runs
	}
	_ = links.Close()
	_ = sim.Close()
	return good, wrong, sameShape
}

func (m *mangler) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.answers
}

// buffered takes what is written at once, as the buffer of a socket does.
type buffered struct {
	net.Conn
	out    chan []byte
	closed chan struct{}
	once   sync.Once

	mu    sync.Mutex
	since []chunk // what has come since the last request was written, or at that very moment
}

// chunk is what came at one moment.
type chunk struct {
	at    time.Time
	bytes []byte
}

// came says that data has come since the last request was written.
func (b *buffered) came(data []byte, f modbus.Framing) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	var since []byte
	for _, c := range b.since {
		since = append(since, c.bytes...)
	}
	if f == modbus.ASCII {
		return strings.Contains(strings.ToLower(string(since)), hex.EncodeToString(data))
	}
	return bytes.Contains(since, data)
}

func (b *buffered) Read(p []byte) (n int, err error) {
	n, err = b.Conn.Read(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.since = append(b.since, chunk{time.Now(), slices.Clone(p[:n])})
	return n, err
}

func newBuffered(c net.Conn) *buffered {
	b := &buffered{Conn: c, out: make(chan []byte, 1000), closed: make(chan struct{})}
	go func() {
		for {
			select {
			case p := <-b.out:
				if _, err := c.Write(p); err != nil {
					return
				}
			case <-b.closed:
				return
			}
		}
	}()
	return b
}

func (b *buffered) Write(p []byte) (int, error) {
	b.mu.Lock()
	now := time.Now()
	b.since = slices.DeleteFunc(b.since, func(c chunk) bool { return c.at.Before(now) })
	b.mu.Unlock()
	select {
	case b.out <- slices.Clone(p):
		return len(p), nil
	case <-b.closed:
		return 0, net.ErrClosed
	}
}

func (b *buffered) Close() error {
	b.once.Do(func() { close(b.closed) })
	return b.Conn.Close()
}

// TestNoWrongValue reads through answers that are late, sent twice, reordered, merged, split and cut off. With transaction ids no
// value is ever wrong. Without them a whole answer to another request of the same unit, function and length, that comes when the next
// such request has been written, is what the protocol can not tell from the right one: those are counted, and nothing else is wrong.
func TestNoWrongValue(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	endpoint := func(tr modbus.Transport, f modbus.Framing, inFlight int) modbus.LinkConfig {
		return modbus.LinkConfig{Endpoint: modbus.Endpoint{Transport: tr, Framing: f, Address: "line"}, Baud: 115200, InFlight: inFlight}
	}
	f := func(name string, link modbus.LinkConfig) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				good, wrong, sameShape := mangled(t, link, seed)
				t.Logf("%d answers: %d taken, %d wrong; of these %d whole answers to another request of the same shape", *wrongAnswers, good, wrong, sameShape)
				if good == 0 || wrong != sameShape || link.Endpoint.Framing == modbus.MBAP && wrong != 0 {
					t.Errorf("%d taken, %d wrong, %d of the same shape", good, wrong, sameShape)
				}
			})
		})
	}
	f("tcp, 1 in flight", endpoint(modbus.TCP, modbus.MBAP, 1))
	f("tcp, 16 in flight", endpoint(modbus.TCP, modbus.MBAP, 16))
	f("rtu", endpoint(modbus.Serial, modbus.RTU, 1))
	f("rtu over tcp", endpoint(modbus.TCP, modbus.RTU, 1))
	f("ascii", endpoint(modbus.Serial, modbus.ASCII, 1))
	f("ascii over tcp", endpoint(modbus.TCP, modbus.ASCII, 1))
}
