package main_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// broker is a mosquitto with TLS and passwords that loses nothing when it is killed: the settings that the promise of the
// documentation rests on.
type broker struct {
	dir    string
	port   int // TLS
	server *process
}

const (
	gatewayPassword  = "gateway's secret"
	recorderPassword = "recorder's secret"
)

// newBroker starts a broker with the users gateway and recorder.
func newBroker(t *testing.T) *broker {
	t.Helper()
	peer(t, "mosquitto")
	b := &broker{dir: t.TempDir(), port: freePort(t)}
	b.certify(t)
	for i, user := range [][2]string{{"gateway", gatewayPassword}, {"recorder", recorderPassword}} {
		args := []string{"-b", b.path("passwd"), user[0], user[1]}
		if i == 0 {
			args = append([]string{"-c"}, args...)
		}
		if out, err := exec.Command(peer(t, "mosquitto_passwd"), args...).CombinedOutput(); err != nil {
			t.Fatalf("mosquitto_passwd: %v\n%s", err, out)
		}
	}
	b.writePassword(t, gatewayPassword)
	owner := ""
	if os.Getuid() == 0 {
		owner = "user root\n" // else it becomes a user who can not read the test's folder
	}
	conf := fmt.Sprintf(`%spersistence true
persistence_location %s/
autosave_interval 1
autosave_on_changes true
max_queued_messages 0
log_dest stderr
log_type error
log_type warning
log_type notice
allow_anonymous false
password_file %s
listener %d 127.0.0.1
cafile %s
certfile %s
keyfile %s
`, owner, b.dir, b.path("passwd"), b.port, b.path("ca.pem"), b.path("server.pem"), b.path("server.key"))
	b.write(t, "mosquitto.conf", []byte(conf))
	b.start(t)
	return b
}

func (b *broker) path(name string) string { return filepath.Join(b.dir, name) }

func (b *broker) write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(b.path(name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// writePassword sets what the gateway believes its password to be.
func (b *broker) writePassword(t *testing.T, password string) {
	t.Helper()
	b.write(t, "gateway.password", []byte(password+"\n"))
}

func (b *broker) start(t *testing.T) {
	t.Helper()
	b.server = start(t, peer(t, "mosquitto"), "-c", b.path("mosquitto.conf"))
	eventually(t, 10*time.Second, "mosquitto accepts connections", func() bool {
		conn, err := net.Dial("tcp", local(b.port))
		return err == nil && conn.Close() == nil
	})
}

// kill ends the broker once it has saved who subscribes: else what a gateway publishes after its return, before the subscriber is there
// again, is for nobody.
func (b *broker) kill(t *testing.T) {
	t.Helper()
	eventually(t, 10*time.Second, "the broker has saved its subscriptions", func() bool {
		saved, _ := os.ReadFile(b.path("mosquitto.db")) // it comes with the first autosave
		return bytes.Contains(saved, []byte("millgate/v1/#"))
	})
	b.server.kill()
}

// hang leaves the connections open and nobody behind them.
func (b *broker) hang(t *testing.T) {
	t.Helper()
	if err := b.server.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
}

// uplink is the YAML of an uplink to this broker.
func (b *broker) uplink() string {
	return fmt.Sprintf("uplinks:\n- {id: province, brokers: [\"ssl://%s\"], username: gateway, password_file: %s, tls: {ca_file: %s}, topic_prefix: millgate/v1}\n",
		local(b.port), b.path("gateway.password"), b.path("ca.pem"))
}

// certify makes an authority and the broker's certificate.
func (b *broker) certify(t *testing.T) {
	t.Helper()
	caKey, serverKey := newKey(t), newKey(t)
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "broker"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	b.writeCertificate(t, "ca.pem", ca, ca, caKey, caKey)
	b.writeCertificate(t, "server.pem", server, ca, serverKey, caKey)
	der, err := x509.MarshalPKCS8PrivateKey(serverKey)
	if err != nil {
		t.Fatal(err)
	}
	b.write(t, "server.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (b *broker) writeCertificate(t *testing.T, name string, cert, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, cert, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	b.write(t, name, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}
