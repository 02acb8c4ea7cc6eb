package main

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millgate/millgate/collector"
	"github.com/millgate/millgate/configs"
	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/modbus"
)

// TestSimulateEveryLink serves one device of each kind of link: each is read where the copy of the site would look for it.
func TestSimulateEveryLink(t *testing.T) {
	endpoints := []string{"tcp://192.0.2.1:502", "tls://192.0.2.1", "rtu:///dev/ttyS0", "ascii:///dev/ttyS1", "rtu+tcp://192.0.2.2", "ascii+tcp://192.0.2.3",
		"listen://:7000"}
	want := []string{"tcp", "tcp", "rtu+tcp", "ascii+tcp", "rtu+tcp", "ascii+tcp"}
	site := &configs.Site{}
	for _, text := range endpoints {
		endpoint, err := modbus.ParseEndpoint(text)
		if err != nil {
			t.Fatal(err)
		}
		tag := &drivers.Tag{Device: text, Name: "hours", Type: drivers.TypeUint64}
		site.Devices = append(site.Devices, configs.Device{ID: text, Groups: []configs.Group{{Rules: []collector.TagRule{{Tag: tag}}, Modbus: &modbus.Config{
			Device: text, Link: modbus.LinkConfig{Endpoint: endpoint}, Unit: 1, Timeout: time.Second,
			Points: []modbus.Point{{Tag: tag, Table: modbus.HoldingRegister, Type: modbus.DataType{Name: "uint32"}}},
		}}}})
	}
	s, err := newSimulator(site, "127.0.0.1", 0)
	if err != nil {
		t.Fatal(err)
	}
	links := modbus.NewLinks()
	defer func() {
		if links.Close() != nil || s.close() != nil {
			t.Error("not closed")
		}
	}()
	if len(s.left) != 1 || s.left[0].what != endpoints[6] || len(s.devices) != 6 {
		t.Fatalf("%d devices are served, not %v", len(s.devices), s.left)
	}
	for i, d := range s.devices {
		endpoint, err := modbus.ParseEndpoint(d.endpoint)
		if scheme, _, _ := strings.Cut(d.endpoint, "://"); err != nil || scheme != want[i] {
			t.Errorf("%s is served as %s: %v", d.id, endpoint, err)
		}
		cfg := site.Devices[i].Groups[0].Modbus
		cfg.Link = modbus.LinkConfig{Endpoint: endpoint}
		driver, err := links.Driver(*cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		readings, err := driver.Read(ctx, nil)
		cancel()
		if err != nil || len(readings) != 1 || readings[0].Quality != drivers.Good {
			t.Errorf("%s at %s: %v, %v", d.id, endpoint, readings, err)
		}
	}
}

// TestSimulateTheExample: the copy of the documented example, with links of every kind, loads and reads from the simulator.
func TestSimulateTheExample(t *testing.T) {
	const example = "../../docs/examples/site.yaml"
	site, err := configs.Load(example)
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSimulator(site, "127.0.0.1", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.close() }()
	if err := s.writeSite(example, filepath.Join(t.TempDir(), "simulated.yaml")); err != nil {
		t.Fatal(err)
	}
}
