package opcua

// AskBrowse is what a Question asks to go through an address space: With is a BrowseRequest, the answers are BrowseAnswers.
const AskBrowse = "browse"

// BrowseRequest says where to look: which variables are there, and how would a map name them?
type BrowseRequest struct {
	From       string // NodeID to begin at, as in a map; empty: the Objects folder
	Filter     string // of the rows, by name or path: with * and ?, or a regular expression between slashes; empty: all
	Depth      int    // references to follow from there; 0: DefaultBrowseDepth
	Max        int    // nodes to look at; 0: DefaultBrowseNodes
	Properties bool   // also variables that describe others, such as serial numbers
}

// The bounds of a BrowseRequest that sets none.
const (
	DefaultBrowseDepth = 20
	DefaultBrowseNodes = 100_000
)

// BrowseAnswer is With of an Answer to AskBrowse. The last one has the Result, those before say how far it has come.
type BrowseAnswer struct {
	Seen      int           `json:"seen"`      // nodes
	Variables int           `json:"variables"` // of them
	Reading   bool          `json:"reading"`   // the nodes are known; now their values are read
	Result    *BrowseResult `json:"result,omitempty"`
}

// BrowseResult is what is below the node, in an order that is the same each time.
type BrowseResult struct {
	Server   string           `json:"server"` // its application's name; empty: it does not say
	Machines []BrowsedMachine `json:"machines"`
	Rows     []BrowseRow      `json:"rows"`
	Notes    []string         `json:"notes,omitempty"` // what is not in the rows, and why
}

// BrowsedMachine is an object that follows a companion specification.
type BrowsedMachine struct {
	Name   string `json:"name"`   // display name
	Node   string `json:"node"`   // NodeID
	Spec   string `json:"spec"`   // such as "OPC 40501-1"
	Prefix string `json:"prefix"` // of its tags' names; empty if it is the only machine
}

// BrowseRow is one point of a map.
type BrowseRow struct {
	Name     string        `json:"name"` // of the tag
	Label    string        `json:"label"`
	Node     string        `json:"node"`
	Select   string        `json:"select,omitempty"`
	Type     string        `json:"type"` // as maps have it
	Unit     string        `json:"unit,omitempty"`
	Kind     string        `json:"kind"`
	States   []BrowseState `json:"states,omitempty"`
	Path     string        `json:"path"`                // browse names from the start, / between them
	Spec     string        `json:"spec,omitempty"`      // the companion specification that says what it means; empty: none
	DataType string        `json:"data_type,omitempty"` // of the server
	UnitText string        `json:"unit_text,omitempty"` // the server's own, where Unit is not known
	Low      *float64      `json:"low,omitempty"`       // EURange
	High     *float64      `json:"high,omitempty"`
	History  bool          `json:"history,omitempty"` // the server keeps it
	Denied   bool          `json:"denied,omitempty"`  // the user may not read it
	Value    string        `json:"value,omitempty"`   // as it was just now; empty: it was not good
	Cause    string        `json:"cause,omitempty"`   // why it was not
}

// BrowseState is the text of a code.
type BrowseState struct {
	Code int64  `json:"code"`
	ZH   string `json:"zh"`
	EN   string `json:"en"`
}
