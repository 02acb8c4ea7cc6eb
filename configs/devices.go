package configs

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/millgate/millgate/buffer"
	"github.com/millgate/millgate/collector"
	"github.com/millgate/millgate/drivers/modbus"
)

const (
	minInterval     = 10 * time.Millisecond
	maxInterval     = 24 * time.Hour
	defaultInterval = time.Second
	defaultTimeout  = time.Second
	// perRequest is the least that a request takes on Modbus TCP with any device: less asked for can not be met.
	perRequest = 2 * time.Millisecond
	maxUnit    = 247
	unset      = -1
)

// deviceSpec is a device as written.
type deviceSpec struct {
	node, unitNode, mapNode ast.Node
	id, name                string
	mapRef                  string
	link                    modbus.LinkConfig
	unit                    int
	timeout, interval       time.Duration
	maxRegisters, maxGap    int
	params                  map[string]paramValue
	points                  []*pointSpec
}

type paramValue struct {
	node  ast.Node
	value modbus.Decimal
}

func (s *site) readDevice(n ast.Node) {
	d := &deviceSpec{node: n, unitNode: n, mapNode: n, unit: 1, interval: defaultInterval, maxGap: unset, params: map[string]paramValue{}}
	addressing, order := zeroBased, modbus.ABCD
	s.object(n, "device",
		must("id", s.id(&d.id)),
		may("name", s.text(&d.name)),
		must("modbus", func(n ast.Node) { s.readModbus(n, d) }),
		may("map", func(n ast.Node) { d.mapNode = n; s.text(&d.mapRef)(n) }),
		may("params", func(n ast.Node) { s.readParamValues(n, d) }),
		may("interval", s.duration(&d.interval, minInterval, maxInterval, "interval")),
		may("points", s.points(&d.points, &addressing, &order)),
	)
	s.devices = append(s.devices, d)
}

func (s *site) readModbus(n ast.Node, d *deviceSpec) {
	s.object(n, "modbus",
		must("endpoint", func(n ast.Node) {
			text := ""
			s.text(&text)(n)
			e, err := modbus.ParseEndpoint(text)
			if err == nil && e.Transport != modbus.TCP || e.Framing != modbus.MBAP {
				err = fmt.Errorf("endpoint %q: write it as tcp://host:port", text)
			}
			if err != nil {
				s.at(n, "%v", err)
				return
			}
			d.link.Endpoint = e
		}),
		may("unit", func(n ast.Node) { d.unitNode = n; s.integer(&d.unit, 0, maxUnit, "unit")(n) }),
		may("timeout", s.duration(&d.timeout, time.Millisecond, time.Minute, "timeout")),
		may("max_registers", s.integer(&d.maxRegisters, 1, modbus.MaxRegisters, "max_registers")),
		may("max_gap", s.integer(&d.maxGap, 0, modbus.MaxRegisters, "max_gap")),
	)
	if d.unit == 0 {
		s.warnings = append(s.warnings, s.problem(d.unitNode,
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
			s.at(d.node, "device %q stands here a second time; the first is in line %d", d.id, line)
		}
		ids[d.id] = d.node.GetToken().Position.Line
		place := fmt.Sprintf("%s unit %d", d.link.Place(), d.unit)
		if other, taken := places[place]; taken && d.link.Endpoint.Address != "" {
			s.at(d.node, "device %q is at %s, where device %q is already: give them different units, or make them one device", d.id, place, other)
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
	points := d.points
	if d.mapRef != "" {
		m := s.deviceMap(d.mapRef, d.mapNode)
		if m == nil {
			return
		}
		out.Map = m.name + "@" + m.version
		points = slices.Concat(m.points, d.points)
		d.inherit(m)
		s.checkParams(d, m)
	} else if len(d.params) > 0 {
		s.at(d.node, "device %q has params but no map that would use them", d.id)
	}
	points = slices.DeleteFunc(points, func(p *pointSpec) bool { return p.disabled })
	if len(points) == 0 && len(*s.problems) == 0 {
		s.at(d.node, "device %q has no points: name a map, or list its points", d.id)
	}
	s.checkNames(d, points)
	tags := []buffer.CatalogueTag{buffer.UpTag()}
	for _, shared := range points {
		own := *shared // a map's points serve several devices, each with its own params
		p := &own
		s.addPoint(&out, d, p)
		tags = append(tags, p.catalogueTag(d))
	}
	s.checkFeasible(d, &out)
	s.out.Devices = append(s.out.Devices, out)
	s.out.Catalogue.Devices = append(s.out.Catalogue.Devices, buffer.CatalogueDevice{ID: d.id, Name: d.name, Protocol: "modbus", Map: out.Map, Tags: tags})
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
	for name, p := range d.params {
		if _, ok := m.params[name]; !ok {
			known := make([]string, 0, len(m.params))
			for k := range m.params {
				known = append(known, k)
			}
			slices.Sort(known)
			s.at(p.node, "map %s has no parameter %q; it has: %s", m.name, name, strings.Join(known, ", "))
		}
	}
	for name, value := range m.params {
		if _, ok := d.params[name]; !ok {
			d.params[name] = paramValue{value: value}
		}
	}
}

func (s *site) checkNames(d *deviceSpec, points []*pointSpec) {
	first := map[string]*pointSpec{}
	for _, p := range points {
		if other, twice := first[p.name]; twice && p.name != "" {
			s.at(p.node, "device %q has a tag %q already, in line %d", d.id, p.name, other.node.GetToken().Position.Line)
		}
		first[p.name] = p
	}
}

// addPoint puts the point into the poll group of its interval.
func (s *site) addPoint(out *Device, d *deviceSpec, p *pointSpec) {
	p.applyParams(s, d)
	interval := p.intervalOf(d)
	i := slices.IndexFunc(out.Groups, func(g Group) bool { return g.Interval == interval })
	if i < 0 {
		i = len(out.Groups)
		timeout := d.timeout
		if timeout == 0 {
			timeout = min(defaultTimeout, interval*4/5) // a device that is silent must not cost the next tick
		}
		gap := d.maxGap
		switch gap {
		case unset:
			gap = 0 // modbus.Config's default
		case 0:
			gap = -1
		}
		out.Groups = append(out.Groups, Group{Interval: interval, Modbus: modbus.Config{
			Device: d.id, Link: d.link, Unit: uint8(d.unit), Timeout: timeout, MaxRegisters: d.maxRegisters, MaxGap: gap,
		}})
	}
	g := &out.Groups[i]
	g.Modbus.Points = append(g.Modbus.Points, p.point)
	g.Rules = append(g.Rules, collector.TagRule{OnChange: p.onChange, Deadband: p.deadband.Float(), MaxSilence: p.maxSilence})
}

func (p *pointSpec) intervalOf(d *deviceSpec) time.Duration {
	if p.interval > 0 {
		return p.interval
	}
	return d.interval
}

// applyParams multiplies the scale by the site's values. It changes p, which must be the device's own copy.
func (p *pointSpec) applyParams(s *site, d *deviceSpec) {
	scale := p.point.Scale
	for _, n := range p.multiply {
		if scale == (modbus.Decimal{}) {
			scale = modbus.Decimal{Mantissa: 1}
		}
		value, ok := d.params[n.GetToken().Value]
		if !ok {
			s.at(n, "point %s multiplies by a parameter, which only a map can declare: put the number into scale", p.name)
			return
		}
		if scale, ok = scale.Mul(value.value); !ok {
			s.at(d.node, "device %q: the scale of %s with its params is out of range", d.id, p.name)
			return
		}
	}
	p.point.Scale = scale
}

func (p *pointSpec) catalogueTag(d *deviceSpec) buffer.CatalogueTag {
	t := buffer.CatalogueTag{Name: p.name, Label: p.label, Unit: p.unit, Kind: p.kind.String(), Type: p.point.ValueType().String(),
		Interval: p.intervalOf(d).Milliseconds(), MaxSilence: p.maxSilence.Milliseconds()}
	if p.onChange {
		f := p.deadband.Float()
		t.Deadband = &f
	}
	return t
}

// checkFeasible refuses what can not be polled as often as asked.
func (s *site) checkFeasible(d *deviceSpec, out *Device) {
	for _, g := range out.Groups {
		for _, p := range g.Modbus.Points {
			if n := width(p); d.maxRegisters > 0 && !p.Table.Bits() && n > d.maxRegisters {
				s.at(d.node, "device %q: the %s at address %d takes %d registers, more than max_registers %d", d.id, p.Type, p.Address, n, d.maxRegisters)
			}
		}
		if d.timeout > g.Interval {
			s.at(d.node, "device %q: timeout %v is longer than the interval %v of its fastest tags", d.id, d.timeout, g.Interval)
		}
		if n := len(modbus.Plan(g.Modbus)); time.Duration(n)*perRequest > g.Interval {
			s.at(d.node, "device %q: %d requests do not fit into an interval of %v; make it at least %v, or poll fewer tags that often", d.id, n, g.Interval, time.Duration(n)*perRequest)
		}
	}
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
