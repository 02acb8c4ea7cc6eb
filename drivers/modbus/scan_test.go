package modbus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/millgate/millgate/drivers"
)

// fakeDevice is a bus of units whose registers are known.
type fakeDevice struct {
	units map[uint8]*fakeUnit
	asked int
	fails error // of the link, once
}

type fakeUnit struct {
	registers [4]map[int]uint16 // nil: the function is unknown
	limit     int               // most registers of one request; 0: none
	mute      bool              // says nothing where it would refuse
	id        Identification
}

func withCause(c drivers.Cause) error { return &drivers.Error{Cause: c, Err: errors.New("no")} }

func (f *fakeDevice) Ask(ctx context.Context, unit uint8, r Request) ([]uint16, error) {
	f.asked++
	if err := f.fails; err != nil {
		f.fails = nil
		return nil, err
	}
	if err := errors.Join(ctx.Err(), r.check()); err != nil {
		return nil, err
	}
	u := f.units[unit]
	if u == nil {
		return nil, withCause(drivers.CauseTimeout)
	}
	refuse := func(code byte) ([]uint16, error) {
		if u.mute {
			return nil, withCause(drivers.CauseTimeout)
		}
		return nil, withCause(drivers.ModbusException(code))
	}
	bank := u.registers[r.Table]
	if bank == nil {
		return refuse(1)
	}
	if u.limit > 0 && int(r.Quantity) > u.limit {
		return refuse(3)
	}
	var out []uint16
	for at := int(r.Address); at < int(r.Address)+int(r.Quantity); at++ {
		v, ok := bank[at]
		if !ok {
			return refuse(2)
		}
		out = append(out, v)
	}
	return out, nil
}

func (f *fakeDevice) Identify(_ context.Context, unit uint8) (Identification, error) {
	if id := f.units[unit].id; id != (Identification{}) {
		return id, nil
	}
	return Identification{}, withCause(drivers.ModbusException(1))
}

// want is what a perfect scan finds.
func (f *fakeDevice) want(cfg ScanConfig) []ScannedUnit {
	var out []ScannedUnit
	for _, id := range cfg.Units {
		u := f.units[uint8(id)]
		if u == nil {
			continue
		}
		s := ScannedUnit{Unit: uint8(id), Identification: u.id}
		for _, t := range cfg.Tables {
			for at := int(cfg.First); at <= int(cfg.Last); at++ {
				if v, ok := u.registers[t][at]; ok {
					s.keep(Block{t, uint16(at), []uint16{v}})
				}
			}
		}
		out = append(out, s)
	}
	return out
}

// finish takes the steps that are left, at most so many.
func finish(t *testing.T, s *Scan, target Target, most int) {
	t.Helper()
	for range most {
		if err := s.Step(t.Context(), target); err != nil {
			t.Fatal(err)
		}
	}
	if s.Done() {
		return
	}
	t.Fatalf("not done after %d steps", most)
}

// TestScanFindsEverything scans random devices, and goes on from its written state after each step.
func TestScanFindsEverything(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 12 {
		cfg := ScanConfig{Units: []int{1, 2, 3, 17, 247}, Tables: []Table{HoldingRegister, InputRegister, Coil}, First: uint16(random.IntN(65000))}
		cfg.Last = cfg.First + uint16(random.IntN(536))
		device := &fakeDevice{units: map[uint8]*fakeUnit{}}
		for _, id := range cfg.Units {
			if random.IntN(2) == 0 {
				device.units[uint8(id)] = randomUnit(random, cfg)
			}
		}
		s, err := NewScan(cfg)
		if err != nil {
			t.Fatal(err)
		}
		before := 0
		for steps := 0; !s.Done(); steps++ {
			if steps > 30000 {
				t.Fatal("it does not end")
			}
			if random.IntN(50) == 0 {
				device.fails = withCause(drivers.CauseUnreachable)
			}
			failing := device.fails != nil && s.Named == len(s.Found)
			if err := s.Step(t.Context(), device); (err != nil) != failing {
				t.Fatalf("the link fails: %v, the step says: %v", failing, err)
			}
			text, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			if s, err = ParseScan(text); err != nil {
				t.Fatalf("%v: %s", err, text)
			}
			units, addresses, all := s.Progress()
			if now := units*1_000_000 + addresses; now < before || units > len(cfg.Units) || addresses > all {
				t.Fatalf("progress from %d to %d units, %d of %d addresses", before, units, addresses, all)
			} else {
				before = now
			}
		}
		got, want := fmt.Sprintf("%+v", s.Found), fmt.Sprintf("%+v", device.want(cfg))
		if got != want {
			t.Fatalf("%+v: found\n%s\nof\n%s", cfg, got, want)
		}
	}
}

func randomUnit(random *rand.Rand, cfg ScanConfig) *fakeUnit {
	u := &fakeUnit{limit: random.IntN(2) * (1 + random.IntN(100))}
	if random.IntN(2) == 0 {
		u.id = Identification{"Acme", "PM", "1"}
	}
	for _, t := range cfg.Tables {
		if random.IntN(4) == 0 {
			continue
		}
		u.registers[t] = map[int]uint16{}
		for range random.IntN(6) {
			from := int(cfg.First) - 10 + random.IntN(500)
			for at := from; at < from+1+random.IntN(150); at++ {
				u.registers[t][at] = uint16(random.Uint32())
			}
		}
	}
	return u
}

func holds(addresses ...int) map[int]uint16 {
	m := map[int]uint16{}
	for _, a := range addresses {
		m[a] = uint16(a)
	}
	return m
}

func TestScanCostsOneTimeOutForASilentUnit(t *testing.T) {
	units := make([]int, 247)
	for i := range units {
		units[i] = i + 1
	}
	s, err := NewScan(ScanConfig{Units: units, Tables: []Table{HoldingRegister}, Last: 99})
	if err != nil {
		t.Fatal(err)
	}
	device := &fakeDevice{}
	finish(t, s, device, 247)
	if device.asked != 247 || len(s.Found) > 0 {
		t.Errorf("%d requests, found %+v", device.asked, s.Found)
	}
}

// TestScanOfADeviceThatSaysNothing: silence is taken for a refusal, but not for ever.
func TestScanOfADeviceThatSaysNothing(t *testing.T) {
	unit := &fakeUnit{mute: true}
	unit.registers[HoldingRegister] = holds(0, 1, 2, 3, 60, 61)
	unit.registers[InputRegister] = holds(0)
	device := &fakeDevice{units: map[uint8]*fakeUnit{5: unit}}
	s, err := NewScan(ScanConfig{Units: []int{5}, Tables: []Table{HoldingRegister, InputRegister}, Last: 65535})
	if err != nil {
		t.Fatal(err)
	}
	finish(t, s, device, 200)
	u := s.Found[0]
	if len(u.Notes) != 2 || len(u.Blocks) < 2 || len(u.Blocks[0].Values) != 4 {
		t.Errorf("%+v", u)
	}
}

func TestScanOutcomes(t *testing.T) {
	for _, test := range []struct {
		cause drivers.Cause
		there bool
		fails bool
	}{
		{drivers.ModbusException(1), true, false},
		{drivers.ModbusException(2), true, false},
		{drivers.ModbusException(4), true, false},
		{drivers.ModbusException(6), true, false},
		{drivers.ModbusException(10), false, false},
		{drivers.ModbusException(11), false, false},
		{drivers.CauseTimeout, false, false},
		{drivers.CauseGarbled, true, false},
		{drivers.CauseRefused, false, true},
		{drivers.CauseUnreachable, false, true},
		{drivers.CauseLinkBusy, false, true},
	} {
		s, err := NewScan(ScanConfig{Units: []int{1}, Tables: []Table{HoldingRegister}})
		if err != nil {
			t.Fatal(err)
		}
		err = s.Step(t.Context(), &fakeDevice{fails: withCause(test.cause)})
		if (err != nil) != test.fails || (len(s.Found) > 0) != test.there || (s.Sought == 1) == test.fails {
			t.Errorf("%s: %v, found %v", test.cause, err, s.Found)
		}
	}
}

// TestScanWaits: a link that rests after a failure is asked again, a device that hangs up once too.
func TestScanWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		unit := &fakeUnit{}
		unit.registers[HoldingRegister] = holds(0, 1)
		device := &fakeDevice{units: map[uint8]*fakeUnit{1: unit}}
		s, err := NewScan(ScanConfig{Units: []int{1}, Tables: []Table{HoldingRegister}, Last: 1})
		if err != nil {
			t.Fatal(err)
		}
		for _, cause := range []drivers.Cause{drivers.CauseLost, drivers.CauseBackOff, drivers.CauseBackOff} {
			device.fails = withCause(cause)
			if err := s.Step(t.Context(), device); err != nil || s.Sought > 0 {
				t.Fatalf("%s: %v, %+v", cause, err, s)
			}
		}
		for s.Named == 0 {
			if err := s.Step(t.Context(), device); err != nil {
				t.Fatal(err)
			}
		}
		device.fails = withCause(drivers.ModbusException(6))
		finish(t, s, device, 10)
		if !reflect.DeepEqual(s.Found[0].Blocks, []Block{{HoldingRegister, 0, []uint16{0, 1}}}) {
			t.Errorf("%+v", s.Found)
		}
	})
}

func TestScanStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	unit := &fakeUnit{}
	device := &fakeDevice{units: map[uint8]*fakeUnit{1: unit}}
	s, err := NewScan(ScanConfig{Units: []int{1}, Tables: []Table{HoldingRegister}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Step(ctx, device); !errors.Is(err, context.Canceled) || s.Sought > 0 {
		t.Errorf("%v, %+v", err, s)
	}
}

func TestScanConfig(t *testing.T) {
	good := ScanConfig{Units: []int{0, 247}, Tables: []Table{Coil}, Last: 65535}
	if _, err := NewScan(good); err != nil {
		t.Error(err)
	}
	for _, change := range []func(*ScanConfig){
		func(c *ScanConfig) { c.Units = nil },
		func(c *ScanConfig) { c.Units = []int{248} },
		func(c *ScanConfig) { c.Units = []int{-1} },
		func(c *ScanConfig) { c.Tables = nil },
		func(c *ScanConfig) { c.Tables = []Table{9} },
		func(c *ScanConfig) { c.First, c.Last = 2, 1 },
	} {
		bad := good
		bad.Units = slices.Clone(good.Units)
		change(&bad)
		if _, err := NewScan(bad); err == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
}

func FuzzParseScan(f *testing.F) {
	f.Add([]byte(`{"config":{"units":[1,2],"tables":["coil"],"first":0,"last":9},"found":[{"unit":1}],"sought":1,"named":1,"next":3,"todo":[{"Table":"coil","Address":1,"Quantity":1}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseScan(b)
		if err != nil {
			return
		}
		ctx, device := t.Context(), &fakeDevice{units: map[uint8]*fakeUnit{1: {}, 2: {}}}
		for range 20 {
			s.Progress()
			for _, u := range s.Found {
				if device.units[u.Unit] == nil {
					device.units[u.Unit] = &fakeUnit{}
				}
			}
			if err := s.Step(ctx, device); err != nil {
				t.Error(err)
			}
		}
	})
}
