package opcua

import "github.com/millgate/millgate/drivers"

// ServerStatus is what is known of one server and its worker.
type ServerStatus struct {
	Endpoint string        `json:"endpoint"`
	State    State         `json:"state"`
	Since    int64         `json:"since_t"` // ms since 1970 UTC of the last change
	Cause    drivers.Cause `json:"cause,omitempty"`
	Error    string        `json:"error,omitempty"` // in words, of the last failure while not up

	Policy      Policy `json:"policy"`
	Mode        Mode   `json:"mode"`
	User        string `json:"user"`                      // the kind
	Fingerprint string `json:"fingerprint,omitempty"`     // SHA-256 of the server's certificate
	Expires     int64  `json:"expires_t,omitempty"`       // when that one expires, ms since 1970 UTC
	Offset      *int64 `json:"clock_offset_ms,omitempty"` // the server's clock less ours; nil: not known yet

	Items         int           `json:"items"`  // that the server notifies
	Polled        int           `json:"polled"` // points that are asked for
	Refused       []RefusedNode `json:"refused,omitempty"`
	RefusedCount  int           `json:"refused_count"` // of which Refused has the first
	Subscriptions int           `json:"subscriptions"`

	Sessions    uint64 `json:"sessions"`     // made since the worker started
	Reactivated uint64 `json:"reactivated"`  // taken up again on a new connection
	Republished uint64 `json:"republished"`  // notifications that the server sent again
	Overflows   uint64 `json:"overflows"`    // values with the overflow bit
	Gaps        uint64 `json:"gaps"`         // sequence numbers that never came
	FromHistory uint64 `json:"from_history"` // readings filled in

	PID      int    `json:"pid,omitempty"` // of the worker
	RSS      uint64 `json:"rss,omitempty"` // bytes
	Restarts uint64 `json:"restarts"`      // of the worker
}

// State is how it stands with a server.
type State string

// The states.
const (
	Starting   State = "starting"   // the worker is, or the session
	Up         State = "up"         // values come
	Recovering State = "recovering" // the connection was lost; the session may still be there
	Down       State = "down"       // it can not be read; the cause says why
)

// RefusedNode is a node that the server does not give.
type RefusedNode struct {
	Device string        `json:"device"`
	Tag    string        `json:"tag"`
	Node   string        `json:"node"`
	Cause  drivers.Cause `json:"cause"`
	Status string        `json:"status"` // the StatusCode, or what does not fit
}
