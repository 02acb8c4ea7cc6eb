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

// A device's tags: a mix as machines and meters have it.
const (
	analogs   = 30 // int16 in tenths, wandering
	noises    = 20 // float32 that never repeats
	setPoints = 10 // uint16, hardly ever changed
	counters  = 20 // uint32
	switches  = 20 // coils

	firstNoise    = analogs
	firstSetPoint = firstNoise + 2*noises
	firstCounter  = firstSetPoint + setPoints
	registers     = firstCounter + 2*counters
	tagsPerDevice = analogs + noises + setPoints + counters + switches
)

// simulate serves all devices until it is killed; it prints their addresses on one line.
func simulate() error {
	var units []*modbussim.Unit
	var addresses []string
	for range devices {
		server, err := modbussim.Listen("127.0.0.1:0")
		if err != nil {
			return err
		}
		units, addresses = append(units, server.Unit(1)), append(addresses, server.Addr())
	}
	state := make([][registers + switches]uint16, devices)
	for tick := 0; ; tick++ {
		for i, u := range units {
			step(&state[i], tick)
			u.SetRegisters(modbus.HoldingRegister, 0, state[i][:registers])
			u.SetRegisters(modbus.Coil, 0, state[i][registers:])
		}
		if tick == 0 {
			fmt.Println(strings.Join(addresses, " "))
		}
		now := time.Now()
		time.Sleep(now.Truncate(time.Second).Add(1500 * time.Millisecond).Sub(now)) // between two polls
	}
}

// step moves a device by one second.
func step(r *[registers + switches]uint16, tick int) {
	for i := range analogs {
		r[i] += uint16(rand.IntN(7) - 3)
	}
	for i := range noises {
		bits := math.Float32bits(float32(100 + 10*rand.NormFloat64()))
		r[firstNoise+2*i], r[firstNoise+2*i+1] = uint16(bits>>16), uint16(bits)
	}
	for i := range setPoints {
		if tick == 0 || rand.IntN(600) == 0 {
			r[firstSetPoint+i] = uint16(rand.IntN(1000))
		}
	}
	for i := range counters {
		at := firstCounter + 2*i
		n := (uint32(r[at])<<16 | uint32(r[at+1])) + uint32(rand.IntN(20))
		r[at], r[at+1] = uint16(n>>16), uint16(n)
	}
	for i := range switches {
		if rand.IntN(100) == 0 {
			r[registers+i] ^= 1
		}
	}
}

// devicesYAML is the site's part that describes the plant.
func devicesYAML(addresses []string) string {
	var points strings.Builder
	point := func(name string, i int, table string, address int, rest string) {
		fmt.Fprintf(&points, "  - {name: %s_%d, table: %s, address: %d, %s}\n", name, i, table, address, rest)
	}
	for i := range analogs {
		point("analog", i, "holding_register", i, "type: int16, scale: 0.1")
	}
	for i := range noises {
		point("noise", i, "holding_register", firstNoise+2*i, "type: float32")
	}
	for i := range setPoints {
		point("set_point", i, "holding_register", firstSetPoint+i, "type: uint16")
	}
	for i := range counters {
		point("counter", i, "holding_register", firstCounter+2*i, "type: uint32, kind: counter")
	}
	for i := range switches {
		point("switch", i, "coil", i, "type: bool, kind: state")
	}
	var out strings.Builder
	for i, address := range addresses {
		fmt.Fprintf(&out, "- id: device-%d\n  modbus: {endpoint: \"tcp://%s\", unit: 1}\n  interval: 1s\n  points:\n%s", i, address, points.String())
	}
	return out.String()
}

// requests are the two frames that read a device (MODBUS Messaging on TCP/IP V1.0b, 3.1.3).
var requests = []byte{
	0, 1, 0, 0, 0, 6, 1, 3, 0, 0, 0, registers,
	0, 2, 0, 0, 0, 6, 1, 1, 0, 0, 0, switches,
}

// poll is the lower bound: it asks the same of the same devices on the same ticks, and looks at nothing but the registers. It prints the
// values read and the CPU seconds.
func poll(addresses []string, span time.Duration) error {
	type count struct {
		values uint64
		err    error
	}
	first := time.Now().Truncate(time.Second).Add(2 * time.Second)
	counts := make(chan count)
	for _, address := range addresses {
		go func() {
			n, err := pollDevice(address, first, int(span/time.Second))
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

func pollDevice(address string, first time.Time, ticks int) (values uint64, err error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	answer := make([]byte, 9+2*registers)
	words := make([]uint16, registers)
	for i := range ticks {
		time.Sleep(time.Until(first.Add(time.Duration(i) * time.Second)))
		for at := 0; at < len(requests); at += 12 {
			if _, err := conn.Write(requests[at : at+12]); err != nil {
				return 0, err
			}
			length := 9 + 2*registers
			if requests[at+7] == 1 {
				length = 9 + (switches+7)/8
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
