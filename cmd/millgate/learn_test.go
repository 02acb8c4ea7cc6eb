package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millgate/millgate/configs"
	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/modbus"
	"github.com/millgate/millgate/drivers/modbus/modbussim"
)

// TestGatewayLearns: a device that refuses more than 40 registers, and three that its map names, is read by its best plan within ten
// cycles; the rest of it is good, the status and the events name what is refused, and a restart goes on with that plan.
func TestGatewayLearns(t *testing.T) {
	server, err := modbussim.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	u := server.Unit(1)
	u.Limit(40)
	dir := t.TempDir()
	var points strings.Builder
	for a := range 120 {
		if a != 17 && a != 60 && a != 101 {
			u.SetRegisters(modbus.HoldingRegister, uint16(a), []uint16{uint16(a)})
		}
		fmt.Fprintf(&points, "  - {name: r%d, table: holding_register, address: %d, type: uint16}\n", a, a)
	}
	file := filepath.Join(t.TempDir(), "site.yaml")
	text := fmt.Sprintf("site: {id: s}\ngateway: {id: g, data_dir: %q}\ndevices:\n- id: d\n  modbus: {endpoint: \"tcp://%s\", unit: 1}\n  interval: 100ms\n  points:\n%s",
		dir, server.Addr(), &points)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	// 0-16, 18-57, 58-59, 61-100, 102-119 (or another cut): around the holes there are pieces of 17, 42, 40 and 18 registers.
	const best = 5
	for _, restart := range []bool{false, true} {
		site, err := configs.Load(file)
		if err != nil {
			t.Fatal(err)
		}
		g, err := openGateway(site, newLog(new(strings.Builder), time.UTC))
		if err != nil {
			t.Fatal(err)
		}
		running := start(g.run)
		cycles := func() (n uint64) {
			for _, d := range g.collector.Snapshot() {
				n = d.Cycles
			}
			return n
		}
		learning := uint64(10)
		if restart {
			learning = 1
		}
		for cycles() < learning {
			time.Sleep(5 * time.Millisecond)
		}
		first, before := cycles(), server.Stats().Requests
		for cycles() < first+8 {
			time.Sleep(5 * time.Millisecond)
		}
		n, requests := cycles()-first, server.Stats().Requests-before
		if requests < best*(n-1) || requests > best*(n+1) { // a cycle may be under way at either end
			t.Errorf("restarted %v: %d requests in %d cycles, want %d each", restart, requests, n, best)
		}
		var refused []string
		for _, r := range g.status().Refused {
			refused = append(refused, r.Device+"/"+r.Tag)
		}
		if got := strings.Join(refused, " "); got != "d/r17 d/r60 d/r101" {
			t.Errorf("restarted %v: the status says that %q are refused", restart, got)
		}
		if err := running.stop(); err != nil {
			t.Fatal(err)
		}
		ledger := g.queue.Snapshot().Ledger
		if wrong := ledger.Imbalances(); len(wrong) > 0 || ledger.Devices[0].Good == 0 {
			t.Errorf("ledger %+v: %v", ledger.Devices[0], wrong)
		}
		if restart && ledger.Devices[0].Bad[drivers.ModbusException(2)] == 0 {
			t.Errorf("the refused ones are not in the books: %+v", ledger.Devices[0])
		}
		if err := g.close(); err != nil {
			t.Fatal(err)
		}
	}
}
