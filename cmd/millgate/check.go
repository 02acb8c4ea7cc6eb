package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/spf13/cobra"

	"github.com/millgate/millgate/configs"
	"github.com/millgate/millgate/drivers/modbus"
)

func checkCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check SITE.yaml",
		Short: "Find every mistake in a site, without touching the network",
		Long: `Reads the site, its device maps and the files it names, and prints every mistake at once, each with file:line:column
and the way out. Without mistakes it prints what the gateway would do.`,
		Example: "  millgate check site.yaml\n  millgate check site.yaml --output json",
		Args:    takes("SITE.yaml"),
	}
	output := addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		site, err := configs.Load(args[0])
		if *output == asJSON {
			return checkJSON(cmd.OutOrStdout(), site, err)
		}
		if err != nil {
			report(cmd.ErrOrStderr(), err)
			var problems configs.Problems
			if errors.As(err, &problems) {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s in %s\n", plural(len(problems), "mistake"), args[0])
			}
			return errReported
		}
		for _, w := range site.Warnings {
			fmt.Fprintln(cmd.ErrOrStderr(), "warning:", w)
		}
		return printSummary(cmd.OutOrStdout(), summarize(site))
	}
	return cmd
}

// summary is what a site makes the gateway do, or what is wrong with it.
type summary struct {
	Site      string           `json:"site,omitempty"`
	Gateway   string           `json:"gateway,omitempty"`
	Devices   []deviceSummary  `json:"devices,omitempty"`
	Lines     []lineSummary    `json:"lines,omitempty"`
	Servers   []serverSummary  `json:"servers,omitempty"`
	Uplinks   []string         `json:"uplinks,omitempty"`
	Rate      float64          `json:"values_per_second"` // read, before report by exception
	Equipment int              `json:"equipment,omitempty"`
	Lacks     []lackSummary    `json:"lacks,omitempty"` // what would give the equipment more KPIs
	Warnings  configs.Problems `json:"warnings,omitempty"`
	Problems  configs.Problems `json:"problems,omitempty"`
}

type deviceSummary struct {
	ID       string  `json:"id"`
	Endpoint string  `json:"endpoint"`
	Unit     *uint8  `json:"unit,omitempty"` // of Modbus, as are the requests
	Map      string  `json:"map,omitempty"`  // empty for points of the site's own
	Tags     int     `json:"tags"`
	Requests *int    `json:"requests_per_cycle,omitempty"` // of all its poll groups together
	Rate     float64 `json:"values_per_second"`
}

// lineSummary is what a serial line, or one of known speed behind a bridge, is asked to do.
type lineSummary struct {
	Name     string   `json:"name"`
	Devices  []string `json:"devices"`
	Requests int      `json:"requests_per_cycle"`
	Needs    int64    `json:"needs_ms"` // per cycle, if every device answers
	Cycle    int64    `json:"cycle_ms"` // its shortest interval
	Use      float64  `json:"use"`      // 1 is all of its time
}

func summarize(site *configs.Site) summary {
	s := summary{Site: site.ID, Gateway: site.Gateway, Warnings: site.Warnings}
	for _, d := range site.Devices {
		sum, requests := deviceSummary{ID: d.ID, Map: d.Map}, 0
		for _, g := range d.Groups {
			if g.Modbus != nil {
				requests += len(modbus.Plan(*g.Modbus))
				sum.Endpoint, sum.Unit, sum.Requests = g.Modbus.Link.Endpoint.String(), &g.Modbus.Unit, &requests
			} else {
				sum.Endpoint = g.OPCUA.Server.Endpoint
			}
			sum.Tags += len(g.Rules)
			sum.Rate += float64(len(g.Rules)) / g.Interval.Seconds()
		}
		s.Devices = append(s.Devices, sum)
		s.Rate += sum.Rate
	}
	for _, l := range site.Lines {
		s.Lines = append(s.Lines, lineSummary{Name: l.Name, Devices: l.Devices, Requests: l.Requests,
			Needs: l.Needs().Milliseconds(), Cycle: l.Cycle.Milliseconds(), Use: math.Round(1e4*l.Use) / 1e4})
	}
	for _, v := range site.Servers {
		s.Servers = append(s.Servers, summarizeServer(v))
	}
	for _, u := range site.Uplinks {
		s.Uplinks = append(s.Uplinks, u.ID)
	}
	if site.KPI != nil {
		s.Equipment, s.Lacks = len(site.KPI.Equipment), summarizeLacks(site)
	}
	return s
}

func printSummary(w io.Writer, s summary) error {
	rows := [][]string{{"device", "endpoint", "unit", "map", "tags", "requests per cycle", "values per second"}}
	tags := 0
	for _, d := range s.Devices {
		from := d.Map
		if from == "" {
			from = "own points"
		}
		unit, requests := "-", "-"
		if d.Unit != nil {
			unit, requests = fmt.Sprint(*d.Unit), fmt.Sprint(*d.Requests)
		}
		rows = append(rows, []string{d.ID, d.Endpoint, unit, from, fmt.Sprint(d.Tags), requests, fmt.Sprintf("%.1f", d.Rate)})
		tags += d.Tags
	}
	if err := printTable(w, rows); err != nil {
		return err
	}
	if err := printLines(w, s.Lines); err != nil {
		return err
	}
	if err := printServers(w, s.Servers); err != nil {
		return err
	}
	if err := printEquipment(w, s); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s/%s is good: %s, %s, %.1f values per second, %s\n", s.Site, s.Gateway,
		plural(len(s.Devices), "device"), plural(tags, "tag"), s.Rate, plural(len(s.Uplinks), "uplink"))
	return err
}

func printLines(w io.Writer, lines []lineSummary) error {
	if len(lines) == 0 {
		return nil
	}
	rows := [][]string{{"line", "devices", "requests per cycle", "needs", "of", "use"}}
	for _, l := range lines {
		ms := func(n int64) string { return (time.Duration(n) * time.Millisecond).String() }
		rows = append(rows, []string{l.Name, fmt.Sprint(len(l.Devices)), fmt.Sprint(l.Requests), ms(l.Needs), ms(l.Cycle), fmt.Sprintf("%.0f %%", math.Ceil(100*l.Use))})
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	return printTable(w, rows)
}

// checkJSON prints the summary, or what is wrong, as one object.
func checkJSON(w io.Writer, site *configs.Site, err error) error {
	s := summary{}
	switch {
	case err == nil:
		s = summarize(site)
	case !errors.As(err, &s.Problems):
		return err
	}
	if printed := printJSON(w, s); printed != nil || err == nil {
		return printed
	}
	return errReported
}

// plural is "1 device", "2 devices".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
