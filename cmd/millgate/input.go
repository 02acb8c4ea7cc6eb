package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/millgate/millgate/collector/kpi"
	"github.com/millgate/millgate/configs"
	"github.com/millgate/millgate/drivers"
)

func inputCommand() *cobra.Command {
	var o inputOptions
	cmd := &cobra.Command{
		Use:   "input SITE.yaml [ID VALUE]",
		Short: "Enter a figure that no meter tells (scrap, tonnage, a gas bill), or tell that a meter was swapped",
		Long: `Stores VALUE for one period of the input ID of the site file, as a reading of the device "manual": delivered like any other, with who entered
it. KPIs of the period are computed anew and published as a revision. A value that is entered again replaces the one before.

--window names the period: 2026-11-22/night for a shift, 2026-11-22 for a day of production, 2026-11 for a month; without it, it is the
last one that has ended.

--swap tells that a meter was replaced: what it showed last, and what the new one showed first. It may be told days later.

Goes through the gateway that runs on the site's data_dir; if none does, it opens the queue itself.`,
		Example: "  millgate input site.yaml scrap-7 12 --window 2026-11-22/night --by 王芳\n" +
			"  millgate input site.yaml --swap meter-1.energy_import --at 2026-11-20T10:00 --final 12345.6 --initial 0.2 --by 王芳\n" +
			"  millgate input site.yaml --list",
		Args: o.args,
	}
	flags := cmd.Flags()
	flags.StringVar(&o.window, "window", "", "the period; default: the last one that has ended")
	flags.StringVar(&o.by, "by", "", "who enters it")
	flags.StringVar(&o.swap, "swap", "", "a counter, device.tag, whose meter was swapped")
	flags.StringVar(&o.at, "at", "", "when it was swapped, local time of the site: 2026-11-20T10:00")
	flags.Float64Var(&o.final, "final", math.NaN(), "what the old meter showed last, in the tag's unit")
	flags.Float64Var(&o.initial, "initial", math.NaN(), "what the new meter showed first")
	flags.BoolVar(&o.list, "list", false, "print the inputs that the site has, and what was entered")
	output := addOutput(cmd)
	cmd.MarkFlagsMutuallyExclusive("list", "swap", "window")
	cmd.MarkFlagsMutuallyExclusive("list", "by")
	cmd.MarkFlagsRequiredTogether("swap", "at", "final", "initial")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		site, err := configs.Load(args[0])
		if err != nil {
			return err
		}
		if o.list {
			return listInputs(cmd, site, *output)
		}
		order, err := o.order(site, args[1:], time.Now())
		if err != nil {
			return err
		}
		entered, err := enter(cmd.Context(), site, order, cmd.ErrOrStderr())
		if err != nil {
			return err
		}
		for _, w := range entered.Warnings {
			fmt.Fprintln(cmd.ErrOrStderr(), "millgate:", w)
		}
		if *output == asJSON {
			return printJSON(cmd.OutOrStdout(), entered)
		}
		return printEntered(cmd.OutOrStdout(), site, entered)
	}
	return cmd
}

// inputOptions are the flags of input.
type inputOptions struct {
	window, by, swap, at string
	final, initial       float64
	list                 bool
}

func (o *inputOptions) args(_ *cobra.Command, args []string) error {
	switch {
	case o.list || o.swap != "":
		if err := takes("SITE.yaml")(nil, args); err != nil {
			return err
		}
	default:
		if err := takes("SITE.yaml", "ID", "VALUE")(nil, args); err != nil {
			return err
		}
	}
	if !o.list && strings.TrimSpace(o.by) == "" {
		return errors.New("--by is missing: say who enters it")
	}
	return nil
}

// inputOrder is the body of POST /v1/input: one figure, or one swap.
type inputOrder struct {
	ID    string         `json:"id,omitempty"`
	Value float64        `json:"value,omitempty"`
	Swap  *kpi.MeterSwap `json:"swap,omitempty"`
	Time  int64          `json:"t"` // ms since 1970 UTC: begin of the period, or moment of the swap
	Label string         `json:"window,omitempty"`
	By    string         `json:"by"`
	Open  bool           `json:"open,omitempty"` // the period has not ended
}

// enteredInput is what was stored.
type enteredInput struct {
	inputOrder
	Warnings []string `json:"warnings,omitempty"`
}

// order makes an order of the flags and arguments, or says what is wrong with them.
func (o *inputOptions) order(site *configs.Site, args []string, now time.Time) (order inputOrder, err error) {
	order.By = strings.TrimSpace(o.by)
	if o.swap != "" {
		return o.swapOrder(site, order, now)
	}
	in, err := inputNamed(site, args[0])
	if err != nil {
		return order, err
	}
	order.ID = in.ID
	if order.Value, err = strconv.ParseFloat(strings.ReplaceAll(args[1], ",", ""), 64); err != nil || order.Value-order.Value != 0 {
		return order, fmt.Errorf("%q is no number; the unit of %s is %s, and is not written: 12.5", args[1], in.ID, cmp.Or(in.Unit, "1"))
	}
	if order.Value < 0 {
		return order, fmt.Errorf("%s can not be negative: it is %s of a whole %s", in.ID, in.Quantity, periodNoun[in.Period])
	}
	w, err := periodOf(site, in, o.window, now)
	if err != nil {
		return order, err
	}
	order.Time, order.Label, order.Open = w.From, w.Label, w.To > drivers.Millis(now)
	return order, nil
}

// swapTimes are the forms of --at.
var swapTimes = []string{"2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02 15:04:05"}

func (o *inputOptions) swapOrder(site *configs.Site, order inputOrder, now time.Time) (inputOrder, error) {
	at, err := time.Parse(time.RFC3339, o.at)
	for _, form := range swapTimes {
		if err == nil {
			break
		}
		at, err = time.ParseInLocation(form, o.at, site.Location)
	}
	switch {
	case err != nil:
		return order, fmt.Errorf("--at %q is no time: write 2026-11-20T10:00, in local time of the site", o.at)
	case at.After(now):
		return order, fmt.Errorf("--at %s lies in the future", o.at)
	case o.final-o.final != 0 || o.initial-o.initial != 0 || o.final < 0 || o.initial < 0:
		return order, errors.New("--final and --initial are what the two meters showed: numbers from 0")
	}
	tag, err := counterNamed(site, o.swap)
	if err != nil {
		return order, err
	}
	order.Time = drivers.Millis(at)
	order.Swap = &kpi.MeterSwap{Tag: tag, Final: o.final, Initial: o.initial, By: order.By}
	return order, nil
}

// inputNamed finds an input of the site.
func inputNamed(site *configs.Site, id string) (*kpi.Input, error) {
	if site.KPI == nil || len(site.KPI.Inputs) == 0 {
		return nil, errors.New("the site has no inputs: list them in site.yaml under inputs")
	}
	var ids []string
	for i := range site.KPI.Inputs {
		if site.KPI.Inputs[i].ID == id {
			return &site.KPI.Inputs[i], nil
		}
		ids = append(ids, site.KPI.Inputs[i].ID)
	}
	return nil, fmt.Errorf("there is no input %q%s", id, cmp.Or(configs.Suggestion(id, ids), "; there are: "+strings.Join(ids, ", ")))
}

// counterNamed is the place "device/tag" of a counter written as device.tag.
func counterNamed(site *configs.Site, name string) (string, error) {
	if site.Manual == nil {
		return "", errors.New("the site has no equipment whose energy or parts are counted: nothing would come of a swap")
	}
	var counters []string
	for _, d := range site.Catalogue.Devices {
		for _, t := range d.Tags {
			if t.Kind == drivers.Counter.String() {
				counters = append(counters, d.ID+"."+t.Name)
			}
			if d.ID+"."+t.Name != strings.Replace(name, "/", ".", 1) {
				continue
			}
			if t.Kind != drivers.Counter.String() {
				return "", fmt.Errorf("%s is no counter (kind %s)", name, t.Kind)
			}
			return d.ID + "/" + t.Name, nil
		}
	}
	return "", fmt.Errorf("there is no counter %q%s", name, cmp.Or(configs.Suggestion(name, counters), "; write it as device.tag"))
}

var periodNoun = map[string]string{string(kpi.InShift): "shift", string(kpi.Day): "day of production", string(kpi.Month): "month"}

// lookBack is how far back a period may lie.
const lookBack = 400 * 24 * time.Hour

// periodOf is the period of an input with that label; empty: the last that has ended.
func periodOf(site *configs.Site, in *kpi.Input, label string, now time.Time) (w kpi.Window, err error) {
	schedule, err := kpi.NewSchedule(site.KPI.Calendar)
	if err != nil {
		return w, err
	}
	kind, at := kpi.WindowKind(in.Period), drivers.Millis(now)
	windows := schedule.Windows(kind, kpi.Window{From: at - lookBack.Milliseconds(), To: at + (32 * 24 * time.Hour).Milliseconds()})
	var last kpi.Window
	for _, w := range windows {
		if w.Label == label {
			if w.From > at {
				return w, fmt.Errorf("%s has not begun yet", label)
			}
			return w, nil
		}
		if w.To <= at {
			last = w
		}
	}
	example := "the calendar has no " + periodNoun[in.Period] + " that has ended"
	if last.Label != "" {
		example = "the last one that has ended is " + last.Label
	}
	switch {
	case label != "":
		return w, fmt.Errorf("--window %q is no %s of the last %d days, of which %s is; %s", label, periodNoun[in.Period], int(lookBack.Hours()/24), in.ID, example)
	case last.Label == "":
		return w, errors.New(example)
	}
	return last, nil
}

// enter stores what was ordered, through the gateway that runs, or in the queue of one that does not.
func enter(ctx context.Context, site *configs.Site, o inputOrder, stderr io.Writer) (e enteredInput, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if running, err := order(ctx, site.DataDir, http.MethodPost, "/v1/input", o, &e); running {
		return e, err
	}
	queue, err := openQueue(site, newLog(stderr, site.Location))
	if err != nil {
		return e, err
	}
	a, err := appendInput(site, queue, o)
	if err == nil {
		ended, end := context.WithCancel(ctx)
		end()
		err = queue.Run(ended) // commits, and ends
	}
	return a.enteredInput, errors.Join(err, queue.Close())
}

func printEntered(w io.Writer, site *configs.Site, e enteredInput) error {
	if e.Swap != nil {
		_, err := fmt.Fprintf(w, "stored: %s was swapped at %s, last reading %v, first reading of the new meter %v, by %s\n",
			printable(e.Swap.Tag), time.UnixMilli(e.Time).In(site.Location).Format("2006-01-02 15:04:05"), e.Swap.Final, e.Swap.Initial, printable(e.By))
		return err
	}
	_, err := fmt.Fprintf(w, "stored: %s of %s = %v, by %s\n", printable(e.ID), printable(e.Label), e.Value, printable(e.By))
	return err
}
