package kpi

// WindowKind is how long a window is.
type WindowKind string

// The kinds of window. A quarter of an hour holds additive figures only: subscribers add numerators and denominators, never ratios.
const (
	Quarter WindowKind = "15min"
	InShift WindowKind = "shift"
	Day     WindowKind = "day"
	Month   WindowKind = "month"
)

// WindowKinds in the order in which windows that end together are published.
var WindowKinds = []WindowKind{Quarter, InShift, Day, Month}

// Window is a span of time [From, To) that ends at a moment of the site's local time.
type Window struct {
	Kind  WindowKind `json:"kind"`
	Label string     `json:"label"` // "2026-11-22T08:15+08:00", "2026-11-22/night", "2026-11-22", "2026-11": day and month of production
	From  int64      `json:"from"`  // ms since 1970 UTC
	To    int64      `json:"to"`
	TZ    string     `json:"tz"` // IANA
}

// Report is one message of the kpis stream: results of one window.
type Report struct {
	Window  Window   `json:"window"`
	Rev     int      `json:"rev"`              // 0 the first time; a result replaces that of a lower revision of its window, subject and KPI
	Reason  string   `json:"reason,omitempty"` // of a revision: late_data, meter_swap, manual_input
	Through Position `json:"through"`
	Part    int      `json:"part,omitempty"` // from 1, where a window's results fill several messages
	Results []Result `json:"results"`
}

// The reasons of a revision.
const (
	ReasonLate  = "late_data"
	ReasonSwap  = "meter_swap"
	ReasonInput = "manual_input"
)

// Position is the last block of readings that was taken into account.
type Position struct {
	Epoch    string `json:"epoch"`
	Readings uint64 `json:"readings"`
}

// Result is one KPI of one subject, or why there is none.
type Result struct {
	Subject  string            `json:"subject"` // id of equipment or account, or "site"
	KPI      string            `json:"kpi"`     // id of a Definition
	Formula  string            `json:"formula"` // id@version
	Mapping  string            `json:"mapping,omitempty"`
	Value    *float64          `json:"value,omitempty"`
	Class    string            `json:"class,omitempty"` // the value of a classification, from a closed list of the definition
	Unit     string            `json:"unit,omitempty"`  // UCUM
	Num      *float64          `json:"num,omitempty"`
	Den      *float64          `json:"den,omitempty"`
	Bounds   *[2]float64       `json:"bounds,omitempty"`   // what Value may be for all that is known
	Coverage *float64          `json:"coverage,omitempty"` // share of the window with data, 0 to 1
	Quality  Grade             `json:"quality,omitempty"`
	Inputs   []string          `json:"inputs,omitempty"` // tags, "device/tag"
	Basis    map[string]string `json:"basis,omitempty"`  // what a reader must know: sets, years, n, R², what was assumed; a closed list of keys
	Doubts   []string          `json:"unverified,omitempty"`
	Absent   Absence           `json:"absent,omitempty"`
	Missing  []string          `json:"missing,omitempty"` // of the inputs
}

// Grade says what a value rests on; the weakest of its inputs.
type Grade string

// The grades, from the strongest to the weakest.
const (
	Measured   Grade = "measured"
	Manual     Grade = "manual"     // a person entered it
	Allocated  Grade = "allocated"  // a share of what was measured, by a stated basis
	Assumed    Grade = "assumed"    // by a rule of the site, such as unreachable_means: off
	Indicative Grade = "indicative" // not within the boundary or period that the comparison is defined for
)

// Absence is why there is no value.
type Absence string

// The absences. The list grows; one never changes its meaning.
const (
	MissingInput    Absence = "missing_input"     // no signal, figure or manual input; see Missing
	NoData          Absence = "no_data"           // nothing is known of the whole window
	LowCoverage     Absence = "low_coverage"      // less is known than the definition asks for
	ZeroDenominator Absence = "zero_denominator"  // nothing to divide by, such as no planned time
	UnknownProduct  Absence = "unknown_product"   // parts of programs without a product
	UnverifiedData  Absence = "unverified_limit"  // the limits to compare with could not be verified
	OutOfRange      Absence = "out_of_range"      // drivers outside of the baseline's range
	TooFewData      Absence = "too_few_data"      // for a regression
	Incomplete      Absence = "incomplete_inputs" // a manual input is missing for part of the window
	NotYet          Absence = "not_yet"           // the period that is to be compared has not begun: the window is not wholly after the baseline and the change
	Contradiction   Absence = "contradiction"     // inputs that can not both be true, such as more scrap than parts
)

// Number is a pointer to a copy of f, as Results have them. It is nil unless f is finite.
func Number(f float64) *float64 {
	if f-f != 0 {
		return nil
	}
	return &f
}
