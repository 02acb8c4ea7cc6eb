package configs

import (
	"fmt"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

const holidayPrefix = "holidays-"

// holidays are the days of one year that are not as their weekday is usually.
type holidays struct {
	year     int
	source   string
	verified bool
	days     map[string]string // date: "off", or "work" in exchange (调休)
}

// embeddedHolidays are those of a year for which millgate brings a file; ok is false if it does not.
func embeddedHolidays(year int) (h holidays, ok bool) {
	name := fmt.Sprintf("catalogue/%s%d.yaml", holidayPrefix, year)
	data, err := catalogueFiles.ReadFile(name)
	if err != nil {
		return holidays{}, false
	}
	d := document{file: name, problems: &Problems{}}
	if h = d.readHolidays(d.parse(data)); len(*d.problems) > 0 {
		panic(fmt.Sprintf("BUG: an embedded file has mistakes:\n%v", *d.problems))
	}
	return h, true
}

// readHolidays reads a file of holidays; a nil body is none.
func (d *document) readHolidays(n ast.Node) holidays {
	h := holidays{days: map[string]string{}}
	if n == nil {
		return h
	}
	var where string
	var off, work ast.Node
	d.object(n, "the file of holidays",
		must("year", d.integer(&h.year, 2000, 2100, "year")),
		must("source", d.text(&h.source)),
		may("where", d.text(&where)),
		may("verified", d.boolean(&h.verified)),
		must("off", func(n ast.Node) { off = n }),
		may("work", func(n ast.Node) { work = n }),
	)
	for _, part := range []struct {
		what string
		node ast.Node
	}{{"off", off}, {"work", work}} {
		if part.node != nil && h.year != 0 { // of a file without a year no date can be judged
			d.list(part.what, func(n ast.Node) { d.readDays(n, part.what, &h) })(part.node)
		}
	}
	return h
}

// readDays reads one date, or first..last.
func (d *document) readDays(n ast.Node, what string, h *holidays) {
	s, ok := d.scalar(n, "a date is expected")
	if !ok {
		return
	}
	first, last, span := strings.Cut(s, "..")
	if !span {
		last = first
	}
	from, err1 := time.Parse(time.DateOnly, first)
	to, err2 := time.Parse(time.DateOnly, last)
	switch {
	case err1 != nil || err2 != nil:
		d.at(n, "%q: write a date such as 2026-10-01, or first and last as 2026-10-01..2026-10-07", s)
		return
	case to.Before(from):
		d.at(n, "%q ends before it begins", s)
		return
	case from.Year() != h.year || to.Year() != h.year:
		d.at(n, "%q is not in %d: each year has a file of its own", s, h.year)
		return
	}
	for day := from; !day.After(to); day = day.AddDate(0, 0, 1) {
		date := day.Format(time.DateOnly)
		if was := h.days[date]; was != "" {
			d.at(n, "%s is listed already, under %s", date, was)
			return
		}
		h.days[date] = what
	}
}
