package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/millgate/millgate/configs"
	"github.com/millgate/millgate/drivers/opcua"
)

func trustCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "trust COMMAND",
		Short: "OPC UA certificates: which servers are trusted, and the gateway's own",
		Long: `A server that shows an unknown certificate is not read. Its certificate is kept as rejected, until somebody has compared
the fingerprint with the one at the server and accepts it. All is in gateway.data_dir, in the folder opcua; the running
gateway looks there at each attempt to connect, so nothing has to be restarted.`,
		Example: "  millgate trust list site.yaml\n  millgate trust accept site.yaml b45ffb009a8b0606",
	}
	group(cmd, trustListCommand(), trustAcceptCommand(), trustRejectCommand(), trustRenewCommand())
	return cmd
}

// openTrust is the trust store of a site, and the site.
func openTrust(file string) (*opcua.Trust, *configs.Site, error) {
	site, err := configs.Load(file)
	if err != nil {
		return nil, nil, err
	}
	return &opcua.Trust{Dir: filepath.Join(site.DataDir, "opcua")}, site, nil
}

func trustListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list SITE.yaml",
		Short: "List the certificates: own, trusted, issuers, revocation lists, rejected",
		Long: `Of a fingerprint the first 16 digits are shown, enough to name the certificate; --output json prints all of it, and the
SHA-1 thumbprint that many servers show.`,
		Example: "  millgate trust list site.yaml\n  millgate trust list site.yaml --output json",
		Args:    takes("SITE.yaml"),
	}
	output := addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		trust, site, err := openTrust(args[0])
		if err != nil {
			return err
		}
		entries, err := trust.List()
		if err != nil {
			return err
		}
		if *output == asJSON {
			return printJSON(cmd.OutOrStdout(), append([]opcua.Entry{}, entries...))
		}
		if len(entries) == 0 {
			fmt.Fprintf(cmd.ErrOrStderr(), "There are no certificates in %s yet: the first secure connection of millgate run makes the gateway's own.\n", trust.Dir)
		}
		return printCertificates(cmd.OutOrStdout(), entries, site.Location)
	}
	return cmd
}

func printCertificates(w io.Writer, entries []opcua.Entry, zone *time.Location) error {
	rows := [][]string{{"state", "name", "uri", "fingerprint", "valid until", "file"}}
	for _, e := range entries {
		until := "-"
		if e.Until != 0 {
			until = time.UnixMilli(e.Until).In(zone).Format(time.DateOnly)
		}
		if e.Problem != "" && e.Fingerprint+e.Name == "" {
			rows = append(rows, []string{e.State, "-", "-", "-", "-", printable(e.Problem)})
			continue
		}
		if e.Problem != "" {
			until += " (" + e.Problem + ")"
		}
		rows = append(rows, []string{e.State, orDash(printable(e.Name)), orDash(printable(e.URI)), orDash(short(e.Fingerprint)), until, printable(e.File)})
	}
	return printTable(w, rows)
}

func short(fingerprint string) string { return fingerprint[:min(16, len(fingerprint))] }

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func trustAcceptCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "accept SITE.yaml FINGERPRINT",
		Short: "Trust the server that showed this certificate",
		Long: `FINGERPRINT is the SHA-256 of a rejected certificate, or its first 8 digits or more, or a file with a certificate in DER
or PEM. Compare it with what the server itself shows, at its panel or in its configuration tool: whoever stands between
can show you a certificate too.`,
		Example: "  millgate trust accept site.yaml b45ffb009a8b0606\n  millgate trust accept site.yaml ./cnc-1.der",
		Args:    takes("SITE.yaml", "FINGERPRINT"),
	}
	output := addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		trust, site, err := openTrust(args[0])
		if err != nil {
			return err
		}
		var entry opcua.Entry
		if strings.ContainsAny(args[1], "./\\") {
			entry, err = trust.AcceptFile(args[1])
		} else {
			entry, err = trust.Accept(args[1])
		}
		if err != nil {
			return fmt.Errorf("%w; millgate trust list %s shows what there is", err, args[0])
		}
		old, err := othersOf(trust, entry)
		if err != nil {
			return err
		}
		if *output == asJSON {
			return printJSON(cmd.OutOrStdout(), entry)
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "Trusted. The running gateway uses it at its next attempt to connect.\n")
		for _, e := range old {
			fmt.Fprintf(cmd.ErrOrStderr(), "The same server has another trusted certificate; if it is the old one: millgate trust reject %s %s\n", args[0], short(e.Fingerprint))
		}
		return printCertificates(cmd.OutOrStdout(), []opcua.Entry{entry}, site.Location)
	}
	return cmd
}

// othersOf gives the other trusted certificates of the server that this one is of.
func othersOf(trust *opcua.Trust, of opcua.Entry) (others []opcua.Entry, err error) {
	entries, err := trust.List()
	for _, e := range entries {
		if e.State == "trusted" && e.URI != "" && e.URI == of.URI && e.Fingerprint != of.Fingerprint {
			others = append(others, e)
		}
	}
	return others, err
}

func trustRejectCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reject SITE.yaml FINGERPRINT",
		Short: "Trust a server's certificate no longer",
		Long: `FINGERPRINT is the SHA-256 of a trusted certificate, or its first 8 digits or more. The gateway makes no further connection
to a server that shows it; one that it has ends when it is lost or the gateway is restarted.`,
		Example: "  millgate trust reject site.yaml b45ffb009a8b0606",
		Args:    takes("SITE.yaml", "FINGERPRINT"),
	}
	output := addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		trust, site, err := openTrust(args[0])
		if err != nil {
			return err
		}
		entry, err := trust.Reject(args[1])
		if err != nil {
			return fmt.Errorf("%w; millgate trust list %s shows what there is", err, args[0])
		}
		if *output == asJSON {
			return printJSON(cmd.OutOrStdout(), entry)
		}
		fmt.Fprintln(cmd.ErrOrStderr(), "Rejected. A connection that the running gateway has stays until it is lost.")
		return printCertificates(cmd.OutOrStdout(), []opcua.Entry{entry}, site.Location)
	}
	return cmd
}

func trustRenewCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "renew SITE.yaml",
		Short: "Make a new certificate for the gateway itself",
		Long: `The new certificate is for ten years, and for the site's and the gateway's present ids. It has the same key; --new-key makes
a new key too, as after the old one was copied by somebody. The old files are kept in own/old. Every server must then
trust the new certificate: until then it refuses the gateway.`,
		Example: "  millgate trust renew site.yaml\n  millgate trust renew site.yaml --new-key",
		Args:    takes("SITE.yaml"),
	}
	newKey := cmd.Flags().Bool("new-key", false, "make a new key too")
	output := addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		trust, site, err := openTrust(args[0])
		if err != nil {
			return err
		}
		if _, err := trust.Renew(opcua.ApplicationURI(site.ID, site.Gateway), *newKey); err != nil {
			return err
		}
		entries, err := trust.List()
		if err != nil {
			return err
		}
		entries = entries[:1] // the own one comes first
		if *output == asJSON {
			return printJSON(cmd.OutOrStdout(), entries[0])
		}
		fmt.Fprintln(cmd.ErrOrStderr(), "Renewed. Trust it now at every server: until then they refuse the gateway.")
		return printCertificates(cmd.OutOrStdout(), entries, site.Location)
	}
	return cmd
}
