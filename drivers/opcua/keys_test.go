package opcua

import (
	"crypto/x509"
	"strings"
	"testing"
)

func TestKeys(t *testing.T) {
	key := rsaKey(2048)
	pkcs1 := x509.MarshalPKCS1PrivateKey(key)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := x509.MarshalPKCS8PrivateKey(ecKey())
	if err != nil {
		t.Fatal(err)
	}
	locked := append([]byte{0x30, 0x82, 0x05, 0x0e, 0x30, 0x40}, pbes2...)
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"PKCS #1":              {data: pkcs1},
		"PKCS #8":              {data: pkcs8},
		"PKCS #1 PEM":          {data: asPEM("RSA PRIVATE KEY", pkcs1)},
		"PKCS #8 PEM":          {data: asPEM("PRIVATE KEY", pkcs8)},
		"text before":          {data: append([]byte("Bag Attributes\n  friendlyName: cnc\n"), asPEM("PRIVATE KEY", pkcs8)...)},
		"certificate before":   {data: append(asPEM("CERTIFICATE", []byte{1}), asPEM("PRIVATE KEY", pkcs8)...)},
		"pass phrase":          {data: asPEM("ENCRYPTED PRIVATE KEY", locked), want: "pass phrase"},
		"pass phrase, old":     {data: []byte("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n"), want: "pass phrase"},
		"pass phrase, DER":     {data: locked, want: "pass phrase"},
		"EC":                   {data: ec, want: "not an RSA key"},
		"EC PEM":               {data: asPEM("PRIVATE KEY", ec), want: "not an RSA key"},
		"only the certificate": {data: asPEM("CERTIFICATE", []byte{1}), want: "holds a CERTIFICATE"},
		"rubbish":              {data: []byte("rubbish"), want: "no private key"},
		"nothing":              {want: "no private key"},
	} {
		got, err := ParseKey(c.data)
		if c.want == "" && (err != nil || !got.Equal(key)) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
