package kpi

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The bounds of a condition, so that none takes noticeable time, and of the time within which changes are counted.
const (
	maxConditionText  = 2000
	maxConditionTerms = 100
	maxConditionDepth = 20
	maxBlinkTime      = 10 * time.Minute
	defaultBlinkTime  = 5 * time.Second
)

// Expr is a condition over tags and roles, as ParseCondition reads it. Its values are true, false and unknown (Kleene's logic): a term over
// a value that is not known is unknown, and so is what depends on it; `unknown and false` is false and `unknown or true` is true.
type Expr struct {
	op      exprOp
	kids    []*Expr   // of and, or: two or more; of not: one
	name    string    // of a term
	numbers []literal // of in: one or more; of a comparison: one
	within  int64     // ms; of blinks
}

type exprOp uint8

const (
	opTrue exprOp = iota
	opAnd
	opOr
	opNot
	opBlinks
	opIn
	opEqual
	opNotEqual
	opLess
	opLessEqual
	opGreater
	opGreaterEqual
)

var opText = map[exprOp]string{
	opEqual: "==", opNotEqual: "!=", opLess: "<", opLessEqual: "<=", opGreater: ">", opGreaterEqual: ">=",
}

// literal is a number of a condition and where it stands.
type literal struct {
	value  float64
	unit   string // UCUM; empty: that of what it is compared with
	column int    // from 1, in bytes
}

// ConditionError says what is wrong with a condition, and where.
type ConditionError struct {
	Column int // from 1, in bytes
	Reason string
}

// Error gives both.
func (e *ConditionError) Error() string { return fmt.Sprintf("column %d: %s", e.Column, e.Reason) }

// Names are the tags ("device.tag") and roles that a condition reads, each once, in order of appearance.
func (e *Expr) Names() []string {
	var names []string
	e.walk(func(term *Expr) {
		if term.name != "" && !slices.Contains(names, term.name) {
			names = append(names, term.name)
		}
	})
	return names
}

// Convert turns each number that has a unit into one without: to gives the value in the unit of the tag or role of that name. Its first
// error, with the column, is returned. The state machine takes only conditions that have been converted.
func (e *Expr) Convert(to func(name string, value float64, unit string) (float64, error)) error {
	var first error
	e.walk(func(term *Expr) {
		for i := range term.numbers {
			n := &term.numbers[i]
			if n.unit == "" || first != nil {
				continue
			}
			value, err := to(term.name, n.value, n.unit)
			if err == nil && value-value != 0 {
				err = fmt.Errorf("%g %s is too great a number", n.value, n.unit)
			}
			if err != nil {
				first = &ConditionError{n.column, err.Error()}
				return
			}
			n.value, n.unit = value, ""
		}
	})
	return first
}

func (e *Expr) walk(f func(*Expr)) {
	f(e)
	for _, kid := range e.kids {
		kid.walk(f)
	}
}

// String is the condition in its one canonical form, which ParseCondition reads as the same condition.
func (e *Expr) String() string {
	var b strings.Builder
	e.write(&b, opTrue)
	return b.String()
}

func (e *Expr) write(b *strings.Builder, above exprOp) {
	bracket := e.op == opOr && (above == opAnd || above == opNot) || e.op == opAnd && above == opNot || e.op == above && (e.op == opAnd || e.op == opOr)
	if bracket {
		b.WriteByte('(')
	}
	switch e.op {
	case opTrue:
		b.WriteString("true")
	case opAnd, opOr:
		for i, kid := range e.kids {
			if i > 0 {
				b.WriteString(map[exprOp]string{opAnd: " and ", opOr: " or "}[e.op])
			}
			kid.write(b, e.op)
		}
	case opNot:
		b.WriteString("not ")
		e.kids[0].write(b, opNot)
	case opBlinks:
		fmt.Fprintf(b, "blinks(%s, %s)", e.name, time.Duration(e.within)*time.Millisecond)
	case opIn:
		b.WriteString(e.name + " in (")
		for i, n := range e.numbers {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(n.String())
		}
		b.WriteByte(')')
	default:
		b.WriteString(e.name + " " + opText[e.op] + " " + e.numbers[0].String())
	}
	if bracket {
		b.WriteByte(')')
	}
}

func (n literal) String() string {
	text := strconv.FormatFloat(n.value, 'g', -1, 64)
	if n.unit != "" {
		text += " " + n.unit
	}
	return text
}

// TagNamed splits the name of a tag at its first dot into "device/tag"; ok is false for the name of a role.
func TagNamed(name string) (tag string, ok bool) {
	device, rest, ok := strings.Cut(name, ".")
	return device + "/" + rest, ok
}
