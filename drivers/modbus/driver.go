package modbus

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/millgate/millgate/drivers"
)

// Driver reads one poll group. It implements drivers.Driver.
type Driver struct {
	device    string
	links     *Links
	seat      *seat // nil after Close
	points    []Point
	timeout   time.Duration
	requests  []planned
	of        []int     // per point: its request
	splitAt   time.Time // when requests departed from the plan (split.go); zero: they are the plan
	fruitless int       // Reads in a row that split and were served nothing
	codecs    []codec   // per point
	limits    limits
}

type limits struct{ registers, gap int }

// planned is a request with its frame, made once, and its outcome in the Read under way.
type planned struct {
	Request
	call  call
	took  time.Duration
	cause drivers.Cause // why nothing came; empty if it did
}

// Driver makes the driver of one poll group; it connects at the first Read.
func (l *Links) Driver(cfg Config) (*Driver, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("device %s: %w", cfg.Device, err)
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	seat, err := l.join(cfg.Link, cfg.Unit)
	if err != nil {
		return nil, fmt.Errorf("device %s: %w", cfg.Device, err)
	}
	d := &Driver{
		device: cfg.Device, links: l, seat: seat, timeout: cfg.Timeout,
		points: cfg.Points, limits: limits{cfg.MaxRegisters, cfg.MaxGap},
	}
	d.replan()
	for _, p := range cfg.Points {
		d.codecs = append(d.codecs, newCodec(p))
	}
	return d, nil
}

func newPlanned(r Request) planned { return planned{Request: r, call: newCall(r)} }

// at is when the answer came, ms since 1970 UTC.
func (p *planned) at() int64 { return drivers.Millis(p.call.at) }

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

// poll sends the planned requests. It fails if none was answered; an exception is an answer.
func (d *Driver) poll(ctx context.Context) error {
	var failure error
	silences, splits, answered, served := 0, 0, false, false
	if !d.splitAt.IsZero() && time.Since(d.splitAt) > splitsKept {
		d.replan()
	}
	for i := 0; i < len(d.requests); i++ {
		r := &d.requests[i]
		if failure != nil && silences != 1 { // the link has failed, or stays silent: the rest would fare no better
			r.cause = causeOf(failure)
			continue
		}
		exception, err := d.request(ctx, r)
		r.cause = exception
		switch {
		case err == nil:
			silences, answered, failure = 0, true, nil
			served = served || exception == ""
			if splits < splitsPerRead && !d.barren() && refusesPart(exception) && d.split(i) {
				splits++
				i-- // both halves are asked in this Read
			}
		case ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded):
			return ctx.Err()
		default:
			r.cause = causeOf(err)
			if failure == nil || drivers.CauseOf(err) != drivers.CauseBackOff { // a pause says that nothing was sent, and something was
				failure = err
			}
			switch r.cause {
			case drivers.CauseTimeout:
				silences++
			case drivers.CauseGarbled:
				silences = 1 // one bad frame: the next may be whole
			default:
				silences = maxSilences
			}
		}
	}
	if !answered && len(d.requests) > 0 {
		return failure
	}
	d.splitIn(splits, served)
	return nil
}

// causeOf is the cause for a reading: in a Read that was begun, a pause stands for the failure before it.
func causeOf(err error) drivers.Cause {
	var e *drivers.Error
	if errors.As(err, &e) && e.Cause == drivers.CauseBackOff {
		return drivers.CauseOf(e.Err)
	}
	return drivers.CauseOf(err)
}

// request sends one planned request and keeps its data. A refusal is not an error but its cause.
func (d *Driver) request(ctx context.Context, r *planned) (exception drivers.Cause, err error) {
	d.seat.exchange(ctx, d.timeout, &r.call)
	r.took = r.call.at.Sub(r.call.began)
	if r.call.exception != 0 {
		return drivers.CauseOf(r.call.err), nil
	}
	return "", r.call.err
}

// reading makes point i's reading of what poll brought; at stands in where nothing came.
func (d *Driver) reading(i int, at int64) drivers.Reading {
	c, r := &d.codecs[i], &d.requests[d.of[i]]
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
	c, r := &d.codecs[i], &d.requests[d.of[i]]
	offset := int(c.point.Address - r.Address)
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
		c, r := &d.codecs[i], &d.requests[d.of[i]]
		probed[i] = Probed{Point: c.point, Reading: d.reading(i, now), Took: r.took}
		if r.cause != "" {
			continue
		}
		offset := int(c.point.Address - r.Address)
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
		d.links.leave(d.seat)
		d.seat = nil
	}
	return nil
}
