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
		Example: "  millgate maps list\n  millgate maps show eastron-sdm630",
	}
	group(cmd, mapsListCommand(), mapsShowCommand())
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
		rows := [][]string{{"map", "version", "points", "verified", "device"}}
		for _, m := range configs.Maps() {
			verified := "no"
			if m.Verified {
				verified = "yes"
			}
			rows = append(rows, []string{m.Name, m.Version, fmt.Sprint(m.Points), verified, m.Title})
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
