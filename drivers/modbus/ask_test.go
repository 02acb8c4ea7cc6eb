package modbus_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/modbus"
)

func TestAsker(t *testing.T) {
	server := newSite(t)
	server.Unit(1).SetRegisters(modbus.HoldingRegister, 100, []uint16{7, 8, 9})
	server.Unit(2).SetRegisters(modbus.Coil, 3, []uint16{1, 0, 1, 1, 0, 0, 0, 0, 1})
	asker := server.links.Asker(at(server.Addr()), 5*time.Second)
	ctx := context.Background()
	for range 3 {
		got, err := asker.Ask(ctx, 1, modbus.Request{Table: modbus.HoldingRegister, Address: 100, Quantity: 3})
		if err != nil || !slices.Equal(got, []uint16{7, 8, 9}) {
			t.Errorf("registers %v, %v", got, err)
		}
		got, err = asker.Ask(ctx, 2, modbus.Request{Table: modbus.Coil, Address: 3, Quantity: 9})
		if err != nil || !slices.Equal(got, []uint16{1, 0, 1, 1, 0, 0, 0, 0, 1}) {
			t.Errorf("coils %v, %v", got, err)
		}
		_, err = asker.Ask(ctx, 1, modbus.Request{Table: modbus.InputRegister, Address: 100, Quantity: 1})
		if drivers.CauseOf(err) != drivers.ModbusException(2) {
			t.Errorf("a register that is not there: %v", err)
		}
		if id, err := asker.Identify(ctx, 2); err != nil || id.Product != "modbussim" {
			t.Errorf("%+v, %v", id, err)
		}
	}
	if n := server.Stats().Connections; n != 1 {
		t.Errorf("%d connections for one asker", n)
	}
	before := server.Stats().Requests
	for _, r := range []modbus.Request{{Table: 9, Quantity: 1}, {}, {Table: modbus.HoldingRegister, Quantity: 126},
		{Table: modbus.HoldingRegister, Address: 65535, Quantity: 2}, {Table: modbus.Coil, Quantity: 2001}} {
		if _, err := asker.Ask(ctx, 1, r); err == nil {
			t.Errorf("%+v was asked", r)
		}
	}
	if n := server.Stats().Requests; n != before {
		t.Errorf("%d requests left that no device can answer", n-before)
	}
	if err := asker.Close(); err != nil {
		t.Error(err)
	}
	if err := asker.Close(); err != nil {
		t.Error(err)
	}
}
