package kpi

// derivation is a figure of a moment that several signals give together: it is known, and integrated, while all of them are and eval has a
// value.
type derivation struct {
	name   string
	inputs []string // roles, in the order of x
	unit   string
	eval   func(x []float64, n *Nameplate) (float64, bool)
}

// hydraulic is 3600 s/h times 1000 W/kW: m³/h · Pa / hydraulic is kW.
const hydraulic = 3_600_000

// derivations integrate numerator and denominator of a ratio over the same moments: both are known while all of their inputs are.
var derivations = []derivation{
	{"compressor_power", []string{"power", "volume_flow"}, "kW", input(0)},
	{"compressor_flow", []string{"power", "volume_flow"}, "m3/min", input(1)},
	{"compressor_pressure_flow", []string{"pressure", "volume_flow", "power"}, "Pa.m3/min", product},
	{"flow_work", []string{"flow", "differential_pressure", "power"}, "kW", func(x []float64, _ *Nameplate) (float64, bool) { return x[0] * x[1] / hydraulic, true }},
	{"flow_work_flow", []string{"flow", "differential_pressure", "power"}, "m3/h", input(0)},
	{"flow_work_power", []string{"flow", "differential_pressure", "power"}, "kW", input(2)},
	{"load_squared", []string{"power_apparent"}, "1", func(x []float64, n *Nameplate) (float64, bool) { return loadSquared(x[0]*x[0], n) }},
	{"load_squared_pq", []string{"power", "power_reactive"}, "1", func(x []float64, n *Nameplate) (float64, bool) { return loadSquared(x[0]*x[0]+x[1]*x[1], n) }},
	{"chiller_flow_kelvin", []string{"flow", "return_temperature", "supply_temperature", "power"}, "K.m3/h", func(x []float64, _ *Nameplate) (float64, bool) { return x[0] * (x[1] - x[2]), true }},
	{"chiller_power", []string{"flow", "return_temperature", "supply_temperature", "power"}, "kW", input(3)},
	{"power_with_apparent", []string{"power", "power_apparent"}, "kW", input(0)},
	{"apparent_with_power", []string{"power", "power_apparent"}, "kVA", input(1)},
	{"current_unbalance", []string{"current_a", "current_b", "current_c"}, "1", unbalance},
}

func input(i int) func([]float64, *Nameplate) (float64, bool) {
	return func(x []float64, _ *Nameplate) (float64, bool) { return x[i], true }
}

func product(x []float64, _ *Nameplate) (float64, bool) { return x[0] * x[1], true }

// loadSquared is β², (S/S_N)², from S² in kVA².
func loadSquared(s2 float64, n *Nameplate) (float64, bool) {
	rated := n.Figures["rated_capacity"]
	if rated <= 0 {
		return 0, false
	}
	return s2 / (rated * rated), true
}

// unbalance is how far the phase that is farthest from the mean is from it, as a share of the mean, while there is current.
func unbalance(x []float64, _ *Nameplate) (float64, bool) {
	mean := (abs(x[0]) + abs(x[1]) + abs(x[2])) / 3
	if mean == 0 {
		return 0, false
	}
	most := 0.0
	for _, i := range x[:3] {
		most = max(most, abs(abs(i)-mean))
	}
	return most / mean, true
}
