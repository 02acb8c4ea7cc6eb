package kpi

// explanation is what somebody wants to see the working of.
type explanation struct {
	subject, id string
	got         func(Window, Result, []Working)
}

// Explain calls got for each result of that subject and KPI when its window closes, with the intermediate values. A window that late data
// make close again comes again.
func (e *Engine) Explain(subject, id string, got func(Window, Result, []Working)) {
	e.explain = append(e.explain, explanation{subject, id, got})
}

// explained computes one result, and shows the working to who asked for it.
func (e *Engine) explained(f *Facts, compute formula) Result {
	for i := range e.explain {
		if x := &e.explain[i]; x.id == f.Definition.ID && x.subject == f.subject() {
			return e.show(f, compute)
		}
	}
	return f.evaluate(compute)
}

func (e *Engine) show(f *Facts, compute formula) Result {
	var working []Working
	f.trace = func(w Working) { working = append(working, w) }
	r := f.evaluate(compute)
	f.trace = nil
	for i := range e.explain {
		if x := &e.explain[i]; x.id == r.KPI && x.subject == r.Subject {
			x.got(f.Window, r, working)
		}
	}
	return r
}
