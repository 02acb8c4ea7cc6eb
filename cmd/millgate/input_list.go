package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/millgate/millgate/collector/kpi"
	"github.com/millgate/millgate/configs"
	"github.com/millgate/millgate/drivers"
)

// listedInputs is what people can enter, and what they have entered as far as the local history reaches.
type listedInputs struct {
	Inputs  []kpi.Input    `json:"inputs"`
	Entered []enteredInput `json:"entered"` // newest of each period, in order of period; swaps among them
}

func listInputs(cmd *cobra.Command, site *configs.Site, output format) error {
	if site.KPI == nil {
		return errors.New("the site has no equipment, so there is nothing to enter")
	}
	entered, err := enteredInputs(cmd.Context(), site, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	l := listedInputs{Inputs: append([]kpi.Input{}, site.KPI.Inputs...), Entered: entered}
	if output == asJSON {
		return printJSON(cmd.OutOrStdout(), l)
	}
	rows := [][]string{{"input", "subject", "quantity", "unit", "period", "name"}}
	for _, in := range l.Inputs {
		rows = append(rows, []string{in.ID, in.Subject, in.Quantity, cmp.Or(in.Unit, "1"), in.Period, in.Name})
	}
	if err := printTable(cmd.OutOrStdout(), rows); err != nil {
		return err
	}
	fmt.Fprintln(cmd.OutOrStdout())
	if len(entered) == 0 {
		fmt.Fprintln(cmd.OutOrStdout(), "Nothing was entered, as far as the local history reaches.")
		return nil
	}
	rows = [][]string{{"entered", "window", "value", "by"}}
	for _, e := range entered {
		if e.Swap != nil {
			rows = append(rows, []string{"swap of " + printable(e.Swap.Tag), time.UnixMilli(e.Time).In(site.Location).Format("2006-01-02 15:04"),
				fmt.Sprintf("%v → %v", e.Swap.Final, e.Swap.Initial), printable(e.By)})
			continue
		}
		rows = append(rows, []string{printable(e.ID), printable(e.Label), figureText(e.Value), printable(e.By)})
	}
	return printTable(cmd.OutOrStdout(), rows)
}

// enteredInputs asks the gateway that runs, or reads the queue of one that does not.
func enteredInputs(ctx context.Context, site *configs.Site, stderr io.Writer) (entered []enteredInput, err error) {
	if running, err := order(ctx, site.DataDir, http.MethodPost, "/v1/inputs", struct{}{}, &entered); running {
		return entered, err
	}
	if entries, err := os.ReadDir(site.DataDir); errors.Is(err, fs.ErrNotExist) || (err == nil && len(entries) == 0) {
		return nil, nil
	}
	err = atDesk(site, stderr, func(d *kpiDesk) error {
		entered, err = d.inputs(ctx)
		return err
	})
	return entered, err
}

// inputs is what was entered, as far as the local history reaches.
func (d *kpiDesk) inputs(ctx context.Context) ([]enteredInput, error) {
	past, err := d.queue.Past(ctx, d.dir)
	if err != nil {
		return nil, err
	}
	return readInputs(d.config, past.Blocks(1))
}

// readInputs finds what was entered. Of each input and period, and of each swap, the last one counts.
func readInputs(config *kpi.Config, blocks iter.Seq2[*kpi.Batch, error]) ([]enteredInput, error) {
	if config == nil {
		return nil, errors.New("it knows no equipment: restart it if the site has changed")
	}
	schedule, err := kpi.NewSchedule(config.Calendar)
	if err != nil {
		return nil, err
	}
	kinds := map[string]kpi.WindowKind{}
	for _, in := range config.Inputs {
		kinds[in.ID] = kpi.WindowKind(in.Period)
	}
	found := map[string]*enteredInput{}
	for b, err := range blocks {
		if err != nil {
			return nil, err
		}
		for i := range b.Readings {
			if r := &b.Readings[i]; r.Tag.Device == kpi.ManualDevice {
				noteInput(found, r, kinds, schedule)
			}
		}
	}
	entered := make([]enteredInput, 0, len(found))
	for _, key := range slices.Sorted(maps.Keys(found)) {
		entered = append(entered, *found[key])
	}
	slices.SortStableFunc(entered, func(a, b enteredInput) int { return cmp.Compare(a.Time, b.Time) })
	return entered, nil
}

func noteInput(found map[string]*enteredInput, r *drivers.Reading, kinds map[string]kpi.WindowKind, schedule *kpi.Schedule) {
	if r.Tag.Name == kpi.SwapTag {
		var swap kpi.MeterSwap
		if json.Unmarshal([]byte(r.Value.Text()), &swap) == nil { // else somebody else wrote it
			found[fmt.Sprint(swap.Tag, " ", r.Time)] = &enteredInput{inputOrder: inputOrder{Swap: &swap, Time: r.Time, By: swap.By}}
		}
		return
	}
	name, isBy := strings.CutSuffix(r.Tag.Name, kpi.ByTag)
	key := fmt.Sprint(name, " ", r.Time)
	if isBy {
		if e := found[key]; e != nil {
			e.By = r.Value.Text()
		}
		return
	}
	value, ok := r.Value.Float()
	w, in := schedule.Window(kinds[name], r.Time)
	if ok && in {
		found[key] = &enteredInput{inputOrder: inputOrder{ID: name, Value: value, Time: r.Time, Label: w.Label}}
	}
}
