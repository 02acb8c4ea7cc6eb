package opcua

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

const ownURI = "urn:millgate:site:gw"

func TestOwnCertificate(t *testing.T) {
	trust := newTrust(t)
	id, err := trust.Identity(ownURI)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(id.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	const usage = x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment | x509.KeyUsageKeyEncipherment | x509.KeyUsageDataEncipherment
	host, _ := os.Hostname()
	switch {
	case id.URI != ownURI || len(c.URIs) != 1 || c.URIs[0].String() != ownURI:
		t.Errorf("URI %v", c.URIs)
	case c.SignatureAlgorithm != x509.SHA256WithRSA || id.Key.N.BitLen() < 2048:
		t.Errorf("%s with %d bits", c.SignatureAlgorithm, id.Key.N.BitLen())
	case c.KeyUsage&usage != usage || c.IsCA:
		t.Errorf("usage %b, CA %t", c.KeyUsage, c.IsCA)
	case !c.NotAfter.Equal(testNow.AddDate(10, 0, 0)) || !c.NotBefore.Before(testNow) || !id.Expires.Equal(c.NotAfter):
		t.Errorf("from %s to %s", c.NotBefore, c.NotAfter)
	case !id.Key.PublicKey.Equal(c.PublicKey):
		t.Error("the key is another one")
	case len(id.Warnings) > 0:
		t.Errorf("warnings: %q", id.Warnings)
	case cap(id.Certificate) != len(id.Certificate):
		t.Error("the certificate can be appended to in place")
	case !strings.ContainsAny(host, "_ ") && (len(c.DNSNames) != 1 || c.DNSNames[0] != host):
		t.Errorf("names %q, this is %q", c.DNSNames, host)
	}
	again, err := trust.Identity("urn:another")
	if err != nil || !bytes.Equal(again.Certificate, id.Certificate) || again.URI != ownURI {
		t.Fatalf("it was not kept: %v", err)
	}
	if len(again.Warnings) != 1 || !strings.Contains(again.Warnings[0], "not for urn:another") {
		t.Errorf("warnings: %q", again.Warnings)
	}
	for _, path := range []string{".", "own", "own/key.pem"} {
		info, err := os.Stat(trust.path(path))
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); runtime.GOOS != "windows" && mode&0o077 != 0 {
			t.Errorf("%s can be read by others: %04o", path, mode)
		}
	}
}

func TestOwnCertificateEnds(t *testing.T) {
	trust := newTrust(t)
	if _, err := trust.Identity(ownURI); err != nil {
		t.Fatal(err)
	}
	for at, want := range map[time.Time]string{
		testNow.AddDate(10, 0, -61): "",
		testNow.AddDate(10, 0, -59): "expires on 2036-11-24",
		testNow.AddDate(10, 0, 1):   "has expired on 2036-11-24",
	} {
		trust.Now = func() time.Time { return at }
		id, err := trust.Identity(ownURI)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(id.Warnings, ""); (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("on %s: %q, want %q", at, got, want)
		}
	}
}

// TestOwnCertificateWithoutAClock: made in 1970, it is valid today all the same.
func TestOwnCertificateWithoutAClock(t *testing.T) {
	trust := newTrust(t)
	trust.Now = func() time.Time { return time.Unix(60, 0) }
	id, err := trust.Identity(ownURI)
	if err != nil {
		t.Fatal(err)
	}
	if id.Expires.Before(testNow.AddDate(8, 0, 0)) {
		t.Errorf("it ends on %s", id.Expires)
	}
}

func TestBadApplicationURI(t *testing.T) {
	for _, uri := range []string{"", "urn:工厂", "urn:a b", "urn:a\nb", ":"} {
		if _, err := newTrust(t).Identity(uri); err == nil || !strings.Contains(err.Error(), "no application URI") {
			t.Errorf("%q: %v", uri, err)
		}
	}
}

// TestManyAtOnce: of workers that start together all have the same identity.
func TestManyAtOnce(t *testing.T) {
	trust := newTrust(t)
	prints := make([]string, 8)
	var all sync.WaitGroup
	for i := range prints {
		all.Go(func() {
			id, err := (&Trust{Dir: trust.Dir, Now: trust.Now}).Identity(ownURI)
			if err != nil {
				t.Error(err)
				return
			}
			prints[i] = Fingerprint(id.Certificate)
		})
	}
	all.Wait()
	for _, p := range prints {
		if p != prints[0] {
			t.Fatalf("%q", prints)
		}
	}
	left, err := os.ReadDir(trust.Dir)
	if err != nil || len(left) != 1 {
		t.Errorf("left over: %v %v", left, err)
	}
}

func TestRenew(t *testing.T) {
	for _, newKey := range []bool{false, true} {
		trust := newTrust(t)
		old, err := trust.Identity(ownURI)
		if err != nil {
			t.Fatal(err)
		}
		trust.Now = func() time.Time { return testNow.AddDate(9, 0, 0) }
		id, err := trust.Renew("urn:millgate:site:gw-2", newKey)
		switch {
		case err != nil:
			t.Fatal(err)
		case id.Key.Equal(old.Key) == newKey:
			t.Errorf("new key %t: the key is not as asked for", newKey)
		case !id.Expires.Equal(testNow.AddDate(19, 0, 0)) || id.URI != "urn:millgate:site:gw-2":
			t.Errorf("ends %s, for %s", id.Expires, id.URI)
		}
		kept := trust.path(ownDir, oldDir, Fingerprint(old.Certificate)[:16])
		der, err := os.ReadFile(kept + ".der")
		if err != nil || !bytes.Equal(der, old.Certificate) {
			t.Errorf("the old certificate was not kept: %v", err)
		}
		key, warning, err := LoadKey(kept + ".pem")
		if err != nil || warning != "" || !key.Equal(old.Key) {
			t.Errorf("the old key was not kept: %q %v", warning, err)
		}
	}
}

// TestRenewalCutShort: after each step of a renewal with a new key there is an identity: the old or the new one.
func TestRenewalCutShort(t *testing.T) {
	trust := newTrust(t)
	old, err := trust.Identity(ownURI)
	if err != nil {
		t.Fatal(err)
	}
	key := rsaKey(3072)
	der, err := makeCertificate(key, ownURI, testNow)
	if err != nil {
		t.Fatal(err)
	}
	put(t, trust, ownDir, keyFile, append(pemOf(key), pemOf(old.Key)...))
	if id, err := trust.Identity(ownURI); err != nil || !id.Key.Equal(old.Key) {
		t.Fatalf("before the certificate: %v", err)
	}
	put(t, trust, ownDir, certFile, der)
	if id, err := trust.Identity(ownURI); err != nil || !id.Key.Equal(key) {
		t.Fatalf("after the certificate: %v", err)
	}
}

// TestRenewWhileInUse: who reads while others renew gets a pair that belongs together.
func TestRenewWhileInUse(t *testing.T) {
	trust := newTrust(t)
	if _, err := trust.Identity(ownURI); err != nil {
		t.Fatal(err)
	}
	var renewing sync.WaitGroup
	for range 3 {
		renewing.Go(func() {
			if _, err := trust.Renew(ownURI, true); err != nil {
				t.Error(err)
			}
		})
	}
	done := make(chan struct{})
	go func() { renewing.Wait(); close(done) }()
	for reading := true; reading; {
		select {
		case <-done:
			reading = false
		default:
		}
		if _, err := trust.Identity(ownURI); err != nil {
			t.Fatal(err)
		}
	}
}

func TestHalfAnIdentity(t *testing.T) {
	for gone, want := range map[string]string{
		certFile: "there is key.pem without cert.der",
		keyFile:  "there is cert.der without key.pem",
	} {
		trust := newTrust(t)
		if _, err := trust.Identity(ownURI); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(trust.path(ownDir, gone)); err != nil {
			t.Fatal(err)
		}
		if _, err := trust.Identity(ownURI); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	trust := newTrust(t)
	if _, err := trust.Identity(ownURI); err != nil {
		t.Fatal(err)
	}
	put(t, trust, ownDir, keyFile, pemOf(rsaKey(2048)))
	if _, err := trust.Identity(ownURI); err == nil || !strings.Contains(err.Error(), "not the key of the certificate") {
		t.Error(err)
	}
}

func TestKeyOpenToOthers(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("this system has no file modes; it runs on the others")
	}
	trust := newTrust(t)
	if _, err := trust.Identity(ownURI); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(trust.path(ownDir, keyFile), 0o644); err != nil {
		t.Fatal(err)
	}
	id, err := trust.Identity(ownURI)
	if err != nil || len(id.Warnings) != 1 || !strings.Contains(id.Warnings[0], "chmod 600") {
		t.Errorf("%q %v", id.Warnings, err)
	}
}

// TestManyStrangers: who shows one certificate after the other fills no disk, and the newest stays.
func TestManyStrangers(t *testing.T) {
	trust := newTrust(t)
	last := ""
	for i := range maxRejected + 20 {
		cert := selfSigned(t, nil)
		last = Fingerprint(cert.Raw)
		if _, err := trust.Check(peerOf(cert)); err == nil {
			t.Fatal("trusted")
		}
		then := testNow.Add(time.Duration(i) * time.Second)
		if err := os.Chtimes(trust.path(rejectedDir, last+".der"), then, then); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := trust.List()
	if err != nil || len(entries) != maxRejected {
		t.Fatalf("%d files: %v", len(entries), err)
	}
	if _, err := trust.Accept(last); err != nil {
		t.Error(err)
	}
}

func TestFind(t *testing.T) {
	trust, cert := newTrust(t), selfSigned(t, nil)
	put(t, trust, rejectedDir, "one.pem", asPEM("CERTIFICATE", cert.Raw))
	put(t, trust, rejectedDir, "two.der", cert.Raw) // the same
	print := Fingerprint(cert.Raw)
	for text, want := range map[string]string{
		print[:7]:                      "at least 8",
		"":                             "is no fingerprint",
		"zz" + print[:10]:              "is no fingerprint",
		print + "0":                    "is no fingerprint",
		"00000000":                     "no certificate has this fingerprint",
		print[:8]:                      "",
		strings.ToUpper(print):         "",
		print[:4] + ":" + print[4:12]:  "",
		print[:4] + " " + print[4:12]:  "",
		strings.Repeat(" ", 3) + print: "",
	} {
		if _, err := trust.find(text, rejectedDir); (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if _, err := trust.Accept("00000000"); !errors.Is(err, ErrNoSuchCertificate) {
		t.Error(err)
	}
	if _, err := trust.Accept(print); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(trust.path(rejectedDir)); len(left) != 0 {
		t.Errorf("still rejected: %v", left)
	}
	if _, err := trust.Accept(print[:8]); err != nil {
		t.Errorf("accepted twice: %v", err)
	}
}

func TestAcceptFile(t *testing.T) {
	trust, cert := newTrust(t), selfSigned(t, nil)
	file := filepath.Join(t.TempDir(), "cnc.pem")
	if err := os.WriteFile(file, asPEM("CERTIFICATE", cert.Raw), 0o600); err != nil {
		t.Fatal(err)
	}
	if e, err := trust.AcceptFile(file); err != nil || e.Fingerprint != Fingerprint(cert.Raw) {
		t.Fatalf("%+v %v", e, err)
	}
	if _, err := trust.Check(peerOf(cert)); err != nil {
		t.Error(err)
	}
	if _, err := trust.AcceptFile(filepath.Join(trust.Dir, "none.der")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	for name, data := range map[string][]byte{"rubbish": []byte("rubbish"), "a key": asPEM("PRIVATE KEY", []byte{1}), "long": make([]byte, maxCertificate+1), "empty": nil} {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := trust.AcceptFile(file); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestListShowsWhatIsWrong(t *testing.T) {
	trust := newTrust(t)
	if _, err := trust.Identity(ownURI); err != nil {
		t.Fatal(err)
	}
	put(t, trust, trustedDir, "a.der", selfSigned(t, func(c *x509.Certificate) { c.NotAfter = testNow.Add(-time.Hour) }).Raw)
	put(t, trust, trustedDir, "b.der", selfSigned(t, func(c *x509.Certificate) { c.NotAfter = testNow.AddDate(0, 0, 30) }).Raw)
	put(t, trust, trustedDir, "c.der", []byte("rubbish"))
	put(t, trust, trustedDir, ".new-1", []byte("unfinished"))
	root := sign(t, caTemplate("root"), nil, rsaKey(2048), nil)
	put(t, trust, issuersDir, "root.der", root.Raw)
	put(t, trust, crlDir, "root.crl", revocations(t, root, rsaKey(2048), testNow.AddDate(0, 0, -1)))
	entries, err := trust.List()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		problem, _, _ := strings.Cut(strings.TrimPrefix(e.Problem, trust.path(trustedDir)+string(filepath.Separator)), ":")
		got = append(got, fmt.Sprintf("%s %s %s", e.State, filepath.Base(e.File), problem))
	}
	want := []string{"own cert.der ", "trusted a.der expired", "trusted b.der expires soon", "trusted c.der c.der", "issuer root.der ", "crl root.crl expired"}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("%q", got)
	}
}
