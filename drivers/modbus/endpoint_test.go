package modbus

import "testing"

func TestParseEndpoint(t *testing.T) {
	f := func(text string, want Endpoint, back string) {
		t.Helper()
		got, err := ParseEndpoint(text)
		if err != nil || got != want || got.String() != back {
			t.Errorf("%s: %+v %s, %v", text, got, got, err)
		}
	}
	f("tcp://PLC-1", Endpoint{TCP, MBAP, "plc-1:502"}, "tcp://plc-1:502")
	f("TCP://[fe80::1]:503", Endpoint{TCP, MBAP, "[fe80::1]:503"}, "tcp://[fe80::1]:503")
	f("tls://plc-1", Endpoint{TLS, MBAP, "plc-1:802"}, "tls://plc-1:802")
	f("rtu:///dev/ttyUSB0", Endpoint{Serial, RTU, "/dev/ttyUSB0"}, "rtu:///dev/ttyUSB0")
	f("rtu://COM3", Endpoint{Serial, RTU, "COM3"}, "rtu://COM3")
	f("ascii:///dev/ttyS1", Endpoint{Serial, ASCII, "/dev/ttyS1"}, "ascii:///dev/ttyS1")
	f("rtu+tcp://10.0.0.1:4001", Endpoint{TCP, RTU, "10.0.0.1:4001"}, "rtu+tcp://10.0.0.1:4001")
	f("ascii+tcp://10.0.0.1", Endpoint{TCP, ASCII, "10.0.0.1:502"}, "ascii+tcp://10.0.0.1:502")
	f("listen://:5020", Endpoint{Listen, RTU, ":5020"}, "listen://:5020")
	f("listen://0.0.0.0:5020", Endpoint{Listen, RTU, ":5020"}, "listen://:5020")
	for _, bad := range []string{"", "tcp://", "tcp://h:0", "tcp://h:65536", "tcp://h:x", "tcp://h/path", "tcp://u@h", "tcp://h?q", "udp://h", "h:502",
		"rtu://", "rtu:///", "listen://", "listen://:", "tcp//h"} {
		if got, err := ParseEndpoint(bad); err == nil {
			t.Errorf("%q is taken for %+v", bad, got)
		}
	}
}
