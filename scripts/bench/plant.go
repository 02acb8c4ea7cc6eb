package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/millgate/millgate/drivers/modbus"
	"github.com/millgate/millgate/drivers/modbus/modbussim"
)

// layout is a device's tags: a mix as machines and meters have it.
type layout struct {
	analogs   int // int16 in tenths, wandering
	noises    int // float32 that never repeats
	setPoints int // uint16, hardly ever changed
	counters  int // uint32
	switches  int // coils
}

const tagsPerDevice = 100

var layouts = map[string]layout{
	"mixed": {analogs: 30, noises: 20, setPoints: 10, counters: 20, switches: 20}, // two requests
	"plain": {analogs: 60, noises: 20, setPoints: 20},                             // one
}

func (l layout) firstNoise() int    { return l.analogs }
func (l layout) firstSetPoint() int { return l.firstNoise() + 2*l.noises }
func (l layout) firstCounter() int  { return l.firstSetPoint() + l.setPoints }
func (l layout) registers() int     { return l.firstCounter() + 2*l.counters }

// simulate serves all devices, moving them between two polls, until it is killed; it prints their addresses on one line.
func simulate(l layout, interval time.Duration) error {
	var units []*modbussim.Unit
	var addresses []string
	for range devices {
		server, err := modbussim.Listen("127.0.0.1:0")
		if err != nil {
			return err
		}
		units, addresses = append(units, server.Unit(1)), append(addresses, server.Addr())
	}
	state := make([][]uint16, devices)
	for tick := 0; ; tick++ {
		for i, u := range units {
			if tick == 0 {
				state[i] = make([]uint16, l.registers()+l.switches)
			}
			l.step(state[i], tick)
			u.SetRegisters(modbus.HoldingRegister, 0, state[i][:l.registers()])
			u.SetRegisters(modbus.Coil, 0, state[i][l.registers():])
		}
		if tick == 0 {
			fmt.Println(strings.Join(addresses, " "))
		}
		now := time.Now()
		time.Sleep(now.Truncate(interval).Add(interval * 3 / 2).Sub(now))
	}
}

// step moves a device by one tick.
func (l layout) step(r []uint16, tick int) {
	for i := range l.analogs {
		r[i] += uint16(rand.IntN(7) - 3)
	}
	for i := range l.noises {
		bits := math.Float32bits(float32(100 + 10*rand.NormFloat64()))
		r[l.firstNoise()+2*i], r[l.firstNoise()+2*i+1] = uint16(bits>>16), uint16(bits)
	}
	for i := range l.setPoints {
		if tick == 0 || rand.IntN(600) == 0 {
			r[l.firstSetPoint()+i] = uint16(rand.IntN(1000))
		}
	}
	for i := range l.counters {
		at := l.firstCounter() + 2*i
		n := (uint32(r[at])<<16 | uint32(r[at+1])) + uint32(rand.IntN(20))
		r[at], r[at+1] = uint16(n>>16), uint16(n)
	}
	for i := range l.switches {
		if rand.IntN(100) == 0 {
			r[l.registers()+i] ^= 1
		}
	}
}

// devicesYAML is the site's part that describes the plant.
func (l layout) devicesYAML(addresses []string, interval time.Duration) string {
	var points strings.Builder
	point := func(name string, i int, table string, address int, rest string) {
		fmt.Fprintf(&points, "  - {name: %s_%d, table: %s, address: %d, %s}\n", name, i, table, address, rest)
	}
	for i := range l.analogs {
		point("analog", i, "holding_register", i, "type: int16, scale: 0.1")
	}
	for i := range l.noises {
		point("noise", i, "holding_register", l.firstNoise()+2*i, "type: float32")
	}
	for i := range l.setPoints {
		point("set_point", i, "holding_register", l.firstSetPoint()+i, "type: uint16")
	}
	for i := range l.counters {
		point("counter", i, "holding_register", l.firstCounter()+2*i, "type: uint32, kind: counter")
	}
	for i := range l.switches {
		point("switch", i, "coil", i, "type: bool, kind: state")
	}
	var out strings.Builder
	for i, address := range addresses {
		fmt.Fprintf(&out, "- id: device-%d\n  modbus: {endpoint: \"tcp://%s\", unit: 1}\n  interval: %v\n  points:\n%s", i, address, interval, points.String())
	}
	return out.String()
}

// requests are the frames that read a device (MODBUS Messaging on TCP/IP V1.0b, 3.1.3).
func (l layout) requests() [][]byte {
	out := [][]byte{{0, 1, 0, 0, 0, 6, 1, 3, 0, 0, 0, byte(l.registers())}}
	if l.switches > 0 {
		out = append(out, []byte{0, 2, 0, 0, 0, 6, 1, 1, 0, 0, 0, byte(l.switches)})
	}
	return out
}

// poll is the lower bound: it asks the same of the same devices on the same ticks, and looks at nothing but the registers. It prints the
// values read and the CPU seconds.
func poll(l layout, addresses []string, interval, span time.Duration) error {
	type count struct {
		values uint64
		err    error
	}
	first := time.Now().Truncate(time.Second).Add(2 * time.Second)
	counts := make(chan count)
	for _, address := range addresses {
		go func() {
			n, err := l.pollDevice(address, first, interval, int(span/interval))
			counts <- count{n, err}
		}()
	}
	var values uint64
	for range addresses {
		c := <-counts
		if c.err != nil {
			return c.err
		}
		values += c.values
	}
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return err
	}
	_, err := fmt.Fprintln(os.Stdout, values, time.Duration(used.Utime.Nano()+used.Stime.Nano()).Seconds())
	return err
}

func (l layout) pollDevice(address string, first time.Time, interval time.Duration, ticks int) (values uint64, err error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	answer := make([]byte, 9+2*l.registers())
	words := make([]uint16, l.registers())
	requests := l.requests()
	for i := range ticks {
		time.Sleep(time.Until(first.Add(time.Duration(i) * interval)))
		for _, request := range requests {
			if _, err := conn.Write(request); err != nil {
				return 0, err
			}
			length := 9 + 2*l.registers()
			if request[7] == 1 {
				length = 9 + (l.switches+7)/8
			}
			if _, err := io.ReadFull(conn, answer[:length]); err != nil {
				return 0, err
			}
			for w := range (length - 9) / 2 {
				words[w] = binary.BigEndian.Uint16(answer[9+2*w:])
			}
		}
		values += tagsPerDevice
	}
	return values, nil
}
