package kpi

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
)

// Signal values reach the state machine and the channels as observations.
type observation struct {
	known       bool
	value       float64 // a bool as 0 or 1
	text        string  // of texts
	unreachable bool    // not known because the device does not answer; false if nobody asked it, such as while the gateway was down
}

// Condition is what is known of equipment at a moment.
type Condition struct {
	State   ItemState
	Mode    Mode
	Off     bool // evidence that it has no power; only if the state is not known to be Executing
	Assumed bool // Off by unreachable_means
	Element Element
}

// ItemState is the state of OPC 40001-1, 9.3; the zero value is not known.
type ItemState uint8

// The states.
const (
	StateUnknown ItemState = iota
	NotAvailable
	OutOfService
	NotExecuting
	Executing
	numStates
)

// Mode is the operation mode of OPC 40001-1, 9.4; the zero value is not told.
type Mode uint8

// The modes.
const (
	ModeUnknown Mode = iota
	ModeNone
	Maintenance
	Setup
	Processing
	numModes
)

// Names of states, modes and elements as rules, code tables and mappings write them.
var (
	stateNames   = map[string]ItemState{"executing": Executing, "not_executing": NotExecuting, "out_of_service": OutOfService, "not_available": NotAvailable}
	modeNames    = map[string]Mode{"processing": Processing, "setup": Setup, "maintenance": Maintenance, "none": ModeNone}
	elementNames = map[string]Element{"apt": APT, "aust": AUST, "adet": ADET, "adot": ADOT}
)

// stateMachine knows how the state of one piece of equipment follows from its inputs. It is immutable; what changes is a stateRun.
//
// The state is that of the first rule that is active. Each condition is true, false or unknown, so each rule is active, not active, or it
// cannot be told which: then it is worked out twice, as if all that is unknown were against it and as if it were for it, with all timers,
// and where both agree the answer is certain. A rule that may be active does not let a lower one win silently: the condition is what the
// rules that may win have in common, and unknown in all in which they differ.
type stateMachine struct {
	inputs  []string // "device/tag" of each input that it listens to, in slot order
	codes   string   // id@version of the code table; empty: the site's rules
	mapping *Mapping // nil without rules

	rules     []activation // the first that is active wins
	outcomes  []outcome    // by rules
	power     bool         // one more activation stands last: off
	control   []int        // inputs of the rules
	assumeOff bool         // when they are unreachable
	blinking  []int        // by input: its place in stateRun.Changes, or -1
	blinks    int
	identity  uint64 // of all that a stateRun depends on
}

// activation is a condition with its timers: active once `when` has held for `wait`, until it has not held (or `until` has held) for `hold`.
type activation struct {
	when  *test
	until *test // nil: until when no longer holds
	wait  int64 // ms
	hold  int64 // ms
}

type outcome struct {
	state   ItemState
	mode    Mode
	element Element
}

// newStateMachine compiles the rules of e. The error names the rule and the way out. It is nil without an error if e.State is nil.
func newStateMachine(e *Equipment, cat *Catalogue) (*stateMachine, error) {
	if e.State == nil {
		return nil, nil
	}
	c := &stateCompiler{equipment: e, machine: &stateMachine{codes: e.State.Codes}, sources: map[string]source{}}
	if err := c.compile(e.State, cat); err != nil {
		return nil, fmt.Errorf("equipment %s, state: %w", e.ID, err)
	}
	return c.machine, nil
}

// stateCompiler collects what a state machine needs; text is all that its identity depends on.
type stateCompiler struct {
	equipment *Equipment
	machine   *stateMachine
	sources   map[string]source // by name
	text      []string
}

// source is what a name in a condition stands for.
type source struct {
	input  int
	factor float64
	invert bool
}

func (c *stateCompiler) compile(s *StateRules, cat *Catalogue) error {
	m := c.machine
	rules, mapping, err := c.rulesOf(s, cat)
	if err != nil {
		return err
	}
	if m.mapping, err = findMapping(cat, mapping); err != nil && len(rules) > 0 {
		return err
	}
	for i := range rules {
		if err := c.rule(&rules[i]); err != nil {
			return fmt.Errorf("rule %d: %w", i+1, err)
		}
	}
	for i := range m.inputs {
		m.control = append(m.control, i)
	}
	if s.Unreachable != "" && s.Unreachable != "off" {
		return fmt.Errorf(`unreachable_means is %q; it can be "off" or be left out`, s.Unreachable)
	}
	m.assumeOff = s.Unreachable == "off" && len(m.control) > 0
	if p := s.Power; p != nil {
		// Off is a rule like the others, only that hold is how long its condition must have been so.
		if err := c.activation(p.OffWhen, p.OnWhen, p.Hold, 0); err != nil {
			return fmt.Errorf("power_state: %w", err)
		}
		m.power = true
	}
	hash := fnv.New64a()
	if m.mapping != nil {
		c.text = append(c.text, m.mapping.Ref())
	}
	c.text = append(c.text, fmt.Sprint(m.assumeOff, m.power))
	for _, text := range c.text {
		_, _ = hash.Write(append([]byte(text), 0)) // never fails
	}
	m.identity = hash.Sum64()
	return nil
}

// rulesOf are the site's own rules or those of a code table, and the mapping that goes with them. Modes are as in code tables: empty is not
// told. Rows of a code table that read a role for which there is no signal are left out: nobody can tell what they would.
func (c *stateCompiler) rulesOf(s *StateRules, cat *Catalogue) (rules []StateRule, mapping string, err error) {
	if s.Codes == "" {
		rules = slices.Clone(s.Rules)
		for i := range rules {
			if rules[i].Mode == "" {
				rules[i].Mode = "processing"
			}
		}
		return rules, s.Mapping, nil
	}
	if len(s.Rules) > 0 {
		return nil, "", fmt.Errorf("both a code table and rules; take one out")
	}
	table, err := findCodes(cat, s.Codes)
	if err != nil {
		return nil, "", err
	}
	reads := false
	for i := range table.Rows {
		row := &table.Rows[i]
		if !c.hasSignals(row.When) {
			continue
		}
		reads = reads || len(row.When) > 0
		rules = append(rules, StateRule{If: row.condition(), State: row.State, Mode: row.Mode})
	}
	if !reads {
		return nil, "", fmt.Errorf("code table %s reads the roles %v; map them in signals, or use rules", s.Codes, table.Roles)
	}
	mapping = s.Mapping
	if mapping == "" {
		mapping = table.Mapping
	}
	return rules, mapping, nil
}

func (c *stateCompiler) hasSignals(when map[string][]int64) bool {
	for role := range when {
		if _, ok := c.equipment.Signals[role]; !ok {
			return false
		}
	}
	return true
}

// condition is what the row asks for, as a rule's If.
func (row *CodeRow) condition() string {
	text := "true"
	roles := make([]string, 0, len(row.When))
	for role := range row.When {
		roles = append(roles, role)
	}
	slices.Sort(roles)
	for i, role := range roles {
		codes := ""
		for _, code := range row.When[role] {
			codes += ", " + strconv.FormatInt(code, 10)
		}
		term := role + " in (" + codes[min(len(codes), 2):] + ")"
		if i == 0 {
			text = term
		} else {
			text += " and " + term
		}
	}
	return text
}

func findCodes(cat *Catalogue, ref string) (*CodeTable, error) {
	var known []string
	for i := range cat.Codes {
		t := &cat.Codes[i]
		if id := t.ID + "@" + strconv.Itoa(t.Version); id == ref {
			return t, nil
		} else {
			known = append(known, id)
		}
	}
	return nil, fmt.Errorf("there is no code table %q; there are %v", ref, known)
}

// findMapping finds a mapping by id@version; without one it is the catalogue's first.
func findMapping(cat *Catalogue, ref string) (*Mapping, error) {
	var known []string
	for i := range cat.Mappings {
		m := &cat.Mappings[i]
		if id := m.Ref(); ref == "" || id == ref {
			return m, nil
		} else {
			known = append(known, id)
		}
	}
	return nil, fmt.Errorf("there is no mapping %q; there are %v", ref, known)
}

// Ref is id@version.
func (m *Mapping) Ref() string { return m.ID + "@" + strconv.Itoa(m.Version) }

// element is what a mapping makes of state and mode.
func (m *Mapping) element(state ItemState, mode Mode) Element {
	for _, row := range m.Rows {
		if stateNames[row.State] == state && (row.Mode == "" || modeNames[row.Mode] == mode) {
			return elementNames[row.Element]
		}
	}
	return Unknown
}
