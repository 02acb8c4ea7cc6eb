package uplink

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/oklog/ulid/v2"
)

// connection is one connection to one broker, from CONNECT to its end. It is never used again.
type connection struct {
	session string
	wire    *wire
	client  mqtt.Client
	ended   chan error // what paho itself ended the connection for
}

// connect opens the network connection, says CONNECT and waits for the broker's consent.
func (u *Uplink) connect(ctx context.Context, broker string) (*connection, error) {
	password := ""
	if u.cfg.Password != nil {
		var err error
		if password, err = u.cfg.Password(); err != nil {
			return nil, err
		}
	}
	netConn, err := u.dial(ctx, broker)
	if err != nil {
		return nil, err
	}
	c := &connection{session: ulid.Make().String(), wire: newWire(netConn), ended: make(chan error, 1)}
	defer context.AfterFunc(ctx, c.wire.drop)()
	c.client = mqtt.NewClient(u.options(c, password))
	token := c.client.Connect()
	<-token.Done()
	if err := token.Error(); err != nil {
		c.wire.drop()
		if cause := c.wire.cause; cause != nil && !errors.Is(cause, errDropped) {
			return nil, fmt.Errorf("%w: %w", errConnect, cause)
		}
		return nil, err
	}
	select {
	case <-c.wire.lost: // paho takes a code of CONNACK that it does not know for consent, and hangs up
		c.close()
		return nil, errConnack
	default:
		return c, nil
	}
}

// options are paho's for one connection. Without AutoReconnect and with CleanSession a token ends without an error only by the
// broker's own answer; with AutoReconnect it would also end so when a message is merely sent again.
func (u *Uplink) options(c *connection, password string) *mqtt.ClientOptions {
	return mqtt.NewClientOptions().
		AddBroker("tcp://wire"). // one is required; the connection is already open
		SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) { return c.wire, nil }).
		SetProtocolVersion(4).
		SetClientID(u.cfg.ClientID).
		SetUsername(u.cfg.Username).
		SetPassword(password).
		SetCleanSession(true).
		SetAutoReconnect(false).
		SetConnectRetry(false).
		SetOrderMatters(false).
		SetStore(mqtt.NewMemoryStore()).
		SetConnectTimeout(u.timing.connect).
		SetWriteTimeout(u.timing.write).
		SetKeepAlive(u.timing.keepAlive).
		SetPingTimeout(u.timing.ping).
		SetBinaryWill(u.topic("status"), will(c.session), 1, true).
		SetConnectionLostHandler(func(_ mqtt.Client, err error) { c.ended <- err })
}

// Publish is Publisher's.
func (c *connection) Publish(topic string, payload []byte, retained bool) Delivery {
	return c.client.Publish(topic, 1, retained, payload)
}

// cause is what ended the connection, if it was not this side's wish; nil if that is unknown. The connection must be lost.
func (c *connection) cause() error {
	if c.wire.cause != nil {
		return c.wire.cause
	}
	select { // paho closed the wire by itself, and says why a moment later
	case err := <-c.ended:
		return fmt.Errorf("the MQTT client gave the connection up: %w", err)
	case <-time.After(time.Second):
		return nil
	}
}

// close says DISCONNECT if the connection still stands, and ends the client.
func (c *connection) close() { c.client.Disconnect(250) }

// dial opens the connection to broker, with TLS for ssl://, within the time to connect. The files are read anew each time: renewed
// certificates need no restart.
func (u *Uplink) dial(ctx context.Context, broker string) (net.Conn, error) {
	at, err := url.Parse(broker)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, u.timing.connect)
	defer cancel()
	switch at.Scheme {
	case "tcp":
		return dialTCP(ctx, at, "1883")
	case "ssl":
	default:
		return nil, fmt.Errorf("broker %q: the address must begin with tcp:// or ssl://", broker)
	}
	cfg, err := u.cfg.TLS.config(at.Hostname())
	if err != nil {
		return nil, err
	}
	raw, err := dialTCP(ctx, at, "8883")
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, cfg)
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close() // the handshake's error is the one that matters
		return nil, fmt.Errorf("%w: %w", errHandshake, err)
	}
	return conn, nil
}

func dialTCP(ctx context.Context, at *url.URL, defaultPort string) (net.Conn, error) {
	port := at.Port()
	if port == "" {
		port = defaultPort
	}
	var d net.Dialer
	return d.DialContext(ctx, "tcp", net.JoinHostPort(at.Hostname(), port))
}

// config reads the files.
func (t TLS) config(host string) (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("tls.ca_file: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls.ca_file: %s holds no certificate in PEM form", t.CAFile)
		}
	}
	if t.CertFile != "" || t.KeyFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("tls.cert_file and tls.key_file: %w", err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

// errDropped is the cause of a wire that this side cut.
var errDropped = errors.New("dropped")

// wire is the connection that paho reads and writes. It remembers what ended it, which paho tells only to a global log, and shows
// paho nothing but a closed connection: that keeps paho's writer running until the client is closed, so that no Publish waits for a
// writer that has gone.
type wire struct {
	net.Conn
	once  sync.Once
	lost  chan struct{}
	cause error // valid once lost is closed; nil if paho closed it
}

func newWire(c net.Conn) *wire { return &wire{Conn: c, lost: make(chan struct{})} }

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	return n, w.check(err)
}

func (w *wire) Write(p []byte) (int, error) {
	n, err := w.Conn.Write(p)
	return n, w.check(w.lastWords(err))
}

// lastWords is the alert that a TLS peer sent before it hung up, which the failed write does not know; err if there is none.
func (w *wire) lastWords(err error) error {
	if _, ok := w.Conn.(*tls.Conn); !ok || err == nil || isTimeout(err) {
		return err
	}
	if err := w.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	if _, alert := w.Conn.Read(make([]byte, 1)); isAlert(alert) {
		return alert
	}
	return err
}

func (w *wire) check(err error) error {
	if err == nil {
		return nil
	}
	w.end(err)
	return net.ErrClosed
}

// Close is called by paho.
func (w *wire) Close() error {
	w.end(nil)
	return nil
}

// drop cuts the connection without a word.
func (w *wire) drop() { w.end(errDropped) }

func (w *wire) end(cause error) {
	w.once.Do(func() {
		w.cause = cause
		raw := w.Conn
		if t, ok := raw.(*tls.Conn); ok {
			raw = t.NetConn() // TLS would try to say good-bye, for up to 5 s
		}
		_ = raw.Close() // it has ended either way
		close(w.lost)
	})
}
