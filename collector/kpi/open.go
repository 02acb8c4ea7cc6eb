package kpi

// Open is what the windows that have not ended come to so far: their results as if they ended with the newest reading, which is To of their
// windows. It changes nothing, and nothing of it is final: what is late is
// not in it. Who asked for explanations gets those of the open windows, too.
func (e *Engine) Open() ([]Report, error) {
	now, err := RestoreEngine(e.plan, e.State())
	if err != nil || !now.times.Begun {
		return nil, err
	}
	now.explain = e.explain
	now.work(now.times.Horizon, nil)
	for _, k := range now.tracks {
		k.cut(&now.open)
	}
	var reports []Report
	for kind := range now.open {
		o := &now.open[kind]
		if !o.Open || o.Window.From >= now.times.Done {
			continue
		}
		w := o.Window
		w.To = now.times.Done
		if results := now.results(kind, w); len(results) > 0 {
			reports = append(reports, Report{Window: w, Through: now.position, Results: results})
		}
	}
	return reports, nil
}
