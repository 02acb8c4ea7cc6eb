package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millgate/millgate/buffer"
	"github.com/millgate/millgate/collector/kpi"
	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/uplink"
)

const (
	auditEpoch = "01J8XGJ6M7B3N2K5Q4R9T0V1W8"
	auditTopic = "millgate/v1/s/g/"
)

// auditBlock is the line of a block with two readings of meter-1 and one of press-7.
func auditBlock(seq uint64) string {
	return fmt.Sprintf(`%sreadings {"v":1,"stream":"readings","site":"s","gateway":"g","epoch":%q,"seq":%d,"catalogue":"c","readings":[{"device":"meter-1","t":%d,"values":{"a":%d},"bad":{"b":"timeout"}},{"device":"press-7","t":%[4]d,"values":{"n":1}}]}`,
		auditTopic, auditEpoch, seq, 1795406400000+int64(seq)*1000, seq)
}

// auditEvent is the line of a block with a ledger that counts the readings up to a block, or with an eviction.
func auditEvent(seq uint64, e drivers.Event) string {
	m := uplink.Message{V: 1, Stream: buffer.Events, Site: "s", Gateway: "g", Epoch: auditEpoch, Seq: seq, Events: []drivers.Event{e}}
	text, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return auditTopic + "events " + string(text)
}

func auditLedgerEvent(through, meter, press uint64) drivers.Event {
	fields, err := json.Marshal(buffer.Ledger{Devices: []buffer.DeviceLedger{{Device: "meter-1", Due: meter, Good: meter, Stored: meter}, {Device: "press-7", Due: press, Good: press, Stored: press}}})
	if err != nil {
		panic(err)
	}
	return drivers.Event{Kind: drivers.EventLedger, Ref: &drivers.BlockRange{Stream: "readings", From: 1, To: through}, Fields: fields}
}

func auditOf(t *testing.T, lines []string, kpis bool) (*audited, string, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "recording.txt")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := openRecording(file, nil)
	if err != nil {
		return nil, "", err
	}
	defer func() {
		if err := r.close(); err != nil {
			t.Error(err)
		}
	}()
	a, err := r.audit(kpis)
	if err != nil {
		return nil, "", err
	}
	var out strings.Builder
	if err := a.print(&out); err != nil {
		t.Fatal(err)
	}
	return a, out.String(), nil
}

func TestAuditSequencesAndLedger(t *testing.T) {
	ledger := func(through, meter, press uint64) string {
		return auditEvent(1, auditLedgerEvent(through, meter, press))
	}
	later := func(through, meter, press uint64) string {
		return auditEvent(2, auditLedgerEvent(through, meter, press))
	}
	evicted := auditEvent(1, drivers.Event{Kind: drivers.EventEvicted, Subject: "uplink/u", Count: 3, Cause: drivers.CauseSize, Ref: &drivers.BlockRange{Stream: "readings", From: 2, To: 2}})
	b := auditBlock
	tests := []struct {
		name  string
		lines []string
		good  bool
		want  []string
	}{
		{"all is there", []string{b(1), b(2), ledger(2, 4, 2)}, true, []string{"readings  2 blocks, 1 to 2", "1 ledger: readings of 2 devices compared, 2 equal, 0 different", "Nothing is missing"}},
		{"a reading too few", []string{b(1), b(2), ledger(2, 4, 3)}, false, []string{"press-7: 3 readings stored in blocks 1 to 2, 2 received", "missing or differs"}},
		{"from one ledger to the next", []string{b(7), ledger(7, 14, 7), b(8), b(9), later(9, 18, 9)}, true, []string{"2 ledgers: readings of 2 devices compared", "1 ledger not compared: blocks that it counts were not received"}},
		{"and there too few", []string{b(7), ledger(7, 14, 7), b(8), b(9), later(9, 19, 9)}, false, []string{"meter-1: 5 readings stored in blocks 8 to 9, 4 received"}},
		{"a device that the ledger does not have", []string{b(1), auditEvent(1, func() drivers.Event {
			e := auditLedgerEvent(1, 2, 1)
			e.Fields = []byte(`{"devices":[{"device":"meter-1","due":2,"good":2,"stored":2}]}`)
			return e
		}())}, false, []string{"press-7: 0 readings stored in blocks 1 to 1, 1 received"}},
		{"blocks are missing", []string{b(1), b(4)}, false, []string{"blocks 2 to 3 of readings are missing", "2 missing"}},
		{"given up, and told", []string{b(1), b(3), evicted}, true, []string{"has given up blocks 2 to 2 of readings"}},
		{"out of order, and again", []string{b(1), b(3), b(2), b(3), ledger(3, 6, 3)}, true, []string{"1 repeated, 0 missing", "2 equal"}},
		{"again with other content", []string{b(1), b(2), strings.Replace(b(1), `"a":1`, `"a":2`, 1)}, false, []string{"block 1 of readings came again with other content"}},
		{"a ledger that does not balance", []string{b(1), auditEvent(1, func() drivers.Event {
			e := auditLedgerEvent(1, 2, 1)
			e.Fields = []byte(strings.Replace(string(e.Fields), `"due":2`, `"due":9`, 1))
			return e
		}())}, false, []string{"the ledger does not balance: device meter-1: due 9"}},
		{"a catalogue that is not the one of its topic", []string{b(1), auditTopic + "catalogue/00112233445566778899aabbccddeeff {}"}, false, []string{"has the hash", "1 faults"}},
		{"a catalogue that was cleared", []string{b(1), auditTopic + "catalogue/00112233445566778899aabbccddeeff (null)"}, true, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, text, err := auditOf(t, tt.lines, false)
			if err != nil {
				t.Fatal(err)
			}
			if a.Good != tt.good {
				t.Errorf("good is %v", a.Good)
			}
			for _, want := range tt.want {
				if !strings.Contains(text, want) {
					t.Errorf("nothing like %q in\n%s", want, text)
				}
			}
		})
	}
}

// TestAuditRepetitionsForEver: a block that comes again after thousands is still compared.
func TestAuditRepetitionsForEver(t *testing.T) {
	lines := []string{auditBlock(1)}
	for seq := uint64(2); seq < 3*repetitionMemory; seq++ {
		lines = append(lines, auditBlock(seq))
	}
	a, _, err := auditOf(t, append(lines, auditBlock(1)), false)
	if err != nil || !a.Good {
		t.Fatalf("%v, good %v", err, a.Good)
	}
	a, text, err := auditOf(t, append(lines, strings.Replace(auditBlock(1), `"n":1`, `"n":2`, 1)), false)
	if err != nil || a.Good || a.Faults != 1 || !strings.Contains(text, "came again with other content") {
		t.Errorf("%v, faults %d\n%s", err, a.Faults, text)
	}
}

func TestAuditRefuses(t *testing.T) {
	for _, tt := range []struct{ name, line, want string }{
		{"nothing", "", "holds no message"},
		{"only payloads", `{"v":1}`, `line 1 is no "topic payload"`},
	} {
		if _, _, err := auditOf(t, []string{tt.line}, false); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if _, _, err := auditOf(t, []string{auditBlock(1)}, true); err == nil || !strings.Contains(err.Error(), "catalogue c is not in the recording") {
		t.Errorf("no catalogue: %v", err)
	}
}

func TestDifferingResults(t *testing.T) {
	a := kpi.Result{Subject: "M", KPI: "energy", Formula: "energy@1", Value: kpi.Number(0.1), Unit: "kW.h", Bounds: &[2]float64{0, 1}, Basis: map[string]string{"a": "b"}}
	tests := []struct {
		name   string
		change func(*kpi.Result)
		want   string
	}{
		{"equal", func(*kpi.Result) {}, "[]"},
		{"the last bit", func(r *kpi.Result) { r.Value = kpi.Number(0.1 + 1e-17*2) }, "[value]"},
		{"bounds and coverage", func(r *kpi.Result) { r.Bounds, r.Coverage = nil, kpi.Number(1) }, "[bounds coverage]"},
		{"basis", func(r *kpi.Result) { r.Basis = map[string]string{"a": "c"} }, "[basis]"},
		{"absent", func(r *kpi.Result) {
			*r = kpi.Result{Subject: "M", KPI: "energy", Formula: "energy@1", Absent: kpi.NoData}
		}, "[basis bounds unit value absent]"},
	}
	for _, tt := range tests {
		b := a
		tt.change(&b)
		if got := fmt.Sprint(differing(&a, &b)); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	if got := fmt.Sprint(differing(nil, &a), differing(&a, nil)); got != "[result] [result]" {
		t.Errorf("one is not there: %s", got)
	}
}
