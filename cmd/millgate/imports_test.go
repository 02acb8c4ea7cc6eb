package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/millgate/millgate/"

// room is what a package imports directly, in files that are no tests: of this module, and of other modules.
type room struct {
	inside  []string
	outside []string
}

// rooms is the floor plan: every package there is, and exactly what it imports beside the standard library. An arrow more is a
// decision, and is made here first.
var rooms = map[string]room{
	"drivers": {}, // the nouns: everybody's, so they stand on the standard library alone
	"drivers/modbus": {
		inside:  []string{"drivers"},
		outside: []string{"github.com/goburrow/modbus", "go.bug.st/serial"}, // the codec of frames, and the serial port; nobody else speaks Modbus
	},
	"drivers/opcua": {inside: []string{"drivers"}, outside: []string{"golang.org/x/sys/unix"}}, // the gateway's side of OPC UA: no protocol, so nothing that a server sends can end it
	"drivers/opcua/worker": {
		inside: []string{"drivers", "drivers/opcua"},
		outside: []string{
			"github.com/gopcua/opcua", "github.com/gopcua/opcua/ua", "github.com/gopcua/opcua/uacp",
			"github.com/gopcua/opcua/uapolicy", "github.com/gopcua/opcua/uasc", // the client; nobody else speaks OPC UA
			"golang.org/x/sys/unix",
		},
	},
	"drivers/opcua/opcuasim": {
		inside: []string{"drivers"},
		outside: []string{ // the other side of the same library, without its server package
			"github.com/gopcua/opcua/id", "github.com/gopcua/opcua/ua", "github.com/gopcua/opcua/uacp",
			"github.com/gopcua/opcua/uapolicy", "github.com/gopcua/opcua/uasc",
		},
	},
	"drivers/modbus/modbussim": {inside: []string{"drivers/modbus"}},           // the other side of the same tables
	"collector/kpi/kpisim":     {inside: []string{"collector/kpi", "drivers"}}, // the other side: what machines do, and what a gateway sees of it
	"collector/kpi":            {inside: []string{"drivers"}},                  // pure: KPIs from readings
	"collector":                {inside: []string{"collector/kpi", "drivers"}}, // knows devices as drivers only, and the queue as its Store
	"buffer": {
		inside: []string{"collector/kpi", "drivers"}, // stores readings, events, KPIs and accounts, and lets KPIs follow from readings; knows no protocol and no broker
		outside: []string{
			"github.com/klauspost/compress/zstd", "github.com/oklog/ulid/v2",
			"go.etcd.io/bbolt", "go.etcd.io/bbolt/errors", // nobody else touches the files
		},
	},
	"uplink": {
		inside: []string{"buffer", "collector/kpi", "drivers"}, // turns blocks into messages
		outside: []string{
			"github.com/eclipse/paho.mqtt.golang", "github.com/eclipse/paho.mqtt.golang/packets", "github.com/oklog/ulid/v2",
		},
	},
	"configs": {
		inside: []string{"buffer", "collector", "collector/kpi", "drivers", "drivers/modbus", "drivers/opcua", "uplink"}, // fills their Config types
		outside: []string{
			"github.com/goccy/go-yaml", "github.com/goccy/go-yaml/ast", "github.com/goccy/go-yaml/parser", "github.com/goccy/go-yaml/token",
			"golang.org/x/text/encoding/simplifiedchinese", // tables that a spreadsheet has written
		},
	},
	"cmd/millgate": {
		inside: []string{ // wires everything
			"buffer", "collector", "collector/kpi", "configs", "drivers", "drivers/modbus", "drivers/modbus/modbussim",
			"drivers/opcua", "drivers/opcua/opcuasim", "drivers/opcua/worker", "uplink",
		},
		outside: []string{
			"github.com/spf13/cobra", "golang.org/x/sys/unix",
			"github.com/eclipse/paho.mqtt.golang", "github.com/oklog/ulid/v2", // the reference subscriber
			"github.com/mochi-mqtt/server/v2", "github.com/mochi-mqtt/server/v2/hooks/auth", "github.com/mochi-mqtt/server/v2/listeners", // the demo's broker
		},
	},
	"scripts/bench": {
		inside: []string{"buffer", "drivers", "drivers/modbus", "drivers/modbus/modbussim", "uplink"}, // measures the program from outside
		outside: []string{
			"github.com/eclipse/paho.mqtt.golang",
			"github.com/gopcua/opcua", "github.com/gopcua/opcua/ua", // what a loop without a gateway costs
		},
	},
}

// TestImports compares the floor plan with the source, for every operating system.
func TestImports(t *testing.T) {
	found := readRooms(t, "../..")
	for _, name := range slices.Sorted(maps.Keys(found)) {
		plan, ok := rooms[name]
		if !ok {
			t.Errorf("package %s is not in the floor plan", name)
			continue
		}
		compare(t, name, plan.inside, found[name].inside)
		compare(t, name, plan.outside, found[name].outside)
	}
	for _, name := range slices.Sorted(maps.Keys(rooms)) {
		if _, ok := found[name]; !ok {
			t.Errorf("package %s is in the floor plan and does not exist", name)
		}
	}
}

func compare(t *testing.T, name string, plan, found []string) {
	t.Helper()
	for _, imported := range found {
		if !slices.Contains(plan, imported) {
			t.Errorf("%s imports %s, which the floor plan does not allow", name, imported)
		}
	}
	for _, allowed := range plan {
		if !slices.Contains(found, allowed) {
			t.Errorf("the floor plan lets %s import %s, which it does not: take the line out", name, allowed)
		}
	}
}

// readRooms parses the imports of every package below root that belongs to this module.
func readRooms(t *testing.T, root string) map[string]room {
	t.Helper()
	found := map[string]room{}
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() {
			_, err := os.Stat(filepath.Join(file, "go.mod"))
			if file != root && (err == nil || name == "testdata" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		dir, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			return err
		}
		dir = filepath.ToSlash(dir)
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		r := found[dir]
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			r.add(imported)
		}
		found[dir] = r
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func (r *room) add(imported string) {
	first, _, _ := strings.Cut(imported, "/")
	switch inside, ok := strings.CutPrefix(imported, module); {
	case ok && !slices.Contains(r.inside, inside):
		r.inside = append(r.inside, inside)
	case !ok && path.Ext(first) != "" && !slices.Contains(r.outside, imported): // the standard library has no domain
		r.outside = append(r.outside, imported)
	}
}
