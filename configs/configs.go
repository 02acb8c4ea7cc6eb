package configs

import (
	"time"

	"github.com/millgate/millgate/buffer"
	"github.com/millgate/millgate/collector"
	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/modbus"
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
	Catalogue *buffer.Catalogue
	Warnings  Problems // what is allowed but hardly meant
}

// Device is one device, resolved.
type Device struct {
	ID     string
	Name   string
	Map    string // name@version, empty for points of the site's own
	Up     *drivers.Tag
	Groups []Group
}

// Group is one poll group: the driver's config and the collector's rules, point by point.
type Group struct {
	Interval time.Duration
	Modbus   modbus.Config
	Rules    []collector.TagRule
}

// Load reads, checks and resolves a site; the error is Problems, all mistakes at once.
func Load(file string) (*Site, error) { panic("stub") }

// Problem is one mistake, where it stands and the way out.
type Problem struct {
	File         string
	Line, Column int // from 1; 0 if the whole file is meant
	Message      string
}

// Problems is an error that lists them by position.
type Problems []Problem

func (p Problems) Error() string { panic("stub") }

// Map is a device map of the library or of a file.
type Map struct {
	Name, Version, Title, Source string
	Verified                     bool
	File                         string
	Text                         []byte // the YAML as it stands
	Points                       int
}

// Maps lists the embedded library, sorted by name.
func Maps() []Map { panic("stub") }
