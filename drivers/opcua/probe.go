package opcua

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/millgate/millgate/drivers"
)

// AskProbe is what a Question asks to read points once: With is a GroupSetup, the answers are Probes.
const AskProbe = "probe"

// Probe is what a server said of the points of a device.
type Probe struct {
	Offset *int64 `json:",omitempty"` // of the server's clock from ours, ms; nil: it does not tell
	Points []ProbedPoint
}

// ProbedPoint is a point read once.
type ProbedPoint struct {
	Point   int    // index in the order in which they were asked
	Status  string // the StatusCode
	Stamp   int64  // of the source, ms since 1970 UTC; 0: none
	Quality drivers.Quality
	Cause   drivers.Cause
	Time    int64
	Type    drivers.Type
	Bits    uint64
	Text    string
}

// Value is the point's value.
func (p ProbedPoint) Value() drivers.Value {
	if p.Type == drivers.TypeText {
		return drivers.TextValue(p.Text)
	}
	return drivers.ValueFromBits(p.Type, p.Bits)
}

// Probe reads the points of cfg once, each on its own: Ask says through which worker.
func (w *Workers) Probe(ctx context.Context, cfg Config) (Probe, error) {
	g := GroupSetup{Device: cfg.Device, Interval: cfg.Interval.Milliseconds(), Polled: true, Root: cfg.Root, Points: cfg.Points}
	for _, p := range cfg.Points {
		g.Names = append(g.Names, p.Tag.Name)
	}
	with, err := json.Marshal(g)
	if err != nil {
		return Probe{}, err
	}
	var all Probe
	err = w.Ask(ctx, cfg.Server, Question{What: AskProbe, With: with}, func(a Answer) {
		var part Probe
		if len(a.With) == 0 || json.Unmarshal(a.With, &part) != nil {
			return
		}
		all.Offset, all.Points = part.Offset, append(all.Points, part.Points...)
	})
	if err == nil && len(all.Points) != len(cfg.Points) {
		err = errors.New("the worker did not answer for every point")
	}
	for _, p := range all.Points {
		if err == nil && (p.Point < 0 || p.Point >= len(cfg.Points)) {
			err = errors.New("the worker answered for a point that was not asked")
		}
	}
	return all, err
}
