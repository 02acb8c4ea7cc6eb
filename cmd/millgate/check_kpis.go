package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/millgate/millgate/collector/kpi"
	"github.com/millgate/millgate/configs"
)

// lackSummary is one thing that a piece of equipment has not, and the KPIs that it would give.
type lackSummary struct {
	Equipment string   `json:"equipment"`
	Missing   []string `json:"missing"` // one of them is enough
	KPIs      []string `json:"kpis"`
	Hint      hint     `json:"hint"`
}

type hint struct {
	ZH string `json:"zh"`
	EN string `json:"en"`
}

// summarizeLacks is what would give the equipment more KPIs.
func summarizeLacks(site *configs.Site) (out []lackSummary) {
	if site.KPI == nil {
		return nil
	}
	for _, l := range kpi.Lacks(site.KPI, configs.Policy()) {
		out = append(out, lackSummary{l.Equipment, l.Missing, strings.Split(l.KPI, ", "), hint(l.Hint)})
	}
	return out
}

// printEquipment says how much equipment there is, and what would give it more KPIs.
func printEquipment(w io.Writer, s summary) error {
	if s.Equipment == 0 {
		return nil
	}
	if len(s.Lacks) == 0 {
		_, err := fmt.Fprintf(w, "\n%s of equipment, with all that the KPIs of its kind need\n", pieces(s.Equipment))
		return err
	}
	rows := [][]string{{"equipment", "without", "there is no", "what would supply it"}}
	last := ""
	for _, l := range s.Lacks {
		id := l.Equipment
		if id == last {
			id = ""
		}
		last = l.Equipment
		rows = append(rows, []string{id, strings.Join(l.Missing, " or "), someOf(l.KPIs), l.Hint.EN})
	}
	if _, err := fmt.Fprintf(w, "\n%s of equipment; what is missing is no mistake, but leaves KPIs out:\n\n", pieces(s.Equipment)); err != nil {
		return err
	}
	return printTable(w, rows)
}

// someOf names the first of several KPIs.
func someOf(kpis []string) string {
	const most = 2
	if len(kpis) <= most {
		return strings.Join(kpis, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(kpis[:most], ", "), len(kpis)-most)
}

func pieces(n int) string { return plural(n, "piece") }
