package opcua

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
)

// ParseKey reads the first RSA key of a file: PKCS #1 or PKCS #8, as PEM with any text before it, or as DER. One with a pass phrase is refused.
func ParseKey(data []byte) (*rsa.PrivateKey, error) {
	der, kind := data, ""
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if kind = block.Type; strings.HasSuffix(kind, "PRIVATE KEY") {
			if kind == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
				return nil, errors.New("the key has a pass phrase, which a gateway that starts by itself can not type: take it off with openssl pkey -in KEY -out NEW")
			}
			der = block.Bytes
			break
		}
	}
	if kind != "" && !strings.HasSuffix(kind, "PRIVATE KEY") {
		return nil, fmt.Errorf("it holds a %s, not a private key", kind)
	}
	key, err := x509.ParsePKCS1PrivateKey(der)
	if err == nil {
		return key, nil
	}
	parsed, err8 := x509.ParsePKCS8PrivateKey(der)
	if err8 != nil {
		if bytes.Contains(der, pbes2) {
			return nil, errors.New("the key has a pass phrase, which a gateway that starts by itself can not type: take it off with openssl pkey -in KEY -out NEW")
		}
		if _, ec := x509.ParseECPrivateKey(der); ec == nil {
			return nil, errNotRSA
		}
		return nil, fmt.Errorf("it holds no private key in PEM or DER (PKCS #1 or PKCS #8): %w", err8)
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, errNotRSA
	}
	return key, nil
}

var errNotRSA = errors.New("the key is not an RSA key, and the security policies of OPC UA here know no other: make one with openssl genpkey -algorithm RSA")

// pbes2 is the object identifier with which an encrypted PKCS #8 key begins (RFC 8018, A.4).
var pbes2 = []byte{0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0d}

// LoadKey reads a key file. The warning, if any, says that others may read it.
func LoadKey(file string) (key *rsa.PrivateKey, warning string, err error) {
	data, err := readSmall(file)
	if err != nil {
		return nil, "", err
	}
	if key, err = ParseKey(data); err != nil {
		return nil, "", fmt.Errorf("%s: %w", file, err)
	}
	return key, openToOthers(file), nil
}

// LoadCertificate reads the first certificate of a file, in PEM or DER; it is DER.
func LoadCertificate(file string) ([]byte, error) {
	data, err := readSmall(file)
	if err != nil {
		return nil, err
	}
	cert, err := parseCertificate(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return slices.Clip(cert.Raw), nil
}

// openToOthers warns if other users than the owner can read a file.
func openToOthers(file string) string {
	info, err := os.Stat(file)
	if err != nil || runtime.GOOS == "windows" || info.Mode().Perm()&0o077 == 0 {
		return ""
	}
	return fmt.Sprintf("the key %s can be read by others (mode %04o): chmod 600 it", file, info.Mode().Perm())
}
