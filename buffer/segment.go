package buffer

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
)

// A segment is one bbolt file:
//
//	checkpoint / "c"                 the books at its head, renewed every minute
//	commits    / number              what each transaction stored and how the books moved
//	catalogues / hash                each catalogue that one of its blocks names
//	readings   / seq / "d"           one sub-bucket per block, so that a commit does not rewrite its neighbours
//	events     / seq / "d"
//
// Nothing in it is deleted: a segment that is no longer needed is unlinked.
var (
	bucketCheckpoint = []byte("checkpoint")
	bucketCommits    = []byte("commits")
	bucketCatalogues = []byte("catalogues")
	keyCheckpoint    = []byte("c")
	keyData          = []byte("d")
)

const (
	segmentPattern = "q-%08d.db"
	lockTimeout    = 2 * time.Second
	fillSequential = 0.95 // keys only grow: leaves need no room for later
	pageSize       = 4096
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
	return filepath.Join(dir, fmt.Sprintf(segmentPattern, number))
}

// openSegment opens the file, or makes it.
func openSegment(dir string, number uint64, limit int64) (s *segment, err error) {
	path := segmentPath(dir, number)
	defer wrap(&err, "open segment %q", path)
	err = guard(func() error {
		db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: lockTimeout, FreelistType: bolt.FreelistMapType, NoStatistics: true,
			InitialMmapSize: int(limit), MaxSize: int(limit + 2*refuseSize)})
		if err != nil {
			return err
		}
		db.AllocSize = int(min(4<<20, limit/8))
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
		for _, b := range p.blocks {
			if err := putBlock(tx, b); err != nil {
				return err
			}
		}
		if len(p.blocks) > 0 {
			if err := put(tx, bucketCatalogues, []byte(p.catalogue.hash), p.packed, true); err != nil {
				return err
			}
		}
		if p.checkpoint != nil {
			if err := put(tx, bucketCheckpoint, keyCheckpoint, p.checkpoint, false); err != nil {
				return err
			}
		}
		return put(tx, bucketCommits, seqKey(p.number), p.commit, false)
	})
}

// begin writes the checkpoint that makes the file a segment; a file without one is what a crash left of it.
func (s *segment) begin(c *checkpoint, with *codec) error {
	packed := with.deflate(marshal(c))
	return s.update(func(tx *bolt.Tx) error { return put(tx, bucketCheckpoint, keyCheckpoint, packed, false) })
}

// checkpoint reads the books at the segment's head; nil if the file never became a segment.
func (s *segment) checkpoint(with *codec) (*checkpoint, error) {
	packed, err := s.get(bucketCheckpoint, keyCheckpoint)
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

func putBlock(tx *bolt.Tx, b encodedBlock) error {
	stream, err := tx.CreateBucketIfNotExists([]byte(b.Stream))
	if err != nil {
		return err
	}
	stream.FillPercent = fillSequential
	own, err := stream.CreateBucketIfNotExists(seqKey(b.Seq))
	if err != nil {
		return err
	}
	return own.Put(keyData, b.data)
}

func put(tx *bolt.Tx, bucket, key, value []byte, once bool) error {
	b, err := tx.CreateBucketIfNotExists(bucket)
	if err != nil {
		return err
	}
	if once && b.Get(key) != nil {
		return nil
	}
	b.FillPercent = fillSequential
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
func (s *segment) block(stream Stream, seq uint64) (data []byte, err error) {
	err = s.view(func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte(stream))
		if b == nil {
			return nil
		}
		if b = b.Bucket(seqKey(seq)); b != nil {
			data = append(data, b.Get(keyData)...)
		}
		return nil
	})
	return data, err
}

// commits calls f with each commit record from number on, in order.
func (s *segment) commits(from uint64, c *codec, f func(*commit)) error {
	return s.view(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketCommits)
		if b == nil {
			return nil
		}
		cursor := b.Cursor()
		for k, v := cursor.Seek(seqKey(from)); k != nil; k, v = cursor.Next() {
			text, err := c.inflate(v)
			if err != nil {
				return err
			}
			var record commit
			if err := json.Unmarshal(text, &record); err != nil {
				return fmt.Errorf("%w: commit %d: %w", errDamaged, binary.BigEndian.Uint64(k), err)
			}
			f(&record)
		}
		return nil
	})
}

// seqKey is big-endian, so that bbolt's order is the order of seqs.
func seqKey(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

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
