package uplink

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millgate/millgate/buffer"
	"github.com/millgate/millgate/drivers"
)

// fakeQueue hands out blocks as buffer.Cursor does.
type fakeQueue struct {
	mu     sync.Mutex
	more   chan struct{} // closed and replaced when something changes
	blocks []*buffer.Block
	next   int
	acked  map[uint64]int // seq → how often
	broken error          // for Next
	snap   buffer.Snapshot
}

func newFakeQueue(n int) *fakeQueue {
	q := &fakeQueue{more: make(chan struct{}), acked: map[uint64]int{}}
	q.snap = buffer.Snapshot{Epoch: testEpoch, Catalogue: testCatalogue().Hash(), Next: map[buffer.Stream]uint64{buffer.Readings: 1, buffer.Events: 1},
		Uplinks: []buffer.UplinkSnapshot{{ID: "other", PendingBlocks: 99}, {ID: "province", PendingBlocks: 3, OldestTime: 1795406300000}}}
	q.add(n, 1)
	return q
}

func (q *fakeQueue) add(n, readings int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	tag := testTags()[1]
	for range n {
		b := &buffer.Block{Epoch: testEpoch, Stream: buffer.Readings, Seq: uint64(len(q.blocks) + 1), Catalogue: q.snap.Catalogue}
		for i := range readings {
			b.Readings = append(b.Readings, drivers.Reading{Tag: tag, Value: drivers.IntValue(int64(i)), Quality: drivers.Good, Time: int64(i)})
		}
		q.blocks = append(q.blocks, b)
	}
	close(q.more)
	q.more = make(chan struct{})
}

func (q *fakeQueue) source() source {
	return source{next: q.Next, acknowledge: q.Acknowledge, rewind: q.Rewind, catalogue: q.Catalogue, snapshot: q.Snapshot}
}

func (q *fakeQueue) Next(ctx context.Context) (*buffer.Block, error) {
	for {
		q.mu.Lock()
		for q.next < len(q.blocks) && q.acked[q.blocks[q.next].Seq] > 0 {
			q.next++
		}
		if q.broken != nil {
			q.mu.Unlock()
			return nil, q.broken
		}
		if q.next < len(q.blocks) {
			b := q.blocks[q.next]
			q.next++
			q.mu.Unlock()
			return b, nil
		}
		more := q.more
		q.mu.Unlock()
		select {
		case <-more:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (q *fakeQueue) Acknowledge(b *buffer.Block) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.acked[b.Seq]++
}

func (q *fakeQueue) Rewind() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.next = 0
}

func (q *fakeQueue) Catalogue(hash string) ([]byte, error) {
	if c := testCatalogue(); hash == c.Hash() {
		return c.JSON(), nil
	}
	if strings.HasPrefix(hash, "other") {
		return []byte(`{"v":1}`), nil
	}
	return nil, errors.New("no such catalogue")
}

func (q *fakeQueue) Snapshot() buffer.Snapshot {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.snap
}

func (q *fakeQueue) ackedCount() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.acked)
}

func (q *fakeQueue) isAcked(seq uint64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.acked[seq] > 0
}

// fakePublisher is a connection whose broker does what the test says.
type fakePublisher struct {
	mu      sync.Mutex
	sent    []*fakeDelivery
	autoAck bool
}

type fakeDelivery struct {
	topic    string
	payload  []byte
	retained bool
	done     chan struct{}
	err      error
}

func (d *fakeDelivery) Done() <-chan struct{} { return d.done }
func (d *fakeDelivery) Error() error          { return d.err }
func (d *fakeDelivery) finish(err error)      { d.err = err; close(d.done) }

func (p *fakePublisher) Publish(topic string, payload []byte, retained bool) Delivery {
	d := &fakeDelivery{topic: strings.TrimPrefix(topic, "millgate/v1/hz-yuhang-0042/gw-01/"), payload: payload, retained: retained, done: make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = append(p.sent, d)
	if p.autoAck {
		d.finish(nil)
	}
	return d
}

func (p *fakePublisher) acknowledgeAll(yes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.autoAck = yes
}

func (p *fakePublisher) all() []*fakeDelivery {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]*fakeDelivery(nil), p.sent...)
}

func (p *fakePublisher) topics() (topics []string) {
	for _, d := range p.all() {
		topics = append(topics, d.topic)
	}
	return topics
}

// logBook is a log to look into.
type logBook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBook) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), s)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logBook) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func testUplink(q *fakeQueue, log *logBook, brokers ...string) *Uplink {
	return newUplink(Config{ID: "province", Brokers: brokers, TopicPrefix: "millgate/v1", Window: 4}, testSelf, q.source(), log.logger())
}

// eventually waits for what another goroutine is about to do.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("gave up waiting: %s", what)
}

// running is an Uplink in its own goroutine.
type running struct {
	*Uplink
	stop func()
}

func run(t *testing.T, u *Uplink) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- u.Run(ctx) }()
	var once sync.Once
	r := &running{Uplink: u, stop: func() {
		once.Do(func() {
			cancel()
			select {
			case err := <-done:
				if err != nil {
					t.Errorf("Run: %v", err)
				}
			case <-time.After(10 * time.Second):
				t.Error("Run does not end")
			}
		})
	}}
	t.Cleanup(r.stop)
	return r
}
