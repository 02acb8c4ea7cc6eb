package modbus

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/millgate/millgate/drivers"
)

// Driver reads one poll group. It implements drivers.Driver and drivers.Reporter.
//
// It finds by itself which requests the device answers: one that is refused is taken apart in the same Read until only those points are
// bad that the device does not have, and from what it learns it makes the plan that takes the least time of the link.
type Driver struct {
	cfg      Config
	links    *Links
	seat     *seat // nil after Close
	timeout  time.Duration
	codecs   []codec // per point
	together bool    // planned requests are handed over at once
	learner  *learner
	schedule
	report
}

// schedule is the requests of a Read.
type schedule struct {
	requests []*planned      // the planned ones, and behind them those which the Read under way added
	calls    []*call         // of the planned ones
	of       []int           // per point: its request; -1: it is quarantined
	refused  []drivers.Cause // per point: why it is quarantined
	next     []job           // the plan from the next Read on; nil: this one
	settled  bool            // nothing new can be learned from answers to this plan
	retry    time.Time       // when something refused is due to be asked again
}

// Driver makes the driver of one poll group; it connects at the first Read.
func (l *Links) Driver(cfg Config) (*Driver, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("device %s: %w", cfg.Device, err)
	}
	seat, err := l.join(cfg.Link, cfg.Unit)
	if err != nil {
		return nil, fmt.Errorf("device %s: %w", cfg.Device, err)
	}
	d := &Driver{
		cfg: cfg, links: l, seat: seat, timeout: cfg.Timeout, together: cfg.Link.InFlight > 1,
		learner: &learner{rules: newRules(cfg), items: itemsOf(cfg.Points)},
	}
	if d.timeout <= 0 {
		d.timeout = defaultTimeout
	}
	d.codecs = make([]codec, len(cfg.Points))
	for i := range cfg.Points {
		d.codecs[i] = newCodec(&cfg.Points[i])
	}
	d.of, d.refused = make([]int, len(cfg.Points)), make([]drivers.Cause, len(cfg.Points))
	d.learner.know = d.load()
	d.announced = d.quarantined()
	d.next = d.learner.plan()
	d.publish()
	return d, nil
}

// prepare makes the requests those of the plan.
func (d *Driver) prepare() {
	if d.forget.Swap(false) {
		d.learner = &learner{rules: d.learner.rules, items: d.learner.items}
		d.next = d.learner.plan()
		d.publish()
	}
	if d.next == nil {
		d.requests = d.requests[:len(d.calls)]
		return
	}
	silent := map[span]int{}
	for _, r := range d.requests {
		silent[r.span] = r.silent
	}
	d.requests, d.calls, d.settled = nil, nil, false
	for i := range d.of {
		d.of[i] = -1
		d.refused[i] = ""
	}
	for _, j := range d.next {
		r := newPlanned(j)
		r.silent = silent[j.span] % silencesRefuse // those that were enough are spent
		for _, it := range j.items {
			for _, p := range it.points {
				d.of[p] = len(d.requests)
			}
		}
		d.requests, d.calls = append(d.requests, r), append(d.calls, &r.call)
	}
	for p, fact := range d.quarantined() {
		d.refused[p] = fact.Cause
	}
	d.next = nil
}

// quarantined is the points that the device refuses, and the fact that says so.
func (d *Driver) quarantined() map[int]fact {
	out := map[int]fact{}
	for _, it := range d.learner.items {
		if f := d.learner.know.refusal(it.span); f != nil {
			for _, p := range it.points {
				out[p] = *f
			}
		}
	}
	return out
}

// Read is drivers.Driver's. A reading's time is when the answer came that brought it.
func (d *Driver) Read(ctx context.Context, dst []drivers.Reading) ([]drivers.Reading, error) {
	if err := d.poll(ctx); err != nil {
		return dst, err
	}
	now := drivers.Millis(time.Now())
	for i := range d.codecs {
		dst = append(dst, d.reading(i, now))
	}
	return dst, nil
}

// reading makes point i's reading of what poll brought; at stands in where nothing came.
func (d *Driver) reading(i int, at int64) drivers.Reading {
	c := &d.codecs[i]
	if d.of[i] < 0 {
		return drivers.BadReading(c.point.Tag, d.refused[i], at)
	}
	r := d.requests[d.of[i]]
	if r.cause != "" {
		return drivers.BadReading(c.point.Tag, r.cause, at)
	}
	value, cause := d.value(i)
	if cause != "" {
		return drivers.BadReading(c.point.Tag, cause, r.at())
	}
	return drivers.Reading{Tag: c.point.Tag, Value: value, Quality: drivers.Good, Time: r.at()}
}

func (d *Driver) value(i int) (drivers.Value, drivers.Cause) {
	c, r := &d.codecs[i], d.requests[d.of[i]]
	offset := int(c.point.Address) - r.From
	if c.point.Table.Bits() {
		return drivers.BoolValue(r.call.data()[offset/8]>>(offset%8)&1 == 1), ""
	}
	return c.decode(r.call.data()[2*offset : 2*(offset+c.width)])
}

// Probe is Read with what was on the wire: the registers of each point, for people.
func (d *Driver) Probe(ctx context.Context) ([]Probed, error) {
	if err := d.poll(ctx); err != nil {
		return nil, err
	}
	now := drivers.Millis(time.Now())
	probed := make([]Probed, len(d.codecs))
	for i := range d.codecs {
		c := &d.codecs[i]
		probed[i] = Probed{Point: *c.point, Reading: d.reading(i, now)}
		if d.of[i] < 0 {
			continue
		}
		r := d.requests[d.of[i]]
		if probed[i].Took = r.took; r.cause != "" {
			continue
		}
		offset := int(c.point.Address) - r.From
		if c.point.Table.Bits() {
			probed[i].Raw = []uint16{uint16(r.call.data()[offset/8] >> (offset % 8) & 1)}
			continue
		}
		for w := range c.width {
			probed[i].Raw = append(probed[i].Raw, binary.BigEndian.Uint16(r.call.data()[2*(offset+w):]))
		}
	}
	return probed, nil
}

// Close gives up the driver's share of its link; the last one closes it.
func (d *Driver) Close() error {
	if d.seat != nil {
		d.save(time.Time{})
		d.links.leave(d.seat)
		d.seat = nil
	}
	return nil
}
