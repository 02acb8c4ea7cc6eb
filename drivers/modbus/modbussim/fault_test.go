package modbussim

import (
	"bytes"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millgate/millgate/drivers/modbus"
)

const ms = time.Millisecond

// line is a client of a server on a pipe; under synctest its times are exact.
type line struct {
	net.Conn
	unit    *Unit
	framing modbus.Framing
	began   time.Time
	reader  sync.WaitGroup
	came    []string // what came in, each with its time
	text    []byte
}

// onLine calls f with a client of a server whose unit 1 holds the registers 1, 2, 3, 4.
func onLine(t *testing.T, framing modbus.Framing, f func(*line)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := New()
		near, far := net.Pipe()
		l := &line{Conn: near, unit: s.Unit(1), framing: framing, began: time.Now()}
		l.unit.SetRegisters(modbus.HoldingRegister, 0, []uint16{1, 2, 3, 4})
		go s.ServeConn(far, framing)
		l.reader.Go(l.read)
		f(l)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		l.reader.Wait()
	})
}

func (l *line) read() {
	buf := make([]byte, 600)
	for {
		n, err := l.Read(buf)
		if err != nil {
			return
		}
		l.came = append(l.came, fmt.Sprintf("%v:%d", time.Since(l.began), n))
		l.text = append(l.text, buf[:n]...)
	}
}

// after lets d pass; then what has come in may be looked at.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (l *line) request(id uint16, address byte) []byte {
	return frame{id: id, unit: 1, pdu: []byte{3, 0, address, 0, 2}}.wrap(l.framing)
}

func (l *line) answer(id uint16, address byte) []byte {
	return frame{id: id, unit: 1, pdu: []byte{3, 4, 0, address + 1, 0, address + 2}}.wrap(l.framing)
}

func (l *line) ask(t *testing.T, id uint16, address byte) {
	t.Helper()
	if _, err := l.Write(l.request(id, address)); err != nil {
		t.Fatal(err)
	}
}

func TestFaultTiming(t *testing.T) {
	f := func(fault Fault, expectation string) { // A is the length of an answer, B of two, h and r of its halves
		t.Helper()
		for _, framing := range framings {
			onLine(t, framing, func(l *line) {
				want := expectation
				fault.Times = 1
				l.unit.Fault(fault)
				l.ask(t, 1, 0)
				time.Sleep(50 * ms)
				l.ask(t, 2, 2)
				after(time.Second)
				if fault.Kind == Cut && framing == modbus.MBAP {
					want = "0s:h"
				}
				n := len(l.answer(1, 0))
				expected := strings.NewReplacer("A", fmt.Sprint(n), "B", fmt.Sprint(2*n), "h", fmt.Sprint(n/2), "r", fmt.Sprint(n-n/2)).Replace(want)
				if got := strings.Join(l.came, " "); got != expected {
					t.Errorf("fault %d, %v: %s; want %s", fault.Kind, framing, got, expected)
				}
				if !bytes.HasSuffix(l.text, l.answer(2, 2)) && fault.Kind != Late && fault.Kind != Duplicate && want != "0s:h" {
					t.Errorf("fault %d, %v: the next answer is %q", fault.Kind, framing, l.text)
				}
			})
		}
	}
	f(Fault{}, "0s:A 50ms:A")
	f(Fault{Kind: Late, Delay: 100 * ms}, "50ms:A 100ms:A")
	f(Fault{Kind: Never}, "50ms:A")
	f(Fault{Kind: Split, Delay: 20 * ms}, "0s:h 20ms:r 50ms:A")
	f(Fault{Kind: Split, Delay: 70 * ms}, "0s:h 70ms:r 70ms:A")
	f(Fault{Kind: Merged}, "50ms:B")
	f(Fault{Kind: Duplicate, Delay: 100 * ms}, "0s:A 50ms:A 100ms:A")
	f(Fault{Kind: Cut}, "0s:h 50ms:A")
	f(Fault{Kind: Babble, Delay: 30 * ms}, "0s:10 10ms:10 20ms:10 50ms:A")
}

// TestTwists: what the answer says instead, in an intact frame but for Garbled.
func TestTwists(t *testing.T) {
	f := func(fault Fault, want frame) {
		t.Helper()
		for _, framing := range framings {
			onLine(t, framing, func(l *line) {
				l.unit.Fault(fault)
				l.ask(t, 1, 0)
				after(0)
				if intact := bytes.Equal(l.text, want.wrap(framing)); intact == (fault.Kind == Garbled) {
					t.Errorf("fault %d, %v: %q", fault.Kind, framing, l.text)
				}
			})
		}
	}
	pdu := []byte{3, 4, 0, 1, 0, 2}
	f(Fault{Kind: WrongID}, frame{id: 0x5501, unit: 1, pdu: pdu})
	f(Fault{Kind: WrongUnit}, frame{id: 1, unit: 2, pdu: pdu})
	f(Fault{Kind: Exception, Code: 6}, frame{id: 1, unit: 1, pdu: []byte{0x83, 6}})
	f(Fault{Kind: Short}, frame{id: 1, unit: 1, pdu: []byte{3, 2, 0, 1}})
	f(Fault{Kind: Garbled}, frame{id: 1, unit: 1, pdu: pdu})
}

func TestReset(t *testing.T) {
	onLine(t, modbus.RTU, func(l *line) {
		l.unit.Fault(Fault{Kind: Reset})
		l.ask(t, 1, 0)
		synctest.Wait()
		if _, err := l.Write([]byte{1}); err == nil {
			t.Error("the stream is still open")
		}
	})
}

// TestReordered: all answers come, whole, and not in the order of their requests.
func TestReordered(t *testing.T) {
	onLine(t, modbus.MBAP, func(l *line) {
		l.unit.Fault(Fault{Kind: Reordered, Delay: 100 * ms})
		var want [][]byte
		for id := range uint16(40) {
			l.ask(t, id, 1)
			want = append(want, l.answer(id, 1))
		}
		after(100 * ms)
		got := slices.Collect(slices.Chunk(l.text, len(want[0])))
		if slices.EqualFunc(got, want, bytes.Equal) {
			t.Error("in order")
		}
		slices.SortFunc(got, bytes.Compare)
		if !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("not the 40 answers: % x", got)
		}
	})
}

// TestLatency: with MBAP requests wait side by side, on a serial line one behind the other.
func TestLatency(t *testing.T) {
	for framing, want := range map[modbus.Framing]string{modbus.MBAP: "100ms:13 100ms:13", modbus.RTU: "100ms:9 200ms:9", modbus.ASCII: "100ms:19 200ms:19"} {
		onLine(t, framing, func(l *line) {
			l.unit.Latency(100 * ms)
			l.ask(t, 1, 0)
			l.ask(t, 2, 0)
			after(time.Second)
			if got := strings.Join(l.came, " "); got != want {
				t.Errorf("%v: %s; want %s", framing, got, want)
			}
		})
	}
}

// TestMangle: the test decides what goes out, and what belongs together is never torn apart.
func TestMangle(t *testing.T) {
	for _, framing := range framings {
		onLine(t, framing, func(l *line) {
			l.unit.Mangle(func(request, answer []byte) []Sending {
				if !bytes.Equal(request, l.request(1, 0)) || !bytes.Equal(answer, l.answer(1, 0)) {
					t.Errorf("%v: %q, %q", framing, request, answer)
				}
				return []Sending{{After: 10 * ms, Bytes: []byte("a"), More: true}, {After: 60 * ms, Bytes: []byte("b")}, {After: 200 * ms, Bytes: answer}}
			})
			l.ask(t, 1, 0)
			time.Sleep(20 * ms)
			l.unit.Mangle(nil)
			l.ask(t, 2, 2)
			after(time.Second)
			n := len(l.answer(1, 0))
			want := fmt.Sprintf("10ms:1 60ms:1 60ms:%d 200ms:%d", n, n)
			if got := strings.Join(l.came, " "); got != want || !bytes.HasPrefix(l.text, append([]byte("ab"), l.answer(2, 2)...)) {
				t.Errorf("%v: %s %q; want %s", framing, got, l.text, want)
			}
		})
	}
}

// TestNobodyAnswers: neither a unit that was never mentioned, nor the broadcast of a serial line.
func TestNobodyAnswers(t *testing.T) {
	for _, framing := range framings {
		synctest.Test(t, func(t *testing.T) {
			s := New()
			near, far := net.Pipe()
			go s.ServeConn(far, framing)
			s.Unit(0).SetRegisters(modbus.HoldingRegister, 0, []uint16{1, 2})
			unit := byte(9)
			if framing != modbus.MBAP {
				unit = 0
			}
			for _, id := range []byte{9, unit} {
				if _, err := near.Write(frame{unit: id, pdu: []byte{3, 0, 0, 0, 2}}.wrap(framing)); err != nil {
					t.Fatal(err)
				}
			}
			if err := near.SetReadDeadline(time.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
			if n, err := near.Read(make([]byte, 1)); err == nil {
				t.Errorf("%v: %d bytes", framing, n)
			}
			if stats := s.Stats(); stats.Requests != 2 {
				t.Errorf("%v: %+v", framing, stats)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestClose: late answers and a client that takes nothing do not hold it up, and a stream that comes too late is closed.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New()
		s.Unit(1).SetRegisters(modbus.HoldingRegister, 0, []uint16{1, 2})
		s.Unit(1).Fault(Fault{Kind: Duplicate, Delay: time.Hour})
		near, far := net.Pipe()
		go s.ServeConn(far, modbus.RTU)
		began := time.Now()
		for range 100 { // nobody reads; requests are taken all the same, until the answers in store are too many
			if err := near.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := near.Write(frame{unit: 1, pdu: []byte{3, 0, 0, 0, 2}}.wrap(modbus.RTU)); err != nil {
				break
			}
		}
		if n := s.Stats().Requests; n < 50 || n == 100 {
			t.Errorf("%d requests taken", n)
		}
		if err := s.Close(); err != nil || time.Since(began) > time.Minute {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		near, far = net.Pipe()
		s.ServeConn(far, modbus.RTU)
		if _, err := near.Write([]byte{1}); err == nil {
			t.Error("served after Close")
		}
	})
}
