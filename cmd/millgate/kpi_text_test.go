package main

import (
	"testing"

	"github.com/millgate/millgate/collector/kpi"
)

func TestReportText(t *testing.T) {
	number := kpi.Number
	w := kpi.Window{Kind: kpi.InShift, Label: "2026-11-22/night"}
	tests := []struct {
		name   string
		report kpi.Report
		want   string
	}{
		{"a ratio with bounds and coverage", kpi.Report{Window: w, Results: []kpi.Result{{Subject: "M-1", KPI: "utilisation_of_planned", Value: number(0.71), Unit: "1",
			Num: number(29820000), Den: number(42000000), Bounds: &[2]float64{0.69, 0.72}, Coverage: number(0.97), Quality: kpi.Measured}}},
			"2026-11-22/night  M-1  utilisation_of_planned  0.71  [0.69, 0.72]  = 29820000 / 42000000  coverage 97.0 %\n"},
		{"a time", kpi.Report{Window: w, Results: []kpi.Result{{Subject: "M-1", KPI: "apt", Value: number(29820000), Unit: "ms", Bounds: &[2]float64{29820000, 29820000}, Coverage: number(1)}}},
			"2026-11-22/night  M-1  apt  29820000 ms (8:17:00)\n"},
		{"energy, a revision", kpi.Report{Window: w, Rev: 2, Reason: "meter_swap", Results: []kpi.Result{{Subject: "M-1", KPI: "energy", Value: number(12.3456789012), Unit: "kW.h", Quality: kpi.Allocated}}},
			"2026-11-22/night  M-1  energy  12.3456789 kWh  allocated  (revision 2: meter_swap)\n"},
		{"a class with doubts", kpi.Report{Window: w, Results: []kpi.Result{{Subject: "site", KPI: "benchmark_class", Class: "between", Quality: kpi.Indicative, Doubts: []string{"steel-bf@2023"}}}},
			"2026-11-22/night  site  benchmark_class  between  indicative  unverified: steel-bf@2023\n"},
		{"absent", kpi.Report{Window: w, Results: []kpi.Result{{Subject: "M-1", KPI: "oee", Absent: kpi.MissingInput, Missing: []string{"good_parts", "scrap"}}}},
			"2026-11-22/night  M-1  oee  absent: missing_input (good_parts, scrap)\n"},
		{"what would move the cursor", kpi.Report{Window: w, Results: []kpi.Result{{Subject: "M\x1b[2J", KPI: "oee", Absent: "\x07"}}},
			"2026-11-22/night  M·[2J  oee  absent: ·\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := reportText(&tt.report); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}
