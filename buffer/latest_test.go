package buffer

import (
	"testing"

	"github.com/millgate/millgate/drivers"
)

// TestLatest: of the devices that are asked for, the newest stored reading of each tag counts, whatever the order in which they were
// stored; bad ones do not, and neither does what is not durable.
func TestLatest(t *testing.T) {
	r := newRig(t, nil)
	for range 3 {
		r.append(0, 8)
		r.append(1, 8)
		r.commit()
	}
	late := r.readings(0, 1)[0]
	late.Time = 1
	bad := drivers.BadReading(late.Tag, drivers.CauseTimeout, r.tick+1000)
	if _, err := r.Append([]drivers.Reading{late, bad}, nil, []drivers.Cycle{{Device: late.Tag.Device, Due: 2, Good: 1, Bad: []drivers.CauseCount{{Cause: drivers.CauseTimeout, N: 1}}}}); err != nil {
		t.Fatal(err)
	}
	r.commit()
	want := r.tick - 2 // of device 0, which was not the last to be read
	r.append(0, 8)     // and is not committed
	r.reopen()
	device := late.Tag.Device
	latest, err := r.Latest(map[string]bool{device: true})
	if err != nil || len(latest) != 1 {
		t.Fatalf("%v, %v", latest, err)
	}
	if got := latest[device][late.Tag.Name]; got != want {
		t.Errorf("%v was last stored at %d, want %d", late.Tag, got, want)
	}
	if none, err := r.Latest(nil); err != nil || len(none) != 0 {
		t.Errorf("of no devices: %v, %v", none, err)
	}
}
