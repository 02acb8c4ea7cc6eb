package kpi

import (
	"testing"

	"pgregory.net/rapid"
)

// productsFacts is the day of utilDay on a machine that made 400 of A (60 s each) and 100 of B (90 s), and warmed up for 10 min, which counted
// 6. Of the 506 that it counted, 500 are parts.
func productsFacts() *Facts {
	f := utilFacts(utilDay)
	f.Config.Products = []Product{{ID: "A", Ideal: 60}, {ID: "B", Ideal: 90, On: []string{"M-1"}}, {ID: "warm-up", Excluded: true}, {ID: "X", Ideal: 900, On: []string{"M-2"}}}
	f.utilChannel("parts", Channel{Sum: Sum{S: 506}, Known: 1440 * utilMinute})
	f.Tally.Parts = []float64{400, 100, 6, 0, 0}
	f.Tally.Ideal = 400*60 + 100*90 // 33,000 s
	f.Tally.Excluded = 10 * utilMinute
	f.Equipment.Signals = map[string]Signal{"program": {Tag: "m1/program"}}
	return f
}

func TestParts(t *testing.T) {
	counted := productsFacts()
	counted.utilChannel("scrap", Channel{Sum: Sum{S: 10}, Spread: 1, Known: 1440 * utilMinute})
	byHand := productsFacts()
	byHand.utilInput("scrap", 20, 2, 2)
	sorter := utilFacts(utilDay) // counts good parts and scrap, nothing else
	sorter.utilChannel("good_parts", Channel{Sum: Sum{S: 90}, Known: 1440 * utilMinute})
	sorter.utilChannel("scrap", Channel{Sum: Sum{S: 10}, Known: 720 * utilMinute, Doubts: 1})
	goodOnly := productsFacts()
	goodOnly.utilInput("good_parts", 495, 1, 1)
	for name, c := range map[string]struct {
		f                           *Facts
		total, good, scrap, quality float64
		grade                       Grade
	}{
		"parts less warm-up; scrap counted": {counted, 506 - 6, 500 - 10, 10, 490.0 / 500, Measured},
		"scrap entered":                     {byHand, 500, 500 - 20, 20, 480.0 / 500, Manual},
		"good and scrap":                    {sorter, 90 + 10, 90, 10, 90.0 / 100, Measured},
		"good entered":                      {goodOnly, 500, 495, 500 - 495, 495.0 / 500, Manual},
	} {
		utilWant(t, name+": total", utilisationFormulas["parts_total"](c.f), c.total)
		utilWant(t, name+": good", utilisationFormulas["parts_good"](c.f), c.good)
		utilWant(t, name+": scrap", utilisationFormulas["parts_scrap"](c.f), c.scrap)
		r := qualityRatio(c.f)
		utilWant(t, name+": quality", r, c.quality)
		if r.Quality != c.grade || r.Num == nil || *r.Num != c.good || *r.Den != c.total {
			t.Errorf("%s: %+v", name, r)
		}
	}
	utilWantBounds(t, "good", utilisationFormulas["parts_good"](counted), 500-11, 500-9)
	utilWantBounds(t, "quality", qualityRatio(counted), 1-11.0/500, 1-9.0/500)
	if r := qualityRatio(sorter); *r.Coverage != 0.5 || r.Basis[basisDoubts] != "1" {
		t.Errorf("half of the scrap is not known, and its counter was reset: %+v", r)
	}
}

func TestNoParts(t *testing.T) {
	bare := utilFacts(utilDay)
	onlyParts := productsFacts()
	half := productsFacts()
	half.utilInput("scrap", 7, 3, 2)
	longer := productsFacts()
	longer.utilInput("scrap", 7, 0, 0)
	absurd := productsFacts()
	absurd.utilInput("scrap", 501, 1, 1)
	silent := utilFacts(utilDay)
	silent.utilChannel("parts", Channel{})
	idle := utilFacts(utilDay)
	idle.utilChannel("parts", Channel{Known: 1440 * utilMinute})
	idle.utilInput("scrap", 0, 1, 1)
	for name, c := range map[string]struct {
		f       *Facts
		id      string
		why     Absence
		missing []string
	}{
		"no counter":                     {bare, "parts_total", MissingInput, []string{"parts"}},
		"nothing at all":                 {bare, "quality_ratio", MissingInput, []string{"good_parts|scrap", "parts"}},
		"no scrap":                       {onlyParts, "parts_scrap", MissingInput, []string{"scrap|good_parts"}},
		"quality is not 1":               {onlyParts, "quality_ratio", MissingInput, []string{"good_parts|scrap"}},
		"two of three shifts entered":    {half, "parts_scrap", Incomplete, []string{"manual/in-scrap"}},
		"quality of two of three shifts": {half, "quality_ratio", Incomplete, []string{"manual/in-scrap"}},
		"entered by the month":           {longer, "quality_ratio", MissingInput, []string{"good_parts|scrap"}},
		"more scrap than parts":          {absurd, "quality_ratio", Contradiction, nil},
		"fewer than no good parts":       {absurd, "parts_good", Contradiction, nil},
		"counter never read":             {silent, "parts_total", NoData, nil},
		"nothing made":                   {idle, "quality_ratio", ZeroDenominator, nil},
	} {
		utilWantAbsent(t, name, utilisationFormulas[c.id](c.f), c.why, c.missing...)
	}
	both := productsFacts() // 90 good parts of 500 may be, but not with 501 of scrap
	both.utilChannel("good_parts", Channel{Sum: Sum{S: 90}, Known: 1440 * utilMinute})
	both.utilInput("scrap", 501, 1, 1)
	utilWantAbsent(t, "more scrap than parts, good parts counted", qualityRatio(both), Contradiction)
	sum := utilFacts(utilDay)
	sum.utilChannel("parts", Channel{Sum: Sum{S: 10}, Known: 1440 * utilMinute})
	sum.utilChannel("good_parts", Channel{Sum: Sum{S: 11}, Known: 1440 * utilMinute})
	utilWantAbsent(t, "more good parts than parts", qualityRatio(sum), Contradiction)
}

func TestEffectivenessAndOEE(t *testing.T) {
	f := productsFacts()
	f.utilInput("scrap", 10, 1, 1)
	// APT is 660 min, of which 10 min warm-up: 39,000 s. The 500 parts should have taken 33,000 s.
	const e, q = 33000.0 / 39000, 490.0 / 500
	r := effectiveness(f)
	utilWant(t, "effectiveness", r, e)
	utilWantBounds(t, "effectiveness", r, 33000.0/(39000+3600), e) // 60 min are unknown
	if *r.Num != 33_000_000 || *r.Den != 39_000_000 || r.Basis[basisExcluded] != "600000" {
		t.Errorf("%+v", r)
	}
	oee := overall(f, false)
	utilWant(t, "oee = 600/900 · 33000/39000 · 490/500", oee, 600.0/900*e*q)
	// Unknown: 30 min planned, 30 min not. Least: those not planned were production, at no faster pace. Greatest: those planned were warm-up,
	// which raises availability and leaves effectiveness.
	utilWantBounds(t, "oee", oee, 600.0/900*33000/(39000+1800)*q, 630.0/900*e*q)
	if *oee.Den != 900*utilMinute || oee.Quality != Manual || oee.Basis[basisOvertime] != "3600000" {
		t.Errorf("%+v", oee)
	}
	nee := overall(f, true)
	utilWant(t, "nee = (600+60)/900 · 33000/39000 · 490/500", nee, 660.0/900*e*q)
	utilWantBounds(t, "nee", nee, 660.0/900*33000/(39000+1800)*q, 690.0/900*e*q)

	cold := productsFacts() // without warm-up: what was planned raises availability and lowers effectiveness, 39,600 s of APT being productive
	cold.Config.Products[2] = Product{ID: "C", Ideal: 10}
	cold.Tally.Parts[2], cold.Tally.Excluded = 0, 0
	cold.utilInput("scrap", 10, 1, 1)
	utilWantBounds(t, "oee without warm-up", overall(cold, false), 600.0/900*33000/(39600+1800)*q, 630.0/900*33000/(39600+1800)*q)

	f.Tally.Blind = 5 * utilMinute // the program was not known for 300 s
	utilWantBounds(t, "effectiveness with 300 s of an unknown program", effectiveness(f), 33000.0/(39000+3600), 33000.0/(39000-300))
	f.Tally.Ideal *= 2
	r = effectiveness(f)
	utilWant(t, "parts made faster than ideal", r, 2*e)
	if r.Basis[basisAbove] != "true" {
		t.Errorf("basis %v", r.Basis)
	}
	f.Tally.Channels[0].Spread = 1 // one of at most 90 s
	utilWantBounds(t, "effectiveness of one part more or less", effectiveness(f), (66000.0-90)/(39000+3600), (66000.0+90)/(39000-300))
	f.Config.Products[0].PerCycle = 4 // the counter counts cycles, one of which makes up to 4 of 60 s each
	utilWantBounds(t, "effectiveness of one cycle more or less", effectiveness(f), (66000.0-240)/(39000+3600), (66000.0+240)/(39000-300))
	utilWantBounds(t, "parts of one cycle more or less", utilisationFormulas["parts_total"](f), 500-4, 500+4)
}

func TestNoOEE(t *testing.T) {
	bare := utilFacts(utilDay)
	bare.Shape.Mapping = ""
	noScrap := productsFacts()
	noCycle := productsFacts()
	noCycle.Config.Products = []Product{{ID: "X", Ideal: 900, On: []string{"M-2"}}}
	noCycle.utilInput("scrap", 0, 1, 1)
	noProgram := productsFacts()
	noProgram.Tally.Parts = nil
	strange := productsFacts()
	strange.Tally.Parts[4] = 1
	strange.utilInput("scrap", 0, 1, 1)
	absurd := productsFacts()
	absurd.utilInput("scrap", 501, 1, 1)
	warm := productsFacts()
	warm.Tally.Excluded = 660 * utilMinute
	warm.utilInput("scrap", 0, 1, 1)
	for name, c := range map[string]struct {
		f       *Facts
		id      string
		why     Absence
		missing []string
	}{
		"nothing":                {bare, "oee", MissingInput, []string{"good_parts|scrap", "parts", "products", "program", "state"}},
		"no scrap":               {noScrap, "oee", MissingInput, []string{"good_parts|scrap"}},
		"no scrap, net":          {noScrap, "nee", MissingInput, []string{"good_parts|scrap"}},
		"no ideal cycle":         {noCycle, "oee", MissingInput, []string{"products"}},
		"no program":             {noProgram, "effectiveness", MissingInput, []string{"program"}},
		"neither":                {noProgram, "oee", MissingInput, []string{"good_parts|scrap", "program"}},
		"unknown product":        {strange, "effectiveness", UnknownProduct, nil},
		"oee of unknown product": {strange, "oee", UnknownProduct, nil},
		"contradiction":          {absurd, "oee", Contradiction, nil},
		"only warm-up":           {warm, "effectiveness", ZeroDenominator, nil},
		"oee of only warm-up":    {warm, "oee", ZeroDenominator, nil},
	} {
		utilWantAbsent(t, name, utilisationFormulas[c.id](c.f), c.why, c.missing...)
	}
}

// productsRandom draws a window of a machine that makes one product and perhaps warms up, and counts parts and scrap.
func productsRandom(t *rapid.T) *Facts {
	f := utilRandom(t)
	f.Config.Products = []Product{{ID: "A", Ideal: 60}, {ID: "warm-up", Excluded: rapid.Bool().Draw(t, "warms up"), On: []string{"M-1"}}}
	draw := func(name string, most int) float64 { return float64(rapid.IntRange(0, most).Draw(t, name)) }
	all := draw("parts", 1000)
	f.utilChannel("parts", Channel{Sum: Sum{S: all}, Spread: draw("spread", 3), Known: f.length()})
	f.utilChannel("scrap", Channel{Sum: Sum{S: draw("scrap", 1000)}, Spread: draw("spread", 3), Known: f.length()})
	f.Tally.Parts, f.Tally.Ideal = []float64{all, 0, 0}, all*60
	if f.warmsUp() {
		f.Tally.Excluded = rapid.Int64Range(0, f.Tally.Times[Planned][APT]).Draw(t, "excluded")
	}
	f.Tally.Blind = rapid.Int64Range(0, f.Tally.Times[Planned][APT]-f.Tally.Excluded).Draw(t, "blind")
	return f
}

func TestProductBoundsHoldTheValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := productsRandom(t)
		for id, of := range productFormulas {
			r := of(f)
			if r.Absent != "" && r.Value != nil || r.Absent == "" && r.Value == nil {
				t.Fatalf("%s: neither a value nor absent, or both: %+v", id, r)
			}
			if b := r.Bounds; b != nil && !(0 <= b[0] && b[0]-1e-9 <= *r.Value && *r.Value <= b[1]+1e-9) {
				t.Fatalf("%s: %v is not within %v", id, *r.Value, *b)
			}
			if id == "quality_ratio" && r.Bounds != nil && r.Bounds[1] > 1 {
				t.Fatalf("quality within %v", *r.Bounds)
			}
		}
	})
}

// Not knowing the state for a while, whether parts were made then, set up or warmed up, leaves OEE possible as it is when knowing it.
func TestUnknownTimeWidensBoundsOfOEE(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := productsRandom(t)
		f.Tally.Blind = 0
		g, tally := *f, *f.Tally
		g.Tally = &tally
		for c := range numClasses {
			for e := APT; e < numElements; e++ {
				ms := rapid.Int64Range(0, tally.Times[c][e]).Draw(t, "forgotten")
				tally.Times[c][e] -= ms
				tally.Times[c][Unknown] += ms
				if c == Planned && e == APT { // the excluded part of it is forgotten too, as far as it was in that
					tally.Excluded -= rapid.Int64Range(max(0, tally.Excluded-tally.Times[c][e]), min(ms, tally.Excluded)).Draw(t, "excluded")
				}
			}
		}
		for id, of := range productFormulas {
			before, after := of(f), of(&g)
			if before.Bounds == nil || after.Bounds == nil {
				continue
			}
			if after.Bounds[0] > before.Bounds[0]*(1+1e-9) || after.Bounds[1] < before.Bounds[1]*(1-1e-9) {
				t.Fatalf("%s: bounds %v became %v", id, *before.Bounds, *after.Bounds)
			}
		}
	})
}
