package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/modbus"
)

// guessFlags are the flags of a guess.
type guessFlags struct {
	shown, at, name string
	unit            uint8
}

func (f *guessFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.shown, "guess", "", "a number that the device's panel shows, with all its decimals")
	cmd.Flags().StringVar(&f.at, "at", "", "where it may be: holding:0x2000, input:100")
	cmd.Flags().StringVar(&f.name, "name", "value", "name of the point in the line for the map")
	cmd.Flags().Uint8Var(&f.unit, "unit", 1, "unit id, with an endpoint instead of a site")
}

func (f *guessFlags) on() bool { return f.shown != "" || f.at != "" }

// guessPlace is one unit of one link.
type guessPlace struct {
	link    modbus.LinkConfig
	unit    uint8
	timeout time.Duration
}

func (f *guessFlags) run(cmd *cobra.Command, w *wires, place guessPlace, output format) (err error) {
	if f.shown == "" || f.at == "" {
		return errors.New("--guess and --at belong together, as in --guess 228.4 --at holding:0x2000")
	}
	shown, err := modbus.ParseShown(f.shown)
	if err != nil {
		return fmt.Errorf("--guess: %w", err)
	}
	table, address, err := parseRegister(f.at)
	if err != nil {
		return fmt.Errorf("--at: %w", err)
	}
	target, closing := w.target(place.link, place.timeout)
	defer func() { err = errors.Join(err, closing()) }()
	block, err := readAround(cmd.Context(), target, place.unit, modbus.Request{Table: table, Address: address, Quantity: 1})
	if err != nil {
		return err
	}
	found := modbus.Guess(block, address, shown)
	if output == asJSON {
		return printJSON(cmd.OutOrStdout(), f.rows(found))
	}
	if err := f.print(cmd.OutOrStdout(), block, f.rows(found)); err != nil {
		return err
	}
	if len(found) == 0 {
		return errReported
	}
	f.advise(cmd.ErrOrStderr(), found)
	return nil
}

// parseRegister reads "holding:0x2000": a table and an address.
func parseRegister(s string) (t modbus.Table, address uint16, err error) {
	name, number, _ := strings.Cut(s, ":")
	t, err = parseTable(name)
	if err != nil {
		return t, 0, err
	}
	n, err := strconv.ParseUint(number, 0, 16)
	if err != nil {
		return t, 0, fmt.Errorf("%q: write a table and an address from 0 to 65535, as in holding:0x2000 or input:100", s)
	}
	if t.Bits() {
		return t, 0, fmt.Errorf("%q: a bit holds no number; use holding or input", s)
	}
	return t, uint16(n), nil
}

// parseTable knows the tables by their short names too.
func parseTable(s string) (modbus.Table, error) {
	long := map[string]string{"holding": "holding_register", "input": "input_register", "discrete": "discrete_input"}[s]
	if t, ok := modbus.ParseTable(s); ok {
		return t, nil
	}
	if t, ok := modbus.ParseTable(long); ok {
		return t, nil
	}
	return 0, fmt.Errorf("there is no table %q: use holding, input, coil or discrete", s)
}

// widest is how many registers the widest number takes.
const widest = 4

// readAround reads the register before r, r, and what a number may take behind it, or as much of that as the device lets be read.
func readAround(ctx context.Context, target modbus.Target, unit uint8, r modbus.Request) (modbus.Block, error) {
	if r.Address > 0 {
		r.Address--
		if all, err := readMost(ctx, target, unit, r, widest+1); err == nil && len(all.Values) == widest+1 {
			return all, nil
		} else if err != nil && !isRefusal(err) {
			return all, err
		}
		r.Address++
	}
	at, err := readMost(ctx, target, unit, r, widest)
	if err != nil && !isRefusal(err) {
		return at, err
	}
	if r.Address == 0 {
		return at, err
	}
	r.Address--
	before, errBefore := readMost(ctx, target, unit, r, widest)
	switch {
	case errBefore != nil && err != nil:
		return at, fmt.Errorf("%s 0x%04X can not be read: %w; millgate scan shows which registers there are", r.Table, r.Address+1, err)
	case errBefore != nil:
		return at, nil
	case err == nil && len(at.Values) >= len(before.Values):
		before.Values = append(before.Values[:1], at.Values...)
	}
	return before, nil
}

// readMost reads as many registers as it gets, at most so many.
func readMost(ctx context.Context, target modbus.Target, unit uint8, r modbus.Request, most int) (b modbus.Block, err error) {
	b = modbus.Block{Table: r.Table, Address: r.Address}
	for n := min(most, 1<<16-int(r.Address)); n > 0; n /= 2 {
		r.Quantity = uint16(n)
		if b.Values, err = target.Ask(ctx, unit, r); err == nil || !isRefusal(err) {
			return b, err
		}
	}
	return b, err
}

// isRefusal says that the device answered with an exception.
func isRefusal(err error) bool {
	return strings.HasPrefix(string(drivers.CauseOf(err)), "modbus_exception_")
}

// guessed is one row of `probe --guess --output json`.
type guessed struct {
	Value     json.Number `json:"value"`
	Fits      string      `json:"fits"` // exactly, or nearly
	Table     string      `json:"table"`
	Address   uint16      `json:"address"`
	Type      string      `json:"type"`
	WordOrder string      `json:"word_order"`
	Scale     string      `json:"scale"`
	OneBased  bool        `json:"one_based"` // the address asked for was one too high
	Line      string      `json:"line"`      // for a device map
}

const mostGuesses = 10

func (f *guessFlags) rows(found []modbus.Candidate) []guessed {
	rows := []guessed{}
	for _, c := range found[:min(len(found), mostGuesses)] {
		row := guessed{Value: numberText(c), Fits: "nearly", Table: c.Point.Table.String(), Address: c.Point.Address, Type: c.Point.Type.String(),
			WordOrder: c.Point.WordOrder.String(), Scale: "1", OneBased: c.OneBased, Line: c.Line(f.name)}
		if c.Exact {
			row.Fits = "exactly"
		}
		if c.Point.Scale.Mantissa != 0 {
			row.Scale = strconv.FormatFloat(c.Point.Scale.Float(), 'f', -1, 64)
		}
		rows = append(rows, row)
	}
	return rows
}

// numberText has no more digits than the type.
func numberText(c modbus.Candidate) json.Number {
	bits := 64
	if c.Point.Type.Name == "float32" {
		bits = 32
	}
	return json.Number(strconv.FormatFloat(c.Value, 'f', -1, bits))
}

func (f *guessFlags) print(w io.Writer, block modbus.Block, rows []guessed) error {
	fmt.Fprintf(w, "%s from 0x%04X on: %s\n", block.Table, block.Address, strings.Join(hexWords(block.Values), " "))
	if len(rows) == 0 {
		_, err := fmt.Fprintf(w, "Nothing there gives %s within 2 %%. Try a neighbouring address, or the other table.\n", f.shown)
		return err
	}
	table := [][]string{{"  value", "fits", "type", "word_order", "scale", "address"}}
	for _, r := range rows {
		address := fmt.Sprintf("0x%04X", r.Address)
		if r.OneBased {
			address += " (the manual counts from 1)"
		}
		table = append(table, []string{"  " + r.Value.String(), r.Fits, r.Type, r.WordOrder, r.Scale, address})
	}
	if err := printTable(w, table); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "The most likely, for the device map:\n%s\n", rows[0].Line)
	return err
}

// clearBits is how far ahead the first guess must be to be believed.
const clearBits = 3

// advise says when one number does not tell enough.
func (f *guessFlags) advise(w io.Writer, found []modbus.Candidate) {
	best := found[0]
	for _, c := range found[1:] {
		same := c.Value == best.Value && c.Point.Address == best.Point.Address && c.Point.WordOrder == best.Point.WordOrder && c.Point.Scale == best.Point.Scale
		if c.Exact == best.Exact && best.Bits-c.Bits < clearBits && !same { // signed or not can not show while a number is positive
			fmt.Fprintln(w, "millgate: others are about as likely: repeat it when the panel shows another number, with more digits")
			return
		}
	}
	if !best.Exact {
		fmt.Fprintln(w, "millgate: nothing fits exactly: repeat it with what the panel shows now")
	}
}

func hexWords(words []uint16) []string {
	var out []string
	for _, w := range words {
		out = append(out, fmt.Sprintf("%04x", w))
	}
	return out
}
