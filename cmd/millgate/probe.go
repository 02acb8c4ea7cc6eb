package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/millgate/millgate/configs"
	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/modbus"
)

func probeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "probe SITE.yaml [DEVICE]",
		Short: "Read every tag once and show what the devices say",
		Long: `Reads every tag of the site, or of one device, once: value, unit, quality, the registers as they came, and the time the
request took. Compare the values with the device's panel. It works beside a running gateway.
Exit code 1 if a device did not answer.`,
		Example: "  millgate probe site.yaml\n  millgate probe site.yaml meter-1\n  millgate probe site.yaml meter-1 --output json",
		Args:    takes("SITE.yaml", "[DEVICE]"),
	}
	output := addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		site, err := configs.Load(args[0])
		if err != nil {
			return err
		}
		devices := site.Devices
		if len(args) == 2 {
			if devices, err = oneDevice(site, args[1]); err != nil {
				return err
			}
		}
		probes, err := probeAll(cmd.Context(), devices)
		if err != nil {
			return err
		}
		return printProbes(cmd.OutOrStdout(), cmd.ErrOrStderr(), probes, *output)
	}
	return cmd
}

func oneDevice(site *configs.Site, id string) ([]configs.Device, error) {
	var ids []string
	for _, d := range site.Devices {
		if d.ID == id {
			return []configs.Device{d}, nil
		}
		ids = append(ids, d.ID)
	}
	return nil, fmt.Errorf("the site has no device %q; it has: %s", id, strings.Join(ids, ", "))
}

// probe is what one device said.
type probe struct {
	device string
	points []modbus.Probed
	says   modbus.Identification // zero if the device does not identify itself
	err    error                 // why it, or one of its poll groups, did not answer
}

// probeAll asks all devices at the same time: those that share a link take turns there.
func probeAll(ctx context.Context, devices []configs.Device) (probes []probe, err error) {
	links := modbus.NewLinks()
	defer func() { err = errors.Join(err, links.Close()) }()
	probes = make([]probe, len(devices))
	var asking sync.WaitGroup
	for i, d := range devices {
		probes[i].device = d.ID
		asking.Go(func() { probes[i].ask(ctx, links, d) })
	}
	asking.Wait()
	return probes, ctx.Err()
}

// probeTimeout bounds one poll group, beyond the time-outs of its requests.
const probeTimeout = 30 * time.Second

func (p *probe) ask(ctx context.Context, links *modbus.Links, d configs.Device) {
	for _, g := range d.Groups {
		driver, err := links.Driver(g.Modbus)
		if err != nil {
			p.err = err
			return
		}
		ctx, cancel := context.WithTimeout(ctx, probeTimeout)
		points, err := driver.Probe(ctx)
		if err != nil {
			points = unread(g, err)
		} else if p.says == (modbus.Identification{}) {
			p.says, _ = driver.Identification(ctx) // most devices do not have one
		}
		cancel()
		p.points = append(p.points, points...)
		p.err = errors.Join(p.err, err, driver.Close())
	}
}

// unread is a poll group of a device that did not answer.
func unread(g configs.Group, err error) []modbus.Probed {
	var out []modbus.Probed
	for _, point := range g.Modbus.Points {
		out = append(out, modbus.Probed{Point: point, Reading: drivers.BadReading(point.Tag, drivers.CauseOf(err), drivers.Millis(time.Now()))})
	}
	return out
}

// probedTag is one tag in `probe --output json`.
type probedTag struct {
	Device  string          `json:"device"`
	Tag     string          `json:"tag"`
	Value   json.RawMessage `json:"value,omitempty"`
	Unit    string          `json:"unit,omitempty"`
	Quality string          `json:"quality"`
	Cause   drivers.Cause   `json:"cause,omitempty"`
	Raw     []string        `json:"raw,omitempty"` // registers in hex, a bit as 0 or 1
	TookMS  float64         `json:"took_ms"`
}

func (p *probe) tags() []probedTag {
	var out []probedTag
	for _, point := range p.points {
		r := point.Reading
		t := probedTag{Device: p.device, Tag: r.Tag.Name, Unit: r.Tag.Unit, Quality: r.Quality.String(), Cause: r.Cause,
			Raw: rawText(point), TookMS: float64(point.Took.Microseconds()) / 1000}
		if !r.Value.IsZero() {
			t.Value = r.Value.AppendJSON(nil)
		}
		out = append(out, t)
	}
	return out
}

func rawText(point modbus.Probed) []string {
	var out []string
	for _, word := range point.Raw {
		if point.Point.Table.Bits() {
			out = append(out, fmt.Sprint(word))
		} else {
			out = append(out, fmt.Sprintf("%04x", word))
		}
	}
	return out
}

// printProbes prints what was read to w, and to stderr which devices did not answer.
func printProbes(w, stderr io.Writer, probes []probe, output format) error {
	tags := []probedTag{}
	silent := 0
	for i := range probes {
		p := &probes[i]
		tags = append(tags, p.tags()...)
		if p.err != nil {
			silent++
		}
		if output == asText {
			if err := p.print(w); err != nil {
				return err
			}
		}
	}
	if output == asJSON {
		if err := printJSON(w, tags); err != nil {
			return err
		}
	}
	for _, p := range probes {
		if p.err != nil {
			fmt.Fprintf(stderr, "millgate: device %s did not answer: %v\n", p.device, p.err)
		}
	}
	if silent > 0 {
		return errReported
	}
	return nil
}

func (p *probe) print(w io.Writer) error {
	fmt.Fprint(w, p.device)
	if p.says != (modbus.Identification{}) {
		fmt.Fprintf(w, " identifies itself as %s %s %s", printable(p.says.Vendor), printable(p.says.Product), printable(p.says.Revision))
	}
	fmt.Fprintln(w)
	rows := [][]string{{"  tag", "value", "unit", "quality", "registers", "took"}}
	for i, t := range p.tags() {
		quality := t.Quality
		if t.Cause != "" {
			quality += ": " + string(t.Cause)
		}
		rows = append(rows, []string{"  " + t.Tag, printable(p.points[i].Reading.Value.String()), t.Unit, quality, strings.Join(t.Raw, " "), fmt.Sprintf("%.1f ms", t.TookMS)})
	}
	if err := printTable(w, rows); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w)
	return err
}
