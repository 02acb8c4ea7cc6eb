package kpi

import (
	"slices"
	"strconv"
	"strings"
)

// Keys of Result.Basis that rates use. Lists are ids, sorted, with commas between them.
const (
	basisOfficial     = "official"       // "false": the official wording of the KPI was not found
	basisControls     = "controls"       // which controls count as numerical
	basisControlled   = "controlled"     // list
	basisUncontrolled = "not_controlled" // list
	basisNotKnown     = "not_known"      // list: in neither numerator nor denominator
	basisByPLC        = "by_plc_or_dcs"  // list: of `controlled`, what a discrete manufacturer would not count
	basisMixed        = "mixed"          // processes with both kinds of machines, each with its rule
	basisNetworked    = "networked"      // list: what was heard in the window
	basisSilent       = "not_networked"  // list: what should be networked, but was not heard
	basisDigital      = "digital"        // list
	basisNotDigital   = "not_digital"    // list
	basisOutside      = "outside"        // so many tags of the site's plan that no KPI reads
)

var ratesFormulas = map[string]formula{
	"nc_rate_by_process":       ncRateByProcess,
	"nc_rate_by_equipment":     ncRateByEquipment,
	"networking_rate":          networkingRate,
	"data_collection_coverage": collectionCoverage,
	"digital_equipment_share":  digitalShare,
}

// verdict of a yes-or-no question to which the ledger may have no answer.
type verdict uint8

const (
	notKnown verdict = iota
	isNot
	is
)

// Two definitions are in use: discrete manufacture counts machines with NC, CNC or DNC, the process industry what a PLC or DCS controls. The
// ledger does not tell which of them a process belongs to, so the control decides, and what counts only by the second is listed.
var (
	discreteControls = []string{"cnc", "dnc", "nc"}
	processControls  = []string{"dcs", "plc"}
)

// numerical says whether the equipment is numerically controlled.
func numerical(e *Equipment) verdict {
	switch {
	case e.Control == "":
		return notKnown
	case slices.Contains(discreteControls, e.Control), slices.Contains(processControls, e.Control):
		return is
	}
	return isNot
}

// poll is the answers of many.
type poll [3][]string

func (p *poll) add(id string, v verdict) { p[v] = append(p[v], id) }

// result is yes / (yes + no), with what is not known in the bounds only.
func (p *poll) result(keys [3]string) Result {
	for _, ids := range p {
		slices.Sort(ids)
	}
	n, no, yes := float64(len(p[notKnown])), float64(len(p[isNot])), float64(len(p[is]))
	r := Result{Quality: Manual}
	for v, key := range keys {
		r.note(key, strings.Join(p[v], ","))
	}
	if yes+no == 0 {
		return Result{Absent: ZeroDenominator, Basis: r.Basis}
	}
	r.Num, r.Den, r.Value = Number(yes), Number(yes+no), Number(yes/(yes+no))
	r.Coverage = Number((yes + no) / (yes + no + n))
	r.Bounds = &[2]float64{yes / (yes + no + n), (yes + n) / (yes + no + n)}
	return r
}

// process is a key process and what its machines are.
type process struct {
	rule   string
	counts [3]int
}

// verdict follows the rule; what is not known leaves it open only if it could turn it.
func (p *process) verdict() verdict {
	n, no, yes := p.counts[notKnown], p.counts[isNot], p.counts[is]
	least, most, of := yes, yes+n, n+no+yes
	enough := of
	switch p.rule {
	case "any":
		enough = 1
	case "majority":
		enough = of/2 + 1
	}
	switch {
	case of == 0:
		return notKnown
	case least >= enough:
		return is
	case most < enough:
		return isNot
	}
	return notKnown
}

// keyProcesses are those of the configuration and those that only equipment names, with the rule all.
func (f *Facts) keyProcesses() map[string]*process {
	all := map[string]*process{}
	for i := range f.Config.Processes {
		p := &f.Config.Processes[i]
		all[p.ID] = &process{rule: p.Rule}
	}
	for _, e := range f.Site {
		if e.Equipment == nil || e.Equipment.Process == "" {
			continue
		}
		p := all[e.Equipment.Process]
		if p == nil {
			p = &process{}
			all[e.Equipment.Process] = p
		}
		p.counts[numerical(e.Equipment)]++
	}
	for _, p := range all {
		if p.rule == "" {
			p.rule = "all"
		}
	}
	return all
}

var controlKeys = [3]string{basisNotKnown, basisUncontrolled, basisControlled}

func ncRateByProcess(f *Facts) Result {
	var answers poll
	var mixed []string
	for id, p := range f.keyProcesses() {
		answers.add(id, p.verdict())
		if p.counts[is] > 0 && p.counts[isNot] > 0 {
			mixed = append(mixed, id+":"+p.rule)
		}
	}
	r := unofficial(&answers)
	if len(mixed) > 0 {
		r.note(basisMixed, strings.Join(sorted(mixed), ","))
	}
	return f.covered(r)
}

func ncRateByEquipment(f *Facts) Result {
	var answers poll
	var second []string
	for _, e := range f.Site {
		if e.Equipment == nil || e.Equipment.Process == "" {
			continue
		}
		answers.add(e.Equipment.ID, numerical(e.Equipment))
		if slices.Contains(processControls, e.Equipment.Control) {
			second = append(second, e.Equipment.ID)
		}
	}
	r := unofficial(&answers)
	r.note(basisByPLC, strings.Join(sorted(second), ","))
	return f.covered(r)
}

// unofficial is the result of an NC rate.
func unofficial(answers *poll) Result {
	r := answers.result(controlKeys)
	switch {
	case r.Absent == "":
	case len(answers[notKnown]) == 0:
		r.Absent, r.Missing = MissingInput, []string{"key_process"}
	default:
		r.Absent, r.Missing = MissingInput, []string{"control"}
	}
	r.note(basisOfficial, "false")
	r.note(basisControls, strings.Join(sorted(append(slices.Clone(discreteControls), processControls...)), ","))
	return r
}

// networkingRate is of what should be networked by the ledger, else by its category; networked is what gave a value in the window.
func networkingRate(f *Facts) Result {
	var answers poll
	for _, e := range f.Site {
		if e.Equipment == nil || e.Tally == nil || !shouldBeNetworked(e) {
			continue
		}
		v := isNot
		if e.Tally.Present > 0 {
			v = is
		}
		answers.add(e.Equipment.ID, v)
	}
	r := answers.result([3]string{basisNotKnown, basisSilent, basisNetworked})
	delete(r.Basis, basisNotKnown)
	if r.Absent == "" {
		r.Quality = Measured
	}
	return f.covered(r)
}

func shouldBeNetworked(e *Facts) bool {
	if e.Equipment.Networking.Required != nil {
		return *e.Equipment.Networking.Required
	}
	return e.Category != nil && e.Category.Networked
}

// collectionCoverage is time with a value over time in which there should be one, over all signals; a tag counts once for each subject that it
// is a signal of. Tags of the site's plan that are no signal are not followed: they lower the Coverage and widen the Bounds.
func collectionCoverage(f *Facts) Result {
	var present, wanted int64
	signals := map[string]bool{}
	for _, e := range f.Site {
		if e.Tally == nil {
			continue
		}
		present, wanted = present+e.Tally.Present, wanted+e.Tally.Wanted
		e.collectSignals(signals)
	}
	outside := 0
	for _, tag := range f.Config.Quota {
		if !signals[tag] {
			outside++
		}
	}
	if wanted == 0 {
		return absent(ZeroDenominator)
	}
	num := f.step("collected", float64(present), "ms", "Σ over signals of the time with a value")
	den := f.step("to collect", float64(wanted), "ms", "signals × window")
	open := float64(outside) * float64(f.length())
	r := Result{Quality: Measured, Num: Number(num), Den: Number(den), Value: Number(num / den), Coverage: Number(den / (den + open))}
	r.Bounds = &[2]float64{num / (den + open), (num + open) / (den + open)}
	if len(f.Config.Quota) > 0 {
		r.note(basisOutside, strconv.Itoa(outside))
	}
	return f.covered(r)
}

// collectSignals adds the tags that the subject's figures come from.
func (f *Facts) collectSignals(to map[string]bool) {
	if f.Equipment != nil {
		for _, s := range f.Equipment.Signals {
			to[s.Tag] = true
		}
	}
	if f.Shape == nil {
		return
	}
	for i := range f.Shape.Channels {
		for _, tag := range f.Shape.Channels[i].Tags {
			to[tag] = true
		}
	}
	for _, tag := range f.Shape.States {
		to[tag] = true
	}
}

// digitalShare is over equipment that has rates at all: a vessel is neither digital nor not.
func digitalShare(f *Facts) Result {
	var answers poll
	for _, e := range f.Site {
		if e.Equipment != nil && e.Category != nil && e.Category.applies("rates") {
			answers.add(e.Equipment.ID, digital(e.Equipment))
		}
	}
	r := answers.result([3]string{basisNotKnown, basisNotDigital, basisDigital})
	if r.Absent != "" && len(answers[notKnown]) > 0 {
		r.Absent, r.Missing = MissingInput, []string{"control"}
	}
	return f.covered(r)
}

// digital is what the ledger says; else equipment with any control of its own is.
func digital(e *Equipment) verdict {
	switch {
	case e.Networking.Digital != nil && *e.Networking.Digital:
		return is
	case e.Networking.Digital != nil || e.Control == "manual":
		return isNot
	case e.Control == "":
		return notKnown
	}
	return is
}
