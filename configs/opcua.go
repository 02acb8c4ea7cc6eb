package configs

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/millgate/millgate/drivers/opcua"
)

const (
	defaultRequestTimeout = 5 * time.Second
	defaultSessionTimeout = time.Minute
)

// opcuaSpec is where a device is on OPC UA, and how it is read.
type opcuaSpec struct {
	at       nodes
	server   opcua.Server // complete when the servers are resolved
	password secret
	acquire  string
	machine  string
	budget   Budget // its own and the map's
}

func (s *site) readOPCUA(n ast.Node, d *deviceSpec) {
	o := &opcuaSpec{at: nodes{"": n}, acquire: subscribe}
	d.opcua = o
	srv := &o.server
	srv.Timeout, srv.SessionTimeout = defaultRequestTimeout, defaultSessionTimeout
	policy, mode := "", ""
	s.object(n, "opcua", o.at.keeping(
		must("endpoint", s.serverEndpoint(&srv.Endpoint)),
		may("security_policy", s.choice(&policy, "security_policy", words(opcua.Policies)...)),
		may("security_mode", s.choice(&mode, "security_mode", words(opcua.Modes)...)),
		may("user", func(n ast.Node) { s.readUser(n, o) }),
		may("allow_deprecated", s.boolean(&srv.AllowDeprecated)),
		may("allow_plain_password", s.boolean(&srv.AllowPlainPassword)),
		may("allow_transfer", s.boolean(&srv.AllowTransfer)),
		may("timeout", s.duration(&srv.Timeout, 100*time.Millisecond, time.Minute, "timeout")),
		may("session_timeout", s.duration(&srv.SessionTimeout, 10*time.Second, time.Hour, "session_timeout")),
		may("publishing", s.duration(&srv.Publishing, minInterval, time.Hour, "publishing")),
		may("clock", func(n ast.Node) { s.readClock(n, o) }),
		may("acquire", s.choice(&o.acquire, "acquire", subscribe, poll)),
		may("machine", s.text(&o.machine)),
		may("budget", s.budget(&o.budget)),
	)...)
	srv.Policy, srv.Mode = opcua.Policy(policy), opcua.Mode(mode)
	s.checkSecurity(o)
}

// words are values as somebody writes them.
func words[T ~string](all []T) (words []string) {
	for _, one := range all {
		words = append(words, string(one))
	}
	return words
}

// serverEndpoint reads opc.tcp://host:port/path; the port may be left out.
func (s *site) serverEndpoint(into *string) func(ast.Node) {
	return func(n ast.Node) {
		text, ok := s.scalar(n, "the address of a server is expected")
		if !ok {
			return
		}
		at, err := opcua.ParseEndpoint(text)
		if err != nil {
			s.at(n, "%v", err)
			return
		}
		*into = at
	}
}

func (s *site) readUser(n ast.Node, o *opcuaSpec) {
	u, at := &o.server.User, nodes{"": n}
	fields := append([]field{may("name", s.text(&u.Name))}, s.secretFields(&o.password)...)
	s.object(n, "user", at.keeping(append(fields, may("cert_file", s.path(&u.CertFile)), may("key_file", s.path(&u.KeyFile)))...)...)
	named, secret, certified := u.Name != "", o.password != secret{}, u.CertFile != "" || u.KeyFile != ""
	switch {
	case certified && (named || secret):
		s.at(n, "user is either a name with a password or a certificate with its key; keep one")
	case (u.CertFile == "") != (u.KeyFile == ""):
		s.at(n, "cert_file and key_file go together")
	case o.password.twice():
		s.at(n, "user has both password_file and password_env; keep one")
	case secret && !named:
		s.at(n, "user has a password but no name")
	case !named && !certified && at["password"] == nil:
		s.at(n, "user names nobody: write name and password_file, or cert_file and key_file; without user the session is anonymous")
	}
	u.Password = o.password.reader()
}

func (s *site) readClock(n ast.Node, o *opcuaSpec) {
	c := &o.server.Clock
	s.object(n, "clock",
		may("ignore", s.boolean(&c.Ignore)),
		may("zone", func(n ast.Node) {
			s.text(&c.Zone)(n)
			if _, err := time.LoadLocation(c.Zone); err != nil || c.Zone == "" || c.Zone == "Local" {
				s.at(n, "unknown time zone %q: use a name such as Asia/Shanghai", c.Zone)
			}
		}),
		may("max_error", s.duration(&c.MaxError, 100*time.Millisecond, 24*time.Hour, "max_error")))
	if c.Ignore && (c.Zone != "" || c.MaxError != 0) {
		s.at(n, "a clock that is ignored has neither zone nor max_error")
	}
}

// checkSecurity fills in the policy and the mode, and refuses what is weaker than it looks.
func (s *site) checkSecurity(o *opcuaSpec) {
	srv := &o.server
	_, policy := o.at["security_policy"]
	_, mode := o.at["security_mode"]
	switch {
	case !policy && !mode:
		srv.Policy, srv.Mode = opcua.Basic256Sha256, opcua.SignAndEncrypt
	case policy != mode:
		s.at(o.at[""], "security_policy and security_mode go together: write both, or neither for %s and %s", opcua.Basic256Sha256, opcua.SignAndEncrypt)
		return
	case srv.Policy == "" || srv.Mode == "":
		return // reported where it was read
	case (srv.Policy == opcua.PolicyNone) != (srv.Mode == opcua.ModeNone):
		s.at(o.at["security_mode"], "security_policy %s does not go with security_mode %s: None is both or neither", srv.Policy, srv.Mode)
		return
	}
	if srv.Policy.Deprecated() && !srv.AllowDeprecated {
		s.at(o.at["security_policy"], "%s is no longer secure: take %s if the server has it; if it is too old for that, add allow_deprecated: true", srv.Policy, opcua.Basic256Sha256)
	}
	if srv.Policy != opcua.PolicyNone {
		return
	}
	if o.password != (secret{}) && !srv.AllowPlainPassword {
		s.at(o.at["user"], "with security_policy None the password would cross the network for everybody to read: take %s; if the server has nothing else, add allow_plain_password: true", opcua.Basic256Sha256)
	}
	s.warnings = append(s.warnings, s.problem(o.at["security_policy"],
		fmt.Sprintf("security_policy None: nobody proves who he is, and everybody on the network can read and change what is sent; take %s and %s if the server has them", opcua.Basic256Sha256, opcua.SignAndEncrypt)))
}

// serverPlace names the server, whatever the spelling.
func serverPlace(endpoint string) string { return strings.ToLower(strings.TrimRight(endpoint, "/")) }

// resolveServers completes the servers and refuses two devices that reach one of them in different ways.
func (s *site) resolveServers() {
	first := map[string]*deviceSpec{}
	for _, d := range s.devices {
		if d.opcua == nil || d.opcua.server.Endpoint == "" {
			continue
		}
		srv := &d.opcua.server
		srv.ApplicationURI = opcua.ApplicationURI(s.out.ID, s.out.Gateway)
		srv.Trust = filepath.Join(s.out.DataDir, "opcua")
		other := first[serverPlace(srv.Endpoint)]
		if other == nil {
			first[serverPlace(srv.Endpoint)] = d
			continue
		}
		if keys := differentKeys(d.opcua, other.opcua); len(keys) > 0 {
			s.at(d.opcua.at.of(keys[0]), "devices %q and %q are on the same server and have one session there, so they must reach it in the same way, but differ in %s; the other is in line %d",
				d.id, other.id, strings.Join(keys, ", "), other.opcua.at.of(keys[0]).GetToken().Position.Line)
		}
	}
}

// differentKeys are the keys in which two devices say otherwise how to reach their server.
func differentKeys(a, b *opcuaSpec) (keys []string) {
	x, y := a.server, b.server
	for _, c := range []struct {
		key  string
		same bool
	}{
		{"endpoint", x.Endpoint == y.Endpoint},
		{"security_policy", x.Policy == y.Policy},
		{"security_mode", x.Mode == y.Mode},
		{"user", x.User.Name == y.User.Name && x.User.CertFile == y.User.CertFile && x.User.KeyFile == y.User.KeyFile && a.password == b.password},
		{"allow_deprecated", x.AllowDeprecated == y.AllowDeprecated},
		{"allow_plain_password", x.AllowPlainPassword == y.AllowPlainPassword},
		{"allow_transfer", x.AllowTransfer == y.AllowTransfer},
		{"timeout", x.Timeout == y.Timeout},
		{"session_timeout", x.SessionTimeout == y.SessionTimeout},
		{"publishing", x.Publishing == y.Publishing},
		{"clock", x.Clock == y.Clock},
	} {
		if !c.same {
			keys = append(keys, c.key)
		}
	}
	return keys
}

// placeOPCUA puts the point into the poll group of its interval and its way of acquisition, and says which one that is.
func (s *site) placeOPCUA(out *Device, d *deviceSpec, p *pointSpec) int {
	o, interval := d.opcua, p.intervalOf(d)
	polled := cmp.Or(p.opcua.acquire, o.acquire) == poll
	i := slices.IndexFunc(out.Groups, func(g Group) bool { return g.Interval == interval && g.OPCUA.Polled == polled })
	if i < 0 {
		i = len(out.Groups)
		root := d.root
		root.Name = o.machine
		out.Groups = append(out.Groups, Group{Interval: interval,
			OPCUA: &opcua.Config{Device: d.id, Server: o.server, Interval: interval, Polled: polled, Root: root}})
	}
	if p.opcua.Path != "" && d.root == (opcua.Root{}) {
		p.at([]string{"path"}, "point %s has a path, which begins at the root that a map names: give the device such a map, or say node", p.name)
	}
	if !polled {
		s.checkSampling(d, p, samplingOf(p.opcua.Point, interval))
	}
	g := &out.Groups[i]
	point := p.opcua.Point
	point.Type, point.Scale, point.Offset = p.opcuaValue(), p.scale, p.offset
	g.OPCUA.Points = append(g.OPCUA.Points, point)
	g.Rules = append(g.Rules, p.rule)
	return i
}

// checkMachine refuses the name of a machine where none is searched.
func (s *site) checkMachine(d *deviceSpec) {
	if d.opcua.machine != "" && d.root.Type == "" {
		s.at(d.opcua.at["machine"], "machine chooses among the objects of the type that a map's root names, and device %q has no such map: leave it out", d.id)
	}
}

// warnAboutIndexes says if nodes are named by what a server may change when it starts.
func (s *site) warnAboutIndexes(d *deviceSpec, points []*pointSpec) {
	var first *pointSpec
	n := 0
	for _, p := range points {
		if namedByIndex(p.opcua.Node) {
			if n++; first == nil {
				first = p
			}
		}
	}
	if n > 0 {
		at := first.places["node"]
		index, _, _ := strings.Cut(first.opcua.Node, ";")
		s.warnings = append(s.warnings, at.problem(at.node, fmt.Sprintf(
			"device %q names namespaces by number, in %d of its points, as %s here, and a server may number them otherwise after a restart: write nsu= and the URI; millgate browse shows it", d.id, n, index)))
	}
}

// root reads where the paths of a map begin.
func (d *document) root(into *opcua.Root) func(ast.Node) {
	return func(n ast.Node) {
		before := len(*d.problems)
		d.object(n, "root", may("node", d.nodeID(&into.Node)), may("type", d.nodeID(&into.Type)))
		if len(*d.problems) == before && (into.Node == "") == (into.Type == "") {
			d.at(n, "root says either node, the NodeID of the object at which paths begin, or type, the NodeID of its type")
		}
	}
}
