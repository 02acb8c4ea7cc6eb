package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/millgate/millgate/buffer"
	"github.com/millgate/millgate/collector/kpi"
	"github.com/millgate/millgate/configs"
	"github.com/millgate/millgate/drivers"
)

// commitGrace is how long an answer waits for the disk.
const commitGrace = 10 * time.Second

func (g *gateway) serveInput(w http.ResponseWriter, r *http.Request) {
	var o inputOrder
	if !readOrder(w, r, &o) {
		return
	}
	e, err := appendInput(g.site, g.queue, o)
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	for end := time.Now().Add(commitGrace); g.queue.Durable() < e.pos; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) || r.Context().Err() != nil {
			http.Error(w, "the disk does not keep up: it is not certain that the value is stored; look with --list", http.StatusServiceUnavailable)
			return
		}
	}
	answer(w, e.enteredInput)
}

func (g *gateway) serveInputs(w http.ResponseWriter, r *http.Request) {
	var o struct{}
	if readOrder(w, r, &o) {
		entered, err := g.desk().inputs(r.Context())
		answerOr(w, entered, err)
	}
}

// appended is an input on its way to the disk.
type appended struct {
	enteredInput
	pos uint64
}

// appendInput puts the readings of an order into the queue, with their account.
func appendInput(site *configs.Site, queue *buffer.Queue, o inputOrder) (a appended, err error) {
	a.inputOrder = o
	values := map[string]drivers.Value{}
	if o.Swap != nil {
		text, err := json.Marshal(o.Swap)
		if err != nil {
			return a, err
		}
		values[kpi.SwapTag] = drivers.TextValue(string(text))
	} else {
		values[o.ID] = drivers.Float64Value(o.Value)
		values[o.ID+kpi.ByTag] = drivers.TextValue(o.By)
	}
	var readings []drivers.Reading
	for _, name := range []string{kpi.SwapTag, o.ID, o.ID + kpi.ByTag} { // by comes behind what it speaks of
		value, ok := values[name]
		if !ok {
			continue
		}
		tag := site.Manual[name]
		if tag == nil {
			return a, fmt.Errorf("it has no input %q: restart it if the site has changed", name)
		}
		if value.IsZero() {
			return a, errors.New("the value, or the name of who entered it, is no text in UTF-8")
		}
		readings = append(readings, drivers.Reading{Tag: tag, Value: value, Quality: drivers.Good, Time: o.Time})
	}
	if o.Open {
		a.Warnings = append(a.Warnings, fmt.Sprintf("%s has not ended yet: a value entered again at its end replaces this one", o.Label))
	}
	if from := queue.HistoryFrom(); o.Time < from && !o.Open {
		a.Warnings = append(a.Warnings, fmt.Sprintf("the local history begins at %s: KPIs of windows before that may stay as they were published",
			time.UnixMilli(from).In(site.Location).Format("2006-01-02 15:04")))
	}
	n := uint64(len(readings))
	a.pos, err = queue.Append(readings, nil, []drivers.Cycle{{Device: kpi.ManualDevice, Due: n, Good: n}})
	if err != nil {
		return a, fmt.Errorf("%w: nothing was stored; try again in a moment", err)
	}
	return a, nil
}
