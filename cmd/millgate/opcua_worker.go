package main

import (
	"github.com/spf13/cobra"

	"github.com/millgate/millgate/drivers/opcua"
	"github.com/millgate/millgate/drivers/opcua/worker"
)

// workerCommand is what a gateway runs for each OPC UA server, in a process of its own; nobody types it.
func workerCommand() *cobra.Command {
	return &cobra.Command{
		Use:    opcua.WorkerCommand,
		Short:  "Read an OPC UA server for the gateway that started this process",
		Hidden: true,
		Args:   takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return worker.Run(cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
}
