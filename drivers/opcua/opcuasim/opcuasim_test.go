package opcuasim

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/gopcua/opcua"
	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"
	"go.uber.org/goleak"

	"github.com/millgate/millgate/drivers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testURI = "http://example.com/machine/"

// listen is a server for the test's time.
func listen(t *testing.T, c Config) *Server {
	t.Helper()
	s, err := Listen("127.0.0.1:0", c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func background(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// connect is a client for the test's time.
func connect(t *testing.T, s *Server, options ...opcua.Option) (*opcua.Client, error) {
	t.Helper()
	c, err := opcua.NewClient(s.Endpoint(), append([]opcua.Option{opcua.AutoReconnect(false)}, options...)...)
	must(t, err)
	err = c.Connect(background(t))
	t.Cleanup(func() { _ = c.Close(context.Background()) }) // it may never have been open
	return c, err
}

func client(t *testing.T, s *Server) *opcua.Client {
	t.Helper()
	c, err := connect(t, s)
	must(t, err)
	return c
}

// resolve is a NodeID of the tests' namespace as the client has it.
func resolve(t *testing.T, c *opcua.Client, text string) *ua.NodeID {
	t.Helper()
	namespaces, err := c.NamespaceArray(background(t))
	must(t, err)
	index := slices.Index(namespaces, testURI)
	if index < 0 {
		t.Fatalf("%s is not among %v", testURI, namespaces)
	}
	return ua.NewStringNodeID(uint16(index), text)
}

func readValue(t *testing.T, c *opcua.Client, n *ua.NodeID, indexRange string) *ua.DataValue {
	t.Helper()
	r, err := c.Read(background(t), &ua.ReadRequest{
		TimestampsToReturn: ua.TimestampsToReturnBoth,
		NodesToRead:        []*ua.ReadValueID{{NodeID: n, AttributeID: ua.AttributeIDValue, IndexRange: indexRange}},
	})
	must(t, err)
	return r.Results[0]
}

func TestValues(t *testing.T) {
	s := listen(t, Config{})
	text := drivers.TextValue
	number := drivers.Float64Value
	values := func(v ...drivers.Value) Variable { return Variable{Values: v} }
	typed := func(t Type, v ...drivers.Value) Variable { return Variable{Type: t, Values: v} }
	array := func(t Type, v ...drivers.Value) Variable { return Variable{Type: t, Array: true, Values: v} }
	at := time.UnixMilli(1795406401020).UTC()
	tests := []struct {
		v    Variable
		want any
	}{
		{values(drivers.BoolValue(true)), true},
		{values(drivers.IntValue(-1 << 63)), int64(-1 << 63)},
		{values(drivers.UintValue(1<<64 - 1)), uint64(1<<64 - 1)},
		{values(drivers.Float32Value(0.1)), float32(0.1)},
		{values(number(0.1)), 0.1},
		{values(text("数控")), "数控"},
		{typed(SByte, number(-128)), int8(-128)},
		{typed(Byte, number(255)), uint8(255)},
		{typed(Int16, number(-2.6)), int16(-3)},
		{typed(UInt32, drivers.IntValue(7)), uint32(7)},
		{typed(UInt64, number(1<<63)), uint64(1 << 63)},
		{typed(DateTime, drivers.IntValue(at.UnixMilli())), at},
		{array(Float, number(1), number(2.5)), []float32{1, 2.5}},
		{array(Byte, number(1), number(2)), ua.ByteArray{1, 2}},
		{array(String, text("a"), text("b")), []string{"a", "b"}},
	}
	for i, test := range tests {
		test.v.Node = fmt.Sprintf("nsu=%s;s=v%d", testURI, i)
		must(t, s.Add(test.v))
	}
	c := client(t, s)
	for i, test := range tests {
		got := readValue(t, c, resolve(t, c, fmt.Sprintf("v%d", i)), "")
		if got.Status != ua.StatusOK || !reflect.DeepEqual(got.Value.Value(), test.want) {
			t.Errorf("v%d: got %v %T %v, want %T %v", i, got.Status, got.Value.Value(), got.Value.Value(), test.want, test.want)
		}
	}
}

// TestRefusals says what the caller hears of a mistake.
func TestRefusals(t *testing.T) {
	s := listen(t, Config{})
	one := []drivers.Value{drivers.IntValue(1)}
	must(t, s.Add(Variable{Node: "ns=3;s=byte", Type: Byte, Values: one}))
	for name, err := range map[string]error{
		"out of range":   s.Set("ns=3;s=byte", drivers.IntValue(256)),
		"text":           s.Set("ns=3;s=byte", drivers.TextValue("1")),
		"two values":     s.Set("ns=3;s=byte", one[0], one[0]),
		"no value":       s.Set("ns=3;s=byte", drivers.Value{}),
		"no node":        s.Set("ns=3;s=other", one[0]),
		"no NodeID":      s.Set("byte", one[0]),
		"a folder":       s.Set("i=85", one[0]),
		"a second node":  s.Add(Variable{Node: "ns=3;s=byte", Values: one}),
		"no such parent": s.Add(Variable{Node: "ns=3;s=x", Parent: "ns=3;s=y", Values: one}),
		"nothing in it":  s.Add(Variable{Node: "ns=3;s=z"}),
	} {
		if err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func TestReadAttributes(t *testing.T) {
	s := listen(t, Config{})
	node := "nsu=" + testURI + ";s=load"
	must(t, s.Add(Variable{Node: node, Name: "Load", Array: true, Type: Int16, Values: []drivers.Value{drivers.IntValue(3), drivers.IntValue(4), drivers.IntValue(5)}}))
	at := time.UnixMilli(1795406401020).UTC()
	must(t, s.SetAt(node, at, drivers.IntValue(6), drivers.IntValue(7), drivers.IntValue(8)))
	c := client(t, s)
	n := resolve(t, c, "load")
	got := readValue(t, c, n, "1:2")
	if fmt.Sprint(got.Value.Value()) != "[7 8]" || !got.SourceTimestamp.Equal(at) || time.Since(got.ServerTimestamp) > time.Minute {
		t.Errorf("got %v of %v, %v", got.Value.Value(), got.SourceTimestamp, got.ServerTimestamp)
	}
	for indexRange, want := range map[string]ua.StatusCode{"3": ua.StatusBadIndexRangeNoData, "2:1": ua.StatusBadIndexRangeInvalid, "x": ua.StatusBadIndexRangeInvalid} {
		if got := readValue(t, c, n, indexRange); got.Status != want {
			t.Errorf("%s: got %v, want %v", indexRange, got.Status, want)
		}
	}
	const uncertain = 0x40000000
	must(t, s.SetStatus(node, uint32(ua.StatusBadDeviceFailure)))
	if got := readValue(t, c, n, ""); got.Status != ua.StatusBadDeviceFailure || got.Value.Value() != nil {
		t.Errorf("bad: got %v %v", got.Status, got.Value.Value())
	}
	must(t, s.SetStatus(node, uncertain))
	if got := readValue(t, c, n, ""); got.Status != uncertain || fmt.Sprint(got.Value.Value()) != "[6 7 8]" {
		t.Errorf("uncertain: got %v %v", got.Status, got.Value.Value())
	}
	must(t, s.Set(node, drivers.IntValue(1)))
	if got := readValue(t, c, n, ""); got.Status != ua.StatusOK || fmt.Sprint(got.Value.Value()) != "[1]" {
		t.Errorf("good again: got %v %v", got.Status, got.Value.Value())
	}
	attributes, err := c.Node(n).Attributes(background(t), ua.AttributeIDNodeClass, ua.AttributeIDBrowseName, ua.AttributeIDDataType,
		ua.AttributeIDValueRank, ua.AttributeIDAccessLevel, ua.AttributeIDIsAbstract)
	must(t, err)
	var text []string
	for _, a := range attributes {
		text = append(text, fmt.Sprint(a.Value.Value(), a.Status == ua.StatusOK))
	}
	if want := []string{"2 true", fmt.Sprint(&ua.QualifiedName{NamespaceIndex: n.Namespace(), Name: "Load"}, true), "i=4 true", "1 true", "1 true", "<nil> false"}; !slices.Equal(text, want) {
		t.Errorf("got %q, want %q", text, want)
	}
	if got := readValue(t, c, ua.NewStringNodeID(7, "?"), ""); got.Status != ua.StatusBadNodeIDUnknown {
		t.Errorf("a node that there is not: got %v", got.Status)
	}
}

// TestServerObject is what a client reads before anything else.
func TestServerObject(t *testing.T) {
	s := listen(t, Config{})
	c := client(t, s)
	if got := readValue(t, c, ua.NewNumericNodeID(0, id.Server_ServerStatus_State), "").Value.Value(); got != int32(0) {
		t.Errorf("state: got %v", got)
	}
	s.SetServerTime(time.Now().Add(time.Hour))
	now, ok := readValue(t, c, ua.NewNumericNodeID(0, id.Server_ServerStatus_CurrentTime), "").Value.Value().(time.Time)
	if ahead := time.Until(now); !ok || ahead < 59*time.Minute || ahead > 61*time.Minute {
		t.Errorf("the clock is %v ahead", ahead)
	}
	status, ok := readValue(t, c, ua.NewNumericNodeID(0, id.Server_ServerStatus), "").Value.Value().(*ua.ExtensionObject)
	if !ok || status.Value.(*ua.ServerStatusDataType).State != ua.ServerStateRunning {
		t.Errorf("status: got %v", status)
	}
}

func TestUsers(t *testing.T) {
	certificate, key, err := newCertificate()
	must(t, err)
	for _, secure := range []bool{false, true} {
		open := listen(t, Config{Secure: secure})
		closed := listen(t, Config{Secure: secure, Users: map[string]string{"gateway": "geheim"}})
		for _, mode := range []ua.MessageSecurityMode{ua.MessageSecurityModeNone, ua.MessageSecurityModeSign, ua.MessageSecurityModeSignAndEncrypt} {
			for _, test := range []struct {
				server     *Server
				name, word string
				want       error
			}{
				{open, "", "", nil},
				{open, "gateway", "geheim", ua.StatusBadIdentityTokenRejected},
				{closed, "", "", ua.StatusBadIdentityTokenRejected},
				{closed, "gateway", "geheim", nil},
				{closed, "gateway", "falsch", ua.StatusBadUserAccessDenied},
				{closed, "someone", "geheim", ua.StatusBadUserAccessDenied},
			} {
				t.Run(fmt.Sprintf("%v/%v/%v/%s", secure, mode, test.server == open, test.name+test.word), func(t *testing.T) {
					endpoints, err := opcua.GetEndpoints(background(t), test.server.Endpoint())
					must(t, err)
					at := slices.IndexFunc(endpoints, func(e *ua.EndpointDescription) bool { return e.SecurityMode == mode })
					if at < 0 {
						if secure || mode == ua.MessageSecurityModeNone {
							t.Fatalf("the mode is not offered: %v", endpoints)
						}
						return
					}
					endpoint := endpoints[at]
					if !slices.Equal(endpoint.ServerCertificate, test.server.Certificate()) {
						t.Error("the endpoint has another certificate than the server")
					}
					kind, auth := ua.UserTokenTypeAnonymous, opcua.AuthAnonymous()
					if test.name != "" {
						kind, auth = ua.UserTokenTypeUserName, opcua.AuthUsername(test.name, test.word)
					}
					options := []opcua.Option{auth, opcua.AuthPolicyID("any"), opcua.SecurityFromEndpoint(endpoint, kind), opcua.ApplicationURI(ApplicationURI)}
					if secure {
						options = append(options, opcua.Certificate(certificate), opcua.PrivateKey(key))
					}
					c, err := connect(t, test.server, options...)
					if err != test.want {
						t.Fatalf("got %v, want %v", err, test.want)
					}
					if err == nil {
						readValue(t, c, ua.NewNumericNodeID(0, id.Server_ServerStatus_CurrentTime), "")
					}
				})
			}
		}
	}
}
