package configs

import (
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/millgate/millgate/drivers/modbus"
)

const (
	maxInFlight   = 32
	defaultBaud   = 9600
	maxIdentifier = 255 // bytes of a registration or heartbeat
)

// serialByID is where Linux names serial ports by what is plugged in and not by when.
var serialByID = "/dev/serial/by-id"

// bauds are the speeds that serial ports have.
var bauds = []string{"300", "600", "1200", "2400", "4800", "9600", "19200", "38400", "57600", "115200", "230400", "460800", "921600"}

// linkSpec is a link as written: named under links, or without a name in a device.
type linkSpec struct {
	name    string
	at      nodes
	config  modbus.LinkConfig // complete: nothing in it is left to a default that another might spell out
	framing string
	timeout time.Duration // of its devices, where they say nothing; 0: the default
	used    bool
}

func (s *site) readLinks(n ast.Node) {
	pairs, _ := s.pairs(n, "links")
	for _, pair := range pairs {
		l := &linkSpec{name: pair.Key.GetToken().Value, at: nodes{"": pair.Key}}
		if !idForm.MatchString(l.name) {
			s.at(pair.Key, "%q: %s", l.name, idRule)
		}
		fields := append(s.linkFields(l), may("timeout", s.duration(&l.timeout, time.Millisecond, time.Minute, "timeout")))
		fields[0].required = true
		s.object(pair.Value, "link", fields...)
		s.finishLink(l)
		if s.links[l.name] != nil {
			s.at(pair.Key, "link %q stands here a second time; the first is in line %d", l.name, s.links[l.name].at[""].GetToken().Position.Line)
			continue
		}
		s.links[l.name] = l
	}
}

// linkFields are the keys of a link, endpoint first.
func (s *site) linkFields(l *linkSpec) []field {
	c := &l.config
	var baud, parity string
	return l.at.keeping(
		may("endpoint", func(n ast.Node) {
			text := ""
			s.text(&text)(n)
			e, err := modbus.ParseEndpoint(text)
			if err != nil {
				s.at(n, "%v", err)
				return
			}
			c.Endpoint = e
		}),
		may("baud", func(n ast.Node) {
			s.choice(&baud, "baud", bauds...)(n)
			_, _ = fmt.Sscan(baud, &c.Baud) // one of bauds
		}),
		may("data_bits", s.integer(&c.DataBits, 7, 8, "data_bits")),
		may("parity", func(n ast.Node) {
			s.choice(&parity, "parity", "N", "E", "O")(n)
			if parity != "" {
				c.Parity = parity[0]
			}
		}),
		may("stop_bits", s.integer(&c.StopBits, 1, 2, "stop_bits")),
		may("turnaround", s.duration(&c.Turnaround, time.Millisecond, time.Minute, "turnaround")),
		may("in_flight", s.integer(&c.InFlight, 1, maxInFlight, "in_flight")),
		may("tls", func(n ast.Node) {
			s.object(n, "tls", may("ca_file", s.path(&c.TLS.CA)), may("cert_file", s.path(&c.TLS.Cert)), may("key_file", s.path(&c.TLS.Key)),
				may("server_name", s.text(&c.TLS.ServerName)))
		}),
		may("framing", s.choice(&l.framing, "framing", "rtu", "tcp", "ascii")),
		may("registration", s.bytes(&c.Registration, "registration")),
		may("heartbeat", s.bytes(&c.Heartbeat, "heartbeat")),
		may("workarounds", func(n ast.Node) {
			s.object(n, "workarounds",
				may("pause_between_requests", s.duration(&c.PauseBetween, 0, time.Minute, "pause_between_requests")),
				may("pause_after_connect", s.duration(&c.PauseAfterConnect, 0, time.Minute, "pause_after_connect")))
		}),
	)
}

// bytes reads text, or bytes as 0x….
func (d *document) bytes(into *string, what string) func(ast.Node) {
	return func(n ast.Node) {
		text, ok := d.scalar(n, "text is expected, or bytes as 0x…")
		if !ok {
			return
		}
		if digits, isHex := strings.CutPrefix(text, "0x"); isHex {
			raw, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
			if err != nil {
				d.at(n, "%s %q: behind 0x two hexadecimal digits stand for each byte", what, text)
				return
			}
			text = string(raw)
		}
		if text == "" || len(text) > maxIdentifier {
			d.at(n, "%s has %d bytes: 1 to %d", what, len(text), maxIdentifier)
			return
		}
		*into = text
	}
}

// linkKeys says for which endpoints a key has a meaning.
var linkKeys = []struct {
	key  string
	fits func(modbus.Endpoint) bool
	rule string
}{
	{"tls", func(e modbus.Endpoint) bool { return e.Transport == modbus.TLS }, "tls:// endpoints"},
	{"framing", func(e modbus.Endpoint) bool { return e.Transport == modbus.Listen }, "listen:// endpoints; the others say it themselves, as rtu+tcp:// does"},
	{"registration", func(e modbus.Endpoint) bool { return e.Transport == modbus.Listen }, "listen:// endpoints"},
	{"heartbeat", func(e modbus.Endpoint) bool { return e.Transport == modbus.Listen }, "listen:// endpoints"},
	{"in_flight", func(e modbus.Endpoint) bool { return e.Framing == modbus.MBAP }, "the framing of Modbus TCP; answers in a serial framing do not say which request they belong to"},
}

// finishLink checks the keys against each other and fills in what was left out.
func (s *site) finishLink(l *linkSpec) {
	c := &l.config
	if c.Endpoint.Address == "" {
		return // reported where it was read
	}
	if f, ok := modbus.ParseFraming(l.framing); ok && c.Endpoint.Transport == modbus.Listen {
		c.Endpoint.Framing = f
	}
	for _, k := range linkKeys {
		if n := l.at[k.key]; n != nil && !k.fits(c.Endpoint) {
			s.at(n, "%s is for %s", k.key, k.rule)
		}
	}
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		s.at(l.at.of("tls"), "cert_file and key_file go together")
	}
	if c.Endpoint.Transport == modbus.Serial && c.Baud == 0 {
		c.Baud = defaultBaud
	}
	if c.Baud == 0 && l.at["baud"] == nil {
		for _, key := range []string{"data_bits", "parity", "stop_bits"} {
			if n := l.at[key]; n != nil {
				s.at(n, "%s describes the line behind %s: say its baud, too", key, c.Endpoint)
			}
		}
	}
	if c.DataBits == 7 && c.Endpoint.Framing != modbus.ASCII {
		s.at(l.at["data_bits"], "data_bits 7 is for the framing ascii: the bytes of the others have 8")
	}
	if c.Baud > 0 {
		c.DataBits, c.StopBits = orElse(c.DataBits, 8), orElse(c.StopBits, 1)
		c.Parity = orElse(c.Parity, 'N')
	}
	if c.Endpoint.Framing == modbus.MBAP {
		c.InFlight = orElse(c.InFlight, 1)
	}
	s.warnAboutPort(l)
}

func orElse[T int | byte](v, otherwise T) T {
	if v == 0 {
		return otherwise
	}
	return v
}

// warnAboutPort says if the name of a serial port depends on the order in which adapters were plugged in.
func (s *site) warnAboutPort(l *linkSpec) {
	e := l.config.Endpoint
	if e.Transport != modbus.Serial || !strings.HasPrefix(e.Address, "/dev/ttyUSB") && !strings.HasPrefix(e.Address, "/dev/ttyACM") {
		return
	}
	advice := "name it by what is plugged in: ls -l " + serialByID
	if name := byIDName(e.Address); name != "" {
		e := modbus.Endpoint{Transport: modbus.Serial, Framing: e.Framing, Address: name}
		advice = "write " + e.String() + ", which stays the same when it is plugged into another socket"
	}
	s.warnings = append(s.warnings, s.problem(l.at.of("endpoint"), e.Address+" names whichever adapter was found first: "+advice))
}

// byIDName is the name in serialByID that leads to the port; empty if there is none.
func byIDName(port string) string {
	names, _ := os.ReadDir(serialByID) // without the folder there is nothing to propose
	for _, name := range names {
		link := filepath.Join(serialByID, name.Name())
		if at, err := filepath.EvalSymlinks(link); err == nil && at == realPath(port) {
			return link
		}
	}
	return ""
}

// realPath is the file that the name leads to, or the name if there is none.
func realPath(name string) string {
	if at, err := filepath.EvalSymlinks(name); err == nil {
		return at
	}
	return filepath.Clean(name)
}

// wire names the physical link, whatever the spelling.
func (l *linkSpec) wire() string {
	if l.config.Endpoint.Transport == modbus.Serial {
		return realPath(l.config.Endpoint.Address)
	}
	return l.config.Place()
}

// resolveLinks gives each device its link, and says which links can not be beside each other.
func (s *site) resolveLinks() {
	for _, d := range s.devices {
		if d.modbus == nil || d.modbus.linkName == "" {
			continue
		}
		m := d.modbus
		named := s.links[m.linkName]
		if named == nil {
			s.at(m.at.of("link"), "there is no link %q%s; links are declared once, under links", m.linkName,
				suggestion(m.linkName, slices.Sorted(maps.Keys(s.links))))
			continue
		}
		named.used, m.link = true, named
	}
	var all []*linkSpec
	for _, name := range slices.Sorted(maps.Keys(s.links)) {
		l := s.links[name]
		if !l.used {
			s.warnings = append(s.warnings, s.problem(l.at[""], fmt.Sprintf("no device uses the link %q", name)))
		}
		all = append(all, l)
	}
	for _, d := range s.devices {
		if d.modbus != nil && d.modbus.linkName == "" {
			all = append(all, d.modbus.link)
		}
	}
	s.checkWires(slices.DeleteFunc(all, func(l *linkSpec) bool { return l.config.Endpoint.Address == "" }))
}

// checkWires compares the links that share a wire, or an address to listen at.
func (s *site) checkWires(links []*linkSpec) {
	first, listening := map[string]*linkSpec{}, map[string][]*linkSpec{}
	for _, l := range links {
		wire := l.wire()
		if other := first[wire]; other != nil {
			if difference := differs(l, other); difference != "" {
				s.at(l.at.of("endpoint"), "this leads to the same place as the endpoint in line %d, %s: declare the link once, under links, and name it in each device",
					other.at.of("endpoint").GetToken().Position.Line, difference)
			}
			continue
		}
		first[wire] = l
		if e := l.config.Endpoint; e.Transport == modbus.Listen {
			for _, other := range listening[e.Address] {
				s.checkRegistrations(l, other)
			}
			listening[e.Address] = append(listening[e.Address], l)
		}
	}
}

// differs says in what two links at one place differ; empty if in nothing.
func differs(l, other *linkSpec) string {
	a, b := l.config, other.config
	switch {
	case a == b:
		return ""
	case a.Endpoint.Address != b.Endpoint.Address:
		return fmt.Sprintf("which spells it %s", b.Endpoint)
	case a.Endpoint != b.Endpoint:
		return fmt.Sprintf("but that is %s with the framing %s and this %s with the framing %s", b.Endpoint, b.Endpoint.Framing, a.Endpoint, a.Endpoint.Framing)
	}
	return "with other settings"
}

// checkRegistrations refuses two links at one address that can not be told apart by what dials in.
func (s *site) checkRegistrations(l, other *linkSpec) {
	a, b := l.config.Registration, other.config.Registration
	line := other.at.of("endpoint").GetToken().Position.Line
	switch {
	case a == "" || b == "":
		s.at(l.at.of("endpoint"), "several links listen at %s, here and in line %d: each needs a registration by which its serial server is known", l.config.Endpoint.Address, line)
	case strings.HasPrefix(a, b) || strings.HasPrefix(b, a):
		s.at(l.at.of("registration"), "registration %q and %q of the link in line %d begin alike, so that one can not be told from the other: none may be the beginning of another", a, b, line)
	}
}
