package buffer

import (
	"fmt"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/millgate/millgate/drivers"
)

// rollAway stores an event and a report in a segment of their own and takes the segment away.
func (r *rig) rollAway(i int) {
	r.t.Helper()
	event := drivers.Event{Time: int64(i), Kind: drivers.EventDeviceDown, Severity: drivers.Info, Subject: "device/device-0", Text: drivers.EventText{EN: fmt.Sprint(i)}}
	if _, err := r.Append(nil, []drivers.Event{event}, nil); err != nil {
		r.t.Fatal(err)
	}
	r.append(0, 3)
	r.report(shiftReport(fmt.Sprint(i), 300, uint64(i)))
	r.commit()
	if err := r.roll(); err != nil {
		r.t.Fatal(err)
	}
	r.drop(drivers.CauseSize)
	r.commit()
	r.commit()
	if len(r.books.sealed) > 0 {
		r.t.Fatalf("segments are left: %+v", r.books.sealed)
	}
}

// numbered are the blocks of a stream that a cursor gets.
func numbered(blocks []*Block, stream Stream) (seqs []uint64) {
	for _, b := range blocks {
		if b.Stream == stream {
			seqs = append(seqs, b.Seq)
		}
	}
	return seqs
}

func count(n uint64) (seqs []uint64) {
	for i := range n {
		seqs = append(seqs, i+1)
	}
	return seqs
}

// TestReportsOutliveTheirSegments, over several files of the archive and a restart, with the catalogue that they name.
func TestReportsOutliveTheirSegments(t *testing.T) {
	r := newRig(t, nil)
	old := r.cat.hash
	for i := range 12 {
		r.rollAway(i)
		if i%4 == 3 {
			r.shelf.extendArchive()
		}
	}
	r.desc = testCatalogue(1, 9)
	r.reopen()
	r.balanced()
	if n := len(r.shelf.archiveFiles()); n != 3 {
		t.Fatalf("%d files, want 3", n)
	}
	if s := r.Snapshot(); s.Uplinks[0].PendingBlocks < 24 {
		t.Errorf("pending %+v", s.Uplinks)
	}
	got := drain(t, r.Cursor(testUplink))
	if seqs := numbered(got, KPIs); !reflect.DeepEqual(seqs, count(12)) {
		t.Errorf("reports %v", seqs)
	}
	if seqs := numbered(got, Events); len(seqs) < 12 || seqs[0] != 1 {
		t.Errorf("events %v", seqs)
	}
	text, err := r.CatalogueJSON(old)
	if err != nil || hashOf(text) != old {
		t.Fatalf("the catalogue that the archive's reports name: %v", err)
	}
}

// TestArchiveForgetsWhatIsOld: 180 days after, and only if it is so by the blocks' times and by the file's.
func TestArchiveForgetsWhatIsOld(t *testing.T) {
	r := newRig(t, nil)
	for i := range 4 {
		r.rollAway(i)
		r.shelf.extendArchive()
	}
	r.shelf.dropUnmade()
	c := r.Cursor(testUplink)
	for _, b := range drain(t, c)[:3] { // an uplink still waits for the others
		c.Acknowledge(b)
	}
	r.commit()
	trim := func() int {
		for range 6 {
			r.writer.trimmed = time.Time{}
			r.commit()
		}
		return len(r.shelf.archiveFiles())
	}
	if n := trim(); n != 4 {
		t.Fatalf("%d files are left of new ones", n)
	}
	for _, number := range r.shelf.archiveFiles()[:2] {
		past := time.Now().Add(-archiveAge - time.Hour)
		if err := os.Chtimes(segmentPath(r.cfg.Dir, number), past, past); err != nil {
			t.Fatal(err)
		}
	}
	if n := trim(); n != 4 {
		t.Fatalf("%d files are left: the reports in them are not that old by their own time", n)
	}
	for i := range 2 { // reports of long ago
		r.archiveOld(r.shelf.archiveFiles()[i])
	}
	if n := trim(); n != 2 {
		t.Fatalf("%d files are left, want 2", n)
	}
	r.reopen()
	r.balanced()
	got, told := map[Stream]*ranges{Events: {}, KPIs: {}}, map[Stream]*ranges{Events: {}, KPIs: {}}
	c = r.Cursor(testUplink)
	for range 2 {
		for _, b := range drain(t, c) {
			if b.Stream != Readings {
				got[b.Stream].add(b.Seq, b.Seq)
			}
			for _, e := range b.Events {
				if e.Ref != nil && e.Ref.Stream != string(Readings) {
					told[Stream(e.Ref.Stream)].add(e.Ref.From, e.Ref.To)
				}
			}
			c.Acknowledge(b)
		}
		r.commit()
	}
	if want := (ranges{{1, 2}}); !reflect.DeepEqual(*told[KPIs], want) || !reflect.DeepEqual(*got[KPIs], ranges{{3, 4}}) {
		t.Errorf("reports: told as lost %v, want %v; delivered %v", *told[KPIs], want, *got[KPIs])
	}
}

// archiveOld makes the newest report of an archive file one of long ago.
func (r *rig) archiveOld(number uint64) {
	r.t.Helper()
	seg, err := r.shelf.get(number)
	if err != nil {
		r.t.Fatal(err)
	}
	_, last, err := seg.ends(KPIs)
	if err != nil {
		r.t.Fatal(err)
	}
	data, err := seg.block(KPIs, last)
	if err != nil {
		r.t.Fatal(err)
	}
	codec := r.writer.codec
	b, err := codec.decode(data, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	b.Report.Window.To = 1
	if data, err = codec.encode(nil, b, r.cat); err != nil {
		r.t.Fatal(err)
	}
	r.shelf.forget(number)
	writable, err := openArchive(r.cfg.Dir, number, r.shelf.limit)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := writable.keep([]encodedBlock{{stored: stored{Stream: KPIs, Seq: last}, data: data}}, nil); err != nil {
		r.t.Fatal(err)
	}
	if err := writable.close(); err != nil {
		r.t.Fatal(err)
	}
	past := time.Now().Add(-archiveAge - time.Hour)
	if err := os.Chtimes(segmentPath(r.cfg.Dir, number), past, past); err != nil {
		r.t.Fatal(err)
	}
}

// TestArchiveHasItsShare of the queue's size: the oldest file goes when there are too many.
func TestArchiveHasItsShare(t *testing.T) {
	r := newRig(t, func(c *Config) { c.MaxSize = 400 << 10 })
	for i := range 5 {
		r.rollAway(i)
		if i < 4 {
			r.shelf.extendArchive()
		}
	}
	for range 20 {
		r.writer.trimmed = time.Time{}
		r.commit()
	}
	if n := len(r.shelf.archiveFiles()); n >= 5 || n == 0 {
		t.Fatalf("%d files of %d bytes in a queue of %d", n, r.shelf.archiveBytes(), r.cfg.MaxSize)
	}
	r.reopen()
	r.balanced()
	got, told := r.outcome(KPIs)
	for seq := uint64(1); seq <= 5; seq++ {
		if got.has(seq) == told.has(seq) {
			t.Errorf("report %d: delivered %v, told lost %v", seq, got.has(seq), told.has(seq))
		}
	}
}

// TestReportsOfALostSegmentAreTold: a segment whose file is gone had reports that nobody has archived.
func TestReportsOfALostSegmentAreTold(t *testing.T) {
	r := newRig(t, nil)
	r.append(0, 3)
	r.report(shiftReport("a", 3, 1))
	r.commit()
	if err := r.roll(); err != nil {
		t.Fatal(err)
	}
	r.append(0, 3)
	r.report(shiftReport("b", 3, 2))
	r.commit()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(segmentPath(r.cfg.Dir, 1)); err != nil {
		t.Fatal(err)
	}
	r.open()
	r.balanced()
	r.commit()
	var told []Range
	got := drain(t, r.Cursor(testUplink))
	for _, b := range got {
		for _, e := range b.Events {
			if e.Ref.Stream == string(KPIs) {
				told = append(told, Range{e.Ref.From, e.Ref.To})
			}
		}
	}
	if seqs := numbered(got, KPIs); !reflect.DeepEqual(seqs, []uint64{2}) || !reflect.DeepEqual(told, []Range{{1, 1}}) {
		t.Fatalf("reports %v, told as lost %v", seqs, told)
	}
}
