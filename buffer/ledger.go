package buffer

import "github.com/millgate/millgate/drivers"

// Ledger accounts for every reading that was due since the first start.
type Ledger struct {
	Devices []DeviceLedger `json:"devices"`
	Uplinks []UplinkLedger `json:"uplinks"`
}

// DeviceLedger is one device's account, in readings.
type DeviceLedger struct {
	Device     string                   `json:"device"`
	Due        uint64                   `json:"due"`
	Good       uint64                   `json:"good"`
	Own        uint64                   `json:"own"`
	Suppressed uint64                   `json:"suppressed"`
	Stored     uint64                   `json:"stored"`
	Bad        map[drivers.Cause]uint64 `json:"bad,omitempty"`
	Skipped    map[drivers.Cause]uint64 `json:"skipped,omitempty"`
	Refused    map[drivers.Cause]uint64 `json:"refused,omitempty"`
}

// UplinkLedger is the account of stored readings towards one uplink.
type UplinkLedger struct {
	Uplink       string                   `json:"uplink"`
	Stored       uint64                   `json:"stored"`
	Acknowledged uint64                   `json:"acknowledged"`
	Pending      uint64                   `json:"pending"`
	Evicted      map[drivers.Cause]uint64 `json:"evicted,omitempty"`
	Quarantined  uint64                   `json:"quarantined,omitempty"`
}

// Imbalances says in words which equations of the ledger do not hold; none when it balances.
func (l Ledger) Imbalances() []string { panic("stub") }
