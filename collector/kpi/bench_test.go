package kpi

import (
	"fmt"
	"math"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/millgate/millgate/drivers"
)

// factory is a site of so many machines with ten signals each, and an account for every ten of them.
func factory(machines int) *Config {
	cfg := &Config{Calendar: threeShifts(), Products: []Product{{ID: "flange", Programs: []string{"O1"}, Ideal: 60}}}
	for i := range machines {
		id := fmt.Sprintf("M-%04d", i)
		at := func(tag string) Signal { return Signal{Tag: id + "/" + tag, Factor: 1} }
		cfg.Equipment = append(cfg.Equipment, Equipment{
			ID: id, Category: "machine", Control: "cnc", Process: "milling", Nameplate: Nameplate{RatedPower: 20, OriginalValue: 400_000},
			Life: Life{Commissioned: "2012-05-01"},
			Signals: map[string]Signal{
				"program_state": at("prog"), "operation_mode": at("mode"), "power": at("power"), "energy": at("energy"), "parts": at("parts"),
				"program": at("program"), "spindle_on": at("spindle"), "cutting": at("cutting"), "power_reactive": at("reactive"), "run_hours": at("hours"),
			},
			State: &StateRules{Codes: "sinumerik@1", Power: &PowerState{OffWhen: "power < 0.05", Hold: 30_000}},
		})
		if i%10 == 0 {
			cfg.Accounts = append(cfg.Accounts, Account{ID: fmt.Sprintf("A-%04d", i), Kind: "workshop"})
		}
		a := &cfg.Accounts[len(cfg.Accounts)-1]
		a.Terms = append(a.Terms, Term{Signal: at("energy"), Medium: "electricity", Sign: 1})
	}
	return cfg
}

// second fills the readings of one second: all ten tags of each machine.
func (p *plant) second(readings []drivers.Reading, machines int, t int64) []drivers.Reading {
	readings = readings[:0]
	s := t / 1000
	for i := range machines {
		tags := p.tagsOf(i)
		put := func(tag int, v drivers.Value) {
			readings = append(readings, drivers.Reading{Tag: tags[tag], Value: v, Quality: drivers.Good, Time: t + int64(i)/2})
		}
		n := s + int64(i)*7
		running := n%300 < 240
		state, power := int64(2), 1.5
		if running {
			state, power = 3, 8+4*math.Abs(float64(n%60-30))/30
		}
		put(0, drivers.IntValue(state))
		put(1, drivers.IntValue(2))
		put(2, drivers.Float64Value(power))
		put(3, drivers.Float64Value(float64(n)/600))
		put(4, drivers.IntValue(n/60))
		put(5, drivers.TextValue("O1"))
		put(6, drivers.BoolValue(running && n%20 > 3))
		put(7, drivers.BoolValue(running && n%20 > 5))
		put(8, drivers.Float64Value(power/3))
		put(9, drivers.Float64Value(float64(n/3600)))
	}
	return readings
}

func (p *plant) tagsOf(machine int) (tags [10]*drivers.Tag) {
	for k, name := range []string{"prog", "mode", "power", "energy", "parts", "program", "spindle", "cutting", "reactive", "hours"} {
		tags[k] = p.byIndex[machine*10+k]
		if tags[k] == nil {
			tags[k] = &drivers.Tag{Device: fmt.Sprintf("M-%04d", machine), Name: name, Index: machine*10 + k}
			p.byIndex[machine*10+k] = tags[k]
		}
	}
	return tags
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func heap() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / (1 << 20)
}

// BenchmarkEngine takes 10,000 readings a second of 1,000 machines; an operation is a second. Run it with -benchtime=3600x for an hour.
func BenchmarkEngine(b *testing.B) {
	const machines = 1000
	cfg, empty := factory(machines), heap()
	p := newPlant(cfg)
	p.byIndex = make([]*drivers.Tag, machines*10)
	e := NewEngine(p.plan)
	t := localTime("2026-11-24 15:30")
	readings := p.second(nil, machines, t)
	var making time.Duration
	begun, results, most := cpuTime(), 0, 0.0
	for range b.N {
		begin := time.Now()
		readings = p.second(readings, machines, t)
		making += time.Since(begin)
		for part := range 4 {
			out := e.Take(p.block(readings[part*2500 : (part+1)*2500]...))
			for i := range out.Reports {
				results += len(out.Reports[i].Results)
			}
		}
		t += 1000
	}
	spent := cpuTime() - begun - making
	most = heap() - empty
	b.ReportMetric(spent.Seconds()/(float64(b.N)*machines*10/1e6), "CPU-s/Mreadings")
	b.ReportMetric(most, "heap-MB")
	b.ReportMetric(float64(results), "results")
	begun = cpuTime()
	state := e.State()
	b.ReportMetric((cpuTime() - begun).Seconds(), "CPU-s/state")
	b.ReportMetric(float64(len(state))/(1<<20), "state-MB")
	runtime.KeepAlive(e)
	runtime.KeepAlive(readings)
}
