package kpi

import "testing"

// accountScene is an account and its day: one channel for each term, in their order.
func accountScene(a Account, terms []energyChannel, inputs ...energyInput) *Facts {
	for i := range terms {
		if terms[i].name != "output" {
			terms[i].name = "term/" + string(rune('0'+i))
		}
	}
	f := energyScene(Equipment{}, terms, inputs...)
	f.Equipment, f.Account = nil, &a
	return f
}

func accountTerm(medium string, sign int) Term {
	return Term{Signal: Signal{Tag: "d/" + medium, Factor: 1}, Medium: medium, Sign: sign}
}

func TestAccountGolden(t *testing.T) {
	gate := energyChannel{unit: "kW.h", sum: 1000, spread: 2}
	own := energyChannel{unit: "kW.h", sum: 300, spread: 1}
	export := energyChannel{unit: "kW.h", sum: 120, spread: 1}
	tenant := energyChannel{unit: "kW.h", sum: 80, share: 0.4, basis: "floor area"}
	four := []Term{accountTerm("electricity", 1), accountTerm("electricity", 1), accountTerm("electricity", -1), accountTerm("electricity", -1)}
	gasBill := energyInput{"gas", "natural_gas", "m3", 1, []float64{100}}
	air := []Term{accountTerm("electricity", 1), accountTerm("compressed_air", 1)}
	plain := energyChannel{unit: "kW.h", sum: 1000}
	m3 := energyChannel{unit: "m3", sum: 500}
	measured := func(f *Facts) { f.Config.Factors.Media = []Fuel{{"natural_gas", "m3", 1.2143, "laboratory"}} }
	checkGolden(t, []energyGolden{
		{name: "signed terms", facts: accountScene(Account{Kind: "site", Terms: four}, []energyChannel{gate, own, export, tenant}), kpi: "account_electricity",
			by: "1000 + 300 - 120 - 80 = 1100, ± (2 + 1 + 1)", value: 1100, bounds: [2]float64{1096, 1104}, quality: Allocated, basis: map[string]string{"share": "floor area"}},
		{name: "weakest coverage", facts: accountScene(Account{Kind: "site", Terms: four[:2]}, []energyChannel{gate, {unit: "kW.h", sum: 300, unknown: 12}}), kpi: "account_electricity",
			by: "1000 + 300, ± 2", value: 1300, bounds: [2]float64{1298, 1302}, cover: 0.5},
		{name: "resets and changes add up", facts: accountScene(Account{Kind: "site", Terms: four[:2]}, []energyChannel{{unit: "kW.h", sum: 10, doubts: 2, swaps: 1}, {unit: "kW.h", sum: 20, doubts: 1, swaps: 1}}), kpi: "account_electricity",
			by: "10 + 20", value: 30, basis: map[string]string{"counter_doubts": "3", "meter_swaps": "2"}},
		{name: "one meter silent", facts: accountScene(Account{Kind: "site", Terms: four[:2]}, []energyChannel{gate, {unit: "kW.h", unknown: 24}}), kpi: "account_electricity", absent: NoData, missing: "d/term/1"},
		{name: "no electricity", facts: accountScene(Account{Kind: "site", Terms: []Term{accountTerm("coal", 1)}}, []energyChannel{{unit: "kg", sum: 1}}), kpi: "account_electricity", absent: MissingInput, missing: "electricity"},
		{name: "more out than in", facts: accountScene(Account{Kind: "site", Terms: []Term{four[0], four[2]}}, []energyChannel{{unit: "kW.h", sum: 10}, {unit: "kW.h", sum: 50}}), kpi: "account_electricity", absent: Contradiction},
		{name: "a little more out than in", facts: accountScene(Account{Kind: "site", Terms: []Term{four[0], four[2]}}, []energyChannel{{unit: "kW.h", sum: 10, spread: 1}, {unit: "kW.h", sum: 11, spread: 1}}), kpi: "account_electricity",
			by: "10 - 11 ± 2 is 0, up to 1", value: 0, bounds: [2]float64{0, 1}},

		{name: "electricity and a bill", facts: accountScene(Account{Kind: "site", Terms: four[:1]}, []energyChannel{plain}, gasBill), kpi: "account_energy",
			by: "1000 · 0.1229 + 100 · 1.33 = 122.9 + 133", value: 255.9, quality: Manual, basis: map[string]string{"coal_set": "set-a", "electricity_basis": "equivalent"}, doubts: []string{"coal_set/set-a/natural_gas"}},
		{name: "measured heat", facts: accountScene(Account{Kind: "site", Terms: four[:1]}, []energyChannel{plain}, gasBill).with(measured), kpi: "account_energy",
			by: "122.9 + 100 · 1.2143", value: 244.33, quality: Manual, basis: map[string]string{"measured_coefficients": "natural_gas: laboratory"}},
		{name: "secondary media of a site", facts: accountScene(Account{Kind: "site", Terms: air}, []energyChannel{plain, m3}), kpi: "account_energy",
			by: "1000 · 0.1229; the air was made of it", value: 122.9, basis: map[string]string{"left_out": "compressed_air"}},
		{name: "secondary media of a workshop", facts: accountScene(Account{Kind: "workshop", Terms: air}, []energyChannel{plain, m3}), kpi: "account_energy", by: "122.9 + 500 · 0.04", value: 142.9, basis: map[string]string{"left_out": ""}},
		{name: "unknown medium", facts: accountScene(Account{Kind: "site", Terms: []Term{accountTerm("peat", 1)}}, []energyChannel{{unit: "kg", sum: 1}}), kpi: "account_energy", absent: MissingInput, missing: "coal_set/set-a/peat"},
		{name: "another unit", facts: accountScene(Account{Kind: "site", Terms: []Term{accountTerm("coal", 1)}}, []energyChannel{{unit: "t", sum: 1}}), kpi: "account_energy", absent: MissingInput, missing: "d/coal"},
		{name: "bill missing", facts: accountScene(Account{Kind: "site", Terms: four[:1]}, []energyChannel{plain}, energyInput{"gas", "natural_gas", "m3", 1, nil}), kpi: "account_energy", absent: Incomplete, missing: "manual/gas"},
		{name: "bill of a month", facts: accountScene(Account{Kind: "site", Terms: four[:1]}, []energyChannel{plain}, energyInput{"gas", "natural_gas", "m3", 0, nil}), kpi: "account_energy", absent: MissingInput, missing: "manual/gas"},

		{name: "electricity only", facts: accountScene(Account{Kind: "site", Terms: four[:1]}, []energyChannel{plain}, gasBill).with(func(f *Facts) { f.Config.Factors.GridArea = "zhejiang" }), kpi: "account_co2",
			by: "1000 · 0.5153; the gas is not in it", value: 515.3, basis: map[string]string{"co2_scope": "electricity_location_based"}, doubts: []string{"grid/zhejiang/2022"}},
		{name: "no area", facts: accountScene(Account{Kind: "site", Terms: four[:1]}, []energyChannel{plain}), kpi: "account_co2", absent: MissingInput, missing: "factors.grid_area"},
	})
}

func TestUnitEnergyGolden(t *testing.T) {
	plant := func(kgce float64, a Account, inputs ...energyInput) *Facts {
		a.Kind, a.Terms = "installation", []Term{accountTerm("coal", 1)}
		inputs = append(inputs, energyInput{"w", "output_t", "t", 1, []float64{10}})
		return accountScene(a, []energyChannel{{unit: "kg", sum: kgce / 0.7143}}, inputs...)
	}
	out := Account{Output: "w"}
	with := func(id string, factor float64) Account { return Account{Output: "w", Benchmark: id, Factor: factor} }
	electric := func(kWh, spread float64) *Facts {
		return accountScene(Account{Kind: "installation", Output: "w", Benchmark: "aluminium", Terms: []Term{accountTerm("electricity", 1)}},
			[]energyChannel{{unit: "kW.h", sum: kWh, spread: spread}}, energyInput{"w", "output_t", "t", 1, []float64{10}})
	}
	converter := func(gas float64) *Facts { // recovers more than it takes
		return accountScene(Account{Kind: "installation", Output: "w", Benchmark: "converter", Terms: []Term{accountTerm("electricity", 1), accountTerm("coal", -1)}},
			[]energyChannel{{unit: "kW.h", sum: 1000}, {unit: "kg", sum: gas}}, energyInput{"w", "output_t", "t", 1, []float64{10}})
	}
	value := energyInput{"v", "output_value_cny", "CNY", 1, []float64{250_000}}
	checkGolden(t, []energyGolden{
		{name: "entered output", facts: plant(3000, out), kpi: "unit_energy", by: "3000 / 10", value: 300, num: 3000, den: 10, quality: Manual},
		{name: "metered output", facts: accountScene(Account{Kind: "workshop", Output: "scale/t", Terms: []Term{accountTerm("electricity", 1)}}, []energyChannel{{unit: "kW.h", sum: 1000}, {name: "output", unit: "t", sum: 4, spread: 1}}), kpi: "unit_energy",
			by: "122.9 / 4 = 30.725; 122.9/5, 122.9/3", value: 30.725, bounds: [2]float64{24.58, 122.9 / 3}},
		{name: "pieces are no tonnes", facts: accountScene(Account{Kind: "workshop", Output: "scale/n", Terms: []Term{accountTerm("electricity", 1)}}, []energyChannel{{unit: "kW.h", sum: 1000}, {name: "output", unit: "1", sum: 4}}), kpi: "unit_energy", absent: MissingInput, missing: "output_t"},
		{name: "recovers", facts: converter(1000), kpi: "unit_energy", by: "(122.9 - 714.3)/10", value: -59.14, quality: Manual},
		{name: "nothing made", facts: accountScene(Account{Kind: "workshop", Output: "w", Terms: []Term{accountTerm("electricity", 1)}}, []energyChannel{{unit: "kW.h", sum: 1000}}, energyInput{"w", "output_t", "t", 1, []float64{0}}), kpi: "unit_energy", absent: ZeroDenominator},
		{name: "no output", facts: plant(3000, Account{}), kpi: "unit_energy", absent: MissingInput, missing: "output"},

		{name: "value", facts: plant(3000, Account{Value: "v"}, value), kpi: "energy_per_output_value", by: "3000 / 25", value: 120, num: 3000, den: 25, quality: Manual},
		{name: "no value", facts: plant(3000, Account{}, value), kpi: "energy_per_output_value", absent: MissingInput, missing: "output_value_cny"},

		{name: "on the level", facts: plant(3610, with("iron", 0)), kpi: "benchmark_class", by: "3610/10 = 361 ≤ 361", value: 361, class: "better_than_benchmark", quality: Indicative,
			basis: map[string]string{"benchmark": "iron", "benchmark_level": "361", "baseline_level": "435", "level_unit": "kgce/t", "compared": "a year per installation is what the standard compares"}},
		{name: "between", facts: plant(4350, with("iron", 0)), kpi: "benchmark_class", by: "435 ≤ 435", value: 435, class: "between", quality: Indicative},
		{name: "worse", facts: plant(4351, with("iron", 0)), kpi: "benchmark_class", by: "435.1 > 435", value: 435.1, class: "worse_than_baseline", quality: Indicative},
		{name: "recovers enough", facts: converter(700), kpi: "benchmark_class", by: "(122.9 - 700·0.7143)/10 = -37.711 ≤ -30", value: -37.711, class: "better_than_benchmark", quality: Indicative},
		{name: "recovers too little", facts: converter(200), kpi: "benchmark_class", by: "(122.9 - 142.86)/10 = -1.996 > -10", value: -1.996, class: "worse_than_baseline", quality: Indicative},
		{name: "oil equivalent", facts: plant(9000, with("ethylene", 0)), kpi: "benchmark_class", by: "900/1.4286 = 629.9874", value: 629.9874002519949, class: "between", quality: Indicative, basis: map[string]string{"level_unit": "kgoe/t"}},
		{name: "refining", facts: plant(1100, with("refining", 10)), kpi: "benchmark_class", by: "110/1.4286/10 = 7.6998", value: 7.699846003079938, class: "between", quality: Indicative, basis: map[string]string{"unit_factor": "10"}},
		{name: "refining without its factor", facts: plant(1100, with("refining", 0)), kpi: "benchmark_class", absent: MissingInput, missing: "unit_factor"},
		{name: "kWh", facts: electric(132_000, 0), kpi: "benchmark_class", by: "132000/10", value: 13200, class: "between", quality: Indicative},
		{name: "not certain", facts: electric(133_400, 200), kpi: "benchmark_class", by: "13340 ± 20 around 13350", value: 13340, class: "between", quality: Indicative, basis: map[string]string{"within_bounds": "baseline_level"}},
		{name: "not certain either", facts: electric(130_010, 200), kpi: "benchmark_class", by: "13001 ± 20 around 13000", value: 13001, class: "between", quality: Indicative, basis: map[string]string{"within_bounds": "benchmark_level"}},
		{name: "unverified", facts: plant(1000, with("cement", 0)), kpi: "benchmark_class", absent: UnverifiedData, missing: "benchmark/cement"},
		{name: "another product's unit", facts: plant(1000, with("glass", 0)), kpi: "benchmark_class", absent: MissingInput, missing: "output in kgce/weight_box"},
		{name: "unknown field", facts: plant(1000, with("gold", 0)), kpi: "benchmark_class", absent: MissingInput, missing: "benchmark/gold"},
		{name: "no field", facts: plant(1000, out), kpi: "benchmark_class", absent: MissingInput, missing: "benchmark"},
	})
}

// An explanation has each term with its sign, its amount, its coefficient and the sum.
func TestAccountExplained(t *testing.T) {
	f := accountScene(Account{Kind: "installation", Terms: []Term{accountTerm("electricity", 1), accountTerm("coal", -1)}},
		[]energyChannel{{unit: "kW.h", sum: 1000}, {unit: "kg", sum: 10}}, energyInput{"gas", "natural_gas", "m3", 1, []float64{100}})
	f.Definition = &Definition{ID: "account_energy", Unit: "kg"}
	var got []Working
	f.trace = func(w Working) { got = append(got, w) }
	accountEnergy(f)
	want := []Working{
		{"kgce per kW.h of electricity", 0.1229, "kg", "Standard A-2020"}, {"term/0", 1000, "kW.h", "d/term/0"}, {"+ electricity", 122.9, "", "d/electricity"},
		{"kgce per kg of coal", 0.7143, "kg", "Standard A-2020"}, {"term/1", 10, "kg", "d/term/1"}, {"- coal", 7.143, "", "d/coal"},
		{"kgce per m3 of natural_gas", 1.33, "kg", "Table 1"}, {"gas", 100, "m3", "manual/gas"}, {"+ natural_gas", 133, "", "manual/gas"},
		{"account_energy", 248.757, "kg", ""},
	}
	if len(got) != len(want) {
		t.Fatalf("%d workings: %+v", len(got), got)
	}
	for i, w := range want {
		if g := got[i]; g.Name != w.Name || !energyNear(g.Value, w.Value) || g.Unit != w.Unit || g.From != w.From {
			t.Errorf("%d: %+v, want %+v", i, g, w)
		}
	}
}
