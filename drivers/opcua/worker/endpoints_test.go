package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/gopcua/opcua/ua"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/opcua"
)

func endpoint(policy opcua.Policy, mode ua.MessageSecurityMode, tokens ...*ua.UserTokenPolicy) *ua.EndpointDescription {
	return &ua.EndpointDescription{EndpointURL: "opc.tcp://plc:4840/x", SecurityPolicyURI: policy.URI(), SecurityMode: mode, TransportProfileURI: tcpTransport, UserIdentityTokens: tokens}
}

func tokenOf(kind ua.UserTokenType, policy opcua.Policy) *ua.UserTokenPolicy {
	t := &ua.UserTokenPolicy{TokenType: kind, PolicyID: fmt.Sprintf("%d-%s", kind, policy)}
	if policy != "" {
		t.SecurityPolicyURI = policy.URI()
	}
	return t
}

// TestChoose: exactly what is configured, or an error that says what there is.
func TestChoose(t *testing.T) {
	const none, sign, both = ua.MessageSecurityModeNone, ua.MessageSecurityModeSign, ua.MessageSecurityModeSignAndEncrypt
	const anonymous, password, cert = ua.UserTokenTypeAnonymous, ua.UserTokenTypeUserName, ua.UserTokenTypeCertificate
	open := endpoint(opcua.PolicyNone, none, tokenOf(anonymous, ""), tokenOf(password, ""), tokenOf(cert, ""))
	guarded := endpoint(opcua.PolicyNone, none, tokenOf(password, opcua.Basic256), tokenOf(password, opcua.PolicyNone), tokenOf(password, opcua.Basic256Sha256), tokenOf(password, opcua.Aes256Sha256RsaPss))
	signed := endpoint(opcua.Basic256Sha256, sign, tokenOf(anonymous, ""), tokenOf(password, ""), tokenOf(cert, ""))
	clear := endpoint(opcua.Basic256Sha256, sign, tokenOf(password, opcua.PolicyNone))
	full := endpoint(opcua.Basic256Sha256, both, tokenOf(password, opcua.PolicyNone), tokenOf(cert, opcua.Aes256Sha256RsaPss))
	old := endpoint(opcua.Basic256, both, tokenOf(anonymous, ""))
	web := endpoint(opcua.Aes128Sha256RsaOaep, sign, tokenOf(anonymous, ""))
	web.TransportProfileURI = "http://opcfoundation.org/UA-Profile/Transport/https-uabinary"
	all := []*ua.EndpointDescription{nil, open, signed, full, old, web}
	user, badge := opcua.User{Name: "u"}, opcua.User{CertFile: "c"}
	for name, c := range map[string]struct {
		list   []*ua.EndpointDescription
		policy opcua.Policy
		mode   opcua.Mode
		user   opcua.User
		change func(*opcua.Server)
		token  string
		words  []string
	}{
		"open":                     {list: all, policy: opcua.PolicyNone, mode: opcua.ModeNone, token: "0-"},
		"signed":                   {list: all, policy: opcua.Basic256Sha256, mode: opcua.Sign, token: "0-"},
		"signed, password":         {list: all, policy: opcua.Basic256Sha256, mode: opcua.Sign, user: user, token: "1-"},
		"signed, certificate":      {list: all, policy: opcua.Basic256Sha256, mode: opcua.Sign, user: badge, token: "2-"},
		"own policy of the token":  {list: all, policy: opcua.Basic256Sha256, mode: opcua.SignAndEncrypt, user: badge, token: "2-Aes256_Sha256_RsaPss"},
		"clear inside encryption":  {list: all, policy: opcua.Basic256Sha256, mode: opcua.SignAndEncrypt, user: user, token: "1-None"},
		"no such policy":           {list: all, policy: opcua.Aes256Sha256RsaPss, mode: opcua.Sign, words: []string{"does not offer", "None/None (anonymous|password|certificate), Basic256Sha256/Sign", "security_policy"}},
		"other transport":          {list: all, policy: opcua.Aes128Sha256RsaOaep, mode: opcua.Sign, words: []string{"does not offer"}},
		"no such mode":             {list: []*ua.EndpointDescription{open, full}, policy: opcua.Basic256Sha256, mode: opcua.Sign, words: []string{"does not offer", "Basic256Sha256/SignAndEncrypt"}},
		"nobody anonymous":         {list: all, policy: opcua.Basic256Sha256, mode: opcua.SignAndEncrypt, words: []string{"anonymous", "password|certificate", "ask for a user"}},
		"deprecated":               {list: all, policy: opcua.Basic256, mode: opcua.SignAndEncrypt, words: []string{"no longer secure", "allow_deprecated"}},
		"deprecated, allowed":      {list: all, policy: opcua.Basic256, mode: opcua.SignAndEncrypt, change: func(s *opcua.Server) { s.AllowDeprecated = true }, token: "0-"},
		"password in the open":     {list: all, policy: opcua.PolicyNone, mode: opcua.ModeNone, user: user, words: []string{"unencrypted", "allow_plain_password"}},
		"the same, allowed":        {list: all, policy: opcua.PolicyNone, mode: opcua.ModeNone, user: user, change: func(s *opcua.Server) { s.AllowPlainPassword = true }, token: "1-"},
		"password only signed":     {list: []*ua.EndpointDescription{clear}, policy: opcua.Basic256Sha256, mode: opcua.Sign, user: user, words: []string{"unencrypted"}},
		"certificate in the open":  {list: all, policy: opcua.PolicyNone, mode: opcua.ModeNone, user: badge, words: []string{"only by policy None"}},
		"strongest way":            {list: []*ua.EndpointDescription{guarded}, policy: opcua.PolicyNone, mode: opcua.ModeNone, user: user, token: "1-Aes256_Sha256_RsaPss"},
		"plain allowed, but worse": {list: []*ua.EndpointDescription{guarded}, policy: opcua.PolicyNone, mode: opcua.ModeNone, user: user, change: func(s *opcua.Server) { s.AllowPlainPassword = true }, token: "1-Aes256_Sha256_RsaPss"},
		"nothing at all":           {policy: opcua.PolicyNone, mode: opcua.ModeNone, words: []string{"It offers: nothing"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := opcua.Server{Endpoint: "opc.tcp://plc", Policy: c.policy, Mode: c.mode, User: c.user}
			if c.change != nil {
				c.change(&s)
			}
			got, err := choose(c.list, s)
			if c.token == "" {
				wantCause(t, err, drivers.CauseSecurityMismatch, c.words...)
				return
			}
			if err != nil || got.token.PolicyID != c.token || got.endpoint.SecurityPolicyURI != c.policy.URI() || got.endpoint.SecurityMode != modes[c.mode] {
				t.Errorf("%+v %v", got, err)
			}
		})
	}
}

func TestExplain(t *testing.T) {
	s := opcua.Server{Endpoint: "opc.tcp://plc:4840", Trust: t.TempDir(), User: opcua.User{Name: "u"}}
	listed := make(map[drivers.Cause]bool)
	for _, c := range drivers.Causes() {
		listed[c.Cause] = true
	}
	for status := range ua.StatusCodes {
		if status>>30 != 2 {
			continue
		}
		var told *drivers.Error
		err := explain(fmt.Errorf("connect: %w", status), s)
		if !errors.As(err, &told) || !listed[told.Cause] || !strings.Contains(err.Error(), s.Endpoint) || strings.Contains(err.Error(), "{") {
			t.Errorf("%v: %v", status, err)
		}
	}
	for want, causes := range map[drivers.Cause][]error{
		drivers.CauseTimeout:            {context.DeadlineExceeded, ua.StatusBadTimeout, &net.OpError{Op: "dial", Err: syscall.ETIMEDOUT}},
		drivers.CauseRefused:            {&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, ua.StatusBadTCPEndpointURLInvalid},
		drivers.CauseUnreachable:        {&net.OpError{Op: "dial", Err: syscall.EHOSTUNREACH}, &net.DNSError{Name: "plc"}},
		drivers.CauseLost:               {io.EOF, syscall.ECONNRESET, ua.StatusBadSecureChannelClosed, net.ErrClosed},
		drivers.CauseCertificateRefused: {ua.StatusBadCertificateUntrusted, ua.StatusBadSecurityChecksFailed, errHandshakeEnd},
		drivers.CauseCertificateWrong:   {errNoProof, errOtherCert},
		drivers.CauseUserRefused:        {ua.StatusBadUserAccessDenied, ua.StatusBadIdentityTokenRejected, ua.StatusBadIdentityTokenInvalid},
		drivers.CauseSecurityMismatch:   {ua.StatusBadSecurityPolicyRejected},
		drivers.CauseSessionsExhausted:  {ua.StatusBadTooManySessions},
		drivers.CauseServerNotReady:     {ua.StatusBadServerHalted, ua.StatusBadTCPServerTooBusy},
		drivers.CauseGarbled:            {errors.New("opcua: invalid handshake packet")},
		drivers.CauseInternal:           {guarded(func() error { panic("nil") })},
	} {
		for _, err := range causes {
			wantCause(t, explain(fmt.Errorf("connect: %w", err), s), want, "plc")
		}
	}
	if explain(nil, s) != nil {
		t.Error("no error became one")
	}
	done := failure(drivers.CauseSilent, "said already")
	if got := explain(done, s); got != done {
		t.Errorf("%v", got)
	}
}

func TestPathOf(t *testing.T) {
	for in, want := range map[string]string{"opc.tcp://h:1/UA/test": "/UA/test", "opc.tcp://h:1": "", "opc.tcp://h:1/": "/", "": "", "h/x": ""} {
		if got := pathOf(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
