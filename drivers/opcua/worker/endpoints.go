package worker

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	gopcua "github.com/gopcua/opcua"
	"github.com/gopcua/opcua/ua"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/opcua"
)

const (
	discoveryTime = 10 * time.Second
	tcpTransport  = "http://opcfoundation.org/UA-Profile/Transport/uatcp-uasc-uabinary"
	defaultPort   = "4840"
)

// discover asks a server for its endpoints, without security: what it says is a proposal until the secure channel has proven it. A name
// with several addresses is tried at each; at is the endpoint's URL with the address that answered.
func discover(ctx context.Context, server opcua.Server) (list []*ua.EndpointDescription, at *url.URL, err error) {
	configured, err := url.Parse(server.Endpoint)
	if err != nil || configured.Scheme != "opc.tcp" || configured.Hostname() == "" {
		return nil, nil, failure(drivers.CauseInternal, "%q is no endpoint of the form opc.tcp://host:port/path", server.Endpoint)
	}
	for _, at := range addresses(ctx, configured) {
		list, err = askEndpoints(ctx, at.String())
		if err == nil {
			return list, at, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, nil, err
}

// addresses is the URL itself; or, if its host is a name with several addresses, one URL for each: the library tries the first only.
func addresses(ctx context.Context, u *url.URL) []*url.URL {
	found, err := net.DefaultResolver.LookupHost(ctx, u.Hostname())
	if err != nil || len(found) < 2 {
		return []*url.URL{u} // an unknown name fails where it is used
	}
	var urls []*url.URL
	for _, address := range found {
		one := *u
		one.Host = net.JoinHostPort(address, cmp.Or(u.Port(), defaultPort))
		urls = append(urls, &one)
	}
	return urls
}

func askEndpoints(ctx context.Context, at string) (list []*ua.EndpointDescription, err error) {
	ctx, cancel := context.WithTimeout(ctx, discoveryTime)
	defer cancel()
	err = guarded(func() error {
		list, err = gopcua.GetEndpoints(ctx, at, gopcua.Dialer(newDialer()), gopcua.RequestTimeout(discoveryTime))
		return err
	})
	return list, err
}

// offer is an endpoint of a server with one of its ways to identify a user.
type offer struct {
	endpoint *ua.EndpointDescription
	token    *ua.UserTokenPolicy
}

var tokenKinds = map[string]ua.UserTokenType{
	"anonymous":   ua.UserTokenTypeAnonymous,
	"password":    ua.UserTokenTypeUserName,
	"certificate": ua.UserTokenTypeCertificate,
}

var modes = map[opcua.Mode]ua.MessageSecurityMode{
	opcua.ModeNone:       ua.MessageSecurityModeNone,
	opcua.Sign:           ua.MessageSecurityModeSign,
	opcua.SignAndEncrypt: ua.MessageSecurityModeSignAndEncrypt,
}

// choose takes the endpoint that is configured, exactly: nothing weaker and nothing stronger.
func choose(list []*ua.EndpointDescription, server opcua.Server) (offer, error) {
	if server.Policy.Deprecated() && !server.AllowDeprecated {
		return offer{}, failure(drivers.CauseSecurityMismatch, "security policy %s is no longer secure; "+
			"if %s knows no better one, say allow_deprecated: true beside it", server.Policy, server.Endpoint)
	}
	var best offer
	found, kind := false, server.User.Kind()
	for _, e := range list {
		if e == nil || e.SecurityPolicyURI != server.Policy.URI() || e.SecurityMode != modes[server.Mode] ||
			e.TransportProfileURI != "" && e.TransportProfileURI != tcpTransport {
			continue
		}
		found = true
		for _, token := range e.UserIdentityTokens {
			if token == nil || token.TokenType != tokenKinds[kind] || !usable(e, token, server) {
				continue
			}
			if best.token == nil || strength(e, token) > strength(best.endpoint, best.token) {
				best = offer{e, token}
			}
		}
	}
	switch {
	case best.token != nil:
		return best, nil
	case !found:
		return offer{}, failure(drivers.CauseSecurityMismatch, "%s does not offer security policy %s with mode %s. It offers: %s. "+
			"Set security_policy and security_mode to one of these, or enable the configured one at the server",
			server.Endpoint, server.Policy, server.Mode, offers(list))
	}
	return offer{}, noToken(list, server, kind)
}

// noToken says why a user can not be told to an endpoint that is there.
func noToken(list []*ua.EndpointDescription, server opcua.Server, kind string) error {
	policy, kinds := server.Policy.URI(), ""
	for _, e := range list {
		if e == nil || e.SecurityPolicyURI != policy || e.SecurityMode != modes[server.Mode] {
			continue
		}
		kinds = userKinds(e)
		for _, t := range e.UserIdentityTokens {
			if t == nil || t.TokenType != tokenKinds[kind] {
				continue
			}
			if kind == "password" && tokenPolicy(e, t) == ua.SecurityPolicyURINone {
				return failure(drivers.CauseSecurityMismatch, "%s would take the password unencrypted (policy %s, mode %s), where anybody on the network can read it: "+
					"set security_mode to SignAndEncrypt, or say allow_plain_password: true", server.Endpoint, server.Policy, server.Mode)
			}
			return failure(drivers.CauseSecurityMismatch, "%s takes a user with a %s only by policy %s, which can not be used here: set security_policy to a secure one",
				server.Endpoint, kind, shortPolicy(tokenPolicy(e, t)))
		}
	}
	advice := "set user in the site to one of these kinds, or enable the configured one at the server"
	if kind == "anonymous" {
		advice = "ask for a user of the server, and set user in the site"
	}
	return failure(drivers.CauseSecurityMismatch, "%s does not let in %s with policy %s and mode %s; it takes: %s; %s",
		server.Endpoint, map[string]string{"anonymous": "anybody anonymous", "password": "a user with a password", "certificate": "a user with a certificate"}[kind],
		server.Policy, server.Mode, kinds, advice)
}

// tokenPolicy is the policy that protects the user's secret (Part 4, 7.42).
func tokenPolicy(e *ua.EndpointDescription, t *ua.UserTokenPolicy) string {
	return cmp.Or(t.SecurityPolicyURI, e.SecurityPolicyURI)
}

// usable says that a secret can be told in this way, and nobody else can read it.
func usable(e *ua.EndpointDescription, t *ua.UserTokenPolicy, server opcua.Server) bool {
	policy := tokenPolicy(e, t)
	switch t.TokenType {
	case ua.UserTokenTypeAnonymous:
		return true
	case ua.UserTokenTypeUserName:
		if policy == ua.SecurityPolicyURINone {
			return e.SecurityMode == ua.MessageSecurityModeSignAndEncrypt || server.AllowPlainPassword
		}
	case ua.UserTokenTypeCertificate: // without a policy there is nothing to sign with
	default:
		return false
	}
	known := opcua.Policy(shortPolicy(policy))
	return slices.Contains(securePolicies, known) || known.Deprecated() && server.AllowDeprecated
}

// securePolicies in the order of their strength.
var securePolicies = []opcua.Policy{opcua.Basic256Sha256, opcua.Aes128Sha256RsaOaep, opcua.Aes256Sha256RsaPss}

// strength orders the ways to tell one user: by the channel's own policy, which the server surely knows; else the strongest.
func strength(e *ua.EndpointDescription, t *ua.UserTokenPolicy) int {
	policy := tokenPolicy(e, t)
	if policy == e.SecurityPolicyURI && policy != ua.SecurityPolicyURINone {
		return len(securePolicies) + 1
	}
	return slices.Index(securePolicies, opcua.Policy(shortPolicy(policy))) + 1
}

func shortPolicy(uri string) string { return uri[strings.LastIndex(uri, "#")+1:] }

// offers lists what a server offers, for a person.
func offers(list []*ua.EndpointDescription) string {
	var lines []string
	for _, e := range list {
		if e == nil || e.TransportProfileURI != "" && e.TransportProfileURI != tcpTransport {
			continue
		}
		line := fmt.Sprintf("%q/%s (%s)", shortPolicy(e.SecurityPolicyURI), modeName(e.SecurityMode), userKinds(e))
		if line = strings.ReplaceAll(line, `"`, ""); !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return "nothing"
	}
	const most = 20
	if len(lines) > most {
		lines = append(lines[:most], "…")
	}
	return strings.Join(lines, ", ")
}

func modeName(m ua.MessageSecurityMode) string {
	for name, mode := range modes {
		if mode == m {
			return string(name)
		}
	}
	return fmt.Sprintf("mode %d", m)
}

func userKinds(e *ua.EndpointDescription) string {
	var kinds []string
	for _, kind := range []string{"anonymous", "password", "certificate"} {
		if slices.ContainsFunc(e.UserIdentityTokens, func(t *ua.UserTokenPolicy) bool { return t != nil && t.TokenType == tokenKinds[kind] }) {
			kinds = append(kinds, kind)
		}
	}
	if len(kinds) == 0 {
		return "no user"
	}
	return strings.Join(kinds, "|")
}
