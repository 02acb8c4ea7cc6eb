package buffer

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"

	"github.com/millgate/millgate/collector/kpi"
	"github.com/millgate/millgate/drivers"
)

// shiftReport has n results and follows from a block of readings.
func shiftReport(label string, n int, through uint64) kpi.Report {
	r := kpi.Report{
		Window:  kpi.Window{Kind: kpi.InShift, Label: label, From: 1795348800000, To: 1795392000000, TZ: "Asia/Shanghai"},
		Through: kpi.Position{Epoch: "01J8XGJ6M7B3N2K5Q4R9T0V1W8", Readings: through},
		Results: []kpi.Result{},
	}
	for i := range n {
		r.Results = append(r.Results, kpi.Result{
			Subject: fmt.Sprintf("M-%04d", i), KPI: "utilisation_of_planned", Formula: "utilisation.planned@1", Mapping: "opc40501-C.2.3@1",
			Value: kpi.Number(float64(i) / 7), Unit: "1", Num: kpi.Number(float64(i)), Den: kpi.Number(7), Quality: kpi.Measured, Inputs: []string{"cnc-1.state"},
		})
	}
	return r
}

func (r *rig) report(reports ...kpi.Report) {
	r.t.Helper()
	if _, err := r.AppendReports(reports); err != nil {
		r.t.Fatal(err)
	}
}

// reports are what blocks of the stream kpis hold.
func reportsOf(blocks []*Block) (out []kpi.Report) {
	for _, b := range blocks {
		if b.Stream == KPIs {
			out = append(out, *b.Report)
		}
	}
	return out
}

func TestReportsComeBackAsTheyWere(t *testing.T) {
	r := newRig(t, nil)
	want := []kpi.Report{shiftReport("2026-11-22/day", 3, 7), shiftReport("2026-11-22/night", 0, 7)}
	if got := r.ReportedThrough(); got != (kpi.Position{}) {
		t.Fatalf("a new queue says that it has reports through %+v", got)
	}
	r.append(0, 1)
	r.report(want...)
	if got := drain(t, r.Cursor(testUplink)); len(got) != 0 || r.ReportedThrough().Readings != 0 {
		t.Fatalf("before the commit: %+v, through %+v", got, r.ReportedThrough())
	}
	r.commit()
	r.reopen()
	r.balanced()
	blocks := drain(t, r.Cursor(testUplink))
	if got := reportsOf(blocks); !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v", got)
	}
	if b := blocks[0]; b.Stream != KPIs || b.Seq != 1 || b.Catalogue != r.cat.hash || blocks[2].Stream != Readings {
		t.Fatalf("reports come before readings, numbered from 1: %+v", b)
	}
	if got := r.ReportedThrough(); got != want[1].Through {
		t.Fatalf("through %+v after reopening", got)
	}
	if s := r.Snapshot(); s.Next[KPIs] != 3 || s.Uplinks[0].PendingBlocks != 3 || s.Ledger.Uplinks[0].Stored != 1 {
		t.Fatalf("%+v", s)
	}
}

// TestReportIsSplitBelowTheBlockSize: the parts together are the report, and none exceeds the size of a message.
func TestReportIsSplitBelowTheBlockSize(t *testing.T) {
	r := newRig(t, func(c *Config) { c.BlockSize = 8 << 10 })
	want := shiftReport("2026-11-22/day", 200, 7)
	r.report(want, shiftReport("2026-11-22/night", 1, 7))
	r.commit()
	got := reportsOf(drain(t, r.Cursor(testUplink)))
	if last := got[len(got)-1]; last.Part != 0 || len(last.Results) != 1 {
		t.Errorf("a report that fits has part %d", last.Part)
	}
	joined := got[0]
	joined.Results, joined.Part = nil, 0
	for i, part := range got[:len(got)-1] {
		if n := len(marshal(part)); n > 8<<10-envelopeSize+512 || part.Part != i+1 {
			t.Errorf("part %d at place %d has %d bytes", part.Part, i, n)
		}
		joined.Results = append(joined.Results, part.Results...)
	}
	if len(got) < 5 || !reflect.DeepEqual(joined, want) {
		t.Fatalf("%d parts do not make the report", len(got)-1)
	}
}

func TestReportThatIsNoJSONIsRefusedWhole(t *testing.T) {
	r := newRig(t, nil)
	nan := math.NaN()
	bad := shiftReport("2026-11-22/night", 1, 7)
	bad.Results[0].Value = &nan
	_, err := r.AppendReports([]kpi.Report{shiftReport("2026-11-22/day", 1, 7), bad})
	if err == nil || !strings.Contains(err.Error(), "utilisation_of_planned of M-0000 in the window 2026-11-22/night") {
		t.Fatalf("got %v", err)
	}
	r.append(0, 1)
	r.commit()
	if s := r.Snapshot(); s.Next[KPIs] != 1 {
		t.Fatalf("a part of it was taken: %+v", s.Next)
	}
}

// TestReportsDoNotPushReadingsBack: however large, they leave the readings their room.
func TestReportsDoNotPushReadingsBack(t *testing.T) {
	r := newRig(t, nil)
	for i := range 40 {
		r.report(shiftReport(fmt.Sprint(i), 2000, uint64(i)))
	}
	r.append(0, 1)
	r.commit()
	if r.Queue.reports != 0 || r.uncommitted != 0 {
		t.Fatalf("%d bytes of reports and %d of readings wait after the commit", r.Queue.reports, r.uncommitted)
	}
}

// TestPackedReportIsWhatEncodingMakes: a stored report does not depend on how it was packed.
func TestPackedReportIsWhatEncodingMakes(t *testing.T) {
	codec, err := newCodec()
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		report := shiftReport(rapid.String().Draw(t, "label"), rapid.IntRange(0, 20).Draw(t, "results"), 7)
		report.Rev, report.Reason = rapid.IntRange(0, 3).Draw(t, "rev"), rapid.SampledFrom([]string{"", "late_data"}).Draw(t, "reason")
		blocks, err := new(packer).pack([]kpi.Report{report}, 1<<20)
		if err != nil || len(blocks) != 1 {
			t.Fatal(blocks, err)
		}
		text, err := codec.inflate(blocks[0].packed.frame)
		if want, _ := json.Marshal(report); err != nil || string(text) != string(want) {
			t.Fatalf("packed as\n%s\nwant\n%s", text, want)
		}
	})
}

// TestQueueOfTwoStreamsOpens opens a queue that was stored before there were KPIs: readings 1 to 4 and events 1 to 4, of which events 1 and 2
// stand in the archive's first form; readings 1 and 2 and events 1 and 3 are acknowledged.
func TestQueueOfTwoStreamsOpens(t *testing.T) {
	r := newRig(t, nil)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r.cfg.Dir = t.TempDir()
	unpackQueue(t, r.cfg.Dir)
	r.open()
	r.balanced()
	c := r.Cursor(testUplink)
	var notes []string
	for _, b := range drain(t, c) {
		switch b.Stream {
		case Events:
			notes = append(notes, b.Events[0].Text.EN)
		case Readings:
			v, _ := b.Readings[0].Value.Float()
			notes = append(notes, fmt.Sprint("reading ", v))
			if b.Started != 0 {
				t.Errorf("block %d says that a run began with it, at %d", b.Seq, b.Started)
			}
		}
		c.Acknowledge(b)
	}
	if want := []string{"two", "four", "reading 3", "reading 4"}; !reflect.DeepEqual(notes, want) {
		t.Fatalf("got %q", notes)
	}
	r.append(0, 1)
	r.report(shiftReport("2026-11-22/day", 1, 5))
	r.commit()
	r.reopen()
	got := drain(t, r.Cursor(testUplink))
	if len(got) != 2 || got[0].Stream != KPIs || got[0].Seq != 1 || got[1].Seq != 5 {
		t.Fatalf("it goes on with %+v", got)
	}
	if s := r.Snapshot(); s.Next[Readings] != 6 || s.Next[Events] != 5 || s.Next[KPIs] != 2 {
		t.Fatalf("next %+v", s.Next)
	}
}

func unpackQueue(t *testing.T, dir string) {
	t.Helper()
	names, err := filepath.Glob("testdata/queue-of-two-streams/*.zst")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	dec, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer dec.Close()
	for _, name := range names {
		packed, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		data, err := dec.DecodeAll(packed, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, strings.TrimSuffix(filepath.Base(name), ".zst")), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRunBeginsOnce: the first block of readings of a run says when it began, also if its first commit failed, and no other does.
func TestRunBeginsOnce(t *testing.T) {
	before := drivers.Millis(time.Now())
	r := newRig(t, nil)
	r.append(0, 1)
	if !r.take() { // a commit that fails
		t.Fatal("nothing was taken")
	}
	r.append(0, 1)
	r.commit()
	r.append(1, 1)
	r.commit()
	r.reopen()
	r.append(1, 1)
	r.commit()
	var started []bool
	for _, b := range drain(t, r.Cursor(testUplink)) {
		started = append(started, b.Started >= before && b.Started <= drivers.Millis(time.Now()))
		if b.Started != 0 && !started[len(started)-1] {
			t.Errorf("block %d: begun at %d", b.Seq, b.Started)
		}
	}
	if want := []bool{true, false, false, true}; !reflect.DeepEqual(started, want) {
		t.Fatalf("begun: %v, want %v", started, want)
	}
}

func parseReports(t *testing.T, texts []string) (out []kpi.Report) {
	t.Helper()
	for _, text := range texts {
		var r kpi.Report
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}
