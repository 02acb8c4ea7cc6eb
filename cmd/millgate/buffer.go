package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/millgate/millgate/buffer"
	"github.com/millgate/millgate/configs"
	"github.com/millgate/millgate/drivers"
)

func bufferCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "buffer COMMAND",
		Short:   "Look into the queue",
		Example: "  millgate buffer status site.yaml",
	}
	group(cmd, bufferStatusCommand())
	return cmd
}

func bufferStatusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status SITE.yaml",
		Short: "What the queue holds, what waits for each uplink, and the ledger",
		Long: `Asks the gateway that runs on the site's data_dir; if none does, it opens the queue itself.
The ledger accounts for every reading that was due; exit code 1 if it does not balance.`,
		Example: "  millgate buffer status site.yaml\n  millgate buffer status site.yaml --output json",
		Args:    takes("SITE.yaml"),
	}
	output := addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		site, err := configs.Load(args[0])
		if err != nil {
			return err
		}
		s, by, err := queueStatus(cmd.Context(), site, cmd.ErrOrStderr())
		if err != nil {
			return err
		}
		if *output == asJSON {
			err = printJSON(cmd.OutOrStdout(), s)
		} else {
			err = printQueue(cmd.OutOrStdout(), s, site, by)
		}
		if err == nil && len(s.Ledger.Imbalances()) > 0 {
			return errReported
		}
		return err
	}
	return cmd
}

// queueStatus is the queue's own word, and by whom it was read.
func queueStatus(ctx context.Context, site *configs.Site, stderr io.Writer) (s buffer.Snapshot, by string, err error) {
	if running, err := ask(ctx, site.DataDir, "/v1/buffer", &s); running {
		return s, "the running gateway", err
	}
	if entries, err := os.ReadDir(site.DataDir); errors.Is(err, fs.ErrNotExist) || (err == nil && len(entries) == 0) {
		return s, "", fmt.Errorf("there is no queue in %s yet: millgate run makes it", site.DataDir)
	}
	queue, err := openQueue(site, newLog(stderr, site.Location))
	if err != nil {
		return s, "", err
	}
	s = queue.Snapshot()
	return s, "this command: the gateway is not running", queue.Close()
}

// printQueue prints the queue for people, with times of the site.
func printQueue(w io.Writer, s buffer.Snapshot, site *configs.Site, by string) error {
	fmt.Fprintf(w, "queue    %s (read by %s)\n", site.DataDir, by)
	fmt.Fprintf(w, "on disk  %s, %s\n", plural(s.Segments, "segment"), bytesText(s.Bytes))
	fmt.Fprintf(w, "epoch    %s, next blocks: readings %d, kpis %d, events %d\n", s.Epoch, s.Next[buffer.Readings], s.Next[buffer.KPIs], s.Next[buffer.Events])
	if s.Previous != nil {
		fmt.Fprintf(w, "before   epoch %s ended with damage; its last blocks known: readings %d, kpis %d, events %d\n",
			s.Previous.Epoch, s.Previous.Last[buffer.Readings], s.Previous.Last[buffer.KPIs], s.Previous.Last[buffer.Events])
	}
	if s.DiskError != "" {
		fmt.Fprintf(w, "ERROR    readings can not be written to disk: %s\n", s.DiskError)
	}
	rows := [][]string{{"uplink", "pending blocks", "oldest"}}
	for _, u := range s.Uplinks {
		oldest := "-"
		if u.OldestTime > 0 {
			oldest = time.UnixMilli(u.OldestTime).In(site.Location).Format(time.DateTime)
		}
		rows = append(rows, []string{u.ID, fmt.Sprint(u.PendingBlocks), oldest})
	}
	if len(s.Uplinks) > 0 {
		fmt.Fprintln(w)
		if err := printTable(w, rows); err != nil {
			return err
		}
	}
	fmt.Fprintln(w, "\nledger, in readings")
	return printLedger(w, s.Ledger)
}

// printLedger prints the books in readings, and whether they balance.
func printLedger(w io.Writer, l buffer.Ledger) error {
	rows := [][]string{{"device", "due", "good", "bad", "skipped", "own", "suppressed", "refused", "stored"}}
	for _, d := range l.Devices {
		rows = append(rows, []string{d.Device, fmt.Sprint(d.Due), fmt.Sprint(d.Good), counts(d.Bad), counts(d.Skipped),
			fmt.Sprint(d.Own), fmt.Sprint(d.Suppressed), counts(d.Refused), fmt.Sprint(d.Stored)})
	}
	if err := printTable(w, rows); err != nil {
		return err
	}
	fmt.Fprintln(w)
	if len(l.Uplinks) > 0 {
		rows = [][]string{{"uplink", "stored", "acknowledged", "pending", "evicted", "quarantined"}}
		for _, u := range l.Uplinks {
			rows = append(rows, []string{u.Uplink, fmt.Sprint(u.Stored), fmt.Sprint(u.Acknowledged), fmt.Sprint(u.Pending),
				counts(u.Evicted), fmt.Sprint(u.Quarantined)})
		}
		if err := printTable(w, rows); err != nil {
			return err
		}
		fmt.Fprintln(w)
	}
	wrong := l.Imbalances()
	for _, text := range wrong {
		fmt.Fprintln(w, "the ledger does not balance:", text)
	}
	if len(wrong) == 0 {
		fmt.Fprintln(w, "The ledger balances: every reading that was due is accounted for.")
	}
	return nil
}

// counts is a sum and what it is made of: "12 (garbled_frame 2, timeout 10)".
func counts(by map[drivers.Cause]uint64) string {
	var total uint64
	var parts []string
	for _, cause := range slices.Sorted(maps.Keys(by)) {
		total += by[cause]
		parts = append(parts, fmt.Sprintf("%s %d", cause, by[cause]))
	}
	if len(parts) == 0 {
		return "0"
	}
	return fmt.Sprintf("%d (%s)", total, strings.Join(parts, ", "))
}
