package collector

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millgate/millgate/drivers"
)

// outlet hands over to the Store, for all loops, and says once when the Store begins to refuse readings and once when it ends.
type outlet struct {
	store Store
	log   *slog.Logger

	refusing atomic.Bool
	mu       sync.Mutex // guards what follows, and each change of refusing
	refused  uint64     // readings, since refusing began
	since    time.Time
}

// append is Store.Append; ok is false if the readings were refused.
func (o *outlet) append(readings []drivers.Reading, events []drivers.Event, cycles []drivers.Cycle) (pos uint64, ok bool) {
	pos, err := o.store.Append(readings, events, cycles)
	if len(readings) == 0 {
		return pos, true // an error speaks of readings only
	}
	if err != nil {
		o.refuse(uint64(len(readings)), err)
		return pos, false
	}
	if o.refusing.Load() {
		o.resume()
	}
	return pos, true
}

func (o *outlet) refuse(n uint64, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.refused += n
	if o.refusing.Swap(true) {
		return
	}
	o.since = time.Now()
	o.log.Error("readings are being refused and counted as lost; check the disk of data_dir: its speed, its free space, its health", "error", err)
	event := drivers.Event{
		Time: drivers.Millis(o.since), Kind: drivers.EventBackPressure, Severity: drivers.Severe, Subject: "queue",
		Cause: drivers.CauseBackPressure, Count: n,
		Text: drivers.EventText{
			ZH: "磁盘写入跟不上，新读数无法保存，已计入损失。请检查 data_dir 所在磁盘的速度、剩余空间和健康状况。",
			EN: "The disk does not keep up: new readings can not be kept and are counted as lost. Check the disk of data_dir: its speed, " +
				"its free space, its health.",
		},
	}
	_, _ = o.store.Append(nil, []drivers.Event{event}, nil) // events are always taken
}

func (o *outlet) resume() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.refusing.Swap(false) {
		return
	}
	o.log.Info("readings are being kept again", "lost", o.refused, "after", time.Since(o.since).Round(time.Millisecond))
	o.refused = 0
}
