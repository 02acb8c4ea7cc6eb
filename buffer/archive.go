package buffer

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/millgate/millgate/drivers"
)

// The archive keeps the events and the reports of segments that are gone: an event that says which blocks were evicted must not go with the
// next blocks that are, and a month's KPIs are worth more than its readings. It is a row of files like segments, each begun when the last one
// is full, and the oldest goes when everything in it is older than archiveAge, or when the archive takes more than its share of max_size.
//
// The KPIs of 20 machines take about 0.8 MB a day, 150 MB in 180 days, for which the default max_size has room; those of 1,000 machines about
// 25 MB a day: their 180 days need a max_size of 18 GiB, and the default one keeps 40 days.
const (
	archiveAge   = 180 * 24 * time.Hour
	archiveShare = 4       // the archive takes at most this part of max_size, but always one file
	archiveChunk = 1 << 20 // bytes copied at a time
	trimInterval = time.Minute
)

// listArchive finds the files there are.
func (s *shelf) listArchive() (err error) {
	if s.archive, err = s.list("h-*.db", archivePattern, archiveBit); err != nil {
		return err
	}
	if s.sizeOf(archived) > 0 { // what the archive was when it was a single file
		s.archive = slices.Insert(s.archive, 0, archived)
	}
	return nil
}

// openKept opens the last file of the archive for writing, and makes it if need be. The caller holds mu.
func (s *shelf) openKept() (seg *segment, err error) {
	last := s.archive[len(s.archive)-1]
	if s.kept != nil && s.kept.number == last {
		return s.kept, nil
	}
	seg, err = openArchive(s.dir, last, s.limit)
	if err == nil {
		s.kept = seg
	}
	return seg, err
}

// extendArchive begins another file.
func (s *shelf) extendArchive() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept != nil {
		_ = s.kept.close() // every transaction is on disk
		s.kept = nil
	}
	next := uint64(archiveBit | 1)
	if n := len(s.archive); n > 0 {
		next = archiveBit | (s.archive[n-1] + 1)
	}
	s.archive = append(s.archive, next)
}

// dropUnmade takes the last file off the list if it could not be made.
func (s *shelf) dropUnmade() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.archive); n > 0 && s.kept == nil {
		s.archive = s.archive[:n-1]
	}
}

// archiveFiles lists the files, the oldest first.
func (s *shelf) archiveFiles() []uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.archive)
}

func (s *shelf) archiveBytes() (n int64) {
	for _, number := range s.archiveFiles() {
		n += s.sizeOf(number)
	}
	return n
}

// archivedBlock copies the stored form of a block out of the archive; nil if it is not there.
func (s *shelf) archivedBlock(stream Stream, seq uint64) (data []byte, err error) {
	for _, number := range slices.Backward(s.archiveFiles()) {
		var seg *segment
		var fault error
		if seg, fault = s.get(number); fault == nil {
			data, fault = seg.block(stream, seq)
		}
		if data != nil {
			return data, nil
		}
		err = errors.Join(err, fault)
	}
	return nil, err
}

// archiveOf copies the events and reports of a segment into the archive. Copying again what is there is no harm.
func (q *Queue) archiveOf(e segmentEntry) {
	for _, stream := range outliving {
		s, ok := e.Streams[stream]
		if !ok {
			continue
		}
		from, err := q.shelf.get(e.Number)
		if err != nil {
			q.giveUpUnread(e, stream, s.First, s.Last, err)
			continue
		}
		for seq := s.First; seq <= s.Last; {
			blocks, next, err := from.chunk(stream, seq, s.Last)
			if err != nil {
				q.giveUpUnread(e, stream, seq, s.Last, err)
				break
			}
			q.archiveBlocks(from, blocks)
			seq = next
		}
	}
}

func (q *Queue) giveUpUnread(e segmentEntry, stream Stream, first, last uint64, err error) {
	q.cfg.Log.Error("blocks of a segment that goes can not be read", "stream", stream, "segment", segmentPath(q.shelf.dir, e.Number), "error", err)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.giveUpOutliving(stream, first, last, "")
}

// chunk copies blocks of a stream out, from seq up to last or until they are many bytes; next is the seq behind them.
func (s *segment) chunk(stream Stream, seq, last uint64) (blocks []encodedBlock, next uint64, err error) {
	size := 0
	for ; seq <= last && size < archiveChunk; seq++ {
		data, err := s.block(stream, seq)
		if err != nil {
			return nil, seq, err
		}
		if data != nil {
			blocks = append(blocks, encodedBlock{stored: stored{Stream: stream, Seq: seq}, data: data})
			size += len(data)
		}
	}
	return blocks, seq, nil
}

// archiveBlocks writes blocks of a segment into the archive. A file that can not be written is left behind for a new one: a queue that could
// not let go of segments for the sake of old events would lose readings in the end. What can not be written at all is booked and told.
func (q *Queue) archiveBlocks(from *segment, blocks []encodedBlock) {
	if len(blocks) == 0 {
		return
	}
	err := q.shelf.putArchive(from, blocks)
	if err == nil {
		return
	}
	q.cfg.Log.Warn("the archive of events and KPIs goes on in another file", "cause", err)
	q.shelf.extendArchive()
	if err = q.shelf.putArchive(from, blocks); err == nil {
		return
	}
	q.shelf.dropUnmade()
	q.cfg.Log.Error("events or KPIs can not be archived; free some space, or check the disk", "dir", q.shelf.dir, "error", err)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.giveUpOutliving(blocks[0].Stream, blocks[0].Seq, blocks[len(blocks)-1].Seq, drivers.CauseDisk)
}

// putArchive writes blocks, with the catalogues that reports name, into the last file, or into a new one if that is full.
func (s *shelf) putArchive(from *segment, blocks []encodedBlock) error {
	if len(s.archiveFiles()) == 0 {
		s.extendArchive()
	}
	into, used, err := s.lastArchive()
	if err == nil && used+archiveChunk > s.limit {
		s.extendArchive()
		into, _, err = s.lastArchive()
	}
	if err != nil {
		return err
	}
	catalogues := map[string][]byte{}
	for _, b := range blocks {
		h, err := parseHeader(b.data)
		if b.Stream != KPIs || err != nil {
			continue // a damaged block is one wherever it is
		}
		hash := []byte(hex.EncodeToString(h.catalogue[:]))
		if catalogues[string(hash)] != nil {
			continue
		}
		if there, err := into.get(bucketCatalogues, hash); err != nil || there != nil {
			continue // what can not be read now will not be written either
		}
		packed, err := from.get(bucketCatalogues, hash)
		if err != nil {
			return err
		}
		if packed != nil {
			catalogues[string(hash)] = packed
		}
	}
	return into.keep(blocks, catalogues)
}

func (s *shelf) lastArchive() (seg *segment, used int64, err error) {
	s.mu.Lock()
	seg, err = s.openKept()
	s.mu.Unlock()
	if err != nil {
		return nil, 0, err
	}
	used, err = seg.used()
	return seg, used, err
}

// trimArchive removes the oldest file of the archive if it is no longer wanted: what an uplink still waits for is given up with the next
// commit, and the file goes after it.
func (q *Queue) trimArchive() {
	if time.Since(q.writer.trimmed) < trimInterval {
		return
	}
	q.writer.trimmed = time.Now()
	files := q.shelf.archiveFiles()
	if len(files) == 0 {
		return
	}
	oldest := files[0]
	cause := drivers.CauseAge
	if len(files) > 1 && q.shelf.archiveBytes() > q.cfg.MaxSize/archiveShare {
		cause = drivers.CauseSize
	} else if !q.aged(oldest) {
		return
	}
	if q.giveUpFile(oldest, cause) {
		q.writer.trimmed = time.Time{} // again after the commit that makes it durable
		q.hurry()
		return
	}
	q.shelf.mu.Lock()
	q.shelf.archive = q.shelf.archive[1:]
	q.shelf.mu.Unlock()
	if err := q.shelf.unlink(oldest); err != nil {
		q.cfg.Log.Error("remove a file of the archive", "file", segmentPath(q.shelf.dir, oldest), "error", err)
	}
}

// aged says that everything in a file of the archive is older than archiveAge, by the blocks' own times and by when they came into it: the
// clock may have been wrong at either.
func (q *Queue) aged(number uint64) bool {
	path := segmentPath(q.shelf.dir, number)
	info, err := os.Stat(path)
	if err != nil || time.Since(info.ModTime()) < archiveAge {
		return false
	}
	seg, err := q.shelf.get(number)
	if err != nil {
		return true // nobody can read it
	}
	newest := int64(0)
	for _, stream := range outliving {
		if _, last, err := seg.ends(stream); err == nil && last > 0 {
			if data, err := seg.block(stream, last); err == nil && len(data) >= headerSize {
				h, err := parseHeader(data)
				if err == nil {
					newest = max(newest, h.time)
				}
			}
		}
	}
	return time.Since(time.UnixMilli(newest)) > archiveAge
}

// giveUpFile gives up what uplinks wait for in a file of the archive, and says whether there was anything that is not durable yet.
func (q *Queue) giveUpFile(number uint64, cause drivers.Cause) bool {
	seg, err := q.shelf.get(number)
	if err != nil {
		return false // each of its blocks is told when it is missed
	}
	waits := false
	for _, stream := range outliving {
		first, last, err := seg.ends(stream)
		if err != nil || last == 0 {
			continue
		}
		q.mu.Lock()
		q.giveUpOutliving(stream, first, last, cause)
		for id := range q.live.uplinks {
			durable := q.books.uplinks[id]
			waits = waits || durable == nil || len(durable.Acked[stream].missing(first, last)) > 0
		}
		q.mu.Unlock()
	}
	return waits
}

// ends is the first and the last seq of a stream's blocks; 0 if there is none.
func (s *segment) ends(stream Stream) (first, last uint64, err error) {
	err = s.view(func(tx *bolt.Tx) error {
		c := tx.Cursor()
		if key, _ := c.Seek(blockKey(stream, 0)); len(key) == 9 && key[0] == streamCodes[stream] {
			first = seqOf(key)
		}
		key, _ := c.Seek(blockKey(stream, 1<<64-1))
		if key == nil {
			key, _ = c.Last()
		} else {
			key, _ = c.Prev()
		}
		if len(key) == 9 && key[0] == streamCodes[stream] {
			last = seqOf(key)
		}
		return nil
	})
	if err != nil {
		err = fmt.Errorf("list the blocks of %q: %w", s.path, err)
	}
	return first, last, err
}
