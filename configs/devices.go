package configs

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/millgate/millgate/buffer"
	"github.com/millgate/millgate/collector"
	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/modbus"
)

const (
	minInterval     = 10 * time.Millisecond
	maxInterval     = 24 * time.Hour
	defaultInterval = time.Second
	defaultTimeout  = time.Second
	maxUnit         = 247
	unset           = -1
)

// deviceSpec is a device as written.
type deviceSpec struct {
	at, modbus           nodes
	id, name             string
	mapRef, variant      string
	linkName             string
	link                 *linkSpec // that of linkName, else its own
	unit                 int
	timeout, interval    time.Duration
	maxRegisters, maxGap int
	params               map[string]paramValue
	override             overrides
	points               []*pointSpec
}

type paramValue struct {
	node  ast.Node
	value drivers.Decimal
	point string // where the device holds its own; empty: nowhere
}

func (s *site) readDevice(n ast.Node) {
	d := &deviceSpec{at: nodes{"": n}, modbus: nodes{}, link: &linkSpec{}, unit: 1, interval: defaultInterval, maxGap: unset,
		params: map[string]paramValue{}, override: overrides{}}
	addressing, order := zeroBased, modbus.ABCD
	s.object(n, "device", d.at.keeping(
		must("id", s.id(&d.id)),
		may("name", s.text(&d.name)),
		must("modbus", func(n ast.Node) { s.readModbus(n, d) }),
		may("map", s.text(&d.mapRef)),
		may("variant", s.text(&d.variant)),
		may("params", func(n ast.Node) { s.readParamValues(n, d) }),
		may("override", s.overrides(d.override)),
		may("interval", s.duration(&d.interval, minInterval, maxInterval, "interval")),
		may("points", s.points(&d.points, &addressing, &order)),
	)...)
	s.devices = append(s.devices, d)
}

func (s *site) readModbus(n ast.Node, d *deviceSpec) {
	d.modbus[""] = n
	d.link.at = nodes{"": n}
	fields := append(d.modbus.keeping(may("link", s.text(&d.linkName))), s.linkFields(d.link)...)
	s.object(n, "modbus", append(fields, d.modbus.keeping(
		may("unit", s.integer(&d.unit, 0, maxUnit, "unit")),
		may("timeout", s.duration(&d.timeout, time.Millisecond, time.Minute, "timeout")),
		may("max_registers", s.integer(&d.maxRegisters, 1, modbus.MaxRegisters, "max_registers")),
		may("max_gap", s.integer(&d.maxGap, 0, modbus.MaxRegisters, "max_gap")),
	)...)...)
	_, link := d.modbus["link"]
	_, endpoint := d.link.at["endpoint"]
	switch {
	case link && endpoint:
		s.at(d.modbus["link"], "modbus has both link and endpoint; keep one")
	case link:
		for key, at := range d.link.at {
			if key != "" {
				s.at(at, "%s belongs to the link: write it once, under links: %s", key, d.linkName)
			}
		}
	case !endpoint:
		s.at(n, "modbus says neither where the device is nor on which link: write endpoint, or the name of one of the links")
	}
	s.finishLink(d.link)
	if d.unit == 0 {
		s.warnings = append(s.warnings, s.problem(d.modbus.of("unit"),
			"unit 0 is the broadcast address: some devices answer to it on Modbus TCP, units behind a bridge never do"))
	}
}

func (s *site) readParamValues(n ast.Node, d *deviceSpec) {
	pairs, _ := s.pairs(n, "params")
	for _, pair := range pairs {
		v := paramValue{node: pair.Key}
		s.factor(&v.value)(pair.Value)
		if _, twice := d.params[pair.Key.GetToken().Value]; twice {
			s.at(pair.Key, "parameter %q stands here a second time", pair.Key.GetToken().Value)
		}
		d.params[pair.Key.GetToken().Value] = v
	}
}

func (s *site) resolveDevices() {
	s.out.Catalogue = &buffer.Catalogue{V: 1, Site: s.out.ID, Name: s.out.Name, Enterprise: s.enterprise, Region: s.region,
		Gateway: s.out.Gateway, Timezone: s.timezone}
	s.out.Location, _ = time.LoadLocation(s.timezone) // reported where it was read
	ids, places := map[string]int{}, map[string]string{}
	for _, d := range s.devices {
		if line, twice := ids[d.id]; twice && d.id != "" {
			s.at(d.at[""], "device %q stands here a second time; the first is in line %d", d.id, line)
		}
		ids[d.id] = d.at[""].GetToken().Position.Line
		unit := fmt.Sprintf(" unit %d", d.unit)
		place := d.link.wire() + unit
		if other, taken := places[place]; taken && d.link.config.Endpoint.Address != "" {
			s.at(d.at[""], "device %q is at %s, where device %q is already: give them different units, or make them one device", d.id, d.link.config.Place()+unit, other)
		}
		places[place] = d.id
		s.resolveDevice(d)
	}
	if len(s.devices) == 0 && len(*s.problems) == 0 {
		s.whole("the site has no devices")
	}
}

func (s *site) resolveDevice(d *deviceSpec) {
	out := Device{ID: d.id, Name: d.name}
	points, ok := s.mapPoints(d, &out)
	if !ok {
		return
	}
	points = slices.DeleteFunc(append(points, d.points...), func(p *pointSpec) bool { return p.disabled })
	if len(points) == 0 && len(*s.problems) == 0 {
		s.at(d.at[""], "device %q has no points: name a map, or list its points", d.id)
	}
	s.checkNames(d, points)
	tags := append(make([]buffer.CatalogueTag, 0, len(points)+1), buffer.UpTag())
	for _, shared := range points {
		own := *shared // a map's points serve several devices, each with its own params
		p := &own
		s.addPoint(&out, d, p)
		tags = append(tags, p.catalogueTag(d))
	}
	for i := range out.Groups { // they stay as long as the gateway runs
		g := &out.Groups[i]
		g.Modbus.Points, g.Rules = slices.Clip(slices.Clone(g.Modbus.Points)), slices.Clip(slices.Clone(g.Rules))
	}
	s.checkFeasible(d, &out)
	s.out.Devices = append(s.out.Devices, out)
	s.out.Catalogue.Devices = append(s.out.Catalogue.Devices, buffer.CatalogueDevice{ID: d.id, Name: d.name, Protocol: "modbus", Map: out.Map, Tags: tags})
}

// mapPoints are the points of the device's map, as its variant and the site want them; ok is false if the map can not be read.
func (s *site) mapPoints(d *deviceSpec, out *Device) (points []*pointSpec, ok bool) {
	if d.mapRef == "" {
		if len(d.params) > 0 {
			s.at(d.at[""], "device %q has params but no map that would use them", d.id)
		}
		for _, key := range []string{"variant", "override"} {
			if n := d.at[key]; n != nil {
				s.at(n, "device %q has no map that the %s could change: write its points as they are", d.id, key)
			}
		}
		return nil, true
	}
	m := s.deviceMap(d.mapRef, d.at["map"])
	if m == nil {
		return nil, false
	}
	out.Map = m.name + "@" + m.version
	d.inherit(m)
	s.checkParams(d, m)
	variant := m.variants[d.variant]
	if d.variant != "" && variant == nil {
		s.at(d.at["variant"], "map %s has no variant %q%s; it has: %s", m.name, d.variant, suggestion(d.variant, slices.Sorted(maps.Keys(m.variants))),
			cmp.Or(strings.Join(slices.Sorted(maps.Keys(m.variants)), ", "), "none"))
	}
	points = m.points
	if len(variant)+len(d.override) > 0 {
		before := len(*s.problems)
		if points = m.withOverrides(variant, d.override); len(*s.problems) > before {
			return nil, false
		}
	}
	return slices.Clone(points), true
}

// inherit takes the limits that the map knows where the site sets none.
func (d *deviceSpec) inherit(m *deviceMap) {
	if d.maxRegisters == 0 {
		d.maxRegisters = m.maxRegisters
	}
	if d.maxGap == unset {
		d.maxGap = m.maxGap
	}
}

// deviceMap is the map of that name, from the library or from a file; nil if there is none.
func (s *site) deviceMap(ref string, n ast.Node) *deviceMap {
	if m, ok := s.maps[ref]; ok {
		return m
	}
	var m *deviceMap
	if strings.HasPrefix(ref, "./") || strings.HasPrefix(ref, "../") || filepath.IsAbs(ref) {
		d := document{file: s.beside(ref), problems: s.problems}
		if _, err := os.Stat(d.file); err != nil {
			s.at(n, "map %s can not be read: %v", ref, errors.Unwrap(err))
			return nil
		}
		before := len(*s.problems)
		m = d.readMap(d.load(), false)
		if len(*s.problems) > before {
			m = nil
		}
	} else {
		m = s.libraryMap(ref, n)
	}
	s.maps[ref] = m
	return m
}

func (s *site) libraryMap(ref string, n ast.Node) *deviceMap {
	name, version, versioned := strings.Cut(ref, "@")
	text, err := library.ReadFile(path.Join("maps", name+".yaml"))
	if err != nil {
		s.at(n, "there is no map %q in the library%s; millgate maps list shows them; a map of your own is ./file.yaml", name, suggestion(name, libraryNames()))
		return nil
	}
	d := document{file: "maps/" + name + ".yaml", problems: s.problems}
	m := d.readMap(d.parse(text), true)
	if versioned && version != m.version {
		s.at(n, "map %s is version %s in this millgate, not %s", name, m.version, version)
	}
	return m
}

func (s *site) checkParams(d *deviceSpec, m *deviceMap) {
	known := slices.Sorted(maps.Keys(m.params))
	for name, p := range d.params {
		if m.params[name] == nil {
			s.at(p.node, "map %s has no parameter %q; it has: %s", m.name, name, cmp.Or(strings.Join(known, ", "), "none"))
		}
	}
	for name, p := range m.params {
		v, ok := d.params[name]
		if !ok {
			v.value = p.value
		}
		v.point = p.point
		d.params[name] = v
	}
}

func (s *site) checkNames(d *deviceSpec, points []*pointSpec) {
	first := map[string]*pointSpec{}
	for _, p := range points {
		if other, twice := first[p.name]; twice && p.name != "" {
			s.at(p.layers[0].node, "device %q has a tag %q already, in line %d", d.id, p.name, other.layers[0].node.GetToken().Position.Line)
		}
		first[p.name] = p
	}
}

// addPoint puts the point into the poll group of its interval.
func (s *site) addPoint(out *Device, d *deviceSpec, p *pointSpec) {
	s.applyParams(d, p)
	interval := p.intervalOf(d)
	i := slices.IndexFunc(out.Groups, func(g Group) bool { return g.Interval == interval })
	if i < 0 {
		i = len(out.Groups)
		timeout := d.timeout
		if timeout == 0 {
			timeout = min(cmp.Or(d.link.timeout, defaultTimeout), interval*4/5) // a device that is silent must not cost the next tick
		}
		gap := d.maxGap
		switch gap {
		case unset:
			gap = 0 // modbus.Config's default
		case 0:
			gap = -1
		}
		out.Groups = append(out.Groups, Group{Interval: interval, Modbus: modbus.Config{
			Device: d.id, Link: d.link.config, Unit: uint8(d.unit), Timeout: timeout, MaxRegisters: d.maxRegisters, MaxGap: gap,
			Learned: filepath.Join(s.out.DataDir, "learned", fmt.Sprintf("%s-%d.json", d.id, interval.Milliseconds())),
		}})
	}
	g := &out.Groups[i]
	g.Modbus.Points = append(g.Modbus.Points, p.point)
	g.Rules = append(g.Rules, p.rule)
}

func (p *pointSpec) intervalOf(d *deviceSpec) time.Duration {
	if p.interval > 0 {
		return p.interval
	}
	return d.interval
}

// applyParams multiplies by the site's values what depends on them. It changes p, which must be the device's own copy.
func (s *site) applyParams(d *deviceSpec, p *pointSpec) {
	for _, n := range p.multiply {
		name := n.GetToken().Value
		param, ok := d.params[name]
		if !ok {
			p.places["multiply"].at(n, "point %s multiplies by a parameter, which only a map can declare: put the number into scale", p.name)
			return
		}
		if p.point.Scale == (drivers.Decimal{}) {
			p.point.Scale = drivers.Decimal{Mantissa: 1}
		}
		for _, v := range []*drivers.Decimal{&p.point.Scale, &p.modulus, &p.resolution, &p.maxRate} {
			if *v, ok = v.Mul(param.value); !ok {
				s.at(d.at[""], "device %q: the scale of %s with its params is out of range", d.id, p.name)
				return
			}
		}
	}
	p.rule.Counter = p.counterRule()
	for name, param := range d.params {
		if param.point == p.name && p.name != "" {
			p.rule.Expect = &collector.Expectation{Param: name, Value: param.value.Float()}
		}
	}
}

func (p *pointSpec) catalogueTag(d *deviceSpec) buffer.CatalogueTag {
	t := buffer.CatalogueTag{Name: p.name, Label: p.label, Unit: p.unit, Kind: p.kind.String(), Type: p.point.ValueType().String(),
		Interval: p.intervalOf(d).Milliseconds(), MaxSilence: p.rule.MaxSilence.Milliseconds(),
		Modulus: p.modulus.Float(), Resolution: p.resolution.Float()}
	if p.rule.OnChange {
		deadband := p.rule.Deadband
		t.Deadband = &deadband
	}
	for _, state := range p.rule.States {
		if t.States == nil {
			t.States = map[int64]drivers.EventText{}
		}
		t.States[state.Code] = state.Text
	}
	for _, a := range p.rule.Alarms {
		if t.Alarms == nil {
			t.Alarms = map[uint8]buffer.CatalogueAlarm{}
		}
		t.Alarms[a.Bit] = buffer.CatalogueAlarm{Severity: a.Severity, EventText: a.Text}
	}
	return t
}

// fillTags gives every point and rule its tag: the catalogue's.
func (s *site) fillTags() error {
	tags, err := s.out.Catalogue.Tags()
	if err != nil {
		return err
	}
	next := 0
	for i := range s.out.Devices {
		d, described := &s.out.Devices[i], s.out.Catalogue.Devices[i].Tags
		own := tags[next : next+len(described)]
		next += len(described)
		d.Up = own[0]
		at := map[time.Duration]int{} // points taken per group
		for j, tag := range own[1:] {
			interval := time.Duration(described[j+1].Interval) * time.Millisecond
			g := slices.IndexFunc(d.Groups, func(g Group) bool { return g.Interval == interval })
			k := at[interval]
			d.Groups[g].Modbus.Points[k].Tag, d.Groups[g].Rules[k].Tag = tag, tag
			at[interval]++
		}
	}
	return nil
}
