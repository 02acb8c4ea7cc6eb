package kpi

// Config is what the site says about its equipment: static, part of the catalogue that subscribers receive, and all that an auditor needs
// beside the readings. Its zero value has no equipment and gives no KPI. References to tags are "device/tag".
type Config struct {
	Calendar  *Calendar   `json:"calendar,omitempty"` // nil: one production day from midnight to midnight, all of it planned
	Factors   Factors     `json:"factors,omitzero"`
	Equipment []Equipment `json:"equipment,omitempty"`
	Accounts  []Account   `json:"accounts,omitempty"`
	Processes []Process   `json:"processes,omitempty"` // key processes; those that only equipment names are not listed
	Products  []Product   `json:"products,omitempty"`
	Inputs    []Input     `json:"inputs,omitempty"`
	Quota     []string    `json:"quota,omitempty"` // tags that should be collected by the site's plan; empty: all configured tags
}

// Factors choose among the catalogue's sets. Empty fields take the catalogue's default; what was chosen is published with every figure.
type Factors struct {
	CoalSet          string `json:"coal_set,omitempty"`          // id of a coefficient set, such as "gbt2589-2020"
	ElectricityBasis string `json:"electricity_basis,omitempty"` // equivalent (当量值) or equal_value (等价值)
	EqualValue       *Own   `json:"equal_value,omitempty"`       // kgce per kWh, where the site has its own
	GridArea         string `json:"grid_area,omitempty"`         // of the CO2 factor, such as "zhejiang"
	GridYear         int    `json:"grid_year,omitempty"`         // 0: the newest known
	Grid             *Own   `json:"grid,omitempty"`              // kg CO2 per kWh, where the site has its own
	Media            []Fuel `json:"media,omitempty"`             // measured coefficients, which go before the set's
}

// Own is a figure that the site brings itself, with whoever published it.
type Own struct {
	Value  float64 `json:"value"`
	Year   int     `json:"year,omitempty"`
	Source string  `json:"source"`
}

// Fuel is a measured coefficient of one medium: kgce per unit, or the lower heating value or enthalpy from which it follows.
type Fuel struct {
	Medium string  `json:"medium"`
	Unit   string  `json:"unit"` // UCUM
	Coal   float64 `json:"kgce"` // per unit
	Source string  `json:"source"`
}

// Equipment is one entry of the factory's equipment ledger.
type Equipment struct {
	ID         string            `json:"id"`
	Name       string            `json:"name,omitempty"`
	Category   string            `json:"category"` // of Catalogue.Categories
	Was        string            `json:"was,omitempty"`
	Nameplate  Nameplate         `json:"nameplate,omitzero"`
	Life       Life              `json:"life,omitzero"`
	Control    string            `json:"control,omitempty"` // manual, plc, nc, cnc, dnc, dcs; empty: not said
	Process    string            `json:"key_process,omitempty"`
	Project    string            `json:"project,omitempty"`
	Label      *Label            `json:"label,omitempty"`
	Shifts     []string          `json:"shifts,omitempty"` // ids of the shifts it is planned for; empty: all
	Signals    map[string]Signal `json:"signals,omitempty"`
	State      *StateRules       `json:"state,omitempty"`
	Baseline   *Baseline         `json:"baseline,omitempty"`
	Networking Networking        `json:"networking,omitzero"`
}

// Nameplate is what is written on the equipment. Figures holds what its category's formulas need, by name (see catalogue), e.g.
// no_load_loss in kW; zero values are not said.
type Nameplate struct {
	Maker         string             `json:"maker,omitempty"`
	Model         string             `json:"model,omitempty"`
	RatedPower    float64            `json:"rated_power_kw,omitempty"`
	OriginalValue float64            `json:"original_value_cny,omitempty"`
	Figures       map[string]float64 `json:"figures,omitempty"`
}

// Life is the dates of the equipment, each "2012", "2012-05" or "2012-05-01"; a date that is not exact counts as its last day, so that
// equipment is never called older than is known. DesignYears and DesignHours are the maker's; 0 takes the category's planning life.
type Life struct {
	Manufactured string  `json:"manufactured,omitempty"`
	Commissioned string  `json:"commissioned,omitempty"`
	Retrofitted  string  `json:"retrofitted,omitempty"`
	DesignYears  float64 `json:"design_years,omitempty"`
	DesignHours  float64 `json:"design_hours,omitempty"`
	HoursBefore  float64 `json:"hours_before,omitempty"`  // running hours at HoursAt, where no counter tells them
	HoursAt      string  `json:"hours_at,omitempty"`      // date
	HoursTrusted bool    `json:"hours_trusted,omitempty"` // signal run_hours never resets and counts the equipment's lifetime
}

// Label is the energy label: the only source of a legal grade.
type Label struct {
	Grade    int    `json:"grade"` // 1 (best) to 5
	Standard string `json:"standard"`
	Evidence string `json:"evidence"` // the document that shows it
}

// Networking says what the ledger knows of the equipment's connection; it is not what is measured.
type Networking struct {
	Required *bool `json:"required,omitempty"` // nil: as its category says
	Digital  *bool `json:"digital,omitempty"`  // nil: it is if its control is other than manual
}

// Signal is where a role's value comes from. Exactly one tag; Share and Basis say that it is only part of what the tag measures.
type Signal struct {
	Tag        string  `json:"tag"`                  // "device/tag"
	Factor     float64 `json:"factor"`               // from the tag's unit to the role's; never 0
	Share      float64 `json:"share,omitempty"`      // 0: all of it; else the figures are `allocated`
	Basis      string  `json:"basis,omitempty"`      // by what the share was found
	Modulus    float64 `json:"modulus,omitempty"`    // of a counter, in the tag's unit; 0: not known
	MaxRate    float64 `json:"max_rate,omitempty"`   // of a counter, per second, in the tag's unit; 0: not known
	Resolution float64 `json:"resolution,omitempty"` // the smallest step, in the tag's unit; 0: not known
	Invert     bool    `json:"invert,omitempty"`     // of a flag
}

// StateRules say how the equipment's state is known. Exactly one of Codes and Rules is set, or neither, if only PowerState is.
type StateRules struct {
	Codes       string      `json:"codes,omitempty"`   // id@version of a code table of the catalogue
	Mapping     string      `json:"mapping,omitempty"` // id@version of a mapping to time elements; empty: the code table's or the default
	Rules       []StateRule `json:"rules,omitempty"`   // the first that matches wins; none: unknown
	Power       *PowerState `json:"power_state,omitempty"`
	Unreachable string      `json:"unreachable_means,omitempty"` // "off": assumed, if nothing else tells; empty: unknown
}

// StateRule is one line of the rules. Conditions are expressions over tags and roles, see ParseCondition.
type StateRule struct {
	If    string `json:"if"`              // "true" for the line that catches the rest
	Until string `json:"until,omitempty"` // once matched it stays so until this holds (hysteresis); empty: until If no longer does
	For   int64  `json:"for_ms,omitempty"`
	Hold  int64  `json:"hold_ms,omitempty"`
	State string `json:"state"`          // executing, not_executing, out_of_service, not_available
	Mode  string `json:"mode,omitempty"` // processing, setup, maintenance, none; empty: processing
}

// PowerState tells off by evidence of its own, such as a meter.
type PowerState struct {
	OffWhen string `json:"off_when"` // condition
	OnWhen  string `json:"on_when,omitempty"`
	Hold    int64  `json:"hold_ms,omitempty"` // how long OffWhen must have been so
}

// Account is a sum of metered energy: of the site, a workshop, or an installation whose boundary a standard defines.
type Account struct {
	ID         string    `json:"id"`
	Name       string    `json:"name,omitempty"`
	Kind       string    `json:"kind"` // site, workshop, installation
	Terms      []Term    `json:"terms"`
	Output     string    `json:"output,omitempty"`      // tag or input of its product, in t or pieces
	OutputUnit string    `json:"output_unit,omitempty"` // of Output, if that is a tag: t, or 1 of pieces
	Value      string    `json:"value,omitempty"`       // input of its output value, in CNY
	Benchmark  string    `json:"benchmark,omitempty"`   // id of a field of the 标杆/基准 table
	Factor     float64   `json:"unit_factor,omitempty"` // energy factor of a refinery; 0: not said
	Capacity   float64   `json:"capacity,omitempty"`    // t a year
	Baseline   *Baseline `json:"baseline,omitempty"`
}

// Term is one meter of an account.
type Term struct {
	Signal
	Medium string `json:"medium"` // electricity, natural_gas, … (Catalogue)
	Sign   int    `json:"sign"`   // 1 or -1
}

// Process is a key process.
type Process struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
	Rule string `json:"rule,omitempty"` // all (default), majority, any: when a process with mixed machines counts as numerically controlled
}

// Product is what a program or SKU makes.
type Product struct {
	ID       string   `json:"id"`
	Programs []string `json:"programs"`            // as the signal `program` tells them
	Ideal    float64  `json:"ideal_cycle_s"`       // seconds a part; 0 with Excluded
	PerCycle float64  `json:"per_cycle,omitempty"` // parts a cycle; 0: 1
	Excluded bool     `json:"excluded,omitempty"`  // warm-up and test programs: no parts, no processing
	On       []string `json:"equipment,omitempty"` // empty: everywhere
	Unit     string   `json:"unit,omitempty"`      // UCUM; empty: pieces
}

// Input is a figure that a person enters for a whole period: a reading of the device "manual", its time being the period's begin.
type Input struct {
	ID       string `json:"id"`
	Name     string `json:"name,omitempty"`
	Subject  string `json:"subject"`  // id of equipment or account
	Quantity string `json:"quantity"` // scrap, good_parts, rework, output_t, output_value_cny, or a medium of the catalogue
	Unit     string `json:"unit"`     // UCUM
	Period   string `json:"period"`   // shift, day, month
}

// ManualDevice is the device whose tags are the inputs: "manual/<id>" the figure, "manual/<id>.by" who entered it, "manual/meter_swap"
// the swaps of meters (see MeterSwap).
const (
	ManualDevice = "manual"
	SwapTag      = "meter_swap"
	ByTag        = ".by"
)

// MeterSwap is a change of a meter: the text of a reading of manual/meter_swap, in JSON, its time being that of the change.
type MeterSwap struct {
	Tag     string  `json:"tag"`     // "device/tag" of the counter
	Final   float64 `json:"final"`   // last value of the old meter, in the tag's unit
	Initial float64 `json:"initial"` // first value of the new one
	By      string  `json:"by"`
}

// Baseline is the frozen comparison of an EnPI: energy of the periods before a change against what drives it (ISO 50006). Energies are kWh
// of electricity for equipment, kgce for accounts, one per day.
type Baseline struct {
	From    string     `json:"from"` // dates, the last one included
	To      string     `json:"to"`
	Drivers []string   `json:"drivers"`           // parts, processing_hours, output_t, …
	Days    []Observed `json:"days"`              // frozen with the site file
	Change  string     `json:"change,omitempty"`  // date of the retrofit
	Meter   float64    `json:"meter_uncertainty"` // relative, of the metering chain; 0.015 is 1.5 %
	Static  string     `json:"static_factors,omitempty"`
}

// Observed is one period of a baseline.
type Observed struct {
	Date    string    `json:"date"`
	Energy  float64   `json:"energy"`
	Drivers []float64 `json:"drivers"` // in the order of Baseline.Drivers
}

// Calendar is when the site means to work. Minutes count from midnight, local time.
type Calendar struct {
	Timezone string            `json:"timezone"` // IANA
	DayStart int               `json:"day_start_min"`
	Shifts   []Shift           `json:"shifts,omitempty"`          // none: all time is planned, and every figure says so
	Holidays map[string]string `json:"holidays,omitempty"`        // date: "off" or "work"
	Sources  map[string]string `json:"holiday_sources,omitempty"` // year: where its holidays were published; a weekday of another year is as usual
	Downs    []Down            `json:"planned_downs,omitempty"`
}

// Shift is planned time of the production day that contains its begin. To at or below From is on the next day.
type Shift struct {
	ID     string   `json:"id"`
	Name   string   `json:"name,omitempty"`
	From   int      `json:"from_min"`
	To     int      `json:"to_min"`
	Days   []int    `json:"days"` // of the production day, 1 Monday to 7 Sunday; a weekend day worked in exchange (调休) counts as Friday; empty: every day
	Breaks [][2]int `json:"breaks,omitempty"`
}

// Down is planned stop of equipment, ms since 1970 UTC.
type Down struct {
	From      int64    `json:"from"`
	To        int64    `json:"to"`
	Equipment []string `json:"equipment,omitempty"` // empty: all
	Reason    string   `json:"reason,omitempty"`
}
