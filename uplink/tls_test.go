package uplink

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority signs certificates for a test.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, dir: t.TempDir()}
	tpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	a.cert, a.key = a.sign(tpl, tpl, nil)
	a.file = a.write("ca.pem", "CERTIFICATE", a.cert.Raw)
	return a
}

func (a *authority) sign(tpl, parent *x509.Certificate, by *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	if by == nil {
		by = key
	}
	der, err := x509.CreateCertificate(rand.Reader, tpl, parent, &key.PublicKey, by)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

// leaf is a certificate for name on both sides of TLS.
func (a *authority) leaf(name string, notAfter time.Time) tls.Certificate {
	tpl := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotAfter: notAfter, DNSNames: []string{name},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	cert, key := a.sign(tpl, a.cert, a.key)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

func (a *authority) write(name, kind string, der []byte) string {
	a.t.Helper()
	file := filepath.Join(a.dir, name)
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return file
}

// files are leaf's certificate and key on disk.
func (a *authority) files(leaf tls.Certificate) (certFile, keyFile string) {
	der, err := x509.MarshalPKCS8PrivateKey(leaf.PrivateKey)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.write("client.pem", "CERTIFICATE", leaf.Certificate[0]), a.write("client.key", "PRIVATE KEY", der)
}

// tlsBroker is a real broker behind TLS, under the name localhost.
func tlsBroker(t *testing.T, cfg *tls.Config) (url string) {
	l := listen(t, "127.0.0.1:0")
	startBroker(t, tls.NewListener(l, cfg), &record{})
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return "ssl://localhost:" + port
}

func TestTLS(t *testing.T) {
	ca, stranger := newAuthority(t), newAuthority(t)
	later, past := time.Now().Add(time.Hour), time.Now().Add(-time.Minute)
	certFile, keyFile := ca.files(ca.leaf("gw-01", later))
	strangeCert, strangeKey := stranger.files(stranger.leaf("gw-01", later))
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)

	plain := listen(t, "127.0.0.1:0")
	startBroker(t, plain, &record{})
	good := tlsBroker(t, &tls.Config{Certificates: []tls.Certificate{ca.leaf("localhost", later)}})
	other := tlsBroker(t, &tls.Config{Certificates: []tls.Certificate{ca.leaf("broker.example", later)}})
	expired := tlsBroker(t, &tls.Config{Certificates: []tls.Certificate{ca.leaf("localhost", past)}})
	old := tlsBroker(t, &tls.Config{Certificates: []tls.Certificate{ca.leaf("localhost", later)}, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10})
	strict := func(max uint16) string {
		return tlsBroker(t, &tls.Config{Certificates: []tls.Certificate{ca.leaf("localhost", later)}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, MaxVersion: max})
	}
	strict13, strict12 := strict(tls.VersionTLS13), strict(tls.VersionTLS12)

	const refused = "the broker refuses our side of TLS: tls: "
	tests := []struct {
		name, broker string
		tls          TLS
		want         string // empty: connects
	}{
		{"own authority", good, TLS{CAFile: ca.file}, ""},
		{"client certificate, TLS 1.3", strict13, TLS{ca.file, certFile, keyFile}, ""},
		{"client certificate, TLS 1.2", strict12, TLS{ca.file, certFile, keyFile}, ""},
		{"another authority", good, TLS{CAFile: stranger.file}, "not signed by an authority that is trusted here (check tls.ca_file of uplink province)"},
		{"the system's authorities", good, TLS{}, "not signed by an authority that is trusted here"},
		{"another name", other, TLS{CAFile: ca.file}, "made out for another name"},
		{"expired", expired, TLS{CAFile: ca.file}, "check it, and this box's clock"},
		{"TLS 1.1 only", old, TLS{CAFile: ca.file}, refused},
		{"no TLS there", "ssl://" + plain.Addr().String(), TLS{CAFile: ca.file}, "TLS"},
		{"tcp to a TLS port", strings.Replace(good, "ssl:", "tcp:", 1), TLS{}, "whether it expects ssl://"},
		{"no client certificate, TLS 1.3", strict13, TLS{CAFile: ca.file}, refused + "certificate required (check tls.cert_file and tls.key_file of uplink province)"},
		{"no client certificate, TLS 1.2", strict12, TLS{CAFile: ca.file}, refused},
		{"client certificate of a stranger", strict13, TLS{ca.file, strangeCert, strangeKey}, refused},
		{"missing authority file", good, TLS{CAFile: "no-such.pem"}, "tls.ca_file: open no-such.pem"},
		{"authority file without certificate", good, TLS{CAFile: keyFile}, "holds no certificate in PEM form"},
		{"missing key file", good, TLS{CertFile: certFile, KeyFile: "no-such.key"}, "tls.cert_file and tls.key_file: open no-such.key"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u := testUplink(newFakeQueue(0), &logBook{}, tt.broker)
			u.cfg.TLS = tt.tls
			u.timing.connect = 3 * time.Second
			c, err := u.connect(t.Context(), tt.broker)
			if err == nil {
				c.close()
			}
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("not connected: %v", err)
			case tt.want != "" && err == nil:
				t.Error("connected")
			case tt.want != "" && !strings.Contains(u.reason(tt.broker, err), tt.want):
				t.Errorf("reason: %s", u.reason(tt.broker, err))
			}
		})
	}
}

// TestRefusedCertificateIsSeenBehindAReset: the broker's alert comes after the handshake, and the connection may already be reset
// when CONNECT is written.
func TestRefusedCertificateIsSeenBehindAReset(t *testing.T) {
	ca := newAuthority(t)
	cfg := &tls.Config{Certificates: []tls.Certificate{ca.leaf("localhost", time.Now().Add(time.Hour))}, ClientAuth: tls.RequireAnyClientCert}
	b := startFakeBroker(t, func(conn net.Conn) {
		if tls.Server(conn, cfg).Handshake() == nil {
			t.Error("handshake without a certificate")
		}
		_ = conn.(*net.TCPConn).SetLinger(0) // close by RST
	})
	u := testUplink(newFakeQueue(0), &logBook{}, "x")
	u.cfg.TLS.CAFile = ca.file
	_, port, _ := net.SplitHostPort(b.Addr().String())
	for range 100 {
		conn, err := u.dial(t.Context(), "ssl://localhost:"+port)
		if err != nil {
			continue // the reset came before the handshake had ended
		}
		time.Sleep(2 * time.Millisecond)
		w := newWire(conn)
		if _, err = w.Write([]byte("CONNECT")); err == nil {
			_, err = w.Read(make([]byte, 1))
		}
		w.drop()
		if err == nil || !isAlert(w.cause) {
			t.Fatalf("cause %v", w.cause)
		}
	}
}

func TestDeliveryOverTLS(t *testing.T) {
	ca := newAuthority(t)
	broker := tlsBroker(t, &tls.Config{Certificates: []tls.Certificate{ca.leaf("localhost", time.Now().Add(time.Hour))}})
	q := newFakeQueue(100)
	u := testUplink(q, &logBook{}, broker)
	u.cfg.TLS.CAFile = ca.file
	run(t, u)
	eventually(t, "delivery", func() bool { return q.ackedCount() == 100 })
}
