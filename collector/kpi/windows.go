package kpi

import "slices"

// openWindow is the window of one kind that time is in.
type openWindow struct {
	Window Window `json:"window"`
	Open   bool   `json:"open"`
}

// openAt opens the windows that contain t, of the kinds that have none open, and gives those that are new to the tracks: what of a window
// lies before t, because nothing had been seen by then, is unknown.
func (e *Engine) openAt(t int64) {
	for kind, k := range WindowKinds {
		o := &e.open[kind]
		if o.Open {
			continue
		}
		if o.Window, o.Open = e.plan.schedule.Window(k, t); !o.Open {
			continue
		}
		for _, track := range e.tracks {
			track.windows[kind].clear()
			if o.Window.From < t {
				track.miss(e.plan, &track.windows[kind], o.Window.From, t)
			}
		}
	}
	e.boundary = e.plan.schedule.Boundary(t)
}

// miss books time of which nothing is known.
func (k *track) miss(p *Plan, to *Tally, from, until int64) {
	to.Wanted += (until - from) * k.subject.wanted
	for from < until {
		class, next := p.classAt(k.subject, from)
		next = min(next, until)
		to.Times[class][Unknown] += next - from
		from = next
	}
}

// closeAt gives the results of the windows that end at t. All tracks have come there.
func (e *Engine) closeAt(t int64, reports []Report) []Report {
	for _, track := range e.tracks {
		track.cut(&e.open)
	}
	for kind := range e.open {
		if o := &e.open[kind]; o.Open && o.Window.To == t {
			reports = e.report(kind, reports)
		}
	}
	month := t
	if o := &e.open[kindOf(Month)]; o.Open {
		month = o.Window.From
	}
	for _, track := range e.tracks {
		track.forget(t, month)
	}
	return reports
}

// report closes the window of a kind.
func (e *Engine) report(kind int, reports []Report) []Report {
	o := &e.open[kind]
	o.Open = false
	e.times.Closed = max(e.times.Closed, o.Window.To)
	if results := e.results(kind, o.Window); len(results) > 0 {
		reports = append(reports, Report{Window: o.Window, Through: e.position, Results: results})
	}
	return reports
}

// results are those of all subjects for a window that has ended.
func (e *Engine) results(kind int, w Window) (results []Result) {
	if len(e.tracks) == 0 {
		return nil
	}
	all := make([]Facts, len(e.tracks))
	periods := e.periods(w)
	for i, k := range e.tracks {
		all[i] = e.facts(k, pastWindow{kind, w, k.windows[kind], k.life}, periods)
		if w.Kind == Quarter && all[i].Tally.blank() {
			continue
		}
		results = e.compute(results, &all[i], k.subject.rules[kind])
		k.retain(kind, w)
	}
	if len(e.plan.site[kind]) > 0 {
		site := Facts{Catalogue: e.plan.cat, Config: e.plan.cfg, Window: w, Shape: &Shape{Basis: e.plan.schedule.Basis()}}
		for i := range all {
			site.Site = append(site.Site, &all[i])
		}
		results = e.compute(results, &site, e.plan.site[kind])
	}
	return results
}

// facts are those of a subject and a window that has ended, with the manual inputs of the periods in it.
func (e *Engine) facts(k *track, p pastWindow, periods map[string]int) Facts {
	s := k.subject
	shape := &s.shape
	if len(s.shape.Inputs) > 0 {
		own := s.shape
		own.Periods = make([]int, len(own.Inputs))
		for n := range own.Inputs {
			own.Periods[n] = periods[own.Inputs[n].Period]
		}
		shape = &own
		k.enter(&p)
	}
	return Facts{
		Catalogue: e.plan.cat, Config: e.plan.cfg, Category: s.category, Equipment: s.equipment, Account: s.account,
		Window: p.Window, Shape: shape, Tally: &p.Tally, Life: p.Life,
	}
}

func (e *Engine) compute(results []Result, f *Facts, rules []rule) []Result {
	for i := range rules {
		f.Definition = rules[i].def
		results = append(results, e.explained(f, rules[i].compute))
	}
	return results
}

// periods is how many periods of each kind of input a window has.
func (e *Engine) periods(w Window) map[string]int {
	if len(e.plan.cfg.Inputs) == 0 {
		return nil
	}
	n := map[string]int{}
	for kind := kindOf(InShift); kind <= kindOf(w.Kind); kind++ {
		n[string(WindowKinds[kind])] = len(e.plan.schedule.Windows(WindowKinds[kind], w))
	}
	return n
}

// enter puts the manual inputs of the periods that lie in a window into its tally.
func (k *track) enter(p *pastWindow) {
	clear(p.Tally.Entered)
	for _, n := range k.entries {
		if k.counts(&n, p) {
			p.Tally.Entered[n.Input].Sum.Add(n.Value)
			p.Tally.Entered[n.Input].Given++
		}
	}
}

// counts says whether a manual input belongs to a window: the windows of its own period, and longer ones.
func (k *track) counts(n *entry, p *pastWindow) bool {
	return kindOf(WindowKind(k.subject.shape.Inputs[n.Input].Period)) <= p.Kind && n.Time >= p.Window.From && n.Time < p.Window.To
}

const (
	// People enter what belongs to a shift or a day within so many ms of its end, and what belongs to a month, such as a bill, within so many
	// of its: for so long the window needs no computing anew from readings, which may be gone by then.
	retainDay, retainMonth = 3 * 86_400_000, 35 * 86_400_000
)

// retain keeps what a window that has ended came to, for manual inputs that come after it.
func (k *track) retain(kind int, w Window) {
	if len(k.subject.shape.Inputs) == 0 || kind < k.subject.shortest() {
		return
	}
	t := k.windows[kind]
	t.Channels, t.Parts, t.Entered = slices.Clone(t.Channels), slices.Clone(t.Parts), slices.Clone(t.Entered)
	k.past = append(k.past, pastWindow{kind, w, t, k.life})
}

// shortest is the shortest period of a subject's manual inputs.
func (s *subject) shortest() int {
	kind := numKinds
	for i := range s.shape.Inputs {
		kind = min(kind, kindOf(WindowKind(s.shape.Inputs[i].Period)))
	}
	return kind
}

// amend gives the results of the windows that have ended and that a manual input belongs to. ok is false if its own period is not kept.
func (e *Engine) amend(k *track, n *entry, period Window, reports []Report) (_ []Report, ok bool) {
	ok = slices.ContainsFunc(k.past, func(p pastWindow) bool { return p.Window == period })
	if !ok {
		return reports, false
	}
	for i := range k.past {
		if p := &k.past[i]; k.counts(n, p) {
			f := e.facts(k, *p, e.periods(p.Window))
			reports = append(reports, Report{
				Window: p.Window, Reason: ReasonInput, Through: e.position, Results: e.compute(nil, &f, k.subject.rules[p.Kind]),
			})
		}
	}
	return reports, true
}

// note keeps a manual input. A later one for the same period takes its place.
func (k *track) note(n entry) {
	i := 0
	for i < len(k.entries) && (k.entries[i].Time < n.Time || k.entries[i].Time == n.Time && k.entries[i].Input < n.Input) {
		i++
	}
	if i < len(k.entries) && k.entries[i].Time == n.Time && k.entries[i].Input == n.Input {
		k.entries[i] = n
		return
	}
	k.entries = append(k.entries, entry{})
	copy(k.entries[i+1:], k.entries[i:])
	k.entries[i] = n
}

// forget drops windows that have ended too long before t, and the manual inputs that belong to no other.
func (k *track) forget(t, month int64) {
	k.past = slices.DeleteFunc(k.past, func(p pastWindow) bool {
		if WindowKinds[p.Kind] == Month {
			return p.Window.To <= t-retainMonth
		}
		return p.Window.To <= t-retainDay
	})
	for i := range k.past {
		month = min(month, k.past[i].Window.From)
	}
	k.entries = slices.DeleteFunc(k.entries, func(n entry) bool { return n.Time < month })
}
