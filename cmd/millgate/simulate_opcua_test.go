package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopcua/opcua"
	"github.com/gopcua/opcua/ua"

	"github.com/millgate/millgate/configs"
	"github.com/millgate/millgate/drivers/opcua/opcuasim"
)

// opcuaSites are the same two servers in the ways in which a site may write them.
var opcuaSites = map[string]string{
	"on a line": `
  - {id: cnc-1, opcua: {endpoint: "opc.tcp://192.0.2.1:4840", security_policy: Basic256Sha256, security_mode: Sign, user: {name: a, password_file: p}}, map: ./m.yaml}
  - {id: cnc-2, opcua: {security_mode: Sign, endpoint: opc.tcp://192.0.2.2, security_policy: Basic256Sha256}, map: ./m.yaml}
  - {id: press-1, modbus: {endpoint: "tcp://192.0.2.3:502", unit: 1}, points: [{name: p, table: coil, address: 0, type: bool}]}
`,
	"on some lines": `
  - id: cnc-1   # opcua: not here
    opcua: {endpoint: "opc.tcp://192.0.2.1:4840", security_policy: Basic256Sha256,   # a } in a comment
            security_mode: SignAndEncrypt, allow_plain_password: true,
            user: {name: gateway,
                   password_file: p},
            acquire: poll}
    map: ./m.yaml
  - id: cnc-2
    opcua: {endpoint: "opc.tcp://192.0.2.2:4840/"}
    map: ./m.yaml
  - id: press-1
    modbus: {endpoint: "tcp://192.0.2.3:502", unit: 1}
    points: [{name: p, table: coil, address: 0, type: bool}]
`,
	"in blocks": `
  - opcua:   # first
      security_policy: Basic256Sha256
      security_mode: SignAndEncrypt
      user:
        name: gateway

        password_file: p
      endpoint: opc.tcp://192.0.2.1
      timeout: 3s
    id: cnc-1
    map: ./m.yaml
  - id: cnc-2
    map: ./m.yaml
    opcua:
      endpoint: 'opc.tcp://192.0.2.2:4840'
      # its own clock
      clock:
        ignore: true

  - id: press-1
    modbus:
      endpoint: tcp://192.0.2.3:502
      unit: 1
    points: [{name: p, table: coil, address: 0, type: bool}]
`,
}

const opcuaMap = `
name: m
version: "1"
title: A machine
source: [its door]
verified: true
protocol: opcua
points:
  - {name: hours, node: "nsu=http://example.com/mill/;s=Hours", type: float64, unit: h}
`

// writeOPCUASite writes a site with the devices, beside its map and its password.
func writeOPCUASite(t *testing.T, devices string) (file string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"m.yaml": opcuaMap, "p": "secret", "site.yaml": "site: {id: s}\ngateway: {id: g}\ndevices:" + devices} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "site.yaml")
}

// simulate is a simulator of a site for the test's time.
func simulate(t *testing.T, file string) *simulator {
	t.Helper()
	site, err := configs.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSimulator(site, "127.0.0.1", 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestSimulateOPCUASite: however it is written, the copy reads from the simulator, without what protected the servers, and everything
// else is as it was.
func TestSimulateOPCUASite(t *testing.T) {
	for name, devices := range opcuaSites {
		t.Run(name, func(t *testing.T) {
			file := writeOPCUASite(t, devices)
			s := simulate(t, file)
			to := filepath.Join(filepath.Dir(file), "copy.yaml")
			if err := s.writeSite(file, to); err != nil {
				text, _ := os.ReadFile(to)
				t.Fatalf("%v\n%s", err, text)
			}
			original, err := configs.Load(file)
			if err != nil {
				t.Fatal(err)
			}
			copied, err := configs.Load(to)
			if err != nil {
				t.Fatal(err)
			}
			for i := range 2 {
				got, want := copied.Devices[i].Groups[0].OPCUA, *original.Devices[i].Groups[0].OPCUA
				if got.Server.Endpoint != s.devices[i].endpoint || got.Server.Policy != "None" || got.Server.Mode != "None" || got.Server.User.Kind() != "anonymous" {
					t.Errorf("%s: %+v", copied.Devices[i].ID, got.Server)
				}
				if got.Polled != want.Polled || got.Server.Timeout != want.Server.Timeout || got.Server.Clock != want.Server.Clock {
					t.Errorf("%s changed: %+v, was %+v", copied.Devices[i].ID, got, want)
				}
			}
			text, err := os.ReadFile(to)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(text), "password") || !strings.HasPrefix(string(text), unprotected) {
				t.Errorf("the copy is\n%s", text)
			}
		})
	}
}

// TestSimulateOPCUAPoints serves nodes of every kind that a map can name.
func TestSimulateOPCUAPoints(t *testing.T) {
	s := simulate(t, writeOPCUASite(t, `
  - id: cnc-1
    opcua: {endpoint: "opc.tcp://192.0.2.1:4840", security_policy: None, security_mode: None}
    points:
      - {name: running, node: "nsu=urn:m;s=Running", type: bool}
      - {name: state, node: "nsu=urn:m;i=7", type: uint8, kind: state}
      - {name: temperature, node: "ns=5;s=T", type: int16, scale: 0.1, unit: Cel}
      - {name: hours, node: "nsu=urn:m;s=H", type: float32, unit: h, interval: 5s}
      - {name: program, node: "nsu=urn:m;g=09087e75-8e5e-499b-954f-f2a9603db28a", type: string}
      - {name: load_1, node: "nsu=urn:m;s=Load", select: "[1]", type: float64, unit: "%"}
      - {name: load_3, node: "nsu=urn:m;s=Load", select: "[3]", type: float64, unit: "%", interval: 5s}
      - {name: axis, node: "nsu=urn:m;s=Axes", select: ".X", type: float64}
      - {name: again, node: "nsu=urn:m;s=H", type: float32, unit: h}
  - id: cnc-2
    opcua: {endpoint: "opc.tcp://192.0.2.1:4840", security_policy: None, security_mode: None}
    points: [{name: parts, node: "nsu=urn:m;s=Parts", type: uint32, kind: counter}]
`))
	if len(s.opened) != 1 || len(s.devices) != 2 || len(s.left) != 1 || s.left[0].what != "cnc-1/axis" {
		t.Fatalf("%d servers, %d devices, left %v", len(s.opened), len(s.devices), s.left)
	}
	client, err := opcua.NewClient(s.devices[0].endpoint, opcua.AutoReconnect(false))
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close(t.Context()) }()
	namespaces, err := client.NamespaceArray(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for node, form := range map[string]string{
		"nsu=urn:m;s=Running": "^bool (true|false)$", "nsu=urn:m;i=7": "^uint64 [0-3]$", "ns=5;s=T": "^float64 [0-9]{3}$", "nsu=urn:m;s=H": "^float32 [0-9.]+$",
		"nsu=urn:m;g=09087e75-8e5e-499b-954f-f2a9603db28a": "^string simulated$", "nsu=urn:m;s=Load": `^\[\]float64 \[0 [1-9][0-9.]* 0 [1-9][0-9.]*\]$`,
		"nsu=urn:m;s=Parts": "^uint64 [0-9]+$",
	} {
		id, err := ua.ParseExpandedNodeID(node, namespaces)
		if err != nil {
			t.Fatal(err)
		}
		value, err := client.Node(ua.NewNodeIDFromExpandedNodeID(id)).Value(t.Context())
		if err != nil {
			t.Errorf("%s: %v", node, err)
		} else if got := fmt.Sprintf("%T %v", value.Value(), value.Value()); !regexp.MustCompile(form).MatchString(got) {
			t.Errorf("%s: %s", node, got)
		}
	}
}

// TestSimulatePaths: the objects on the way to a node stand below one of the type that the map names.
func TestSimulatePaths(t *testing.T) {
	if got, want := pathNames("Monitoring/a&/b/&&"), []string{"Monitoring", "a/b", "&"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	file := writeOPCUASite(t, `
  - {id: cnc-1, opcua: {endpoint: "opc.tcp://192.0.2.1:4840", machine: 车床01}, map: ./m.yaml}
  - {id: cnc-2, opcua: {endpoint: "opc.tcp://192.0.2.1:4840", machine: 车床02}, map: ./m.yaml}
`)
	text := strings.Replace(opcuaMap, "points:", `root: {type: "nsu=http://opcfoundation.org/UA/MachineTool/;i=13"}`+"\npoints:", 1) +
		"  - {name: parts, path: Production/Statistics/Parts, type: uint32, kind: counter}\n  - {name: more, path: Production/More, type: uint32, kind: counter}\n"
	text = strings.Replace(text, `node: "nsu=http://example.com/mill/;s=Hours"`, "path: Hours", 1)
	if err := os.WriteFile(filepath.Join(filepath.Dir(file), "m.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := simulate(t, file)
	if len(s.opened) != 1 || len(s.left) != 0 {
		t.Fatalf("%d servers, left %v", len(s.opened), s.left)
	}
	for _, id := range []string{"cnc-1", "cnc-2"} {
		for _, below := range []string{"", "/Hours", "/Production", "/Production/Statistics/Parts", "/Production/More"} {
			if node := "nsu=" + opcuasim.ApplicationURI + ";s=" + id + below; !s.servers["opc.tcp://192.0.2.1:4840"].Has(node) {
				t.Errorf("there is no %s", node)
			}
		}
	}
}

// TestSimulateOPCUALibrary: whatever map of the library is simulated, every point has its node, which can hold what it shows, over an
// hour; and a state shows codes that the map knows, several if it has several that a machine meets.
func TestSimulateOPCUALibrary(t *testing.T) {
	var devices strings.Builder
	for i, m := range configs.Maps() {
		if m.Protocol == "opcua" {
			fmt.Fprintf(&devices, "\n  - {id: d%d, opcua: {endpoint: \"opc.tcp://192.0.2.%d\"}, map: %s}", i, i+1, m.Name)
		}
	}
	file := writeOPCUASite(t, devices.String())
	s := simulate(t, file)
	site, err := configs.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.devices) == 0 || len(s.left) > 0 {
		t.Errorf("%d devices, left %v", len(s.devices), s.left)
	}
	known := map[string][]int64{}
	for _, d := range site.Devices {
		for _, g := range d.Groups {
			for _, rule := range g.Rules {
				for _, state := range rule.States {
					known[rule.Tag.String()] = append(known[rule.Tag.String()], state.Code)
				}
			}
		}
	}
	seen := map[string]map[float64]bool{}
	for _, d := range s.devices {
		for step := range 3600 {
			d.load.step(time.Unix(int64(step), 0).UTC(), time.Second)
			d.show()
			for _, p := range d.points {
				if codes := known[p.tag.String()]; codes != nil {
					code := p.shows(d.load)
					if !slices.Contains(codes, int64(code)) {
						t.Fatalf("%s shows %v, which is none of %v", p.tag, code, codes)
					}
					if seen[p.tag.Name] == nil {
						seen[p.tag.Name] = map[float64]bool{}
					}
					seen[p.tag.Name][code] = true
				}
			}
		}
		for _, n := range d.nodes {
			if err := n.server.Set(n.node, n.values...); err != nil {
				t.Errorf("%s: %v", d.id, err)
			}
		}
	}
	if len(seen["item_state"]) != 4 || len(seen["program_status"]) < 3 {
		t.Errorf("seen %v", seen)
	}
}
