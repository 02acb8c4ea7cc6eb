package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/oklog/ulid/v2"
	"github.com/spf13/cobra"

	"github.com/millgate/millgate/uplink"
)

func subscribeCommand() *cobra.Command {
	var s subscription
	count := 0
	cmd := &cobra.Command{
		Use:   "subscribe BROKER",
		Short: "Print what gateways publish, and check it: gaps, repetitions, hashes",
		Long: `The reference subscriber. It prints readings, KPIs and events, counts a block that comes twice once, names the blocks that are
missing, and verifies catalogues against the hash in their topic. It ends with Ctrl-C, or after --count blocks;
exit code 1 if blocks are missing or wrong.

Without --client-id the broker forgets it between connections, and what is published meanwhile is missing.`,
		Example: "  millgate subscribe tcp://127.0.0.1:1883\n  millgate subscribe ssl://mqtt.example:8883 --username me --password-file secret --ca-file ca.pem",
		Args: func(cmd *cobra.Command, args []string) error {
			return errors.Join(takes("BROKER")(cmd, args), checkBroker(args))
		},
	}
	output := addOutput(cmd)
	flags := cmd.Flags()
	flags.StringVar(&s.topic, "topic", "millgate/v1/#", "topic filter")
	flags.StringVar(&s.username, "username", "", "user name at the broker")
	flags.StringVar(&s.passwordFile, "password-file", "", "file that holds the password")
	flags.StringVar(&s.caFile, "ca-file", "", "authorities (PEM) to trust for ssl://; default: the system's")
	flags.StringVar(&s.clientID, "client-id", "", "a name under which the broker keeps blocks while this subscriber is away")
	flags.IntVarP(&count, "count", "n", 0, "end after this many blocks")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx, done := context.WithCancel(cmd.Context())
		defer done()
		s.broker = args[0]
		p := &printer{w: cmd.OutOrStdout(), output: *output, got: newReceived(), limit: count, done: done}
		err := s.run(ctx, p.take, func(text string) { fmt.Fprintln(cmd.ErrOrStderr(), "millgate:", text) })
		if err := errors.Join(err, p.err); err != nil {
			return err
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "received %v\n", p.got)
		if !p.got.good() {
			return errReported
		}
		return nil
	}
	return cmd
}

func checkBroker(args []string) error {
	if len(args) == 0 {
		return nil
	}
	at, err := url.Parse(args[0])
	if err != nil || (at.Scheme != "tcp" && at.Scheme != "ssl") || at.Hostname() == "" {
		return fmt.Errorf("%q is no broker's address: it looks like tcp://host:1883 or ssl://host:8883", args[0])
	}
	return nil
}

// subscription is a place at a broker.
type subscription struct {
	broker, topic, username, passwordFile, caFile, clientID string
}

const (
	connectTimeout = 10 * time.Second
	reconnectDelay = time.Second
)

// run hands every message to take, in order, until ctx is done. It connects anew after each loss and tells say what happens. The error
// is that of a file that can not be read, or of the very first connection.
func (s *subscription) run(ctx context.Context, take func(topic string, payload []byte), say func(string)) error {
	options, err := s.options()
	if err != nil {
		return err
	}
	connected := false
	for ctx.Err() == nil {
		err := s.connection(ctx, options, take, func() {
			connected = true
			say("connected to " + s.broker + ", topic " + s.topic)
		})
		switch {
		case ctx.Err() != nil:
			return nil
		case !connected:
			return fmt.Errorf("%w (check the broker's address, and that it runs)", err)
		}
		say(fmt.Sprintf("connection lost: %v; trying again", err))
		select {
		case <-ctx.Done():
		case <-time.After(reconnectDelay):
		}
	}
	return nil
}

// connection lives one connection: a client is never used again, and the subscription is made anew on each.
func (s *subscription) connection(ctx context.Context, options mqtt.ClientOptions, take func(string, []byte), up func()) error {
	lost := make(chan error, 1)
	options.SetConnectionLostHandler(func(_ mqtt.Client, err error) { lost <- err })
	handler := func(_ mqtt.Client, m mqtt.Message) { take(m.Topic(), m.Payload()) }
	options.SetDefaultPublishHandler(handler) // what the broker has kept may come before the subscription is confirmed
	client := mqtt.NewClient(&options)
	defer client.Disconnect(250)
	if err := wait(ctx, client.Connect()); err != nil {
		return err
	}
	token := client.Subscribe(s.topic, 1, handler)
	if err := wait(ctx, token); err != nil {
		return err
	}
	if token.(*mqtt.SubscribeToken).Result()[s.topic] == 0x80 {
		return fmt.Errorf("the broker refuses the topic filter %q", s.topic)
	}
	up()
	select {
	case err := <-lost:
		return err
	case <-ctx.Done():
		return nil
	}
}

func wait(ctx context.Context, token mqtt.Token) error {
	select {
	case <-token.Done():
		return token.Error()
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(2 * connectTimeout):
		return errors.New("the broker does not answer in time")
	}
}

func (s *subscription) options() (mqtt.ClientOptions, error) {
	o := mqtt.NewClientOptions().AddBroker(s.broker).SetProtocolVersion(4).SetAutoReconnect(false).SetConnectRetry(false).
		SetConnectTimeout(connectTimeout).SetWriteTimeout(connectTimeout).SetKeepAlive(30 * time.Second).SetPingTimeout(10 * time.Second).
		SetUsername(s.username).SetClientID(s.clientID).SetCleanSession(s.clientID == "")
	if s.clientID == "" {
		o.SetClientID("millgate-subscribe-" + ulid.Make().String())
	}
	if s.passwordFile != "" {
		password, err := readPassword(s.passwordFile)
		if err != nil {
			return *o, err
		}
		o.SetPassword(password)
	}
	trust := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.caFile != "" {
		pem, err := os.ReadFile(s.caFile)
		if err != nil {
			return *o, fmt.Errorf("--ca-file: %w", err)
		}
		trust.RootCAs = x509.NewCertPool()
		if !trust.RootCAs.AppendCertsFromPEM(pem) {
			return *o, fmt.Errorf("--ca-file: %s holds no certificate in PEM form", s.caFile)
		}
	}
	o.SetCustomOpenConnectionFn(func(at *url.URL, _ mqtt.ClientOptions) (net.Conn, error) { return dialBroker(at, trust) })
	return *o, nil
}

func dialBroker(at *url.URL, trust *tls.Config) (net.Conn, error) {
	port := at.Port()
	dialer := &net.Dialer{Timeout: connectTimeout}
	if at.Scheme == "ssl" {
		if port == "" {
			port = "8883"
		}
		return tls.DialWithDialer(dialer, "tcp", net.JoinHostPort(at.Hostname(), port), trust)
	}
	if port == "" {
		port = "1883"
	}
	return dialer.Dial("tcp", net.JoinHostPort(at.Hostname(), port))
}

// printer prints what was received.
type printer struct {
	w      io.Writer
	output format
	limit  int    // blocks after which it is done; 0 means never
	done   func() // ends the subscription

	mu  sync.Mutex
	got *received
	err error // of printing
}

func (p *printer) take(topic string, payload []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil || (p.limit > 0 && p.got.blocks >= uint64(p.limit)) {
		return
	}
	m, notices := p.got.take(topic, payload)
	for _, n := range notices {
		p.print(n, "!! "+n.Text)
	}
	if m != nil {
		p.print(json.RawMessage(payload), messageText(m))
	}
	if p.err != nil || (p.limit > 0 && p.got.blocks >= uint64(p.limit)) {
		p.done()
	}
}

// print prints one or the other.
func (p *printer) print(forScripts any, forPeople string) {
	if p.output == asText {
		_, p.err = fmt.Fprintln(p.w, strings.TrimRight(forPeople, "\n"))
		return
	}
	p.err = json.NewEncoder(p.w).Encode(forScripts)
}

// messageText is a block for people: one line per device and time, per KPI, or per event.
func messageText(m *uplink.Message) string {
	var b strings.Builder
	for _, o := range m.Readings {
		fmt.Fprintf(&b, "%s %s", clockText(o.Time), printable(o.Device))
		for _, tag := range slices.Sorted(maps.Keys(o.Values)) {
			fmt.Fprintf(&b, "  %s %s", printable(tag), printable(string(o.Values[tag])))
			if cause := o.Uncertain[tag]; cause != "" {
				fmt.Fprintf(&b, " (uncertain: %s)", printable(string(cause)))
			}
		}
		for _, tag := range slices.Sorted(maps.Keys(o.Bad)) {
			fmt.Fprintf(&b, "  %s BAD %s", printable(tag), printable(string(o.Bad[tag])))
		}
		b.WriteByte('\n')
	}
	for _, device := range slices.Sorted(maps.Keys(m.Seen)) {
		fmt.Fprintf(&b, "%s %s  unchanged\n", clockText(m.Seen[device]), printable(device))
	}
	if m.Report != nil {
		b.WriteString(reportText(m.Report))
	}
	for _, e := range m.Events {
		fmt.Fprintf(&b, "%s %s %s %s: %s\n", clockText(e.Time), printable(string(e.Severity)), printable(string(e.Kind)), printable(e.Subject), printable(e.Text.EN))
	}
	return b.String()
}

func clockText(ms int64) string { return time.UnixMilli(ms).Format("15:04:05.000") }
