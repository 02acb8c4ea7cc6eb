package main

import (
	"os"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/millgate/millgate/drivers/modbus"
	"github.com/millgate/millgate/drivers/modbus/modbussim"
	"github.com/millgate/millgate/drivers/opcua"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == opcua.WorkerCommand { // of a gateway in a test
		main()
	}
	testscript.Main(m, map[string]func(){"millgate": main})
}

// TestScripts runs testdata/script: what a person types, and what comes back.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Values[deviceKey{}] = &deviceValue{}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"device": scriptDevice},
	})
}

// deviceKey finds the server of one script, which scriptDevice starts.
type deviceKey struct{}

type deviceValue struct{ *modbussim.Server }

// scriptDevice is the command "device UNIT TABLE ADDRESS VALUE…": a unit of a simulated server at $DEVICE holds the values, which stand
// still.
func scriptDevice(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 4 {
		ts.Fatalf("usage: device UNIT TABLE ADDRESS VALUE...")
	}
	server := ts.Value(deviceKey{}).(*deviceValue)
	if server.Server == nil {
		var err error
		server.Server, err = modbussim.Listen("127.0.0.1:0")
		ts.Check(err)
		ts.Defer(func() { ts.Check(server.Close()) })
		ts.Setenv("DEVICE", server.Addr())
	}
	var numbers []uint16
	for _, arg := range append([]string{args[0]}, args[2:]...) {
		n, err := strconv.ParseUint(arg, 0, 16)
		ts.Check(err)
		numbers = append(numbers, uint16(n))
	}
	table, ok := modbus.ParseTable(args[1])
	if !ok {
		ts.Fatalf("no table %s", args[1])
	}
	server.Unit(uint8(numbers[0])).SetRegisters(table, numbers[1], numbers[2:])
}
