package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/millgate/millgate/buffer"
	"github.com/millgate/millgate/collector/kpi"
	"github.com/millgate/millgate/configs"
)

// auditedKPIs compares the KPIs that were published with those that follow from the readings.
type auditedKPIs struct {
	Compared  int            `json:"compared"`
	Equal     int            `json:"equal"`
	Different []kpiDiffers   `json:"different,omitempty"`
	Skipped   map[string]int `json:"not_comparable,omitempty"` // results, by why
}

// kpiDiffers is a result that is not what follows from the readings. One of the two is absent if it was not published, or does not follow.
type kpiDiffers struct {
	Window   kpi.Window  `json:"window"`
	Rev      int         `json:"rev"`
	Subject  string      `json:"subject"`
	KPI      string      `json:"kpi"`
	Members  []string    `json:"members,omitempty"` // that differ
	Received *kpi.Result `json:"received,omitempty"`
	Computed *kpi.Result `json:"computed,omitempty"`
}

// Why a result can not be compared.
const (
	skipBegins   = "the recording begins too late: what was known before is not in it"
	skipMissing  = "blocks of readings are missing"
	skipEnds     = "the recording ends before"
	skipLifetime = "it rests on all that was measured since the first start, and the recording begins later"
	skipVersion  = "another version of the formula"
)

func (k *auditedKPIs) good() bool { return len(k.Different) == 0 }

// windowRev names one publication of a window.
type windowRev struct {
	kind  kpi.WindowKind
	label string
	rev   int
}

// kpiAudit is the comparison at work.
type kpiAudit struct {
	r         *recording
	g         *recordedGateway
	history   *auditHistory
	follower  *kpi.Follower
	published map[windowRev][]kpi.Report // with empty Results: which parts there are, and through which block
	parts     map[windowRev][]recordedBlock
	computed  map[windowRev]bool
	blind     []blindSpan
	lifelong  map[string]bool // KPIs that rest on more than their window
	last      uint64          // block of readings
	newest    uint64          // block of readings that something published took into account
	result    *auditedKPIs
}

// auditKPIs computes the gateway's KPIs anew from what was received of it.
func (r *recording) auditKPIs(g *recordedGateway) (*auditedKPIs, error) {
	a := &kpiAudit{r: r, g: g, published: map[windowRev][]kpi.Report{}, parts: map[windowRev][]recordedBlock{}, computed: map[windowRev]bool{},
		lifelong: lifelongKPIs(), result: &auditedKPIs{Skipped: map[string]int{}}}
	if err := a.index(); err != nil {
		return nil, err
	}
	if len(g.blocks[buffer.Readings]) == 0 {
		return a.result, nil
	}
	blocks := g.blocks[buffer.Readings]
	a.last = blocks[len(blocks)-1].Seq
	var err error
	if a.history, err = newAuditHistory(a); err != nil {
		return nil, err
	}
	defer a.history.close()
	for _, b := range blocks {
		if err := a.take(b); err != nil {
			return nil, err
		}
	}
	return a.result, a.rest()
}

// index finds which windows were published.
func (a *kpiAudit) index() error {
	for _, b := range a.g.blocks[buffer.KPIs] {
		report, err := a.report(b)
		if err != nil {
			return err
		}
		key := windowRev{report.Window.Kind, report.Window.Label, report.Rev}
		a.newest = max(a.newest, report.Through.Readings)
		report.Results = nil
		a.published[key] = append(a.published[key], *report)
		a.parts[key] = append(a.parts[key], b)
	}
	return nil
}

func (a *kpiAudit) report(b recordedBlock) (*kpi.Report, error) {
	m, err := a.r.message(b)
	if err != nil {
		return nil, err
	}
	return m.Report, nil
}

// results are all results of a publication, in the order in which they were received.
func (a *kpiAudit) results(key windowRev) (all []kpi.Result, err error) {
	for _, b := range a.parts[key] {
		report, err := a.report(b)
		if err != nil {
			return nil, err
		}
		all = append(all, report.Results...)
	}
	return all, nil
}

// take computes on by a block, and compares what follows from it.
func (a *kpiAudit) take(b recordedBlock) error {
	batch, err := a.history.advance(b)
	if err != nil {
		return err
	}
	reports, _, err := a.follower.Take(batch)
	if err != nil {
		return err
	}
	for i := range reports {
		if err := a.compare(&reports[i]); err != nil {
			return err
		}
	}
	return nil
}

func (a *kpiAudit) compare(report *kpi.Report) error {
	key := windowRev{report.Window.Kind, report.Window.Label, report.Rev}
	a.computed[key] = true
	published := a.published[key]
	skip := a.incomparable(report.Window)
	if len(published) == 0 && skip == "" && a.newest <= report.Through.Readings {
		skip = skipEnds
	}
	delivered, err := a.results(key)
	if err != nil {
		return err
	}
	received := map[[2]string]*kpi.Result{}
	for i := range delivered {
		received[[2]string{delivered[i].Subject, delivered[i].KPI}] = &delivered[i]
	}
	for i := range report.Results {
		computed := &report.Results[i]
		id := [2]string{computed.Subject, computed.KPI}
		a.one(report, skip, received[id], computed)
		delete(received, id)
	}
	for i := range delivered {
		if received[[2]string{delivered[i].Subject, delivered[i].KPI}] != nil {
			a.one(report, skip, &delivered[i], nil)
		}
	}
	return nil
}

// one compares one result; received or computed may be nil, not both.
func (a *kpiAudit) one(report *kpi.Report, skip string, received, computed *kpi.Result) {
	some := cmp.Or(received, computed)
	if a.lifelong[some.KPI] && a.g.firstSeq() > 1 && skip == "" {
		skip = skipLifetime
	}
	if received != nil && computed != nil && received.Formula != computed.Formula && skip == "" {
		skip = skipVersion + " (" + received.Formula + ", here " + computed.Formula + ")"
	}
	if skip != "" {
		a.result.Skipped[skip]++
		return
	}
	a.result.Compared++
	members := differing(received, computed)
	if len(members) == 0 {
		a.result.Equal++
		return
	}
	a.result.Different = append(a.result.Different, kpiDiffers{report.Window, report.Rev, some.Subject, some.KPI, members, received, computed})
}

// lifelongKPIs are those that rest on running hours since the first start.
func lifelongKPIs() map[string]bool {
	ids := map[string]bool{}
	for _, d := range configs.Policy().Definitions {
		if d.Group == "age" && slices.ContainsFunc(d.Needs, func(need string) bool { return strings.Contains(need, "run_hours") || need == "design_life" }) {
			ids[d.ID] = true
		}
	}
	return ids
}

func (g *recordedGateway) firstSeq() uint64 { return g.blocks[buffer.Readings][0].Seq }

// differing names the members in which two results differ; nil if there are none.
func differing(received, computed *kpi.Result) []string {
	if received == nil || computed == nil {
		return []string{"result"}
	}
	x, y := members(received), members(computed)
	var names []string
	for _, name := range slices.Sorted(maps.Keys(x)) {
		if !bytes.Equal(x[name], y[name]) {
			names = append(names, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(y)) {
		if x[name] == nil {
			names = append(names, name)
		}
	}
	return names
}

// members are those of a result's JSON. A number has one shortest text, so equal text is an equal number.
func members(r *kpi.Result) (m map[string]json.RawMessage) {
	text, err := json.Marshal(r)
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err != nil {
		panic("BUG: a result that is no JSON: " + err.Error()) // Number lets no NaN and no infinity in
	}
	return m
}

// rest is about what was published and does not follow from the readings.
func (a *kpiAudit) rest() error {
	for key, published := range a.published {
		if a.computed[key] {
			continue
		}
		skip := a.incomparable(published[0].Window)
		if published[0].Through.Readings > a.last {
			skip = skipEnds
		}
		results, err := a.results(key)
		if err != nil {
			return err
		}
		for i := range results {
			a.one(&published[0], skip, &results[i], nil)
		}
	}
	slices.SortFunc(a.result.Different, func(x, y kpiDiffers) int {
		return cmp.Or(cmp.Compare(x.Window.From, y.Window.From), cmp.Compare(x.Window.To, y.Window.To), cmp.Compare(x.Rev, y.Rev),
			strings.Compare(x.Subject, y.Subject), strings.Compare(x.KPI, y.KPI))
	})
	return nil
}

func (k *auditedKPIs) print(w io.Writer) {
	if k.Compared+len(k.Skipped) == 0 {
		fmt.Fprintln(w, "  kpis      none received, and no window ended: there is nothing to compare")
		return
	}
	fmt.Fprintf(w, "  kpis      %d compared, %d equal, %d different\n", k.Compared, k.Equal, len(k.Different))
	for _, why := range slices.Sorted(maps.Keys(k.Skipped)) {
		fmt.Fprintf(w, "            %d not comparable: %s\n", k.Skipped[why], why)
	}
	for i, d := range k.Different {
		if i == maxNotices {
			fmt.Fprintf(w, "  !!        and %d more; --output json has them all\n", len(k.Different)-i)
			return
		}
		fmt.Fprintf(w, "  !!        %s rev %d  %s %s: %s\n", printable(d.Window.Label), d.Rev, printable(d.Subject), printable(d.KPI), strings.Join(d.Members, ", "))
		fmt.Fprintf(w, "              received %s\n              computed %s\n", resultOrNone(d.Received), resultOrNone(d.Computed))
	}
}

func resultOrNone(r *kpi.Result) string {
	if r == nil {
		return "nothing"
	}
	return resultText(r)
}
