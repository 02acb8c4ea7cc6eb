package opcua_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/opcua"
)

// newWorkers makes Workers whose workers are fakes, and checks at the end of the test that no process is left.
func newWorkers(t *testing.T) (*opcua.Workers, *logged) {
	t.Helper()
	w, log := opcua.NewWorkers(), &logged{}
	w.Log = slog.New(slog.NewTextHandler(log, nil))
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		if left := children(t); len(left) > 0 {
			t.Errorf("processes are left: %v", left)
		}
	})
	return w, log
}

type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// children is the processes whose parent is this one, dead or alive.
func children(t *testing.T) (found []string) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		if fields := strings.Fields(rest); len(fields) > 1 && fields[1] == strconv.Itoa(os.Getpid()) {
			found = append(found, string(stat[:min(len(stat), 60)]))
		}
	}
	return found
}

// config is a group with the fake's points on a server that fails as mode says.
func config(t *testing.T, device, mode string) opcua.Config {
	t.Helper()
	cfg := opcua.Config{
		Device: device, Interval: 200 * time.Millisecond,
		Server: opcua.Server{Endpoint: "opc.tcp://fake:4840/" + mode, Mode: opcua.SignAndEncrypt, Trust: t.TempDir()},
	}
	for i := range toldPoints {
		cfg.Points = append(cfg.Points, opcua.Point{Tag: &drivers.Tag{Device: device, Name: fmt.Sprint("p", i)}, Node: "i=1"})
	}
	return cfg
}

func open(t *testing.T, w *opcua.Workers, cfg opcua.Config) drivers.Driver {
	t.Helper()
	d, err := w.Driver(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// read is one Read that may take timeout.
func read(t *testing.T, d drivers.Driver, timeout time.Duration) ([]drivers.Reading, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	mark := drivers.Reading{Time: 42}
	begun := time.Now()
	got, err := d.Read(ctx, []drivers.Reading{mark})
	if took := time.Since(begun); took > timeout+500*time.Millisecond {
		t.Errorf("Read took %v of %v", took, timeout)
	}
	if len(got) == 0 || got[0] != mark {
		t.Fatalf("Read changed what was there: %v", got)
	}
	if err != nil && len(got) > 1 {
		t.Errorf("Read failed (%v) and gave %d readings", err, len(got)-1)
	}
	return got[1:], err
}

// mustRead is one Read that must not fail.
func mustRead(t *testing.T, d drivers.Driver) []drivers.Reading {
	t.Helper()
	got, err := read(t, d, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// told is what the fake was told, as its first point's set of readings says.
func told(t *testing.T, readings []drivers.Reading, point int) string {
	t.Helper()
	if len(readings) < toldPoints {
		t.Fatalf("%d readings, not %d", len(readings), toldPoints)
	}
	return string(readings[len(readings)-toldPoints+point].Value.AppendJSON(nil))
}

// cycles reads ten times a second until stop is closed and returns the errors.
func cycles(d drivers.Driver, stop <-chan struct{}) (reads int, failed []error) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-stop:
			return reads, failed
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		_, err := d.Read(ctx, nil)
		cancel()
		if reads++; err != nil {
			failed = append(failed, err)
		}
	}
}
