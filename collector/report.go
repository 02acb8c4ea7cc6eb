package collector

import (
	"math"
	"time"

	"github.com/millgate/millgate/drivers"
)

// held is the last stored reading of a tag: what a subscriber believes. The zero value believes nothing.
type held struct {
	value   drivers.Value
	cause   drivers.Cause
	stored  time.Duration // the tick at which it was stored, by the schedule's clock
	quality drivers.Quality
	known   bool
}

// keep decides whether r must be stored at that tick, and remembers it if so. A mark stores everything.
func (h *held) keep(rule *TagRule, r *drivers.Reading, tick time.Duration, mark bool) bool {
	if !mark && h.known && !h.news(rule, r, tick) {
		return false
	}
	*h = held{value: r.Value, cause: r.Cause, stored: tick, quality: r.Quality, known: true}
	return true
}

// news says whether r tells more than what is held.
func (h *held) news(rule *TagRule, r *drivers.Reading, tick time.Duration) bool {
	if r.Quality != h.quality || r.Cause != h.cause {
		return true
	}
	switch {
	case r.Quality == drivers.Bad:
		return false // a failure that lasts has no value that could change
	case !rule.OnChange:
		return true
	case rule.MaxSilence > 0 && tick-h.stored >= rule.MaxSilence:
		return true
	default:
		return differs(rule, r.Value, h.value)
	}
}

// forget makes the next reading news, if the last one was stored at that tick, and says so.
func (h *held) forget(tick time.Duration) bool {
	if h.stored != tick || !h.known {
		return false
	}
	h.known = false
	return true
}

// differs says whether the values are further apart than the rule's deadband. Integers are compared exactly; a deadband that is no
// number holds nothing back.
func differs(rule *TagRule, a, b drivers.Value) bool {
	if a == b {
		return false
	}
	if a.Type() != b.Type() || rule.Tag.Kind == drivers.State {
		return true
	}
	var distance float64
	switch a.Type() {
	case drivers.TypeInt64:
		hi, lo := a.Bits(), b.Bits()
		if int64(hi) < int64(lo) {
			hi, lo = lo, hi
		}
		distance = float64(hi - lo) // two's complement: right even where the int64 difference overflows
	case drivers.TypeUint64:
		distance = float64(max(a.Bits(), b.Bits()) - min(a.Bits(), b.Bits()))
	case drivers.TypeFloat32, drivers.TypeFloat64:
		x, _ := a.Float()
		y, _ := b.Float()
		distance = math.Abs(x - y)
	case drivers.TypeNone, drivers.TypeBool, drivers.TypeText:
		return true
	}
	return !(distance <= rule.Deadband)
}
