package drivers

import "encoding/json"

// Severity grades an event.
type Severity string

// The severities.
const (
	Info    Severity = "info"
	Warning Severity = "warning"
	Severe  Severity = "error"
)

// EventKind names what happened. The list grows; a kind never changes its meaning.
type EventKind string

// The kinds of event.
const (
	EventDeviceUp     EventKind = "device_up"
	EventDeviceDown   EventKind = "device_down"
	EventEpoch        EventKind = "epoch_started"
	EventGatewayStart EventKind = "gateway_start"
	EventGatewayStop  EventKind = "gateway_stop"
	EventEvicted      EventKind = "evicted"
	EventQuarantined  EventKind = "quarantined"
	EventBackPressure EventKind = "back_pressure"
	EventLedger       EventKind = "ledger"
	EventKPIGap       EventKind = "kpi_gap" // readings were gone before KPIs were computed from them

	EventAddressRefused EventKind = "address_refused" // a device refuses a register that its map names
	EventAddressBack    EventKind = "address_back"    // and does so no longer
	EventParamMismatch  EventKind = "param_mismatch"  // the device holds another value of a parameter than the site
	EventAlarm          EventKind = "alarm"           // a bit that tells of a trouble was set or cleared
	EventUnknownState   EventKind = "unknown_state"   // a state has a code that its map does not list
	EventCounter        EventKind = "counter"         // a counter did not simply go on; the cause says how

	EventNodeRefused   EventKind = "node_refused"   // an OPC UA server does not give a node that the map names
	EventNodeBack      EventKind = "node_back"      // and gives it again
	EventReadingsLost  EventKind = "readings_lost"  // a device had readings that will never come; the cause says why
	EventHistoryFilled EventKind = "history_filled" // readings of an interruption were taken from the device's own history
	EventClockOffset   EventKind = "clock_offset"   // the device's clock is too far from ours, or no longer is
	EventWorker        EventKind = "worker"         // the process that reads a server ended and was replaced
	EventCertificate   EventKind = "certificate"    // a certificate needs somebody's decision, or expires soon
)

// Event is something that happened in or to the gateway. Its JSON form is what subscribers receive.
type Event struct {
	Time     int64           `json:"t"` // ms since 1970 UTC
	Kind     EventKind       `json:"kind"`
	Severity Severity        `json:"severity"`
	Subject  string          `json:"subject"` // "device/meter-1", "uplink/province", "gateway", "queue"
	Cause    Cause           `json:"cause,omitempty"`
	Ref      *BlockRange     `json:"ref,omitempty"`   // the blocks that the event speaks of
	Count    uint64          `json:"count,omitempty"` // readings concerned
	Text     EventText       `json:"text"`
	Fields   json.RawMessage `json:"fields,omitempty"` // further data of the kind, a JSON object
}

// BlockRange names the blocks From to To, both included, of one stream.
type BlockRange struct {
	Stream string `json:"stream"`
	From   uint64 `json:"from"`
	To     uint64 `json:"to"`
}

// EventText says it to a person, in Chinese and in English: what, where, and what to do.
type EventText struct {
	ZH string `json:"zh"`
	EN string `json:"en"`
}

// Cycle is the account of what one poll group owed for one tick, or, if it skipped, for several ticks: due readings and what
// became of them before the store. Due = Good + sum(Bad) + sum(Skipped).
type Cycle struct {
	Device     string
	Time       int64  // when the device answered, ms since 1970 UTC; 0 if it did not
	Due        uint64 // readings owed by the schedule, counted apart from what became of them
	Good       uint64 // Good and Uncertain
	Own        uint64 // readings the gateway added itself: the tag "up"
	Suppressed uint64 // of Good, Bad and Own: not stored on purpose (report by exception)
	Bad        []CauseCount
	Skipped    []CauseCount
}

// CauseCount is a number of readings with one cause.
type CauseCount struct {
	Cause Cause
	N     uint64
}
