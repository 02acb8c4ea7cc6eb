package worker

import (
	"errors"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	gotypes "go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	gopcua "github.com/gopcua/opcua"
	"github.com/gopcua/opcua/ua"
)

// TestEveryRequestType holds each request that the library knows against what OPC UA says of its service: none that may change anything in a
// server is sent. A type that is in neither list is new in the library, and somebody has to decide.
func TestEveryRequestType(t *testing.T) {
	allowed := "FindServers FindServersOnNetwork GetEndpoints OpenSecureChannel CloseSecureChannel CreateSession ActivateSession CloseSession Cancel " +
		"Browse BrowseNext TranslateBrowsePathsToNodeIDs RegisterNodes UnregisterNodes Read HistoryRead CreateMonitoredItems ModifyMonitoredItems " +
		"SetMonitoringMode SetTriggering DeleteMonitoredItems CreateSubscription ModifySubscription SetPublishingMode Publish Republish " +
		"TransferSubscriptions DeleteSubscriptions"
	refused := "RegisterServer RegisterServer2 AddNodes AddReferences DeleteNodes DeleteReferences QueryFirst QueryNext Write HistoryUpdate Call"
	want := make(map[string]bool)
	for _, name := range strings.Fields(allowed) {
		want[name] = true
	}
	for _, name := range strings.Fields(refused) {
		want[name] = false
	}
	seen := make(map[string]bool)
	for id := range 1 << 16 {
		id := uint16(id)
		body := []byte{1, 0, byte(id), byte(id >> 8)}
		_, v, err := ua.DecodeService(append(body, make([]byte, 4096)...))
		req, ok := v.(ua.Request)
		if err != nil || !ok {
			continue
		}
		name := strings.TrimSuffix(reflect.TypeOf(req).Elem().Name(), "Request")
		seen[name] = true
		may, known := want[name]
		if !known {
			t.Errorf("nobody has decided whether %s may be sent", name)
		}
		if reads(req) != may {
			t.Errorf("%s: sent %v, want %v", name, reads(req), may)
		}
		if !may {
			if _, err := (&client{}).wait(t.Context(), req); !errors.Is(err, errNotARead) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	for name := range want {
		if !seen[name] {
			t.Errorf("the library has no %sRequest: it was not tried", name)
		}
	}
}

// TestOnePlaceSends reads the source: the services of the library's client are called in only.go alone, but for the making of a connection
// and a session, whose requests are the library's own.
func TestOnePlaceSends(t *testing.T) {
	handshake := map[string]bool{ // in connect.go and what belongs to it
		"Client.Dial": true, "Client.Close": true, "Client.CreateSession": true, "Client.ActivateSession": true, "Client.Session": true,
		"Client.SecureChannel": true, "SecureChannel.SendRequest": true, "Client.DetachSession": true, "SecureChannel.Open": true,
		"SecureChannel.Close": true,
	}
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	files := token.NewFileSet()
	var parsed []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") || strings.HasSuffix(name, "_other.go") {
			continue
		}
		file, err := parser.ParseFile(files, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, file)
	}
	info := gotypes.Info{Selections: make(map[*ast.SelectorExpr]*gotypes.Selection)}
	checker := gotypes.Config{Importer: compiled(t, files)}
	if _, err := checker.Check("worker", files, parsed, &info); err != nil {
		t.Fatal(err)
	}
	library := reflect.TypeFor[gopcua.Client]().PkgPath()
	sends := 0
	for at, s := range info.Selections {
		f, ok := s.Obj().(*gotypes.Func)
		if !ok || f.Pkg() == nil || !strings.HasPrefix(f.Pkg().Path(), library) {
			continue
		}
		recv := s.Recv()
		if p, ok := recv.(*gotypes.Pointer); ok {
			recv = p.Elem()
		}
		named, ok := recv.(*gotypes.Named)
		if !ok || named.Obj().Name() != "Client" && named.Obj().Name() != "SecureChannel" && named.Obj().Name() != "Node" {
			continue
		}
		call, place := named.Obj().Name()+"."+f.Name(), files.Position(at.Pos())
		switch file := filepath.Base(place.Filename); {
		case call == "Client.Send" && file == "only.go":
			sends++
		case !handshake[call]:
			t.Errorf("%s: %s leads past client.wait", place, call)
		case call == "SecureChannel.SendRequest" && file != "connect.go":
			t.Errorf("%s: %s leads past client.wait", place, call)
		}
	}
	if sends != 1 {
		t.Errorf("only.go calls Client.Send %d times, want 1", sends)
	}
}

// compiled imports what the package is built from.
func compiled(t *testing.T, files *token.FileSet) gotypes.Importer {
	t.Helper()
	list, err := exec.Command("go", "list", "-export", "-deps", "-f", "{{.ImportPath}} {{.Export}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	export := make(map[string]string)
	for line := range strings.Lines(string(list)) {
		path, file, _ := strings.Cut(strings.TrimSpace(line), " ")
		export[path] = file
	}
	return importer.ForCompiler(files, "gc", func(path string) (io.ReadCloser, error) { return os.Open(export[path]) })
}
