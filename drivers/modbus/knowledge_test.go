package modbus

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/millgate/millgate/drivers"
)

// TestRetryOfAWrongClock: a gateway whose clock was years ahead does not leave a point out for years.
func TestRetryOfAWrongClock(t *testing.T) {
	cfg := Config{Device: "d", Unit: 1, Points: []Point{pointAt(HoldingRegister, 7, "uint16")}, Learned: filepath.Join(t.TempDir(), "d.json")}
	links := NewLinks()
	d, err := links.Driver(cfg)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	d.learner.forbid(span{HoldingRegister, 9, 10}, drivers.ModbusException(2), now.AddDate(10, 0, 0))
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if d, err = links.Driver(cfg); err != nil {
		t.Fatal(err)
	}
	if f := d.learner.know.nextRetry(); f.After(now.Add(time.Hour)) {
		t.Errorf("asked again %v", f)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}
