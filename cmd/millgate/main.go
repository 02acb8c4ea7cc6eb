// Command millgate is an edge gateway for factories: it reads devices, keeps what they say in a queue on disk, and forwards it.
//
// Invariants of every subcommand:
//  1. Results go to standard output, messages to standard error.
//  2. The exit code is 0 when it is done, 1 when the input or the result is bad, 2 when it was called wrongly.
//  3. SIGINT and SIGTERM end it in order; a second one ends it at once.
//
// Is: one file per subcommand, and in run.go the wiring of the rooms: begin reading there. Is not: the logic of a room.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/millgate/millgate/configs"
)

func main() {
	runtime.MemProfileRate = 0 // nobody reads the profile, which takes 1.4 MB of each process
	os.Exit(execute(os.Args[1:], os.Stdout, os.Stderr))
}

// errReported is returned by a command that has already said what is bad.
var errReported = errors.New("already reported")

// execute runs one command line; it is the exit code.
func execute(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, stop)() // the second signal finds the default handler

	called := false // rightly: flags and arguments were accepted
	root := newRoot()
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if err := cmd.ValidateFlagGroups(); err != nil { // which cobra does too late to tell a wrong call from a bad result
			return err
		}
		called = true
		return nil
	}
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	switch {
	case err == nil:
		return 0
	case !called:
		fmt.Fprintf(stderr, "%s: %s\nUsage: %s\n%s --help tells more.\n", cmd.CommandPath(), strings.TrimSpace(err.Error()), cmd.UseLine(), cmd.CommandPath())
		return 2
	case errors.Is(err, errReported):
	default:
		report(stderr, err)
	}
	return 1
}

// report prints an error; the mistakes of a site name their own places.
func report(w io.Writer, err error) {
	var problems configs.Problems
	if errors.As(err, &problems) {
		fmt.Fprintln(w, err)
		return
	}
	fmt.Fprintln(w, "millgate:", err)
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "millgate COMMAND",
		Short: "An edge gateway for factories: Modbus and OPC UA in, MQTT out, nothing lost in between",
		Long: `millgate reads meters, PLCs, drives and machine tools over Modbus and OPC UA, keeps every reading in a queue on disk,
and publishes it over MQTT. It can only read: no write request leaves the box.

Begin with "millgate demo", which needs nothing; then "millgate check" and "millgate run" with a site of your own.`,
		Example:       "  millgate demo\n  millgate check site.yaml\n  millgate run site.yaml",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	group(root,
		demoCommand(), runCommand(), checkCommand(), probeCommand(), scanCommand(), browseCommand(ownWorkers{}, serverInSite), simulateCommand(),
		subscribeCommand(), auditCommand(), kpiCommand(), inputCommand(), trustCommand(), mapsCommand(), bufferCommand(), versionCommand(), workerCommand(),
	)
	root.CompletionOptions.HiddenDefaultCmd = true
	return root
}

// group makes cmd a command that only holds others: called without one of them it is called wrongly.
func group(cmd *cobra.Command, commands ...*cobra.Command) {
	cmd.AddCommand(commands...)
	cmd.DisableFlagsInUseLine = true
	cmd.Args = func(_ *cobra.Command, args []string) error {
		var names []string
		for _, c := range commands {
			if !c.Hidden {
				names = append(names, c.Name())
			}
		}
		if len(args) == 0 {
			return fmt.Errorf("which command? There are: %s", strings.Join(names, ", "))
		}
		return fmt.Errorf("there is no command %q; there are: %s", args[0], strings.Join(names, ", "))
	}
	cmd.RunE = func(*cobra.Command, []string) error { return nil } // never reached; without it Args would not be asked
}

// takes accepts one argument for each name; names in brackets may be left out.
func takes(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) > len(names) {
			return fmt.Errorf("%q is one argument too many", args[len(names)])
		}
		if len(args) < len(names) && !strings.HasPrefix(names[len(args)], "[") {
			return fmt.Errorf("%s is missing", names[len(args)])
		}
		return nil
	}
}
