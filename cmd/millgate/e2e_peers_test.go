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

// peerDevice is the YAML of a device at endpoint that holds the table.
func peerDevice(t *testing.T, id, endpoint string) string {
	t.Helper()
	var out strings.Builder
	fmt.Fprintf(&out, "- id: %s\n  modbus: {endpoint: %q, unit: 1}\n  interval: 1s\n  points:\n", id, endpoint)
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

// startPymodbus serves the table at where (a port of this machine or a pseudo terminal) by the pymodbus of the distribution, whatever
// other Python comes first in PATH.
func startPymodbus(t *testing.T, mode, where string) {
	t.Helper()
	const python = "/usr/bin/python3"
	if exec.Command(python, "-c", "import pymodbus, serial_asyncio, typer").Run() != nil {
		missingPeer(t, "pymodbus is not installed for "+python)
	}
	awaitReady(t, start(t, python, filepath.Join(peersDir, "pymodbus_server.py"), peersFile, mode, where))
}

// startLibmodbus is the same by libmodbus, which it compiles.
func startLibmodbus(t *testing.T, mode, where string) {
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
	awaitReady(t, start(t, program, peersFile, mode, where))
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

// probes reads the table of a foreign server over each way that it serves: the same map must give the same values everywhere.
func probes(serve func(t *testing.T, mode, where string), endpoints ...string) func(*testing.T) {
	return func(t *testing.T) {
		t.Parallel()
		for _, scheme := range endpoints {
			t.Run(scheme, func(t *testing.T) {
				mode := strings.ReplaceAll(scheme, "+", "")
				if strings.HasSuffix(scheme, "tcp") {
					port := freePort(t)
					serve(t, mode, fmt.Sprint(port))
					probeEquals(t, scheme+"://"+local(port))
					return
				}
				near, far := newLine(t)
				serve(t, mode, far)
				probeEquals(t, scheme+"://"+near)
			})
		}
	}
}

// newLine is a serial line: a pair of pseudo terminals.
func newLine(t *testing.T) (near, far string) {
	t.Helper()
	near, far = filepath.Join(t.TempDir(), "near"), filepath.Join(t.TempDir(), "far")
	start(t, peer(t, "socat"), "pty,raw,echo=0,link="+near, "pty,raw,echo=0,link="+far)
	awaitPort(t, near)
	awaitPort(t, far)
	return near, far
}

// awaitPort waits for a serial port to appear.
func awaitPort(t *testing.T, name string) {
	t.Helper()
	eventually(t, 10*time.Second, name+" is there", func() bool {
		_, err := os.Stat(name)
		return err == nil
	})
}

// probeEquals compares what `millgate probe` prints with what the server at endpoint holds, value by value.
func probeEquals(t *testing.T, endpoint string) {
	t.Helper()
	s := writeSite(t, t.TempDir(), "commit_interval: 1s", "", strings.Replace(peerDevice(t, "peer", endpoint), "interval: 1s", "interval: 2s", 1)) // what ASCII needs at 9600 baud
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
