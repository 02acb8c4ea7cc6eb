package modbus

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Transport is what carries the frames of a link.
type Transport uint8

// The transports.
const (
	TCP    Transport = iota // a connection that millgate makes
	TLS                     // the same, encrypted (MODBUS/TCP Security Protocol Specification)
	Serial                  // a serial port of this machine
	Listen                  // a connection that a serial server makes to millgate
)

// Framing is how a request and its answer are wrapped.
type Framing uint8

// The framings.
const (
	MBAP  Framing = iota // with a transaction id (MODBUS Messaging on TCP/IP Implementation Guide V1.0b, 3.1.3)
	RTU                  // with a CRC (MODBUS over Serial Line Specification V1.02, 2.5.1)
	ASCII                // in hexadecimal digits, with an LRC (the same, 2.5.2)
)

func (f Framing) String() string { return [...]string{"tcp", "rtu", "ascii"}[f%3] }

// ParseFraming is the inverse of Framing.String.
func ParseFraming(s string) (f Framing, ok bool) {
	for f := range ASCII + 1 {
		if f.String() == s {
			return f, true
		}
	}
	return 0, false
}

// Endpoint is where a link leads.
type Endpoint struct {
	Transport Transport
	Framing   Framing
	Address   string // host:port, or the name of the serial port
}

var schemes = []struct {
	name, port string
	transport  Transport
	framing    Framing
}{
	{"tcp", "502", TCP, MBAP},
	{"tls", "802", TLS, MBAP},
	{"rtu", "", Serial, RTU},
	{"ascii", "", Serial, ASCII},
	{"rtu+tcp", "502", TCP, RTU},
	{"ascii+tcp", "502", TCP, ASCII},
	{"listen", "", Listen, RTU}, // or another: see LinkConfig.Framing
}

// ParseEndpoint reads tcp://host[:502], tls://host[:802], rtu:///dev/ttyUSB0 (rtu://COM3 on Windows), ascii:///dev/ttyUSB0,
// rtu+tcp://host[:502], ascii+tcp://host[:502] and listen://[address]:port.
func ParseEndpoint(s string) (Endpoint, error) {
	name, rest, found := strings.Cut(s, "://")
	for _, scheme := range schemes {
		if !found || scheme.name != strings.ToLower(name) {
			continue
		}
		e := Endpoint{Transport: scheme.transport, Framing: scheme.framing}
		var err error
		if e.Transport == Serial {
			e.Address, err = serialAddress(s, rest)
		} else {
			e.Address, err = hostPort(s, rest, scheme.port, e.Transport == Listen)
		}
		return e, err
	}
	return Endpoint{}, fmt.Errorf("endpoint %q: write it as tcp://host:port, tls://host:port, rtu:///dev/serial/by-id/…, ascii:///dev/…, "+
		"rtu+tcp://host:port, ascii+tcp://host:port or listen://:port", s)
}

func serialAddress(s, path string) (string, error) {
	if path == "" || path == "/" || strings.ContainsAny(path, "?#\x00") {
		return "", fmt.Errorf("endpoint %q: name the serial port, as in rtu:///dev/ttyUSB0", s)
	}
	return path, nil
}

func hostPort(s, rest, defaultPort string, mayBeAny bool) (string, error) {
	u, err := url.Parse("x://" + rest)
	if err != nil || u.Path != "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Hostname() == "" && !mayBeAny {
		return "", fmt.Errorf("endpoint %q: write a host and a port, as in tcp://192.168.1.10:502", s)
	}
	port := u.Port()
	if port == "" {
		port = defaultPort
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("endpoint %q: the port must be 1 to 65535", s)
	}
	host := strings.ToLower(u.Hostname())
	if mayBeAny && (host == "0.0.0.0" || host == "::") {
		host = "" // one place, one name
	}
	return net.JoinHostPort(host, port), nil
}

func (e Endpoint) String() string {
	for _, scheme := range schemes {
		if scheme.transport == e.Transport && (scheme.framing == e.Framing || e.Transport == Listen) {
			return scheme.name + "://" + e.Address
		}
	}
	return e.Address
}

// LinkConfig is one physical link with its settings. Two that name the same Place must be equal.
type LinkConfig struct {
	Endpoint Endpoint

	// Of a serial line, or of the line behind a bridge.
	Baud     int  // bits per second; on a serial port 0 means 9600, elsewhere that no line is known of
	DataBits int  // 7 or 8; 0 means 8
	Parity   byte // 'N', 'E' or 'O'; 0 means 'N'
	StopBits int  // 1 or 2; 0 means 1

	TLS TLSFiles

	// Of a link that listens: the bytes with which a serial server says who it is, and those which it sends to show that it lives.
	Registration string // empty: whoever dials in
	Heartbeat    string // empty: none

	InFlight          int           // requests sent before their answers have come, with MBAP only; 0 means 1
	PauseBetween      time.Duration // a workaround: between an answer and the next request
	PauseAfterConnect time.Duration // a workaround: between connecting and the first request
	Turnaround        time.Duration // what a device takes to begin its answer, for planning; 0 means the default of the transport
}

// TLSFiles are the PEM files of a tls:// link; each may be empty.
type TLSFiles struct {
	CA         string // authorities to trust; empty: the system's
	Cert, Key  string // the gateway's own; both or neither
	ServerName string // in the device's certificate, if not the host of the endpoint
}

// Place names the physical link: whoever names the same place shares the wire.
func (c LinkConfig) Place() string {
	switch c.Endpoint.Transport {
	case Serial:
		return c.Endpoint.Address
	case Listen:
		return "listen " + c.Endpoint.Address + " " + c.Registration
	case TCP, TLS:
	}
	return c.Endpoint.Address
}
