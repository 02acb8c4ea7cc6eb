package modbus_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/modbus"
	"github.com/millgate/millgate/drivers/modbus/modbussim"
)

// sparse is a driver of the registers at addresses; those not in missing exist.
func sparse(t *testing.T, s *site, addresses []int, missing map[int]bool, limit int) *modbus.Driver {
	t.Helper()
	d, err := s.links.Driver(sparseConfig(s, addresses, missing, limit))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func sparseConfig(s *site, addresses []int, missing map[int]bool, limit int) modbus.Config {
	cfg := modbus.Config{Device: "d", Link: at(s.Addr()), Unit: 1}
	u := s.Unit(1)
	u.Limit(limit)
	for _, a := range addresses {
		if !missing[a] {
			u.SetRegisters(modbus.HoldingRegister, uint16(a), []uint16{value(1, a)})
		}
		cfg.Points = append(cfg.Points, modbus.Point{
			Tag: &drivers.Tag{Name: fmt.Sprint("r", a), Type: drivers.TypeUint64}, Table: modbus.HoldingRegister,
			Address: uint16(a), Type: modbus.DataType{Name: "uint16"},
		})
	}
	return cfg
}

// TestOneIllegalAddressStaysOne: whatever else shares its request is read, after a Read or a few; random maps.
func TestOneIllegalAddressStaysOne(t *testing.T) {
	for _, seed := range []uint64{1795473869004749611, uint64(time.Now().UnixNano())} { // the first once ended in splitting without end
		t.Logf("seed %d", seed)
		oneIllegalAddress(t, rand.New(rand.NewPCG(seed, 1)))
	}
}

func oneIllegalAddress(t *testing.T, rnd *rand.Rand) {
	for range 40 {
		s := newSite(t)
		var addresses []int
		missing := map[int]bool{}
		for a := range 100 {
			if rnd.IntN(2) == 0 {
				addresses = append(addresses, a)
				missing[a] = rnd.IntN(25) == 0
			}
		}
		rnd.Shuffle(len(addresses), func(i, j int) { addresses[i], addresses[j] = addresses[j], addresses[i] })
		d := sparse(t, s, addresses, missing, rnd.IntN(2)*30)
		var readings []drivers.Reading
		for range 30 {
			var err error
			if readings, err = read(t, d); err != nil {
				t.Fatal(err)
			}
		}
		for i, a := range addresses {
			r := readings[i]
			switch {
			case missing[a] && r.Cause != drivers.ModbusException(2):
				t.Fatalf("the missing register %d: %+v", a, r)
			case !missing[a] && r.Value != drivers.UintValue(uint64(value(1, a))):
				t.Fatalf("register %d: %+v", a, r)
			}
		}
	}
}

// TestRefusalOfEverythingCostsLittle: after a few Reads only the plan is sent.
func TestRefusalOfEverythingCostsLittle(t *testing.T) {
	s := newSite(t)
	addresses, missing := make([]int, 100), map[int]bool{}
	for a := range addresses {
		addresses[a], missing[a] = a, true
	}
	d := sparse(t, s, addresses, missing, 0)
	var last uint64
	for range 10 {
		before := s.Stats().Requests
		r, err := read(t, d)
		if err != nil || len(r) != 100 || r[0].Cause != drivers.ModbusException(2) || r[99].Cause != drivers.ModbusException(2) {
			t.Fatalf("%v, %v", r, err)
		}
		last = s.Stats().Requests - before
	}
	if last != 1 || s.Stats().Requests > 150 {
		t.Errorf("%d requests in the last Read, %d in all", last, s.Stats().Requests)
	}
}

// allOf is the addresses 0 to n-1.
func allOf(n int) []int {
	addresses := make([]int, n)
	for i := range addresses {
		addresses[i] = i
	}
	return addresses
}

// TestBestPlanSurvivesARestart: a device that refuses more than 40 registers and has three illegal ones among 100.
func TestBestPlanSurvivesARestart(t *testing.T) {
	s := newSite(t)
	missing := map[int]bool{11: true, 47: true, 48: true}
	cfg := sparseConfig(s, allOf(100), missing, 40)
	cfg.Learned = filepath.Join(t.TempDir(), "learned", "d-1s.json")
	const best = 4 // 0 to 10, 12 to 46, 49 to 88, 89 to 99
	f := func(cfg modbus.Config, reads int) (requests int) {
		t.Helper()
		d, err := s.links.Driver(cfg)
		if err != nil {
			t.Fatal(err)
		}
		for range reads {
			before := s.Stats().Requests
			r, err := read(t, d)
			if err != nil || len(r) != 100 {
				t.Fatal(err)
			}
			requests = int(s.Stats().Requests - before)
		}
		r, err := read(t, d)
		if err != nil || check(t, 1, r) != 97 || r[47].Cause != drivers.ModbusException(2) {
			t.Fatalf("%+v, %v", r, err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		return requests
	}
	if n := f(cfg, 10); n != best {
		t.Errorf("%d requests in the tenth Read, want %d", n, best)
	}
	if n := f(cfg, 1); n != best {
		t.Errorf("%d requests in the first Read after a restart, want %d", n, best)
	}
	if err := os.WriteFile(cfg.Learned, []byte(`{"place`), 0o600); err != nil {
		t.Fatal(err)
	}
	if n := f(cfg, 1); n <= best {
		t.Errorf("%d requests in the first Read after damage", n)
	}
	if n := f(cfg, 10); n != best {
		t.Errorf("%d requests after damage, want %d", n, best)
	}
	other := cfg
	other.Link.Endpoint.Address = strings.Replace(s.Addr(), "127.0.0.1", "localhost", 1)
	if n := f(other, 1); n <= best {
		t.Errorf("%d requests in the first Read of another device", n)
	}
}

func TestForget(t *testing.T) {
	s := newSite(t)
	cfg := sparseConfig(s, allOf(50), map[int]bool{20: true}, 0)
	cfg.Learned = filepath.Join(t.TempDir(), "d.json")
	d, err := s.links.Driver(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if _, err := read(t, d); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(cfg.Learned); err != nil || len(d.Learned().Quarantined) != 1 {
		t.Fatalf("%v, %+v", err, d.Learned())
	}
	if err := d.Forget(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(cfg.Learned); err == nil {
		t.Error("the file is there")
	}
	before := s.Stats().Requests
	if _, err := read(t, d); err != nil || s.Stats().Requests-before < 5 {
		t.Errorf("%v, %d requests", err, s.Stats().Requests-before)
	}
}

func TestStatusOfThePlan(t *testing.T) {
	s := newSite(t)
	d := sparse(t, s, []int{0, 1, 2, 10, 11, 12}, map[int]bool{1: true}, 0)
	for a := range 10 {
		if a != 1 && a != 5 { // nobody asks for 5, and it is missing too
			s.Unit(1).SetRegisters(modbus.HoldingRegister, uint16(a), []uint16{value(1, a)})
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 1000 {
			_ = d.Learned().Requests
		}
	}()
	for range 8 {
		if _, err := read(t, d); err != nil {
			t.Fatal(err)
		}
	}
	<-done
	got := d.Learned()
	if len(got.Requests) != 3 || len(got.Quarantined) != 1 || len(got.Barriers) != 1 || got.Registers.Allowed != modbus.MaxRegisters || got.CycleMS <= 0 {
		t.Fatalf("%+v", got)
	}
	if q, b := got.Quarantined[0], got.Barriers[0]; q.Tag != "r1" || q.Exception != 2 || q.Since.IsZero() || b.First != 2 || b.Last != 10 {
		t.Errorf("%+v, %+v", q, b)
	}
	if _, err := json.Marshal(got); err != nil {
		t.Error(err)
	}
}

// TestSaveFailureFailsNoRead: the file can not be written.
func TestSaveFailureFailsNoRead(t *testing.T) {
	s := newSite(t)
	cfg := sparseConfig(s, allOf(5), nil, 0)
	cfg.Learned = filepath.Join(t.TempDir(), "file", "d.json")
	if err := os.WriteFile(filepath.Dir(cfg.Learned), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := s.links.Driver(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := read(t, d); err != nil || check(t, 1, r) != 5 || d.Learned().SaveError == "" {
		t.Fatalf("%v, %+v", err, d.Learned())
	}
}

// TestEventsOfRefusals: one event when an address is refused, none while it is, one when it is back.
func TestEventsOfRefusals(t *testing.T) {
	modbus.QuickRefusals(t, 10*time.Millisecond)
	s := newSite(t)
	d := sparse(t, s, allOf(20), map[int]bool{7: true}, 0)
	var events []drivers.Event
	cycle := func() []drivers.Reading {
		t.Helper()
		r, err := read(t, d)
		if err != nil {
			t.Fatal(err)
		}
		events = d.Events(events)
		time.Sleep(3 * time.Millisecond)
		return r
	}
	for range 20 {
		cycle()
	}
	if len(events) != 1 || events[0].Kind != drivers.EventAddressRefused || events[0].Subject != "device/d" || events[0].Text.ZH == "" ||
		events[0].Cause != drivers.ModbusException(2) || string(events[0].Fields) != `{"tag":"r7","table":"holding_register","address":7,"exception":2}` {
		t.Fatalf("%+v", events)
	}
	s.Unit(1).SetRegisters(modbus.HoldingRegister, 7, []uint16{value(1, 7)})
	for range 200 {
		if r := cycle(); check(t, 1, r) == 20 {
			break
		}
	}
	if len(events) != 2 || events[1].Kind != drivers.EventAddressBack {
		t.Fatalf("%+v", events)
	}
}

// TestExceptionsThatAreNoRefusal: the device is busy, or its bridge says that it does not answer.
func TestExceptionsThatAreNoRefusal(t *testing.T) {
	f := func(code byte, times int, good int, want drivers.Cause) {
		t.Helper()
		s := newSite(t)
		d := s.driver(t, 1, 40, 10, time.Second)
		s.Unit(1).Fault(modbussim.Fault{Kind: modbussim.Exception, Code: code, Times: times})
		r, err := read(t, d)
		if want != "" && (err != nil || check(t, 1, r) != good || r[0].Cause != want) {
			t.Errorf("exception %d: %+v, %v", code, r, err)
		}
		if want == "" && drivers.CauseOf(err) != drivers.ModbusException(code) {
			t.Errorf("exception %d: %+v, %v", code, r, err)
		}
		if n := s.Stats().Requests; want == "" && n != 2 || want != "" && good == 0 && n != 1 {
			t.Errorf("exception %d: %d requests", code, n)
		}
	}
	f(5, 1, 0, drivers.ModbusException(5))
	f(6, 1, 0, drivers.ModbusException(6))
	f(10, 0, 0, "")
	f(11, 0, 0, "")
	f(11, 1, 30, drivers.ModbusException(11))
}

// silentAbout answers every request but those that hold an address.
func silentAbout(t *testing.T, address uint16) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { listener.Close(); <-done })
	go func() {
		defer close(done)
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			var request [12]byte
			for {
				if _, err := io.ReadFull(c, request[:]); err != nil {
					break
				}
				from, n := binary.BigEndian.Uint16(request[8:]), binary.BigEndian.Uint16(request[10:])
				if from <= address && address < from+n {
					continue
				}
				answer := append([]byte{request[0], request[1], 0, 0, 0, byte(3 + 2*n), request[6], request[7], byte(2 * n)}, make([]byte, 2*n)...)
				for i := range n {
					binary.BigEndian.PutUint16(answer[9+2*i:], value(1, int(from+i)))
				}
				_, _ = c.Write(answer)
			}
			c.Close()
		}
	}()
	return listener.Addr().String()
}

// TestSilenceIsTakenForARefusal: a device is silent about one register, and answers for the others.
func TestSilenceIsTakenForARefusal(t *testing.T) {
	address, links := silentAbout(t, 13), modbus.NewLinks()
	t.Cleanup(func() { links.Close() })
	cfg := modbus.Config{Device: "d", Link: at(address), Unit: 1, Timeout: 30 * time.Millisecond, MaxRegisters: 10}
	for a := range 40 {
		cfg.Points = append(cfg.Points, modbus.Point{
			Tag: &drivers.Tag{Name: fmt.Sprint("r", a), Type: drivers.TypeUint64}, Table: modbus.HoldingRegister,
			Address: uint16(a), Type: modbus.DataType{Name: "uint16"},
		})
	}
	d, err := links.Driver(cfg)
	if err != nil {
		t.Fatal(err)
	}
	reads := 0
	for ; len(d.Learned().Quarantined) == 0; reads++ {
		r, err := read(t, d)
		if err != nil || reads > 40 {
			t.Fatalf("after %d reads: %v, %+v", reads, err, d.Learned())
		}
		if n := check(t, 1, r); n < 30 {
			t.Fatalf("%d good readings", n)
		}
	}
	if reads < 3 {
		t.Errorf("three frames may be lost in a row, but %d reads were enough", reads)
	}
	if _, err := read(t, d); err != nil {
		t.Fatal(err)
	}
	r, err := read(t, d)
	if q := d.Learned().Quarantined; err != nil || check(t, 1, r) != 39 || len(q) != 1 || q[0].Address != 13 || r[13].Cause != drivers.CauseTimeout {
		t.Errorf("%v, %d good, %+v", err, check(t, 1, r), q)
	}
}

// TestInFlight: requests that are handed over together fare as they do one by one.
func TestInFlight(t *testing.T) {
	s := newSite(t)
	cfg := sparseConfig(s, allOf(100), map[int]bool{33: true}, 10)
	cfg.Link.InFlight = 4
	d, err := s.links.Driver(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for range 15 {
		if _, err := read(t, d); err != nil {
			t.Fatal(err)
		}
	}
	before := s.Stats().Requests
	r, err := read(t, d)
	if n := s.Stats().Requests - before; err != nil || check(t, 1, r) != 99 || n != 11 {
		t.Errorf("%v, %d requests, %+v", err, n, d.Learned())
	}
}
