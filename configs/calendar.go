package configs

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/millgate/millgate/collector/kpi"
)

// calendarSpec is a calendar on its way.
type calendarSpec struct {
	*site
	at  nodes
	out kpi.Calendar
}

// readCalendar reads when the site means to work.
func (s *site) readCalendar(n ast.Node) {
	c := &calendarSpec{site: s, at: nodes{"": n}, out: kpi.Calendar{Holidays: map[string]string{}, Sources: map[string]string{}}}
	s.object(n, "calendar", c.at.keeping(
		may("day_start", s.clock(&c.out.DayStart, 24*60-1)),
		may("shifts", s.list("shifts", c.readShift)),
		may("holidays", func(n ast.Node) {
			if list, ok := n.(*ast.SequenceNode); ok {
				for _, n := range list.Values {
					c.readHolidayFile(n)
				}
				return
			}
			c.readHolidayFile(n)
		}),
		may("planned_downs", s.list("planned_downs", c.readDown)))...)
	if isMapping(n) {
		s.kpis.out.Calendar = &c.out
		s.afterwards(c.check)
	}
}

// check lets the schedule itself say what can not be, each mistake where its part stands.
func (c *calendarSpec) check() {
	c.out.Timezone = c.timezone
	if len(*c.problems) > 0 {
		return
	}
	alone := kpi.Calendar{Timezone: c.timezone, DayStart: c.out.DayStart}
	list, _ := c.at["shifts"].(*ast.SequenceNode)
	good := true
	for i, shift := range c.out.Shifts {
		alone.Shifts = []kpi.Shift{shift}
		if _, err := kpi.NewSchedule(&alone); err != nil {
			c.document.at(list.Values[i], "%v", err)
			good = false
		}
	}
	if !good {
		return
	}
	if _, err := kpi.NewSchedule(&c.out); err != nil {
		c.document.at(c.at.of("shifts"), "%v", err)
	}
	year := strconv.Itoa(time.Now().Year())
	if _, ok := c.out.Sources[year]; !ok && len(c.out.Shifts) > 0 {
		c.warn(&c.document, c.at.of("holidays"), fmt.Sprintf("the holidays of %s are not given, so its weekdays count as usual: add cn-%s, or a file", year, year))
	}
}

// clockForm is a time of day.
var clockForm = regexp.MustCompile(`^([0-9]{1,2})[:：]([0-9]{2})$`)

// parseClock is a time of day in minutes from midnight; 24:00 is the end of the day.
func parseClock(text string) (minutes int, ok bool) {
	parts := clockForm.FindStringSubmatch(strings.TrimSpace(foldWidth(text)))
	if parts == nil {
		return 0, false
	}
	h, _ := strconv.Atoi(parts[1])
	m, _ := strconv.Atoi(parts[2])
	return 60*h + m, m < 60 && 60*h+m <= 24*60
}

// clock reads a time of day in minutes from midnight, up to a latest.
func (d *document) clock(into *int, latest int) func(ast.Node) {
	return func(n ast.Node) {
		text, ok := d.scalar(n, "a time of day is expected")
		if !ok {
			return
		}
		minutes, ok := parseClock(text)
		if !ok || minutes > latest {
			d.at(n, "%q: write a time of day as \"08:00\", in quotes", text)
			return
		}
		*into = minutes
	}
}

func (c *calendarSpec) readShift(n ast.Node) {
	shift := kpi.Shift{Days: []int{1, 2, 3, 4, 5, 6, 7}}
	c.object(n, "shift",
		must("id", c.id(&shift.ID)),
		may("name", c.text(&shift.Name)),
		must("from", c.clock(&shift.From, 24*60-1)),
		must("to", c.clock(&shift.To, 24*60)),
		may("days", func(n ast.Node) { shift.Days = c.weekdays(n) }),
		may("breaks", c.list("breaks", func(n ast.Node) {
			text, ok := c.scalar(n, "a span of time is expected")
			if !ok {
				return
			}
			from, to, _ := strings.Cut(text, "-")
			a, okA := parseClock(from)
			b, okB := parseClock(to)
			if !okA || !okB {
				c.document.at(n, "%q: write a break as \"12:00-12:30\"", text)
				return
			}
			shift.Breaks = append(shift.Breaks, [2]int{a, b})
		})))
	c.out.Shifts = append(c.out.Shifts, shift)
}

var weekdayNames = []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}

// weekdays reads mon-fri, or a list of such and of single days.
func (c *calendarSpec) weekdays(n ast.Node) (days []int) {
	var words []string
	before := len(*c.problems)
	if c.texts(&words, "days")(n); len(*c.problems) > before {
		return nil
	}
	for _, word := range words {
		first, last, span := strings.Cut(strings.ToLower(word), "-")
		if !span {
			last = first
		}
		from, to := slices.Index(weekdayNames, first), slices.Index(weekdayNames, last)
		if from < 0 || to < 0 {
			c.document.at(n, "%q: days are %s, or a span such as mon-fri", word, strings.Join(weekdayNames, ", "))
			return nil
		}
		for day := from; ; day = (day + 1) % 7 {
			if !slices.Contains(days, day+1) {
				days = append(days, day+1)
			}
			if day == to {
				break
			}
		}
	}
	slices.Sort(days)
	return days
}

// holidayForm is the name of an embedded file of holidays.
var holidayForm = regexp.MustCompile(`^cn-([0-9]{4})$`)

// readHolidayFile takes the holidays of one year, from the library or from a file beside the site.
func (c *calendarSpec) readHolidayFile(n ast.Node) {
	name, ok := c.scalar(n, "cn-2026 is expected, or the name of a file")
	if !ok {
		return
	}
	var h holidays
	if parts := holidayForm.FindStringSubmatch(name); parts != nil {
		year, _ := strconv.Atoi(parts[1])
		if h, ok = embeddedHolidays(year); !ok {
			c.document.at(n, "holidays: this millgate does not know those of %d; write them into a file of the site's own, ./holidays-%d.yaml", year, year)
			return
		}
	} else {
		if !strings.HasPrefix(name, "./") && !strings.HasPrefix(name, "../") && !strings.HasPrefix(name, "/") {
			c.document.at(n, "holidays %q: write cn-2026 for those that come with millgate, or a file as ./holidays.yaml", name)
			return
		}
		d := document{file: c.beside(name), problems: c.problems}
		if _, err := os.Stat(d.file); err != nil {
			c.document.at(n, "holidays %s can not be read: no such file", name)
			return
		}
		h = d.readHolidays(d.load())
	}
	year := strconv.Itoa(h.year)
	if _, twice := c.out.Sources[year]; twice {
		c.document.at(n, "holidays of %s stand here a second time", year)
		return
	}
	c.out.Sources[year] = h.source
	for date, what := range h.days {
		c.out.Holidays[date] = what
	}
}

func (c *calendarSpec) readDown(n ast.Node) {
	down, at := kpi.Down{}, nodes{"": n}
	var from, to, reason string
	c.object(n, "planned down", at.keeping(
		must("from", c.text(&from)),
		must("to", c.text(&to)),
		may("equipment", c.texts(&down.Equipment, "equipment")),
		may("reason", c.text(&reason)))...)
	down.Reason = reason
	i := len(c.out.Downs)
	c.out.Downs = append(c.out.Downs, down)
	c.afterwards(func() { // the time zone is known only now
		d := &c.out.Downs[i]
		d.From, d.To = c.moment(at["from"], from), c.moment(at["to"], to)
		if d.From != 0 && d.To != 0 && d.To <= d.From {
			c.document.at(at["to"], "the planned down ends at or before its begin")
		}
		c.knownEquipment(&c.document, at["equipment"], d.Equipment)
	})
}

// moment is a local time, such as 2026-11-25T08:00, in ms; 0 if it is none, which is noted.
func (s *site) moment(n ast.Node, text string) int64 {
	if text == "" || s.out.Location == nil { // noted
		return 0
	}
	text = strings.Replace(text, " ", "T", 1)
	for _, form := range []string{"2006-01-02T15:04", "2006-01-02T15:04:05", time.RFC3339} {
		if t, err := time.ParseInLocation(form, text, s.out.Location); err == nil {
			return t.UnixMilli()
		}
	}
	s.at(n, "%q: write a moment in local time as 2026-11-25T08:00", text)
	return 0
}

// knownEquipment says which ids are not of equipment.
func (s *site) knownEquipment(d *document, n ast.Node, ids []string) {
	var known []string
	for _, e := range s.kpis.equipment {
		known = append(known, e.out.ID)
	}
	for _, id := range ids {
		if len(known) == 0 {
			d.at(n, "there is no equipment %q: the site has none", id)
			continue
		}
		d.oneOf(n, "equipment", id, known)
	}
}
