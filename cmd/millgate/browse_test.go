package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millgate/millgate/configs"
	"github.com/millgate/millgate/drivers/opcua"
)

var updateMaps = flag.Bool("update-maps", false, "write the maps that the tests of browse compare with")

// recordedServer answers as a real server did whose answer is in a file of testdata/browse.
type recordedServer struct {
	file  string
	err   error
	asked opcua.BrowseRequest
	at    opcua.Server
}

func (r *recordedServer) Ask(_ context.Context, server opcua.Server, q opcua.Question, each func(opcua.Answer)) error {
	r.at = server
	if err := json.Unmarshal(q.With, &r.asked); err != nil || q.What != opcua.AskBrowse {
		return errors.New("an odd question")
	}
	each(opcua.Answer{With: []byte(`{"seen":10,"variables":3}`)})
	if r.err != nil {
		return r.err
	}
	result, err := os.ReadFile(filepath.Join("testdata", "browse", r.file))
	if err != nil {
		return err
	}
	each(opcua.Answer{With: []byte(`{"seen":51,"variables":36,"result":` + string(result) + `}`)})
	each(opcua.Answer{Done: true})
	return nil
}

// browseWith runs the command against the server.
func browseWith(server *recordedServer, args ...string) (stdout, stderr string, err error) {
	var out, messages bytes.Buffer
	cmd := browseCommand(server, func(site, device string) (opcua.Server, error) {
		return opcua.Server{Endpoint: "opc.tcp://" + device + ".of." + site + ":4840"}, nil
	})
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&messages)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err = cmd.Execute()
	return out.String(), messages.String(), err
}

func TestBrowseMaps(t *testing.T) {
	for _, name := range []string{"machine-tool", "plant"} {
		for _, format := range []string{"csv", "yaml"} {
			t.Run(name+"."+format, func(t *testing.T) {
				got, _, err := browseWith(&recordedServer{file: name + ".json"}, "opc.tcp://10.0.0.1", "-o", format)
				if err != nil {
					t.Fatal(err)
				}
				golden := filepath.Join("testdata", "browse", name+"."+format)
				if *updateMaps {
					if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(golden)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := configs.ReadMapTable(golden); err != nil {
					t.Errorf("the map can not be read again: %v", err)
				}
				if got != string(want) {
					t.Errorf("the map is not that in %s (go test -update-maps writes it):\n%s", golden, got)
				}
			})
		}
	}
}

func TestBrowseIntoFile(t *testing.T) {
	server := &recordedServer{file: "machine-tool.json"}
	file := filepath.Join(t.TempDir(), "cnc.csv")
	stdout, stderr, err := browseWith(server, "site.yaml", "cnc-1", "-o", file, "--from", "i=85", "--filter", "x*")
	if err != nil || stdout != "" {
		t.Fatal(err, stdout)
	}
	if server.at.Endpoint != "opc.tcp://cnc-1.of.site.yaml:4840" || server.asked.From != "i=85" || server.asked.Filter != "x*" || server.asked.Max != opcua.DefaultBrowseNodes {
		t.Errorf("asked %+v at %s", server.asked, server.at.Endpoint)
	}
	if !strings.Contains(stderr, "found 数控车床01 (OPC 40501-1, nsu=urn:vm:NodeOPCUA-Server;i=1000) with 16 known tags") || !strings.Contains(stderr, "16 tags") {
		t.Errorf("messages: %s", stderr)
	}
	text, err := os.ReadFile(file)
	if err != nil || !strings.HasPrefix(string(text), "\ufeff\"## 数控车床01") {
		t.Errorf("%v: %.40q", err, text)
	}
	if _, _, err := browseWith(server, "site.yaml", "cnc-1", "-o", file); err == nil || !strings.Contains(err.Error(), "there already") {
		t.Errorf("a file that is there was written over: %v", err)
	}
	stdout, _, err = browseWith(server, "opc.tcp://10.0.0.1", "-o", "json")
	var result opcua.BrowseResult
	if err := json.Unmarshal([]byte(stdout), &result); err != nil || len(result.Rows) != 16 {
		t.Errorf("json: %v, %d rows", err, len(result.Rows))
	}
	if err != nil {
		t.Error(err)
	}
}

func TestBrowseMistakes(t *testing.T) {
	dir := t.TempDir()
	open := filepath.Join(dir, "open.password")
	if err := os.WriteFile(open, []byte("secret\n"), 0o604); err != nil {
		t.Fatal(err)
	}
	server := &recordedServer{file: "plant.json"}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{}, "missing"},
		{[]string{"10.0.0.1:4840"}, "write it as opc.tcp://"},
		{[]string{"opc.tcp://u:p@10.0.0.1"}, "write it as opc.tcp://"},
		{[]string{"opc.tcp://10.0.0.1", "--policy", "Basic"}, "--policy"},
		{[]string{"opc.tcp://10.0.0.1", "--mode", "Encrypt"}, "--mode"},
		{[]string{"opc.tcp://10.0.0.1", "--policy", "None"}, "go together"},
		{[]string{"opc.tcp://10.0.0.1", "--policy", "Basic256"}, "no longer secure"},
		{[]string{"opc.tcp://10.0.0.1", "--password-file", open}, "--user"},
		{[]string{"opc.tcp://10.0.0.1", "--cert-file", open}, "--key-file"},
		{[]string{"opc.tcp://10.0.0.1", "-o", "map.xlsx"}, ".csv, .yaml or .json"},
	} {
		if _, _, err := browseWith(server, c.args...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q", c.args, err, c.want)
		}
	}
	if _, _, err := browseWith(server, "opc.tcp://10.0.0.1", "--user", "u", "--password-file", open); err != nil {
		t.Fatal(err)
	}
	if _, err := server.at.User.Password(); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a password that everybody may read: %v", err)
	}
	if err := os.Chmod(open, 0o600); err != nil {
		t.Fatal(err)
	}
	if p, err := server.at.User.Password(); p != "secret" || err != nil || server.at.Endpoint != "opc.tcp://10.0.0.1:4840" {
		t.Errorf("%q %v %s", p, err, server.at.Endpoint)
	}
	server.err = errors.New("the server's certificate is not trusted yet")
	if stdout, _, err := browseWith(server, "opc.tcp://10.0.0.1"); err == nil || !strings.Contains(err.Error(), "opc.tcp://10.0.0.1:4840: the server's certificate") || stdout != "" {
		t.Errorf("a failure: %v, %q", err, stdout)
	}
}
