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
	"github.com/millgate/millgate/drivers/opcua"
)

// probeFlags are the flags of probe.
type probeFlags struct {
	output *format
	pcap   string
	plan   bool
	forget bool
	guess  guessFlags
	line   lineFlags
}

func probeCommand() *cobra.Command {
	var f probeFlags
	cmd := &cobra.Command{
		Use:   "probe SITE.yaml|ENDPOINT [DEVICE]",
		Short: "Read every tag once and show what the devices say",
		Long: `Reads every tag of the site, or of one device, once: value, unit, quality, the registers as they came, and the time the
request took; of an OPC UA server the StatusCode, the time stamp of the source, and how far its clock is off. Compare the values with the
device's panel. While the site's gateway runs, the requests go through it.
Exit code 1 if a device did not answer.

With --guess and --at it finds out how registers hold what the panel shows, and prints the line for a device map. That also
works without a site, with an endpoint in its place; --unit, --baud, --parity, --stop-bits and --timeout are for then.

--plan shows the requests with which devices are read and what was learned about them; it asks no device. --forget lets that be
learned anew, as after a device was replaced. --pcap keeps the frames of a probe.`,
		Example: `  millgate probe site.yaml
  millgate probe site.yaml meter-1 --output json
  millgate probe site.yaml meter-1 --plan
  millgate probe site.yaml meter-1 --pcap meter-1.pcap
  millgate probe site.yaml meter-1 --guess 228.4 --at holding:0x2000
  millgate probe tcp://192.168.1.10:502 --unit 1 --guess 228.4 --at input:0`,
		Args: takes("SITE.yaml or ENDPOINT", "[DEVICE]"),
	}
	f.output = addOutput(cmd)
	cmd.Flags().StringVar(&f.pcap, "pcap", "", "write the frames that passed to this file, for Wireshark")
	cmd.Flags().BoolVar(&f.plan, "plan", false, "show the requests of a device instead, and what was learned about it")
	cmd.Flags().BoolVar(&f.forget, "forget", false, "forget what was learned about a device, so that it is learned anew")
	f.guess.add(cmd)
	f.line.add(cmd)
	cmd.MarkFlagsMutuallyExclusive("plan", "forget", "guess")
	cmd.MarkFlagsMutuallyExclusive("plan", "forget", "pcap")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if strings.Contains(args[0], "://") {
			return f.runAtEndpoint(cmd, args)
		}
		for _, name := range []string{"unit", "baud", "parity", "stop-bits", "timeout"} {
			if cmd.Flags().Changed(name) {
				return fmt.Errorf("--%s is for an endpoint without a site; the site says it itself", name)
			}
		}
		return f.run(cmd, args)
	}
	return cmd
}

func (f *probeFlags) run(cmd *cobra.Command, args []string) (err error) {
	ctx := cmd.Context()
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
	w, err := wiresOf(ctx, site)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	if f.plan || f.forget {
		return f.aboutPlans(cmd, w, devices)
	}
	work := func() error { return f.readTags(cmd, w, devices) }
	if f.guess.on() {
		if len(args) < 2 {
			return errors.New("--guess is about one device: name it behind the site")
		}
		group := devices[0].Groups[0].Modbus
		if group == nil {
			return fmt.Errorf("--guess is about registers of Modbus, and device %s is an OPC UA server, which says itself what it holds", devices[0].ID)
		}
		work = func() error { return f.guess.run(cmd, w, guessPlace{group.Link, group.Unit, group.Timeout}, *f.output) }
	}
	if f.pcap == "" {
		return work()
	}
	return w.capture(ctx, f.pcap, linksOf(devices), work)
}

// runAtEndpoint is probe without a site: it can only guess.
func (f *probeFlags) runAtEndpoint(cmd *cobra.Command, args []string) (err error) {
	link, err := f.line.link(args[0])
	if err != nil {
		return err
	}
	if !f.guess.on() || len(args) > 1 {
		return errors.New("an endpoint has no tags: add --guess and --at, or name a site; millgate scan shows which registers there are")
	}
	w, err := wiresOf(cmd.Context(), nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	work := func() error { return f.guess.run(cmd, w, guessPlace{link, f.guess.unit, f.line.timeout}, *f.output) }
	if f.pcap == "" {
		return work()
	}
	return w.capture(cmd.Context(), f.pcap, []modbus.LinkConfig{link}, work)
}

// aboutPlans shows the plans of the devices, or forgets what they rest on; it asks no device.
func (f *probeFlags) aboutPlans(cmd *cobra.Command, w *wires, devices []configs.Device) error {
	all := []groupPlan{}
	for _, d := range devices {
		if f.forget {
			if err := w.forget(cmd.Context(), d); err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "millgate: %s is learned anew\n", d.ID)
			continue
		}
		plans, err := w.plans(cmd.Context(), d)
		if err != nil {
			return err
		}
		all = append(all, plans...)
	}
	switch {
	case f.forget:
		return nil
	case *f.output == asJSON:
		return printJSON(cmd.OutOrStdout(), all)
	}
	return printPlans(cmd.OutOrStdout(), all)
}

func (f *probeFlags) readTags(cmd *cobra.Command, w *wires, devices []configs.Device) error {
	probes, err := w.probe(cmd.Context(), devices)
	if err != nil {
		return err
	}
	return printProbes(cmd.OutOrStdout(), cmd.ErrOrStderr(), probes, *f.output)
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
	Device string                `json:"device"`
	Tags   []probedTag           `json:"tags"`
	Says   modbus.Identification `json:"says"`                      // zero if the device does not identify itself
	Offset *int64                `json:"clock_offset_ms,omitempty"` // of the device's clock from ours; nil: it has none
	Error  string                `json:"error,omitempty"`           // why it, or one of its poll groups, did not answer
}

// sources are what devices are asked through.
type sources struct {
	links   *modbus.Links
	workers *opcua.Workers
}

func newSources() *sources { return &sources{modbus.NewLinks(), opcua.NewWorkers()} }

func (s *sources) close() error { return errors.Join(s.links.Close(), s.workers.Close()) }

// probeAll asks all devices at the same time: those that share a link take turns there.
func probeAll(ctx context.Context, s *sources, devices []configs.Device) (probes []probe, err error) {
	probes = make([]probe, len(devices))
	var asking sync.WaitGroup
	for i, d := range devices {
		probes[i].Device = d.ID
		asking.Go(func() { probes[i].ask(ctx, s, d) })
	}
	asking.Wait()
	return probes, ctx.Err()
}

// probeTimeout bounds one poll group, beyond the time-outs of its requests.
const probeTimeout = 30 * time.Second

func (p *probe) ask(ctx context.Context, s *sources, d configs.Device) {
	var failure error
	for _, g := range d.Groups {
		if g.OPCUA != nil {
			failure = errors.Join(failure, p.askServer(ctx, s.workers, *g.OPCUA))
			continue
		}
		cfg := *g.Modbus
		cfg.Learned = "" // the file is the gateway's, who may run at this moment
		driver, err := s.links.Driver(cfg)
		if err != nil {
			p.Error = err.Error()
			return
		}
		ctx, cancel := context.WithTimeout(ctx, probeTimeout)
		points, err := driver.Probe(ctx)
		if err != nil {
			points = unread(g, err)
		} else if p.Says == (modbus.Identification{}) {
			p.Says, _ = driver.Identification(ctx) // most devices do not have one
		}
		cancel()
		p.keep(points)
		failure = errors.Join(failure, err, driver.Close())
	}
	if failure != nil {
		p.Error = failure.Error()
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
	TookMS  float64         `json:"took_ms,omitempty"`
	Status  string          `json:"status,omitempty"`   // OPC UA StatusCode
	Stamp   int64           `json:"source_t,omitempty"` // the device's own time, ms since 1970 UTC
}

func (p *probe) keep(points []modbus.Probed) {
	for _, point := range points {
		r := point.Reading
		t := probedTag{Device: p.Device, Tag: r.Tag.Name, Unit: r.Tag.Unit, Quality: r.Quality.String(), Cause: r.Cause,
			Raw: rawText(point), TookMS: float64(point.Took.Microseconds()) / 1000}
		if !r.Value.IsZero() {
			t.Value = r.Value.AppendJSON(nil)
		}
		p.Tags = append(p.Tags, t)
	}
}

// valueText is the value for people.
func (t *probedTag) valueText() string {
	var text string
	switch {
	case len(t.Value) == 0:
		return "-"
	case json.Unmarshal(t.Value, &text) == nil:
		return printable(text)
	}
	return string(t.Value)
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
		tags = append(tags, p.Tags...)
		if p.Error != "" {
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
		if p.Error != "" {
			fmt.Fprintf(stderr, "millgate: device %s did not answer: %s\n", p.Device, p.Error)
		}
	}
	if silent > 0 {
		return errReported
	}
	return nil
}

func (p *probe) print(w io.Writer) error {
	fmt.Fprint(w, p.Device)
	if p.Says != (modbus.Identification{}) {
		fmt.Fprint(w, " identifies itself as ", idText(p.Says))
	}
	if p.Offset != nil {
		fmt.Fprintf(w, ", its clock is %s", offsetText(*p.Offset))
	}
	fmt.Fprintln(w)
	rows := [][]string{{"  tag", "value", "unit", "quality", "registers", "took"}}
	if len(p.Tags) > 0 && p.Tags[0].Status != "" {
		rows[0][4], rows[0][5] = "status", "source time"
	}
	for _, t := range p.Tags {
		quality := t.Quality
		if t.Cause != "" {
			quality += ": " + string(t.Cause)
		}
		raw, took := strings.Join(t.Raw, " "), fmt.Sprintf("%.1f ms", t.TookMS)
		if t.Status != "" {
			raw, took = t.Status, stampText(t.Stamp)
		}
		rows = append(rows, []string{"  " + t.Tag, t.valueText(), t.Unit, quality, raw, took})
	}
	if err := printTable(w, rows); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w)
	return err
}

func idText(id modbus.Identification) string {
	return strings.Join(strings.Fields(printable(id.Vendor)+" "+printable(id.Product)+" "+printable(id.Revision)), " ")
}
