package configs

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/millgate/millgate/buffer"
	"github.com/millgate/millgate/collector/kpi"
	"github.com/millgate/millgate/drivers"
)

// kpiSpec is what the site says about its KPIs. What stands in the file is read at once, into out; what speaks of devices or of other
// parts of the file is looked up by the functions in later, when all of it is known.
type kpiSpec struct {
	policy    *kpi.Catalogue
	out       kpi.Config
	equipment []*equipmentSpec
	accounts  []*accountSpec
	inputs    []*inputSpec
	products  []*productSpec
	later     []func()
	points    map[string]*knownPoint // by "device/tag"
	subjects  map[string]ast.Node    // equipment and accounts by id
}

// knownPoint is a point of a device as KPIs need it.
type knownPoint struct {
	buffer.CatalogueTag
	counter *kpi.CounterRule // nil if it does not count
}

// fields are the keys of the site file that are about KPIs.
func (s *site) kpiFields() []field {
	k := &s.kpis
	return []field{
		may("calendar", s.readCalendar),
		may("energy", s.readFactors),
		may("equipment", s.readEquipmentList),
		may("accounts", s.list("accounts", s.readAccount)),
		may("processes", s.list("processes", s.readProcess)),
		may("products", s.list("products", s.readProduct)),
		may("inputs", s.list("inputs", s.readInput)),
		may("collection_quota", s.list("collection_quota", func(n ast.Node) {
			place := new(string)
			s.tag(&s.document, place)(n)
			s.afterwards(func() { k.out.Quota = append(k.out.Quota, *place) })
		})),
	}
}

// afterwards runs f when all parts of the site are known.
func (s *site) afterwards(f func()) { s.kpis.later = append(s.kpis.later, f) }

// warn notes at a node what is allowed but hardly meant.
func (s *site) warn(d *document, n ast.Node, message string) {
	s.warnings = append(s.warnings, d.problem(n, message))
}

// resolveKPIs looks up what the equipment speaks of, and gives the site its KPI config, if it has equipment or accounts.
func (s *site) resolveKPIs() {
	k := &s.kpis
	k.knowPoints(s)
	k.subjects = map[string]ast.Node{}
	s.checkEquipmentIDs()
	for _, f := range k.later {
		f()
	}
	for _, e := range k.equipment {
		s.checkEquipment(e)
		k.out.Equipment = append(k.out.Equipment, e.out)
	}
	for _, a := range k.accounts {
		k.out.Accounts = append(k.out.Accounts, a.out)
	}
	for _, in := range k.inputs {
		k.out.Inputs = append(k.out.Inputs, in.out)
	}
	for _, p := range k.products {
		k.out.Products = append(k.out.Products, p.out)
	}
	if len(*s.problems) > 0 || len(k.out.Equipment)+len(k.out.Accounts) == 0 {
		return
	}
	config := k.out
	s.out.KPI, s.out.Catalogue.KPI = &config, &config
	s.addManualDevice()
	if _, err := kpi.NewPlan(&config, k.policy); err != nil {
		s.planProblem(err)
	}
}

// planProblem notes what the plan refuses, where the equipment or account stands that it names.
func (s *site) planProblem(err error) {
	message := err.Error()
	for _, e := range s.kpis.equipment {
		if strings.HasPrefix(message, fmt.Sprintf("equipment %q", e.out.ID)) || strings.HasPrefix(message, "equipment "+e.out.ID+",") {
			e.document.at(e.at.of("id"), "%s", strings.Replace(message, fmt.Sprintf("equipment %q: equipment ", e.out.ID), "equipment ", 1))
			return
		}
	}
	for _, a := range s.kpis.accounts {
		if strings.HasPrefix(message, fmt.Sprintf("account %q", a.out.ID)) {
			s.at(a.at.of("id"), "%s", message)
			return
		}
	}
	s.whole("%s", message)
}

// knowPoints lists the points of all devices.
func (k *kpiSpec) knowPoints(s *site) {
	k.points = map[string]*knownPoint{}
	for i, d := range s.out.Catalogue.Devices {
		taken := make([]int, len(s.out.Devices[i].Groups))
		for j, tag := range d.Tags {
			p := &knownPoint{CatalogueTag: tag}
			if j > 0 { // the first is up
				g := s.placed[i][j-1]
				p.counter = s.out.Devices[i].Groups[g].Rules[taken[g]].Counter
				taken[g]++
			}
			k.points[d.ID+"/"+tag.Name] = p
		}
	}
}

// tag reads a tag, device.tag, and gives it as device/tag when the devices are known.
func (s *site) tag(d *document, into *string) func(ast.Node) {
	return func(n ast.Node) {
		text, ok := d.scalar(n, "a tag is expected, such as meter-1.energy_import")
		if !ok {
			return
		}
		s.afterwards(func() { s.lookUp(d, n, text, into) })
	}
}

// lookUp finds the point of a tag, device.tag; nil if there is none, which is noted unless something else is wrong with the device.
func (s *site) lookUp(d *document, n ast.Node, text string, into *string) *knownPoint {
	device, tag, ok := strings.Cut(text, ".")
	if !ok {
		d.at(n, "%q: write a tag as device.tag, such as meter-1.energy_import", text)
		return nil
	}
	if p := s.kpis.points[device+"/"+tag]; p != nil {
		*into = device + "/" + tag
		return p
	}
	i := slices.IndexFunc(s.devices, func(known *deviceSpec) bool { return known.id == device })
	if i < 0 {
		var ids []string
		for _, known := range s.devices {
			ids = append(ids, known.id)
		}
		d.at(n, "%s: there is no device %q%s", text, device, cmp.Or(suggestion(device, ids), "; it must be one of devices"))
		return nil
	}
	var tags []string
	for name := range s.kpis.points {
		if t, ok := strings.CutPrefix(name, device+"/"); ok {
			tags = append(tags, t)
		}
	}
	slices.Sort(tags)
	if len(tags) > 0 { // else the device could not be read, which is noted
		d.at(n, "%s: device %q has no tag %q%s", text, device, tag, cmp.Or(suggestion(tag, tags), "; it has: "+few(tags)))
	}
	return nil
}

// few lists the first words of many.
func few(words []string) string {
	const most = 12
	if len(words) > most {
		return strings.Join(words[:most], ", ") + ", …"
	}
	return cmp.Or(strings.Join(words, ", "), "none")
}

// texts reads a list of words, or one.
func (d *document) texts(into *[]string, what string) func(ast.Node) {
	return func(n ast.Node) {
		if _, isList := n.(*ast.SequenceNode); !isList {
			*into = append(*into, "")
			d.text(&(*into)[len(*into)-1])(n)
			return
		}
		d.list(what, func(n ast.Node) {
			*into = append(*into, "")
			d.text(&(*into)[len(*into)-1])(n)
		})(n)
	}
}

// named reads keys and values of a mapping whose keys are names.
func (d *document) named(n ast.Node, what string, read func(name string, key, value ast.Node)) {
	pairs, _ := d.pairs(n, what)
	seen := map[string]bool{}
	for _, pair := range pairs {
		name := pair.Key.GetToken().Value
		if seen[name] {
			d.at(pair.Key, "%q stands here a second time", name)
			continue
		}
		seen[name] = true
		read(name, pair.Key, pair.Value)
	}
}

// oneOf says if a word is not among the known ones.
func (d *document) oneOf(n ast.Node, what, word string, known []string) bool {
	if slices.Contains(known, word) {
		return true
	}
	d.at(n, "%s %q is unknown%s", what, word, cmp.Or(suggestion(word, known), "; known are: "+few(known)))
	return false
}

// addManualDevice gives the site the device whose readings people enter, if anything can be entered. It stands last: the other tags keep
// their places.
func (s *site) addManualDevice() {
	k := &s.kpis
	if len(k.inputs) == 0 && !k.counts() {
		return
	}
	text := func(name, label string) buffer.CatalogueTag {
		return buffer.CatalogueTag{Name: name, Label: label, Kind: drivers.Text.String(), Type: drivers.TypeText.String(), Source: sourceManual}
	}
	tags := []buffer.CatalogueTag{buffer.UpTag()}
	for _, in := range k.inputs {
		tags = append(tags, buffer.CatalogueTag{Name: in.out.ID, Label: in.out.Name, Unit: in.out.Unit, Kind: drivers.Gauge.String(), Type: drivers.TypeFloat64.String(), Source: sourceManual},
			text(in.out.ID+kpi.ByTag, ""))
	}
	tags = append(tags, text(kpi.SwapTag, "换表记录"))
	s.out.Catalogue.Devices = append(s.out.Catalogue.Devices, buffer.CatalogueDevice{ID: kpi.ManualDevice, Name: "人工录入", Protocol: kpi.ManualDevice, Tags: tags})
}

// checkNotManual says if a device has the name of that one.
func (s *site) checkNotManual(d *deviceSpec) {
	if d.id == kpi.ManualDevice {
		s.at(d.at["id"], "device %q: this name is that of the device whose readings people enter; take another", d.id)
	}
}

// fillManual keeps the tags behind those of all other devices.
func (s *site) fillManual(tags []*drivers.Tag) {
	for _, tag := range tags {
		if s.out.Manual == nil {
			s.out.Manual = map[string]*drivers.Tag{}
		}
		s.out.Manual[tag.Name] = tag
	}
}

const sourceManual = "manual"

// counts says that some signal is a counter, whose meter may be swapped.
func (k *kpiSpec) counts() bool {
	counted := func(tag string) bool { p := k.points[tag]; return p != nil && p.counter != nil }
	for _, e := range k.out.Equipment {
		for _, role := range slices.Sorted(maps.Keys(e.Signals)) {
			if counted(e.Signals[role].Tag) {
				return true
			}
		}
	}
	for _, a := range k.out.Accounts {
		if slices.ContainsFunc(a.Terms, func(t kpi.Term) bool { return counted(t.Tag) }) {
			return true
		}
	}
	return false
}
