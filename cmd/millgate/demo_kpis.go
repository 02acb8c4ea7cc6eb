package main

import (
	"fmt"
	"io"
	"sync"

	"github.com/millgate/millgate/collector/kpi"
	"github.com/millgate/millgate/uplink"
)

// demoKPIs computes what the windows that are open come to so far, as any subscriber can: from the catalogue and the readings alone.
type demoKPIs struct {
	mu      sync.Mutex
	decoder *uplink.Decoder
	engine  *kpi.Engine
	err     error // why it goes no further
}

// takeCatalogue goes on by another version of the catalogue.
func (k *demoKPIs) takeCatalogue(payload []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(payload) == 0 || k.err != nil {
		return
	}
	if k.decoder, k.err = uplink.NewDecoder(payload); k.err != nil || k.decoder.Catalogue.KPI == nil {
		return
	}
	var plan *kpi.Plan
	if plan, k.err = newPlan(k.decoder.Catalogue.KPI); k.err == nil {
		k.engine = kpi.NewEngine(plan)
	}
}

// take computes on by a block of readings.
func (k *demoKPIs) take(m *uplink.Message) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.engine == nil || k.err != nil {
		return
	}
	b, err := batchOf(k.decoder, m)
	if err != nil {
		k.err = err
		return
	}
	k.engine.Take(b)
}

// day is what the production day has come to so far, by subject and KPI; nil if nothing is known yet.
func (k *demoKPIs) day() (map[[2]string]kpi.Result, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.engine == nil || k.err != nil {
		return nil, k.err
	}
	reports, err := k.engine.Open()
	if err != nil {
		return nil, err
	}
	var results map[[2]string]kpi.Result
	for _, report := range reports {
		if report.Window.Kind != kpi.Day {
			continue
		}
		results = map[[2]string]kpi.Result{}
		for _, r := range report.Results {
			results[[2]string{r.Subject, r.KPI}] = r
		}
	}
	return results, nil
}

// demoColumn is a KPI of the table.
type demoColumn struct {
	title, kpi string
	text       func(*kpi.Result) string
}

var demoColumns = []demoColumn{
	{"producing", "apt", clockOf}, {"waiting", "adot", clockOf}, {"alarm", "adet", clockOf}, {"off", "off_time", clockOf}, {"unknown", "unknown_time", clockOf},
	{"parts", "parts_total", numberOf}, {"energy", "energy", roundOf}, {"age", "years_in_service", roundOf}, {"over 10 a", "policy_focus_over_10y", classOf},
}

func clockOf(r *kpi.Result) string {
	if r.Value == nil {
		return "-"
	}
	return spanText(*r.Value)
}

func numberOf(r *kpi.Result) string {
	if r.Value == nil {
		return "-"
	}
	return figureText(*r.Value)
}

func roundOf(r *kpi.Result) string {
	if r.Value == nil {
		return "-"
	}
	return fmt.Sprintf("%.2f %s", *r.Value, unitText(r.Unit))
}

func classOf(r *kpi.Result) string {
	if r.Class == "" {
		return "-"
	}
	return r.Class
}

// rows is the table of equipment. Names stand last: their characters may be two columns wide.
func (k *demoKPIs) rows(config *kpi.Config) ([][]string, error) {
	results, err := k.day()
	if results == nil || err != nil {
		return nil, err
	}
	heading := []string{"so far"}
	for _, c := range demoColumns {
		heading = append(heading, c.title)
	}
	rows := [][]string{append(heading, "name")}
	for _, e := range config.Equipment {
		row := []string{e.ID}
		for _, c := range demoColumns {
			text := "-"
			if r, ok := results[[2]string{e.ID, c.kpi}]; ok && r.Absent == "" {
				text = c.text(&r)
			}
			row = append(row, text)
		}
		rows = append(rows, append(row, e.Name))
	}
	return rows, nil
}

// demoFigures are the KPIs of the last lines: what one of a kind of equipment, or the whole site, has.
var demoFigures = [][2]string{
	{"K-01", "operating_compressor_specific_power"}, {"plant", "account_electricity"}, {"plant", "account_co2"},
	{kpi.SiteSubject, "nc_rate_by_equipment"}, {kpi.SiteSubject, "networking_rate"}, {kpi.SiteSubject, "share_over_10y_by_count"},
}

// conclude prints what the production day has come to so far, and says that it is not final.
func (k *demoKPIs) conclude(w io.Writer, config *kpi.Config) error {
	rows, err := k.rows(config)
	if rows == nil || err != nil {
		return err
	}
	fmt.Fprintln(w, "\nKPIs of the production day so far: not final, and what was before the demo began is unknown")
	if err := printTable(w, rows); err != nil {
		return err
	}
	results, err := k.day()
	if err != nil {
		return err
	}
	rows = nil
	for _, f := range demoFigures {
		if r, ok := results[f]; ok {
			rows = append(rows, []string{f[0], f[1], resultText(&r)})
		}
	}
	return printTable(w, rows)
}
