package kpi

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// operatingScene derives the channels from constant values of roles, that hold for so many hours each, one after the other.
func operatingScene(e Equipment, hours []float64, values ...map[string]float64) *Facts {
	chans := map[string]*energyChannel{}
	order := []string{}
	at := func(name, unit string) *energyChannel {
		if chans[name] == nil {
			chans[name] = &energyChannel{name: name, how: Integrated, unit: unit, unknown: 24}
			order = append(order, name)
		}
		return chans[name]
	}
	for i, h := range hours {
		for _, r := range roles {
			if v, ok := values[i][r.Name]; ok && r.How == Integrated {
				c := at(r.Name, r.Unit)
				c.sum, c.unknown = c.sum+v*h, c.unknown-h
			}
		}
		for _, d := range derivations {
			var x []float64
			for _, role := range d.inputs {
				if v, ok := values[i][role]; ok {
					x = append(x, v)
				}
			}
			if len(x) < len(d.inputs) {
				continue
			}
			c := at(d.name, d.unit)
			if v, ok := d.eval(x, &e.Nameplate); ok {
				c.sum, c.unknown = c.sum+v*h, c.unknown-h
			}
		}
	}
	all := make([]energyChannel, 0, len(order))
	for _, name := range order {
		all = append(all, *chans[name])
	}
	return energyScene(e, all)
}

func operatingPlate(figures map[string]float64) Equipment {
	return Equipment{Nameplate: Nameplate{Figures: figures}}
}

func TestOperatingGolden(t *testing.T) {
	type now = map[string]float64
	noGrade := map[string]string{"grade": "not_a_grade"}
	pump := now{"flow": 100, "differential_pressure": 360_000, "power": 20}
	trafo := operatingPlate(now{"rated_capacity": 1000, "no_load_loss": 0.83, "load_loss": 10.3})
	checkGolden(t, []energyGolden{
		// Two loads: ratios of integrals, not means of ratios.
		{name: "two loads", facts: operatingScene(operatingPlate(now{"rated_pressure": 800_000}), []float64{6, 18}, now{"power": 60, "volume_flow": 10, "pressure": 700_000}, now{"power": 20, "volume_flow": 2, "pressure": 750_000}), kpi: "operating_compressor_specific_power",
			by: "(60·6 + 20·18)/(10·6 + 2·18) = 720/96; pressure (700·60 + 750·36)/96 kPa", value: 7.5, num: 720, den: 96,
			basis: map[string]string{"grade": "not_a_grade", "outlet_pressure_pa": "718750", "rated_pressure_pa": "800000"}},
		{name: "flow known for a part", facts: operatingScene(Equipment{}, []float64{6, 18}, now{"power": 60, "volume_flow": 10}, now{"power": 20}), kpi: "operating_compressor_specific_power",
			by: "60·6/(10·6)", value: 6, num: 360, den: 60, cover: 0.25, basis: map[string]string{"outlet_pressure_pa": "unknown"}},
		{name: "no flow", facts: operatingScene(Equipment{}, []float64{24}, now{"power": 20, "volume_flow": 0}), kpi: "operating_compressor_specific_power", absent: ZeroDenominator},
		{name: "no flow meter", facts: operatingScene(Equipment{}, []float64{24}, now{"power": 20}), kpi: "operating_compressor_specific_power", absent: MissingInput, missing: "volume_flow"},

		{name: "pressure", facts: operatingScene(Equipment{}, []float64{24}, pump), kpi: "operating_pump_efficiency", by: "100 · 360000/3.6e6 / 20 = 10/20", value: 0.5, num: 240, den: 480, basis: noGrade},
		{name: "gauges 18 m apart", facts: operatingScene(operatingPlate(now{"static_head": 18}), []float64{24}, pump), kpi: "operating_pump_efficiency",
			by: "(10 + 100 · 1000 · 9.80665 · 18/3.6e6)/20 = (10 + 4.903325)/20", value: 0.74516625, basis: map[string]string{"static_head_m": "18", "density_kg_m3": "1000"}},
		{name: "another liquid", facts: operatingScene(operatingPlate(now{"static_head": 18, "density": 800}), []float64{24}, pump), kpi: "operating_pump_efficiency", by: "(10 + 4.903325 · 0.8)/20", value: 0.696133, basis: map[string]string{"density_kg_m3": "800"}},
		{name: "more out than in", facts: operatingScene(Equipment{}, []float64{24}, now{"flow": 100, "differential_pressure": 360_000, "power": 9}), kpi: "operating_pump_efficiency", absent: Contradiction},
		{name: "off", facts: operatingScene(Equipment{}, []float64{24}, now{"flow": 0, "differential_pressure": 0, "power": 0}), kpi: "operating_pump_efficiency", absent: ZeroDenominator},

		{name: "one load", facts: operatingScene(Equipment{}, []float64{12}, now{"flow": 36_000, "differential_pressure": 1200, "power": 16}), kpi: "operating_fan_efficiency", by: "36000 · 1200/3.6e6 / 16 = 12/16", value: 0.75, cover: 0.5, basis: noGrade},
		{name: "no pressure", facts: operatingScene(Equipment{}, []float64{12}, now{"flow": 36_000, "power": 16}), kpi: "operating_fan_efficiency", absent: MissingInput, missing: "differential_pressure"},

		{name: "rms", facts: operatingScene(trafo, []float64{12, 12}, now{"power_apparent": 800}, now{"power_apparent": 0}), kpi: "operating_transformer_load_factor", by: "√((0.64·12 + 0)/24)", value: math.Sqrt(0.32), basis: map[string]string{"load": "power_apparent", "grade": "not_a_grade"}},
		{name: "of P and Q", facts: operatingScene(trafo, []float64{24}, now{"power": 300, "power_reactive": 400}), kpi: "operating_transformer_load_factor", by: "√(300² + 400²)/1000", value: 0.5, basis: map[string]string{"load": "power_and_power_reactive"}},
		{name: "no rating", facts: operatingScene(Equipment{}, []float64{24}, now{"power_apparent": 800}), kpi: "operating_transformer_load_factor", absent: MissingInput, missing: "rated_capacity"},
		{name: "no load", facts: operatingScene(trafo, []float64{24}, now{"power": 300}), kpi: "operating_transformer_load_factor", absent: MissingInput, missing: "power_apparent|power_reactive"},

		// The square of the mean, 0.16, would give 59.472.
		{name: "mean of squares", facts: operatingScene(trafo, []float64{12, 12}, now{"power_apparent": 800}, now{"power_apparent": 0}), kpi: "operating_transformer_loss", by: "0.83·24 + 10.3·0.64·12 = 19.92 + 79.104", value: 99.024, basis: noGrade},
		{name: "covered time only", facts: operatingScene(trafo, []float64{12}, now{"power_apparent": 800}), kpi: "operating_transformer_loss", by: "0.83·12 + 10.3·0.64·12, and more", value: 89.064, cover: 0.5},
		{name: "losses not known", facts: operatingScene(operatingPlate(now{"rated_capacity": 1000, "load_loss": 10}), []float64{24}, now{"power_apparent": 800}), kpi: "operating_transformer_loss", absent: MissingInput, missing: "no_load_loss"},

		{name: "5 K", facts: operatingScene(Equipment{}, []float64{24}, now{"flow": 100, "return_temperature": 12, "supply_temperature": 7, "power": 120}), kpi: "operating_chiller_cop", by: "100 · 5 · 1000 · 4.186/3600 / 120 = 581.3889/120", value: 4.844907407407407, basis: noGrade},
		{name: "brine", facts: operatingScene(operatingPlate(now{"density": 1050}), []float64{24}, now{"flow": 100, "return_temperature": 12, "supply_temperature": 7, "power": 120}), kpi: "operating_chiller_cop", by: "581.3889 · 1.05/120", value: 5.087152777777777, basis: map[string]string{"density_kg_m3": "1050"}},
		{name: "sensors exchanged", facts: operatingScene(Equipment{}, []float64{24}, now{"flow": 100, "return_temperature": 7, "supply_temperature": 12, "power": 120}), kpi: "operating_chiller_cop", absent: Contradiction},

		{name: "of energies", facts: energyScene(Equipment{}, []energyChannel{{name: "energy", sum: 400, spread: 2}, {name: "energy_reactive", sum: 300, spread: 3}}), kpi: "operating_power_factor", by: "400/√(400² + 300²); 398/√(398²+303²), 402/√(402²+297²)", value: 0.8,
			bounds: [2]float64{398 / math.Hypot(398, 303), 402 / math.Hypot(402, 297)}, basis: map[string]string{"method": "counter"}},
		{name: "of powers", facts: operatingScene(Equipment{}, []float64{12, 12}, now{"power": 90, "power_apparent": 100}, now{"power": 30, "power_apparent": 60}), kpi: "operating_power_factor", by: "(90 + 30)/(100 + 60)", value: 0.75, basis: map[string]string{"method": "integrated_power"}},
		{name: "nothing used", facts: energyScene(Equipment{}, []energyChannel{{name: "energy"}, {name: "energy_reactive"}}), kpi: "operating_power_factor", absent: ZeroDenominator},
		{name: "more than all", facts: operatingScene(Equipment{}, []float64{24}, now{"power": 90, "power_apparent": 60}), kpi: "operating_power_factor", absent: Contradiction},
		{name: "active only", facts: energyScene(Equipment{}, []energyChannel{{name: "energy", sum: 400}}), kpi: "operating_power_factor", absent: MissingInput, missing: "energy_reactive|power_apparent"},

		{name: "while there is current", facts: operatingScene(Equipment{}, []float64{6, 2, 16}, now{"current_a": 10, "current_b": 10, "current_c": 13}, now{"current_a": 20, "current_b": 10, "current_c": 0}, now{"current_a": 0, "current_b": 0, "current_c": 0}), kpi: "operating_current_unbalance",
			by: "(2/11·6 + 10/10·2)/8", value: (2.0/11*6 + 2) / 8, basis: noGrade},
		{name: "no current", facts: operatingScene(Equipment{}, []float64{24}, now{"current_a": 0, "current_b": 0, "current_c": 0}), kpi: "operating_current_unbalance", absent: ZeroDenominator},
		{name: "two phases", facts: operatingScene(Equipment{}, []float64{24}, now{"current_a": 1, "current_b": 1}), kpi: "operating_current_unbalance", absent: MissingInput, missing: "current_c"},

		{name: "listed", facts: energyScene(Equipment{Label: &Label{2, "GB 19153-2019", "label-17.pdf"}}, nil), kpi: "energy_label_grade", class: "2", quality: Manual, basis: map[string]string{"standard": "GB 19153-2019", "evidence": "label-17.pdf"}},
		{name: "standard not verified", facts: energyScene(Equipment{Label: &Label{1, "GB 18613-2020", "x"}}, nil), kpi: "energy_label_grade", class: "1", quality: Manual, doubts: []string{"standard/GB 18613-2020"}},
		{name: "standard not known", facts: energyScene(Equipment{Label: &Label{1, "GB 1", "x"}}, nil), kpi: "energy_label_grade", class: "1", quality: Manual, doubts: []string{"standard/GB 1"}},
		{name: "no such grade", facts: energyScene(Equipment{Label: &Label{5, "GB 19153-2019", "x"}}, nil), kpi: "energy_label_grade", absent: Contradiction, missing: "label"},
		{name: "no label", facts: energyScene(Equipment{}, nil), kpi: "energy_label_grade", absent: MissingInput, missing: "label"},
	})
}

func TestBoilerGolden(t *testing.T) {
	steam, gas := energyChannel{name: "steam", unit: "t", sum: 100}, energyChannel{name: "fuel", sum: 8000}
	boiler := map[string]float64{"fuel_lhv": 35_000, "steam_enthalpy": 2763, "feed_water_temperature": 60}
	checkGolden(t, []energyGolden{
		{name: "nameplate", facts: energyScene(operatingPlate(boiler), []energyChannel{steam, gas}), kpi: "operating_boiler_efficiency",
			by: "100000 · (2763 - 4.186·60)/(8000 · 35000) = 251184000/280000000", value: 0.8970857142857143, num: 251_184_000, den: 280_000_000, basis: map[string]string{"grade": "not_a_grade", "steam_enthalpy": "nameplate", "feed_enthalpy": "nameplate", "fuel_lhv_kj": "35000"}},
		{name: "sensors", facts: energyScene(operatingPlate(boiler), []energyChannel{steam, gas, {name: "steam_enthalpy", how: Integrated, unit: "kJ/kg", sum: 2800 * 12, unknown: 12}, {name: "feed_water_temperature", how: Integrated, unit: "Cel", sum: 100 * 24}}), kpi: "operating_boiler_efficiency",
			by: "100000 · (2800 - 418.6)/280000000", value: 0.8505, cover: 0.5, basis: map[string]string{"steam_enthalpy": "time_mean", "feed_enthalpy": "time_mean"}},
		{name: "no fuel burnt", facts: energyScene(operatingPlate(boiler), []energyChannel{steam, {name: "fuel"}}), kpi: "operating_boiler_efficiency", absent: ZeroDenominator},
		{name: "no fuel meter", facts: energyScene(operatingPlate(boiler), []energyChannel{steam}), kpi: "operating_boiler_efficiency", absent: MissingInput, missing: "fuel"},
		{name: "heat not known", facts: energyScene(Equipment{}, []energyChannel{steam, gas}), kpi: "operating_boiler_efficiency", absent: MissingInput, missing: "fuel_lhv"},
		{name: "enthalpy not known", facts: energyScene(operatingPlate(map[string]float64{"fuel_lhv": 35_000}), []energyChannel{steam, gas}), kpi: "operating_boiler_efficiency", absent: MissingInput, missing: "steam_enthalpy"},
	})
}

// No operating figure has a grade, none is NaN, and each is absent without signals.
func TestOperatingHasNoGrade(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := operatingPlate(map[string]float64{"rated_capacity": 1000, "no_load_loss": 1, "load_loss": 10, "static_head": 3})
		draw := func() map[string]float64 {
			values := map[string]float64{}
			for _, r := range roles {
				if r.How == Integrated && rapid.IntRange(0, 4).Draw(t, "mapped "+r.Name) > 0 {
					values[r.Name] = rapid.OneOf(rapid.Just(0.0), rapid.Float64Range(-10, 1e5)).Draw(t, r.Name)
				}
			}
			return values
		}
		f := operatingScene(e, []float64{3, 20}, draw(), draw())
		for id, of := range operatingFormulas {
			r := of(f)
			switch {
			case r.Absent != "" && r.Value == nil:
			case r.Value == nil || *r.Value < 0 || r.Class != "" || r.Basis["grade"] != "not_a_grade":
				t.Fatalf("%s: %+v", id, r)
			case r.Bounds != nil && !(r.Bounds[0] <= *r.Value && *r.Value <= r.Bounds[1]):
				t.Fatalf("%s: %v in %v", id, *r.Value, *r.Bounds)
			}
		}
		for id, of := range operatingFormulas {
			if r := of(energyScene(Equipment{}, nil)); r.Absent != MissingInput || len(r.Missing) == 0 {
				t.Fatalf("%s without signals: %+v", id, r)
			}
		}
	})
}
