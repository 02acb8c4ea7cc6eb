package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/millgate/millgate/configs"
	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/opcua"
)

// asker asks a server something through a worker of its own: opcua.Workers does.
type asker interface {
	Ask(ctx context.Context, server opcua.Server, q opcua.Question, each func(opcua.Answer)) error
}

// ownWorkers are workers for one question.
type ownWorkers struct{}

func (ownWorkers) Ask(ctx context.Context, server opcua.Server, q opcua.Question, each func(opcua.Answer)) (err error) {
	w := opcua.NewWorkers()
	defer func() { err = errors.Join(err, w.Close()) }()
	return w.Ask(ctx, server, q, each)
}

// serverOf gives the server of a device in a site.
type serverOf func(site, device string) (opcua.Server, error)

func serverInSite(file, device string) (opcua.Server, error) {
	site, err := configs.Load(file)
	if err != nil {
		return opcua.Server{}, err
	}
	devices, err := oneDevice(site, device)
	if err != nil {
		return opcua.Server{}, err
	}
	for _, g := range devices[0].Groups {
		if g.OPCUA != nil {
			return g.OPCUA.Server, nil
		}
	}
	return opcua.Server{}, fmt.Errorf("device %s is not read over OPC UA: millgate scan looks around on Modbus", device)
}

// browseFlags are the flags of browse.
type browseFlags struct {
	ask                        opcua.BrowseRequest
	output                     string
	policy, mode               string
	user, passwordFile         string
	certFile, keyFile          string
	trust, accept              string
	timeout                    time.Duration
	deprecated, plain, enabled bool
}

const (
	defaultTrust   = "opcua"
	browseSessions = time.Minute
)

func browseCommand(workers asker, server serverOf) *cobra.Command {
	var f browseFlags
	cmd := &cobra.Command{
		Use:   "browse ENDPOINT | SITE DEVICE",
		Short: "Write a device map from an OPC UA server's address space",
		Long: `Goes through what an OPC UA server has, and writes a device map with its variables: NodeID, type, unit, states. Machine tools, machines
and CNCs that follow OPC 40501-1, OPC 40001-1, OPC 40502 or PackML are recognised by their types; their states, counters and programs
come first and have the names that KPIs look for. The map switches everything else off then: set enabled where it is wanted.

It only reads. With an endpoint, the connection is as the flags say; with a site and a device, as the site says.`,
		Example: `  millgate browse opc.tcp://192.168.1.20:4840 -o cnc-1.csv --user gateway --password-file cnc-1.password
  millgate browse opc.tcp://192.168.1.20:4840 --policy None --mode None --from "nsu=urn:plc;s=Line1" --filter "*temp*"
  millgate browse site.yaml cnc-1 -o cnc-1.yaml`,
		Args: takes("ENDPOINT or SITE", "[DEVICE]"),
	}
	flags := cmd.Flags()
	flags.StringVar(&f.ask.From, "from", "", "NodeID to begin at (default the Objects folder)")
	flags.StringVar(&f.ask.Filter, "filter", "", "only tags whose name or path is like this: with * and ?, or a regular expression between slashes")
	flags.IntVar(&f.ask.Depth, "depth", opcua.DefaultBrowseDepth, "references to follow from there")
	flags.IntVar(&f.ask.Max, "max", opcua.DefaultBrowseNodes, "nodes to look at")
	flags.BoolVar(&f.ask.Properties, "properties", false, "also variables that describe others, such as serial numbers")
	flags.BoolVar(&f.enabled, "all", false, "switch nothing off in the map")
	flags.StringVarP(&f.output, "output", "o", string(mapCSV), "file for the map, .csv, .yaml or .json; csv, yaml or json alone prints it")
	flags.StringVar(&f.policy, "policy", string(opcua.Basic256Sha256), "security policy, or None")
	flags.StringVar(&f.mode, "mode", string(opcua.SignAndEncrypt), "security mode: SignAndEncrypt, Sign, or None")
	flags.StringVar(&f.user, "user", "", "user (default anonymous)")
	flags.StringVar(&f.passwordFile, "password-file", "", "file with the user's password")
	flags.StringVar(&f.certFile, "cert-file", "", "certificate of a user that has one")
	flags.StringVar(&f.keyFile, "key-file", "", "its key")
	flags.StringVar(&f.trust, "trust", defaultTrust, "folder with the gateway's certificate and those of the servers it trusts")
	flags.StringVar(&f.accept, "accept", "", "trust the server's certificate with this fingerprint, or the beginning of it, from now on")
	flags.DurationVar(&f.timeout, "timeout", 5*time.Second, "how long an answer may take")
	flags.BoolVar(&f.deprecated, "allow-deprecated", false, "allow the policies Basic256 and Basic128Rsa15")
	flags.BoolVar(&f.plain, "allow-plain-password", false, "allow a password over a connection without encryption")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		at, err := f.server(args, server)
		if err != nil {
			return err
		}
		if f.accept != "" {
			if len(args) == 2 {
				return errors.New("--accept is for an endpoint without a site; millgate trust accept does it for a site")
			}
			if _, err := (&opcua.Trust{Dir: f.trust}).Accept(f.accept); err != nil {
				return err
			}
		}
		err = f.run(cmd, workers, at)
		if len(args) == 1 && drivers.CauseOf(err) == drivers.CauseCertificateUnknown {
			err = fmt.Errorf("%w\n(without a site: the same command with --accept and the fingerprint)", err)
		}
		return err
	}
	return cmd
}

// server is where to browse: as the flags say, or as the site does.
func (f *browseFlags) server(args []string, server serverOf) (opcua.Server, error) {
	if len(args) == 2 {
		return server(args[0], args[1])
	}
	s := opcua.Server{Policy: opcua.Policy(f.policy), Mode: opcua.Mode(f.mode), AllowDeprecated: f.deprecated, AllowPlainPassword: f.plain,
		Timeout: f.timeout, SessionTimeout: browseSessions, Trust: f.trust, ApplicationURI: opcua.ApplicationURI("browse", "millgate"),
		User: opcua.User{Name: f.user, CertFile: f.certFile, KeyFile: f.keyFile}}
	endpoint, err := opcua.ParseEndpoint(args[0])
	if err != nil {
		return s, fmt.Errorf("%w, or name a site and a device", err)
	}
	s.Endpoint = endpoint
	switch {
	case !slices.Contains(opcua.Policies, s.Policy):
		return s, fmt.Errorf("--policy %q: use %s, %s, %s or %s", f.policy, opcua.Basic256Sha256, opcua.Aes128Sha256RsaOaep, opcua.Aes256Sha256RsaPss, opcua.PolicyNone)
	case !slices.Contains(opcua.Modes, s.Mode):
		return s, fmt.Errorf("--mode %q: use %s, %s or %s", f.mode, opcua.SignAndEncrypt, opcua.Sign, opcua.ModeNone)
	case (s.Policy == opcua.PolicyNone) != (s.Mode == opcua.ModeNone):
		return s, errors.New("--policy None and --mode None go together")
	case s.Policy.Deprecated() && !f.deprecated:
		return s, fmt.Errorf("--policy %s is no longer secure: take %s if the server has it, or add --allow-deprecated", s.Policy, opcua.Basic256Sha256)
	case (f.certFile == "") != (f.keyFile == ""):
		return s, errors.New("--cert-file and --key-file go together")
	case f.certFile != "" && f.user != "":
		return s, errors.New("a user has either a name or a certificate: keep one of --user and --cert-file")
	case f.passwordFile != "" && f.user == "":
		return s, errors.New("--password-file without --user: whose is it?")
	case f.passwordFile != "":
		s.User.Password = func() (string, error) { return readPassword(f.passwordFile) }
	}
	return s, nil
}

// run asks the server and writes the map.
func (f *browseFlags) run(cmd *cobra.Command, workers asker, server opcua.Server) error {
	kind, err := mapFormatOf(f.output)
	if err != nil {
		return err
	}
	result, err := browse(cmd.Context(), workers, server, f.ask, newBrowseProgress(cmd.ErrOrStderr(), server.Endpoint))
	if err != nil {
		return fmt.Errorf("%s: %w", server.Endpoint, err)
	}
	f.report(cmd.ErrOrStderr(), result)
	if len(result.Rows) == 0 {
		return errReported
	}
	made := mapOf(result, server.Endpoint, f.enabled)
	if f.output == string(kind) {
		return writeMap(cmd.OutOrStdout(), made, result, kind)
	}
	file, err := os.OpenFile(f.output, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s is there already: name another file, or remove it", f.output)
	}
	if err != nil {
		return err
	}
	return errors.Join(writeMap(file, made, result, kind), file.Close())
}

// mapFormatOf is the format of what -o names.
func mapFormatOf(output string) (mapFormat, error) {
	word := strings.TrimPrefix(strings.ToLower(filepath.Ext(output)), ".")
	if word == "" {
		word = output
	}
	if word == "yml" {
		word = string(mapYAML)
	}
	if kind := mapFormat(word); kind == mapCSV || kind == mapYAML || kind == mapJSON {
		return kind, nil
	}
	return "", fmt.Errorf("--output %s: name a file that ends with .csv, .yaml or .json, or say csv, yaml or json", output)
}

// browse asks for the address space and waits for the answer.
func browse(ctx context.Context, workers asker, server opcua.Server, request opcua.BrowseRequest, progress *browseProgress) (*opcua.BrowseResult, error) {
	with, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	var result *opcua.BrowseResult
	var broken error
	err = workers.Ask(ctx, server, opcua.Question{What: opcua.AskBrowse, With: with}, func(a opcua.Answer) {
		var said opcua.BrowseAnswer
		if len(a.With) == 0 {
			return
		}
		if err := json.Unmarshal(a.With, &said); err != nil {
			broken = fmt.Errorf("the worker's answer can not be read: %w", err)
			return
		}
		if said.Result != nil {
			result = said.Result
		}
		progress.show(said)
	})
	progress.end()
	switch {
	case ctx.Err() != nil:
		return nil, errors.New("stopped before the end")
	case err != nil:
		return nil, err
	case broken != nil:
		return nil, broken
	case result == nil:
		return nil, errors.New("the worker ended without an answer")
	}
	return result, nil
}

// report says what was found.
func (f *browseFlags) report(w io.Writer, r *opcua.BrowseResult) {
	for _, m := range r.Machines {
		known := 0
		for _, row := range r.Rows {
			if row.Spec != "" && strings.HasPrefix(row.Name, m.Prefix) {
				known++
			}
		}
		fmt.Fprintf(w, "millgate: found %s (%s, %s) with %d known tags\n", printable(m.Name), m.Spec, printable(m.Node), known)
	}
	denied := 0
	for _, row := range r.Rows {
		if row.Denied {
			denied++
		}
	}
	if denied > 0 {
		fmt.Fprintf(w, "millgate: %d of the tags may not be read by this user\n", denied)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(w, "millgate: %s\n", printable(n))
	}
	switch {
	case len(r.Rows) > 0:
		fmt.Fprintf(w, "millgate: %d tags\n", len(r.Rows))
	case f.ask.Filter != "":
		fmt.Fprintln(w, "millgate: nothing there fits the filter")
	default:
		fmt.Fprintln(w, "millgate: there is no variable below this node")
	}
}
