package opcua_test

import (
	"testing"

	"github.com/millgate/millgate/drivers/opcua"
)

func TestParseEndpoint(t *testing.T) {
	for text, want := range map[string]string{
		"opc.tcp://h":             "opc.tcp://h:4840",
		"opc.tcp://h:1/UA/x":      "opc.tcp://h:1/UA/x",
		"opc.tcp://[fe80::1]/p":   "opc.tcp://[fe80::1]:4840/p",
		"opc.tcp://h:":            "",
		"opc.tcp://h:0":           "",
		"opc.tcp://h:99999":       "",
		"opc.tcp://:4840":         "",
		"opc.tcp://u:p@h":         "",
		"opc.tcp://h?x=1":         "",
		"tcp://h:4840":            "",
		"h:4840":                  "",
		"":                        "",
		"opc.tcp://h:4840/\x00":   "",
		"opc.tcp://h:4840/%zz":    "",
		"opc.tcp://h:4840/a b#cd": "",
	} {
		got, err := opcua.ParseEndpoint(text)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
}
