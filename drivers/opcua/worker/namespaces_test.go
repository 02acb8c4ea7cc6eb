package worker

import (
	"testing"

	"github.com/gopcua/opcua/ua"
)

func TestResolve(t *testing.T) {
	uris := []string{"http://opcfoundation.org/UA/", "urn:server", "http://plant.example/", "urn:a;b", "urn:100%", "http://plant.example/?i=1;x"}
	for _, c := range []struct {
		text, want string
		err        error
	}{
		{text: "i=2258", want: "i=2258"},
		{text: "ns=2;s=Press.Force", want: "ns=2;s=Press.Force"},
		{text: "ns=9;i=1", want: "ns=9;i=1"}, // the server says what it thinks of it
		{text: "nsu=http://plant.example/;s=温度", want: "ns=2;s=温度"},
		{text: "nsu=http://plant.example/;s=a;b=c;i=7", want: "ns=2;s=a;b=c;i=7"},
		{text: "nsu=urn:a%3Bb;i=7", want: "ns=3;i=7"},
		{text: "nsu=urn:a;b;i=7", want: "ns=3;i=7"},
		{text: "nsu=urn:100%25;i=7", want: "ns=4;i=7"},
		{text: "nsu=http://opcfoundation.org/UA/;i=85", want: "i=85"},
		{text: "nsu=http://plant.example/;g=72962b91-fa75-4ae6-8d28-b404dc7daf63", want: "ns=2;g=72962b91-fa75-4ae6-8d28-b404dc7daf63"},
		{text: "nsu=http://elsewhere/;s=x", err: ua.StatusBadNodeIDUnknown},
		{text: "nsu=http://plant.example/", err: ua.StatusBadNodeIDInvalid},
		{text: "ns=2;g=1", err: ua.StatusBadNodeIDInvalid},
		{text: "ns=x;i=1", err: ua.StatusBadNodeIDInvalid},
		{text: "ns=70000;i=1", err: ua.StatusBadNodeIDInvalid},
		{text: "Force", err: ua.StatusBadNodeIDInvalid},
		{text: "", err: ua.StatusBadNodeIDInvalid},
	} {
		got, err := resolve(c.text, uris)
		if err != c.err {
			t.Errorf("%q: %v, want %v", c.text, err, c.err)
			continue
		}
		if err == nil {
			want, err := ua.ParseNodeID(c.want)
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != want.String() || got.Namespace() != want.Namespace() {
				t.Errorf("%q is %v, want %v", c.text, got, want)
			}
		}
	}
	// The same map at a server with another table.
	if got, err := resolve("nsu=urn:server;i=5", []string{"http://opcfoundation.org/UA/", "urn:new", "urn:server"}); err != nil || got.Namespace() != 2 {
		t.Errorf("%v, %v: the namespace has moved to 2", got, err)
	}
}
