package kpi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
)

// History is what a Follower can look back at.
type History interface {
	// Blocks are the stored readings blocks from seq on up to the newest, in order. They may be asked for again.
	Blocks(from uint64) iter.Seq2[*Batch, error]
	// Published is the newest published revision of each result of a window; rev is the highest. ok is false if there is none.
	Published(w Window) (rev int, results []Result, ok bool)
	// Keep keeps a state under a production day's label, in place of the one there is; Kept is the newest kept state whose `from` is at or
	// before t (ms since 1970 UTC), or nil.
	Keep(day string, from int64, state []byte) error
	Kept(t int64) (state []byte, err error)
}

// Follower computes KPIs block by block, and anew when late readings come. It is the one way in which the gateway, `kpi explain` and
// `audit --kpis` come to a number.
//
// What came late is taken in place: the engine goes back to the state kept before it, looks through the blocks since for all that came late,
// and takes them again with that in its place. So the last revision of a window does not depend on the order in which its readings came.
// One rewinding takes in 262,144 late readings; those that came after so many are left out, and Take says so.
type Follower struct {
	Engine  *Engine
	Plan    *Plan
	History History

	recent []recentState // the last hours', from the oldest: most of what comes late is not very late
}

// recentState is what the engine knew when all before `from` was worked off.
type recentState struct {
	from  int64
	state []byte
}

const (
	mostRecent  = 3       // hours
	recentBytes = 1 << 20 // of a state that is kept in memory: that of a hundred machines
)

// Take is Engine.Take, and the revisions that late readings make necessary. It keeps the state of each production day's begin in the
// History. An error comes from the History, or says why late readings could not be taken in; the reports are valid all the same.
func (f *Follower) Take(b *Batch) (reports []Report, out Output, err error) {
	closed := f.Engine.times.Closed
	out = f.Engine.Take(b)
	if out.Rewind == nil {
		err = f.keep(f.Engine, &out)
		return f.news(out.Reports, closed, ReasonLate), out, err
	}
	again, err := f.rewind(b, out.Rewind)
	if again == nil {
		return f.news(out.Reports, closed, out.Rewind.Reason), out, errors.Join(err, f.keep(f.Engine, &out))
	}
	news := f.news(again, unending, out.Rewind.Reason)
	for i := range out.Reports { // amended by hand, and before all that was computed anew
		if r := &out.Reports[i]; r.Reason == ReasonInput && r.Window.To <= out.Rewind.From {
			news = append(news, f.news(out.Reports[i:i+1], closed, ReasonInput)...)
		}
	}
	return news, out, err
}

func (f *Follower) keep(e *Engine, out *Output) error {
	const hour = 3_600_000
	done, n := e.times.Done, len(f.recent)
	if out.Quarter && (n == 0 || f.recent[n-1].from/hour != done/hour) {
		if state := e.State(); len(state) <= recentBytes {
			f.recent = append(f.recent, recentState{done, state})
			f.recent = slices.Delete(f.recent, 0, max(0, n+1-mostRecent))
		}
	}
	if out.Day == "" {
		return nil
	}
	return f.History.Keep(out.Day, done, e.State())
}

// kept is the newest state from before all that came late.
func (f *Follower) kept(t int64) ([]byte, error) {
	f.recent = slices.DeleteFunc(f.recent, func(r recentState) bool { return r.from > t })
	if n := len(f.recent); n > 0 {
		return f.recent[n-1].state, nil
	}
	return f.History.Kept(t)
}

// rewind computes anew up to block b. The reports are those of all windows that end after the earliest late reading, nil if that can not be.
func (f *Follower) rewind(b *Batch, r *Rewind) (reports []Report, err error) {
	fail := func(err error) ([]Report, error) {
		return nil, fmt.Errorf("%s since %d ms can not be taken into account: %w", r.Reason, r.From, err)
	}
	state, err := f.kept(r.From)
	if err != nil {
		return fail(err)
	}
	scan, err := f.restored(state)
	if err != nil {
		return fail(err)
	}
	scan.scan()
	if err := f.again(scan, b, func(block *Batch) error {
		scan.Take(block)
		return nil
	}); err != nil {
		return fail(err)
	}
	e, err := f.restored(state)
	if err != nil {
		return fail(err)
	}
	e.inject(&scan.replay)
	e.explain = f.Engine.explain
	if err := f.again(e, b, func(block *Batch) error {
		out := e.Take(e.replay.block(block))
		for i := range out.Reports {
			if out.Reports[i].Window.To > r.From {
				reports = append(reports, out.Reports[i])
			}
		}
		return f.keep(e, &out)
	}); err != nil {
		return fail(err)
	}
	e.replay, e.dirty = replay{}, Rewind{From: unending}
	f.Engine = e
	if reports == nil {
		reports = []Report{}
	}
	for i := range reports {
		reports[i].Through = e.position
	}
	if left := scan.replay.left; left > 0 {
		err = fmt.Errorf("%d readings that came late are left out of the KPIs: one rewinding takes in %d", left, maxLate)
	}
	return reports, err
}

// restored goes on from a kept state, or from nothing.
func (f *Follower) restored(state []byte) (*Engine, error) {
	if state == nil {
		return NewEngine(f.Plan), nil
	}
	return RestoreEngine(f.Plan, state)
}

// errGone: computing anew needs the same blocks as the first time.
var errGone = errors.New("the blocks of that time are no longer all there")

// again gives take all blocks after those that e has taken, up to b.
func (f *Follower) again(e *Engine, b *Batch, take func(*Batch) error) error {
	if e.position.Epoch != "" && e.position.Epoch != b.Epoch {
		return errGone
	}
	next := e.position.Readings + 1
	for block, err := range f.History.Blocks(next) {
		if err != nil {
			return err
		}
		if block.Seq > b.Seq {
			break
		}
		if block.Seq != next || block.Epoch != b.Epoch {
			return errGone
		}
		if err := take(block); err != nil {
			return err
		}
		next++
	}
	if next != b.Seq+1 {
		return errGone
	}
	return nil
}

// news turns reports of windows that end by `closed`, and may have been published before, into revisions of what is different.
func (f *Follower) news(reports []Report, closed int64, reason string) (news []Report) {
	for i := range reports {
		r := &reports[i]
		if r.Window.To <= closed {
			if rev, was, ok := f.History.Published(r.Window); ok {
				if r.Results = changed(was, r.Results, closed == unending); len(r.Results) == 0 {
					continue
				}
				if r.Rev = rev + 1; r.Reason == "" {
					r.Reason = reason
				}
			}
		}
		news = append(news, *r)
	}
	return news
}

// changed are the results that are different, or new, and, if `is` is complete, those that are no more.
func changed(was, is []Result, complete bool) (different []Result) {
	type key struct{ subject, id string }
	before := make(map[key]*Result, len(was))
	for i := range was {
		before[key{was[i].Subject, was[i].KPI}] = &was[i]
	}
	for i := range is {
		k := key{is[i].Subject, is[i].KPI}
		if old := before[k]; old == nil || !bytes.Equal(old.json(), is[i].json()) {
			different = append(different, is[i])
		}
		delete(before, k)
	}
	for i := range was {
		r := &was[i]
		if complete && before[key{r.Subject, r.KPI}] == r && r.Absent != NoData {
			different = append(different, Result{Subject: r.Subject, KPI: r.KPI, Formula: r.Formula, Mapping: r.Mapping, Absent: NoData})
		}
	}
	return different
}

func (r *Result) json() []byte {
	text, err := json.Marshal(r)
	if err != nil { // evaluate lets no number pass that JSON has not
		panic("BUG: a result can not be written: " + err.Error())
	}
	return text
}
