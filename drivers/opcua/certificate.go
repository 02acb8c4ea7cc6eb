package opcua

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Identity is the gateway's own certificate, the leaf only, with its key.
type Identity struct {
	Certificate []byte // DER
	Key         *rsa.PrivateKey
	URI         string // of the application, as the certificate has it
	Expires     time.Time
	Warnings    []string // what somebody should see to before it stops connections
}

const (
	certFile = "cert.der"
	keyFile  = "key.pem"
	oldDir   = "old" // in own/: what was renewed

	keyBits = 2048
	years   = 10
)

// A gateway without a battery for its clock may begin in 1970: a certificate of that time would have expired.
var clockFloor = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// ApplicationURI names a gateway among all OPC UA applications of the world, as its certificate does.
func ApplicationURI(site, gateway string) string { return "urn:millgate:" + site + ":" + gateway }

// Identity gives the gateway's own certificate and key. The first time it makes them, for the application URI: RSA 2048, SHA-256, self-signed,
// for ten years (Part 6, 6.2.2). A certificate that is there stays, whatever its URI: servers trust it.
func (t *Trust) Identity(uri string) (*Identity, error) {
	id, err := t.load()
	if errors.Is(err, fs.ErrNotExist) {
		if err = t.create(uri); err == nil {
			id, err = t.load()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("the gateway's own certificate in %s: %w", t.path(ownDir), err)
	}
	now := t.now()
	switch left := id.Expires.Sub(now); {
	case left < 0:
		id.warn("the gateway's own certificate has expired on %s; servers will refuse it: millgate trust renew makes a new one", day(id.Expires))
	case left < RenewWithin:
		id.warn("the gateway's own certificate expires on %s: millgate trust renew makes a new one, which each server must then trust", day(id.Expires))
	}
	if uri != "" && uri != id.URI {
		id.warn("the gateway's own certificate is for %s, not for %s as the site says; the certificate's is used: millgate trust renew changes it", id.URI, uri)
	}
	return id, nil
}

func (id *Identity) warn(format string, args ...any) {
	id.Warnings = append(id.Warnings, fmt.Sprintf(format, args...))
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// load reads own/. A renewal writes the key before the certificate and lets the old key stand beside it until then, so that there is a
// key for the certificate at any time; only who reads one before and the other after must read again.
func (t *Trust) load() (*Identity, error) {
	for tries := 0; ; tries++ {
		data, err := readSmall(t.path(ownDir, certFile))
		if err != nil {
			if _, missing := os.Stat(t.path(ownDir, keyFile)); errors.Is(err, fs.ErrNotExist) && missing == nil {
				if tries < 2 {
					continue // another process has just made both
				}
				return nil, fmt.Errorf("there is %s without %s: put the certificate there, or take the key away", keyFile, certFile)
			}
			return nil, err
		}
		cert, err := parseCertificate(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", certFile, err)
		}
		file := t.path(ownDir, keyFile)
		pemKeys, err := readSmall(file)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("there is %s without %s: put the key there, or take the certificate away", certFile, keyFile)
		} else if err != nil {
			return nil, err
		}
		key, err := keyFor(cert, pemKeys)
		if err != nil && tries < 2 {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", keyFile, err)
		}
		id := &Identity{Certificate: slices.Clip(cert.Raw), Key: key, URI: uriOf(cert), Expires: cert.NotAfter}
		if warning := openToOthers(file); warning != "" {
			id.warn("%s", warning)
		}
		return id, nil
	}
}

// keyFor finds the certificate's key among those in a file.
func keyFor(cert *x509.Certificate, data []byte) (*rsa.PrivateKey, error) {
	for rest := data; ; {
		key, err := ParseKey(rest)
		if err != nil {
			return nil, err
		}
		if key.PublicKey.Equal(cert.PublicKey) {
			return key, nil
		}
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil || len(strings.TrimSpace(string(rest))) == 0 {
			return nil, errors.New("it is not the key of the certificate: put the two that belong together")
		}
	}
}

// create makes own/ as a whole. If another process is faster, its identity stays.
func (t *Trust) create(uri string) error {
	if err := os.MkdirAll(t.Dir, 0o700); err != nil {
		return err
	}
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return err
	}
	der, err := makeCertificate(key, uri, t.now())
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(t.Dir, ".own-*") // mode 0700
	if err != nil {
		return err
	}
	if err := errors.Join(write(filepath.Join(dir, keyFile), pemOf(key)), write(filepath.Join(dir, certFile), der)); err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	if err := os.Rename(dir, t.path(ownDir)); err != nil {
		if _, there := os.Stat(t.path(ownDir, certFile)); there != nil {
			return errors.Join(err, os.RemoveAll(dir))
		}
		return os.RemoveAll(dir)
	}
	return syncDir(t.Dir)
}

// Renew makes a new certificate for the application URI, with the same key or a new one. The old ones are kept in own/old/. Every server
// must then trust the new certificate.
func (t *Trust) Renew(uri string, newKey bool) (*Identity, error) {
	if _, err := t.load(); errors.Is(err, fs.ErrNotExist) {
		return t.Identity(uri)
	}
	if err := t.renew(uri, newKey); err != nil {
		return nil, fmt.Errorf("renew the gateway's own certificate in %s: %w", t.path(ownDir), err)
	}
	return t.Identity(uri)
}

func (t *Trust) renew(uri string, newKey bool) (err error) {
	lock, err := lockFile(t.path(ownDir, ".lock"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	old, err := t.load() // again: another may just have renewed it
	if err != nil {
		return err
	}
	key := old.Key
	if newKey {
		if key, err = rsa.GenerateKey(rand.Reader, keyBits); err != nil {
			return err
		}
	}
	der, err := makeCertificate(key, uri, t.now())
	if err != nil {
		return err
	}
	name := Fingerprint(old.Certificate)[:16]
	steps := []struct {
		file string
		data []byte
	}{
		{t.path(ownDir, oldDir, name+".der"), old.Certificate},
		{t.path(ownDir, oldDir, name+".pem"), pemOf(old.Key)},
		{t.path(ownDir, keyFile), append(pemOf(key), pemOf(old.Key)...)},
		{t.path(ownDir, certFile), der},
		{t.path(ownDir, keyFile), pemOf(key)},
	}
	for _, s := range steps {
		if err := write(s.file, s.data); err != nil {
			return err
		}
	}
	return nil
}

func pemOf(key *rsa.PrivateKey) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
}

// makeCertificate signs a certificate for an application instance (Part 6, 6.2.2).
func makeCertificate(key *rsa.PrivateKey, uri string, now time.Time) ([]byte, error) {
	parsed, err := url.Parse(uri)
	if err != nil || uri == "" || parsed.String() != uri || strings.ContainsFunc(uri, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, fmt.Errorf("%q is no application URI: write one such as urn:factory:gateway-1, in ASCII and without spaces", uri)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 126))
	if err != nil {
		return nil, err
	}
	if now.Before(clockFloor) {
		now = clockFloor
	}
	host, names, addresses := thisHost()
	keyID := sha1.Sum(x509.MarshalPKCS1PublicKey(&key.PublicKey)) // RFC 5280, 4.2.1.2: a name, not a proof
	template := &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(1)),
		Subject:      pkix.Name{CommonName: "millgate@" + host, Organization: []string{"millgate"}},
		NotBefore:    now.Add(-24 * time.Hour), // a server's clock may be behind, or in another zone
		NotAfter:     now.AddDate(years, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment | x509.KeyUsageKeyEncipherment |
			x509.KeyUsageDataEncipherment | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		SubjectKeyId:          keyID[:],
		AuthorityKeyId:        keyID[:],
		URIs:                  []*url.URL{parsed},
		DNSNames:              names,
		IPAddresses:           addresses,
		SignatureAlgorithm:    x509.SHA256WithRSA,
	}
	return x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
}

// thisHost is the name of this computer, and what of its name and addresses a certificate can hold.
func thisHost() (host string, names []string, addresses []net.IP) {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "gateway"
	}
	notDNS := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.')
	}
	if !strings.ContainsFunc(host, notDNS) {
		names = []string{host}
	}
	found, err := net.InterfaceAddrs()
	if err != nil {
		return host, names, nil
	}
	for _, a := range found {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() && len(addresses) < 8 {
			addresses = append(addresses, n.IP)
		}
	}
	return host, names, addresses
}

// uriOf is the application URI in a certificate.
func uriOf(c *x509.Certificate) string {
	if len(c.URIs) == 0 {
		return ""
	}
	return c.URIs[0].String()
}

// nameOf is what a certificate says it is.
func nameOf(c *x509.Certificate) string {
	if c.Subject.CommonName != "" {
		return c.Subject.CommonName
	}
	return c.Subject.String()
}
