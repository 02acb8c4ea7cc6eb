package worker

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	gopcua "github.com/gopcua/opcua"
	"github.com/gopcua/opcua/ua"
	"github.com/gopcua/opcua/uacp"
	"github.com/gopcua/opcua/uasc"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/opcua"
)

const (
	dialTime      = 5 * time.Second
	closeTime     = 2 * time.Second
	bufferSize    = 65536            // of a chunk; a multiple of the cipher's block
	longestAnswer = 30 * time.Second // the library's own limit; each request has a shorter one by its context
	sessionTime   = 60 * time.Second
)

// endpointInfo is a server's endpoint that was chosen, and trusted if it is to be secure.
type endpointInfo struct {
	URL         string // that is connected to: the configured host and port, the server's path
	Policy      opcua.Policy
	Mode        opcua.Mode
	User        string    // the kind
	Fingerprint string    // of the server's certificate; empty: it is not used
	Expires     time.Time // when that one does
	Warnings    []string  // of both sides' certificates, keys and so on, for a person

	pin     []byte // the server's certificate, DER, without those of its issuers
	session *uasc.SessionConfig
	channel uasc.Config
}

// newClient finds the configured endpoint of a server, checks its certificate and gives a client for it that is not connected and accepts
// that certificate only. The client is for one connection: open makes it with a new session, dial without one, for a session that
// ActivateSession takes over. Errors are for explain.
func newClient(ctx context.Context, server opcua.Server, password string, trust *opcua.Trust) (*gopcua.Client, endpointInfo, error) {
	var info endpointInfo
	list, at, err := discover(ctx, server)
	if err != nil {
		return nil, info, err
	}
	chosen, err := choose(list, server)
	if err != nil {
		return nil, info, err
	}
	url := *at
	if path := pathOf(chosen.endpoint.EndpointURL); path != "" {
		url.Path = path
	}
	info = endpointInfo{URL: url.String(), Policy: server.Policy, Mode: server.Mode, User: server.User.Kind()}
	secure := server.Policy != opcua.PolicyNone
	if secure || secret(chosen) {
		if err := info.check(chosen.endpoint, server, trust); err != nil {
			return nil, info, err
		}
	}
	info.session = sessionConfig(server, chosen)
	info.channel = uasc.Config{
		SecurityPolicyURI: chosen.endpoint.SecurityPolicyURI, SecurityMode: chosen.endpoint.SecurityMode,
		RequestTimeout: longestAnswer, Lifetime: uint32(time.Hour.Milliseconds()),
	}
	if secure {
		if err := info.identify(server, trust); err != nil {
			return nil, info, err
		}
	}
	if err := info.logIn(server, password); err != nil {
		return nil, info, err
	}
	c, err := gopcua.NewClient(info.URL, info.options()...)
	return c, info, err
}

// secret says that the user's secret is encrypted for, or signed over, the server's certificate.
func secret(o offer) bool {
	return o.token.TokenType != ua.UserTokenTypeAnonymous && tokenPolicy(o.endpoint, o.token) != ua.SecurityPolicyURINone
}

func pathOf(endpoint string) string {
	_, rest, _ := strings.Cut(endpoint, "://")
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		return rest[i:]
	}
	return ""
}

// check asks the trust store about the certificate that the endpoint shows, and pins it.
func (e *endpointInfo) check(endpoint *ua.EndpointDescription, server opcua.Server, trust *opcua.Trust) error {
	uri := ""
	if endpoint.Server != nil {
		uri = endpoint.Server.ApplicationURI
	}
	host, _, _ := strings.Cut(strings.TrimPrefix(server.Endpoint, "opc.tcp://"), "/")
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	verdict, err := trust.Check(opcua.Peer{
		Endpoint: server.Endpoint, Host: host, URI: uri, Chain: endpoint.ServerCertificate, Deprecated: server.AllowDeprecated,
	})
	e.Fingerprint, e.Warnings = verdict.Fingerprint, append(e.Warnings, verdict.Warnings...)
	if verdict.Leaf != nil {
		e.pin, e.Expires = slices.Clip(verdict.Leaf.Raw), verdict.Leaf.NotAfter
	}
	return err
}

// identify gives the channel the gateway's own certificate, and the server's.
func (e *endpointInfo) identify(server opcua.Server, trust *opcua.Trust) error {
	own, err := trust.Identity(server.ApplicationURI)
	if err != nil {
		return &drivers.Error{Cause: drivers.CauseInternal, Err: err}
	}
	e.Warnings = append(e.Warnings, own.Warnings...)
	e.channel.Certificate, e.channel.LocalKey = slices.Clip(own.Certificate), own.Key
	e.channel.RemoteCertificate = e.pin
	e.session.ClientDescription.ApplicationURI = own.URI
	return nil
}

func sessionConfig(server opcua.Server, chosen offer) *uasc.SessionConfig {
	return &uasc.SessionConfig{
		SessionName:    "millgate " + server.ApplicationURI,
		SessionTimeout: cmp.Or(server.SessionTimeout, sessionTime),
		ClientDescription: &ua.ApplicationDescription{
			ApplicationURI: server.ApplicationURI, ProductURI: "urn:millgate", ApplicationName: ua.NewLocalizedText("millgate"),
			ApplicationType: ua.ApplicationTypeClient,
		},
		LocaleIDs:          []string{"en", "zh"},
		UserTokenSignature: &ua.SignatureData{},
		AuthPolicyURI:      tokenPolicy(chosen.endpoint, chosen.token),
		UserIdentityToken:  &ua.AnonymousIdentityToken{PolicyID: chosen.token.PolicyID},
	}
}

// logIn gives the session its user.
func (e *endpointInfo) logIn(server opcua.Server, password string) error {
	id := e.session.UserIdentityToken.(*ua.AnonymousIdentityToken).PolicyID
	switch server.User.Kind() {
	case "password":
		e.session.UserIdentityToken = &ua.UserNameIdentityToken{PolicyID: id, UserName: server.User.Name}
		e.session.AuthPassword = password
	case "certificate":
		der, err := opcua.LoadCertificate(server.User.CertFile)
		if err != nil {
			return failure(drivers.CauseUserRefused, "the user's certificate: %w", err)
		}
		key, warning, err := opcua.LoadKey(server.User.KeyFile)
		if err != nil {
			return failure(drivers.CauseUserRefused, "the user's key: %w", err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return failure(drivers.CauseUserRefused, "the user's certificate %s: %w", server.User.CertFile, err)
		}
		if !key.PublicKey.Equal(cert.PublicKey) {
			return failure(drivers.CauseUserRefused, "%s is not the key of the user's certificate %s: name the two that belong together",
				server.User.KeyFile, server.User.CertFile)
		}
		if warning != "" {
			e.Warnings = append(e.Warnings, warning)
		}
		if left := time.Until(cert.NotAfter); left < opcua.RenewWithin {
			e.Warnings = append(e.Warnings, fmt.Sprintf("the user's certificate %s ends on %s: see to a new one", server.User.CertFile, cert.NotAfter.Format(time.DateOnly)))
		}
		e.session.UserIdentityToken = &ua.X509IdentityToken{PolicyID: id, CertificateData: der}
		e.channel.UserKey = key
	}
	return nil
}

// options are those of the channel; the session's configuration goes its own way, through open.
func (e *endpointInfo) options() []gopcua.Option {
	c := e.channel
	options := []gopcua.Option{
		gopcua.AutoReconnect(false),
		gopcua.Dialer(newDialer()),
		gopcua.RequestTimeout(c.RequestTimeout),
		gopcua.AuthPrivateKey(c.UserKey),
	}
	if c.RemoteCertificate == nil {
		return options
	}
	return append(options, gopcua.Certificate(c.Certificate), gopcua.PrivateKey(c.LocalKey),
		gopcua.SecurityFromEndpoint(&ua.EndpointDescription{ // alone sets the thumbprint too
			SecurityPolicyURI: c.SecurityPolicyURI, SecurityMode: c.SecurityMode, ServerCertificate: c.RemoteCertificate,
		}, ua.UserTokenTypeAnonymous))
}

// newDialer is one for one client: the library shares its own among all.
func newDialer() *uacp.Dialer {
	return &uacp.Dialer{
		Dialer: &net.Dialer{
			Timeout:         dialTime,
			KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3},
			Control:         limitUnanswered,
		},
		ClientACK: &uacp.Acknowledge{ReceiveBufSize: bufferSize, SendBufSize: bufferSize},
	}
}

// What a server can do in the middle of being connected that no status tells.
var (
	errNoProof      = errors.New("the server's signature is not that of its certificate")
	errOtherCert    = errors.New("the server shows one certificate and uses another")
	errHandshakeEnd = errors.New("the server ended the connection while the secure channel was being opened")
)

// panicked is what a panic of the library becomes.
type panicked struct{ what any }

func (p panicked) Error() string { return fmt.Sprintf("the OPC UA library failed: %v", p.what) }

// guarded turns a panic in this goroutine into an error.
func guarded(do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked{p}
		}
	}()
	return do()
}

// dial opens the connection and the secure channel.
func (e *endpointInfo) dial(ctx context.Context, c *gopcua.Client) error {
	err := guarded(func() error { return c.Dial(ctx) })
	if errors.Is(err, io.EOF) && e.Policy != opcua.PolicyNone && ctx.Err() == nil {
		return e.refusal(ctx)
	}
	if errors.Is(err, context.DeadlineExceeded) && e.Policy != opcua.PolicyNone {
		return fmt.Errorf("%w while the secure channel was being opened; a server is silent too if its key is not that of the certificate it shows", err)
	}
	return err
}

// open opens the connection, the secure channel and a new session, for which the server has to prove that its certificate is the pinned
// one. After an error the client is closed.
func (e *endpointInfo) open(ctx context.Context, c *gopcua.Client) error {
	if err := e.dial(ctx, c); err != nil {
		return err
	}
	err := guarded(func() error {
		s, err := c.CreateSession(ctx, e.session)
		if err != nil {
			return err
		}
		if s == nil { // the library only logs it
			return errNoProof
		}
		if err := e.prove(s); err != nil {
			return errors.Join(err, discard(ctx, c, s))
		}
		if err := c.ActivateSession(ctx, s); err != nil {
			_ = discard(ctx, c, s) // the reason is why it was not activated
			return err
		}
		if c.Session() == nil { // could not sign; the library only logs it
			return errNoProof
		}
		return nil
	})
	if err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
		defer cancel()
		_ = guarded(func() error { return c.Close(ctx) })
	}
	return err
}

// prove makes sure that the session's certificate, for which the user's secret will be encrypted, is the one that is trusted. Of a chain the
// session keeps the leaf alone: the library would sign over all of it, which Part 4, 5.6.3.2 does not mean.
func (e *endpointInfo) prove(s *gopcua.Session) error {
	if e.pin == nil {
		return nil
	}
	shown, err := serverCertificate(s)
	if err != nil {
		return err
	}
	certs, err := x509.ParseCertificates(*shown)
	if err != nil || len(certs) == 0 || !bytes.Equal(certs[0].Raw, e.pin) {
		return errOtherCert
	}
	*shown = slices.Clip(bytes.Clone(e.pin))
	return nil
}

// discard closes a session that could not be activated: until its time is over it would count as one of the few that a server has.
func discard(ctx context.Context, c *gopcua.Client, s *gopcua.Session) error {
	token, err := authenticationToken(s)
	if err != nil {
		return err
	}
	channel := c.SecureChannel()
	if channel == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
	defer cancel()
	return channel.SendRequest(ctx, &ua.CloseSessionRequest{DeleteSubscriptions: true}, token, func(ua.Response) error { return nil })
}

func failure(cause drivers.Cause, format string, args ...any) error {
	return &drivers.Error{Cause: cause, Err: fmt.Errorf(format, args...)}
}
