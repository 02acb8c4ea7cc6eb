package kpi

// Catalogue is what policy and standards say: formulas' definitions, coefficients, limits, categories, code tables. It is data with
// sources (configs/catalogue), never literals in code, and immutable.
type Catalogue struct {
	Definitions []Definition
	Figures     []Figure
	Categories  []Category
	Codes       []CodeTable
	Mappings    []Mapping
	CoalSets    []CoalSet
	Grids       []Grid
	Benchmarks  []Benchmark
	Eliminated  []Eliminated
	Grades      []GradeStandard
	Constants   []Constant
}

// Source says where a figure comes from. A figure that is not Verified says so in each output that uses it.
type Source struct {
	Name     string // standard or document with its edition
	Clause   string
	InForce  string // date, empty if not known
	Where    string // where it was read
	Verified bool   // against the standard itself
}

// Text says something to people, in Chinese and in English.
type Text struct {
	ZH string `json:"zh"`
	EN string `json:"en"`
}

// Definition is one KPI: what is published, documented and computed under its id.
type Definition struct {
	ID       string
	Version  int          // of the formula; changes when the same readings would give another number
	Scope    string       // equipment, account, site
	Group    string       // utilisation, energy, age, rates; operating: of the categories that name it
	Unit     string       // UCUM
	Windows  []WindowKind // in which it is published
	Needs    []string     // roles of signals, nameplate figures and inputs; "a|b": one of them
	Coverage float64      // least share of the window with data; 0: none
	Classes  []string     // of a classification
	Title    Text
	Formula  Text // in words and symbols
	NotSaid  Text // what it does not say
	Example  Text
	Source   Source
}

// Figure is what a nameplate may say beside rated power: a key of Nameplate.Figures.
type Figure struct {
	Name  string
	Unit  string // UCUM; the values of Nameplate.Figures are in it
	Title Text
}

// Category is a kind of equipment.
type Category struct {
	ID          string
	Title       Text
	Sector      string   // as the policy names it
	Groups      []string // of KPIs that apply: utilisation, energy, age, rates
	Operating   []string // ids of operating_… KPIs that apply
	Signals     []string // roles to map, the most useful first
	Figures     []string // of the nameplate
	LifeYears   float64  // planning life; 0: not known
	LifeHours   float64
	FocusYears  float64 // in service longer than this the policy's focus; 0: no such rule
	FocusSource Source
	Networked   bool   // should be networked
	Source      Source // of the lives
}

// CodeTable gives the codes of a kind of control their meaning. The first row that matches wins; none: unknown.
type CodeTable struct {
	ID      string
	Version int
	Title   Text
	Roles   []string // roles that it reads
	Rows    []CodeRow
	Mapping string // id@version that fits it
	Source  Source
}

// CodeRow matches if each of its roles has one of its codes.
type CodeRow struct {
	When  map[string][]int64
	State string // executing, not_executing, out_of_service, not_available
	Mode  string // processing, setup, maintenance, none; empty: not told
}

// Mapping turns state and mode into time elements. A pair that no row has is unknown.
type Mapping struct {
	ID      string
	Version int
	Title   Text
	Rows    []MappingRow
	Upper   bool // technical efficiency from it is an upper bound: delays while not executing are not told apart
	Source  Source
}

// MappingRow: an empty Mode matches every mode, also one that is not told.
type MappingRow struct {
	State   string
	Mode    string
	Element string // apt, aust, adet, adot
}

// CoalSet is a set of standard-coal coefficients.
type CoalSet struct {
	ID      string
	Title   Text
	Default bool
	Media   []Coefficient
	Source  Source
}

// Coefficient is kgce per Unit of a medium. Secondary media are made inside a site: never added to its total.
type Coefficient struct {
	Medium    string
	Title     Text
	Unit      string // UCUM
	Basis     string // of electricity: equivalent or equal_value; else empty
	Coal      float64
	Year      int
	Secondary bool
	Source    Source
}

// Grid is a location-based CO2 factor of electricity.
type Grid struct {
	Area   string
	Title  Text
	Year   int
	CO2    float64 // kg per kWh
	Source Source
}

// Benchmark is one field of the 标杆/基准 levels. Lower is better unless Recovery: then both are negative.
type Benchmark struct {
	ID         string
	Title      Text
	Unit       string // kgce/t, kgoe/t, kWh/t, …
	Best       float64
	Base       float64
	NeedFactor bool // per energy factor (refining)
	Source     Source
}

// Eliminated is one line of an elimination list: models that policy wants gone, by pattern.
type Eliminated struct {
	ID         string
	Categories []string
	Models     []string // patterns: * stands for anything
	Condition  Text     // further conditions, which the ledger may not know; a hit is suspected for as long as there are any
	Source     Source
}

// GradeStandard is an energy-efficiency standard that labels refer to.
type GradeStandard struct {
	Standard   string
	Categories []string
	Title      Text
	Best       int // number of its best grade
	Worst      int
	Source     Source
}

// Constant is a physical or conventional figure, such as the heat of a kilogram of standard coal.
type Constant struct {
	ID     string
	Value  float64
	Unit   string
	Source Source
}
