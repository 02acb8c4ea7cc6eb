package uplink

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// Where a connection failed.
var (
	errHandshake = errors.New("the TLS handshake failed")
	errConnect   = errors.New("no answer to CONNECT")
	errConnack   = errors.New("the broker refuses the connection with a code that MQTT 3.1.1 does not have (check its log)")
)

// reason says in plain words why broker is not connected, and what to do about it. It is the same text for the same fault.
func (u *Uplink) reason(broker string, err error) string {
	if text := u.refusal(err); text != "" {
		return text
	}
	if text := u.tlsReason(err); text != "" {
		return text
	}
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return fmt.Sprintf("the name %s can not be resolved (check the broker's address and this box's DNS server)", dns.Name)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("%s refuses the connection (check address and port, and that the broker runs)", broker)
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return fmt.Sprintf("there is no way to %s (check this box's network and the broker's address)", broker)
	case errors.Is(err, errConnect) && isTimeout(err):
		return fmt.Sprintf("the broker accepts the connection but does not answer CONNECT within %s "+
			"(check that an MQTT broker listens there, and whether it expects ssl://)", u.timing.connect)
	case errors.Is(err, errConnect):
		return fmt.Sprintf("the broker hangs up instead of answering CONNECT (check its log, and whether it expects ssl://): %v", bare(err))
	case errors.Is(err, packets.ErrorNetworkError), errors.Is(err, packets.ErrorProtocolViolation):
		return fmt.Sprintf("%s does not answer as an MQTT broker does (check address and port): %v", broker, bare(err))
	case errors.Is(err, errNoAck):
		return fmt.Sprintf("the broker did not acknowledge a message within %s", u.timing.acknowledge)
	case isTimeout(err):
		return fmt.Sprintf("%s does not answer in time (check the network and firewalls on the way)", broker)
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "the broker closed the connection (its log says why; two clients with the same client id do this to each other)"
	}
	return bare(err).Error()
}

// refusal explains the return codes of CONNACK (MQTT 3.1.1, 3.2.2.3).
func (u *Uplink) refusal(err error) string {
	switch {
	case errors.Is(err, packets.ErrorRefusedBadUsernameOrPassword), errors.Is(err, packets.ErrorRefusedNotAuthorised):
		return "broker refuses user name or password (check username and password_file of uplink " + u.cfg.ID + ")"
	case errors.Is(err, packets.ErrorRefusedIDRejected):
		return fmt.Sprintf("broker refuses the client id %q (check client_id of uplink %s)", u.cfg.ClientID, u.cfg.ID)
	case errors.Is(err, packets.ErrorRefusedServerUnavailable):
		return "broker says that its service is unavailable at present"
	case errors.Is(err, packets.ErrorRefusedBadProtocolVersion):
		return "broker does not accept MQTT 3.1.1, which millgate speaks (check the broker's settings)"
	}
	return ""
}

func (u *Uplink) tlsReason(err error) string {
	var (
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
		plain    tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &unknown):
		return "the broker's certificate is not signed by an authority that is trusted here (check tls.ca_file of uplink " + u.cfg.ID + ")"
	case errors.As(err, &hostname):
		return fmt.Sprintf("the broker's certificate is made out for another name (use the name in the certificate as the broker's address): %v", hostname)
	case errors.As(err, &invalid):
		return fmt.Sprintf("the broker's certificate is not valid (check it, and this box's clock): %v", invalid)
	case errors.As(err, &plain):
		return "the broker does not speak TLS on this port (use tcp://, or the broker's TLS port)"
	case isAlert(err):
		return fmt.Sprintf("the broker refuses our side of TLS: %v (check tls.cert_file and tls.key_file of uplink %s)", bare(err), u.cfg.ID)
	case errors.Is(err, errHandshake) && !isTimeout(err):
		return fmt.Sprintf("the TLS handshake with the broker failed (check that this is its TLS port): %v", bare(err))
	}
	return ""
}

// isAlert says that err is an alert of the TLS peer.
func isAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}

func isTimeout(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) || isNetTimeout(err)
}

func isNetTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// bare is err's cause without the addresses of one attempt, which would make each attempt's text a new one.
func bare(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	for {
		joined, ok := err.(interface{ Unwrap() []error })
		if !ok || len(joined.Unwrap()) == 0 {
			return err
		}
		err = joined.Unwrap()[len(joined.Unwrap())-1]
	}
}
