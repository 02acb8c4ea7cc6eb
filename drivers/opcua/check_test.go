package opcua

import (
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/millgate/millgate/drivers"
)

// expect fails if the error has not this cause and these words; an empty cause means that there is none.
func expect(t *testing.T, err error, cause drivers.Cause, words ...string) {
	t.Helper()
	var told *drivers.Error
	switch {
	case cause == "" && err != nil:
		t.Fatalf("refused: %v", err)
	case cause == "":
		return
	case !errors.As(err, &told) || told.Cause != cause:
		t.Fatalf("want the cause %s, got %v", cause, err)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q lacks %q", err, w)
		}
	}
}

// TestTrustedButUseless: whoever put it into trusted/, these certificates are refused, each for its own reason.
func TestTrustedButUseless(t *testing.T) {
	weak := serverTemplate()
	sha1 := func(c *x509.Certificate) { c.SignatureAlgorithm = x509.SHA1WithRSA }
	for name, c := range map[string]struct {
		cert       *x509.Certificate
		deprecated bool
		cause      drivers.Cause
		words      []string
		warning    string
	}{
		"good":            {cert: selfSigned(t, nil)},
		"expired":         {cert: selfSigned(t, func(c *x509.Certificate) { c.NotAfter = testNow.Add(-time.Hour) }), cause: drivers.CauseCertificateExpired, words: []string{"has expired on 2026-11-24 11:00 UTC", "renew it at the server"}},
		"not valid yet":   {cert: selfSigned(t, func(c *x509.Certificate) { c.NotBefore = testNow.Add(time.Hour) }), cause: drivers.CauseCertificateExpired, words: []string{"valid only from 2026-11-24 13:00 UTC on; here it is 2026-11-24 12:00 UTC", "set the clock"}},
		"weak key":        {cert: sign(t, weak, nil, rsaKey(1024), nil), cause: drivers.CauseCertificateWrong, words: []string{"1024 bits, 2048 are needed", "allow_deprecated"}},
		"weak, allowed":   {cert: sign(t, weak, nil, rsaKey(1024), nil), deprecated: true, warning: "is weak: its key has 1024 bits"},
		"SHA-1":           {cert: selfSigned(t, sha1), cause: drivers.CauseCertificateWrong, words: []string{"signed with SHA-1", "allow_deprecated"}},
		"SHA-1, allowed":  {cert: selfSigned(t, sha1), deprecated: true, warning: "is weak: it is signed with SHA-1"},
		"EC key":          {cert: ecCertificate(t), deprecated: true, cause: drivers.CauseCertificateWrong, words: []string{"its key is ECDSA, not RSA"}},
		"other URI":       {cert: selfSigned(t, func(c *x509.Certificate) { c.URIs[0].Opaque = "factory:cnc-2" }), cause: drivers.CauseCertificateWrong, words: []string{`"urn:factory:cnc-2"`, `"urn:factory:cnc-1"`, "change of its host name"}},
		"no URI":          {cert: selfSigned(t, func(c *x509.Certificate) { c.URIs = nil }), cause: drivers.CauseCertificateWrong, words: []string{"application URI"}},
		"second URI":      {cert: selfSigned(t, func(c *x509.Certificate) { c.URIs = append([]*url.URL{{Scheme: "urn", Opaque: "x"}}, c.URIs...) })},
		"no signing":      {cert: selfSigned(t, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }), cause: drivers.CauseCertificateWrong, words: []string{"key usage"}},
		"no enciphering":  {cert: selfSigned(t, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }), cause: drivers.CauseCertificateWrong, words: []string{"key usage"}},
		"no usage at all": {cert: selfSigned(t, func(c *x509.Certificate) { c.KeyUsage, c.ExtKeyUsage = 0, nil })},
		"a client's":      {cert: selfSigned(t, func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[1:] }), cause: drivers.CauseCertificateWrong, words: []string{"serverAuth"}},
		"other host":      {cert: selfSigned(t, func(c *x509.Certificate) { c.IPAddresses = []net.IP{{10, 0, 0, 1}} }), warning: "is for another host"},
		"ends in 59 days": {cert: selfSigned(t, func(c *x509.Certificate) { c.NotAfter = testNow.AddDate(0, 0, 59) }), warning: "expires on 2027-01-22"},
		"ends in 61 days": {cert: selfSigned(t, func(c *x509.Certificate) { c.NotAfter = testNow.AddDate(0, 0, 61) })},
	} {
		t.Run(name, func(t *testing.T) {
			trust := newTrust(t)
			put(t, trust, trustedDir, "it.der", c.cert.Raw)
			p := peerOf(c.cert)
			p.Deprecated = c.deprecated
			v, err := trust.Check(p)
			expect(t, err, c.cause, append(c.words, map[bool]string{true: serverAt}[err != nil])...)
			if warnings := strings.Join(v.Warnings, "\n"); (c.warning == "") != (warnings == "") || !strings.Contains(warnings, c.warning) {
				t.Errorf("warnings: %q, want %q", warnings, c.warning)
			}
			if v.Fingerprint != Fingerprint(c.cert.Raw) {
				t.Errorf("fingerprint %q", v.Fingerprint)
			}
			if left, _ := os.ReadDir(trust.path(rejectedDir)); len(left) > 0 {
				t.Error("it was put into rejected/, where accepting it would change nothing")
			}
		})
	}
}

func ecCertificate(t *testing.T) *x509.Certificate {
	template := serverTemplate()
	template.SignatureAlgorithm = x509.ECDSAWithSHA256
	return sign(t, template, nil, ecKey(), nil)
}

func TestUnknownThenAccepted(t *testing.T) {
	trust, cert := newTrust(t), selfSigned(t, nil)
	print := Fingerprint(cert.Raw)
	_, err := trust.Check(peerOf(cert))
	expect(t, err, drivers.CauseCertificateUnknown, "not trusted yet", `"CNC 1"`, print, "millgate trust accept SITE.yaml "+print[:16])
	entries, err := trust.List()
	if err != nil || len(entries) != 1 || entries[0].State != "rejected" || entries[0].Fingerprint != print || entries[0].URI != serverURI {
		t.Fatalf("%+v %v", entries, err)
	}
	if _, err := trust.Accept(print[:16]); err != nil {
		t.Fatal(err)
	}
	if _, err := trust.Check(peerOf(cert)); err != nil {
		t.Fatal(err)
	}
	if entries, _ := trust.List(); len(entries) != 1 || entries[0].State != "trusted" {
		t.Fatalf("%+v", entries)
	}
	if _, err := trust.Reject(print); err != nil {
		t.Fatal(err)
	}
	_, err = trust.Check(peerOf(cert))
	expect(t, err, drivers.CauseCertificateUnknown, "not trusted yet")
}

func TestChangedCertificate(t *testing.T) {
	trust, old, next := newTrust(t), selfSigned(t, nil), selfSigned(t, nil)
	put(t, trust, trustedDir, "cnc.pem", asPEM("CERTIFICATE", old.Raw))
	_, err := trust.Check(peerOf(next))
	expect(t, err, drivers.CauseCertificateUnknown, "another one than the trusted one",
		"old fingerprint "+Fingerprint(old.Raw), Fingerprint(next.Raw), "replaced or its certificate renewed", "accept nothing")
	other := peerOf(selfSigned(t, func(c *x509.Certificate) { c.URIs[0].Opaque = "factory:cnc-9" }))
	other.URI = "urn:factory:cnc-9"
	_, err = trust.Check(other)
	expect(t, err, drivers.CauseCertificateUnknown, "not trusted yet") // another server's is no change
}

func TestChains(t *testing.T) {
	rootKey, subKey, key := rsaKey(2048), rsaKey(3072), rsaKey(2048)
	root := sign(t, caTemplate("root"), nil, rootKey, nil)
	sub := sign(t, caTemplate("sub"), root, subKey, rootKey)
	leaf := sign(t, serverTemplate(), sub, key, subKey)
	direct := sign(t, serverTemplate(), root, key, rootKey)
	late := caTemplate("late")
	late.NotAfter = testNow.Add(-time.Minute)
	past := sign(t, late, root, subKey, rootKey)
	ofPast := sign(t, serverTemplate(), past, key, subKey)
	next := testNow.AddDate(0, 6, 0)
	rootList, subList := revocations(t, root, rootKey, next), revocations(t, sub, subKey, next)
	forged := caTemplate("root")
	forgedRoot := sign(t, forged, nil, subKey, nil) // the name of the root, another key
	for name, c := range map[string]struct {
		chain   []*x509.Certificate
		pinned  *x509.Certificate
		issuers []*x509.Certificate
		lists   [][]byte
		cause   drivers.Cause
		word    string
		warning string
	}{
		"one step":               {chain: []*x509.Certificate{direct}, issuers: []*x509.Certificate{root}, lists: [][]byte{rootList}},
		"two steps":              {chain: []*x509.Certificate{leaf, sub, root}, issuers: []*x509.Certificate{root}, lists: [][]byte{rootList, subList}},
		"sub trusted":            {chain: []*x509.Certificate{leaf}, issuers: []*x509.Certificate{sub}, lists: [][]byte{subList}},
		"no list":                {chain: []*x509.Certificate{direct}, issuers: []*x509.Certificate{root}, cause: drivers.CauseCertificateWrong, word: `no revocation list of "root"`},
		"a list of two":          {chain: []*x509.Certificate{leaf, sub}, issuers: []*x509.Certificate{root}, lists: [][]byte{subList}, cause: drivers.CauseCertificateWrong, word: `no revocation list of "root"`},
		"revoked":                {chain: []*x509.Certificate{direct}, issuers: []*x509.Certificate{root}, lists: [][]byte{revocations(t, root, rootKey, next, direct)}, cause: drivers.CauseCertificateWrong, word: "is revoked"},
		"issuer revoked":         {chain: []*x509.Certificate{leaf, sub}, issuers: []*x509.Certificate{root}, lists: [][]byte{subList, revocations(t, root, rootKey, next, sub)}, cause: drivers.CauseCertificateWrong, word: `revokes "sub"`},
		"revoked though trusted": {chain: []*x509.Certificate{direct}, pinned: direct, lists: [][]byte{revocations(t, root, rootKey, next, direct)}, cause: drivers.CauseCertificateWrong, word: "is revoked"},
		"list overdue":           {chain: []*x509.Certificate{direct}, issuers: []*x509.Certificate{root}, lists: [][]byte{revocations(t, root, rootKey, testNow.AddDate(0, 0, -2))}, warning: "overdue since 2026-11-22"},
		"forged list":            {chain: []*x509.Certificate{direct}, issuers: []*x509.Certificate{root}, lists: [][]byte{revocations(t, forgedRoot, subKey, next)}, cause: drivers.CauseCertificateWrong, word: "no revocation list"},
		"forged issuer":          {chain: []*x509.Certificate{leaf, sub, forgedRoot}, issuers: []*x509.Certificate{forgedRoot}, lists: [][]byte{rootList, subList}, cause: drivers.CauseCertificateUnknown, word: "not trusted yet"},
		"issuer only sent":       {chain: []*x509.Certificate{leaf, sub, root}, cause: drivers.CauseCertificateUnknown, word: "not trusted yet"},
		"broken":                 {chain: []*x509.Certificate{leaf, root}, issuers: []*x509.Certificate{root}, lists: [][]byte{rootList, subList}, cause: drivers.CauseCertificateUnknown, word: "not trusted yet"},
		"issuer in trusted":      {chain: []*x509.Certificate{direct}, pinned: root, cause: drivers.CauseCertificateUnknown, word: "not trusted yet"},
		"issuer expired":         {chain: []*x509.Certificate{ofPast, past}, issuers: []*x509.Certificate{root}, lists: [][]byte{rootList, revocations(t, past, subKey, next)}, cause: drivers.CauseCertificateWrong, word: "comes from an issuer in issuers/, but"},
	} {
		t.Run(name, func(t *testing.T) {
			trust := newTrust(t)
			for i, issuer := range c.issuers {
				put(t, trust, issuersDir, fmt.Sprint(i, ".pem"), asPEM("CERTIFICATE", issuer.Raw))
			}
			for i, list := range c.lists {
				put(t, trust, crlDir, fmt.Sprint(i, ".crl"), list)
			}
			if c.pinned != nil {
				put(t, trust, trustedDir, "it.der", c.pinned.Raw)
			}
			v, err := trust.Check(peerOf(c.chain...))
			expect(t, err, c.cause, c.word)
			if warnings := strings.Join(v.Warnings, "\n"); (c.warning == "") != (warnings == "") || !strings.Contains(warnings, c.warning) {
				t.Errorf("warnings: %q, want %q", warnings, c.warning)
			}
		})
	}
}

// TestNoListThenAccepted: what the message proposes works.
func TestNoListThenAccepted(t *testing.T) {
	trust, key := newTrust(t), rsaKey(2048)
	root := sign(t, caTemplate("root"), nil, key, nil)
	leaf := sign(t, serverTemplate(), root, key, key)
	put(t, trust, issuersDir, "root.der", root.Raw)
	_, err := trust.Check(peerOf(leaf))
	expect(t, err, drivers.CauseCertificateWrong, "millgate trust accept SITE.yaml "+Fingerprint(leaf.Raw)[:16])
	if _, err := trust.Accept(Fingerprint(leaf.Raw)[:16]); err != nil {
		t.Fatal(err)
	}
	_, err = trust.Check(peerOf(leaf))
	expect(t, err, "")
}

func TestNotACertificate(t *testing.T) {
	trust, cert := newTrust(t), selfSigned(t, nil)
	for name, chain := range map[string][]byte{
		"nothing": nil, "rubbish": []byte("rubbish"), "cut": cert.Raw[:100], "with a tail": append(cert.Raw[:len(cert.Raw):len(cert.Raw)], 0),
		"too long": make([]byte, maxCertificate+1), "too many": []byte(strings.Repeat(string(cert.Raw), maxChain+1)),
	} {
		t.Run(name, func(t *testing.T) {
			p := peerOf()
			p.Chain = chain
			_, err := trust.Check(p)
			expect(t, err, drivers.CauseCertificateWrong, serverAt)
		})
	}
}

// TestRubbishInTheFolder: files that are no certificates are told and stop nothing.
func TestRubbishInTheFolder(t *testing.T) {
	trust, cert := newTrust(t), selfSigned(t, nil)
	put(t, trust, trustedDir, "a.txt", []byte("call Li before you change this"))
	put(t, trust, crlDir, "b.crl", []byte("no list"))
	put(t, trust, trustedDir, "key.pem", asPEM("RSA PRIVATE KEY", []byte{1}))
	put(t, trust, trustedDir, "z.der", cert.Raw)
	v, err := trust.Check(peerOf(cert))
	expect(t, err, "")
	if len(v.Warnings) != 3 || !strings.Contains(v.Warnings[0], "a.txt") {
		t.Errorf("%q", v.Warnings)
	}
}

// FuzzCheck: whatever a server shows and whatever lies in the folder, Check decides, and trusts nothing but the one certificate.
func FuzzCheck(f *testing.F) {
	root := sign(f, caTemplate("root"), nil, rsaKey(2048), nil)
	leaf := sign(f, serverTemplate(), root, rsaKey(2048), rsaKey(2048))
	list := revocations(f, root, rsaKey(2048), testNow.AddDate(1, 0, 0), &x509.Certificate{SerialNumber: big.NewInt(7)})
	key := asPEM("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey(2048)))
	f.Add(leaf.Raw, list, key)
	f.Add(append(leaf.Raw[:len(leaf.Raw):len(leaf.Raw)], root.Raw...), asPEM("X509 CRL", list), asPEM("ENCRYPTED PRIVATE KEY", []byte{1}))
	f.Add([]byte{0x30, 0x84}, []byte("-----BEGIN X509 CRL-----\n"), []byte{})
	pinned := selfSigned(f, nil)
	f.Fuzz(func(t *testing.T, chain, crl, key []byte) {
		trust := newTrust(t)
		put(t, trust, trustedDir, "pinned.der", pinned.Raw)
		put(t, trust, trustedDir, "other.der", crl)
		put(t, trust, crlDir, "list.crl", crl)
		p := peerOf()
		p.Chain = chain
		v, err := trust.Check(p)
		if (err == nil) != (v.Leaf != nil && (v.Fingerprint == Fingerprint(pinned.Raw) || v.Fingerprint == Fingerprint(crl))) {
			t.Errorf("%v: %v", v.Fingerprint, err)
		}
		var told *drivers.Error
		if err != nil && !errors.As(err, &told) {
			t.Errorf("no cause: %v", err)
		}
		if parsed, err := ParseKey(key); err == nil && parsed == nil {
			t.Error("no key and no error")
		}
	})
}
