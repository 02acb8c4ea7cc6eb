package modbus

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/millgate/millgate/drivers"
)

// dialTLS makes a connection of MODBUS/TCP Security: TLS 1.2 or newer, the device's certificate checked, the gateway's own shown if the
// link has one. The files are read for each connection, so that renewed ones need no restart.
func dialTLS(ctx context.Context, dialer *net.Dialer, c LinkConfig) (io.ReadWriteCloser, error) {
	config, err := c.TLS.config(c.Endpoint.Address)
	if err != nil {
		return nil, &drivers.Error{Cause: drivers.CauseRefused, Err: err}
	}
	conn, err := (&tls.Dialer{NetDialer: dialer, Config: config}).DialContext(ctx, "tcp", c.Endpoint.Address)
	var unverified *tls.CertificateVerificationError
	switch {
	case err == nil:
		return conn, nil
	case errors.As(err, &unverified):
		err = fmt.Errorf("the certificate of %s is not trusted: %w; name the authority that signed it as ca_file", c.Endpoint.Address, unverified.Err)
		return nil, &drivers.Error{Cause: drivers.CauseRefused, Err: err}
	}
	return nil, alerted(c.Endpoint.Address, err)
}

// alerted is err, or what it means if the device has ended the connection with a TLS alert. With TLS 1.3 that comes in the place of the
// first answer.
func alerted(address string, err error) error {
	var alert *net.OpError
	if !errors.As(err, &alert) || alert.Op != "remote error" {
		return err
	}
	return &drivers.Error{Cause: drivers.CauseRefused,
		Err: fmt.Errorf("%s refuses the gateway's certificate, or the lack of one: %w; see cert_file and key_file", address, alert.Err)}
}

func (f TLSFiles) config(address string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: f.ServerName}
	if f.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(address) // an endpoint's address has a port
	}
	if f.CA != "" {
		pem, err := os.ReadFile(f.CA)
		if err != nil {
			return nil, fmt.Errorf("tls ca_file: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls ca_file %s holds no certificate in PEM", f.CA)
		}
	}
	if f.Cert != "" {
		pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
		if err != nil {
			return nil, fmt.Errorf("tls cert_file %s and key_file %s: %w", f.Cert, f.Key, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
