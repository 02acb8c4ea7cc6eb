package main

import (
	"fmt"
	"io"
	"math"

	"github.com/millgate/millgate/configs"
)

// serverSummary is what an OPC UA server is asked to do, and what it can, as far as its maps and the site know.
type serverSummary struct {
	Endpoint      string   `json:"endpoint"`
	Devices       []string `json:"devices"`
	Items         int      `json:"items"`              // that it samples
	Samples       float64  `json:"samples_per_second"` // of these
	Reads         float64  `json:"reads_per_second"`   // values that are polled
	Subscriptions int      `json:"subscriptions"`
	Sessions      int      `json:"sessions"`

	MaxSamples       int `json:"max_samples_per_second,omitempty"`
	MaxSubscriptions int `json:"max_subscriptions,omitempty"`
	MaxSessions      int `json:"max_sessions,omitempty"`
}

func summarizeServer(v configs.Server) serverSummary {
	return serverSummary{Endpoint: v.Endpoint, Devices: v.Devices, Items: v.Items, Samples: tenths(v.Samples), Reads: tenths(v.Reads),
		Subscriptions: v.Subscriptions, Sessions: v.Sessions,
		MaxSamples: v.Budget.SamplesPerSecond, MaxSubscriptions: v.Budget.Subscriptions, MaxSessions: v.Budget.Sessions}
}

func tenths(v float64) float64 { return math.Round(10*v) / 10 }

func printServers(w io.Writer, servers []serverSummary) error {
	if len(servers) == 0 {
		return nil
	}
	rows := [][]string{{"server", "devices", "items", "samples per second", "reads per second", "subscriptions", "sessions"}}
	for _, v := range servers {
		of := func(text string, limit int) string {
			if limit == 0 {
				return text
			}
			return fmt.Sprintf("%s of %d", text, limit)
		}
		rows = append(rows, []string{v.Endpoint, fmt.Sprint(len(v.Devices)), fmt.Sprint(v.Items), of(fmt.Sprintf("%.1f", v.Samples), v.MaxSamples),
			fmt.Sprintf("%.1f", v.Reads), of(fmt.Sprint(v.Subscriptions), v.MaxSubscriptions), of(fmt.Sprint(v.Sessions), v.MaxSessions)})
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	return printTable(w, rows)
}
