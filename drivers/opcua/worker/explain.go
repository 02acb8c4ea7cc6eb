package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/gopcua/opcua/ua"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/opcua"
)

// meaning is what a StatusCode means while a connection or a session is being made.
type meaning struct {
	cause drivers.Cause
	text  string // after "the server at … "; {us} is the gateway's certificate
}

const acceptUs = "; accept it there ({us}), then nothing is to be done here"

var meanings = map[ua.StatusCode]meaning{
	ua.StatusBadCertificateUntrusted:               {drivers.CauseCertificateRefused, "does not trust the gateway's certificate" + acceptUs},
	ua.StatusBadSecurityChecksFailed:               {drivers.CauseCertificateRefused, "refuses the gateway's certificate and does not say why; its own log may. Most often it does not trust it" + acceptUs},
	ua.StatusBadCertificateInvalid:                 {drivers.CauseCertificateRefused, "finds the gateway's certificate invalid ({us}): millgate trust renew SITE.yaml makes a new one"},
	ua.StatusBadCertificateTimeInvalid:             {drivers.CauseCertificateRefused, "finds that the gateway's certificate is not valid at its time: compare the clocks of server and gateway; if it has expired ({us}), millgate trust renew SITE.yaml makes a new one"},
	ua.StatusBadCertificateIssuerTimeInvalid:       {drivers.CauseCertificateRefused, "finds that the issuer of the gateway's certificate is not valid at its time: compare the clocks of server and gateway"},
	ua.StatusBadCertificateURIInvalid:              {drivers.CauseCertificateRefused, "finds another application URI in the gateway's certificate than the gateway tells: millgate trust renew SITE.yaml makes a new one"},
	ua.StatusBadCertificateHostNameInvalid:         {drivers.CauseCertificateRefused, "finds another host name in the gateway's certificate: millgate trust renew SITE.yaml makes a new one with the present name"},
	ua.StatusBadCertificateUseNotAllowed:           {drivers.CauseCertificateRefused, "finds that the gateway's certificate may not be used so: millgate trust renew SITE.yaml makes a new one"},
	ua.StatusBadCertificateIssuerUseNotAllowed:     {drivers.CauseCertificateRefused, "does not let the issuer of the gateway's certificate stand for it ({us})"},
	ua.StatusBadCertificateRevoked:                 {drivers.CauseCertificateRefused, "has the gateway's certificate on its list of revoked ones ({us}): millgate trust renew SITE.yaml --new-key makes another"},
	ua.StatusBadCertificateIssuerRevoked:           {drivers.CauseCertificateRefused, "has the issuer of the gateway's certificate on its list of revoked ones ({us})"},
	ua.StatusBadCertificateRevocationUnknown:       {drivers.CauseCertificateRefused, "has no list of revoked certificates for the issuer of the gateway's ({us}): install the list there"},
	ua.StatusBadCertificateIssuerRevocationUnknown: {drivers.CauseCertificateRefused, "has no list of revoked certificates for the issuer of the gateway's ({us}): install the list there"},
	ua.StatusBadCertificateChainIncomplete:         {drivers.CauseCertificateRefused, "does not know the issuer of the gateway's certificate ({us}): install the issuer's certificate there"},
	ua.StatusBadCertificatePolicyCheckFailed:       {drivers.CauseCertificateRefused, "finds the gateway's certificate too weak or too strong for the security policy ({us})"},
	ua.StatusBadNoValidCertificates:                {drivers.CauseCertificateRefused, "got no certificate of the gateway that it accepts ({us})"},
	ua.StatusBadApplicationSignatureInvalid:        {drivers.CauseCertificateRefused, "does not accept the gateway's signature; if the server was set up with a chain of certificates, let it show its own alone"},

	ua.StatusBadUserAccessDenied:      {drivers.CauseUserRefused, ""}, // see refusedUser
	ua.StatusBadIdentityTokenRejected: {drivers.CauseUserRefused, ""},
	ua.StatusBadIdentityTokenInvalid:  {drivers.CauseUserRefused, ""},
	ua.StatusBadUserSignatureInvalid:  {drivers.CauseUserRefused, ""},

	ua.StatusBadSecurityPolicyRejected:   {drivers.CauseSecurityMismatch, "refuses the security policy: enable it at the server, or set security_policy to one that it offers"},
	ua.StatusBadSecurityModeRejected:     {drivers.CauseSecurityMismatch, "refuses the security mode: enable it at the server, or set security_mode to one that it offers"},
	ua.StatusBadSecurityModeInsufficient: {drivers.CauseSecurityMismatch, "asks for a stronger security mode: set security_mode to SignAndEncrypt"},

	ua.StatusBadTooManySessions:         {drivers.CauseSessionsExhausted, "has no session left: close other OPC UA clients, or raise its limit; sessions of lost connections end by themselves after a while"},
	ua.StatusBadTCPNotEnoughResources:   {drivers.CauseSessionsExhausted, "has no connection left: close other OPC UA clients, or raise its limit"},
	ua.StatusBadMaxConnectionsReached:   {drivers.CauseSessionsExhausted, "has no connection left: close other OPC UA clients, or raise its limit"},
	ua.StatusBadTooManySubscriptions:    {drivers.CauseSessionsExhausted, "has no subscription left: close other OPC UA clients, or raise its limit"},
	ua.StatusBadServerHalted:            {drivers.CauseServerNotReady, "is halted: start it, and look at what it says itself"},
	ua.StatusBadShutdown:                {drivers.CauseServerNotReady, "is shutting down"},
	ua.StatusBadTCPServerTooBusy:        {drivers.CauseServerNotReady, "is too busy for another connection: wait, or close other OPC UA clients"},
	ua.StatusBadOutOfService:            {drivers.CauseServerNotReady, "is out of service: look at what it says itself"},
	ua.StatusBadLicenseExpired:          {drivers.CauseServerNotReady, "has no licence any more: renew the licence of its OPC UA option"},
	ua.StatusBadLicenseNotAvailable:     {drivers.CauseServerNotReady, "has no licence for this: buy or enable the licence of its OPC UA option"},
	ua.StatusBadInternalError:           {drivers.CauseServerNotReady, "failed by itself: look at its own log, or restart it"},
	ua.StatusBadServiceUnsupported:      {drivers.CauseServerNotReady, "does not know the service that makes a session: is it a discovery server? Then use the endpoint of the server itself"},
	ua.StatusBadTCPEndpointURLInvalid:   {drivers.CauseRefused, "does not know this endpoint: check the path after the port, as the server itself writes it"},
	ua.StatusBadServerURIInvalid:        {drivers.CauseRefused, "does not know this endpoint: check the path after the port, as the server itself writes it"},
	ua.StatusBadConnectionRejected:      {drivers.CauseRefused, "rejects the connection: check its firewall and its list of allowed clients"},
	ua.StatusBadTimeout:                 {drivers.CauseTimeout, "does not answer in time: it may be overloaded or stopped; check it, and the network"},
	ua.StatusBadRequestTimeout:          {drivers.CauseTimeout, "does not answer in time: it may be overloaded or stopped; check it, and the network"},
	ua.StatusBadConnectionClosed:        {drivers.CauseLost, "closed the connection"},
	ua.StatusBadSecureChannelClosed:     {drivers.CauseLost, "closed the secure channel"},
	ua.StatusBadSecureChannelIDInvalid:  {drivers.CauseLost, "no longer knows the secure channel"},
	ua.StatusBadServerNotConnected:      {drivers.CauseLost, "is no longer connected"},
	ua.StatusBadCommunicationError:      {drivers.CauseLost, "could not be talked to: the network between fails"},
	ua.StatusBadTCPSecureChannelUnknown: {drivers.CauseLost, "no longer knows the secure channel"},
	ua.StatusBadSessionIDInvalid:        {drivers.CauseLost, "no longer knows the session"},
	ua.StatusBadSessionClosed:           {drivers.CauseLost, "has closed the session"},
	ua.StatusBadSessionNotActivated:     {drivers.CauseLost, "does not take the session as active"},
}

// explain turns what can go wrong while a connection and a session are being made into a *drivers.Error for a person: what, where, and
// what to do. nil stays nil.
func explain(err error, server opcua.Server) error {
	var told *drivers.Error
	if err == nil || errors.As(err, &told) {
		return err
	}
	at := server.Endpoint
	var status ua.StatusCode
	var failed panicked
	var unresolved *net.DNSError
	switch {
	case errors.Is(err, errNoProof), errors.Is(err, errOtherCert):
		return failure(drivers.CauseCertificateWrong, "%s: %w: it is not the trusted server, or its certificate and key do not belong together; "+
			"nothing was told to it. Check what answers at this address", at, err)
	case errors.Is(err, errHandshakeEnd):
		return failure(drivers.CauseCertificateRefused, "%s: %w, without saying why: either it does not trust the gateway's certificate (accept it there: %s), "+
			"or its key does not belong to the certificate that it shows; its own log tells", at, err, us(server))
	case errors.As(err, &status):
		return explainStatus(status, server)
	case errors.As(err, &failed):
		return failure(drivers.CauseInternal, "%s: %w; please report it", at, err)
	case errors.As(err, &unresolved):
		return failure(drivers.CauseUnreachable, "the name %q in %s can not be resolved (%s): check it, and the gateway's DNS, or write the IP address",
			unresolved.Name, at, unresolved.Err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return failure(drivers.CauseRefused, "nothing listens at %s: check the port, and that the OPC UA server is started", at)
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EADDRNOTAVAIL):
		return failure(drivers.CauseUnreachable, "there is no way to %s: check the address, the cable and the network of the gateway (%w)", at, err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), isTimeout(err):
		return failure(drivers.CauseTimeout, "%s does not answer in time: check that it is switched on, its address, and a firewall between (%w)", at, err)
	case brokeOff(err):
		return failure(drivers.CauseLost, "%s ended the connection while it was being set up: check that it speaks OPC UA (opc.tcp), and its own log", at)
	case errors.Is(err, context.Canceled):
		return failure(drivers.CauseLost, "%s: the attempt was given up: %w", at, err)
	}
	return failure(drivers.CauseGarbled, "%s does not answer as an OPC UA server does: %w", at, err)
}

// brokeOff says that the other side ended the connection. The library keeps only the text of some errors.
func brokeOff(err error) bool {
	for _, known := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, known) || strings.HasSuffix(err.Error(), known.Error()) {
			return true
		}
	}
	return false
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

func explainStatus(status ua.StatusCode, server opcua.Server) error {
	name := statusText(status)
	m, ok := meanings[status]
	switch {
	case ok && m.cause == drivers.CauseUserRefused:
		return failure(m.cause, "the server at %s %s (%s)", server.Endpoint, refusedUser(server.User), name)
	case ok:
		return failure(m.cause, "the server at %s %s (%s)", server.Endpoint, strings.ReplaceAll(m.text, "{us}", us(server)), name)
	}
	return failure(statusCause(status), "the server at %s refuses the session (%s)", server.Endpoint, name)
}

// refusedUser says what to look at when a server does not let a user in.
func refusedUser(u opcua.User) string {
	switch u.Kind() {
	case "password":
		return fmt.Sprintf("refuses the user %q or its password; it does not say which: check both at the server, and that the user may log in over OPC UA", u.Name)
	case "certificate":
		return fmt.Sprintf("does not accept the user's certificate (%s): accept it there among the certificates of users, and give the user the right to log in over OPC UA",
			fileAndPrints(u.CertFile))
	}
	return "lets nobody in anonymously: ask for a user of the server, and set user in the site"
}

// us names the gateway's own certificate so that somebody finds it among those that a server shows.
func us(server opcua.Server) string {
	return fileAndPrints(filepath.Join(server.Trust, "own", "cert.der"))
}

func fileAndPrints(file string) string {
	der, err := opcua.LoadCertificate(file)
	if err != nil {
		return file
	}
	return file + ", SHA-256 " + opcua.Fingerprint(der) + ", SHA-1 " + opcua.Thumbprint(der)
}
