package configs

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // a box may have no time zones of its own

	"github.com/goccy/go-yaml/ast"

	"github.com/millgate/millgate/uplink"
)

var (
	idForm     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)
	regionForm = regexp.MustCompile(`^[0-9]{6}$`)
	prefixForm = regexp.MustCompile(`^[^/+#$\s]+(/[^/+#\s]+)*$`)
)

const (
	idRule     = "an id has 1 to 64 letters, digits, - and _, and begins with a letter or digit; free text goes into name"
	regionRule = "a region is the six digits of GB/T 2260"
	prefixRule = "a topic prefix is words with / between them, without +, # and blanks"
)

func (s *site) id(into *string) func(ast.Node) { return s.matching(into, idForm, idRule) }

func (s *site) readSite(n ast.Node) {
	s.object(n, "site",
		must("id", s.id(&s.out.ID)),
		may("name", s.text(&s.out.Name)),
		may("enterprise", func(n ast.Node) {
			s.text(&s.enterprise)(n)
			if err := checkCreditCode(s.enterprise); err != nil {
				s.at(n, "%q: %v", s.enterprise, err)
			}
		}),
		may("region", s.matching(&s.region, regionForm, regionRule)),
	)
}

func (s *site) readGateway(n ast.Node) {
	s.object(n, "gateway",
		must("id", s.id(&s.out.Gateway)),
		may("data_dir", func(n ast.Node) {
			s.text(&s.out.DataDir)(n)
			if s.out.DataDir == "" {
				s.at(n, "data_dir is empty: name a folder")
			}
		}),
		may("timezone", func(n ast.Node) {
			s.text(&s.timezone)(n)
			if _, err := time.LoadLocation(s.timezone); err != nil || s.timezone == "" || s.timezone == "Local" {
				s.at(n, "unknown time zone %q: use a name such as Asia/Shanghai", s.timezone)
			}
		}),
	)
}

func (s *site) readBuffer(n ast.Node) {
	b := &s.out.Buffer
	var blockSize int64
	s.object(n, "buffer",
		may("commit_interval", s.duration(&b.CommitInterval, 10*time.Millisecond, time.Minute, "commit_interval")),
		may("max_size", s.size(&b.MaxSize, 16<<20, math.MaxInt64, "max_size")),
		may("history", s.duration(&b.History, time.Minute, 3650*24*time.Hour, "history")),
		may("block_size", s.size(&blockSize, 4<<10, 4<<20, "block_size")),
	)
	b.BlockSize = int(blockSize)
}

// creditAlphabet are the digits of GB 32100-2015: no I, O, S, V, Z.
const creditAlphabet = "0123456789ABCDEFGHJKLMNPQRTUWXY"

// checkCreditCode checks a unified social credit code: 18 digits of base 31, the last a checksum with weights 3^i mod 31 (GB 32100-2015, 4.2).
func checkCreditCode(code string) error {
	if len(code) != 18 {
		return fmt.Errorf("a unified social credit code has 18 characters, not %d", len(code))
	}
	sum, weight := 0, 1
	for i := range 17 {
		v := strings.IndexByte(creditAlphabet, code[i])
		if v < 0 {
			return fmt.Errorf("a unified social credit code has no %q", code[i])
		}
		sum += v * weight
		weight = weight * 3 % 31
	}
	if want := creditAlphabet[(31-sum%31)%31]; code[17] != want {
		return fmt.Errorf("the check digit of this unified social credit code would be %q; compare it with the licence", want)
	}
	return nil
}

// uplinkSpec is an uplink as written.
type uplinkSpec struct {
	uplink.Config
	node       ast.Node
	password   secret
	prefixNode ast.Node
}

func (s *site) readUplink(n ast.Node) {
	u := &uplinkSpec{node: n, prefixNode: n, Config: uplink.Config{TopicPrefix: "millgate/v1"}}
	format := ""
	s.object(n, "uplink", append(s.secretFields(&u.password),
		must("id", s.id(&u.ID)),
		must("brokers", func(n ast.Node) {
			if list, ok := n.(*ast.SequenceNode); ok && len(list.Values) == 0 {
				s.at(n, "an uplink needs a broker, such as tcp://host:1883")
			}
			s.list("brokers", func(n ast.Node) { s.readBroker(n, u) })(n)
		}),
		may("client_id", s.text(&u.ClientID)),
		may("username", s.text(&u.Username)),
		may("tls", func(n ast.Node) {
			s.object(n, "tls", may("ca_file", s.path(&u.TLS.CAFile)), may("cert_file", s.path(&u.TLS.CertFile)), may("key_file", s.path(&u.TLS.KeyFile)))
		}),
		may("format", s.choice(&format, "format", "json")),
		may("topic_prefix", func(n ast.Node) { u.prefixNode = n; s.matching(&u.TopicPrefix, prefixForm, prefixRule)(n) }),
		may("window", s.integer(&u.Window, 1, 100, "window")),
	)...)
	s.uplinks = append(s.uplinks, u)
}

func (s *site) readBroker(n ast.Node, u *uplinkSpec) {
	text, ok := s.scalar(n, "a broker's address is expected")
	if !ok {
		return
	}
	at, err := url.Parse(text)
	if err != nil || (at.Scheme != "tcp" && at.Scheme != "ssl") || at.Hostname() == "" || at.Path != "" || at.User != nil || !validPort(at) {
		s.at(n, "broker %q: write it as tcp://host:1883, or ssl://host:8883 for TLS", text)
		return
	}
	u.Brokers = append(u.Brokers, text)
}

func validPort(u *url.URL) bool {
	if u.Port() == "" {
		return !strings.HasSuffix(u.Host, ":")
	}
	n, err := strconv.Atoi(u.Port())
	return err == nil && n > 0 && n <= 65535
}

// path reads the name of a file, relative to the site file. That it is not there is no mistake: it may be on the gateway only.
func (s *site) path(into *string) func(ast.Node) {
	return func(n ast.Node) {
		text, ok := s.scalar(n, "the name of a file is expected")
		if !ok {
			return
		}
		*into = s.beside(text)
		if _, err := os.Stat(*into); err != nil {
			s.warnings = append(s.warnings, s.problem(n, fmt.Sprintf("%s can not be read here: %v", text, errors.Unwrap(err))))
		}
	}
}

func (s *site) beside(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(s.file), name)
}

func (s *site) resolveUplinks() {
	lines := map[string]int{}
	for _, u := range s.uplinks {
		line := u.node.GetToken().Position.Line
		if first, twice := lines[u.ID]; twice && u.ID != "" {
			s.at(u.node, "uplink %q stands here a second time; the first is in line %d", u.ID, first)
		}
		lines[u.ID] = line
		if strings.Contains(u.TopicPrefix, "{region}") && s.region == "" {
			s.at(u.prefixNode, "topic_prefix names {region}, but site.region is not set")
		}
		u.TopicPrefix = strings.ReplaceAll(u.TopicPrefix, "{region}", s.region)
		if i := strings.IndexAny(u.TopicPrefix, "{}"); i >= 0 {
			s.at(u.prefixNode, "topic_prefix %q: the only placeholder is {region}", u.TopicPrefix)
		}
		if u.password.twice() {
			s.at(u.node, "uplink %s has both password_file and password_env; keep one", u.ID)
		}
		u.Password = u.password.reader()
		if u.TLS != (uplink.TLS{}) && !slices.ContainsFunc(u.Brokers, isTLS) && len(u.Brokers) > 0 {
			s.at(u.node, "uplink %s has tls, but its brokers are reached without: write them as ssl://", u.ID)
		}
		if u.Password != nil && u.Username == "" {
			s.at(u.node, "uplink %s has a password but no username, which MQTT 3.1.1 does not allow", u.ID)
		}
		if (u.TLS.CertFile == "") != (u.TLS.KeyFile == "") {
			s.at(u.node, "uplink %s: cert_file and key_file go together", u.ID)
		}
		s.checkClientID(u)
		s.out.Uplinks = append(s.out.Uplinks, u.Config)
		s.out.Buffer.Uplinks = append(s.out.Buffer.Uplinks, u.ID)
	}
	s.out.Buffer.Dir = filepath.Join(s.out.DataDir, "queue")
}

// checkClientID refuses two uplinks that would throw each other off the same broker.
func (s *site) checkClientID(u *uplinkSpec) {
	for _, other := range s.out.Uplinks {
		for _, broker := range other.Brokers {
			same := func(b string) bool { return withPort(b) == withPort(broker) }
			if other.ClientID == u.ClientID && slices.ContainsFunc(u.Brokers, same) {
				s.at(u.node, "uplinks %s and %s use the same client id at %s, so each would end the other's connection: give one a client_id", other.ID, u.ID, broker)
				return
			}
		}
	}
}

func isTLS(broker string) bool { return strings.HasPrefix(broker, "ssl:") }

// withPort is a broker's address with its port, as uplinks take it if there is none.
func withPort(broker string) string {
	at, err := url.Parse(broker)
	if err != nil || at.Port() != "" {
		return broker
	}
	if isTLS(broker) {
		return broker + ":8883"
	}
	return broker + ":1883"
}
