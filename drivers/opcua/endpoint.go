package opcua

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// DefaultPort is that of OPC UA over TCP (IANA opcua-tcp).
const DefaultPort = "4840"

// ParseEndpoint reads opc.tcp://host:port/path, where port and path may be left out, and gives it with its port.
func ParseEndpoint(text string) (string, error) {
	at, err := url.Parse(text)
	if err != nil || at.Scheme != "opc.tcp" || at.Hostname() == "" || at.User != nil || at.RawQuery != "" || at.Fragment != "" || strings.HasSuffix(at.Host, ":") {
		return "", wrongEndpoint(text)
	}
	if at.Port() == "" {
		at.Host = net.JoinHostPort(at.Hostname(), DefaultPort)
	}
	if port, err := strconv.Atoi(at.Port()); err != nil || port < 1 || port > 65535 {
		return "", wrongEndpoint(text)
	}
	return at.String(), nil
}

func wrongEndpoint(text string) error {
	return fmt.Errorf("endpoint %q: write it as opc.tcp://host:4840, or opc.tcp://host:4840/path", text)
}
