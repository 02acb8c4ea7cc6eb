package uplink

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/millgate/millgate/buffer"
	"github.com/millgate/millgate/collector/kpi"
	"github.com/millgate/millgate/drivers"
)

// Message is a published block as a subscriber reads it. (Epoch, Stream, Seq) identifies it in the whole world.
type Message struct {
	V         int              `json:"v"` // 1
	Stream    buffer.Stream    `json:"stream"`
	Site      string           `json:"site"`
	Gateway   string           `json:"gateway"`
	Epoch     string           `json:"epoch"`
	Seq       uint64           `json:"seq"`
	Catalogue string           `json:"catalogue"` // empty for events
	Started   int64            `json:"started"`   // of readings: a run of the gateway began then, and with this block, ms since 1970 UTC; else 0
	Readings  []Object         `json:"readings"`
	Seen      map[string]int64 `json:"seen"` // device → when it last answered, ms since 1970 UTC
	Events    []drivers.Event  `json:"events"`
	Report    *kpi.Report      `json:"-"` // of the stream kpis; its members are the message's own
}

// Object is what one device said at one time.
type Object struct {
	Device    string                     `json:"device"`
	Time      int64                      `json:"t"`         // ms since 1970 UTC
	Values    map[string]json.RawMessage `json:"values"`    // tag → number, boolean or string, in the gateway's own text
	Bad       map[string]drivers.Cause   `json:"bad"`       // tag → why there is no value
	Uncertain map[string]drivers.Cause   `json:"uncertain"` // tag → why the value is to be doubted
}

// ParseMessage reads a message of any stream. Members, streams, causes and kinds of event that this version does not know are no
// error; a message of another version, without its identity, or with a value that is no number, boolean or string, is one.
func ParseMessage(payload []byte) (*Message, error) {
	var m Message
	if err := json.Unmarshal(payload, &m); err != nil {
		return nil, fmt.Errorf("message: %w", err)
	}
	switch {
	case m.V != 1:
		return nil, fmt.Errorf("message: version %d is not known here; version 1 is", m.V)
	case m.Stream == "" || m.Epoch == "" || m.Seq == 0:
		return nil, errors.New("message: stream, epoch or seq is missing")
	}
	if m.Stream == buffer.KPIs {
		m.Report = new(kpi.Report)
		if err := json.Unmarshal(payload, m.Report); err != nil {
			return nil, fmt.Errorf("message: %w", err)
		}
		if m.Report.Window.To <= m.Report.Window.From {
			return nil, errors.New("message: the window is missing, or ends before it begins")
		}
	}
	for i := range m.Readings {
		o := &m.Readings[i]
		for tag, value := range o.Values {
			if len(value) == 0 || bytes.ContainsAny(value[:1], "n{[") {
				return nil, fmt.Errorf("message: %s/%s is %.20s, which is no value", o.Device, tag, value)
			}
		}
	}
	return &m, nil
}
