package kpi

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// threeShifts is a factory whose production day begins at 08:00, with a night shift over midnight, and 2026-10-10 worked in exchange.
func threeShifts() *Calendar {
	weekdays := []int{1, 2, 3, 4, 5}
	return &Calendar{
		Timezone: "Asia/Shanghai", DayStart: 480,
		Shifts: []Shift{
			{ID: "day", From: 480, To: 960, Days: []int{1, 2, 3, 4, 5, 6}, Breaks: [][2]int{{720, 750}}},
			{ID: "late", From: 960, To: 1410, Days: weekdays},
			{ID: "night", From: 1410, To: 450, Days: weekdays, Breaks: [][2]int{{1430, 10}, {180, 210}}},
		},
		Holidays: map[string]string{"2026-10-01": "off", "2026-10-02": "off", "2026-10-10": "work"},
		Downs: []Down{
			{From: localTime("2026-10-08 09:00"), To: localTime("2026-10-08 10:00"), Equipment: []string{"M-1"}},
			{From: localTime("2026-10-08 15:50"), To: localTime("2026-10-08 16:10")},
		},
	}
}

// localTime is a moment in China, in ms.
func localTime(text string) int64 {
	t, err := time.ParseInLocation("2006-01-02 15:04", text, time.FixedZone("", 8*3600))
	if err != nil {
		panic(err)
	}
	return t.UnixMilli()
}

func scheduleOf(t interface{ Fatal(...any) }, c *Calendar) *Schedule {
	s, err := NewSchedule(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestClass(t *testing.T) {
	s := scheduleOf(t, threeShifts())
	for _, c := range []struct {
		at     string
		on     string
		shifts []string
		want   Class
		until  string
		why    string
	}{
		{"2026-10-07 08:00", "M-1", nil, Planned, "2026-10-07 12:00", "Wednesday, first moment of the day shift"},
		{"2026-10-07 12:00", "M-1", nil, PlannedStop, "2026-10-07 12:30", "break"},
		{"2026-10-07 12:30", "M-1", nil, Planned, "2026-10-07 16:00", "after the break"},
		{"2026-10-07 23:30", "M-1", nil, Planned, "2026-10-07 23:50", "night shift"},
		{"2026-10-08 00:05", "M-1", nil, PlannedStop, "2026-10-08 00:10", "break over midnight"},
		{"2026-10-08 07:30", "M-1", nil, Unscheduled, "2026-10-08 08:00", "after the night shift"},
		{"2026-10-08 08:30", "M-1", nil, Planned, "2026-10-08 09:00", "until a planned down"},
		{"2026-10-08 09:30", "M-1", nil, PlannedStop, "2026-10-08 10:00", "planned down"},
		{"2026-10-08 09:30", "M-2", nil, Planned, "2026-10-08 12:00", "of another machine"},
		{"2026-10-08 15:55", "M-2", nil, PlannedStop, "2026-10-08 16:00", "planned down of all"},
		{"2026-10-08 16:05", "M-2", nil, PlannedStop, "2026-10-08 16:10", "goes on in the next shift"},
		{"2026-10-08 16:05", "M-2", []string{"day"}, Unscheduled, "2026-10-08 23:30", "not in this machine's shift"},
		{"2026-10-08 10:05", "M-2", []string{"late", "day"}, Planned, "2026-10-08 12:00", "in one of its shifts"},
		{"2026-10-01 10:00", "M-1", nil, Unscheduled, "2026-10-02 08:00", "holiday, a Thursday"},
		{"2026-10-01 05:00", "M-1", nil, Planned, "2026-10-01 07:30", "the night shift of the day before the holiday"},
		{"2026-10-03 05:00", "M-1", nil, Unscheduled, "2026-10-03 08:00", "still the holiday"},
		{"2026-10-10 17:00", "M-1", nil, Planned, "2026-10-10 23:30", "a Saturday worked as a Friday has the late shift"},
		{"2026-10-17 17:00", "M-1", nil, Unscheduled, "2026-10-18 08:00", "another Saturday has not"},
	} {
		got, until := s.Class(c.on, c.shifts, localTime(c.at))
		if got != c.want || until != localTime(c.until) {
			t.Errorf("%s (%s): class %d until %s, want %d until %s", c.at, c.why, got, s.local(until), c.want, c.until)
		}
	}
}

func TestWindow(t *testing.T) {
	s := scheduleOf(t, threeShifts())
	for _, c := range []struct {
		kind      WindowKind
		at, label string
		from, to  string
	}{
		{Quarter, "2026-10-07 08:29", "2026-10-07T08:15+08:00", "2026-10-07 08:15", "2026-10-07 08:30"},
		{InShift, "2026-10-08 07:29", "2026-10-07/night", "2026-10-07 23:30", "2026-10-08 07:30"},
		{InShift, "2026-10-08 07:30", "", "", ""},
		{Day, "2026-10-08 07:30", "2026-10-07", "2026-10-07 08:00", "2026-10-08 08:00"},
		{Month, "2026-11-01 07:59", "2026-10", "2026-10-01 08:00", "2026-11-01 08:00"},
		{Month, "2026-12-31 08:00", "2026-12", "2026-12-01 08:00", "2027-01-01 08:00"},
	} {
		w, ok := s.Window(c.kind, localTime(c.at))
		if !ok {
			if c.label != "" {
				t.Errorf("%s: no %s", c.at, c.kind)
			}
			continue
		}
		want := Window{c.kind, c.label, localTime(c.from), localTime(c.to), "Asia/Shanghai"}
		if w != want {
			t.Errorf("%s: %+v, want %+v", c.at, w, want)
		}
	}
	day, _ := s.Window(Day, localTime("2026-10-07 12:00"))
	var labels []string
	for _, w := range s.Windows(InShift, day) {
		labels = append(labels, w.Label)
	}
	if got := strings.Join(labels, " "); got != "2026-10-07/day 2026-10-07/late 2026-10-07/night" {
		t.Errorf("shifts of the day: %s", got)
	}
	month, _ := s.Window(Month, localTime("2026-10-07 12:00"))
	if n := len(s.Windows(Day, month)); n != 31 {
		t.Errorf("October has %d days", n)
	}
	if n := len(s.Windows(Quarter, day)); n != 96 {
		t.Errorf("the day has %d quarters", n)
	}
	if got := s.Basis(); got != "shifts" {
		t.Errorf("basis %q", got)
	}
}

func TestNoCalendar(t *testing.T) {
	s := scheduleOf(t, nil)
	c, until := s.Class("M-1", nil, localTime("2026-10-07 12:00"))
	if c != Planned || until != localTime("2026-10-08 00:00") || s.Basis() != "calendar" {
		t.Errorf("class %d until %s, basis %s", c, s.local(until), s.Basis())
	}
	if _, ok := s.Window(InShift, 0); ok {
		t.Error("a shift without shifts")
	}
	if w, _ := s.Window(Day, localTime("2026-10-07 00:00")); w.Label != "2026-10-07" || w.TZ != "Asia/Shanghai" {
		t.Errorf("day %+v", w)
	}
}

// TestDaylightSaving has days of 23 and 25 hours, and a shift from one clock to the other. No quarter is lost or has another's label.
func TestDaylightSaving(t *testing.T) {
	s := scheduleOf(t, &Calendar{Timezone: "Europe/Berlin", Shifts: []Shift{{ID: "night", From: 0, To: 150}, {ID: "morning", From: 150, To: 600}}})
	for date, want := range map[string]struct{ hours, night, morning int64 }{
		"2026-03-28": {24, 150, 450}, "2026-03-29": {23, 120, 420}, // 02:30 does not exist: night ends and morning begins at 03:00
		"2026-10-25": {25, 150, 510}, // 02:30 comes twice: the first ends the night
	} {
		noon, _ := time.Parse(time.DateOnly, date)
		w, _ := s.Window(Day, noon.Add(12*time.Hour).UnixMilli())
		shifts := s.Windows(InShift, w)
		if got := (w.To - w.From) / 3600_000; got != want.hours || len(shifts) != 2 {
			t.Fatalf("%s: %d h and %d shifts", date, got, len(shifts))
		}
		night, morning := (shifts[0].To-shifts[0].From)/60_000, (shifts[1].To-shifts[1].From)/60_000
		if night != want.night || morning != want.morning {
			t.Errorf("%s: night %d min, morning %d min, want %d and %d", date, night, morning, want.night, want.morning)
		}
		labels := map[string]bool{}
		for _, q := range s.Windows(Quarter, w) {
			labels[q.Label] = true
		}
		if len(labels) != int(want.hours*4) {
			t.Errorf("%s: %d labels of quarters in %d h", date, len(labels), want.hours)
		}
	}
}

func TestScheduleErrors(t *testing.T) {
	shift := func(id string, from, to int, days ...int) Shift { return Shift{ID: id, From: from, To: to, Days: days} }
	for want, c := range map[string]Calendar{
		`shifts "a" and "b" overlap from 15:00 on (Tuesday)`:                                    {Shifts: []Shift{shift("b", 900, 1000, 2, 3), shift("a", 480, 960, 1, 2)}},
		`there are two shifts "a"`:                                                              {Shifts: []Shift{shift("a", 0, 60), shift("a", 60, 120)}},
		`shift "n" runs until 09:00, past the end of its production day at 08:00: end it there`: {DayStart: 480, Shifts: []Shift{shift("n", 1320, 540)}},
		`shift "" needs an id`:                                                                  {Shifts: []Shift{shift("", 0, 60)}},
		`shift "a" has day 8; days are 1 (Monday) to 7 (Sunday)`:                                {Shifts: []Shift{shift("a", 0, 60, 8)}},
		`shift "a" begins and ends at minutes of a day`:                                         {Shifts: []Shift{shift("a", 0, 2000)}},
		`shift "a" has a break from 09:00 to 11:00, which does not`:                             {Shifts: []Shift{{ID: "a", From: 480, To: 600, Breaks: [][2]int{{540, 660}}}}},
		`shift "a" has two breaks at 08:30`:                                                     {Shifts: []Shift{{ID: "a", From: 480, To: 600, Breaks: [][2]int{{500, 520}, {510, 530}}}}},
		`time zone "Asia/Hangzhou" is not known`:                                                {Timezone: "Asia/Hangzhou"},
		`time zone Local is another one on each machine`:                                        {Timezone: "Local"},
		`holiday "1.10." is not a date such as 2026-10-01`:                                      {Holidays: map[string]string{"1.10.": "off"}},
		`holiday 2026-10-01 is "free"; it can be "off" or "work"`:                               {Holidays: map[string]string{"2026-10-01": "free"}},
		`the planned down from 1970-01-01T08:00:00+08:00 ends at`:                               {Downs: []Down{{}}},
		`the production day begins at minute 1440; give one from 0 (`:                           {DayStart: 1440},
	} {
		if _, err := NewSchedule(&c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// TestScheduleTiles checks for any calendar, zone and moment: windows of a kind follow each other without a hole, Boundary is the least of
// their ends, shifts lie in their day, and Class changes only where it said.
func TestScheduleTiles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCalendar(t)
		s := scheduleOf(t, c)
		at := rapid.Int64Range(1_700_000_000_000, 1_900_000_000_000).Draw(t, "t")
		boundary := int64(1<<63 - 1)
		for _, kind := range WindowKinds {
			w, ok := s.Window(kind, at)
			if !ok {
				continue
			}
			if w.From > at || w.To <= at {
				t.Fatalf("%+v does not contain %d", w, at)
			}
			boundary = min(boundary, w.To)
			if first, _ := s.Window(kind, w.From); first != w {
				t.Fatalf("%+v at its begin is %+v", w, first)
			}
			if kind == InShift {
				if day, _ := s.Window(Day, at); w.From < day.From || w.To > day.To || !strings.HasPrefix(w.Label, day.Label+"/") {
					t.Fatalf("shift %+v is not within %+v", w, day)
				}
			} else if next, ok := s.Window(kind, w.To); !ok || next.From != w.To {
				t.Fatalf("after %+v comes %+v", w, next)
			}
		}
		day, _ := s.Window(Day, at)
		for _, w := range s.Windows(InShift, day) {
			if w.From > at {
				boundary = min(boundary, w.From)
			}
		}
		if got := s.Boundary(at); got != boundary {
			t.Fatalf("boundary %d, want %d", got, boundary)
		}
		var shifts []string
		if rapid.Bool().Draw(t, "some shifts") {
			shifts = []string{"s0"}
		}
		class, until := s.Class("M-1", shifts, at)
		if until <= at {
			t.Fatalf("class until %d at %d", until, at)
		}
		between := rapid.Int64Range(at, until-1).Draw(t, "between")
		if again, _ := s.Class("M-1", shifts, between); again != class {
			t.Fatalf("class %d until %d, but %d at %d", class, until, again, between)
		}
	})
}

func drawCalendar(t *rapid.T) *Calendar {
	c := &Calendar{
		Timezone: rapid.SampledFrom([]string{"", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu", "America/New_York"}).Draw(t, "zone"),
		DayStart: rapid.IntRange(0, minutesADay-1).Draw(t, "day start"),
		Holidays: map[string]string{"2026-05-01": "off", "2026-05-09": "work"},
		Downs:    []Down{{From: 1_770_000_000_000, To: 1_780_000_000_000, Equipment: []string{"M-1"}}},
	}
	at := c.DayStart
	for i := range rapid.IntRange(0, 4).Draw(t, "shifts") {
		from := at + rapid.IntRange(0, 200).Draw(t, "pause")
		to := from + rapid.IntRange(2, 400).Draw(t, "length")
		if to > c.DayStart+minutesADay {
			break
		}
		s := Shift{ID: "s" + string(rune('0'+i)), From: from % minutesADay, To: to % minutesADay, Breaks: [][2]int{{from % minutesADay, (from + 1) % minutesADay}}}
		for d := 1; d <= 7; d++ {
			if rapid.Bool().Draw(t, "works") {
				s.Days = append(s.Days, d)
			}
		}
		c.Shifts = append(c.Shifts, s)
		at = to
	}
	return c
}

// TestWindowPartsSum: a month is its days, and a day its quarters where it begins with one.
func TestWindowPartsSum(t *testing.T) {
	s := scheduleOf(t, threeShifts())
	month, _ := s.Window(Month, localTime("2026-10-07 12:00"))
	for _, kind := range []WindowKind{Quarter, Day} {
		var sum int64
		for _, w := range s.Windows(kind, month) {
			sum += w.To - w.From
		}
		if sum != month.To-month.From {
			t.Errorf("%s: %d ms of %d", kind, sum, month.To-month.From)
		}
	}
}

func BenchmarkClass(b *testing.B) {
	s := scheduleOf(b, threeShifts())
	at := localTime("2026-10-07 03:00")
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s.Class("M-1", nil, at+int64(i%1_000_000))
	}
}

func BenchmarkBoundary(b *testing.B) {
	s := scheduleOf(b, threeShifts())
	at := localTime("2026-10-07 03:00")
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s.Boundary(at + int64(i%1_000_000))
	}
}
