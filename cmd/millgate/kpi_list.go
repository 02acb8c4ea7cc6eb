package main

import (
	"fmt"
	"io"

	"github.com/millgate/millgate/collector/kpi"
	"github.com/millgate/millgate/configs"
)

// printStanding prints a table for each subject, in the order of the site file: values first.
func printStanding(w io.Writer, site *configs.Site, all []kpiStanding) error {
	type subject struct{ id, name string }
	var subjects []subject
	for _, e := range site.KPI.Equipment {
		subjects = append(subjects, subject{e.ID, e.Name})
	}
	for _, a := range site.KPI.Accounts {
		subjects = append(subjects, subject{a.ID, a.Name})
	}
	subjects = append(subjects, subject{kpi.SiteSubject, site.Name})
	printed := 0
	for _, s := range subjects {
		var rows, absent [][]string
		for i := range all {
			r := &all[i]
			row := []string{"  " + printable(r.Result.KPI), standingWindow(r), resultText(&r.Result)}
			switch {
			case r.Result.Subject != s.id:
			case r.Result.Absent != "":
				absent = append(absent, row)
			default:
				rows = append(rows, row)
			}
		}
		rows = append(rows, absent...)
		if len(rows) == 0 {
			continue
		}
		if printed > 0 {
			fmt.Fprintln(w)
		}
		printed++
		fmt.Fprintf(w, "%s  %s\n", printable(s.id), printable(s.name))
		if err := printTable(w, rows); err != nil {
			return err
		}
	}
	if printed == 0 {
		fmt.Fprintln(w, "There are no KPIs yet: the queue holds no readings.")
	}
	return nil
}

func standingWindow(r *kpiStanding) string {
	text := printable(r.Window.Label)
	switch {
	case r.SoFar:
		text += " so far"
	case r.Rev > 0:
		text += fmt.Sprintf(" rev %d", r.Rev)
	}
	return text
}
