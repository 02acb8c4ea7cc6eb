package main

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/millgate/millgate/buffer"
)

// auditedLedger compares what the gateway says it has stored with what was received, device by device.
type auditedLedger struct {
	Ledgers   int               `json:"ledgers"`
	Compared  int               `json:"compared"` // devices × spans
	Equal     int               `json:"equal"`
	Different []ledgerDiffers   `json:"different,omitempty"`
	Skipped   map[string]int    `json:"not_comparable,omitempty"` // ledgers, by why
	Wrong     []string          `json:"imbalances,omitempty"`     // of the newest ledger
	Newest    map[string]uint64 `json:"stored,omitempty"`         // readings of each device, by the newest ledger
}

// ledgerDiffers is a device whose readings in the blocks From to To are not as many as the ledger says.
type ledgerDiffers struct {
	Device   string `json:"device"`
	From     uint64 `json:"from"`
	To       uint64 `json:"to"`
	Stored   uint64 `json:"stored"`
	Received uint64 `json:"received"`
}

// Why a ledger can not be compared.
const (
	ledgerUnplaced = "the gateway did not say up to which block it counts"
	ledgerGap      = "blocks that it counts were not received"
)

// auditLedger compares from one ledger to the next; the first one counts only if the recording begins with the first block.
func (g *recordedGateway) auditLedger() auditedLedger {
	a := auditedLedger{Ledgers: len(g.ledgers), Skipped: map[string]int{}}
	before := recordedLedger{}
	for _, l := range g.ledgers {
		switch {
		case l.Through == 0:
			a.Skipped[ledgerUnplaced]++
			continue
		case l.Through < before.Through:
			continue // an older one that came late
		}
		if received, whole := g.count(before.Through+1, l.Through); whole {
			a.compare(before, l, received)
		} else {
			a.Skipped[ledgerGap]++
		}
		before = l
	}
	if before.Through > 0 {
		a.Wrong, a.Newest = before.Imbalances(), map[string]uint64{}
		for _, d := range before.Devices {
			a.Newest[d.Device] = d.Stored
		}
	}
	return a
}

// count adds up the readings of each device in the blocks from to to; whole is false if one of them was not received.
func (g *recordedGateway) count(from, to uint64) (received map[string]uint64, whole bool) {
	received = map[string]uint64{}
	if from > to {
		return received, true
	}
	blocks := g.blocks[buffer.Readings]
	i, _ := slices.BinarySearchFunc(blocks, from, func(b recordedBlock, seq uint64) int {
		if b.Seq < seq {
			return -1
		}
		return 1
	})
	for seq := from; seq <= to; seq++ {
		if i >= len(blocks) || blocks[i].Seq != seq {
			return nil, false
		}
		for device, n := range blocks[i].Count {
			received[device] += n
		}
		i++
	}
	return received, true
}

func (a *auditedLedger) compare(before, now recordedLedger, received map[string]uint64) {
	had := map[string]uint64{}
	for _, d := range before.Devices {
		had[d.Device] = d.Stored
	}
	for _, d := range now.Devices {
		a.Compared++
		if stored := d.Stored - had[d.Device]; stored != received[d.Device] {
			a.Different = append(a.Different, ledgerDiffers{d.Device, before.Through + 1, now.Through, stored, received[d.Device]})
		} else {
			a.Equal++
		}
		delete(received, d.Device)
	}
	for _, device := range slices.Sorted(maps.Keys(received)) {
		a.Compared++
		a.Different = append(a.Different, ledgerDiffers{device, before.Through + 1, now.Through, 0, received[device]})
	}
}

func (a *auditedLedger) good() bool { return len(a.Different) == 0 && len(a.Wrong) == 0 }

func (a *auditedLedger) print(w io.Writer) {
	switch {
	case a.Ledgers == 0:
		fmt.Fprintln(w, "  ledger    none received; the gateway publishes it on every full hour, and SITE.yaml lets it be asked")
	case a.Compared == 0:
		fmt.Fprintf(w, "  ledger    %s received, none can be compared\n", plural(a.Ledgers, "ledger"))
	default:
		fmt.Fprintf(w, "  ledger    %s: readings of %s compared, %d equal, %d different\n", plural(a.Ledgers, "ledger"), plural(a.Compared, "device"), a.Equal, len(a.Different))
	}
	for _, why := range slices.Sorted(maps.Keys(a.Skipped)) {
		fmt.Fprintf(w, "            %s not compared: %s\n", plural(a.Skipped[why], "ledger"), why)
	}
	for _, d := range a.Different {
		fmt.Fprintf(w, "  !!        %s: %d readings stored in blocks %d to %d, %d received\n", printable(d.Device), d.Stored, d.From, d.To, d.Received)
	}
	for _, text := range a.Wrong {
		fmt.Fprintln(w, "  !!        the ledger does not balance:", printable(text))
	}
}
