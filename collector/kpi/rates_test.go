package kpi

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// ratesSite is a site of this equipment, all of it in a category that should be networked.
func ratesSite(equipment ...Equipment) *Facts {
	site := utilFacts(utilDay)
	site.Equipment, site.Category, site.Tally = nil, nil, nil
	for i := range equipment {
		f := utilFacts(utilDay)
		f.Equipment, f.Category.Networked = &equipment[i], true
		site.Site = append(site.Site, f)
	}
	account := utilFacts(utilDay)
	account.Equipment, account.Category, account.Account = nil, nil, &Account{ID: "all"}
	site.Site = append(site.Site, account)
	return site
}

func TestNCRates(t *testing.T) {
	site := ratesSite(
		Equipment{ID: "M-5", Control: "cnc", Process: "milling"},
		Equipment{ID: "M-1", Control: "nc", Process: "milling"},
		Equipment{ID: "M-2", Control: "cnc", Process: "turning"}, // mixed: all would say no, any says yes
		Equipment{ID: "M-3", Control: "manual", Process: "turning"},
		Equipment{ID: "M-4", Control: "manual", Process: "grinding"}, // mixed, all
		Equipment{ID: "M-6", Control: "cnc", Process: "grinding"},
		Equipment{ID: "M-7", Process: "grinding"}, // not known, and could not turn it
		Equipment{ID: "F-1", Control: "plc", Process: "melting"},
		Equipment{ID: "F-2", Process: "casting"}, // not known
		Equipment{ID: "X-1", Control: "manual"},  // in no key process
	)
	site.Config.Processes = []Process{{ID: "turning", Rule: "any"}, {ID: "coating"}} // coating has no equipment
	r := ncRateByProcess(site)
	utilWant(t, "milling, turning, melting of those and grinding", r, 3.0/4)
	utilWantBounds(t, "casting and coating may be or not", r, 3.0/6, 5.0/6)
	for key, want := range map[string]string{
		basisControlled: "melting,milling,turning", basisUncontrolled: "grinding", basisNotKnown: "casting,coating",
		basisMixed: "grinding:all,turning:any", basisOfficial: "false", basisControls: "cnc,dcs,dnc,nc,plc",
	} {
		if r.Basis[key] != want {
			t.Errorf("by process: %s is %q, want %q", key, r.Basis[key], want)
		}
	}
	r = ncRateByEquipment(site)
	utilWant(t, "5 of 7 machines, 2 not known", r, 5.0/7)
	utilWantBounds(t, "by equipment", r, 5.0/9, 7.0/9)
	for key, want := range map[string]string{
		basisControlled: "F-1,M-1,M-2,M-5,M-6", basisUncontrolled: "M-3,M-4", basisNotKnown: "F-2,M-7", basisByPLC: "F-1", basisOfficial: "false",
	} {
		if r.Basis[key] != want {
			t.Errorf("by equipment: %s is %q, want %q", key, r.Basis[key], want)
		}
	}
	if *r.Coverage != 7.0/9 || r.Quality != Manual {
		t.Errorf("%+v", r)
	}
	none := ratesSite(Equipment{ID: "M-1", Control: "cnc"})
	utilWantAbsent(t, "no key process", ncRateByProcess(none), MissingInput, "key_process")
	utilWantAbsent(t, "no key process", ncRateByEquipment(none), MissingInput, "key_process")
	unsaid := ratesSite(Equipment{ID: "M-1", Process: "milling"})
	utilWantAbsent(t, "no control", ncRateByProcess(unsaid), MissingInput, "control")
	utilWantAbsent(t, "no control", ncRateByEquipment(unsaid), MissingInput, "control")
}

func TestProcessRules(t *testing.T) {
	for _, c := range []struct {
		rule             string
		yes, no, unknown int
		want             verdict
	}{
		{"all", 2, 0, 0, is}, {"all", 2, 1, 0, isNot}, {"all", 2, 0, 1, notKnown}, {"all", 1, 1, 1, isNot},
		{"any", 1, 5, 1, is}, {"any", 0, 5, 0, isNot}, {"any", 0, 5, 1, notKnown},
		{"majority", 2, 1, 0, is}, {"majority", 1, 1, 0, isNot}, {"majority", 1, 2, 0, isNot}, {"majority", 2, 1, 1, notKnown}, {"majority", 3, 1, 1, is},
		{"majority", 1, 3, 1, isNot}, {"all", 0, 0, 0, notKnown},
	} {
		p := process{rule: c.rule, counts: [3]int{notKnown: c.unknown, isNot: c.no, is: c.yes}}
		if got := p.verdict(); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestNetworking(t *testing.T) {
	no, yes := false, true
	site := ratesSite(
		Equipment{ID: "M-1", Control: "cnc"},
		Equipment{ID: "M-2", Control: "plc"}, // silent
		Equipment{ID: "M-3", Control: "manual", Networking: Networking{Required: &no}},
		Equipment{ID: "M-4", Control: "manual", Networking: Networking{Digital: &yes}},
		Equipment{ID: "M-5"},
		Equipment{ID: "V-1", Control: "manual"},
	)
	for i, minutes := range []int64{1440, 0, 1440, 1, 720, 0} {
		site.Site[i].Tally.Present, site.Site[i].Tally.Wanted = minutes*utilMinute, 1440*utilMinute
	}
	site.Site[5].Category = &Category{ID: "vessel", Groups: []string{"age"}}
	r := networkingRate(site)
	utilWant(t, "M-1, M-4, M-5 of them and M-2", r, 3.0/4)
	if r.Basis[basisNetworked] != "M-1,M-4,M-5" || r.Basis[basisSilent] != "M-2" || r.Quality != Measured || *r.Coverage != 1 {
		t.Errorf("%+v", r)
	}
	r = digitalShare(site)
	utilWant(t, "M-1, M-2, M-4 of them and M-3; M-5 is not known, a vessel is neither", r, 3.0/4)
	utilWantBounds(t, "digital", r, 3.0/5, 4.0/5)
	utilWantAbsent(t, "nothing said", digitalShare(ratesSite(Equipment{ID: "M-1"})), MissingInput, "control")
	utilWantAbsent(t, "no equipment", digitalShare(ratesSite()), ZeroDenominator)
	utilWantAbsent(t, "no equipment", networkingRate(ratesSite()), ZeroDenominator)

	r = collectionCoverage(site)
	utilWant(t, "1440 + 1440 + 1 + 720 of 6 · 1440 min", r, 3601.0/8640)
	utilWantBounds(t, "collected", r, 3601.0/8640, 3601.0/8640)
	site.Config.Quota = []string{"m1/state", "tank/level"} // the level is read by no KPI: 1440 min more or less
	r = collectionCoverage(site)
	utilWant(t, "as far as it is followed", r, 3601.0/8640)
	utilWantBounds(t, "collected", r, 3601.0/10080, 5041.0/10080)
	if !utilNear(*r.Coverage, 6.0/7) || r.Basis[basisOutside] != "1" {
		t.Errorf("%+v", r)
	}
	utilWantAbsent(t, "no signals", collectionCoverage(ratesSite()), ZeroDenominator)
}

func TestRatesAreWithinBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var equipment []Equipment
		for i := range rapid.IntRange(0, 12).Draw(t, "n") {
			equipment = append(equipment, Equipment{
				ID: string(rune('a' + i)), Control: rapid.SampledFrom([]string{"", "manual", "plc", "nc", "cnc", "dnc", "dcs"}).Draw(t, "control"),
				Process: rapid.SampledFrom([]string{"", "p", "q", "r"}).Draw(t, "process"),
			})
		}
		site := ratesSite(equipment...)
		site.Config.Processes = []Process{{ID: "q", Rule: "any"}, {ID: "r", Rule: "majority"}}
		for _, of := range []formula{ncRateByProcess, ncRateByEquipment, digitalShare} {
			before := of(site)
			if before.Absent != "" {
				continue
			}
			b := *before.Bounds
			if !(0 <= b[0] && b[0] <= *before.Value && *before.Value <= b[1] && b[1] <= 1 && *before.Coverage <= 1) {
				t.Fatalf("%+v", before)
			}
			i := rapid.IntRange(0, len(equipment)-1).Draw(t, "forgotten")
			forgotten := slices.Clone(equipment)
			forgotten[i].Control = ""
			worse := ratesSite(forgotten...)
			worse.Config = site.Config
			if after := of(worse); after.Absent == "" && (after.Bounds[0] > b[0] || after.Bounds[1] < b[1]) {
				t.Fatalf("not knowing %s narrows %v to %v", equipment[i].ID, b, *after.Bounds)
			}
		}
	})
}
