package buffer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

const (
	keepOpen     = 3 // sealed segments open at a time: each is 64 MiB of address space
	reserveSize  = 1 << 20
	reserveFile  = "reserve"
	lockFile     = "lock.db"
	pidFile      = "pid"
	quarantineIn = "quarantine"
)

// shelf holds the segment files of one queue folder and the lock on it.
type shelf struct {
	dir   string
	limit int64 // a segment's size in bytes
	lock  *bolt.DB
	write *segment // the one that commits go to; changed by the writer only, under mu

	mu      sync.Mutex // guards what follows, and write
	sealed  []*segment // open for reading, the latest used last
	archive []uint64   // the files of the archive, the oldest first
	kept    *segment   // the last of them, open for writing; nil until it is needed
}

// openShelf takes the folder for this process.
func openShelf(dir string, limit int64) (*shelf, error) {
	if err := os.MkdirAll(filepath.Join(dir, quarantineIn), 0o700); err != nil {
		return nil, err
	}
	lock, err := bolt.Open(filepath.Join(dir, lockFile), 0o600, &bolt.Options{Timeout: lockTimeout, NoStatistics: true})
	if errors.Is(err, berrors.ErrTimeout) {
		holder := "another process"
		if pid, err := os.ReadFile(filepath.Join(dir, pidFile)); err == nil {
			holder = "process " + string(pid)
		}
		return nil, fmt.Errorf("%w: %s holds %q; stop that gateway first, or give this one a data_dir of its own", ErrLocked, holder, dir)
	}
	if err != nil {
		return nil, fmt.Errorf("lock %q: %w", dir, err)
	}
	s := &shelf{dir: dir, limit: limit, lock: lock}
	if err := os.WriteFile(filepath.Join(dir, pidFile), fmt.Append(nil, os.Getpid()), 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %q: %w", dir, err), lock.Close())
	}
	if err := s.listArchive(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return s, nil
}

// numbers lists the segment files there are, ascending.
func (s *shelf) numbers() ([]uint64, error) {
	numbers, err := s.list("q-*.db", segmentPattern, 0)
	return slices.DeleteFunc(numbers, func(n uint64) bool { return n == archived }), err
}

// list is the numbers, with these bits set, of the files with such names, ascending.
func (s *shelf) list(glob, pattern string, bits uint64) (out []uint64, err error) {
	names, err := filepath.Glob(filepath.Join(s.dir, glob))
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		var n uint64
		if _, err := fmt.Sscanf(filepath.Base(name), pattern, &n); err == nil && segmentPath(s.dir, n|bits) == name {
			out = append(out, n|bits)
		}
	}
	slices.Sort(out)
	return out, nil
}

// get is the open segment with that number; it is opened if need be, and another sealed one closed for it.
func (s *shelf) get(number uint64) (*segment, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.write != nil && s.write.number == number {
		return s.write, nil
	}
	if len(s.archive) > 0 && s.archive[len(s.archive)-1] == number {
		return s.openKept()
	}
	for i, seg := range s.sealed {
		if seg.number == number {
			s.sealed = append(slices.Delete(s.sealed, i, i+1), seg)
			return seg, nil
		}
	}
	seg, err := openSealed(s.dir, number)
	if err != nil {
		return nil, err
	}
	s.shelve(seg)
	return seg, nil
}

// shelve puts an open sealed segment among those kept open. The caller holds mu.
func (s *shelf) shelve(seg *segment) {
	s.sealed = append(s.sealed, seg)
	if len(s.sealed) > keepOpen {
		_ = s.sealed[0].close() // sealed: nothing unwritten
		s.sealed = slices.Delete(s.sealed, 0, 1)
	}
}

// start makes number the segment that commits go to; the one before it is sealed.
func (s *shelf) start(seg *segment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.write != nil {
		s.shelve(s.write)
	}
	s.write = seg
}

// forget closes the segment if it is open and takes it off the shelf.
func (s *shelf) forget(number uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept != nil && s.kept.number == number {
		_ = s.kept.close() // every transaction is on disk
		s.kept = nil
	}
	for i, seg := range s.sealed {
		if seg.number == number {
			_ = seg.close()
			s.sealed = slices.Delete(s.sealed, i, i+1)
			return
		}
	}
}

// unlink removes a segment's file.
func (s *shelf) unlink(number uint64) error {
	s.forget(number)
	if err := os.Remove(segmentPath(s.dir, number)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncDir(s.dir)
}

// quarantine sets a segment's file aside, out of the queue's way; one that was set aside before under the same name goes.
func (s *shelf) quarantine(number uint64) error {
	s.forget(number)
	from := segmentPath(s.dir, number)
	if err := os.Rename(from, filepath.Join(s.dir, quarantineIn, filepath.Base(from))); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncDir(s.dir)
}

// reserve keeps a little of the disk for the hour when it is full; release gives it to the commit that makes room.
func (s *shelf) reserve() error {
	path := filepath.Join(s.dir, reserveFile)
	if info, err := os.Stat(path); err == nil && info.Size() == reserveSize {
		return nil
	}
	if err := os.WriteFile(path, make([]byte, reserveSize), 0o600); err != nil {
		return errors.Join(err, s.release())
	}
	return nil
}

func (s *shelf) release() error {
	if err := os.Remove(filepath.Join(s.dir, reserveFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// sizeOf is what a segment's file takes, in bytes; 0 if it is not there.
func (s *shelf) sizeOf(number uint64) int64 {
	info, err := os.Stat(segmentPath(s.dir, number))
	if err != nil {
		return 0
	}
	return info.Size()
}

func (s *shelf) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, seg := range s.sealed {
		errs = append(errs, seg.close())
	}
	for _, seg := range []*segment{s.write, s.kept} {
		if seg != nil {
			errs = append(errs, seg.close())
		}
	}
	_ = os.Remove(filepath.Join(s.dir, pidFile)) // only a hint for people
	return errors.Join(append(errs, s.lock.Close())...)
}
