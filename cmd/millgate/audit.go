package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/millgate/millgate/buffer"
	"github.com/millgate/millgate/configs"
)

func auditCommand() *cobra.Command {
	kpis := false
	cmd := &cobra.Command{
		Use:   "audit [SITE.yaml] RECORDING",
		Short: "Check what a subscriber received: sequences, the ledger, and KPIs computed anew",
		Long: `RECORDING is what "mosquitto_sub -v -t 'millgate/v1/#'" printed: a line "topic payload" for each message, catalogues included; - is standard
input. Nothing else is needed. It checks that no block is missing and none came again with other content, and that the readings of each
device are as many as the ledger that the gateway publishes says. With SITE.yaml also the ledger of that gateway itself is compared, which
is asked if it runs. --kpis computes every KPI anew from the readings and compares it with what was published, member by member.

Exit code 1 if anything is missing or differs.`,
		Example: "  mosquitto_sub -h broker -q 1 -i auditor -c -v -t 'millgate/v1/#' > recording.txt\n  millgate audit recording.txt --kpis\n" +
			"  millgate audit site.yaml recording.txt --output json",
		Args: func(_ *cobra.Command, args []string) error {
			return takes([][]string{{"RECORDING"}, {"SITE.yaml", "RECORDING"}}[min(1, max(0, len(args)-1))]...)(nil, args)
		},
	}
	cmd.Flags().BoolVar(&kpis, "kpis", false, "compute the KPIs anew from the readings, and compare")
	output := addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		r, err := openRecording(args[len(args)-1], cmd.InOrStdin())
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, r.close()) }()
		if len(args) == 2 {
			if err := r.only(cmd.Context(), args[0], cmd.ErrOrStderr()); err != nil {
				return err
			}
		}
		a, err := r.audit(kpis)
		if err != nil {
			return err
		}
		if *output == asJSON {
			err = printJSON(cmd.OutOrStdout(), a)
		} else {
			err = a.print(cmd.OutOrStdout())
		}
		if err == nil && !a.Good {
			err = errReported
		}
		return err
	}
	return cmd
}

// audited is the result of an audit.
type audited struct {
	Good     bool             `json:"good"`
	Messages uint64           `json:"messages"`
	Repeated uint64           `json:"repeated"`
	Missing  uint64           `json:"missing"` // blocks that no event explains
	Faults   uint64           `json:"faults"`
	Notices  []notice         `json:"notices,omitempty"`
	Gateways []auditedGateway `json:"gateways"`
}

// auditedGateway is what was found of one gateway.
type auditedGateway struct {
	Gateway string                   `json:"gateway"` // site/gateway
	Streams map[string]auditedStream `json:"streams"`
	Ledger  auditedLedger            `json:"ledger"`
	KPIs    *auditedKPIs             `json:"kpis,omitempty"`
}

// auditedStream is which blocks of a stream were received.
type auditedStream struct {
	Blocks int    `json:"blocks"`
	First  uint64 `json:"first"`
	Last   uint64 `json:"last"`
}

// only leaves the gateway of a site, with its own account as the newest ledger.
func (r *recording) only(ctx context.Context, siteFile string, stderr io.Writer) error {
	site, err := configs.Load(siteFile)
	if err != nil {
		return err
	}
	name := site.ID + "/" + site.Gateway
	g := r.gateways[name]
	if g == nil {
		return fmt.Errorf("the recording holds nothing of %s; it has %s", name, strings.Join(slices.Sorted(maps.Keys(r.gateways)), ", "))
	}
	r.gateways = map[string]*recordedGateway{name: g}
	s, _, err := queueStatus(ctx, site, stderr)
	if err != nil {
		return err
	}
	g.ledgers = append(g.ledgers, recordedLedger{Time: time.Now().UnixMilli(), Through: s.Next[buffer.Readings] - 1, Ledger: s.Ledger})
	return nil
}

func (r *recording) audit(kpis bool) (*audited, error) {
	a := &audited{Messages: r.messages, Repeated: r.got.repeated}
	good := true
	for _, name := range slices.Sorted(maps.Keys(r.gateways)) {
		g := r.gateways[name]
		found := auditedGateway{Gateway: name, Streams: map[string]auditedStream{}, Ledger: g.auditLedger()}
		for stream, blocks := range g.blocks {
			found.Streams[string(stream)] = auditedStream{len(blocks), blocks[0].Seq, blocks[len(blocks)-1].Seq}
		}
		good = good && found.Ledger.good()
		if kpis {
			compared, err := r.auditKPIs(g)
			if err != nil {
				return nil, err
			}
			found.KPIs = compared
			good = good && compared.good()
		}
		a.Gateways = append(a.Gateways, found)
	}
	a.Missing, a.Faults, a.Notices = r.got.missing(), r.got.faults, r.notices
	a.Good = good && r.got.good()
	return a, nil
}

// maxNotices is how many of many alike a person is shown.
const maxNotices = 20

func (a *audited) print(w io.Writer) error {
	fmt.Fprintf(w, "recording  %s; %d repeated, %d missing, %d faults\n", plural(int(a.Messages), "message"), a.Repeated, a.Missing, a.Faults)
	for i, n := range a.Notices {
		if i == maxNotices {
			fmt.Fprintf(w, "!! and %d more; --output json has them all\n", len(a.Notices)-i)
			break
		}
		fmt.Fprintf(w, "!! %s\n", n.Text)
	}
	for _, g := range a.Gateways {
		fmt.Fprintf(w, "\n%s\n", printable(g.Gateway))
		for _, stream := range slices.Sorted(maps.Keys(g.Streams)) {
			s := g.Streams[stream]
			fmt.Fprintf(w, "  %-9s %s, %d to %d\n", printable(stream), plural(s.Blocks, "block"), s.First, s.Last)
		}
		g.Ledger.print(w)
		if g.KPIs != nil {
			g.KPIs.print(w)
		}
	}
	verdict := "\nNothing is missing, and nothing differs."
	if !a.Good {
		verdict = "\nSomething is missing or differs: see above."
	}
	_, err := fmt.Fprintln(w, verdict)
	return err
}
