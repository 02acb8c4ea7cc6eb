package configs

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// ledgerDate is a date as ledgers write it: 2012, 2012-05, 2012-05-01, 2012/5/1, 2012年5月1日, 2012年5月.
var ledgerDate = regexp.MustCompile(`^([0-9]{4})(?:年|(?:[-/年]([0-9]{1,2})(?:月|[-/月]([0-9]{1,2})日?)?))?$`)

const ledgerDateRule = "write a date as 2012, 2012-05 or 2012-05-01; 2012/5/1 and 2012年5月1日 are understood, too"

// midnight is what spreadsheets put behind a date.
var midnight = regexp.MustCompile(`\s+0?0:00(:00)?$`)

// parseDate is the date as 2012, 2012-05 or 2012-05-01.
func parseDate(text string) (string, error) {
	plain := midnight.ReplaceAllString(strings.TrimSpace(foldWidth(text)), "")
	parts := ledgerDate.FindStringSubmatch(strings.ReplaceAll(plain, " ", ""))
	if parts == nil {
		return "", fmt.Errorf("%q: %s", text, ledgerDateRule)
	}
	year, month, day := parts[1], parts[2], parts[3]
	if y, _ := strconv.Atoi(year); y < 1900 || y > 2200 {
		return "", fmt.Errorf("%q: the year is not of an age with machines", text)
	}
	date := year
	for _, part := range []string{month, day} {
		if part != "" {
			number, _ := strconv.Atoi(part)
			date += fmt.Sprintf("-%02d", number)
		}
	}
	if _, err := time.Parse("2006-01-02"[:len(date)], date); err != nil {
		return "", fmt.Errorf("%q: there is no such day", text)
	}
	return date, nil
}

// date reads a date that may leave out the day, or day and month.
func (d *document) date(into *string) func(ast.Node) {
	return func(n ast.Node) {
		text, ok := d.scalar(n, "a date is expected")
		if !ok {
			return
		}
		date, err := parseDate(text)
		if err != nil {
			d.at(n, "%v", err)
			return
		}
		*into = date
	}
}

// day reads a date with its day.
func (d *document) day(into *string) func(ast.Node) {
	return func(n ast.Node) {
		before := len(*d.problems)
		if d.date(into)(n); len(*into) != len("2006-01-02") && len(*d.problems) == before {
			d.at(n, "%q: the day is missing; write a date as 2026-06-01", *into)
		}
	}
}

// before says that the date a is surely before the date b, as far as both are known.
func before(a, b string) bool {
	if a == "" || b == "" {
		return false
	}
	n := min(len(a), len(b))
	return a[:n] < b[:n]
}
