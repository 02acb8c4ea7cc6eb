package main

import (
	"context"
	"fmt"
	"time"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/opcua"
)

// askServer reads the points of one poll group of an OPC UA server, in the running session if there is one.
func (p *probe) askServer(ctx context.Context, workers *opcua.Workers, cfg opcua.Config) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	got, err := workers.Probe(ctx, cfg)
	if err != nil {
		for _, point := range cfg.Points {
			p.Tags = append(p.Tags, probedTag{Device: p.Device, Tag: point.Tag.Name, Unit: point.Tag.Unit, Quality: drivers.Bad.String(),
				Cause: drivers.CauseOf(err), Status: "-"})
		}
		return err
	}
	p.Offset = got.Offset
	for _, point := range got.Points {
		tag := cfg.Points[point.Point].Tag
		t := probedTag{Device: p.Device, Tag: tag.Name, Unit: tag.Unit, Quality: point.Quality.String(), Cause: point.Cause,
			Status: point.Status, Stamp: point.Stamp}
		if v := point.Value(); !v.IsZero() {
			t.Value = v.AppendJSON(nil)
		}
		p.Tags = append(p.Tags, t)
	}
	return nil
}

// stampText is a device's time stamp for people.
func stampText(ms int64) string {
	if ms == 0 {
		return "-"
	}
	return time.UnixMilli(ms).Format("2006-01-02 15:04:05.000")
}

// offsetText says how far a clock is from ours.
func offsetText(ms int64) string {
	off := (time.Duration(ms) * time.Millisecond).Abs()
	switch {
	case off < time.Second:
		return "right"
	case ms > 0:
		return fmt.Sprintf("%v ahead of ours", off.Round(100*time.Millisecond))
	}
	return fmt.Sprintf("%v behind ours", off.Round(100*time.Millisecond))
}
