package modbus_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/modbus"
	"github.com/millgate/millgate/drivers/modbus/modbussim"
)

// authority signs certificates for one test.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, dir: t.TempDir()}
	a.file, _ = a.sign("ca", nil)
	return a
}

// sign makes a certificate for a host (the authority's own at first) and writes it and its key as PEM.
func (a *authority) sign(host string, usage []x509.ExtKeyUsage) (certFile, keyFile string) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: usage,
		IsCA: a.cert == nil, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	if a.cert == nil {
		a.key = key
		if a.cert, err = x509.ParseCertificate(der); err != nil {
			a.t.Fatal(err)
		}
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	write := func(name, kind string, der []byte) string {
		file := filepath.Join(a.dir, name)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			a.t.Fatal(err)
		}
		return file
	}
	return write(host+".pem", "CERTIFICATE", der), write(host+".key", "EC PRIVATE KEY", keyDER)
}

// serveTLS serves one register as MODBUS/TCP Security does: both sides show a certificate.
func (a *authority) serveTLS(value uint16) (address string) {
	a.t.Helper()
	certFile, keyFile := a.sign("press.example", []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth})
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		a.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert})
	if err != nil {
		a.t.Fatal(err)
	}
	sim := modbussim.New()
	sim.Unit(1).SetRegisters(modbus.HoldingRegister, 0, []uint16{value})
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { sim.ServeConn(conn, modbus.MBAP) })
		}
	})
	a.t.Cleanup(func() {
		_ = listener.Close()
		_ = sim.Close()
		running.Wait()
	})
	return listener.Addr().String()
}

func TestTLS(t *testing.T) {
	ours, others := newAuthority(t), newAuthority(t)
	address := ours.serveTLS(77)
	cert, key := ours.sign("gateway", []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth})
	strangerCert, strangerKey := others.sign("gateway", []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth})
	f := func(name string, files modbus.TLSFiles, cause drivers.Cause, says string) {
		t.Run(name, func(t *testing.T) {
			links := modbus.NewLinks()
			defer func() { _ = links.Close() }()
			d, err := links.Driver(modbus.Config{Device: "d", Unit: 1, Timeout: 2 * time.Second,
				Link:   modbus.LinkConfig{Endpoint: modbus.Endpoint{Transport: modbus.TLS, Address: address}, TLS: files},
				Points: []modbus.Point{{Tag: &drivers.Tag{Type: drivers.TypeUint64}, Table: modbus.HoldingRegister, Type: modbus.DataType{Name: "uint16"}}}})
			if err != nil {
				t.Fatal(err)
			}
			r, err := read(t, d)
			switch {
			case cause == "" && (err != nil || r[0].Value != drivers.UintValue(77)):
				t.Errorf("reads %s", errText(r, err))
			case cause != "" && (err == nil || drivers.CauseOf(err) != cause || !strings.Contains(err.Error(), says)):
				t.Errorf("%v, want %s that says %q", err, cause, says)
			}
		})
	}
	good := modbus.TLSFiles{CA: ours.file, Cert: cert, Key: key, ServerName: "press.example"}
	f("both certificates", good, "", "")
	f("unknown authority", modbus.TLSFiles{CA: others.file, Cert: cert, Key: key, ServerName: "press.example"}, drivers.CauseRefused, "ca_file")
	f("another name", modbus.TLSFiles{CA: ours.file, Cert: cert, Key: key, ServerName: "lathe.example"}, drivers.CauseRefused, "press.example")
	f("no certificate of our own", modbus.TLSFiles{CA: ours.file, ServerName: "press.example"}, drivers.CauseRefused, "cert_file")
	f("a stranger's certificate", modbus.TLSFiles{CA: ours.file, Cert: strangerCert, Key: strangerKey, ServerName: "press.example"}, drivers.CauseRefused, "cert_file")
	f("no such file", modbus.TLSFiles{CA: "none.pem"}, drivers.CauseRefused, "none.pem")
}
