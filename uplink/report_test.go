package uplink

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/millgate/millgate/buffer"
	"github.com/millgate/millgate/collector/kpi"
)

// drawReport is any block of KPIs that the queue could hand out.
func drawReport(t *rapid.T) *buffer.Block {
	from := rapid.Int64Range(0, 1<<42).Draw(t, "from")
	r := &kpi.Report{
		Window: kpi.Window{Kind: rapid.SampledFrom(kpi.WindowKinds).Draw(t, "kind"), Label: rapid.StringN(1, 40, -1).Draw(t, "label"),
			From: from, To: from + rapid.Int64Range(1, 1<<32).Draw(t, "length"), TZ: "Asia/Shanghai"},
		Rev: rapid.IntRange(0, 5).Draw(t, "rev"), Reason: rapid.SampledFrom([]string{"", "late_data", "meter_swap", "manual_input"}).Draw(t, "reason"),
		Through: kpi.Position{Epoch: testEpoch, Readings: rapid.Uint64Min(1).Draw(t, "through")}, Part: rapid.IntRange(0, 3).Draw(t, "part"), Results: []kpi.Result{},
	}
	for range rapid.IntRange(0, 6).Draw(t, "results") {
		r.Results = append(r.Results, drawResult(t))
	}
	return &buffer.Block{Epoch: testEpoch, Stream: buffer.KPIs, Seq: rapid.Uint64Min(1).Draw(t, "seq"), Catalogue: testCatalogue().Hash(), Report: r}
}

func drawResult(t *rapid.T) kpi.Result {
	r := kpi.Result{Subject: rapid.StringMatching(`M-[0-9]{4}`).Draw(t, "subject"), KPI: "oee", Formula: "oee@1"}
	switch rapid.IntRange(0, 2).Draw(t, "outcome") {
	case 0:
		number := func(name string) *float64 { return kpi.Number(rapid.Float64().Draw(t, name)) }
		r.Value, r.Unit, r.Num, r.Den = kpi.Number(rapid.Float64Range(-1e9, 1e300).Draw(t, "value")), "1", number("num"), number("den")
		r.Bounds, r.Coverage = &[2]float64{0.25, 0.5}, kpi.Number(rapid.Float64Range(0, 1).Draw(t, "coverage"))
		r.Quality = rapid.SampledFrom([]kpi.Grade{kpi.Measured, kpi.Manual, kpi.Allocated, kpi.Assumed, kpi.Indicative}).Draw(t, "quality")
		r.Inputs, r.Mapping = []string{"cnc-1/state"}, "opc40501-C.2.3@1"
	case 1:
		r.Class, r.Basis = "between", map[string]string{"table": rapid.String().Draw(t, "basis"), "year": "2023"}
		r.Doubts = []string{"planning_life"}
	default:
		r.Absent = rapid.SampledFrom([]kpi.Absence{kpi.MissingInput, kpi.LowCoverage, kpi.Contradiction}).Draw(t, "absent")
		r.Missing = []string{"good_parts"}
	}
	return r
}

func TestReportMessage(t *testing.T) {
	b := &buffer.Block{Epoch: "01J8", Stream: buffer.KPIs, Seq: 412, Catalogue: "9f2c", Report: &kpi.Report{
		Window: kpi.Window{Kind: kpi.InShift, Label: "2026-11-22/night", From: 1795348800000, To: 1795392000000, TZ: "Asia/Shanghai"},
		Rev:    1, Reason: "late_data", Through: kpi.Position{Epoch: "01J8", Readings: 18231}, Part: 2,
		Results: []kpi.Result{
			{Subject: "M-0101", KPI: "utilisation_of_planned", Formula: "utilisation.planned@1", Mapping: "opc40501-C.2.3@1", Value: kpi.Number(0.71), Unit: "1",
				Num: kpi.Number(29820000), Den: kpi.Number(42000000), Bounds: &[2]float64{0.69, 0.72}, Coverage: kpi.Number(0.97), Quality: kpi.Measured, Inputs: []string{"cnc-1/state"}},
			{Subject: "M-0101", KPI: "oee", Formula: "oee@1", Absent: kpi.MissingInput, Missing: []string{"good_parts"}},
		},
	}}
	want := `{"v":1,"stream":"kpis","site":"hz-yuhang-0042","gateway":"gw-01","epoch":"01J8","seq":412,"catalogue":"9f2c",` +
		`"window":{"kind":"shift","label":"2026-11-22/night","from":1795348800000,"to":1795392000000,"tz":"Asia/Shanghai"},` +
		`"rev":1,"reason":"late_data","through":{"epoch":"01J8","readings":18231},"part":2,` +
		`"results":[{"subject":"M-0101","kpi":"utilisation_of_planned","formula":"utilisation.planned@1","mapping":"opc40501-C.2.3@1","value":0.71,"unit":"1",` +
		`"num":29820000,"den":42000000,"bounds":[0.69,0.72],"coverage":0.97,"quality":"measured","inputs":["cnc-1/state"]},` +
		`{"subject":"M-0101","kpi":"oee","formula":"oee@1","absent":"missing_input","missing":["good_parts"]}]}`
	if got := string(AppendBlock(nil, testSelf, b)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestReportRoundTrip reads messages of KPIs back, checks them against their schema, and finds the block in them.
func TestReportRoundTrip(t *testing.T) {
	schema := schemaOf(t, "kpis")
	rapid.Check(t, func(t *rapid.T) {
		b := drawReport(t)
		payload := AppendBlock([]byte("before"), testSelf, b)[len("before"):]
		if err := validate(schema, payload); err != nil {
			t.Fatalf("%s\n%v", payload, err)
		}
		if again := AppendBlock(nil, testSelf, b); string(again) != string(payload) {
			t.Fatalf("first  %s\nsecond %s", payload, again)
		}
		m, err := ParseMessage(payload)
		if err != nil {
			t.Fatal(err)
		}
		if m.Stream != b.Stream || m.Epoch != b.Epoch || m.Seq != b.Seq || m.Catalogue != b.Catalogue || !reflect.DeepEqual(m.Report, b.Report) {
			t.Fatalf("got %+v\nof  %+v", m, b.Report)
		}
	})
}

func TestStartedIsInTheFirstMessageOfARun(t *testing.T) {
	b := &buffer.Block{Epoch: testEpoch, Stream: buffer.Readings, Seq: 1, Catalogue: testCatalogue().Hash(), Started: 1795406400000}
	payload := AppendBlock(nil, testSelf, b)
	if err := validate(schemaOf(t, "readings"), payload); err != nil {
		t.Error(err)
	}
	if m, err := ParseMessage(payload); err != nil || m.Started != b.Started {
		t.Errorf("%s parsed as %+v, %v", payload, m, err)
	}
	b.Started = 0
	if payload = AppendBlock(nil, testSelf, b); strings.Contains(string(payload), "started") {
		t.Errorf("no run begins with %s", payload)
	}
}

// TestReportsHaveATopicForEachKindOfWindow, and their catalogue arrives before them.
func TestReportsHaveATopicForEachKindOfWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFakeQueue(0)
		want := []string{"status", theCatalogue}
		for i, kind := range kpi.WindowKinds {
			q.blocks = append(q.blocks, &buffer.Block{Epoch: testEpoch, Stream: buffer.KPIs, Seq: uint64(i + 1), Catalogue: q.snap.Catalogue,
				Report: &kpi.Report{Window: kpi.Window{Kind: kind, To: 1}}})
			want = append(want, "kpis/"+string(kind))
		}
		q.blocks = append(q.blocks, &buffer.Block{Epoch: testEpoch, Stream: buffer.KPIs, Seq: 5, Catalogue: "other", Report: &kpi.Report{Window: kpi.Window{Kind: kpi.Day, To: 1}}})
		p := startPlay(q, true, nil)
		p.expect(t, append(want, "catalogue/other", "kpis/day")...)
		p.cancel()
		p.ended(t, nil)
	})
}

func TestKPISchemaRejects(t *testing.T) {
	const ulid, hash = "01J8XGJ6M7B3N2K5Q4R9T0V1W8", "9f2c00112233445566778899aabbccdd"
	const right = `{"v":1,"stream":"kpis","site":"s-1","gateway":"gw-01","epoch":"` + ulid + `","seq":7,"catalogue":"` + hash + `",` +
		`"window":{"kind":"day","label":"2026-11-22","from":1,"to":2,"tz":"UTC"},"rev":1,"reason":"late_data","through":{"epoch":"` + ulid + `","readings":9},"part":1,` +
		`"results":[{"subject":"m","kpi":"oee","formula":"oee@1","value":0.5,"bounds":[0,1],"coverage":0.9,"quality":"measured","inputs":["d/t"],"basis":{"a":"b"},"unverified":["x"]},` +
		`{"subject":"m","kpi":"past_design_life","formula":"f@1","class":"yes"},{"subject":"m","kpi":"nee","formula":"f@1","absent":"no_data","missing":["z"]}]}`
	s := schemaOf(t, "kpis")
	if err := validate(s, []byte(right)); err != nil {
		t.Fatal(err)
	}
	for _, b := range [][2]string{ // what to replace → by what
		{`"v":1`, `"v":2`}, {`"stream":"kpis"`, `"stream":"readings"`}, {`"catalogue":"` + hash + `",`, ``}, {`"kind":"day"`, `"kind":"week"`}, {`"label":"2026-11-22",`, ``},
		{`"from":1,`, ``}, {`"to":2`, `"to":2.5`}, {`"tz":"UTC"`, `"tz":""`}, {`"rev":1,`, ``}, {`"rev":1`, `"rev":-1`}, {`"late_data"`, `"Late data"`},
		{`"through":{"epoch":"` + ulid + `","readings":9},`, ``}, {`"readings":9`, `"readings":0`}, {`"part":1`, `"part":0`}, {`"subject":"m","kpi":"oee"`, `"kpi":"oee"`},
		{`"kpi":"oee",`, ``}, {`"value":0.5`, `"value":null`}, {`"value":0.5,"bounds":[0,1],`, ``}, {`"bounds":[0,1]`, `"bounds":[0]`}, {`"coverage":0.9`, `"coverage":1.1`},
		{`"value":0.5,`, `"value":0.5,"absent":"no_data",`}, {`"class":"yes"`, `"class":"yes","absent":"no_data"`}, {`"absent":"no_data",`, ``}, {`"absent":"no_data"`, `"absent":null`},
		{`["d/t"]`, `[]`}, {`{"a":"b"}`, `{"a":1}`}, {`"class":"yes"`, `"class":7`}, {`"results":[`, `"results":[null,`},
	} {
		broken := strings.Replace(right, b[0], b[1], 1)
		if broken == right {
			t.Fatalf("%q is not in the right message", b[0])
		}
		if !json.Valid([]byte(broken)) || validate(s, []byte(broken)) == nil {
			t.Errorf("accepts %q in place of %q, or it is no JSON", b[1], b[0])
		}
	}
}

func TestParseReportWithoutWindow(t *testing.T) {
	const head = `{"v":1,"stream":"kpis","epoch":"e","seq":1`
	for _, payload := range []string{head + `}`, head + `,"window":{"from":5,"to":5}}`, head + `,"window":{"from":1,"to":2},"results":[{"value":"x"}]}`} {
		if m, err := ParseMessage([]byte(payload)); err == nil {
			t.Errorf("%s is read as %+v", payload, m.Report)
		}
	}
}
