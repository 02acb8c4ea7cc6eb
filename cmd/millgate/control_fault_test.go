package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millgate/millgate/drivers/modbus"
)

func captures(t *testing.T, dir string) (names []string, size int64) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		names, size = append(names, filepath.Base(f)), size+info.Size()
	}
	return names, size
}

// someFrames is a trace that grows by one frame each time that it is asked.
func someFrames(n, length int) func() []modbus.Frame {
	return func() (frames []modbus.Frame) {
		for range n {
			frames = append(frames, modbus.Frame{At: time.Now(), Sent: true, Bytes: make([]byte, length)})
		}
		return frames
	}
}

func TestFaultsAreCaptured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "trace")
		var log bytes.Buffer
		f := recordFaults(dir, slog.New(slog.NewTextHandler(&log, nil)))
		passed := []modbus.Frame{{At: time.Now(), Sent: true, Bytes: []byte{0, 1, 0, 0, 0, 6, 1, 3, 0, 0, 0, 1}}}
		var mu sync.Mutex
		trace := func() []modbus.Frame { mu.Lock(); defer mu.Unlock(); return slices.Clone(passed) }
		f.record("192.168.1.10:502", modbus.MBAP, trace)
		f.record("/dev/serial/by-id/usb-1", modbus.RTU, trace)
		f.record("192.168.1.11:502", modbus.MBAP, func() []modbus.Frame { return nil })
		f.record("192.168.1.10:502", modbus.MBAP, trace) // too soon
		if names, _ := captures(t, dir); len(names) > 0 {
			t.Errorf("written before the aftermath: %v", names)
		}
		mu.Lock()
		passed = append(passed, modbus.Frame{At: time.Now(), Bytes: []byte("what came after")})
		mu.Unlock()
		time.Sleep(faultAftermath + time.Second)
		synctest.Wait()
		want := []string{"192.168.1.10-502-20000101T000000Z.pcap", "dev-serial-by-id-usb-1-20000101T000000Z.pcap"}
		if names, _ := captures(t, dir); !slices.Equal(names, want) {
			t.Errorf("written %v, want %v", names, want)
		}
		for _, name := range want {
			text, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil || !bytes.Contains(text, []byte("what came after")) {
				t.Errorf("%s: % x, %v", name, text, err)
			}
		}

		time.Sleep(faultPause)
		f.record("192.168.1.10:502", modbus.MBAP, trace)
		f.close() // does not wait for the aftermath
		if names, _ := captures(t, dir); len(names) != 3 {
			t.Errorf("after the pause and the end there are %v", names)
		}
		if log.Len() > 0 {
			t.Errorf("log: %s", &log)
		}
	})
}

func TestFaultsNeverFillTheDisk(t *testing.T) {
	for name, frames := range map[string]func() []modbus.Frame{"by number": someFrames(1, 100), "by size": someFrames(400, 1000)} {
		synctest.Test(t, func(t *testing.T) {
			dir := t.TempDir()
			f := recordFaults(dir, slog.New(slog.DiscardHandler))
			for i := range 30 {
				f.record(fmt.Sprint("link-", i), modbus.RTU, frames)
				time.Sleep(faultAftermath)
				synctest.Wait()
				// The clock of the files is not that of the test.
				names, _ := captures(t, dir)
				for _, name := range names {
					if strings.HasPrefix(name, fmt.Sprint("link-", i, "-")) {
						if err := os.Chtimes(filepath.Join(dir, name), time.Time{}, time.Now()); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
			f.close()
			names, size := captures(t, dir)
			if len(names) > maxFaultFiles || size > maxFaultBytes || len(names) < 10 || name == "by number" && len(names) != maxFaultFiles {
				t.Errorf("%s: %d files of %d bytes", name, len(names), size)
			}
			if !slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, "link-29-") }) ||
				slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, "link-0-") }) {
				t.Errorf("%s: not the newest were kept: %v", name, names)
			}
		})
	}
}

func TestFaultsThatCanNotBeKeptAreLogged(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	f := recordFaults(filepath.Join(file, "trace"), slog.New(slog.NewTextHandler(&log, nil)))
	f.record("a", modbus.RTU, someFrames(1, 1))
	f.close()
	if !strings.Contains(log.String(), "could not be kept") {
		t.Errorf("log: %s", &log)
	}
}
