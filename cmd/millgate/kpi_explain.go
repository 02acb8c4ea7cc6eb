package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millgate/millgate/collector/kpi"
	"github.com/millgate/millgate/configs"
)

// explainOrder is the body of POST /v1/explain.
type explainOrder struct {
	Subject string     `json:"subject"`
	KPI     string     `json:"kpi"`
	Window  kpi.Window `json:"window"`
	Else    kpi.Window `json:"else,omitzero"` // if there is nothing of Window
}

// explainedKPI is the answer.
type explainedKPI struct {
	Window    kpi.Window          `json:"window"`
	Result    kpi.Result          `json:"result"` // computed anew from the local history
	Working   []kpi.Working       `json:"working"`
	Read      map[string]readSpan `json:"read,omitempty"`      // by tag: what there was of it in the window
	Published *kpi.Result         `json:"published,omitempty"` // its newest revision
	Rev       int                 `json:"rev"`
	Warning   string              `json:"warning,omitempty"` // what could not be taken into account
	Late      bool                `json:"late,omitempty"`    // the local history begins within or after the window
	SoFar     bool                `json:"so_far,omitempty"`  // the window has not ended, and To is the newest reading
}

// explanation is all that a person needs to check a KPI by hand.
type explanation struct {
	explainedKPI
	Name       string           `json:"name,omitempty"` // of the subject
	Definition explainedFormula `json:"definition"`
	Inputs     []explainedInput `json:"inputs"`
	Differs    []string         `json:"differs,omitempty"` // members in which the published result is another one
}

// explainedFormula is what a KPI means.
type explainedFormula struct {
	ID       string   `json:"id"` // id@version
	Title    kpi.Text `json:"title"`
	Formula  kpi.Text `json:"formula"`
	NotSaid  kpi.Text `json:"does_not_say"`
	Source   string   `json:"source"`
	Verified bool     `json:"verified"`
}

// explainedInput is one tag that the KPI rests on.
type explainedInput struct {
	Tag   string `json:"tag"`
	Label string `json:"label,omitempty"`
	Unit  string `json:"unit,omitempty"`
	Role  string `json:"role,omitempty"`
	Share string `json:"share,omitempty"` // of what the tag measures, and by what basis
}

// explanationOf adds what the site and the catalogue say.
func explanationOf(site *configs.Site, d *kpi.Definition, x explainedKPI) *explanation {
	e := &explanation{explainedKPI: x, Definition: explainedFormula{d.Ref(), d.Title, d.Formula, d.NotSaid, sourceText(&d.Source), d.Source.Verified}}
	signals := map[string]explainedInput{}
	for _, q := range site.KPI.Equipment {
		if q.ID != x.Result.Subject {
			continue
		}
		e.Name = q.Name
		for role, s := range q.Signals {
			signals[s.Tag] = explainedInput{Role: role, Share: shareText(&s)}
		}
	}
	for _, a := range site.KPI.Accounts {
		if a.ID != x.Result.Subject {
			continue
		}
		e.Name = a.Name
		for _, t := range a.Terms {
			signals[t.Tag] = explainedInput{Role: t.Medium, Share: shareText(&t.Signal)}
		}
	}
	for _, tag := range x.Result.Inputs {
		in := signals[tag]
		in.Tag = tag
		for _, device := range site.Catalogue.Devices {
			for _, t := range device.Tags {
				if device.ID+"/"+t.Name == tag {
					in.Label, in.Unit = t.Label, t.Unit
				}
			}
		}
		e.Inputs = append(e.Inputs, in)
	}
	if x.Published != nil && !x.Late {
		e.Differs = differing(x.Published, &x.Result)
	}
	return e
}

func shareText(s *kpi.Signal) string {
	if s.Share == 0 {
		return ""
	}
	return fmt.Sprintf("%s (%s)", figureText(s.Share), s.Basis)
}

func sourceText(s *kpi.Source) string {
	parts := slices.DeleteFunc([]string{s.Name, s.Clause, s.Where}, func(p string) bool { return p == "" })
	text := strings.Join(parts, ", ")
	if s.InForce != "" {
		text += ", in force since " + s.InForce
	}
	return text
}

// print is the sheet that a person checks by hand.
func (e *explanation) print(w io.Writer, zone *time.Location) error {
	d := &e.Definition
	clock := func(ms int64) string { return time.UnixMilli(ms).In(zone).Format("2006-01-02 15:04") }
	line := func(what, format string, args ...any) {
		fmt.Fprintf(w, "%-10s "+format+"\n", append([]any{what}, args...)...)
	}
	line("KPI", "%s  %s  %s", d.ID, d.Title.EN, d.Title.ZH)
	line("of", "%s", strings.TrimSpace(e.Result.Subject+"  "+e.Name))
	label := e.Window.Label
	if e.SoFar {
		label += " so far"
	}
	line("window", "%s, from %s to %s (%s), %s", label, clock(e.Window.From), clock(e.Window.To), e.Window.TZ, spanText(float64(e.Window.To-e.Window.From)))
	line("formula", "%s", d.Formula.EN)
	line("", "%s", d.Formula.ZH)
	verified := "verified against the source itself"
	if !d.Verified {
		verified = "NOT VERIFIED against the source itself"
	}
	line("source", "%s; %s", d.Source, verified)
	for _, pair := range [][2]string{{"mapping", e.Result.Mapping}, {"quality", string(e.Result.Quality)}} {
		if pair[1] != "" {
			line(pair[0], "%s", pair[1])
		}
	}
	if e.Late {
		line("!!", "the local history begins within this window or after it: what was known before is not in these figures")
	}
	if e.Warning != "" {
		line("!!", "%s", printable(e.Warning))
	}
	if err := e.printTables(w, zone); err != nil {
		return err
	}
	line("result", "%s", resultText(&e.Result))
	for _, text := range basisText(&e.Result) {
		line("", "%s", text)
	}
	switch {
	case e.SoFar:
		line("published", "not yet: what is stored does not reach the end of the window, and these figures are not final")
	case e.Published == nil:
		line("published", "not yet, or no longer in the local history")
	case len(e.Differs) > 0:
		line("published", "revision %d says something else (%s): %s", e.Rev, strings.Join(e.Differs, ", "), resultText(e.Published))
	case e.Late:
		line("published", "revision %d: %s", e.Rev, resultText(e.Published))
	default:
		line("published", "revision %d, the same", e.Rev)
	}
	line("mind", "%s", d.NotSaid.EN)
	line("", "%s", d.NotSaid.ZH)
	return nil
}

// text is a value and when it was read.
func (v *readValue) text(zone *time.Location) string {
	if v == nil {
		return "-"
	}
	return printable(v.Value) + " at " + time.UnixMilli(v.Time).In(zone).Format("01-02 15:04:05")
}

func (e *explanation) printTables(w io.Writer, zone *time.Location) error {
	rows := [][]string{{"input", "role", "unit", "share", "readings", "before", "first", "last", "label"}}
	for _, in := range e.Inputs {
		read := e.Read[in.Tag]
		rows = append(rows, []string{in.Tag, cmp.Or(in.Role, "-"), cmp.Or(unitText(in.Unit), "1"), cmp.Or(in.Share, "all"),
			strconv.Itoa(read.N), read.Before.text(zone), read.First.text(zone), read.Last.text(zone), in.Label})
	}
	for _, missing := range e.Result.Missing {
		rows = append(rows, []string{"(missing)", missing})
	}
	fmt.Fprintln(w)
	if err := printTable(w, rows); err != nil {
		return err
	}
	fmt.Fprintln(w)
	if len(e.Working) == 0 {
		return nil
	}
	rows = [][]string{{"step", "value", "how"}}
	for _, s := range e.Working {
		rows = append(rows, []string{printable(s.Name), unitedText(s.Value, s.Unit), printable(s.From)})
	}
	if err := printTable(w, rows); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w)
	return err
}
