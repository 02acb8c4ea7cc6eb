package configs

import (
	"cmp"
	"errors"
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
	"github.com/millgate/millgate/drivers/opcua"
)

const (
	minInterval     = 10 * time.Millisecond
	maxInterval     = 24 * time.Hour
	defaultInterval = time.Second
	defaultTimeout  = time.Second
	unset           = -1
)

// deviceSpec is a device as written; modbus or opcua says where it is, the other one is nil.
type deviceSpec struct {
	at              nodes
	id, name        string
	mapRef, variant string
	modbus          *modbusSpec
	opcua           *opcuaSpec
	interval        time.Duration
	params          map[string]paramValue
	override        overrides
	points          []*pointSpec
	root            opcua.Root // of the map
}

type paramValue struct {
	node  ast.Node
	value drivers.Decimal
	point string // where the device holds its own; empty: nowhere
}

func (s *site) readDevice(n ast.Node) {
	d := &deviceSpec{at: nodes{"": n}, interval: defaultInterval, params: map[string]paramValue{}, override: overrides{}}
	var points ast.Node
	s.object(n, "device", d.at.keeping(
		must("id", s.id(&d.id)),
		may("name", s.text(&d.name)),
		may("modbus", func(n ast.Node) { s.readModbus(n, d) }),
		may("opcua", func(n ast.Node) { s.readOPCUA(n, d) }),
		may("map", s.text(&d.mapRef)),
		may("variant", s.text(&d.variant)),
		may("params", func(n ast.Node) { s.readParamValues(n, d) }),
		may("override", s.overrides(d.override)),
		may("interval", s.duration(&d.interval, minInterval, maxInterval, "interval")),
		may("points", func(n ast.Node) { points = n }),
	)...)
	switch {
	case !isMapping(n):
		return
	case d.modbus == nil && d.opcua == nil:
		s.at(n, "device lacks %q or %q: where it is", modbusProtocol, opcuaProtocol)
		return // how its points are to be understood is not known
	case d.modbus != nil && d.opcua != nil:
		s.at(d.at["opcua"], "device has both modbus and opcua: make it two devices, each with its own tags")
		return
	}
	if points != nil {
		s.points(&d.points, &dialect{protocol: d.protocol(), addressing: zeroBased})(points)
	}
	s.devices = append(s.devices, d)
}

func (d *deviceSpec) protocol() protocol {
	if d.opcua != nil {
		return opcuaProtocol
	}
	return modbusProtocol
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
		s.checkNotManual(d)
		ids[d.id] = d.at[""].GetToken().Position.Line
		if d.modbus != nil {
			s.checkPlace(d, places)
		}
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
	placed := make([]int, 0, len(points))
	for _, shared := range points {
		own := *shared // a map's points serve several devices, each with its own params
		p := &own
		s.applyParams(d, p)
		placed = append(placed, s.place(&out, d, p))
		tags = append(tags, p.catalogueTag(d))
	}
	for i := range out.Groups { // they stay as long as the gateway runs
		out.Groups[i].clip()
	}
	if d.modbus != nil {
		s.checkFeasible(d, &out)
	} else {
		s.checkMachine(d)
		s.warnAboutIndexes(d, points)
	}
	s.out.Devices = append(s.out.Devices, out)
	s.placed = append(s.placed, placed)
	s.out.Catalogue.Devices = append(s.out.Catalogue.Devices,
		buffer.CatalogueDevice{ID: d.id, Name: d.name, Protocol: string(d.protocol()), Map: out.Map, Tags: tags})
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
	if m.protocol != d.protocol() {
		s.at(d.at["map"], "map %s is for %s, and device %q is read over %s: take another map, or say %s where the device is", m.name, m.protocol.title(), d.id,
			d.protocol().title(), m.protocol)
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
	if d.opcua != nil {
		d.root = m.root
		d.opcua.budget.inherit(m.budget)
		return
	}
	if d.modbus.maxRegisters == 0 {
		d.modbus.maxRegisters = m.maxRegisters
	}
	if d.modbus.maxGap == unset {
		d.modbus.maxGap = m.maxGap
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
		m = d.readMap(d.loadMap(), false)
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
		s.at(n, "there is no map %q in the library%s; millgate maps list shows them; a map of your own is ./file.yaml or ./file.csv", name, suggestion(name, libraryNames()))
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

// place puts the point into its poll group and says which one that is.
func (s *site) place(out *Device, d *deviceSpec, p *pointSpec) int {
	if d.opcua != nil {
		return s.placeOPCUA(out, d, p)
	}
	interval := p.intervalOf(d)
	i := slices.IndexFunc(out.Groups, func(g Group) bool { return g.Interval == interval })
	if i < 0 {
		i = len(out.Groups)
		out.Groups = append(out.Groups, Group{Interval: interval, Modbus: s.modbusConfig(d, interval)})
	}
	g := &out.Groups[i]
	p.modbus.Scale, p.modbus.Offset = p.scale, p.offset
	g.Modbus.Points = append(g.Modbus.Points, p.modbus)
	g.Rules = append(g.Rules, p.rule)
	return i
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
		if p.scale == (drivers.Decimal{}) {
			p.scale = drivers.Decimal{Mantissa: 1}
		}
		for _, v := range []*drivers.Decimal{&p.scale, &p.modulus, &p.resolution, &p.maxRate} {
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

// valueType is the type of the tag.
func (p *pointSpec) valueType() drivers.Type {
	if p.protocol == opcuaProtocol {
		return p.opcuaValue()
	}
	scaled := p.modbus
	scaled.Scale, scaled.Offset = p.scale, p.offset
	return scaled.ValueType()
}

func (p *pointSpec) catalogueTag(d *deviceSpec) buffer.CatalogueTag {
	t := buffer.CatalogueTag{Name: p.name, Label: p.label, Unit: p.unit, Kind: p.kind.String(), Type: p.valueType().String(),
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
	for i := range s.out.Devices {
		d, placed := &s.out.Devices[i], s.placed[i]
		d.Up = tags[0]
		taken := make([]int, len(d.Groups)) // points
		for j, g := range placed {
			d.Groups[g].setTag(taken[g], tags[1+j])
			taken[g]++
		}
		tags = tags[1+len(placed):]
	}
	s.fillManual(tags)
	return nil
}

func (g *Group) setTag(i int, tag *drivers.Tag) {
	if g.Rules[i].Tag = tag; g.Modbus != nil {
		g.Modbus.Points[i].Tag = tag
	} else {
		g.OPCUA.Points[i].Tag = tag
	}
}

// clip gives the lists the size that they need.
func (g *Group) clip() {
	if g.Rules = slices.Clip(slices.Clone(g.Rules)); g.Modbus != nil {
		g.Modbus.Points = slices.Clip(slices.Clone(g.Modbus.Points))
	} else {
		g.OPCUA.Points = slices.Clip(slices.Clone(g.OPCUA.Points))
	}
}
