package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	peersDir  = "../../scripts/peers"
	peersFile = peersDir + "/table.tsv"
)

// row is one line of the table that the foreign servers load: they encode raw on their own, millgate must read value.
type row struct {
	name, table, address, dataType, wordOrder, raw, scale, value string
}

func loadTable(t *testing.T) []row {
	t.Helper()
	text, err := os.ReadFile(peersFile)
	if err != nil {
		t.Fatal(err)
	}
	var rows []row
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 8 {
			t.Fatalf("%s: %d columns in %q", peersFile, len(f), line)
		}
		rows = append(rows, row{f[0], f[1], f[2], f[3], f[4], f[5], f[6], f[7]})
	}
	return rows
}

// peerDevice is the YAML of a device that holds the table.
func peerDevice(t *testing.T, id string, port int) string {
	t.Helper()
	var out strings.Builder
	fmt.Fprintf(&out, "- id: %s\n  modbus: {endpoint: \"tcp://%s\", unit: 1}\n  interval: 1s\n  points:\n", id, local(port))
	for _, r := range loadTable(t) {
		fmt.Fprintf(&out, "  - {name: %s, table: %s, address: %s, type: %s", r.name, r.table, r.address, r.dataType)
		if r.dataType != "bool" {
			fmt.Fprintf(&out, ", word_order: %s", r.wordOrder)
		}
		if r.scale != "-" {
			fmt.Fprintf(&out, ", scale: %s", r.scale)
		}
		out.WriteString("}\n")
	}
	return out.String()
}

// startPymodbus serves the table by the pymodbus of the distribution, whatever other Python comes first in PATH.
func startPymodbus(t *testing.T) (port int) {
	t.Helper()
	const python = "/usr/bin/python3"
	if exec.Command(python, "-c", "import pymodbus, serial_asyncio, typer").Run() != nil {
		missingPeer(t, "pymodbus is not installed for "+python)
	}
	port = freePort(t)
	awaitReady(t, start(t, python, filepath.Join(peersDir, "pymodbus_server.py"), fmt.Sprint(port), peersFile))
	return port
}

// startLibmodbus compiles and starts the libmodbus server.
func startLibmodbus(t *testing.T) (port int) {
	t.Helper()
	flags, err := exec.Command(peer(t, "pkg-config"), "--cflags", "--libs", "libmodbus").Output()
	if err != nil {
		missingPeer(t, "libmodbus-dev is not installed")
	}
	program := filepath.Join(t.TempDir(), "libmodbus_server")
	args := append([]string{"-O1", "-o", program, filepath.Join(peersDir, "libmodbus_server.c")}, strings.Fields(string(flags))...)
	if out, err := exec.Command(peer(t, "cc"), args...).CombinedOutput(); err != nil {
		t.Fatalf("cc: %v\n%s", err, out)
	}
	port = freePort(t)
	awaitReady(t, start(t, program, fmt.Sprint(port), peersFile))
	return port
}

func awaitReady(t *testing.T, p *process) {
	t.Helper()
	eventually(t, 20*time.Second, "the server is ready", func() bool {
		if !p.running() {
			t.Fatal("the server ended")
		}
		return strings.Contains(p.log.String(), "READY")
	})
}

func testProbePymodbus(t *testing.T) {
	t.Parallel()
	probeEquals(t, startPymodbus(t))
}

func testProbeLibmodbus(t *testing.T) {
	t.Parallel()
	probeEquals(t, startLibmodbus(t))
}

// probeEquals compares what `millgate probe` prints with what the server at port holds, value by value.
func probeEquals(t *testing.T, port int) {
	s := writeSite(t, t.TempDir(), "commit_interval: 1s", "", peerDevice(t, "peer", port))
	out, err := exec.Command(binary, "probe", s.file, "--output", "json").Output()
	if err != nil {
		t.Fatalf("probe: %v\n%s", explain(err), out)
	}
	var printed []struct {
		Device, Tag, Quality string
		Value                json.RawMessage
	}
	if err := json.Unmarshal(out, &printed); err != nil {
		t.Fatalf("probe: %v\n%s", err, out)
	}
	got := map[string]string{}
	for _, p := range printed {
		got[p.Tag] = p.Quality + " " + strings.Trim(string(p.Value), `"`)
	}
	rows := loadTable(t)
	for _, r := range rows {
		if want := "good " + r.value; got[r.name] != want {
			t.Errorf("%s: probe prints %q; the server holds %q", r.name, got[r.name], want)
		}
	}
	t.Logf("%d values compared", len(rows))
}
