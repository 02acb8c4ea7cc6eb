package uplink

import (
	"context"
	"testing"

	"github.com/millgate/millgate/buffer"
	"github.com/millgate/millgate/drivers"
)

// TestFromTheQueueToTheBroker runs the real queue against the real broker.
func TestFromTheQueueToTheBroker(t *testing.T) {
	log := &logBook{}
	q, err := buffer.Open(buffer.Config{Dir: t.TempDir(), Uplinks: []string{"province"}, BlockSize: 8 << 10}, testCatalogue())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- q.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
	l, rec := listen(t, "127.0.0.1:0"), &record{}
	startBroker(t, l, rec)
	u := New(Config{ID: "province", Brokers: []string{"tcp://" + l.Addr().String()}, TopicPrefix: "millgate/v1"}, testSelf, q, log.logger())
	r := run(t, u)

	const total = 2000
	tag := testTags()[1]
	event := drivers.Event{Time: 1, Kind: drivers.EventGatewayStart, Severity: drivers.Info, Subject: "gateway", Text: drivers.EventText{ZH: "启动", EN: "started"}}
	for i := range total {
		at := 1795406401000 + int64(i)
		cycle := drivers.Cycle{Device: tag.Device, Time: at, Due: 1, Good: 1}
		if _, err := q.Append([]drivers.Reading{reading(tag, drivers.IntValue(int64(i)), at)}, []drivers.Event{event}, []drivers.Cycle{cycle}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "everything acknowledged", func() bool {
		s := q.Snapshot()
		return len(s.Uplinks) == 1 && s.Uplinks[0].PendingBlocks == 0 && s.Ledger.Uplinks[0].Acknowledged == total
	})
	r.stop()

	readings, events := 0, 0
	for _, a := range rec.arrivals() {
		if len(a.payload) > 8<<10 {
			t.Errorf("a message of %d bytes on %s", len(a.payload), a.topic)
		}
		name := a.topic[len("millgate/v1/hz-yuhang-0042/gw-01/"):]
		if name == theCatalogue {
			name = "catalogue"
		}
		if err := validate(schemaOf(t, name), a.payload); err != nil {
			t.Errorf("%s: %v", a.topic, err)
		}
		if m, err := ParseMessage(a.payload); err == nil && name != "status" {
			for _, o := range m.Readings {
				readings += len(o.Values)
			}
			events += len(m.Events)
		}
	}
	if readings != total || events < total {
		t.Errorf("%d readings and %d events arrived, want %d and at least as many", readings, events, total)
	}
	if log.count("level=WARN") != 0 {
		t.Errorf("log:\n%s", log)
	}
}
