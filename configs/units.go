package configs

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/millgate/millgate/drivers"
)

// integer reads a whole number, decimal or 0x…, from lo to hi.
func (d *document) integer(into *int, lo, hi int, what string) func(ast.Node) {
	return func(n ast.Node) {
		s, ok := d.scalar(n, "a whole number is expected")
		if !ok {
			return
		}
		i, err := parseWhole(s)
		switch {
		case err == nil && len(s) > 1 && strings.Trim(s, "01234567") == "" && s[0] == '0':
			d.at(n, "%s %s: is that octal? write it without the leading zero, or as 0x…", what, s)
		case err != nil:
			d.at(n, "%s: a whole number is expected, not %s", what, describe(n))
		case i < int64(lo) || i > int64(hi):
			d.at(n, "%s %s is out of range: %d to %d", what, s, lo, hi)
		default:
			*into = int(i)
		}
	}
}

// parseWhole reads a whole number, decimal or 0x….
func parseWhole(s string) (int64, error) {
	if hex, isHex := strings.CutPrefix(strings.ToLower(s), "0x"); isHex {
		return strconv.ParseInt(hex, 16, 64)
	}
	return strconv.ParseInt(s, 10, 64)
}

func (d *document) decimal(into *drivers.Decimal) func(ast.Node) {
	return func(n ast.Node) {
		s, ok := d.scalar(n, "a number is expected")
		if !ok {
			return
		}
		v, err := drivers.ParseDecimal(s)
		if err != nil {
			d.at(n, "%v", err)
			return
		}
		*into = v
	}
}

// duration reads 500ms, 1s, 15m, 2h or 7d, from lo to hi.
func (d *document) duration(into *time.Duration, lo, hi time.Duration, what string) func(ast.Node) {
	return func(n ast.Node) {
		s, ok := d.scalar(n, "a duration is expected")
		if !ok {
			return
		}
		v, err := time.ParseDuration(s)
		if days, isDays := strings.CutSuffix(s, "d"); isDays {
			var whole uint64
			whole, err = strconv.ParseUint(days, 10, 16)
			v = time.Duration(whole) * 24 * time.Hour
		}
		switch {
		case err != nil:
			d.at(n, "%s %q: write a number and a unit, such as 500ms, 1s, 15m or 7d", what, s)
		case v < lo || v > hi:
			d.at(n, "%s %s is out of range: %v to %v", what, s, lo, hi)
		case v%time.Millisecond != 0:
			d.at(n, "%s %s is finer than a millisecond: use whole milliseconds", what, s)
		default:
			*into = v
		}
	}
}

var sizeUnits = []struct {
	suffix string
	bytes  int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}}

// size reads 256KiB, 64MiB, 4GiB, from lo to hi bytes.
func (d *document) size(into *int64, lo, hi int64, what string) func(ast.Node) {
	return func(n ast.Node) {
		s, ok := d.scalar(n, "a size is expected")
		if !ok {
			return
		}
		for _, u := range sizeUnits {
			number, ok := strings.CutSuffix(s, u.suffix)
			if !ok {
				continue
			}
			i, err := strconv.ParseInt(strings.TrimSpace(number), 10, 32)
			if err != nil {
				break
			}
			if i < 0 || i > hi/u.bytes || i*u.bytes < lo {
				d.at(n, "%s %s is out of range: %d to %d bytes", what, s, lo, hi)
				return
			}
			*into = i * u.bytes
			return
		}
		d.at(n, "%s %q: write a whole number and KiB, MiB or GiB, such as 256KiB", what, s)
	}
}

// choice reads one of a few words.
func (d *document) choice(into *string, what string, words ...string) func(ast.Node) {
	return func(n ast.Node) {
		s, ok := d.scalar(n, "one word is expected")
		switch {
		case !ok:
		case !slices.Contains(words, s):
			d.at(n, "%s %q is unknown%s; use %s", what, s, suggestion(s, words), strings.Join(words, ", "))
		default:
			*into = s
		}
	}
}
