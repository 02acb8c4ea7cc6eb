package kpi

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// subject is equipment or an account, ready for work: what it listens to and what comes of it. It is immutable.
type subject struct {
	id        string
	equipment *Equipment // or nil
	account   *Account   // or nil
	category  *Category  // of equipment
	rules     *ruleSet
	shape     Shape
	machine   *stateMachine // nil: no state is known
	channels  []channel     // by shape.Channels
	inputs    []inlet
	program   int            // position of the input that names the program; -1: none
	products  map[string]int // by program, positions in Config.Products
	made      []Product      // Config.Products; nil without a program
	hours     int            // position of the channel that counts running hours; -1: none
	wanted    int64          // number of inputs that are signals
}

// inlet is one tag that a subject listens to.
type inlet struct {
	tag      string // "device/tag"
	signal   bool   // of a role or term: it counts for data collection
	slots    []int  // of the state machine
	channels []int  // that take its readings
	derived  []int  // channels that are computed from it, among others
}

// channel is how one channel comes about.
type channel struct {
	how    How
	signal Signal
	parts  bool        // its growth is parts made, by the program that runs
	derive *derivation // of a derived channel; then also:
	from   []int       // the inputs, by derivation.inputs
	of     []Signal    // likewise
}

// upTag is the tag of every device that says whether it answers.
const upTag = "up"

// enormous is more than anything that is measured in a factory; what is larger would not survive being summed up.
const enormous = 1e30

func (p *Plan) newEquipment(e *Equipment, rules map[string]*ruleSet) (*subject, error) {
	s := &subject{id: e.ID, equipment: e, category: p.category(e.Category), program: -1, hours: -1}
	if s.category == nil {
		return nil, fmt.Errorf("category %q is not in the catalogue", e.Category)
	}
	if rules[e.Category] == nil {
		set := p.categoryRules(s.category)
		rules[e.Category] = &set
	}
	s.rules = rules[e.Category]
	for name := range e.Signals {
		if _, ok := RoleNamed(name); !ok {
			return nil, fmt.Errorf("signal %q is not a role", name)
		}
	}
	for _, how := range []How{Counted, Integrated, Timed, Coded, Named} { // counters first: what they show comes before a new program
		for i := range roles {
			if signal, ok := e.Signals[roles[i].Name]; ok && roles[i].How == how {
				if err := s.addRole(&roles[i], signal); err != nil {
					return nil, fmt.Errorf("signal %q: %w", roles[i].Name, err)
				}
			}
		}
	}
	if len(s.category.Operating) > 0 {
		for i := range derivations {
			s.addDerived(&derivations[i])
		}
	}
	if s.program >= 0 {
		if err := s.addProducts(p.cfg.Products); err != nil {
			return nil, err
		}
	}
	return s, s.addMachine(p)
}

// addRole adds what the role's readings become.
func (s *subject) addRole(r *Role, signal Signal) error {
	if err := checkSignal(&signal); err != nil {
		return err
	}
	at := s.listen(signal.Tag)
	s.signal(at)
	switch r.How {
	case Coded:
		return nil
	case Named:
		s.program = at
		return nil
	}
	switch r.Name {
	case "run_hours":
		s.hours = len(s.channels)
	case "parts":
		s.addChannel(channel{how: r.How, signal: signal, parts: true}, r.Name, r.Unit, at)
		return nil
	}
	s.addChannel(channel{how: r.How, signal: signal}, r.Name, r.Unit, at)
	return nil
}

func (s *subject) addChannel(c channel, name, unit string, at int) {
	s.inputs[at].channels = append(s.inputs[at].channels, len(s.channels))
	s.channels = append(s.channels, c)
	s.shape.Channels = append(s.shape.Channels, ChannelShape{
		Name: name, How: c.how, Unit: unit, Tags: []string{c.signal.Tag}, Share: c.signal.Share, Basis: c.signal.Basis,
	})
}

func (s *subject) addDerived(d *derivation) {
	c := channel{how: Integrated, derive: d}
	shape := ChannelShape{Name: d.name, How: Integrated, Unit: d.unit}
	for _, role := range d.inputs {
		signal, ok := s.equipment.Signals[role]
		if !ok {
			return // its formula says what is missing
		}
		at := s.listen(signal.Tag)
		c.from, c.of = append(c.from, at), append(c.of, signal)
		shape.Tags = append(shape.Tags, signal.Tag)
	}
	for _, at := range c.from {
		if !slices.Contains(s.inputs[at].derived, len(s.channels)) {
			s.inputs[at].derived = append(s.inputs[at].derived, len(s.channels))
		}
	}
	s.channels = append(s.channels, c)
	s.shape.Channels = append(s.shape.Channels, shape)
}

func (s *subject) addProducts(products []Product) error {
	s.products, s.made = map[string]int{}, products
	for i := range products {
		r := &products[i]
		if len(r.On) > 0 && !slices.Contains(r.On, s.id) {
			continue
		}
		for _, program := range r.Programs {
			if other, ok := s.products[program]; ok {
				return fmt.Errorf("program %q makes both %q and %q; name the equipment that each is made on",
					program, products[other].ID, r.ID)
			}
			s.products[program] = i
		}
	}
	return nil
}

// tally is an empty one of the subject.
func (s *subject) tally() Tally {
	t := Tally{Channels: make([]Channel, len(s.channels)), Entered: make([]Entered, len(s.shape.Inputs))}
	if s.program >= 0 {
		t.Parts = make([]float64, len(s.made)+1)
	}
	return t
}

// perCycle is how many parts of a product a count of its counter stands for.
func (r *Product) perCycle() float64 {
	if r.PerCycle == 0 {
		return 1
	}
	return r.PerCycle
}

func (s *subject) addMachine(p *Plan) error {
	s.shape.Basis = p.schedule.Basis()
	machine, err := newStateMachine(s.equipment, p.cat)
	if err != nil || machine == nil {
		return err
	}
	s.machine = machine
	for slot, tag := range machine.inputs {
		at := s.listen(tag)
		s.inputs[at].slots = append(s.inputs[at].slots, slot)
		if !slices.Contains(s.shape.States, tag) {
			s.shape.States = append(s.shape.States, tag)
		}
	}
	s.shape.Codes = machine.codes
	if m := machine.mapping; m != nil {
		s.shape.Mapping, s.shape.Upper = m.Ref(), m.Upper
		if !m.Source.Verified {
			s.shape.Doubts = append(s.shape.Doubts, "mapping/"+m.Ref())
		}
	}
	if table, err := findCodes(p.cat, machine.codes); err == nil && !table.Source.Verified {
		s.shape.Doubts = append(s.shape.Doubts, "codes/"+machine.codes)
	}
	return nil
}

func (p *Plan) newAccount(a *Account, rules *ruleSet) (*subject, error) {
	s := &subject{id: a.ID, account: a, rules: rules, program: -1, hours: -1}
	s.shape.Basis = p.schedule.Basis()
	for i := range a.Terms {
		t := &a.Terms[i]
		if err := checkSignal(&t.Signal); err != nil {
			return nil, fmt.Errorf("term %d: %w", i+1, err)
		}
		if t.Sign != 1 && t.Sign != -1 {
			return nil, fmt.Errorf("term %d: sign %d is neither 1 nor -1", i+1, t.Sign)
		}
		at := s.listen(t.Tag)
		s.signal(at)
		s.addChannel(channel{how: Counted, signal: t.Signal}, "term/"+strconv.Itoa(i), p.mediumUnit(t.Medium), at)
		shape := &s.shape.Channels[len(s.shape.Channels)-1]
		shape.Medium, shape.Sign = t.Medium, t.Sign
	}
	if strings.Contains(a.Output, "/") {
		at := s.listen(a.Output)
		s.signal(at)
		s.addChannel(channel{how: Counted, signal: Signal{Tag: a.Output, Factor: 1}}, "output", a.OutputUnit, at)
	}
	return s, nil
}

// mediumUnit is the unit in which a measured coefficient, else the chosen set of coefficients, counts a medium.
func (p *Plan) mediumUnit(medium string) string {
	for i := range p.cfg.Factors.Media {
		if m := &p.cfg.Factors.Media[i]; m.Medium == medium {
			return m.Unit
		}
	}
	for i := range p.cat.CoalSets {
		set := &p.cat.CoalSets[i]
		if p.cfg.Factors.CoalSet != set.ID && (p.cfg.Factors.CoalSet != "" || !set.Default) {
			continue
		}
		for k := range set.Media {
			if set.Media[k].Medium == medium {
				return set.Media[k].Unit
			}
		}
	}
	return ""
}

func checkSignal(s *Signal) error {
	device, tag, ok := strings.Cut(s.Tag, "/")
	switch {
	case !ok || device == "" || tag == "":
		return fmt.Errorf("%q names no tag; write device/tag", s.Tag)
	case s.Factor == 0 || math.Abs(s.Factor) > enormous || s.Factor-s.Factor != 0:
		return errors.New("the factor between the tag's unit and the role's must be a number other than 0")
	case !(s.Share >= 0 && s.Share <= 1):
		return fmt.Errorf("share %v is not from 0 to 1", s.Share)
	case !(s.Modulus >= 0 && s.MaxRate >= 0 && s.Resolution >= 0):
		return errors.New("modulus, max_rate and resolution must be numbers from 0 on")
	}
	return nil
}

// listen is the position of the input for a tag, which it adds if there is none.
func (s *subject) listen(tag string) int {
	for i := range s.inputs {
		if s.inputs[i].tag == tag {
			return i
		}
	}
	s.inputs = append(s.inputs, inlet{tag: tag})
	return len(s.inputs) - 1
}

func (s *subject) signal(at int) {
	if !s.inputs[at].signal {
		s.inputs[at].signal = true
		s.wanted++
	}
}
