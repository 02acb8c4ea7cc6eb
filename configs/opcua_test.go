package configs

import (
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/opcua"
)

func TestResolvedOPCUA(t *testing.T) {
	s, err := Load("testdata/opcua.good.yaml")
	if err != nil {
		t.Fatal(err)
	}
	groups := func(device int) []Group { return s.Devices[device].Groups }
	srv := groups(0)[0].OPCUA.Server
	t.Setenv("CNC_PASSWORD", "secret")
	if got, err := srv.User.Password(); got != "secret" || err != nil {
		t.Errorf("password %q, %v", got, err)
	}
	srv.User.Password = nil
	want := opcua.Server{Endpoint: "opc.tcp://192.168.1.20:4840", Policy: opcua.Aes256Sha256RsaPss, Mode: opcua.Sign, User: opcua.User{Name: "gateway"},
		ApplicationURI: "urn:millgate:hz-yuhang-0042:gw-01", Trust: filepath.Join("/var/lib/millgate", "opcua"), Timeout: 3 * time.Second,
		SessionTimeout: time.Minute, Publishing: 100 * time.Millisecond, Clock: opcua.Clock{Zone: "Asia/Shanghai", MaxError: time.Minute}}
	if !reflect.DeepEqual(srv, want) {
		t.Errorf("server\n%+v\n%+v", srv, want)
	}
	load := groups(0)[2].OPCUA.Points[0]
	if load.Sampling != 250*time.Millisecond || load.Queue != 50 || !load.DiscardNewest || load.Deadband != 1.5 || load.Tag.Name != "spindle_load" {
		t.Errorf("%+v", load)
	}
	if g := groups(0)[1]; !g.OPCUA.Polled || g.Interval != time.Second || len(g.Rules) != 1 || g.Rules[0].Tag.Name != "part_count" || g.Rules[0].Counter == nil {
		t.Errorf("polled %+v", g)
	}
	second := groups(1)[0].OPCUA
	if root := (opcua.Root{Type: "nsu=http://opcfoundation.org/UA/MachineTool/;i=13", Name: "Mill 2"}); second.Root != root || second.Polled ||
		second.Server.Policy != opcua.Basic256Sha256 || second.Server.Mode != opcua.SignAndEncrypt || second.Points[2].Path != "Monitoring/MachineTool/OperationMode" {
		t.Errorf("%+v", second)
	}
	if g := groups(2)[0].OPCUA; !g.Polled || g.Root.Name != "Mill 3" {
		t.Errorf("%+v", g)
	}
	level, flow := groups(3)[0].OPCUA.Points[0], groups(3)[0].OPCUA.Points[3]
	if level.Type != drivers.TypeFloat64 || level.Scale.String() != "0.1" || level.Select != "[2].Raw" || level.Deadband != 0 || flow.Deadband != 0.5 {
		t.Errorf("a deadband is the server's only where it counts as the site does: %+v, %+v", level, flow)
	}
	if d := s.Catalogue.Devices[3]; d.Protocol != "opcua" || d.Tags[1].Type != "float64" || *d.Tags[1].Deadband != 0.5 {
		t.Errorf("%+v", d)
	}
	if len(s.Warnings) != 2 || !strings.Contains(s.Warnings[0].Message, "security_policy None") || !strings.Contains(s.Warnings[1].Message, "ns=3") {
		t.Errorf("warnings %v", s.Warnings)
	}
}

func TestServers(t *testing.T) {
	s, err := Load("testdata/opcua.good.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Servers) != 3 {
		t.Fatalf("%+v", s.Servers)
	}
	// 18 items each second and one every 250 ms; one is polled.
	if v := s.Servers[0]; v.Items != 19 || v.Samples != 22 || v.Reads != 1 || v.Subscriptions != 2 || v.Sessions != 1 || v.Budget.SamplesPerSecond != 1000 {
		t.Errorf("%+v", v)
	}
	// Two devices, one session; the second is polled.
	if v := s.Servers[1]; !slices.Equal(v.Devices, []string{"cnc-2", "cnc-3"}) || v.Items != 11 || v.Reads != 11 || v.Subscriptions != 1 || v.Sessions != 1 {
		t.Errorf("%+v", v)
	}
}

func TestLeastBudget(t *testing.T) {
	a := Budget{SamplesPerSecond: 1000, Sessions: 10, Sampling: []time.Duration{1, 2, 5}, Publishing: 100}
	b := Budget{SamplesPerSecond: 500, Subscriptions: 3, Sampling: []time.Duration{2, 5, 7}, Publishing: 50}
	for _, got := range []Budget{a.least(b), b.least(a)} {
		if got.SamplesPerSecond != 500 || got.Sessions != 10 || got.Subscriptions != 3 || got.Publishing != 100 || !slices.Equal(got.Sampling, []time.Duration{2, 5}) {
			t.Errorf("%+v", got)
		}
	}
	if got := a.least(Budget{}); got.SamplesPerSecond != 1000 || len(got.Sampling) != 3 {
		t.Errorf("nothing is known of the other: %+v", got)
	}
}

func TestSplitPath(t *testing.T) {
	for text, want := range map[string][]string{
		"A": {"A"}, "A/B": {"A", "B"}, "A&/B/C&&D": {"A/B", "C&D"}, "": {""}, "A/": {"A", ""}, "/A": {"", "A"}, "A&": {""},
	} {
		if got := splitPath(text); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
