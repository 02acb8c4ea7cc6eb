package modbus_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/modbus"
)

// sparse is a driver of the registers at addresses; those not in missing exist.
func sparse(t *testing.T, s *site, addresses []int, missing map[int]bool, limit int) *modbus.Driver {
	t.Helper()
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
	d, err := s.links.Driver(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return d
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
	if last != 1 || s.Stats().Requests > 130 {
		t.Errorf("%d requests in the last Read, %d in all", last, s.Stats().Requests)
	}
}
