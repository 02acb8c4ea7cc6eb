package opcua

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/millgate/millgate/drivers"
)

// Peer is a server that shows its certificate.
type Peer struct {
	Endpoint   string // as the site says, for messages
	Host       string // name or address in it
	URI        string // of the application, as the server describes itself
	Chain      []byte // DER: its certificate, and after it those of its issuers if it sends them
	Deprecated bool   // a certificate as weak as the deprecated policies is good enough
}

// Verdict is what is known of a server's certificate.
type Verdict struct {
	Leaf        *x509.Certificate // the server's own; nil if there is none
	Fingerprint string            // of Leaf
	Warnings    []string
}

// Sizes of RSA keys, in bits (Part 7, 6.6).
const (
	minKey           = 2048
	minDeprecatedKey = 1024
	maxKey           = 4096
)

const maxChain = 10

// Check decides whether a server may be trusted that shows this certificate (Part 4, 6.1.3). It may if the certificate itself is in
// trusted/, or if it leads to one in issuers/ and crl/ holds a list for each issuer on the way. A certificate that a list revokes is
// refused in either case. A list that is overdue is still used, with a warning, as is a certificate for another host name.
//
// The error is a *drivers.Error: CauseCertificateWrong for what no trust can heal, CauseCertificateExpired, and CauseCertificateUnknown,
// with the certificate now in rejected/. The Verdict is as full as it can be in any case.
func (t *Trust) Check(p Peer) (Verdict, error) {
	var v Verdict
	if len(p.Chain) > maxCertificate {
		return v, p.wrong("is a chain of %d bytes, which is too long", len(p.Chain))
	}
	chain, err := x509.ParseCertificates(p.Chain)
	if err != nil {
		return v, p.wrong("can not be read: %w; make a new certificate at the server", err)
	}
	if len(chain) == 0 || len(chain) > maxChain {
		return v, p.wrong("is a chain of %d certificates", len(chain))
	}
	v.Leaf, v.Fingerprint = chain[0], Fingerprint(chain[0].Raw)
	if err := p.sound(v.Leaf); err != nil {
		return v, err
	}
	if err := t.dated(p, v.Leaf); err != nil {
		return v, err
	}
	if err := t.trusted(p, chain, &v); err != nil {
		return v, err
	}
	if left := v.Leaf.NotAfter.Sub(t.now()); left < RenewWithin {
		v.warn("the certificate of %s expires on %s: see to a new one at the server, and accept it here before that day", p.Endpoint, day(v.Leaf.NotAfter))
	}
	if err := v.Leaf.VerifyHostname(p.Host); err != nil {
		v.warn("the certificate of %s is for another host: %v", p.Endpoint, err)
	}
	if weak := weakness(v.Leaf, minKey, false); weak != "" {
		v.warn("the certificate of %s is weak: %s; it is accepted because the site says allow_deprecated", p.Endpoint, weak)
	}
	return v, nil
}

func (v *Verdict) warn(format string, args ...any) {
	v.Warnings = append(v.Warnings, fmt.Sprintf(format, args...))
}

func (p Peer) wrong(format string, args ...any) error {
	return p.refuse(drivers.CauseCertificateWrong, format, args...)
}

func (p Peer) refuse(cause drivers.Cause, format string, args ...any) error {
	return &drivers.Error{Cause: cause, Err: fmt.Errorf("the certificate of %s %w", p.Endpoint, fmt.Errorf(format, args...))}
}

// sound refuses what makes a certificate useless whoever trusts it.
func (p Peer) sound(c *x509.Certificate) error {
	least := minKey
	if p.Deprecated {
		least = minDeprecatedKey
	}
	if weak := weakness(c, least, p.Deprecated); weak != "" {
		return p.wrong("is not good enough: %s; make a new one at the server (RSA 2048 and SHA-256), "+
			"or, if it is too old for that, say allow_deprecated: true in the site", weak)
	}
	if key, ok := c.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > maxKey {
		return p.wrong("has a key of %d bits; the security policies allow at most %d", key.N.BitLen(), maxKey)
	}
	const encipher = x509.KeyUsageKeyEncipherment | x509.KeyUsageDataEncipherment
	switch use := c.KeyUsage; {
	case use != 0 && (use&x509.KeyUsageDigitalSignature == 0 || use&encipher == 0):
		return p.wrong("may not be used to sign and to encrypt (its key usage lacks it); make a new one at the server")
	case len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) > 0 && !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth) &&
		!slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny):
		return p.wrong("is not one of a server (its extended key usage lacks serverAuth); make a new one at the server")
	case len(c.UnhandledCriticalExtensions) > 0:
		return p.wrong("has critical extensions that nobody here knows: %v", c.UnhandledCriticalExtensions)
	}
	for _, uri := range c.URIs {
		if uri.String() == p.URI {
			return nil
		}
	}
	return p.wrong("is for the application URI %q, but the server says it is %q; make a new certificate at the server, "+
		"as after a change of its host name", uriOf(c), p.URI)
}

// weakness says why a certificate is too weak, or nothing.
func weakness(c *x509.Certificate, least int, sha1 bool) string {
	key, ok := c.PublicKey.(*rsa.PublicKey)
	if !ok {
		return fmt.Sprintf("its key is %s, not RSA", c.PublicKeyAlgorithm)
	}
	if key.N.BitLen() < least {
		return fmt.Sprintf("its key has %d bits, %d are needed", key.N.BitLen(), least)
	}
	switch c.SignatureAlgorithm {
	case x509.SHA1WithRSA, x509.ECDSAWithSHA1:
		if !sha1 {
			return "it is signed with SHA-1"
		}
	case x509.UnknownSignatureAlgorithm, x509.MD2WithRSA, x509.MD5WithRSA, x509.DSAWithSHA1, x509.DSAWithSHA256:
		return fmt.Sprintf("it is signed with %s", c.SignatureAlgorithm)
	default:
	}
	return ""
}

func (t *Trust) dated(p Peer, c *x509.Certificate) error {
	now := t.now()
	switch {
	case now.Before(c.NotBefore):
		return p.refuse(drivers.CauseCertificateExpired, "is valid only from %s on; here it is %s: set the clock of the gateway or of the server, whichever is wrong",
			stamp(c.NotBefore), stamp(now))
	case now.After(c.NotAfter):
		return p.refuse(drivers.CauseCertificateExpired, "has expired on %s; here it is %s: renew it at the server, then accept the new one here",
			stamp(c.NotAfter), stamp(now))
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// trusted decides by the folder.
func (t *Trust) trusted(p Peer, chain []*x509.Certificate, v *Verdict) error {
	pinned, err := t.read(trustedDir)
	if err != nil {
		return &drivers.Error{Cause: drivers.CauseInternal, Err: err}
	}
	issuers, err := t.read(issuersDir)
	if err != nil {
		return &drivers.Error{Cause: drivers.CauseInternal, Err: err}
	}
	lists, err := t.read(crlDir)
	if err != nil {
		return &drivers.Error{Cause: drivers.CauseInternal, Err: err}
	}
	for _, f := range slices.Concat(pinned, issuers, lists) {
		if f.problem != nil {
			v.warn("%v", f.problem)
		}
	}
	leaf := chain[0]
	for _, l := range lists {
		if l.crl != nil && bytes.Equal(l.crl.RawIssuer, leaf.RawIssuer) && revokes(l.crl, leaf) {
			return p.wrong("is revoked by the list %s; get a new one for the server", l.file)
		}
	}
	for _, f := range pinned {
		if f.cert != nil && bytes.Equal(f.cert.Raw, leaf.Raw) {
			return nil
		}
	}
	err = t.issued(chain, issuers, lists, v)
	if err == nil {
		return nil
	}
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &unknown):
		return t.unknown(p, v, pinned)
	case errors.Is(err, errNoList):
		err = errors.Join(p.wrong("comes from an issuer in issuers/, but %w, or trust this certificate itself: %s", err, acceptCommand(v)), t.reject(v.Leaf.Raw))
		return &drivers.Error{Cause: drivers.CauseCertificateWrong, Err: err}
	}
	return p.wrong("comes from an issuer in issuers/, but %w", err)
}

// issued checks the chain up to a trusted issuer. An error that is no x509.UnknownAuthorityError is a fault in a chain that leads there.
func (t *Trust) issued(chain []*x509.Certificate, issuers, lists []stored, v *Verdict) error {
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	known := false
	for _, f := range issuers {
		if f.cert != nil {
			roots.AddCert(f.cert)
			known = true
		}
	}
	if !known {
		return x509.UnknownAuthorityError{Cert: chain[0]}
	}
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	paths, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: t.now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil {
		return err
	}
	for _, path := range paths {
		if len(path) < 2 {
			return x509.UnknownAuthorityError{Cert: chain[0]} // in issuers/, but no issuer of itself
		}
		var overdue []string
		if overdue, err = t.unrevoked(path, lists); err == nil {
			v.Warnings = append(v.Warnings, overdue...)
			return nil
		}
	}
	return err
}

// unrevoked asks for each certificate of the path whether its issuer's list revokes it. A list that is not there is no answer.
func (t *Trust) unrevoked(path []*x509.Certificate, lists []stored) (warnings []string, err error) {
	for i, issuer := range path[1:] {
		listed := false
		for _, l := range lists {
			if l.crl == nil || !bytes.Equal(l.crl.RawIssuer, issuer.RawSubject) || l.crl.CheckSignatureFrom(issuer) != nil {
				continue
			}
			listed = true
			if revokes(l.crl, path[i]) {
				return nil, fmt.Errorf("the list %s revokes %q", l.file, nameOf(path[i]))
			}
			if due := l.crl.NextUpdate; !due.IsZero() && t.now().After(due) {
				warnings = append(warnings, fmt.Sprintf("the revocation list %s is overdue since %s: get the next one from %q", l.file, day(due), nameOf(issuer)))
			}
		}
		if !listed {
			return nil, fmt.Errorf("%w of %q: put it there", errNoList, nameOf(issuer))
		}
	}
	return warnings, nil
}

var errNoList = errors.New("crl/ has no revocation list")

func revokes(list *x509.RevocationList, c *x509.Certificate) bool {
	return slices.ContainsFunc(list.RevokedCertificateEntries, func(e x509.RevocationListEntry) bool {
		return e.SerialNumber.Cmp(c.SerialNumber) == 0
	})
}

func acceptCommand(v *Verdict) string { return "millgate trust accept SITE.yaml " + v.Fingerprint[:16] }

// unknown puts the certificate where somebody can decide on it, and says how.
func (t *Trust) unknown(p Peer, v *Verdict, pinned []stored) error {
	command := acceptCommand(v)
	what := fmt.Sprintf("%q, valid until %s, SHA-256 fingerprint %s", nameOf(v.Leaf), day(v.Leaf.NotAfter), v.Fingerprint)
	err := p.refuse(drivers.CauseCertificateUnknown,
		"is not trusted yet: %s. Compare the fingerprint with the one at the server; if it is the same: %s", what, command)
	for _, f := range pinned {
		if f.cert != nil && uriOf(f.cert) == p.URI {
			err = p.refuse(drivers.CauseCertificateUnknown,
				"is another one than the trusted one: old fingerprint %s, new %s. If the server was replaced or its certificate renewed, compare the new "+
					"fingerprint with the one at the server; if it is the same: %s. If nobody did that, somebody may have put himself between: accept nothing",
				Fingerprint(f.cert.Raw), what, command)
		}
	}
	if stored := t.reject(v.Leaf.Raw); stored != nil {
		return &drivers.Error{Cause: drivers.CauseCertificateUnknown,
			Err: fmt.Errorf("%w (it could not be put into %s: %w)", err, t.path(rejectedDir), stored)}
	}
	return err
}
