package main

import (
	"fmt"
	"iter"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/millgate/millgate/buffer"
	"github.com/millgate/millgate/collector/kpi"
	"github.com/millgate/millgate/uplink"
)

// auditHistory is the kpi.History of a recording: only what was received, and of that only what the gateway can have known by then.
type auditHistory struct {
	a        *kpiAudit
	states   *stateFolder
	upTo     int // blocks of readings taken, the present one included
	decoders map[string]*plannedDecoder
	planned  *plannedDecoder // of the present block
}

// plannedDecoder is one version of the catalogue, with the KPIs that it configures.
type plannedDecoder struct {
	*uplink.Decoder
	plan     *kpi.Plan // nil: it configures none
	interval int64     // the longest of a tag, ms
}

func newAuditHistory(a *kpiAudit) (*auditHistory, error) {
	states, err := newStateFolder()
	if err != nil {
		return nil, err
	}
	h := &auditHistory{a: a, states: states, decoders: map[string]*plannedDecoder{}}
	return h, h.findBlind()
}

func (h *auditHistory) close() { h.states.close() }

// advance goes on to the next block of readings, and to its catalogue.
func (h *auditHistory) advance(b recordedBlock) (*kpi.Batch, error) {
	h.upTo++
	batch, planned, err := h.batch(b)
	if err != nil || planned == h.planned {
		return batch, err
	}
	a := h.a
	h.planned = planned
	switch {
	case planned.plan == nil:
		return batch, fmt.Errorf("the catalogue of block %d names no equipment: there are no KPIs to audit", b.Seq)
	case a.follower == nil:
		a.follower = &kpi.Follower{Engine: kpi.NewEngine(planned.plan), Plan: planned.plan, History: h}
	default:
		engine, err := kpi.RestoreEngine(planned.plan, a.follower.Engine.State())
		if err != nil {
			return nil, err
		}
		a.follower = &kpi.Follower{Engine: engine, Plan: planned.plan, History: h}
	}
	return batch, nil
}

func (h *auditHistory) batch(b recordedBlock) (*kpi.Batch, *plannedDecoder, error) {
	m, err := h.a.r.message(b)
	if err != nil {
		return nil, nil, err
	}
	d, err := h.decoder(m.Catalogue)
	if err != nil {
		return nil, nil, fmt.Errorf("block %d of readings: %w", b.Seq, err)
	}
	batch, err := batchOf(d.Decoder, m)
	return batch, d, err
}

// batchOf is a message as the engine takes it.
func batchOf(d *uplink.Decoder, m *uplink.Message) (*kpi.Batch, error) {
	readings, err := d.Readings(nil, m)
	if err != nil {
		return nil, err
	}
	seen, err := d.Seen(m)
	if err != nil {
		return nil, err
	}
	b := &kpi.Batch{Epoch: m.Epoch, Seq: m.Seq, Catalogue: m.Catalogue, Started: m.Started, Readings: readings}
	for _, s := range seen {
		b.Seen = append(b.Seen, kpi.Seen{Device: s.Device, Time: s.Time})
	}
	return b, nil
}

func (h *auditHistory) decoder(hash string) (*plannedDecoder, error) {
	if d := h.decoders[hash]; d != nil {
		return d, nil
	}
	place, ok := h.a.g.catalogues[hash]
	if !ok {
		return nil, fmt.Errorf("its catalogue %s is not in the recording; it is retained at the broker: record it with mosquitto_sub -v -t 'PREFIX/%s/catalogue/%s' -W 3, and put it in front",
			hash, h.a.g.Name, hash)
	}
	payload, err := h.a.r.payload(place)
	if err != nil {
		return nil, err
	}
	d := &plannedDecoder{}
	if d.Decoder, err = uplink.NewDecoder(payload); err != nil {
		return nil, err
	}
	for _, device := range d.Catalogue.Devices {
		for _, tag := range device.Tags {
			d.interval = max(d.interval, tag.Interval)
		}
	}
	if d.Catalogue.KPI != nil {
		if d.plan, err = newPlan(d.Catalogue.KPI); err != nil {
			return nil, err
		}
	}
	h.decoders[hash] = d
	return d, nil
}

// Blocks is kpi.History's.
func (h *auditHistory) Blocks(from uint64) iter.Seq2[*kpi.Batch, error] {
	return func(yield func(*kpi.Batch, error) bool) {
		for _, b := range h.a.g.blocks[buffer.Readings][:h.upTo] {
			if b.Seq < from {
				continue
			}
			batch, _, err := h.batch(b)
			if !yield(batch, err) || err != nil {
				return
			}
		}
	}
}

// Published is kpi.History's: what was received.
func (h *auditHistory) Published(w kpi.Window) (rev int, results []kpi.Result, ok bool) {
	newest := map[[2]string]int{} // by subject and KPI: its place in results
	now := h.a.g.blocks[buffer.Readings][h.upTo-1].Seq
	for rev = 0; ; rev++ {
		key := windowRev{w.Kind, w.Label, rev}
		if published := h.a.published[key]; len(published) == 0 || published[0].Through.Readings >= now {
			return rev - 1, results, rev > 0
		}
		all, err := h.a.results(key)
		if err != nil {
			return rev - 1, results, rev > 0
		}
		for _, r := range all {
			id := [2]string{r.Subject, r.KPI}
			if i, known := newest[id]; known {
				results[i] = r
			} else {
				newest[id] = len(results)
				results = append(results, r)
			}
		}
	}
}

// Keep is kpi.History's.
func (h *auditHistory) Keep(day string, from int64, state []byte) error {
	return h.states.keep(day, from, state)
}

// Kept is kpi.History's.
func (h *auditHistory) Kept(t int64) ([]byte, error) { return h.states.kept(t) }

// blindSpan is a time of which an auditor knows less than the gateway did.
type blindSpan struct {
	from, to int64 // ms since 1970 UTC
	why      string
}

// quarter is how often every tag is stored, whether it has changed or not, ms.
const quarter = int64(15 * time.Minute / time.Millisecond)

// findBlind finds the gaps. Behind one every tag must have been stored once: at the next quarter of an hour, or when it is next read.
func (h *auditHistory) findBlind() error {
	next, horizon := uint64(1), int64(math.MinInt64)
	for _, b := range h.a.g.blocks[buffer.Readings] {
		if b.Seq != next && b.From <= b.To {
			m, err := h.a.r.message(b)
			if err != nil {
				return err
			}
			d, err := h.decoder(m.Catalogue)
			if err != nil {
				return err
			}
			why := skipMissing
			if next == 1 {
				why = skipBegins
			}
			known := b.From - b.From%quarter + 2*quarter + d.interval
			h.a.blind = append(h.a.blind, blindSpan{horizon, known, why})
		}
		if b.From <= b.To {
			horizon = max(horizon, b.To)
			next = b.Seq + 1
		}
	}
	return nil
}

// incomparable says why a window can not be compared; empty if it can.
func (a *kpiAudit) incomparable(w kpi.Window) string {
	for _, s := range a.blind {
		if w.From < s.to && w.To > s.from {
			return s.why
		}
	}
	return ""
}

// stateFolder keeps states of the engine in a folder of its own.
type stateFolder struct {
	dir  string
	days []keptDay // by time
}

type keptDay struct {
	day  string
	from int64
}

func newStateFolder() (*stateFolder, error) {
	dir, err := os.MkdirTemp("", "millgate-audit-")
	return &stateFolder{dir: dir}, err
}

func (s *stateFolder) close() { _ = os.RemoveAll(s.dir) } // what is left of it is the system's to clear

func (s *stateFolder) keep(day string, from int64, state []byte) error {
	known := false
	for i := range s.days {
		if s.days[i].day == day {
			s.days[i].from, known = from, true
		}
	}
	if !known {
		s.days = append(s.days, keptDay{day, from})
	}
	return os.WriteFile(filepath.Join(s.dir, filepath.Base(day)), state, 0o600)
}

func (s *stateFolder) kept(t int64) ([]byte, error) {
	best := -1
	for i, d := range s.days {
		if d.from <= t && (best < 0 || d.from >= s.days[best].from) {
			best = i
		}
	}
	if best < 0 {
		return nil, nil
	}
	return os.ReadFile(filepath.Join(s.dir, filepath.Base(s.days[best].day)))
}
