package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/millgate/millgate/configs"
	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/modbus"
)

// lineFlags say how to reach an endpoint that no site describes.
type lineFlags struct {
	baud, stopBits int
	parity         string
	timeout        time.Duration
}

func (f *lineFlags) add(cmd *cobra.Command) {
	cmd.Flags().IntVar(&f.baud, "baud", 9600, "speed of a serial line, with an endpoint instead of a site")
	cmd.Flags().StringVar(&f.parity, "parity", "N", "parity of a serial line: N, E or O")
	cmd.Flags().IntVar(&f.stopBits, "stop-bits", 1, "stop bits of a serial line: 1 or 2")
	cmd.Flags().DurationVar(&f.timeout, "timeout", time.Second, "how long an answer may take")
}

func (f *lineFlags) link(endpoint string) (l modbus.LinkConfig, err error) {
	if l.Endpoint, err = modbus.ParseEndpoint(endpoint); err != nil {
		return l, err
	}
	if f.parity = strings.ToUpper(f.parity); f.parity != "N" && f.parity != "E" && f.parity != "O" {
		return l, fmt.Errorf("--parity %q: use N, E or O", f.parity)
	}
	if f.stopBits != 1 && f.stopBits != 2 || f.baud < 50 || f.timeout <= 0 {
		return l, fmt.Errorf("--baud is 50 or more, --stop-bits 1 or 2, --timeout more than 0")
	}
	if l.Endpoint.Transport == modbus.Serial {
		l.Baud, l.Parity, l.StopBits = f.baud, f.parity[0], f.stopBits
	}
	return l, nil
}

// scanFlags are the flags of scan.
type scanFlags struct {
	output                     *format
	line                       lineFlags
	site, units, tables, where string
	pause                      time.Duration
	state                      string
	restart                    bool
	listens                    bool // the endpoint is one where a serial server dials in
}

func scanCommand() *cobra.Command {
	var f scanFlags
	cmd := &cobra.Command{
		Use:   "scan ENDPOINT",
		Short: "Find the unit ids that answer, and which registers exist",
		Long: `Asks every unit id behind an endpoint whether it is there and who it is, then finds the registers that can be read, with what is
in them. It only reads, one request at a time with a pause between. That can take long: how far it has come is kept in a file,
Ctrl-C stops it, and the same command goes on from there.

A serial port, and many a device, serves one program at a time: while a gateway runs on it, name its site with --site.`,
		Example: `  millgate scan tcp://192.168.1.10:502
  millgate scan tcp://192.168.1.10:502 --units 1-10 --range 0-999
  millgate scan rtu:///dev/ttyUSB0 --baud 9600 --parity E --units 1-32
  millgate scan listen://:5020 --units 1-32
  millgate scan tcp://192.168.1.10:502 --site site.yaml --units 1`,
		Args: takes("ENDPOINT"),
	}
	f.output = addOutput(cmd)
	f.line.add(cmd)
	cmd.Flags().StringVar(&f.site, "site", "", "go through the gateway that runs with this site")
	cmd.Flags().StringVar(&f.units, "units", "1-247", "unit ids, as in 1-10,17")
	cmd.Flags().StringVar(&f.tables, "tables", "holding,input", "tables: holding, input, coil, discrete")
	cmd.Flags().StringVar(&f.where, "range", "0-65535", "addresses in each table, counted from 0")
	cmd.Flags().DurationVar(&f.pause, "pause", 10*time.Millisecond, "between two requests")
	cmd.Flags().StringVar(&f.state, "state", "", "file for how far it has come (default millgate-scan-<endpoint>.json)")
	cmd.Flags().BoolVar(&f.restart, "restart", false, "forget how far it had come, and begin anew")
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0]) }
	return cmd
}

func (f *scanFlags) run(cmd *cobra.Command, endpoint string) (err error) {
	ctx := cmd.Context()
	link, err := f.line.link(endpoint)
	if err != nil {
		return err
	}
	f.listens = link.Endpoint.Transport == modbus.Listen
	scan, err := f.open(link)
	if err != nil {
		return err
	}
	var site *configs.Site
	if f.site != "" {
		if site, err = configs.Load(f.site); err != nil {
			return err
		}
		ours := false
		if link, ours = overridden(site, link); !ours {
			site = nil // its gateway does not hold the port
		}
	}
	w, err := wiresOf(ctx, site)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	target, closing := w.target(link, f.line.timeout)
	defer func() { err = errors.Join(err, closing()) }()
	failure := f.work(ctx, scan, target, newScanProgress(cmd.ErrOrStderr(), scan, f))
	if err := f.print(cmd.OutOrStdout(), scan); err != nil {
		return err
	}
	return failure
}

// overridden is the link of the site at the same place, if it has one.
func overridden(site *configs.Site, link modbus.LinkConfig) (modbus.LinkConfig, bool) {
	if l, ok := linkAt(site, link.Place()); ok {
		return l, true
	}
	return link, false
}

// open goes on with the scan in the state file, or makes a new one.
func (f *scanFlags) open(link modbus.LinkConfig) (*modbus.Scan, error) {
	if f.state == "" {
		f.state = "millgate-scan-" + fileName(link.Place()) + ".json"
	}
	cfg, err := f.config()
	if err != nil {
		return nil, err
	}
	fresh, err := modbus.NewScan(cfg)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(f.state)
	if errors.Is(err, fs.ErrNotExist) || err == nil && f.restart {
		return fresh, nil
	}
	if err != nil {
		return nil, err
	}
	scan, err := modbus.ParseScan(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; --restart replaces it, --state names another file", f.state, err)
	}
	if fmt.Sprint(scan.Config) != fmt.Sprint(cfg) {
		return nil, fmt.Errorf("%s is a scan of other units, tables or addresses; --restart replaces it, --state names another file", f.state)
	}
	return scan, nil
}

var notInNames = regexp.MustCompile(`[^A-Za-z0-9.]+`)

// fileName is a place as a part of a file's name.
func fileName(place string) string {
	return strings.Trim(notInNames.ReplaceAllString(place, "-"), "-.")
}

func (f *scanFlags) config() (cfg modbus.ScanConfig, err error) {
	for part := range strings.SplitSeq(f.units, ",") {
		first, last, err := parseRange(part, 8)
		if err != nil {
			return cfg, fmt.Errorf("--units %q: write unit ids from 0 to 247, as in 1-10,17", f.units)
		}
		for u := first; u <= last; u++ {
			cfg.Units = append(cfg.Units, u)
		}
	}
	for name := range strings.SplitSeq(f.tables, ",") {
		t, err := parseTable(name)
		if err != nil {
			return cfg, fmt.Errorf("--tables: %w", err)
		}
		cfg.Tables = append(cfg.Tables, t)
	}
	first, last, err := parseRange(f.where, 16)
	if err != nil {
		return cfg, fmt.Errorf("--range %q: write addresses from 0 to 65535, as in 0-9999 or 0x2000-0x20ff", f.where)
	}
	cfg.First, cfg.Last = uint16(first), uint16(last)
	return cfg, nil
}

// parseRange reads "3" and "1-10".
func parseRange(s string, bits int) (first, last int, err error) {
	from, to, isRange := strings.Cut(s, "-")
	if !isRange {
		to = from
	}
	a, errA := strconv.ParseUint(from, 0, bits)
	b, errB := strconv.ParseUint(to, 0, bits)
	if errA == nil && errB == nil && a > b {
		errB = errors.New("the end is before the beginning")
	}
	return int(a), int(b), errors.Join(errA, errB)
}

const stateInterval = time.Second

// work takes the steps that are left, and keeps how far it has come.
func (f *scanFlags) work(ctx context.Context, scan *modbus.Scan, target modbus.Target, progress *scanProgress) error {
	progress.begin()
	saved := time.Now()
	for !scan.Done() {
		if err := scan.Step(ctx, target); err != nil {
			if f.listens && ctx.Err() == nil && drivers.CauseOf(err) == drivers.CauseUnreachable { // it may still dial in
				progress.wait(err)
				continue
			}
			progress.end()
			if ctx.Err() != nil {
				err = errors.New("stopped before the end")
			}
			return errors.Join(fmt.Errorf("%w; the same command goes on from there (%s)", err, f.state), f.save(scan))
		}
		if time.Since(saved) > stateInterval {
			if err := f.save(scan); err != nil {
				return err
			}
			saved = time.Now()
		}
		progress.show()
		select {
		case <-ctx.Done(): // the next step says so
		case <-time.After(f.pause):
		}
	}
	progress.end()
	return f.save(scan)
}

// save replaces the state file in one move, so that a crash leaves the one before.
func (f *scanFlags) save(scan *modbus.Scan) error {
	text, err := json.Marshal(scan)
	if err != nil {
		return err
	}
	next := f.state + ".new"
	if err := os.WriteFile(next, text, 0o600); err != nil {
		return err
	}
	return os.Rename(next, f.state)
}

func (f *scanFlags) print(w io.Writer, scan *modbus.Scan) error {
	if *f.output == asJSON {
		return printJSON(w, map[string]any{"done": scan.Done(), "units": append([]modbus.ScannedUnit{}, scan.Found...)})
	}
	rows := [][]string{{"unit", "identification", "table", "addresses", "number", "first values"}}
	for i, u := range scan.Found {
		unit, id := fmt.Sprint(u.Unit), idText(u.Identification)
		if len(u.Blocks) == 0 {
			what := "nothing can be read there"
			if i >= scan.Unit {
				what = "not read yet"
			}
			rows = append(rows, []string{unit, id, what})
		}
		for _, b := range u.Blocks {
			last := int(b.Address) + len(b.Values) - 1
			rows = append(rows, []string{unit, id, b.Table.String(), fmt.Sprintf("%d-%d (0x%04X-0x%04X)", b.Address, last, b.Address, last),
				fmt.Sprint(len(b.Values)), firstValues(b)})
		}
		for _, note := range u.Notes {
			rows = append(rows, []string{unit, id, note})
		}
	}
	if len(scan.Found) == 0 {
		_, err := fmt.Fprintln(w, "No unit has answered so far.")
		return err
	}
	return printTable(w, rows)
}

func firstValues(b modbus.Block) string {
	const most = 6
	values := b.Values[:min(len(b.Values), most)]
	text := strings.Join(hexWords(values), " ")
	if b.Table.Bits() {
		text = strings.Trim(fmt.Sprint(values), "[]")
	}
	if len(b.Values) > most {
		text += " …"
	}
	return text
}
