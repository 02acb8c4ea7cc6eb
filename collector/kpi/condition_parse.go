package kpi

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// ParseCondition reads a condition:
//
//	lamp-1.green == 1 and not blinks(lamp-1.red)
//	meter-1.power_total < 0.05 kW or item_state in (1, 2)
//
// A name with a dot is a tag, "device.tag"; one without is a role of the equipment's signals. Names are compared with numbers (==, !=, <, <=,
// >, >=, in), which may carry a UCUM unit; a flag is 0 or 1. `blinks(name)` and `blinks(name, 3s)` hold while the value has changed three
// times or more within that time, 5 s unless told; what has not been seen has not changed. `not` binds closest, then `and`, then `or`;
// `true` always holds. The error is a *ConditionError.
func ParseCondition(text string) (*Expr, error) {
	p := &conditionParser{text: text}
	if len(text) > maxConditionText {
		return nil, &ConditionError{maxConditionText, fmt.Sprintf("the condition is longer than %d bytes", maxConditionText)}
	}
	e := p.any(0)
	if p.space(); p.err == nil && p.at < len(text) {
		p.fail("expected and, or, or the end")
	}
	if p.err != nil {
		return nil, p.err
	}
	return e, nil
}

// conditionParser descends; after the first error all its methods return at once.
type conditionParser struct {
	text  string
	at    int // bytes read
	terms int
	err   error
}

func (p *conditionParser) fail(format string, args ...any) {
	if p.err != nil {
		return
	}
	found := "the end"
	if p.at < len(p.text) {
		found = strconv.Quote(word(p.text[p.at:]))
	}
	p.err = &ConditionError{p.at + 1, fmt.Sprintf(format, args...) + ", found " + found}
}

// word is what an error shows of the rest of a condition.
func word(rest string) string {
	first, _, _ := strings.Cut(rest, " ")
	if runes := []rune(first); len(runes) > 20 {
		first = string(runes[:20]) + "…"
	}
	return first
}

func (p *conditionParser) space() {
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.at]) >= 0 {
		p.at++
	}
}

// sign takes the given characters if they come next.
func (p *conditionParser) sign(s string) bool {
	p.space()
	if p.err != nil || !strings.HasPrefix(p.text[p.at:], s) {
		return false
	}
	p.at += len(s)
	return true
}

// keyword takes a word if it comes next as a whole.
func (p *conditionParser) keyword(w string) bool {
	p.space()
	if p.err != nil || peekName(p.text[p.at:]) != w {
		return false
	}
	p.at += len(w)
	return true
}

// peekName is the name or word with which the text begins.
func peekName(text string) string {
	n := 0
	for n < len(text) && isNameByte(text[n]) {
		n++
	}
	return text[:n]
}

func isNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || isDigit(c) || strings.IndexByte("_-.[]", c) >= 0
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func (p *conditionParser) any(depth int) *Expr { return p.chain("or", opOr, depth, p.all) }

func (p *conditionParser) all(depth int) *Expr { return p.chain("and", opAnd, depth, p.negated) }

func (p *conditionParser) chain(keyword string, op exprOp, depth int, next func(int) *Expr) *Expr {
	kids := []*Expr{next(depth)}
	for p.keyword(keyword) {
		kids = append(kids, next(depth))
	}
	if len(kids) == 1 {
		return kids[0]
	}
	return &Expr{op: op, kids: kids}
}

func (p *conditionParser) negated(depth int) *Expr {
	if depth >= maxConditionDepth {
		p.fail("more than %d levels of brackets and not; use several rules", maxConditionDepth)
		return nil
	}
	if p.keyword("not") {
		return &Expr{op: opNot, kids: []*Expr{p.negated(depth + 1)}}
	}
	if p.sign("(") {
		e := p.any(depth + 1)
		if !p.sign(")") {
			p.fail("expected )")
		}
		return e
	}
	return p.term()
}

func (p *conditionParser) term() *Expr {
	if p.terms++; p.terms > maxConditionTerms {
		p.fail("more than %d terms; use several rules", maxConditionTerms)
		return nil
	}
	if p.keyword("true") {
		return &Expr{op: opTrue}
	}
	if p.keyword("blinks") {
		return p.blinks()
	}
	e := &Expr{name: p.name()}
	p.space()
	if p.keyword("in") {
		return p.in(e)
	}
	for _, op := range []exprOp{opEqual, opNotEqual, opLessEqual, opGreaterEqual, opLess, opGreater} { // <= before <
		if p.sign(opText[op]) {
			e.op, e.numbers = op, []literal{p.number()}
			return e
		}
	}
	p.fail("expected ==, !=, <, <=, >, >= or in after %s", e.name)
	return nil
}

var reserved = []string{"and", "or", "not", "in", "true", "blinks"}

func (p *conditionParser) name() string {
	p.space()
	name := ""
	if p.err == nil {
		name = peekName(p.text[p.at:])
	}
	device, tag, direct := strings.Cut(name, ".")
	if device == "" || strings.IndexByte("-_[]", name[0]) >= 0 || direct && tag == "" || strings.ContainsAny(device, "[]") || slices.Contains(reserved, name) {
		p.fail("expected a tag (device.tag), a role, not, true, blinks or (")
		return ""
	}
	p.at += len(name)
	return name
}

func (p *conditionParser) in(e *Expr) *Expr {
	e.op = opIn
	if !p.sign("(") {
		p.fail("expected ( after in")
	}
	for more := true; more && p.err == nil; more = p.sign(",") {
		e.numbers = append(e.numbers, p.number())
	}
	if !p.sign(")") {
		p.fail("expected , or )")
	}
	return e
}

func (p *conditionParser) blinks() *Expr {
	if !p.sign("(") {
		p.fail("expected ( after blinks")
	}
	e := &Expr{op: opBlinks, name: p.name(), within: defaultBlinkTime.Milliseconds()}
	if p.sign(",") {
		p.space()
		text := peekName(p.text[p.at:])
		d, err := time.ParseDuration(text)
		if err != nil || d < time.Millisecond || d > maxBlinkTime || d%time.Millisecond != 0 {
			p.fail("expected a time in whole milliseconds up to %s, such as 5s or 800ms", maxBlinkTime)
			return nil
		}
		p.at += len(text)
		e.within = d.Milliseconds()
	}
	if !p.sign(")") {
		p.fail("expected ) or , and a time")
	}
	return e
}

// number takes a decimal number and the unit after it.
func (p *conditionParser) number() literal {
	p.space()
	begin := p.at
	end := begin + numberLength(p.text[begin:])
	value, err := strconv.ParseFloat(p.text[begin:end], 64)
	if err != nil || p.err != nil {
		p.fail("expected a number")
		return literal{}
	}
	p.at = end
	n := literal{value: value, column: begin + 1}
	p.space()
	rest := p.text[p.at:]
	if w := peekName(rest); w == "and" || w == "or" {
		return n
	}
	n.unit = rest[:unitLength(rest)]
	p.at += len(n.unit)
	return n
}

// numberLength is that of the decimal number with which text begins. An e without digits belongs to the unit.
func numberLength(text string) int {
	digits := func(i int) int {
		for i < len(text) && isDigit(text[i]) {
			i++
		}
		return i
	}
	signed := func(i int) int {
		if i < len(text) && (text[i] == '-' || text[i] == '+') {
			i++
		}
		return i
	}
	n := digits(signed(0))
	if n < len(text) && text[n] == '.' {
		n = digits(n + 1)
	}
	if n < len(text) && (text[n] == 'e' || text[n] == 'E') {
		if begin := signed(n + 1); digits(begin) > begin {
			n = digits(begin)
		}
	}
	return n
}

// unitLength is that of the UCUM unit with which text begins: up to a space, comma or bracket that the unit did not open.
func unitLength(text string) int {
	depth := 0
	for i, c := range text {
		switch {
		case i == 0 && c < utf8.RuneSelf && !isDigit(byte(c)) && !unicode.IsLetter(c) && !strings.ContainsRune("%[{'", c):
			return 0
		case c == '(':
			depth++
		case c == ')' && depth == 0, c <= ' ', c == ',' || strings.ContainsRune("=<>!", c):
			return i
		case c == ')':
			depth--
		}
	}
	return len(text)
}
