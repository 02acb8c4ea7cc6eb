package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millgate/millgate/buffer"
	"github.com/millgate/millgate/collector/kpi"
	"github.com/millgate/millgate/configs"
	"github.com/millgate/millgate/drivers"
)

const kpiSite = `site: {id: hz-0001, name: 测试厂}
gateway: {id: gw-01, data_dir: DATA, timezone: Asia/Shanghai}
buffer: {commit_interval: 100ms}
calendar:
  day_start: "08:00"
  shifts:
  - {id: day, from: "08:00", to: "16:00"}
devices:
- id: meter-1
  modbus: {endpoint: "tcp://127.0.0.1:1", unit: 1}
  interval: 1s
  points:
  - {name: energy, label: 正向有功总电能, table: input_register, address: 0, type: float64, unit: kW.h, kind: counter}
  - {name: power, table: input_register, address: 4, type: float32, unit: kW}
equipment:
- id: press-7
  name: 七号冲床
  category: press
  commissioned: 2012-05-01
  signals: {energy: meter-1.energy, power: meter-1.power}
  state: {rules: [{if: "power > 1 kW", state: executing}, {if: "true", state: not_executing}]}
inputs:
- {id: scrap-7, subject: press-7, quantity: scrap, unit: "1", period: shift}
`

// writeKPISite writes a site with its data_dir beside it.
func writeKPISite(t *testing.T, file, text string) {
	t.Helper()
	text = strings.Replace(text, "DATA", filepath.Join(filepath.Dir(file), "data"), 1)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// kpiQueue is a site whose meter took 2 kW from before the day shift of two days ago until after it, with the KPIs that follow. It is the site
// file and when the shift began.
func kpiQueue(t *testing.T) (file string, begin time.Time) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "site.yaml")
	writeKPISite(t, file, kpiSite)
	y, m, d := time.Now().In(time.FixedZone("", 8*3600)).AddDate(0, 0, -2).Date()
	begin = time.Date(y, m, d, 8, 0, 0, 0, time.FixedZone("", 8*3600))
	feedKPIs(t, file, begin, -30*time.Minute, 9*time.Hour, true)
	return file, begin
}

// feedKPIs puts readings of a span of time since the begin of the shift into the queue of a site, a quarter of an hour to a block, and lets the
// KPIs follow, or not.
func feedKPIs(t *testing.T, file string, begin time.Time, from, to time.Duration, follow bool) {
	t.Helper()
	site, err := configs.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	tags, err := site.Catalogue.Tags()
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]*drivers.Tag{}
	for _, tag := range tags {
		named[tag.String()] = tag
	}
	queue, err := openQueue(site, newLog(os.Stderr, site.Location))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := newPlan(site.KPI)
	if err != nil {
		t.Fatal(err)
	}
	writing := start(queue.Run)
	for at := from; at < to; at += 15 * time.Minute {
		var readings []drivers.Reading
		for since := at; since < at+15*time.Minute; since += time.Minute {
			add := func(name string, v drivers.Value) {
				readings = append(readings, drivers.Reading{Tag: named["meter-1/"+name], Value: v, Quality: drivers.Good, Time: drivers.Millis(begin.Add(since))})
			}
			add("up", drivers.BoolValue(true))
			add("energy", drivers.Float64Value(1000+2*since.Hours()))
			add("power", drivers.Float32Value(2))
		}
		n := uint64(len(readings))
		pos, err := queue.Append(readings, nil, []drivers.Cycle{{Device: "meter-1", Due: n, Good: n}})
		if err != nil {
			t.Fatal(err)
		}
		if err := queue.Await(t.Context(), pos); err != nil {
			t.Fatal(err)
		}
	}
	if follow {
		follower := queue.Follower(plan, kpiFolder(site.DataDir))
		following := start(follower.Run)
		for end := time.Now().Add(10 * time.Second); follower.Snapshot().Position.Readings+1 < queue.Snapshot().Next[buffer.Readings] && time.Now().Before(end); {
			time.Sleep(10 * time.Millisecond)
		}
		if err := following.stop(); err != nil {
			t.Fatal(err)
		}
		if s := follower.Snapshot(); s.Error != "" || s.Window == nil {
			t.Fatalf("no KPIs: %+v", s)
		}
	}
	if err := errors.Join(writing.stop(), queue.Close()); err != nil {
		t.Fatal(err)
	}
}

// command runs one command line.
func command(args ...string) (code int, stdout, stderr string) {
	var out, problems strings.Builder
	code = execute(args, &out, &problems)
	return code, out.String(), problems.String()
}

func TestKPIExplain(t *testing.T) {
	file, begin := kpiQueue(t)
	shift := begin.Format("2006-01-02") + "/day"
	code, out, problems := command("kpi", "explain", file, "press-7", "energy", "--window", shift)
	if code != 0 {
		t.Fatalf("exit %d: %s", code, problems)
	}
	for _, want := range []string{ // 8 hours of 2 kW are 16 kWh
		"KPI        energy@1", "of         press-7  七号冲床", "window     " + shift + ", from ", "08:00 to ", "16:00 (Asia/Shanghai), 8:00:00\n",
		"meter-1/energy  energy  kWh   all    ", "正向有功总电能", "result     16 kWh", "quality    measured", "published  revision 0, the same", "mind       ",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("nothing like %q in\n%s", want, out)
		}
	}
	code, out, problems = command("kpi", "explain", file, "press-7", "apt", "--window", shift)
	if code != 0 || !strings.Contains(out, "28800000 ms (8:00:00)") {
		t.Errorf("exit %d: %s\n%s", code, problems, out)
	}
	code, out, _ = command("kpi", "explain", file, "press-7", "energy", "--window", shift, "--output", "json")
	if code != 0 || !strings.Contains(out, `"tag": "meter-1/energy"`) || !strings.Contains(out, `"verified": `) {
		t.Errorf("exit %d\n%s", code, out)
	}
	code, out, problems = command("kpi", "explain", file, "press-7", "energy", "--window", begin.Format("2006-01"))
	if code != 0 || !strings.Contains(out, "window     "+begin.Format("2006-01")+" so far, from ") || !strings.Contains(out, "published  not yet: ") {
		t.Errorf("exit %d: %s\n%s", code, problems, out)
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"press-8", "energy"}, `there is no equipment or account "press-8"; did you mean "press-7"?`},
		{[]string{"press-7", "enrgy"}, `there is no KPI "enrgy" of equipment press-7; did you mean "energy"?`},
		{[]string{"press-7", "energy", "--window", "2026/11"}, `--window "2026/11" is none of the last 400 days in which energy is published; the last one that has ended is `},
		{[]string{"press-7", "account_energy"}, "there is no KPI \"account_energy\" of equipment"},
		{[]string{"press-7", "operating_pump_efficiency", "--window", shift}, "is not computed in"},
	} {
		if code, _, problems := command(append([]string{"kpi", "explain", file}, tt.args...)...); code != 1 || !strings.Contains(problems, tt.want) {
			t.Errorf("%v: exit %d, %q; want %q", tt.args, code, problems, tt.want)
		}
	}
}

// TestKPIExplainTakesWhatCameLate: a meter swap that is told later is in what is computed anew, and it shows that something else was published.
func TestKPIExplainTakesWhatCameLate(t *testing.T) {
	file, begin := kpiQueue(t)
	shift := begin.Format("2006-01-02") + "/day"
	// At noon the meter showed 1008 kWh, and half a minute later the old one 1009, if one is to believe it: 1 kWh more.
	code, _, problems := command("input", file, "--swap", "meter-1.energy", "--at", begin.Add(4*time.Hour+30*time.Second).Format("2006-01-02T15:04:05"), "--final", "1009", "--initial", "1008", "--by", "王芳")
	if code != 0 {
		t.Fatal(problems)
	}
	feedKPIs(t, file, begin, 9*time.Hour, 10*time.Hour, false)
	code, out, problems := command("kpi", "explain", file, "press-7", "energy", "--window", shift)
	if code != 1 || !strings.Contains(out, "result     17 kWh") || !strings.Contains(out, "published  revision 0 says something else (") {
		t.Errorf("exit %d: %s\n%s", code, problems, out)
	}
	feedKPIs(t, file, begin, 10*time.Hour, 11*time.Hour, true)
	code, out, problems = command("kpi", "explain", file, "press-7", "energy", "--window", shift)
	if code != 0 || !strings.Contains(out, "result     17 kWh") || !strings.Contains(out, "published  revision 1, the same") {
		t.Errorf("exit %d: %s\n%s", code, problems, out)
	}
}

func TestKPIList(t *testing.T) {
	file, begin := kpiQueue(t)
	day := begin.AddDate(0, 0, -1).Format("2006-01-02") // which has ended
	code, out, problems := command("kpi", "list", file)
	if code != 0 {
		t.Fatalf("exit %d: %s", code, problems)
	}
	for _, want := range []string{"press-7  七号冲床\n", "\n  years_in_service ", day + " ", begin.Format("2006-01 so far"), "absent: missing_input", "site  测试厂"} {
		if !strings.Contains(out, want) {
			t.Errorf("nothing like %q in\n%s", want, out)
		}
	}
	if code, out, _ := command("kpi", "list", file, "site", "--output", "json"); code != 0 || strings.Contains(out, `"subject": "press-7"`) || !strings.Contains(out, `"kpi": "networking_rate"`) {
		t.Errorf("exit %d\n%s", code, out)
	}
	if code, _, problems := command("kpi", "list", file, "presss"); code != 1 || !strings.Contains(problems, "there is no equipment") {
		t.Errorf("exit %d: %s", code, problems)
	}
}

func TestKPIsNeedAQueue(t *testing.T) {
	file := filepath.Join(t.TempDir(), "site.yaml")
	writeKPISite(t, file, kpiSite)
	if code, _, problems := command("kpi", "list", file); code != 1 || !strings.Contains(problems, "there is no queue in ") {
		t.Errorf("exit %d: %s", code, problems)
	}
	without := kpiSite[:strings.Index(kpiSite, "calendar:")] + kpiSite[strings.Index(kpiSite, "devices:"):strings.Index(kpiSite, "equipment:")]
	writeKPISite(t, file, without)
	if code, _, problems := command("kpi", "list", file); code != 1 || !strings.Contains(problems, "names no equipment") {
		t.Errorf("exit %d: %s", code, problems)
	}
}

func TestInputPeriods(t *testing.T) {
	zone, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	site := &configs.Site{KPI: &kpi.Config{Calendar: &kpi.Calendar{Timezone: "Asia/Shanghai", DayStart: 8 * 60, Shifts: []kpi.Shift{
		{ID: "day", From: 8 * 60, To: 20 * 60, Days: []int{1, 2, 3, 4, 5, 6, 7}}, {ID: "night", From: 20 * 60, To: 8 * 60, Days: []int{1, 2, 3, 4, 5, 6, 7}}}}}}
	now := time.Date(2026, 11, 23, 7, 30, 0, 0, zone) // in the night shift of the 22nd
	tests := []struct{ period, label, want string }{
		{"shift", "", "2026-11-22/day 2026-11-22T08:00"},
		{"shift", "2026-11-22/night", "2026-11-22/night 2026-11-22T20:00"}, // it has not ended
		{"shift", "2026-11-23/day", "2026-11-23/day has not begun yet"},
		{"shift", "night", `--window "night" is no shift of the last 400 days`},
		{"day", "", "2026-11-21 2026-11-21T08:00"},
		{"day", "2026-11-01", "2026-11-01 2026-11-01T08:00"},
		{"month", "", "2026-10 2026-10-01T08:00"},
		{"month", "2026-11-01", "is no month of the last 400 days, of which x is; the last one that has ended is 2026-10"},
	}
	for _, tt := range tests {
		w, err := periodOf(site, &kpi.Input{ID: "x", Period: tt.period}, tt.label, now)
		got := w.Label + " " + time.UnixMilli(w.From).In(zone).Format("2006-01-02T15:04")
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, tt.want) {
			t.Errorf("%s %q: %s, want %s", tt.period, tt.label, got, tt.want)
		}
	}
}
