package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/millgate/millgate/configs"
	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/modbus"
)

// probeOrder is the body of POST /v1/probe; a probe is the answer.
type probeOrder struct {
	Device   string `json:"device"`
	Settings string `json:"settings"` // settingsOf the device as the one who asks knows it
}

// modbusOrder is the body of POST /v1/modbus: one read request.
type modbusOrder struct {
	Link    modbus.LinkConfig `json:"link"` // only its place counts: the gateway's own settings are used
	Unit    uint8             `json:"unit"`
	Timeout time.Duration     `json:"timeout"`
	Request *modbus.Request   `json:"request"` // nil: the unit's identification
}

// modbusAnswer is what became of a modbusOrder.
type modbusAnswer struct {
	Values         []uint16              `json:"values,omitempty"`
	Identification modbus.Identification `json:"identification"`
	Cause          drivers.Cause         `json:"cause,omitempty"` // of the error
	Error          string                `json:"error,omitempty"`
}

// settingsOf is a hash of all that says how a device is read.
func settingsOf(d configs.Device) string {
	h := sha256.New()
	enc := json.NewEncoder(h)
	for _, g := range d.Groups {
		if err := errors.Join(enc.Encode(g.Modbus), enc.Encode(g.OPCUA)); err != nil {
			return err.Error() // never: it holds nothing that JSON does not
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

func (g *gateway) serveProbe(w http.ResponseWriter, r *http.Request) {
	var o probeOrder
	if !readOrder(w, r, &o) {
		return
	}
	for _, d := range g.site.Devices {
		if d.ID != o.Device {
			continue
		}
		if settingsOf(d) != o.Settings {
			http.Error(w, fmt.Sprintf("it reads device %q with other settings than the site says now: restart it, or stop it to probe without it", d.ID), http.StatusConflict)
			return
		}
		probes, err := probeAll(r.Context(), &sources{g.links, g.workers}, []configs.Device{d})
		if err != nil {
			return // whoever asked has gone
		}
		answer(w, probes[0])
		return
	}
	http.Error(w, noDevice(o.Device), http.StatusNotFound)
}

func (g *gateway) serveModbus(w http.ResponseWriter, r *http.Request) {
	var o modbusOrder
	if !readOrder(w, r, &o) {
		return
	}
	link, ok := linkAt(g.site, o.Link.Place())
	if !ok {
		http.Error(w, fmt.Sprintf("it has no link at %s: restart it if the site has changed", o.Link.Place()), http.StatusNotFound)
		return
	}
	asker := g.links.Asker(link, o.Timeout)
	defer func() { _ = asker.Close() }() // has no way to fail
	var a modbusAnswer
	var err error
	if o.Request == nil {
		a.Identification, err = asker.Identify(r.Context(), o.Unit)
	} else {
		a.Values, err = asker.Ask(r.Context(), o.Unit, *o.Request)
	}
	if err != nil {
		a.Error, a.Cause = err.Error(), drivers.CauseOf(err)
	}
	answer(w, a)
}

func (g *gateway) serveTrace(w http.ResponseWriter, r *http.Request) {
	answer(w, g.links.Frames(r.URL.Query().Get("place")))
}

// linkAt is the link that the site has at a place.
func linkAt(site *configs.Site, place string) (link modbus.LinkConfig, ok bool) {
	for _, d := range site.Devices {
		for _, g := range d.Groups {
			if g.Modbus != nil && g.Modbus.Link.Place() == place {
				return g.Modbus.Link, true
			}
		}
	}
	return link, false
}

// readOrder reads the body into v, or answers that it can not. The answer may then take as long as a device does.
func readOrder(w http.ResponseWriter, r *http.Request, v any) bool {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // fails when the one who asked has gone
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(v); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return false
	}
	return true
}
