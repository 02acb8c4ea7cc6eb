package kpi

import (
	"fmt"
	"maps"
	"slices"
)

// test is a compiled condition.
type test struct {
	op      exprOp
	kids    []*test
	input   int
	factor  float64
	invert  bool
	numbers []float64
	within  int64 // ms; of blinks
}

func (c *stateCompiler) rule(r *StateRule) error {
	state, ok := stateNames[r.State]
	if !ok {
		return fmt.Errorf("state %q; there are %v", r.State, slices.Sorted(maps.Keys(stateNames)))
	}
	mode, ok := modeNames[r.Mode]
	if !ok && r.Mode != "" {
		return fmt.Errorf("mode %q; there are %v", r.Mode, slices.Sorted(maps.Keys(modeNames)))
	}
	if err := c.activation(r.If, r.Until, r.For, r.Hold); err != nil {
		return err
	}
	m := c.machine
	m.outcomes = append(m.outcomes, outcome{state, mode, m.mapping.element(state, mode)})
	c.text = append(c.text, r.State, r.Mode)
	return nil
}

func (c *stateCompiler) activation(when, until string, wait, hold int64) error {
	if wait < 0 || hold < 0 {
		return fmt.Errorf("a time below 0; for and hold are 0 or more")
	}
	a := activation{wait: wait, hold: hold}
	var err error
	if a.when, err = c.condition(when); err != nil {
		return fmt.Errorf("%q: %w", when, err)
	}
	if until != "" {
		if a.until, err = c.condition(until); err != nil {
			return fmt.Errorf("%q: %w", until, err)
		}
	}
	c.machine.rules = append(c.machine.rules, a)
	c.text = append(c.text, fmt.Sprint(wait, hold, until != ""))
	return nil
}

func (c *stateCompiler) condition(text string) (*test, error) {
	e, err := ParseCondition(text)
	if err != nil {
		return nil, err
	}
	c.text = append(c.text, e.String())
	return c.expr(e)
}

func (c *stateCompiler) expr(e *Expr) (*test, error) {
	out := &test{op: e.op, within: e.within, input: -1}
	for _, kid := range e.kids {
		compiled, err := c.expr(kid)
		if err != nil {
			return nil, err
		}
		out.kids = append(out.kids, compiled)
	}
	for _, n := range e.numbers {
		if n.unit != "" {
			return nil, &ConditionError{n.column, fmt.Sprintf("%s has a unit that was not converted to that of %s", n, e.name)}
		}
		out.numbers = append(out.numbers, n.value)
	}
	if e.name == "" {
		return out, nil
	}
	from, err := c.source(e.name)
	if err != nil {
		return nil, err
	}
	out.input, out.factor, out.invert = from.input, from.factor, from.invert
	if m := c.machine; e.op == opBlinks && m.blinking[from.input] < 0 {
		m.blinking[from.input] = m.blinks
		m.blinks++
	}
	return out, nil
}

// source finds what a name stands for, and a slot for its tag.
func (c *stateCompiler) source(name string) (source, error) {
	if s, ok := c.sources[name]; ok {
		return s, nil
	}
	s := source{factor: 1}
	tag, direct := TagNamed(name)
	if !direct {
		signal, ok := c.equipment.Signals[name]
		if !ok {
			return source{}, fmt.Errorf("%s has no signal; map it in signals, or name a tag as device.tag", name)
		}
		if signal.Factor == 0 {
			return source{}, fmt.Errorf("signal %s has the factor 0", name)
		}
		tag, s.factor, s.invert = signal.Tag, signal.Factor, signal.Invert
	}
	m := c.machine
	if s.input = slices.Index(m.inputs, tag); s.input < 0 {
		s.input = len(m.inputs)
		m.inputs = append(m.inputs, tag)
		m.blinking = append(m.blinking, -1)
	}
	c.sources[name] = s
	c.text = append(c.text, name, tag, fmt.Sprint(s.factor, s.invert))
	return s, nil
}
