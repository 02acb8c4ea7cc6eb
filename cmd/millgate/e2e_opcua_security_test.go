package main_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millgate/millgate/drivers"
)

// testOPCUASecurity: every policy, mode and kind of user connects and reads.
func testOPCUASecurity(t *testing.T) {
	t.Parallel()
	user := certify(t, identity{name: "user", uri: "urn:millgate.example:user"})
	stranger := certify(t, identity{name: "other", uri: "urn:millgate.example:other"})
	server := startOPCUA(t, "--variables", "3", "--strict", "--trust-user", user.cert)
	dataDir := t.TempDir()
	password := passwordFile(t, "secret")
	users := map[string]string{
		"anonymous": "", "password": fmt.Sprintf(", user: {name: operator, password_file: %q}", password), "certificate": user.yaml(),
	}
	securities := []string{"None None"}
	for _, policy := range []string{"Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"} {
		securities = append(securities, policy+" Sign", policy+" SignAndEncrypt")
	}
	siteOf := func(t *testing.T, security, user string) site {
		policy, mode, _ := strings.Cut(security, " ")
		more := fmt.Sprintf(", security_policy: %s, security_mode: %s%s", policy, mode, user)
		if policy == "None" && strings.Contains(user, "password") {
			more += ", allow_plain_password: true"
		}
		s := opcuaSite(t, dataDir, "", server.endpoint(), more, time.Second, 3)
		s.trust(t, server.certificate(t))
		return s
	}
	siteOf(t, securities[1], "").refused(t, drivers.CauseCertificateRefused, "does not trust", "opcua/own/cert.der") // by the strict server
	if n := server.number(t, "trust"); n != 1 {
		t.Fatalf("the server has rejected %d certificates; want the gateway's", n)
	}
	for _, security := range securities {
		for kind, user := range users {
			t.Run(security+" "+kind, func(t *testing.T) {
				if n := siteOf(t, security, user).probe(t).good(); n != 3 {
					t.Errorf("%d of 3 values are good", n)
				}
			})
		}
	}
	wrong := passwordFile(t, "wrong")
	for _, test := range []struct {
		name, user string
		words      []string
	}{
		{"wrong password", fmt.Sprintf(", user: {name: operator, password_file: %q}", wrong), []string{"operator", "password"}},
		{"wrong user", fmt.Sprintf(", user: {name: nobody, password_file: %q}", password), []string{"nobody", "password"}},
		{"unknown certificate", stranger.yaml(), []string{"certificate", "user"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			siteOf(t, securities[2], test.user).refused(t, drivers.CauseUserRefused, test.words...)
		})
	}
}

// testOPCUARefusals: what keeps a gateway from a server is said, each in its own words.
func testOPCUARefusals(t *testing.T) {
	t.Parallel()
	const uri = "urn:millgate.example:server"
	day := 24 * time.Hour
	certs := map[string]identity{
		"right":   {uri: uri},
		"expired": {uri: uri, from: -2 * day, to: -day},
		"early":   {uri: uri, from: day, to: 2 * day},
		"foreign": {uri: "urn:millgate.example:another"},
		"weak":    {uri: uri, bits: 1024},
	}
	user := fmt.Sprintf(", user: {name: operator, password_file: %q}", passwordFile(t, "secret"))
	signed := ", security_policy: Basic256Sha256, security_mode: Sign"
	tests := []struct {
		name, cert, security string
		unknown              bool // the certificate is not among the trusted ones
		cause                drivers.Cause
		words                []string
	}{
		{"unknown", "right", signed + user, true, drivers.CauseCertificateUnknown, []string{"trust accept"}},
		{"expired", "expired", signed + user, false, drivers.CauseCertificateExpired, []string{"has expired", "renew"}},
		{"not yet valid", "early", signed + user, false, drivers.CauseCertificateExpired, []string{"valid only from", "clock"}},
		{"of another application", "foreign", signed + user, false, drivers.CauseCertificateWrong, []string{"urn:millgate.example:another", uri}},
		{"weak key", "weak", signed + user, false, drivers.CauseCertificateWrong, []string{"1024", "2048"}},
		{"no anonymous", "right", signed, false, drivers.CauseSecurityMismatch, []string{"anonymous", "password"}},
		{"no such policy", "right", ", security_policy: Aes256_Sha256_RsaPss, security_mode: Sign" + user, false, drivers.CauseSecurityMismatch, []string{"Aes256_Sha256_RsaPss", "Basic256Sha256"}},
		{"no such mode", "right", encrypted + user, false, drivers.CauseSecurityMismatch, []string{"SignAndEncrypt", "Basic256Sha256/Sign "}},
	}
	servers := map[string]*opcuaServer{}
	made := map[string]certified{}
	for name, id := range certs {
		id.name = name
		c := certify(t, id)
		made[name] = c
		servers[name] = startOPCUA(t, "--policies", "None,Basic256Sha256", "--modes", "Sign", "--no-anonymous", "--variables", "3",
			"--certificate", c.cert, "--key", c.key, "--uri", uri)
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := opcuaSite(t, t.TempDir(), "", servers[test.cert].endpoint(), test.security, time.Second, 3)
			cert := made[test.cert]
			if !test.unknown {
				s.trust(t, cert.der)
			}
			if said := s.refused(t, test.cause, test.words...); test.unknown && !strings.Contains(said, cert.fingerprint()) {
				t.Errorf("the message does not show the fingerprint %s:\n%s", cert.fingerprint(), said)
			}
		})
	}
}

// probed is what `millgate probe` prints, by tag.
type probed map[string]struct {
	Quality, Cause string
	Value          json.RawMessage
}

func (p probed) good() (n int) {
	for _, v := range p {
		if v.Quality == "good" {
			n++
		}
	}
	return n
}

// probe reads every tag of the site once.
func (s site) probe(t *testing.T) probed {
	t.Helper()
	out, err := exec.Command(binary, "probe", s.file, "--output", "json").Output()
	if err != nil {
		t.Errorf("probe: %v\n%s", explain(err), out)
	}
	return parseProbe(t, out)
}

func parseProbe(t *testing.T, out []byte) probed {
	t.Helper()
	var printed []struct {
		Tag, Quality, Cause string
		Value               json.RawMessage
	}
	if err := json.Unmarshal(out, &printed); err != nil {
		t.Fatalf("probe prints what is no JSON: %v\n%s", err, out)
	}
	got := probed{}
	for _, p := range printed {
		got[p.Tag] = struct {
			Quality, Cause string
			Value          json.RawMessage
		}{p.Quality, p.Cause, p.Value}
	}
	return got
}

// refused says that probe fails with the cause and a message that has the words; it returns what probe says.
func (s site) refused(t *testing.T, cause drivers.Cause, words ...string) string {
	t.Helper()
	out, err := exec.Command(binary, "probe", s.file, "--output", "json").Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("probe: %v; want exit 1\n%s", err, out)
		return ""
	}
	for tag, p := range parseProbe(t, out) {
		if p.Quality == "good" || p.Cause != string(cause) {
			t.Errorf("%s is %s, cause %s; want %s", tag, p.Quality, p.Cause, cause)
		}
	}
	said := string(out) + string(exit.Stderr)
	for _, word := range words {
		if !strings.Contains(said, word) {
			t.Errorf("the message does not have %q:\n%s", word, said)
		}
	}
	t.Logf("%s: %s", cause, strings.TrimSpace(string(exit.Stderr)))
	return said
}

// identity is a self-signed certificate to be made: from and to are counted from now, and zero is from yesterday for a year.
type identity struct {
	name, uri string
	from, to  time.Duration
	bits      int // 0: 2048
}

// certified is a certificate with its key, in files.
type certified struct {
	cert, key string // PEM
	der       []byte
}

func (c certified) yaml() string {
	return fmt.Sprintf(", user: {cert_file: %q, key_file: %q}", c.cert, c.key)
}

func (c certified) fingerprint() string { return fmt.Sprintf("%x", sha256.Sum256(c.der)) }

func certify(t *testing.T, id identity) certified {
	t.Helper()
	if id.to == 0 {
		id.from, id.to = -24*time.Hour, 365*24*time.Hour
	}
	if id.bits == 0 {
		id.bits = 2048
	}
	key, err := rsa.GenerateKey(rand.Reader, id.bits)
	if err != nil {
		t.Fatal(err)
	}
	uri, err := url.Parse(id.uri)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: id.name},
		NotBefore: time.Now().Add(id.from), NotAfter: time.Now().Add(id.to),
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment | x509.KeyUsageKeyEncipherment | x509.KeyUsageDataEncipherment | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		URIs:        []*url.URL{uri}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	c := certified{cert: filepath.Join(t.TempDir(), id.name+".pem"), der: der}
	c.key = strings.TrimSuffix(c.cert, ".pem") + ".key"
	for file, block := range map[string]*pem.Block{c.cert: {Type: "CERTIFICATE", Bytes: der}, c.key: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return c
}
