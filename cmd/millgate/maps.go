package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/millgate/millgate/configs"
)

func mapsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "maps COMMAND",
		Short:   "The device maps that come with millgate",
		Example: "  millgate maps list\n  millgate maps show eastron-sdm630\n  millgate maps convert my-meter.yaml my-meter.csv",
	}
	group(cmd, mapsListCommand(), mapsShowCommand(), mapsConvertCommand())
	return cmd
}

func mapsListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the device maps",
		Long:    "A map that is not verified was transcribed from the source it names: compare its values with the device's panel.",
		Example: "  millgate maps list\n  millgate maps list --output json",
		Args:    takes(),
	}
	output := addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *output == asJSON {
			return printJSON(cmd.OutOrStdout(), configs.Maps())
		}
		rows := [][]string{{"map", "version", "protocol", "points", "verified", "device"}}
		for _, m := range configs.Maps() {
			verified := "no"
			if m.Verified {
				verified = "yes"
			}
			rows = append(rows, []string{m.Name, m.Version, m.Protocol, fmt.Sprint(m.Points), verified, m.Title})
		}
		return printTable(cmd.OutOrStdout(), rows)
	}
	return cmd
}

func mapsShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "show NAME",
		Short:   "Print a device map",
		Long:    "Prints the map's YAML: to read it, or to write it to a file and change it there.",
		Example: "  millgate maps show eastron-sdm630\n  millgate maps show eastron-sdm630 > my-meter.yaml    # then, in site.yaml, map: ./my-meter.yaml",
		Args:    takes("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, m := range configs.Maps() {
				if m.Name == args[0] {
					_, err := cmd.OutOrStdout().Write(m.Text)
					return err
				}
			}
			return fmt.Errorf("there is no map %q; millgate maps list shows those there are", args[0])
		},
	}
}

func mapsConvertCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "convert IN OUT",
		Short: "Turn a device map from YAML into a table, or back",
		Long: `Writes the device map IN, a file or the name of a map of the library, into the new file OUT: .csv for a spreadsheet, .yaml for a text
editor. Both say the same, and a site may use either. Comments in front of the map are kept, others are not.`,
		Example: "  millgate maps convert my-meter.yaml my-meter.csv\n  millgate maps convert sinumerik-840d my-cnc.csv    # then, in site.yaml, map: ./my-cnc.csv",
		Args:    takes("IN", "OUT"),
		RunE: func(_ *cobra.Command, args []string) error {
			return configs.ConvertMap(args[0], args[1])
		},
	}
}
