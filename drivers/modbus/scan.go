package modbus

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/millgate/millgate/drivers"
)

// Target is whom a scan asks: an Asker, or somebody who has one.
type Target interface {
	Ask(ctx context.Context, unit uint8, r Request) ([]uint16, error)
	Identify(ctx context.Context, unit uint8) (Identification, error)
}

// ScanConfig says where a scan looks.
type ScanConfig struct {
	Units  []int   `json:"units"`
	Tables []Table `json:"tables"`
	First  uint16  `json:"first"` // address in each table
	Last   uint16  `json:"last"`
}

// ScannedUnit is a unit that answers, and what can be read of it.
type ScannedUnit struct {
	Unit           uint8          `json:"unit"`
	Identification Identification `json:"identification"` // zero if it has none
	Blocks         []Block        `json:"blocks"`         // by table as configured, then by address; none touches the next
	Notes          []string       `json:"notes,omitempty"`
}

// Scan finds the units behind a link and the addresses that they let be read. First it asks every unit for one register, whose refusal is
// an answer too; then it reads each table of those that answer in blocks, and halves what is refused until single addresses are left.
//
// A Scan is its own state: written as JSON after any step it goes on from there. Make one with NewScan or ParseScan.
type Scan struct {
	Config ScanConfig    `json:"config"`
	Found  []ScannedUnit `json:"found"`

	Sought int       `json:"sought"` // units of Config that were asked whether they are there
	Named  int       `json:"named"`  // units of Found that were asked who they are
	Unit   int       `json:"unit"`   // of Found, and
	Table  int       `json:"table"`  // of Config, that are being read
	Next   int       `json:"next"`   // address, counted from Config.First, of the next block there
	Todo   []Request `json:"todo"`   // parts of the block before, the next one last
	Silent int       `json:"silent"` // requests in a row that were not answered
}

const (
	scanBlock   = 100 // registers in the first request for them: most devices allow it
	maxSilent   = 20  // requests in a row without an answer, after which a table is left
	maxLost     = 2   // times in a row that a device hangs up, after which a unit is taken not to be there
	scanBackOff = 500 * time.Millisecond
)

// NewScan makes a scan that has not begun; it sends nothing.
func NewScan(cfg ScanConfig) (*Scan, error) {
	s := &Scan{Config: cfg}
	return s, s.check()
}

// ParseScan reads what json.Marshal wrote of a scan.
func ParseScan(text []byte) (*Scan, error) {
	s := new(Scan)
	if err := json.Unmarshal(text, s); err != nil {
		return nil, err
	}
	return s, s.check()
}

func (s *Scan) check() error {
	c := &s.Config
	switch {
	case len(c.Units) == 0 || slices.Min(c.Units) < 0 || slices.Max(c.Units) > maxUnit:
		return fmt.Errorf("units to scan: one or more of 0 to %d", maxUnit)
	case len(c.Tables) == 0:
		return fmt.Errorf("no table to scan")
	case c.First > c.Last:
		return fmt.Errorf("the range %d-%d has no address", c.First, c.Last)
	}
	for _, t := range c.Tables {
		if int(t) >= len(tables) {
			return fmt.Errorf("table %d does not exist", t)
		}
	}
	sane := s.Sought >= 0 && s.Sought <= len(c.Units) && len(s.Found) <= s.Sought && s.Named >= 0 && s.Named <= len(s.Found) &&
		s.Unit >= 0 && s.Unit <= len(s.Found) && s.Table >= 0 && s.Table < len(c.Tables) && s.Next >= 0 && (s.Next < s.span() || s.Next == s.span() && len(s.Todo) > 0)
	for _, r := range s.Todo {
		sane = sane && r.check() == nil
	}
	if !sane {
		return fmt.Errorf("this is not the state of a scan")
	}
	return nil
}

// span is how many addresses of a table are looked at.
func (s *Scan) span() int { return int(s.Config.Last) - int(s.Config.First) + 1 }

// Done says that there is nothing left to ask.
func (s *Scan) Done() bool { return s.Sought == len(s.Config.Units) && s.Unit == len(s.Found) }

// Progress is how many units were sought, and how many addresses were looked at of how many that there are in the units found so far.
func (s *Scan) Progress() (units, addresses, all int) {
	each := len(s.Config.Tables) * s.span()
	if s.Unit < len(s.Found) {
		addresses = s.Table*s.span() + s.Next
		for _, r := range s.Todo {
			addresses -= int(r.Quantity)
		}
	}
	return s.Sought, s.Unit*each + addresses, len(s.Found) * each
}

// Step sends one request and takes note of what became of it. An error says that the link has failed, or ctx has ended: the step may be
// taken again later. After Done it does nothing.
func (s *Scan) Step(ctx context.Context, target Target) error {
	switch {
	case s.Named < len(s.Found):
		return s.name(ctx, target)
	case s.Sought < len(s.Config.Units):
		return s.seek(ctx, target)
	case s.Unit < len(s.Found):
		return s.read(ctx, target)
	}
	return nil
}

// outcome is what an answer, or its absence, means to a scan.
type outcome uint8

const (
	answered outcome = iota // with data
	refused                 // the address, the quantity, or for a reason of the device's own
	unknown                 // the device does not know the function
	absent                  // a gateway says that the unit is not there
	silent                  // nothing came, or nothing whole
	lost                    // the device hung up
	held                    // nothing was sent: the link waits after a failure
	occupied                // the device wants to be asked later
	failed                  // the link
)

func outcomeOf(err error) outcome {
	if err == nil {
		return answered
	}
	switch cause := drivers.CauseOf(err); cause {
	case drivers.ModbusException(1):
		return unknown
	case drivers.ModbusException(10), drivers.ModbusException(11):
		return absent
	case drivers.CauseBackOff:
		return held
	case drivers.ModbusException(5), drivers.ModbusException(6):
		return occupied
	case drivers.CauseTimeout, drivers.CauseGarbled:
		return silent
	case drivers.CauseLost:
		return lost
	default:
		if strings.HasPrefix(string(cause), "modbus_exception_") {
			return refused
		}
	}
	return failed
}

// seek asks the next unit whether it is there.
func (s *Scan) seek(ctx context.Context, target Target) error {
	unit := uint8(s.Config.Units[s.Sought])
	_, err := target.Ask(ctx, unit, Request{s.Config.Tables[0], s.Config.First, 1})
	switch o := outcomeOf(err); {
	case ctx.Err() != nil:
		return ctx.Err()
	case o == failed:
		return err
	case o == held:
		return wait(ctx, scanBackOff)
	case o == lost && s.Silent < maxLost-1:
		s.Silent++
		return nil
	case o != absent && o != lost && drivers.CauseOf(err) != drivers.CauseTimeout:
		s.Found = append(s.Found, ScannedUnit{Unit: unit})
	}
	s.Sought, s.Silent = s.Sought+1, 0
	return nil
}

// name asks the unit found last who it is.
func (s *Scan) name(ctx context.Context, target Target) error {
	u := &s.Found[s.Named]
	id, err := target.Identify(ctx, u.Unit)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil {
		u.Identification = id
	}
	s.Named++
	return nil
}

// read asks for the next part of the table that is being read.
func (s *Scan) read(ctx context.Context, target Target) error {
	table := s.Config.Tables[s.Table]
	if len(s.Todo) == 0 {
		quantity := min(scanBlock, s.span()-s.Next)
		s.Todo = append(s.Todo, Request{table, uint16(int(s.Config.First) + s.Next), uint16(quantity)})
		s.Next += quantity
	}
	r, u := s.Todo[len(s.Todo)-1], &s.Found[s.Unit]
	values, err := target.Ask(ctx, u.Unit, r)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	switch outcomeOf(err) {
	case failed:
		return err
	case held:
		return wait(ctx, scanBackOff)
	case occupied:
		if s.Silent++; s.Silent < maxSilent {
			return wait(ctx, scanBackOff)
		}
	case answered:
		s.Silent = 0
		u.keep(Block{r.Table, r.Address, values})
		s.Todo = s.Todo[:len(s.Todo)-1]
	case refused:
		s.Silent = 0
		s.halve()
	case unknown:
		s.leave()
		return nil
	case silent, absent, lost: // some devices say nothing to an address that they do not have
		s.Silent++
		s.halve()
	}
	if s.Silent >= maxSilent {
		u.Notes = append(u.Notes, fmt.Sprintf("%s: given up at address %d, after %d requests without an answer", r.Table, r.Address, s.Silent))
		s.leave()
	}
	if len(s.Todo) == 0 && s.Next >= s.span() {
		s.leave()
	}
	return nil
}

// halve puts the two halves of the present request in its place, and drops one that is for a single address. The second half begins at
// an even address if it can: values of two registers stay whole, and some devices serve nothing else.
func (s *Scan) halve() {
	last := len(s.Todo) - 1
	r := s.Todo[last]
	s.Todo = s.Todo[:last]
	if r.Quantity == 1 {
		return
	}
	n := r.Quantity / 2
	if (r.Address+n)%2 == 1 && n+1 < r.Quantity {
		n++
	}
	s.Todo = append(s.Todo, Request{r.Table, r.Address + n, r.Quantity - n}, Request{r.Table, r.Address, n})
}

// leave goes on to the next table, or the next unit.
func (s *Scan) leave() {
	s.Todo, s.Next, s.Silent = nil, 0, 0
	if s.Table++; s.Table == len(s.Config.Tables) {
		s.Table, s.Unit = 0, s.Unit+1
	}
}

// keep adds a block behind the others.
func (u *ScannedUnit) keep(b Block) {
	if n := len(u.Blocks); n > 0 {
		if last := &u.Blocks[n-1]; last.Table == b.Table && int(last.Address)+len(last.Values) == int(b.Address) {
			last.Values = append(last.Values, b.Values...)
			return
		}
	}
	u.Blocks = append(u.Blocks, b)
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// MarshalText is Table.String for JSON.
func (t Table) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText is ParseTable for JSON.
func (t *Table) UnmarshalText(text []byte) error {
	parsed, ok := ParseTable(string(text))
	if !ok {
		return fmt.Errorf("table %q: use coil, discrete_input, input_register or holding_register", text)
	}
	*t = parsed
	return nil
}
