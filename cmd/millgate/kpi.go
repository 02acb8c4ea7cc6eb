package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/millgate/millgate/collector/kpi"
	"github.com/millgate/millgate/configs"
)

func kpiCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "kpi COMMAND",
		Short:   "Look at the KPIs of the site's equipment, and check them by hand",
		Example: "  millgate kpi list site.yaml\n  millgate kpi explain site.yaml M-0101 utilisation_of_planned",
	}
	group(cmd, kpiListCommand(), kpiExplainCommand())
	return cmd
}

func kpiListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list SITE.yaml [EQUIPMENT]",
		Short: "Which KPIs there are, their last values, and why one is absent",
		Long: `Prints of each KPI the value of the last window that has ended; where none has, what it has come to so far, which is marked so. Goes
through the gateway that runs on the site's data_dir; if none does, it opens the queue itself.`,
		Example: "  millgate kpi list site.yaml\n  millgate kpi list site.yaml M-0101 --output json",
		Args:    takes("SITE.yaml", "[EQUIPMENT]"),
	}
	output := addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		site, err := loadWithKPIs(args[0])
		if err != nil {
			return err
		}
		subject := ""
		if len(args) > 1 {
			if subject, err = subjectNamed(site, args[1]); err != nil {
				return err
			}
		}
		rows, err := standing(cmd.Context(), site, cmd.ErrOrStderr())
		if err != nil {
			return err
		}
		rows = slices.DeleteFunc(rows, func(r kpiStanding) bool { return subject != "" && r.Result.Subject != subject })
		if *output == asJSON {
			return printJSON(cmd.OutOrStdout(), rows)
		}
		return printStanding(cmd.OutOrStdout(), site, rows)
	}
	return cmd
}

func kpiExplainCommand() *cobra.Command {
	window := ""
	cmd := &cobra.Command{
		Use:   "explain SITE.yaml EQUIPMENT KPI",
		Short: "How one KPI comes about: formula, inputs, intermediate values, sources",
		Long: `Computes a KPI of one window anew from the readings in the local history, and prints every step, so that a person can check it by hand. EQUIPMENT
is the id of equipment or of an energy account, or "site". --window names the window: 2026-11-22/night, 2026-11-22 (a day of production), 2026-11, or
2026-11-22T08:15+08:00; without it, it is the last one that has ended, or, if nothing is stored of that, the one that is open, so far.

Goes through the gateway that runs on the site's data_dir; if none does, it opens the queue itself. Exit code 1 if what was published is
something else.`,
		Example: "  millgate kpi explain site.yaml M-0101 utilisation_of_planned\n  millgate kpi explain site.yaml M-0101 energy --window 2026-11-22/night",
		Args:    takes("SITE.yaml", "EQUIPMENT", "KPI"),
	}
	cmd.Flags().StringVar(&window, "window", "", "the window; default: the last one that has ended, else the open one so far")
	output := addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		site, err := loadWithKPIs(args[0])
		if err != nil {
			return err
		}
		o := explainOrder{}
		if o.Subject, err = subjectNamed(site, args[1]); err != nil {
			return err
		}
		definition, err := definitionOf(site, o.Subject, args[2])
		if err != nil {
			return err
		}
		o.KPI = definition.ID
		if o.Window, o.Else, err = windowNamed(site, definition, window, time.Now()); err != nil {
			return err
		}
		x, err := explained(cmd.Context(), site, o, cmd.ErrOrStderr())
		if err != nil {
			return err
		}
		e := explanationOf(site, definition, x)
		if *output == asJSON {
			err = printJSON(cmd.OutOrStdout(), e)
		} else {
			err = e.print(cmd.OutOrStdout(), site.Location)
		}
		if err == nil && len(e.Differs) > 0 {
			err = errReported
		}
		return err
	}
	return cmd
}

// newPlan makes a site's KPIs ready for work, by the policy data of this version.
func newPlan(c *kpi.Config) (*kpi.Plan, error) { return kpi.NewPlan(c, configs.Policy()) }

func loadWithKPIs(file string) (*configs.Site, error) {
	site, err := configs.Load(file)
	if err == nil && site.KPI == nil {
		err = fmt.Errorf("%s names no equipment, so there are no KPIs: list it under equipment", file)
	}
	return site, err
}

// subjectNamed is the id of equipment, an account, or the site.
func subjectNamed(site *configs.Site, id string) (string, error) {
	ids := []string{kpi.SiteSubject}
	for _, e := range site.KPI.Equipment {
		ids = append(ids, e.ID)
	}
	for _, a := range site.KPI.Accounts {
		ids = append(ids, a.ID)
	}
	if slices.Contains(ids, id) {
		return id, nil
	}
	return "", fmt.Errorf("there is no equipment or account %q%s", id, cmp.Or(configs.Suggestion(id, ids), "; there are: "+strings.Join(ids, ", ")))
}

// definitionOf is the definition of a KPI for a kind of subject.
func definitionOf(site *configs.Site, subject, id string) (*kpi.Definition, error) {
	scope := scopeOf(site, subject)
	definitions, ids := configs.Policy().Definitions, []string{}
	for i := range definitions {
		if d := &definitions[i]; d.Scope == scope {
			if d.ID == id {
				return d, nil
			}
			ids = append(ids, d.ID)
		}
	}
	return nil, fmt.Errorf("there is no KPI %q of %s %s%s", id, scopeNoun[scope], subject, cmp.Or(configs.Suggestion(id, ids), "; millgate kpi list shows them"))
}

var scopeNoun = map[string]string{"equipment": "equipment", "account": "the account", "site": "the"}

func scopeOf(site *configs.Site, subject string) string {
	switch {
	case subject == kpi.SiteSubject:
		return "site"
	case slices.ContainsFunc(site.KPI.Equipment, func(e kpi.Equipment) bool { return e.ID == subject }):
		return "equipment"
	}
	return "account"
}

// windowNamed is the window with that label among those in which a KPI is published. Without a label it is the last that has ended, of the
// longest kind but months, which are few; if there is nothing of it, the open one of that kind.
func windowNamed(site *configs.Site, d *kpi.Definition, label string, now time.Time) (w, otherwise kpi.Window, err error) {
	schedule, err := kpi.NewSchedule(site.KPI.Calendar)
	if err != nil {
		return w, w, err
	}
	at := now.UnixMilli()
	span := kpi.Window{From: at - lookBack.Milliseconds(), To: at + (32 * 24 * time.Hour).Milliseconds()}
	var last, open kpi.Window
	for _, kind := range kpi.WindowKinds {
		if !slices.Contains(d.Windows, kind) {
			continue
		}
		for _, w := range schedule.Windows(kind, span) {
			switch {
			case w.Label == label && w.From <= at:
				return w, kpi.Window{}, nil
			case w.Label == label:
				return w, w, fmt.Errorf("%s has not begun yet", label)
			case kind == kpi.Month && (last.Label != "" || open.Label != ""):
			case w.To <= at:
				last = w
			case w.From <= at:
				open = w
			}
		}
	}
	switch {
	case label != "":
		return w, w, fmt.Errorf("--window %q is none of the last %d days in which %s is published; the last one that has ended is %s", label, int(lookBack.Hours()/24), d.ID, last.Label)
	case last.Label == "":
		return open, kpi.Window{}, nil
	}
	return last, open, nil
}
