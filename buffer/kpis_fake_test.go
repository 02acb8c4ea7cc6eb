package buffer

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/millgate/millgate/collector/kpi"
)

const quarterMillis = 15 * 60 * 1000

// tally is a computer that sums up values by quarters of an hour, and sums a quarter up again when a reading of it comes late. It uses a
// History as a kpi.Follower does.
type tally struct {
	past  kpi.History
	pause time.Duration
	tallyState
}

type tallyState struct {
	Seq      uint64
	Quarter  int64 // that is open: when it began
	Sum      float64
	Count    int
	Gaps     int
	Starts   int
	Unknowns map[string]int // of catalogues
}

func newTally(state []byte, past kpi.History) (computer, error) {
	t := &tally{past: past}
	if state != nil {
		if err := json.Unmarshal(state, &t.tallyState); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (t *tally) State() []byte { return marshal(&t.tallyState) }

func (t *tally) Take(b *kpi.Batch) (reports []kpi.Report, out kpi.Output, err error) {
	time.Sleep(t.pause)
	if t.Seq != 0 && b.Seq != t.Seq+1 {
		t.Gaps++
	}
	if b.Started != 0 {
		t.Starts++
	}
	t.Seq = b.Seq
	var late []int64
	day := ""
	for i := range b.Readings {
		r := &b.Readings[i]
		v, _ := r.Value.Float()
		quarter := r.Time / quarterMillis * quarterMillis
		if quarter < t.Quarter {
			if len(late) == 0 || late[len(late)-1] != quarter {
				late = append(late, quarter)
			}
			continue
		}
		if quarter > t.Quarter {
			if t.Quarter != 0 {
				reports = append(reports, t.report(t.Quarter, b, t.Sum, t.Count))
				out.Quarter = true
			}
			if d := dayOf(quarter); d != dayOf(t.Quarter) {
				day = d
			}
			t.Quarter, t.Sum, t.Count = quarter, 0, 0
		}
		t.Sum += v
		t.Count++
	}
	if day != "" {
		out.Day = day
		from := t.Quarter / 86_400_000 * 86_400_000
		if err := t.past.Keep(day, from, t.State()); err != nil {
			return nil, out, err
		}
	}
	for _, quarter := range late {
		r, err := t.again(quarter, b)
		if err != nil {
			return reports, out, err
		}
		reports = append(reports, r...)
	}
	return reports, out, nil
}

// again sums a quarter up from the day's state on.
func (t *tally) again(quarter int64, now *kpi.Batch) ([]kpi.Report, error) {
	state, err := t.past.Kept(quarter)
	if err != nil {
		return nil, err
	}
	from := uint64(1)
	if state != nil {
		var s tallyState
		if err := json.Unmarshal(state, &s); err != nil {
			return nil, err
		}
		from = s.Seq
	}
	sum, count := 0.0, 0
	for b, err := range t.past.Blocks(from) {
		if err != nil {
			return nil, err
		}
		for i := range b.Readings {
			if r := &b.Readings[i]; r.Time/quarterMillis*quarterMillis == quarter {
				v, _ := r.Value.Float()
				sum += v
				count++
			}
		}
	}
	r := t.report(quarter, now, sum, count)
	rev, before, ok := t.past.Published(r.Window)
	if !ok {
		return nil, nil // the window closed before there were reports
	}
	if *before[0].Value == sum && *before[0].Num == float64(count) {
		return nil, nil
	}
	r.Rev, r.Reason = rev+1, "late_data"
	return []kpi.Report{r}, nil
}

func (t *tally) report(quarter int64, b *kpi.Batch, sum float64, count int) kpi.Report {
	return kpi.Report{
		Window:  kpi.Window{Kind: kpi.Quarter, Label: time.UnixMilli(quarter).UTC().Format(time.RFC3339), From: quarter, To: quarter + quarterMillis, TZ: "UTC"},
		Through: kpi.Position{Epoch: b.Epoch, Readings: b.Seq},
		Results: []kpi.Result{{Subject: "M-1", KPI: "sum", Formula: "sum@1", Value: kpi.Number(sum), Num: kpi.Number(float64(count)),
			Basis: map[string]string{"gaps": fmt.Sprint(t.Gaps), "starts": fmt.Sprint(t.Starts)}}},
	}
}

func dayOf(t int64) string { return time.UnixMilli(t).UTC().Format(time.DateOnly) }
