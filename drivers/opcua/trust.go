package opcua

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Trust is a folder of certificates:
//
//	own/       cert.der and key.pem: the gateway's, made at the first use
//	trusted/   servers that may be read, each by its whole certificate
//	issuers/   authorities whose certificates may be read too, if crl/ has a list of what the authority has revoked
//	crl/       those lists
//	rejected/  servers that nobody has decided on yet, the newest few
//
// A file is DER or PEM, of any name that does not begin with a dot. Several processes may use the folder, and people may put files there:
// every question reads it anew.
type Trust struct {
	Dir string
	Now func() time.Time // nil: time.Now
}

// The folders in a Trust.
const (
	ownDir      = "own"
	trustedDir  = "trusted"
	issuersDir  = "issuers"
	crlDir      = "crl"
	rejectedDir = "rejected"
)

const (
	maxRejected    = 32       // files in rejected/: whoever can reach us can make us write one
	maxCertificate = 64 << 10 // bytes of a file or chain that is looked at
)

// RenewWithin is how long before its end a certificate is warned of.
const RenewWithin = 60 * 24 * time.Hour

func (t *Trust) now() time.Time {
	if t.Now == nil {
		return time.Now()
	}
	return t.Now()
}

func (t *Trust) path(parts ...string) string {
	return filepath.Join(append([]string{t.Dir}, parts...)...)
}

// Fingerprint is the SHA-256 of a certificate, 64 hexadecimal digits.
func Fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// Thumbprint is the SHA-1 of a certificate in hexadecimal digits. It proves nothing; it is the number that most servers show.
func Thumbprint(der []byte) string {
	sum := sha1.Sum(der)
	return hex.EncodeToString(sum[:])
}

// stored is one file of a Trust; of cert and crl one is set, or problem.
type stored struct {
	file    string // its path
	cert    *x509.Certificate
	crl     *x509.RevocationList
	problem error
	time    time.Time // when it was written
}

// read gives the files of one folder, by name. A folder that does not exist is empty.
func (t *Trust) read(dir string) ([]stored, error) {
	entries, err := os.ReadDir(t.path(dir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the trust folder: %w", err)
	}
	var files []stored
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") || e.IsDir() {
			continue
		}
		f := stored{file: t.path(dir, e.Name())}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // somebody has just decided on it
		}
		var data []byte
		if err == nil {
			f.time = info.ModTime()
			data, err = readSmall(f.file)
		}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			f.problem = err
		case dir == crlDir:
			f.crl, f.problem = parseCRL(data)
		default:
			f.cert, f.problem = parseCertificate(data)
		}
		if f.problem != nil {
			f.problem = fmt.Errorf("%s: %w; replace it or take it away", f.file, f.problem)
		}
		files = append(files, f)
	}
	return files, nil
}

// readSmall reads a file that is no longer than a certificate may be.
func readSmall(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxCertificate {
		return nil, fmt.Errorf("%s is no file of at most %d KiB", file, maxCertificate>>10)
	}
	return os.ReadFile(file)
}

func unPEM(data []byte, kind string) ([]byte, error) {
	block, _ := pem.Decode(data)
	switch {
	case block == nil:
		return data, nil
	case block.Type != kind:
		return nil, fmt.Errorf("it holds a %s, not a %s", block.Type, kind)
	}
	return block.Bytes, nil
}

// parseCertificate takes the first certificate of a file.
func parseCertificate(data []byte) (*x509.Certificate, error) {
	der, err := unPEM(data, "CERTIFICATE")
	if err != nil {
		return nil, err
	}
	certs, err := x509.ParseCertificates(der)
	if err != nil {
		return nil, fmt.Errorf("it holds no certificate in DER or PEM: %w", err)
	}
	if len(certs) == 0 {
		return nil, errors.New("it is empty")
	}
	return certs[0], nil
}

func parseCRL(data []byte) (*x509.RevocationList, error) {
	der, err := unPEM(data, "X509 CRL")
	if err != nil {
		return nil, err
	}
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, fmt.Errorf("it holds no revocation list in DER or PEM: %w", err)
	}
	return list, nil
}

// write stores data under the name so that after a power cut the file is there as a whole or not at all.
func write(file string, data []byte) error {
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".new-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(dir)
}

// reject stores a certificate that nobody has decided on, and forgets the oldest if there are too many.
func (t *Trust) reject(der []byte) error {
	file := t.path(rejectedDir, Fingerprint(der)+".der")
	if _, err := os.Stat(file); err == nil {
		return nil // written once, not at every attempt
	}
	if err := write(file, der); err != nil {
		return err
	}
	files, err := t.read(rejectedDir)
	if err != nil {
		return err
	}
	slices.SortFunc(files, func(a, b stored) int { return a.time.Compare(b.time) })
	for _, f := range files[:max(0, len(files)-maxRejected)] {
		if f.file == file {
			continue // all have the same time
		}
		if err := os.Remove(f.file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Entry is one file of a Trust, for people.
type Entry struct {
	State       string `json:"state"` // own, trusted, issuer, crl, rejected
	Name        string `json:"name,omitempty"`
	URI         string `json:"uri,omitempty"`
	Fingerprint string `json:"fingerprint,omitempty"` // SHA-256
	Thumbprint  string `json:"thumbprint,omitempty"`  // SHA-1, as servers show it
	From        int64  `json:"valid_from_t,omitempty"`
	Until       int64  `json:"valid_until_t,omitempty"` // ms since 1970 UTC; of a crl: when the next one is due
	File        string `json:"file"`
	Problem     string `json:"problem,omitempty"`
}

// List gives every file of the folder: own, trusted, issuers, crl, rejected.
func (t *Trust) List() ([]Entry, error) {
	var entries []Entry
	for _, dir := range []string{ownDir, trustedDir, issuersDir, crlDir, rejectedDir} {
		files, err := t.read(dir)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			if dir == ownDir && filepath.Base(f.file) != certFile {
				continue
			}
			e := t.entry(f)
			e.State = strings.TrimSuffix(dir, "s")
			entries = append(entries, e)
		}
	}
	return entries, nil
}

func (t *Trust) entry(f stored) Entry {
	e := Entry{File: f.file}
	switch {
	case f.problem != nil:
		e.Problem = f.problem.Error()
	case f.crl != nil:
		e.Name, e.From = f.crl.Issuer.CommonName, f.crl.ThisUpdate.UnixMilli()
		if !f.crl.NextUpdate.IsZero() {
			e.Until = f.crl.NextUpdate.UnixMilli()
		}
	default:
		c := f.cert
		e.Name, e.URI = nameOf(c), uriOf(c)
		e.Fingerprint, e.Thumbprint = Fingerprint(c.Raw), Thumbprint(c.Raw)
		e.From, e.Until = c.NotBefore.UnixMilli(), c.NotAfter.UnixMilli()
	}
	if now := t.now().UnixMilli(); e.Problem == "" && e.Until != 0 {
		switch {
		case now > e.Until:
			e.Problem = "expired"
		case now < e.From:
			e.Problem = "not valid yet"
		case now > e.Until-RenewWithin.Milliseconds() && f.crl == nil:
			e.Problem = "expires soon"
		}
	}
	return e
}

// minPrefix is how many digits of a fingerprint name a certificate.
const minPrefix = 8

// ErrNoSuchCertificate says that a fingerprint names nothing.
var ErrNoSuchCertificate = errors.New("no certificate has this fingerprint")

// find gives the file in one of the folders whose fingerprint begins with the digits; colons and spaces in them do not count.
func (t *Trust) find(fingerprint string, dirs ...string) (stored, error) {
	prefix := strings.ToLower(strings.NewReplacer(":", "", " ", "", "-", "").Replace(fingerprint))
	if strings.Trim(prefix, "0123456789abcdef") != "" || len(prefix) < minPrefix || len(prefix) > 2*sha256.Size {
		return stored{}, fmt.Errorf("%q is no fingerprint: at least %d of its hexadecimal digits are needed, from the first on", fingerprint, minPrefix)
	}
	var found []stored
	for _, dir := range dirs {
		files, err := t.read(dir)
		if err != nil {
			return stored{}, err
		}
		for _, f := range files {
			if f.cert == nil || !strings.HasPrefix(Fingerprint(f.cert.Raw), prefix) {
				continue
			}
			if !slices.ContainsFunc(found, func(s stored) bool { return bytes.Equal(s.cert.Raw, f.cert.Raw) }) {
				found = append(found, f)
			}
		}
	}
	switch len(found) {
	case 0:
		return stored{}, fmt.Errorf("%s: %w", fingerprint, ErrNoSuchCertificate)
	case 1:
		return found[0], nil
	}
	return stored{}, fmt.Errorf("%d certificates have a fingerprint that begins with %s: give more digits", len(found), fingerprint)
}

// Accept makes a rejected certificate a trusted one, from the next connection on. It is named by its fingerprint, or the first 8 digits or
// more. One that is trusted already stays so.
func (t *Trust) Accept(fingerprint string) (Entry, error) {
	f, err := t.find(fingerprint, rejectedDir, trustedDir)
	if err != nil {
		return Entry{}, err
	}
	return t.accept(f.cert)
}

// AcceptFile makes the certificate in a file a trusted one.
func (t *Trust) AcceptFile(file string) (Entry, error) {
	der, err := LoadCertificate(file)
	if err != nil {
		return Entry{}, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return Entry{}, err
	}
	return t.accept(cert)
}

func (t *Trust) accept(cert *x509.Certificate) (Entry, error) {
	file := t.path(trustedDir, Fingerprint(cert.Raw)+".der")
	if err := write(file, cert.Raw); err != nil {
		return Entry{}, fmt.Errorf("trust the certificate: %w", err)
	}
	if err := t.drop(rejectedDir, cert); err != nil {
		return Entry{}, err
	}
	e := t.entry(stored{file: file, cert: cert})
	e.State = "trusted"
	return e, nil
}

// Reject makes a trusted certificate a rejected one: no further connection is made to a server that shows it, unless an issuer stands for it.
func (t *Trust) Reject(fingerprint string) (Entry, error) {
	f, err := t.find(fingerprint, trustedDir, rejectedDir)
	if err != nil {
		return Entry{}, err
	}
	if err := t.reject(f.cert.Raw); err != nil {
		return Entry{}, fmt.Errorf("reject the certificate: %w", err)
	}
	if err := t.drop(trustedDir, f.cert); err != nil {
		return Entry{}, err
	}
	e := t.entry(stored{file: t.path(rejectedDir, Fingerprint(f.cert.Raw)+".der"), cert: f.cert})
	e.State = "rejected"
	return e, nil
}

// drop removes every file of the folder that holds the certificate.
func (t *Trust) drop(dir string, cert *x509.Certificate) error {
	files, err := t.read(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if f.cert == nil || !bytes.Equal(f.cert.Raw, cert.Raw) {
			continue
		}
		if err := os.Remove(f.file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := syncDir(t.path(dir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
