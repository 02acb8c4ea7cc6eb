package buffer

import (
	"fmt"
	"time"

	"github.com/millgate/millgate/drivers"
)

// tidy removes what is no longer needed: files below the committed floor, and, by the next commit, acknowledged blocks that are older
// than the history and the oldest blocks of a queue that is too large. It runs between commits.
func (q *Queue) tidy() {
	q.unlinkBelowFloor()
	q.trimArchive()
	if q.oldestIsHistory() {
		q.drop(drivers.CauseAge)
		return
	}
	if q.bytes() > q.cfg.MaxSize {
		q.drop(drivers.CauseSize)
	}
	if err := q.shelf.reserve(); err != nil {
		q.cfg.Log.Debug("no room for the reserve", "error", err)
	}
}

// unlinkBelowFloor removes the files of sealed segments all of whose blocks lie below the committed floor.
func (q *Queue) unlinkBelowFloor() {
	for {
		q.mu.Lock()
		ok := len(q.books.sealed) > 0 && below(q.books.sealed[0], q.books.floor)
		var e segmentEntry
		if ok {
			e = q.books.sealed[0]
		}
		q.mu.Unlock()
		if !ok {
			return
		}
		if !q.remove(e) {
			return
		}
	}
}

// remove takes the oldest segment away, all but its events and reports.
func (q *Queue) remove(e segmentEntry) bool {
	q.archiveOf(e)
	q.mu.Lock()
	q.books.sealed = q.books.sealed[1:] // first: who looks for an event from here on finds it in the archive
	q.mu.Unlock()
	if err := q.shelf.unlink(e.Number); err != nil {
		q.cfg.Log.Error("remove segment", "segment", segmentPath(q.shelf.dir, e.Number), "error", err)
		q.mu.Lock()
		q.books.sealed = append([]segmentEntry{e}, q.books.sealed...)
		q.mu.Unlock()
		return false
	}
	return true
}

// below says that the floor has left all readings of a segment behind; what else is in it does not hold it.
func below(e segmentEntry, floor map[Stream]uint64) bool {
	s, ok := e.Streams[Readings]
	return !ok || s.Last < floor[Readings]
}

// oldestIsHistory says that the oldest segment is acknowledged by all and older than the history that the site keeps.
func (q *Queue) oldestIsHistory() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.books.sealed) == 0 || below(q.books.sealed[0], q.live.floor) {
		return false
	}
	e := q.books.sealed[0]
	for _, u := range q.live.uplinks {
		if s, ok := e.Streams[Readings]; ok && len(u.Acked[Readings].missing(s.First, s.Last)) > 0 {
			return false
		}
	}
	return time.Since(time.UnixMilli(e.Newest)) > q.cfg.History
}

// bytes is what the queue takes on disk, with the archive and without what already lies below the floor.
func (q *Queue) bytes() int64 {
	var kept []uint64
	q.mu.Lock()
	for _, e := range q.books.segments() {
		if len(e.Streams) == 0 || !below(e, q.live.floor) {
			kept = append(kept, e.Number)
		}
	}
	q.mu.Unlock()
	var n int64
	for _, number := range kept {
		n += q.shelf.sizeOf(number)
	}
	return n + q.shelf.archiveBytes()
}

// drop raises the floor above the oldest sealed segment. What was not acknowledged is booked as evicted and told. The next commit
// makes it durable, the next tidy removes the file.
func (q *Queue) drop(cause drivers.Cause) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, e := range q.books.sealed {
		if below(e, q.live.floor) {
			continue
		}
		q.giveUp(e, cause)
		q.hurry()
		return
	}
}

// makeRoom frees disk space at once, file before books: on a full disk the books could not be written. Opening accounts for a file
// that is gone without them. False if there is nothing left to free.
func (q *Queue) makeRoom() bool {
	if err := q.shelf.release(); err != nil {
		q.cfg.Log.Error("free the reserve", "error", err)
	}
	q.mu.Lock()
	sealed := len(q.books.sealed)
	q.mu.Unlock()
	if sealed == 0 {
		if !q.hasBlocks() || q.roll() != nil {
			return false
		}
	}
	q.mu.Lock()
	e := q.books.sealed[0]
	if !below(e, q.live.floor) {
		q.giveUp(e, drivers.CauseDisk)
	}
	q.mu.Unlock()
	return q.remove(e)
}

// giveUp raises the floor above the readings of e, books what was not acknowledged as lost for cause (none: unreadable) and tells it.
// The caller holds mu.
func (q *Queue) giveUp(e segmentEntry, cause drivers.Cause) {
	s, ok := e.Streams[Readings]
	if !ok {
		return
	}
	for id, u := range q.live.uplinks {
		for _, r := range u.Acked[Readings].missing(s.First, s.Last) {
			q.lose(id, Readings, r, q.recordsIn(e, Readings, r), cause)
		}
	}
	q.live.floor[Readings] = max(q.live.floor[Readings], s.Last+1)
	q.live.dirty = true
}

// giveUpOutliving does the same for blocks of a stream whose blocks should have outlived their segment. The caller holds mu.
func (q *Queue) giveUpOutliving(stream Stream, first, last uint64, cause drivers.Cause) {
	for id, u := range q.live.uplinks {
		for _, r := range u.Acked[stream].missing(first, last) {
			q.lose(id, stream, r, 0, cause)
		}
	}
}

// lose books blocks that one uplink will never get, and tells it. The caller holds mu.
func (q *Queue) lose(uplink string, stream Stream, r Range, records uint64, cause drivers.Cause) {
	u, p := q.live.uplinks[uplink], q.live.pending[uplink]
	acked := u.Acked[stream]
	n := acked.add(r.From, r.To)
	u.Acked[stream] = acked
	p.blocks -= min(p.blocks, n)
	if stream == Readings {
		p.readings -= min(p.readings, records)
		if cause == "" {
			u.Account.Quarantined += records
		} else {
			addCount(&u.Account.Evicted, cause, records)
		}
	}
	q.live.dirty = true
	q.tell(lossEvent(uplink, stream, r, records, cause))
}

// tell puts an event of the queue's own into the open block. The caller holds mu.
func (q *Queue) tell(e drivers.Event) {
	before := q.fill.size
	q.fill.addEvents([]drivers.Event{e}, q.cfg.BlockSize)
	q.uncommitted += q.fill.size - before
	q.cfg.Log.Warn(e.Text.EN)
}

func lossEvent(uplink string, stream Stream, r Range, records uint64, cause drivers.Cause) drivers.Event {
	e := drivers.Event{
		Time: drivers.Millis(time.Now()), Kind: drivers.EventEvicted, Severity: drivers.Severe, Subject: "uplink/" + uplink, Cause: cause,
		Ref: &drivers.BlockRange{Stream: string(stream), From: r.From, To: r.To}, Count: records,
	}
	why := map[drivers.Cause][2]string{
		drivers.CauseSize: {"the queue had reached max_size; make buffer.max_size larger or bring the broker back sooner", "队列已达到 max_size；请增大 buffer.max_size，或尽快恢复与服务器的连接"},
		drivers.CauseDisk: {"the disk was full; free some space or use a larger disk", "磁盘已满；请清理空间或更换更大的磁盘"},
		drivers.CauseAge:  {"they were older than the history", "已超过保存期限"},
		"":                {"they could not be read back; the file is kept in the quarantine folder, check the disk", "数据无法读出；文件已移至 quarantine 目录，请检查磁盘"},
	}[cause]
	if cause == "" {
		e.Kind = drivers.EventQuarantined
	}
	e.Text.EN = fmt.Sprintf("%d %s (blocks %d to %d) were not sent to uplink %s and are lost: %s", records, stream, r.From, r.To, uplink, why[0])
	e.Text.ZH = fmt.Sprintf("上行通道 %s 的 %d 条%s（块 %d 至 %d）未能发送，已丢失：%s", uplink, records, streamZH[stream], r.From, r.To, why[1])
	return e
}

var streamZH = map[Stream]string{Readings: "读数", Events: "事件", KPIs: "指标"}

// recordsIn is how many records the blocks r of one segment hold: from the segment's entry if r is all of it, else from its commits;
// 0 if they can not be read. The caller holds mu.
func (q *Queue) recordsIn(e segmentEntry, stream Stream, r Range) uint64 {
	if s := e.Streams[stream]; r.From <= s.First && r.To >= s.Last {
		return s.Records
	}
	seg, err := q.shelf.get(e.Number)
	if err != nil {
		return 0
	}
	c, err := newCodec() // the writer's may be at work
	if err != nil {
		return 0
	}
	n, err := seg.weigh(stream, r, c)
	if err != nil {
		q.cfg.Log.Error("count the readings of a segment", "segment", seg.path, "error", err)
	}
	return n
}
