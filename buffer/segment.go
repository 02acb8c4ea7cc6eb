package buffer

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// A segment is one bbolt file. Everything stands at its root, so that a commit rewrites as few pages as bbolt can: meta, freelist, one
// branch, one leaf, and the pages of the new blocks.
//
//	stream code, seq / "d"     a block; one sub-bucket each, so that a commit does not rewrite its neighbours
//	                 / "c"     beside the last block of a transaction: its record, what it stored and how the books moved
//	"c", number      / "c"     the record of a transaction without blocks
//	"checkpoint"     / "c"     the books at the segment's head, renewed every minute
//	"catalogues"     / hash    each catalogue that one of its blocks names
//
// Nothing in it is deleted: a segment that is no longer needed is unlinked.
var (
	bucketCheckpoint = []byte("checkpoint")
	bucketCatalogues = []byte("catalogues")
	keyData          = []byte("d")
	keyCommit        = []byte("c")
)

const (
	segmentPattern = "q-%08d.db"
	archivePattern = "h-%08d.db"
	archiveBit     = 1 << 63 // of the number of an archive file
	archived       = 0       // no segment: what holds a block is a file of the archive, of which one may have this number
	lockTimeout    = 2 * time.Second
	pageSize       = 4096
	allocSize      = 1 << 20
	commitOverhead = 256 << 10 // generously: what a commit writes besides its blocks
)

// segment is an open segment file. Views may run side by side; close waits for them.
type segment struct {
	number uint64
	path   string
	mu     sync.RWMutex // held for reading while db is in use
	db     *bolt.DB     // nil once closed
}

func segmentPath(dir string, number uint64) string {
	if number&archiveBit != 0 {
		return filepath.Join(dir, fmt.Sprintf(archivePattern, number&^archiveBit))
	}
	return filepath.Join(dir, fmt.Sprintf(segmentPattern, number))
}

// openSegment opens the file for commits, or makes it.
func openSegment(dir string, number uint64, limit int64) (*segment, error) {
	return openFile(dir, number, &bolt.Options{
		InitialMmapSize: int(limit), MaxSize: int(limit + 2*refuseSize),
		OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
			f, err := os.OpenFile(name, flag, mode)
			if err == nil {
				preallocate(f, limit)
			}
			return f, err
		},
	})
}

// openArchive opens the file of the archive that is written to, or makes it.
func openArchive(dir string, number uint64, limit int64) (*segment, error) {
	return openFile(dir, number, &bolt.Options{MaxSize: int(limit + 2*refuseSize)})
}

// openSealed opens an existing file for reading.
func openSealed(dir string, number uint64) (*segment, error) {
	return openFile(dir, number, &bolt.Options{ReadOnly: true})
}

func openFile(dir string, number uint64, o *bolt.Options) (s *segment, err error) {
	path := segmentPath(dir, number)
	defer wrap(&err, "open segment %q", path)
	o.Timeout, o.FreelistType, o.NoStatistics = lockTimeout, bolt.FreelistMapType, true
	err = guard(func() error {
		db, err := bolt.Open(path, 0o600, o)
		if err != nil {
			return err
		}
		db.AllocSize = allocSize
		s = &segment{number: number, path: path, db: db}
		return nil
	})
	return s, err
}

func (s *segment) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db == nil {
		return nil
	}
	db := s.db
	s.db = nil
	return guard(db.Close)
}

var errClosed = errors.New("segment is closed")

func (s *segment) view(f func(*bolt.Tx) error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.db == nil {
		return errClosed
	}
	return guard(func() error { return s.db.View(f) })
}

func (s *segment) update(f func(*bolt.Tx) error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.db == nil {
		return errClosed
	}
	return guard(func() error { return s.db.Update(f) })
}

// used is the size of the file's used part in bytes.
func (s *segment) used() (n int64, err error) {
	err = s.view(func(tx *bolt.Tx) error { n = tx.Size(); return nil })
	return n, err
}

// page is everything that one transaction writes, encoded.
type page struct {
	blocks     []encodedBlock
	commit     []byte
	number     uint64
	checkpoint []byte // nil unless due
	catalogue  *catalogue
	packed     []byte // the catalogue deflated
}

type encodedBlock struct {
	stored
	data []byte
}

// write commits p: after it returned nil, a power cut loses nothing of it.
func (s *segment) write(p *page) error {
	return s.update(func(tx *bolt.Tx) error {
		last := commitKey(p.number)
		for _, b := range p.blocks {
			last = blockKey(b.Stream, b.Seq)
			if err := put(tx, last, keyData, b.data); err != nil {
				return err
			}
		}
		if err := put(tx, last, keyCommit, p.commit); err != nil {
			return err
		}
		if p.checkpoint != nil {
			if err := put(tx, bucketCheckpoint, keyCommit, p.checkpoint); err != nil {
				return err
			}
		}
		if b := tx.Bucket(bucketCatalogues); len(p.blocks) == 0 || b != nil && b.Get([]byte(p.catalogue.hash)) != nil {
			return nil
		}
		return put(tx, bucketCatalogues, []byte(p.catalogue.hash), p.packed)
	})
}

// keep stores blocks as they are, again or for the first time, and catalogues.
func (s *segment) keep(blocks []encodedBlock, catalogues map[string][]byte) error {
	return s.update(func(tx *bolt.Tx) error {
		for hash, packed := range catalogues {
			if err := put(tx, bucketCatalogues, []byte(hash), packed); err != nil {
				return err
			}
		}
		for _, b := range blocks {
			if err := put(tx, blockKey(b.Stream, b.Seq), keyData, b.data); err != nil {
				return err
			}
		}
		return nil
	})
}

// begin writes the checkpoint that makes the file a segment; a file without one is what a crash left of it.
func (s *segment) begin(c *checkpoint, with *codec) error {
	packed := with.deflate(marshal(c))
	return s.update(func(tx *bolt.Tx) error { return put(tx, bucketCheckpoint, keyCommit, packed) })
}

// checkpoint reads the books at the segment's head; nil if the file never became a segment.
func (s *segment) checkpoint(with *codec) (*checkpoint, error) {
	packed, err := s.get(bucketCheckpoint, keyCommit)
	if err != nil || packed == nil {
		return nil, err
	}
	text, err := with.inflate(packed)
	if err != nil {
		return nil, err
	}
	var c checkpoint
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, fmt.Errorf("%w: checkpoint: %w", errDamaged, err)
	}
	return &c, nil
}

func put(tx *bolt.Tx, bucket, key, value []byte) error {
	b, err := tx.CreateBucketIfNotExists(bucket)
	if err != nil {
		return err
	}
	return b.Put(key, value)
}

// get copies one value out; nil if it is not there.
func (s *segment) get(bucket, key []byte) (value []byte, err error) {
	err = s.view(func(tx *bolt.Tx) error {
		if b := tx.Bucket(bucket); b != nil {
			value = append(value, b.Get(key)...)
		}
		return nil
	})
	return value, err
}

// block copies the stored form of one block out; nil if it is not there.
func (s *segment) block(stream Stream, seq uint64) ([]byte, error) {
	return s.get(blockKey(stream, seq), keyData)
}

// commits calls f with the record of each transaction behind c, in their order.
func (s *segment) commits(c *checkpoint, with *codec, f func(*commit)) error {
	records := map[uint64]*commit{}
	err := s.view(func(tx *bolt.Tx) error {
		from := [][]byte{commitKey(c.Commit + 1)}
		for _, stream := range streams {
			from = append(from, blockKey(stream, c.Next[stream]))
		}
		for _, key := range from {
			if err := recordsFrom(tx, key, with, func(r *commit) bool { records[r.Number] = r; return true }); err != nil {
				return err
			}
		}
		return nil
	})
	for _, number := range slices.Sorted(maps.Keys(records)) {
		if number > c.Commit {
			f(records[number])
		}
	}
	return err
}

// weigh adds up the records of the blocks r of one stream, as their transactions wrote them down.
func (s *segment) weigh(stream Stream, r Range, with *codec) (n uint64, err error) {
	err = s.view(func(tx *bolt.Tx) error {
		return recordsFrom(tx, blockKey(stream, r.From), with, func(c *commit) bool {
			last := r.From
			for _, b := range c.Blocks {
				if b.Stream == stream && b.Seq >= r.From && b.Seq <= r.To {
					n += b.Records
				}
				if b.Stream == stream {
					last = b.Seq
				}
			}
			return last < r.To
		})
	})
	return n, err
}

// recordsFrom reads the transaction records in the buckets from key on that begin with key's first byte, until f says false.
func recordsFrom(tx *bolt.Tx, key []byte, with *codec, f func(*commit) bool) error {
	cursor := tx.Cursor()
	for k, _ := cursor.Seek(key); len(k) == len(key) && k[0] == key[0]; k, _ = cursor.Next() {
		packed := tx.Bucket(k).Get(keyCommit)
		if packed == nil {
			continue
		}
		text, err := with.inflate(packed)
		if err != nil {
			return err
		}
		var c commit
		if err := json.Unmarshal(text, &c); err != nil {
			return fmt.Errorf("%w: transaction record: %w", errDamaged, err)
		}
		if !f(&c) {
			break
		}
	}
	return nil
}

// blockKey and commitKey are big-endian, so that bbolt's order is the order of numbers.
func blockKey(stream Stream, seq uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{streamCodes[stream]}, seq)
}

func seqOf(key []byte) uint64 { return binary.BigEndian.Uint64(key[1:]) }

func commitKey(number uint64) []byte { return binary.BigEndian.AppendUint64([]byte("c"), number) }

// guard turns what a damaged file does to bbolt, a failed assertion or a fault on a mapped page, into an error.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errDamaged, r)
		}
	}()
	return f()
}

// passing says that an error is about the system, which had no descriptor, memory or right to spare, or about another process that
// holds the file: nothing that is stored is damaged by that. A file that is not there is another matter.
func passing(err error) bool {
	var errno syscall.Errno
	return errors.Is(err, berrors.ErrTimeout) || errors.As(err, &errno) && !errors.Is(err, fs.ErrNotExist)
}

// syncDir makes a created, renamed or removed name durable. Where folders can not be synced (Windows), the name is durable with the file.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, os.ErrPermission) && !errors.Is(err, os.ErrInvalid) {
		return err
	}
	return nil
}

func wrap(err *error, format string, args ...any) {
	if *err != nil {
		*err = fmt.Errorf(format+": %w", append(args, *err)...)
	}
}
