package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millgate/millgate/collector/kpi"
)

// reportText is a message of KPIs for people: one line per result.
func reportText(r *kpi.Report) string {
	var b strings.Builder
	for i := range r.Results {
		result := &r.Results[i]
		fmt.Fprintf(&b, "%s  %s  %s  %s", printable(r.Window.Label), printable(result.Subject), printable(result.KPI), resultText(result))
		if r.Rev > 0 {
			fmt.Fprintf(&b, "  (revision %d: %s)", r.Rev, printable(r.Reason))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// resultText is a value with all that must be said with it, or why there is none.
func resultText(r *kpi.Result) string {
	parts := []string{valueText(r)}
	if r.Bounds != nil && (r.Value == nil || r.Bounds[0] != *r.Value || r.Bounds[1] != *r.Value) {
		parts = append(parts, fmt.Sprintf("[%s, %s]", figureText(r.Bounds[0]), figureText(r.Bounds[1])))
	}
	if r.Num != nil && r.Den != nil {
		parts = append(parts, fmt.Sprintf("= %s / %s", figureText(*r.Num), figureText(*r.Den)))
	}
	if r.Coverage != nil && *r.Coverage < 1 {
		parts = append(parts, fmt.Sprintf("coverage %.1f %%", 100**r.Coverage))
	}
	if r.Quality != "" && r.Quality != kpi.Measured {
		parts = append(parts, printable(string(r.Quality)))
	}
	if len(r.Doubts) > 0 {
		parts = append(parts, "unverified: "+printable(strings.Join(r.Doubts, ", ")))
	}
	return strings.Join(parts, "  ")
}

// valueText is a value with its unit as people write it, or why there is none.
func valueText(r *kpi.Result) string {
	switch {
	case r.Absent != "":
		text := "absent: " + printable(string(r.Absent))
		if len(r.Missing) > 0 {
			text += " (" + printable(strings.Join(r.Missing, ", ")) + ")"
		}
		return text
	case r.Class != "":
		return printable(r.Class)
	case r.Value == nil:
		return "-"
	}
	return unitedText(*r.Value, r.Unit)
}

// unitedText is a number with a UCUM unit as people write it.
func unitedText(v float64, unit string) string {
	switch unit {
	case "", "1":
		return figureText(v)
	case "ms":
		return fmt.Sprintf("%s ms (%s)", figureText(v), spanText(v))
	}
	return figureText(v) + " " + printable(unitText(unit))
}

// unitText is a UCUM unit without its dots between letters: kW.h is kWh.
func unitText(ucum string) string { return strings.ReplaceAll(ucum, ".", "") }

// figureText is a number with at most nine digits: what was measured is not known better. Whole numbers are exact.
func figureText(v float64) string {
	if v == float64(int64(v)) && v < 1<<53 && v > -1<<53 {
		return strconv.FormatInt(int64(v), 10)
	}
	return strconv.FormatFloat(v, 'g', 9, 64)
}

// spanText is milliseconds as hours, minutes and seconds.
func spanText(ms float64) string {
	d := time.Duration(ms) * time.Millisecond
	return fmt.Sprintf("%d:%02d:%02d", int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60)
}

// basisText is what a reader must know of a value, one "key: text" each, by key.
func basisText(r *kpi.Result) (lines []string) {
	for _, key := range slices.Sorted(maps.Keys(r.Basis)) {
		lines = append(lines, printable(key)+": "+printable(r.Basis[key]))
	}
	return lines
}
