package opcua

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

var testNow = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

const (
	serverURI  = "urn:factory:cnc-1"
	serverHost = "192.168.1.20"
	serverAt   = "opc.tcp://192.168.1.20:4840"
)

// rsaKey gives one key per size to all tests.
var rsaKey = func() func(bits int) *rsa.PrivateKey {
	var mu sync.Mutex
	keys := map[int]*rsa.PrivateKey{}
	return func(bits int) *rsa.PrivateKey {
		mu.Lock()
		defer mu.Unlock()
		if keys[bits] == nil {
			key, err := rsa.GenerateKey(rand.Reader, bits)
			if err != nil {
				panic(err)
			}
			keys[bits] = key
		}
		return keys[bits]
	}
}()

func ecKey() crypto.Signer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

var serials int64

// serverTemplate is a certificate that nothing is wrong with.
func serverTemplate() *x509.Certificate {
	serials++
	return &x509.Certificate{
		SerialNumber:       big.NewInt(serials),
		Subject:            pkix.Name{CommonName: "CNC 1"},
		NotBefore:          testNow.AddDate(-1, 0, 0),
		NotAfter:           testNow.AddDate(5, 0, 0),
		KeyUsage:           x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment | x509.KeyUsageKeyEncipherment | x509.KeyUsageDataEncipherment,
		ExtKeyUsage:        []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		URIs:               []*url.URL{{Scheme: "urn", Opaque: "factory:cnc-1"}},
		IPAddresses:        []net.IP{net.ParseIP(serverHost)},
		SignatureAlgorithm: x509.SHA256WithRSA,
	}
}

func caTemplate(name string) *x509.Certificate {
	c := serverTemplate()
	c.Subject.CommonName, c.URIs, c.IPAddresses, c.ExtKeyUsage = name, nil, nil, nil
	c.IsCA, c.BasicConstraintsValid = true, true
	c.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	c.SubjectKeyId = []byte(name)
	return c
}

// sign gives the certificate; a nil parent signs itself.
func sign(t testing.TB, template, parent *x509.Certificate, key crypto.Signer, parentKey crypto.Signer) *x509.Certificate {
	t.Helper()
	if parent == nil {
		parent, parentKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// selfSigned is a server's certificate with what change makes of it.
func selfSigned(t testing.TB, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	template := serverTemplate()
	if change != nil {
		change(template)
	}
	return sign(t, template, nil, rsaKey(2048), nil)
}

func revocations(t testing.TB, issuer *x509.Certificate, key crypto.Signer, next time.Time, revoked ...*x509.Certificate) []byte {
	t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: testNow.AddDate(0, -1, 0), NextUpdate: next}
	for _, c := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: testNow.AddDate(0, -1, 0)})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, issuer, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func newTrust(t testing.TB) *Trust {
	return &Trust{Dir: filepath.Join(t.TempDir(), "opcua"), Now: func() time.Time { return testNow }}
}

// put writes a file into a folder of the trust store, as a person would.
func put(t testing.TB, trust *Trust, dir, name string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(trust.path(dir), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(trust.path(dir, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func asPEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func peerOf(chain ...*x509.Certificate) Peer {
	p := Peer{Endpoint: serverAt, Host: serverHost, URI: serverURI}
	for _, c := range chain {
		p.Chain = append(p.Chain, c.Raw...)
	}
	return p
}
