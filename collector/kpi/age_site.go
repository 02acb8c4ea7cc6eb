package kpi

import "strconv"

// Keys of Result.Basis that shares of the site use.
const (
	basisWithout   = "without"   // so many of which the datum is not known: in neither numerator nor denominator
	basisConcerned = "concerned" // so many the KPI is about
)

// Shares of the site are over equipment whose category has KPIs of age; those over ten years over equipment that the policy's focus is about
// (Category.FocusYears). What lacks the age or the weight is left out and counted as `without`; Coverage is the share of equipment left in,
// Bounds what the share would be if all that lacks only the age were young or old.
var siteAgeFormulas = map[string]formula{
	"share_over_10y_by_count":         siteShare(policyFocus, concernsFocus, byCount),
	"share_over_10y_by_value":         siteShare(policyFocus, concernsFocus, byValue),
	"share_over_10y_by_power":         siteShare(policyFocus, concernsFocus, byPower),
	"share_past_design_life_by_count": siteShare(pastDesignLife, concernsAge, byCount),
	"share_past_design_life_by_value": siteShare(pastDesignLife, concernsAge, byValue),
	"share_past_design_life_by_power": siteShare(pastDesignLife, concernsAge, byPower),
}

// weight is how much equipment counts in a share: 0 if that is not known.
type weight struct {
	of   func(*Equipment) float64
	name string // of the ledger's field; empty: none is needed
	unit string
}

var (
	byCount = weight{func(*Equipment) float64 { return 1 }, "", "1"}
	byValue = weight{func(e *Equipment) float64 { return e.Nameplate.OriginalValue }, "original_value", "CNY"}
	byPower = weight{func(e *Equipment) float64 { return e.Nameplate.RatedPower }, "rated_power", "kW"}
)

func concernsAge(c *Category) bool   { return c.applies("age") }
func concernsFocus(c *Category) bool { return c.applies("age") && c.FocusYears > 0 }

// applies says whether a group's KPIs are for the category.
func (c *Category) applies(group string) bool {
	for _, g := range c.Groups {
		if g == group {
			return true
		}
	}
	return false
}

func siteShare(of formula, concerns func(*Category) bool, by weight) formula {
	return func(f *Facts) Result {
		var num, den, open float64
		var concerned, without, weightless int
		var r Result
		doubts := map[string]bool{}
		for _, e := range f.Site {
			if e.Equipment == nil || e.Category == nil || !concerns(e.Category) {
				continue
			}
			concerned++
			one, w := of(e), by.of(e.Equipment)
			switch {
			case w <= 0:
				weightless++
			case one.Class == "":
				open += w
			default:
				den += w
				if one.Class == class(true) {
					num += w
				}
				r.Inputs = joined(r.Inputs, one.Inputs)
				for _, d := range one.Doubts {
					if !doubts[d] {
						doubts[d] = true
						r.Doubts = append(r.Doubts, d)
					}
				}
				continue
			}
			without++
		}
		r.note(basisConcerned, strconv.Itoa(concerned))
		r.note(basisWithout, strconv.Itoa(without))
		if concerned == 0 {
			return Result{Absent: ZeroDenominator, Basis: r.Basis}
		}
		r.Coverage = Number(float64(concerned-without) / float64(concerned))
		if den == 0 {
			return Result{Absent: MissingInput, Missing: by.missing(weightless, concerned), Basis: r.Basis, Coverage: r.Coverage}
		}
		f.step("numerator", num, by.unit, "")
		f.step("denominator", den, by.unit, "")
		r.Num, r.Den, r.Value, r.Quality = Number(num), Number(den), Number(num/den), Manual
		if weightless == 0 {
			r.Bounds = &[2]float64{num / (den + open), (num + open) / (den + open)}
		}
		return f.covered(r)
	}
}

// missing names what none of the equipment has.
func (w weight) missing(weightless, concerned int) []string {
	if weightless == concerned {
		return []string{w.name}
	}
	return []string{"commissioned|manufactured"}
}
