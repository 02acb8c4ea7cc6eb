package buffer

import (
	"fmt"
	"maps"
	"slices"

	"github.com/millgate/millgate/drivers"
)

// Ledger accounts for every reading that was due since the first start. Unit: one reading.
//
//	due               = good + bad{cause} + skipped{cause}            per device
//	good + bad + own  = suppressed + refused{cause} + stored          per device
//	stored            = acknowledged + pending + evicted{cause} + quarantined    per uplink
//
// Its left and right sides are counted at different places: due by the schedule, good and bad by what drivers returned, stored by
// what blocks hold, acknowledged by PUBACKs, pending by what the segments hold.
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
	LastSeen   int64                    `json:"last_seen_t,omitempty"` // when it last answered, ms since 1970 UTC
}

// UplinkLedger is the account of stored readings towards one uplink, since that uplink was configured.
type UplinkLedger struct {
	Uplink       string                   `json:"uplink"`
	Stored       uint64                   `json:"stored"`
	Acknowledged uint64                   `json:"acknowledged"`
	Pending      uint64                   `json:"pending"`
	Evicted      map[drivers.Cause]uint64 `json:"evicted,omitempty"`
	Quarantined  uint64                   `json:"quarantined,omitempty"`
}

// Imbalances says in words which equations of the ledger do not hold; none when it balances.
func (l Ledger) Imbalances() []string {
	var out []string
	for _, d := range l.Devices {
		bad := sum(d.Bad)
		if got := d.Good + bad + sum(d.Skipped); d.Due != got {
			out = append(out, fmt.Sprintf("device %s: due %d, but good + bad + skipped = %d", d.Device, d.Due, got))
		}
		if in, got := d.Good+bad+d.Own, d.Suppressed+sum(d.Refused)+d.Stored; in != got {
			out = append(out, fmt.Sprintf("device %s: good + bad + own = %d, but suppressed + refused + stored = %d", d.Device, in, got))
		}
	}
	for _, u := range l.Uplinks {
		if got := u.Acknowledged + u.Pending + sum(u.Evicted) + u.Quarantined; u.Stored != got {
			out = append(out, fmt.Sprintf("uplink %s: stored %d, but acknowledged + pending + evicted + quarantined = %d", u.Uplink, u.Stored, got))
		}
	}
	return out
}

func sum(counts map[drivers.Cause]uint64) uint64 {
	var n uint64
	for _, c := range counts {
		n += c
	}
	return n
}

// account is the ledger while it grows: deltas since the last commit have the same shape as totals.
type account map[string]*DeviceLedger

func (a account) device(id string) *DeviceLedger {
	d := a[id]
	if d == nil {
		d = &DeviceLedger{Device: id}
		a[id] = d
	}
	return d
}

// book adds one cycle.
func (a account) book(c *drivers.Cycle) {
	d := a.device(c.Device)
	d.Due += c.Due
	d.Good += c.Good
	d.Own += c.Own
	d.Suppressed += c.Suppressed
	addCounts(&d.Bad, c.Bad)
	addCounts(&d.Skipped, c.Skipped)
	d.LastSeen = max(d.LastSeen, c.Time)
}

// add adds the deltas of b.
func (a account) add(b account) {
	for id, from := range b {
		d := a.device(id)
		d.Due += from.Due
		d.Good += from.Good
		d.Own += from.Own
		d.Suppressed += from.Suppressed
		d.Stored += from.Stored
		mergeCounts(&d.Bad, from.Bad)
		mergeCounts(&d.Skipped, from.Skipped)
		mergeCounts(&d.Refused, from.Refused)
		d.LastSeen = max(d.LastSeen, from.LastSeen)
	}
}

// list is a copy in order of device ids.
func (a account) list() []DeviceLedger {
	out := make([]DeviceLedger, 0, len(a))
	for _, id := range slices.Sorted(maps.Keys(a)) {
		d := *a[id]
		d.Bad, d.Skipped, d.Refused = maps.Clone(d.Bad), maps.Clone(d.Skipped), maps.Clone(d.Refused)
		out = append(out, d)
	}
	return out
}

func addCounts(into *map[drivers.Cause]uint64, counts []drivers.CauseCount) {
	for _, c := range counts {
		addCount(into, c.Cause, c.N)
	}
}

func mergeCounts(into *map[drivers.Cause]uint64, counts map[drivers.Cause]uint64) {
	for cause, n := range counts {
		addCount(into, cause, n)
	}
}

func addCount(into *map[drivers.Cause]uint64, cause drivers.Cause, n uint64) {
	if n == 0 {
		return
	}
	if *into == nil {
		*into = map[drivers.Cause]uint64{}
	}
	(*into)[cause] += n
}
