// Package configs turns site.yaml and device maps into what the other rooms are configured with.
//
// Invariants:
//  1. All mistakes are reported at once, each with file, line, column and the way out.
//  2. Nothing is guessed: an unknown key, a wrong type or a value out of range is a mistake, never ignored.
//  3. Loading touches no network and changes no file. Secrets are not read here but when they are used.
//
// Is: strict loading, the device-map library, the catalogue. Is not: anything that runs.
package configs

import (
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/millgate/millgate/buffer"
	"github.com/millgate/millgate/collector"
	"github.com/millgate/millgate/collector/kpi"
	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/modbus"
	"github.com/millgate/millgate/drivers/opcua"
	"github.com/millgate/millgate/uplink"
)

// Site is a site.yaml, checked and resolved: everything that run.go wires together.
type Site struct {
	File      string
	ID        string
	Name      string
	Gateway   string // gateway.id
	DataDir   string // absolute, or relative to the working directory as written
	Location  *time.Location
	Buffer    buffer.Config
	Uplinks   []uplink.Config
	Devices   []Device
	Lines     []Line   // serial lines, and those of known speed behind a bridge
	Servers   []Server // of OPC UA
	Catalogue *buffer.Catalogue
	KPI       *kpi.Config             // nil without equipment and accounts; the catalogue's
	Manual    map[string]*drivers.Tag // tags of the device "manual" by name; nil if nothing can be entered
	Warnings  Problems                // what is allowed but hardly meant
}

// Device is one device, resolved.
type Device struct {
	ID     string
	Name   string
	Map    string // name@version, empty for points of the site's own
	Up     *drivers.Tag
	Groups []Group
}

// Group is one poll group: the config of its driver, which is one of Modbus and OPCUA, and the collector's rules, point by point.
type Group struct {
	Interval time.Duration
	Modbus   *modbus.Config
	OPCUA    *opcua.Config
	Rules    []collector.TagRule
}

// Load reads, checks and resolves a site; the error is Problems, all mistakes at once.
func Load(file string) (*Site, error) {
	s := newSite(file)
	if root := s.load(); root != nil {
		s.read(root)
	}
	return s.resolve()
}

// site is a site.yaml on its way to a Site.
type site struct {
	document
	warnings   Problems
	out        Site
	enterprise string
	region     string
	timezone   string
	uplinks    []*uplinkSpec
	links      map[string]*linkSpec
	devices    []*deviceSpec
	placed     [][]int               // of each device, the group of each of its points
	maps       map[string]*deviceMap // by reference, each read once
	kpis       kpiSpec
}

func newSite(file string) *site {
	s := &site{document: document{file: file, problems: &Problems{}}, timezone: "Asia/Shanghai",
		links: map[string]*linkSpec{}, maps: map[string]*deviceMap{}, kpis: kpiSpec{policy: Policy()}}
	s.out.File, s.out.DataDir = file, "data"
	return s
}

func (s *site) read(root ast.Node) {
	s.object(root, "the site file", append([]field{
		must("site", s.readSite),
		must("gateway", s.readGateway),
		may("buffer", s.readBuffer),
		may("uplinks", s.list("uplinks", s.readUplink)),
		may("links", s.readLinks),
		must("devices", s.list("devices", s.readDevice)),
	}, s.kpiFields()...)...)
}

// resolve brings the parts together, unless there are mistakes.
func (s *site) resolve() (*Site, error) {
	s.resolveUplinks()
	s.resolveLinks()
	s.resolveServers()
	s.resolveDevices()
	s.resolveKPIs()
	if len(*s.problems) == 0 { // else devices are missing
		s.budgetLines()
		s.budgetServers()
	}
	if len(*s.problems) > 0 {
		return nil, s.problems.sorted()
	}
	if err := s.fillTags(); err != nil {
		return nil, err
	}
	s.out.Warnings = s.warnings.sorted()
	out := s.out // a pointer into s would keep the whole syntax tree
	return &out, nil
}
