package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/millgate/millgate/configs"
	"github.com/millgate/millgate/drivers/modbus"
)

// groupPlan is what one poll group of a device asks for, and what it has learned.
type groupPlan struct {
	Device     string `json:"device"`
	IntervalMS int64  `json:"interval_ms"`
	modbus.PlanStatus
}

// eachDriver calls do for each poll group of a device of the gateway; ok is false if there is no such device.
func (g *gateway) eachDriver(device string, do func(interval time.Duration, d *modbus.Driver)) (ok bool) {
	for _, d := range g.devices {
		if d.ID != device {
			continue
		}
		for _, group := range d.Groups {
			if driver, isModbus := group.Driver.(*modbus.Driver); isModbus {
				do(group.Interval, driver)
			}
		}
		return true
	}
	return false
}

func (g *gateway) servePlan(w http.ResponseWriter, r *http.Request) {
	device := r.URL.Query().Get("device")
	plans := []groupPlan{}
	if !g.eachDriver(device, func(interval time.Duration, d *modbus.Driver) {
		plans = append(plans, groupPlan{device, interval.Milliseconds(), d.Learned()})
	}) {
		http.Error(w, noDevice(device), http.StatusNotFound)
		return
	}
	answer(w, plans)
}

func (g *gateway) serveForget(w http.ResponseWriter, r *http.Request) {
	var o probeOrder
	if !readOrder(w, r, &o) {
		return
	}
	var errs []error
	if !g.eachDriver(o.Device, func(_ time.Duration, d *modbus.Driver) { errs = append(errs, d.Forget()) }) {
		http.Error(w, noDevice(o.Device), http.StatusNotFound)
		return
	}
	if err := errors.Join(errs...); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answer(w, struct{}{})
}

func noDevice(id string) string {
	return fmt.Sprintf("it has no device %q: restart it if the site has changed", id)
}

// plans are those of the gateway that runs, else those that would be begun with.
func (w *wires) plans(ctx context.Context, d configs.Device) (plans []groupPlan, err error) {
	if w.sources == nil {
		return plans, w.order(ctx, http.MethodGet, "/v1/plan?device="+d.ID, nil, &plans)
	}
	return plans, w.eachDriver(d, func(interval time.Duration, driver *modbus.Driver) error {
		plans = append(plans, groupPlan{d.ID, interval.Milliseconds(), driver.Learned()})
		return nil
	})
}

// forget makes the device's groups learn anew.
func (w *wires) forget(ctx context.Context, d configs.Device) error {
	if w.sources == nil {
		return w.order(ctx, http.MethodPost, "/v1/forget", probeOrder{Device: d.ID}, &struct{}{})
	}
	return w.eachDriver(d, func(_ time.Duration, driver *modbus.Driver) error { return driver.Forget() })
}

// eachDriver makes the drivers of a device for a moment; they connect to nothing.
func (w *wires) eachDriver(d configs.Device, do func(interval time.Duration, driver *modbus.Driver) error) error {
	var errs []error
	for _, g := range d.Groups {
		if g.Modbus == nil {
			continue // a server plans by itself
		}
		driver, err := w.links.Driver(*g.Modbus)
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		errs = append(errs, do(g.Interval, driver), driver.Close())
	}
	return errors.Join(errs...)
}

func printPlans(w io.Writer, plans []groupPlan) error {
	for _, p := range plans {
		fmt.Fprintf(w, "%s, every %v: %d requests, %.1f ms of the link\n", p.Device, time.Duration(p.IntervalMS)*time.Millisecond, len(p.Requests), p.CycleMS)
		rows := [][]string{{"  table", "addresses", "number", "points", "cost"}}
		for _, r := range p.Requests {
			rows = append(rows, []string{"  " + r.Table, fmt.Sprintf("%d-%d", r.Address, r.Address+r.Quantity-1), strconv.Itoa(r.Quantity),
				strconv.Itoa(r.Points), fmt.Sprintf("%.1f ms", r.CostMS)})
		}
		if err := printTable(w, rows); err != nil {
			return err
		}
		fmt.Fprintf(w, "  registers in one request: %s; bits: %s\n", quantityText(p.Registers), quantityText(p.Bits))
		for _, q := range p.Quarantined {
			fmt.Fprintf(w, "  %s (%s %d) is left out since %s: %s; asked again %s\n", q.Tag, q.Table, q.Address, dateText(q.Since), q.Cause, dateText(q.Retry))
		}
		for _, b := range p.Barriers {
			fmt.Fprintf(w, "  %s %d-%d is not read in one request since %s: %s; tried again %s\n", b.Table, b.First, b.Last, dateText(b.Since), b.Cause, dateText(b.Retry))
		}
		if p.SaveError != "" {
			fmt.Fprintf(w, "  what was learned could not be kept: %s\n", p.SaveError)
		}
	}
	return nil
}

func quantityText(q modbus.QuantityStatus) string {
	text := fmt.Sprintf("%d allowed, %d answered", q.Allowed, q.Answered)
	if q.Refused > 0 {
		text += fmt.Sprintf(", %d refused", q.Refused)
	}
	return text
}

func dateText(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }
