package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millgate/millgate/buffer"
	"github.com/millgate/millgate/configs"
)

// newFollower computes the KPIs of the site's equipment and accounts from what the queue has committed; nil if the site has none.
func newFollower(site *configs.Site, queue *buffer.Queue) (*buffer.Follower, error) {
	if site.KPI == nil {
		return nil, nil
	}
	plan, err := newPlan(site.KPI)
	if err != nil {
		return nil, fmt.Errorf("prepare the KPIs: %w", err)
	}
	return queue.Follower(plan, kpiFolder(site.DataDir)), nil
}

// computeKPIs runs the follower until ctx is done. One that fails takes nobody with it.
func (g *gateway) computeKPIs(ctx context.Context) error {
	if g.follower == nil {
		return nil
	}
	if err := g.follower.Run(ctx); err != nil {
		g.log.Error("readings are polled and published all the same; after a restart the KPIs go on where they ended", "error", err)
	}
	return nil
}

// lastCommit is how long a stop waits for the commit of what was read last, so that KPIs follow from it.
const lastCommit = 3 * time.Second

// awaitCommit waits until everything up to pos is committed.
func (g *gateway) awaitCommit(pos uint64) {
	ctx, cancel := context.WithTimeout(context.Background(), lastCommit)
	defer cancel()
	if err := g.queue.Await(ctx, pos); errors.Is(err, context.DeadlineExceeded) {
		g.log.Warn("the disk is slow: the KPIs of what was read last are computed at the next start")
	}
}
