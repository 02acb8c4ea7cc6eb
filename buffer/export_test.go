package buffer

import (
	"fmt"
	"testing"

	"github.com/millgate/millgate/collector/kpi"
)

// Followed are the processes that a test may have killed: what each does with the folder of a queue until then.
var Followed = map[string]func(dir string) error{"tally": followTallying}

// FollowUntilKilled, Disturb and SameReports are for tests that need other packages, which need this one.
var (
	FollowUntilKilled = followUntilKilled
	Disturb           = disturb
	SameReports       = sameReports
)

// Store commits blocks of readings as they are: with their numbers, their seen devices, and when a run began.
func (q *Queue) Store(blocks []kpi.Batch) error {
	tags := map[string]int{}
	for i, tag := range q.cat.tags {
		tags[tag.String()] = i
	}
	q.writer.begun = true
	for i := range blocks {
		b := &Block{Stream: Readings, Started: blocks[i].Started}
		for _, r := range blocks[i].Readings {
			at, ok := tags[r.Tag.String()]
			if !ok {
				return fmt.Errorf("the catalogue has no tag %v", r.Tag)
			}
			r.Tag = q.cat.tags[at]
			b.Readings = append(b.Readings, r)
			q.fill.account.device(r.Tag.Device).Stored++
			q.fill.account.device(r.Tag.Device).Own++
		}
		for _, s := range blocks[i].Seen {
			b.Seen = append(b.Seen, Seen(s))
		}
		q.fill.closed = append(q.fill.closed, b)
		if i%500 == 499 || i == len(blocks)-1 {
			if err := q.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// Reports are all stored ones as JSON, in order.
func Reports(t *testing.T, q *Queue) []string {
	return (&rig{t: t, Queue: q}).reports()
}
