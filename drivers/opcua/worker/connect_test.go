package worker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gopcua "github.com/gopcua/opcua"
	"github.com/gopcua/opcua/ua"
	"github.com/gopcua/opcua/uacp"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/opcua"
	"github.com/millgate/millgate/drivers/opcua/opcuasim"
)

// securePeer is a server that tests of security use, and what they must know of it.
type securePeer struct {
	endpoint string
	policies []opcua.Policy // with both modes each; None is there too
	users    []peerUser
}

type peerUser struct {
	user     opcua.User
	password string
}

// startPeer runs a simulated server; names and passwords nil: it takes anybody.
func startPeer(t *testing.T, users map[string]string) securePeer {
	t.Helper()
	s, err := opcuasim.Listen("127.0.0.1:0", opcuasim.Config{Secure: true, Users: users})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	p := securePeer{endpoint: s.Endpoint(), policies: []opcua.Policy{opcua.Basic256Sha256}}
	for name, password := range users {
		p.users = append(p.users, peerUser{opcua.User{Name: name}, password})
	}
	if users == nil {
		p.users = []peerUser{{}}
	}
	return p
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

// attempt connects as a worker does and reads one value.
func attempt(t *testing.T, s opcua.Server, password string, trust *opcua.Trust) (endpointInfo, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	c, info, err := newClient(ctx, s, password, trust)
	if err == nil {
		err = info.open(ctx, c)
	}
	if err != nil {
		return info, explain(err, s)
	}
	defer func() { _ = c.Close(ctx) }()
	read := &ua.ReadRequest{NodesToRead: []*ua.ReadValueID{{NodeID: ua.NewNumericNodeID(0, 2258), AttributeID: ua.AttributeIDValue, DataEncoding: &ua.QualifiedName{}}}}
	return info, c.Send(ctx, read, func(r ua.Response) error {
		if got, ok := r.(*ua.ReadResponse); !ok || len(got.Results) != 1 || got.Results[0].Value == nil {
			return fmt.Errorf("read %+v", r)
		}
		return nil
	})
}

func configOf(p securePeer, policy opcua.Policy, mode opcua.Mode, trust *opcua.Trust) opcua.Server {
	return opcua.Server{Endpoint: p.endpoint, Policy: policy, Mode: mode, ApplicationURI: "urn:millgate:site:gw", Trust: trust.Dir, AllowDeprecated: true}
}

func wantCause(t *testing.T, err error, cause drivers.Cause, words ...string) {
	t.Helper()
	var told *drivers.Error
	if !errors.As(err, &told) || told.Cause != cause {
		t.Errorf("want the cause %s, got %v", cause, err)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q lacks %q", err, w)
		}
	}
}

// everyWay connects in each policy, mode and user of a peer: first its certificate is unknown, then it is accepted.
func everyWay(t *testing.T, p securePeer) {
	trust := &opcua.Trust{Dir: filepath.Join(t.TempDir(), "opcua")}
	first := configOf(p, p.policies[0], opcua.SignAndEncrypt, trust)
	first.User = p.users[0].user
	info, err := attempt(t, first, p.users[0].password, trust)
	wantCause(t, err, drivers.CauseCertificateUnknown, "millgate trust accept", info.Fingerprint)
	if _, err := trust.Accept(info.Fingerprint); err != nil {
		t.Fatal(err)
	}
	for _, policy := range append([]opcua.Policy{opcua.PolicyNone}, p.policies...) {
		for _, mode := range []opcua.Mode{opcua.Sign, opcua.SignAndEncrypt} {
			if policy == opcua.PolicyNone {
				mode = opcua.ModeNone
			}
			for _, u := range p.users {
				t.Run(fmt.Sprintf("%s/%s/%s", policy, mode, u.user.Kind()), func(t *testing.T) {
					s := configOf(p, policy, mode, trust)
					s.User = u.user
					info, err := attempt(t, s, u.password, trust)
					if err != nil {
						t.Fatal(err)
					}
					if info.Policy != policy || info.Mode != mode || info.User != u.user.Kind() || (policy != opcua.PolicyNone) != (info.Fingerprint != "" && !info.Expires.IsZero()) && u.password == "" {
						t.Errorf("%+v", info)
					}
				})
			}
		}
	}
}

func TestEveryModeAndUser(t *testing.T) {
	everyWay(t, startPeer(t, nil))
	everyWay(t, startPeer(t, map[string]string{"gateway": "secret"}))
}

// TestWrongUser: who is refused leaves no session behind, however often it tries.
func TestWrongUser(t *testing.T) {
	s, err := opcuasim.Listen("127.0.0.1:0", opcuasim.Config{Secure: true, Users: map[string]string{"gateway": "secret"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	trust := &opcua.Trust{Dir: t.TempDir()}
	config := configOf(securePeer{endpoint: s.Endpoint()}, opcua.Basic256Sha256, opcua.SignAndEncrypt, trust)
	config.User.Name = "gateway"
	info, err := attempt(t, config, "secret", trust)
	wantCause(t, err, drivers.CauseCertificateUnknown)
	if _, err := trust.Accept(info.Fingerprint); err != nil {
		t.Fatal(err)
	}
	for user, password := range map[string]string{"gateway": "wrong", "nobody": "secret"} {
		config.User.Name = user
		_, err := attempt(t, config, password, trust)
		wantCause(t, err, drivers.CauseUserRefused, `"`+user+`"`, s.Endpoint())
		if err != nil && strings.Contains(err.Error(), password) {
			t.Errorf("the password is in %q", err)
		}
	}
	config.User.Name = ""
	_, err = attempt(t, config, "", trust)
	wantCause(t, err, drivers.CauseSecurityMismatch, "anonymous", "password")
	if n := s.Stats().Sessions; n != 0 {
		t.Errorf("%d sessions were left behind", n)
	}
}

// TestOtherCertificateThanShown: a server whose session has another certificate than the trusted one gets no password.
func TestOtherCertificateThanShown(t *testing.T) {
	p := startPeer(t, map[string]string{"gateway": "secret"})
	trust := &opcua.Trust{Dir: t.TempDir()}
	s := configOf(p, opcua.PolicyNone, opcua.ModeNone, trust)
	s.User = p.users[0].user
	info, err := attempt(t, s, "secret", trust)
	wantCause(t, err, drivers.CauseCertificateUnknown) // the password is encrypted for it
	if _, err := trust.Accept(info.Fingerprint); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, info, err := newClient(ctx, s, "secret", trust)
	if err != nil {
		t.Fatal(err)
	}
	info.pin = append([]byte{}, info.pin...)
	info.pin[len(info.pin)-1] ^= 1
	wantCause(t, explain(info.open(ctx, c), s), drivers.CauseCertificateWrong, "one certificate and uses another")
}

// TestWrongPin: the server can not read what was encrypted for another key.
func TestWrongPin(t *testing.T) {
	p := startPeer(t, nil)
	trust := &opcua.Trust{Dir: t.TempDir()}
	s := configOf(p, opcua.Basic256Sha256, opcua.SignAndEncrypt, trust)
	info, _ := attempt(t, s, "", trust)
	if _, err := trust.Accept(info.Fingerprint); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, info, err := newClient(ctx, s, "", trust)
	if err != nil {
		t.Fatal(err)
	}
	other, err := (&opcua.Trust{Dir: t.TempDir()}).Identity("urn:factory:cnc-1")
	if err != nil {
		t.Fatal(err)
	}
	info.pin, info.channel.RemoteCertificate = other.Certificate, other.Certificate
	c, err := gopcua.NewClient(info.URL, info.options()...)
	if err != nil {
		t.Fatal(err)
	}
	wantCause(t, explain(info.open(ctx, c), s), drivers.CauseCertificateRefused, p.endpoint)
}

// refusing is a server whose endpoints are those of a peer and that answers to every secure channel with an error, or hangs up.
func refusing(t *testing.T, status ua.StatusCode) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			c, err := uacp.NewConn(raw.(*net.TCPConn), &uacp.Acknowledge{ReceiveBufSize: bufferSize, SendBufSize: bufferSize})
			if err != nil {
				return
			}
			if _, err = c.Receive(); err == nil {
				err = c.Send("ACKF", &uacp.Acknowledge{ReceiveBufSize: bufferSize, SendBufSize: bufferSize})
			}
			if err == nil {
				_, err = c.Receive()
			}
			if err == nil && status != ua.StatusOK {
				_ = c.Send("ERRF", &uacp.Error{ErrorCode: uint32(status)})
			}
			_ = c.Close()
		}
	}()
	return "opc.tcp://" + l.Addr().String()
}

// TestReasonOfARefusal: what a server says while it hangs up is found.
func TestReasonOfARefusal(t *testing.T) {
	own, err := (&opcua.Trust{Dir: t.TempDir()}).Identity("urn:millgate:site:gw")
	if err != nil {
		t.Fatal(err)
	}
	for status, want := range map[ua.StatusCode]struct {
		cause drivers.Cause
		word  string
	}{
		ua.StatusBadCertificateUntrusted:     {drivers.CauseCertificateRefused, "does not trust the gateway's certificate"},
		ua.StatusBadCertificateTimeInvalid:   {drivers.CauseCertificateRefused, "compare the clocks"},
		ua.StatusBadSecurityPolicyRejected:   {drivers.CauseSecurityMismatch, "refuses the security policy"},
		ua.StatusBadTCPNotEnoughResources:    {drivers.CauseSessionsExhausted, "no connection left"},
		ua.StatusBadSecurityModeInsufficient: {drivers.CauseSecurityMismatch, "stronger security mode"},
		ua.StatusOK:                          {drivers.CauseCertificateRefused, "without saying why"},
	} {
		at := refusing(t, status)
		info := endpointInfo{URL: at, Policy: opcua.Basic256Sha256, Mode: opcua.Sign, pin: own.Certificate}
		info.channel.SecurityPolicyURI, info.channel.SecurityMode = opcua.Basic256Sha256.URI(), ua.MessageSecurityModeSign
		info.channel.Certificate, info.channel.LocalKey, info.channel.RemoteCertificate = own.Certificate, own.Key, own.Certificate
		info.channel.RequestTimeout = longestAnswer
		c, err := gopcua.NewClient(at, info.options()...)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		wantCause(t, explain(info.open(ctx, c), opcua.Server{Endpoint: at}), want.cause, want.word, at)
		cancel()
	}
}

func TestNobodyThere(t *testing.T) {
	trust := &opcua.Trust{Dir: t.TempDir()}
	at := fmt.Sprintf("opc.tcp://127.0.0.1:%d", freePort(t))
	_, err := attempt(t, opcua.Server{Endpoint: at, Policy: opcua.PolicyNone, Mode: opcua.ModeNone}, "", trust)
	wantCause(t, err, drivers.CauseRefused, "nothing listens at "+at)
	_, err = attempt(t, opcua.Server{Endpoint: "http://h:1", Policy: opcua.PolicyNone, Mode: opcua.ModeNone}, "", trust)
	wantCause(t, err, drivers.CauseInternal, "no endpoint of the form")
	_, err = attempt(t, opcua.Server{Endpoint: "opc.tcp://no-such-host.invalid:4840", Policy: opcua.PolicyNone, Mode: opcua.ModeNone}, "", trust)
	wantCause(t, err, drivers.CauseUnreachable, `"no-such-host.invalid"`, "DNS")

	// Somebody who listens and never answers.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	s := opcua.Server{Endpoint: "opc.tcp://" + l.Addr().String(), Policy: opcua.PolicyNone, Mode: opcua.ModeNone}
	_, _, err = newClient(ctx, s, "", trust)
	wantCause(t, explain(err, s), drivers.CauseTimeout, "does not answer in time")
}

// TestLibraryStillHasWhatIsNotItsAPI fails if another version of the library hides a session's secrets elsewhere.
func TestLibraryStillHasWhatIsNotItsAPI(t *testing.T) {
	p := startPeer(t, nil)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	s := configOf(p, opcua.PolicyNone, opcua.ModeNone, &opcua.Trust{})
	c, info, err := newClient(ctx, s, "", &opcua.Trust{})
	if err != nil {
		t.Fatal(err)
	}
	if err := info.open(ctx, c); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(ctx) }()
	cert, err := serverCertificate(c.Session())
	if err != nil || len(*cert) == 0 {
		t.Errorf("certificate: %v", err)
	}
	token, err := authenticationToken(c.Session())
	if err != nil || token == nil || token.String() == "i=0" {
		t.Errorf("token: %v", err)
	}
}
