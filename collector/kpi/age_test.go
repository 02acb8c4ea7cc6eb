package kpi

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// ageFacts are of a lathe at the end of a production day that ends at 08:00 on the given date in Hangzhou: that date is the last local day.
func ageFacts(date string, life Life) *Facts {
	f := utilFacts(utilTimes{Planned: {APT: 1440}})
	end, err := time.ParseInLocation("2006-01-02 15:04", date+" 08:00", time.FixedZone("CST", 8*3600))
	if err != nil {
		panic(err)
	}
	f.Window.To = end.UnixMilli()
	f.Window.From = f.Window.To - 24*msPerHour
	f.Category = &Category{ID: "machine-tool", Groups: []string{"age"}, FocusYears: 10, LifeYears: 12, LifeHours: 60000}
	f.Equipment.Life = life
	return f
}

func TestYearsInService(t *testing.T) {
	for _, c := range []struct {
		name, date, from, now string
		years                 float64
	}{
		{"the day itself", "2012-05-01", "", "2012-05-01", 0},
		{"the 10th anniversary", "2012-05-01", "", "2022-05-01", 10},
		{"a day before it", "2012-05-01", "", "2022-04-30", 9 + 364.0/365},
		{"a day after it", "2012-05-01", "", "2022-05-02", 10 + 1.0/365},
		{"of a leap year", "2012-05-01", "", "2023-06-01", 11 + 31.0/366},          // to 2024-05-01 it is 366 days
		{"leap day, year without one", "2012-02-29", "", "2013-02-28", 1},          // 民法典 §202: the last day of the month
		{"leap day, year with one", "2012-02-29", "", "2016-02-28", 3 + 365.0/366}, // from 2015-02-28 to 2016-02-29
		{"known to the month", "2012-05", "", "2022-05-31", 10},
		{"known to the year", "2012", "", "2022-12-31", 10},
		{"known to the year, before its end", "2022", "", "2022-11-22", 0},
		{"manufacture only", "", "2012-05-01", "2022-05-01", 10},
		{"commissioning goes first", "2012-05-01", "2010", "2022-05-01", 10},
	} {
		f := ageFacts(c.now, Life{Commissioned: c.date, Manufactured: c.from, Retrofitted: "2021"})
		r := yearsInService(f)
		utilWant(t, c.name, r, c.years)
		want := "commissioned"
		if c.date == "" {
			want = "manufactured"
		}
		if r.Basis[basisAgeFrom] != want || r.Basis[basisRetrofitted] != "2021" || r.Quality != Manual {
			t.Errorf("%s: %+v", c.name, r)
		}
	}
	// To the month: at the earliest the 1st, at the latest the 31st.
	utilWantBounds(t, "2012-05", yearsInService(ageFacts("2022-05-31", Life{Commissioned: "2012-05"})), 10, 10+30.0/365)
	for name, c := range map[string]struct {
		life    Life
		why     Absence
		missing []string
	}{
		"no date":                         {Life{}, MissingInput, []string{"commissioned|manufactured"}},
		"no date at all":                  {Life{Commissioned: "Mai 2012"}, MissingInput, []string{"commissioned"}},
		"after the window":                {Life{Commissioned: "2022-05-02"}, Contradiction, nil},
		"commissioned before it was made": {Life{Commissioned: "2012-05", Manufactured: "2012-06"}, Contradiction, nil},
	} {
		utilWantAbsent(t, name, yearsInService(ageFacts("2022-05-01", c.life)), c.why, c.missing...)
	}
}

func TestAgeNeverGoesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		day := time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, rapid.IntRange(0, 14000).Draw(t, "day"))
		now := day.AddDate(0, 0, rapid.IntRange(0, 14000).Draw(t, "days"))
		today, tomorrow := yearsBetween(day, now), yearsBetween(day, now.AddDate(0, 0, 1))
		if !(today >= 0 && today < tomorrow && tomorrow-today < 1.01/365) {
			t.Fatalf("%v years on %v, %v the next day", today, now, tomorrow)
		}
	})
}

func TestPolicyFocus(t *testing.T) {
	for _, c := range []struct {
		life  Life
		now   string
		class string
	}{
		{Life{Commissioned: "2012-05-01"}, "2022-04-30", "no"},
		{Life{Commissioned: "2012-05-01"}, "2022-05-01", "no"}, // ten years are not over ten years
		{Life{Commissioned: "2012-05-01"}, "2022-05-02", "yes"},
		{Life{Commissioned: "2012-05-01", Retrofitted: "2020-01-01"}, "2022-05-02", "yes"},
		{Life{Commissioned: "2012"}, "2022-12-31", "no"},
		{Life{Commissioned: "2012"}, "2023-01-01", "yes"},
	} {
		r := policyFocus(ageFacts(c.now, c.life))
		if r.Class != c.class || r.Absent != "" || !slices.Equal(r.Doubts, []string{"focus_years"}) {
			t.Errorf("%+v on %s: %+v", c.life, c.now, r)
		}
	}
	proven := ageFacts("2022-05-02", Life{Commissioned: "2012"})
	proven.Category.FocusSource.Verified = true
	if r := policyFocus(proven); r.Doubts != nil {
		t.Errorf("the focus is verified: %v", r.Doubts)
	}
	pump := ageFacts("2022-05-02", Life{Commissioned: "2000"})
	pump.Category.FocusYears = 0
	utilWantAbsent(t, "no such rule for pumps", policyFocus(pump), MissingInput, "focus_years")
	utilWantAbsent(t, "no date", policyFocus(ageFacts("2022-05-02", Life{})), MissingInput, "commissioned|manufactured")
}

// ageHours gives the machine 1000 h at a date and lets the gateway see it run from then on.
func ageHours(f *Facts, executed, unknown float64) *Facts {
	f.Equipment.Life.HoursBefore, f.Equipment.Life.HoursAt = 1000, "2022-01-01"
	f.Life = Lived{
		Executed: int64(executed * msPerHour), Unknown: int64(unknown * msPerHour),
		Since: time.Date(2021, 12, 31, 16, 0, 0, 0, time.UTC).UnixMilli(), // midnight in Hangzhou
	}
	return f
}

func TestRunningHours(t *testing.T) {
	f := ageHours(ageFacts("2022-01-11", Life{}), 100, 24) // 10 days and 8 h: 248 h
	r := runningHours(f)
	utilWant(t, "1000 h and 100 h since", r, 1100)
	utilWantBounds(t, "24 h are unknown", r, 1100, 1124)
	if !utilNear(*r.Coverage, (248.0-24)/248) || r.Quality != Manual || r.Basis[basisHours] != "integrated" {
		t.Errorf("%+v", r)
	}
	f.Life.Since += 48 * msPerHour // the gateway came two days later
	utilWantBounds(t, "and 48 h before the gateway came", runningHours(f), 1100, 1172)
	f.Life.Since -= 72 * msPerHour // the gateway was there a day before the hours were read: that day may be counted twice
	r = runningHours(f)
	utilWant(t, "a day may be counted twice", r, 1000+100-24)
	utilWantBounds(t, "a day may be counted twice", r, 1076, 1124)
	f.Life = Lived{}
	utilWantBounds(t, "never seen", runningHours(f), 1000, 1248)

	f = ageFacts("2022-01-11", Life{HoursTrusted: true, HoursBefore: 7, HoursAt: "2022"})
	f.Equipment.Signals = map[string]Signal{"run_hours": {Tag: "m1/hours"}}
	utilWantAbsent(t, "counter not read yet", runningHours(f), NoData)
	f.Life.Counter, f.Life.Counted = 45000, true
	if r := runningHours(f); *r.Value != 45000 || r.Quality != Measured || !slices.Equal(r.Inputs, []string{"m1/hours"}) {
		t.Errorf("%+v", r)
	}
	utilWantAbsent(t, "neither", runningHours(ageFacts("2022-01-11", Life{})), MissingInput, "run_hours|hours")
	utilWantAbsent(t, "hours of a day to come", runningHours(ageFacts("2022-01-11", Life{HoursAt: "2022-02"})), Contradiction)
	f = ageFacts("2022-01-11", Life{HoursAt: "2022-01-01"})
	f.Shape.Mapping = ""
	utilWantAbsent(t, "no state", runningHours(f), MissingInput, "state")
}

func TestPastDesignLife(t *testing.T) {
	byCounter := func(hours float64, life Life) *Facts {
		life.HoursTrusted = true
		f := ageFacts("2022-05-01", life)
		f.Life.Counter, f.Life.Counted = hours, true
		return f
	}
	straddles := ageHours(ageFacts("2022-01-11", Life{Commissioned: "2020-01-01", DesignHours: 1110}), 100, 24)
	lifeless := ageFacts("2022-05-01", Life{Commissioned: "2000"})
	lifeless.Category.LifeYears, lifeless.Category.LifeHours = 0, 0
	for name, c := range map[string]struct {
		f       *Facts
		class   string
		life    string
		judged  string
		why     Absence
		missing []string
	}{
		"12 planned years to the day":     {f: ageFacts("2024-05-01", Life{Commissioned: "2012-05-01"}), class: "no", life: "planning_life", judged: "years"},
		"a day more":                      {f: ageFacts("2024-05-02", Life{Commissioned: "2012-05-01"}), class: "yes", life: "planning_life", judged: "years"},
		"made for 20 years":               {f: ageFacts("2024-05-02", Life{Commissioned: "2012-05-01", DesignYears: 20}), class: "no", life: "nameplate", judged: "years"},
		"young, but 60,001 planned hours": {f: byCounter(60001, Life{Commissioned: "2020"}), class: "yes", life: "planning_life", judged: "years,hours"},
		"60,000 h to the hour":            {f: byCounter(60000, Life{Commissioned: "2020"}), class: "no", life: "planning_life", judged: "years,hours"},
		"hours alone":                     {f: byCounter(5001, Life{DesignHours: 5000}), class: "yes", life: "nameplate", judged: "hours"},
		"1100 to 1124 h of 1110":          {f: straddles, why: LowCoverage},
		"no date":                         {f: ageFacts("2022-05-01", Life{}), why: MissingInput, missing: []string{"commissioned|manufactured"}},
		"no hours":                        {f: ageFacts("2022-05-01", Life{DesignHours: 5000, Commissioned: "2000"}), why: MissingInput, missing: []string{"run_hours|hours"}},
		"no life":                         {f: lifeless, why: MissingInput, missing: []string{"design_life"}},
	} {
		r := pastDesignLife(c.f)
		if c.why != "" {
			utilWantAbsent(t, name, r, c.why, c.missing...)
			continue
		}
		doubts := c.life == "planning_life"
		if r.Class != c.class || r.Absent != "" || r.Basis[basisLife] != c.life || r.Basis[basisJudged] != c.judged || doubts != slices.Equal(r.Doubts, []string{"planning_life"}) {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestAgeing(t *testing.T) {
	// 6 years old on the day, 45,000 h by the counter: 7500 h a year.
	f := ageFacts("2022-05-01", Life{Commissioned: "2016-05-01", HoursTrusted: true})
	f.Life.Counter, f.Life.Counted = 45000, true
	utilWant(t, "calendar_ageing", calendarAgeing(f), 6.0/12)
	utilWant(t, "hour_ageing", hourAgeing(f), 45000.0/60000)
	utilWant(t, "newness_life_method", newness(f), 1-6.0/12)
	r := remainingLife(f)
	utilWant(t, "remaining_life: 12 - 6 years, but 15,000 h at 7500 h a year", r, 2)
	if r.Basis[basisLimited] != "hours" || !slices.Equal(r.Doubts, []string{"planning_life"}) {
		t.Errorf("%+v", r)
	}
	if r := newness(f); !slices.Equal(r.Doubts, []string{"planning_life", "formula"}) {
		t.Errorf("doubts %v", r.Doubts)
	}
	f.Category.Source.Verified = true
	if r := newness(f); !slices.Equal(r.Doubts, []string{"formula"}) {
		t.Errorf("doubts %v", r.Doubts)
	}
	f.Life.Counter = 15000
	r = remainingLife(f)
	utilWant(t, "remaining_life: 45,000 h at 2500 h a year, but 6 years", r, 6)
	if r.Basis[basisLimited] != "years" {
		t.Errorf("basis %v", r.Basis)
	}
	old := ageFacts("2022-05-01", Life{Commissioned: "2000-05-01"})
	utilWant(t, "22 of 12 years", calendarAgeing(old), 22.0/12)
	for name, r := range map[string]Result{"newness_life_method": newness(old), "remaining_life": remainingLife(old)} {
		utilWant(t, name, r, 0)
		if r.Basis[basisFloored] != "true" {
			t.Errorf("%s: it is not said that it would be negative: %v", name, r.Basis)
		}
	}
	inexact := ageFacts("2022-12-31", Life{Commissioned: "2016", DesignYears: 10})
	utilWantBounds(t, "2016: 6 years, or a year less a day (leap: 2016-01-01 to 2022-12-31) more", remainingLife(inexact), 10-(6+364.0/365), 4)
}

func TestNoAgeing(t *testing.T) {
	bare := ageFacts("2022-05-01", Life{})
	bare.Category.LifeYears, bare.Category.LifeHours = 0, 0
	undated := ageFacts("2022-05-01", Life{})
	for name, c := range map[string]struct {
		r       Result
		missing []string
	}{
		"calendar, neither":  {calendarAgeing(bare), []string{"commissioned|manufactured", "design_life"}},
		"calendar, no date":  {calendarAgeing(undated), []string{"commissioned|manufactured"}},
		"newness, no date":   {newness(undated), []string{"commissioned|manufactured"}},
		"remaining, neither": {remainingLife(bare), []string{"commissioned|manufactured", "design_life"}},
		"remaining, no date": {remainingLife(undated), []string{"commissioned|manufactured"}},
		"hours, neither":     {hourAgeing(bare), []string{"run_hours|hours", "design_hours"}},
		"hours, no hours":    {hourAgeing(undated), []string{"run_hours|hours"}},
	} {
		utilWantAbsent(t, name, c.r, MissingInput, c.missing...)
	}
}

// ageSite is a site of machines commissioned on these dates; worth and kW of each.
func ageSite(machines ...Equipment) *Facts {
	site := ageFacts("2022-05-02", Life{})
	site.Equipment, site.Category, site.Tally = nil, nil, nil
	for i := range machines {
		f := ageFacts("2022-05-02", Life{})
		f.Equipment = &machines[i]
		site.Site = append(site.Site, f)
	}
	return site
}

func TestSiteShares(t *testing.T) {
	machine := func(date string, cny, kw float64) Equipment {
		return Equipment{Life: Life{Commissioned: date}, Nameplate: Nameplate{OriginalValue: cny, RatedPower: kw}}
	}
	site := ageSite(machine("2005", 200_000, 30), machine("2011", 100_000, 20), machine("2020", 700_000, 0), machine("", 500_000, 50))
	site.Site = append(site.Site, &Facts{Account: &Account{ID: "all"}})
	for _, c := range []struct {
		id       string
		num, den float64
		coverage float64
	}{
		{"share_over_10y_by_count", 2, 3, 3.0 / 4},
		{"share_over_10y_by_value", 200_000 + 100_000, 1_000_000, 3.0 / 4},
		{"share_over_10y_by_power", 30 + 20, 50, 2.0 / 4}, // one has no date, one no power
		{"share_past_design_life_by_count", 1, 3, 3.0 / 4},
		{"share_past_design_life_by_value", 200_000, 1_000_000, 3.0 / 4},
		{"share_past_design_life_by_power", 30, 50, 2.0 / 4},
	} {
		r := ageFormulas[c.id](site)
		utilWant(t, c.id, r, c.num/c.den)
		if r.Num == nil || *r.Num != c.num || *r.Den != c.den || *r.Coverage != c.coverage || r.Basis[basisConcerned] != "4" {
			t.Errorf("%s: %+v", c.id, r)
		}
	}
	utilWantBounds(t, "one of four may be old or not", ageFormulas["share_over_10y_by_count"](site), 2.0/4, 3.0/4)
	utilWantBounds(t, "500,000 of 1,500,000 may be old or not", ageFormulas["share_over_10y_by_value"](site), 300.0/1500, 800.0/1500)
	if r := ageFormulas["share_over_10y_by_power"](site); r.Bounds != nil || r.Basis[basisWithout] != "2" {
		t.Errorf("what has an unknown power may have any: %+v", r)
	}
	if r := ageFormulas["share_past_design_life_by_count"](site); !slices.Equal(r.Doubts, []string{"planning_life"}) {
		t.Errorf("doubts %v", r.Doubts)
	}
	undated := ageSite(machine("", 1, 1))
	utilWantAbsent(t, "no dates", ageFormulas["share_over_10y_by_count"](undated), MissingInput, "commissioned|manufactured")
	unpriced := ageSite(machine("2005", 0, 1))
	utilWantAbsent(t, "no values", ageFormulas["share_over_10y_by_value"](unpriced), MissingInput, "original_value")
	utilWantAbsent(t, "no equipment", ageFormulas["share_over_10y_by_count"](ageSite()), ZeroDenominator)
}
