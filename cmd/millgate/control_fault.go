package main

import (
	"cmp"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/millgate/millgate/drivers/modbus"
)

const (
	faultPause     = 10 * time.Minute // between two captures of one link
	faultAftermath = 2 * time.Second  // that a capture goes on behind the fault
	maxFaultFiles  = 20
	maxFaultBytes  = 5 << 20
)

// faultTraces keeps what passed over a link around a fault, as captures for Wireshark in a folder: so many that somebody who comes later
// sees what happened, so few that no disk fills. The oldest go first.
type faultTraces struct {
	dir     string
	log     *slog.Logger
	stop    chan struct{}
	writing sync.WaitGroup

	mu   sync.Mutex
	last map[string]time.Time // by place
}

// recordFaults makes the folder at the first fault.
func recordFaults(dir string, log *slog.Logger) *faultTraces {
	return &faultTraces{dir: dir, log: log, stop: make(chan struct{}), last: map[string]time.Time{}}
}

// record is told of a fault by a link. It returns at once, and writes a moment later.
func (f *faultTraces) record(place string, framing modbus.Framing, frames func() []modbus.Frame) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if last, ok := f.last[place]; ok && now.Sub(last) < faultPause {
		return
	}
	f.last[place] = now
	f.writing.Go(func() {
		select {
		case <-time.After(faultAftermath):
		case <-f.stop:
		}
		if err := f.write(place, now, framing, frames()); err != nil {
			f.log.Warn("the frames around a fault could not be kept", "link", place, "error", err)
		}
	})
}

// close writes what is not yet written. No record may follow.
func (f *faultTraces) close() {
	close(f.stop)
	f.writing.Wait()
}

func (f *faultTraces) write(place string, at time.Time, framing modbus.Framing, frames []modbus.Frame) error {
	if len(frames) == 0 {
		return nil // it never connected
	}
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return err
	}
	name := fileName(place) + "-" + at.UTC().Format("20060102T150405Z") + ".pcap"
	if err := writePCAPFile(filepath.Join(f.dir, name), framing, frames); err != nil {
		return err
	}
	return f.prune()
}

// prune removes the oldest captures beyond what may be kept.
func (f *faultTraces) prune() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	names, err := filepath.Glob(filepath.Join(f.dir, "*.pcap"))
	if err != nil {
		return err
	}
	var files []fs.FileInfo
	for _, name := range names {
		if info, err := os.Stat(name); err == nil { // else somebody took it away
			files = append(files, info)
		}
	}
	slices.SortFunc(files, func(a, b fs.FileInfo) int {
		return cmp.Or(b.ModTime().Compare(a.ModTime()), cmp.Compare(b.Name(), a.Name()))
	})
	var errs []error
	var size int64
	for i, file := range files {
		if size += file.Size(); i >= maxFaultFiles || size > maxFaultBytes {
			errs = append(errs, os.Remove(filepath.Join(f.dir, file.Name())))
		}
	}
	return errors.Join(errs...)
}
