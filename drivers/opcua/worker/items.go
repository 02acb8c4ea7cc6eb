package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/millgate/millgate/drivers"
)

const (
	firstRetry = 5 * time.Second  // of a refused item: a server may still be loading its nodes
	lastRetry  = 10 * time.Minute // the longest pause
	manyEvents = 20               // of one kind that tell of one node each
)

// all is every item's index.
func (g *group) all() []int {
	all := make([]int, len(g.items))
	for i := range all {
		all[i] = i
	}
	return all
}

// resolveNodes gives the items with the given indexes their NodeIDs in this session, and their points their readers.
func (g *group) resolveNodes(ctx context.Context, uris []string, t *types, which []int) {
	ids := make([]*ua.NodeID, 0, len(which))
	resolved := make([]*ua.NodeID, len(which))
	status := make([]ua.StatusCode, len(which))
	at, lost := g.resolvePaths(ctx, uris, t.send, which)
	for i, n := range which {
		it := g.items[n]
		id, err := at[it.want.path], lost
		if it.want.path == "" {
			id, err = resolve(it.node, uris)
		} else if err == nil && id == nil {
			err = ua.StatusBadNoMatch
		}
		if err != nil {
			status[i] = ua.StatusBadNoMatch
			_ = errors.As(err, &status[i])
			continue
		}
		resolved[i] = id
		ids = append(ids, id)
	}
	if err := t.prepare(ctx, ids); err != nil {
		g.session.log.warn("the types of some values are not known", "device", g.setup.Device, "error", err.Error())
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, n := range which {
		it := g.items[n]
		it.id, it.status = resolved[i], status[i]
		for _, p := range it.points {
			point := g.setup.Points[p]
			if it.id != nil {
				point.Node = it.id.String()
			}
			g.readers[p] = newReader(point, t)
		}
	}
}

// resolveAgain looks once more for the nodes that the server did not have: it may have been loading them.
func (g *group) resolveAgain(ctx context.Context, c *client, which []int) {
	g.mu.Lock()
	var missing []int
	for _, i := range which {
		if g.items[i].id == nil {
			missing = append(missing, i)
		}
	}
	g.mu.Unlock()
	if t := g.session.types.Load(); len(missing) > 0 && t != nil {
		g.resolveNodes(ctx, c.uris(), t, missing)
	}
}

// resolvePaths gives the node of each path of the items, nil where there is none.
func (g *group) resolvePaths(ctx context.Context, uris []string, send sender, which []int) (map[string]*ua.NodeID, error) {
	var wanted []string
	for _, i := range which {
		if path := g.items[i].want.path; path != "" {
			wanted = append(wanted, path)
		}
	}
	if len(wanted) == 0 {
		return nil, nil
	}
	at, err := findPaths(ctx, send, uris, g.setup.Root, wanted)
	if err != nil {
		g.session.log.warn("the object that the paths of the map begin at is not found", "device", g.setup.Device, "error", err.Error())
	}
	return at, err
}

// monitor asks the server to monitor the items with the given indexes, and judges its answer item by item.
func (g *group) monitor(ctx context.Context, c *client, which []int) error {
	g.mu.Lock()
	id := g.sub.id
	var asked []int
	var requests []*ua.MonitoredItemCreateRequest
	for _, i := range which {
		it := g.items[i]
		if it.id == nil {
			g.refuse(it, it.status, time.Now())
			continue
		}
		asked = append(asked, i)
		requests = append(requests, it.request(i))
	}
	g.mu.Unlock()
	size := func(i int) int { return 80 + len(requests[i].ItemToMonitor.NodeID.StringID()) }
	again := make([]int, 0)
	err := c.limits.batches(len(requests), &c.limits.monitor, size, func(from, to int) error {
		got, err := ask[*ua.CreateMonitoredItemsResponse](ctx, c, &ua.CreateMonitoredItemsRequest{SubscriptionID: id, TimestampsToReturn: ua.TimestampsToReturnBoth, ItemsToCreate: requests[from:to]})
		if err == nil && len(got.Results) != to-from {
			err = ua.StatusBadUnknownResponse
		}
		if err != nil {
			return g.notMonitored(asked[from:to], err)
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		for i, r := range got.Results {
			if g.created(g.items[asked[from+i]], r) {
				again = append(again, asked[from+i])
			}
		}
		return nil
	})
	if err != nil || len(again) == 0 {
		return err
	}
	return g.monitor(ctx, c, again)
}

// request is what makes the item with index i.
func (it *item) request(i int) *ua.MonitoredItemCreateRequest {
	r := &ua.MonitoredItemCreateRequest{
		ItemToMonitor:  attribute(it.id, ua.AttributeIDValue),
		MonitoringMode: ua.MonitoringModeReporting,
		RequestedParameters: &ua.MonitoringParameters{
			ClientHandle: uint32(i), SamplingInterval: float64(it.want.sampling), QueueSize: it.want.queue, DiscardOldest: !it.want.newest,
		},
	}
	if it.want.deadband > 0 && !it.plain {
		r.RequestedParameters.Filter = ua.NewExtensionObject(&ua.DataChangeFilter{
			Trigger: ua.DataChangeTriggerStatusValue, DeadbandType: uint32(ua.DeadbandTypeAbsolute), DeadbandValue: it.want.deadband,
		})
	}
	return r
}

// notMonitored judges a service fault for some items: it is theirs, unless it is the session's or the subscription's.
func (g *group) notMonitored(which []int, err error) error {
	code, fault := err.(ua.StatusCode)
	if !fault || tooMany(err) && len(which) > 1 || linkDead(err) || sessionGone(err) {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if code == ua.StatusBadSubscriptionIDInvalid {
		g.sub.lost = true
		return nil
	}
	for _, i := range which {
		g.created(g.items[i], &ua.MonitoredItemCreateResult{StatusCode: code})
	}
	return nil
}

// created takes the server's answer for one item; again says that it is worth another attempt at once.
func (g *group) created(it *item, r *ua.MonitoredItemCreateResult) (again bool) {
	code := r.StatusCode
	switch {
	case code>>30 < 2:
		it.monitored, it.state = r.MonitoredItemID, itemMonitored
		it.sampling = max(int64(r.RevisedSamplingInterval), 1)
		if r.RevisedSamplingInterval <= 0 { // on every change
			it.sampling = it.want.sampling
		}
		g.accepted(it)
	case filterRefused(code) && it.want.deadband > 0 && !it.plain:
		it.plain = true
		return true
	case code == ua.StatusBadTooManyMonitoredItems || filterRefused(code):
		it.state, it.retry = itemPolled, time.Now()
		g.due = time.Time{}
	default:
		g.refuse(it, code, time.Now())
	}
	return false
}

// filterRefused says that the server can not do without more than it has for a monitored item of the node.
func filterRefused(code ua.StatusCode) bool {
	switch code {
	case ua.StatusBadMonitoredItemFilterUnsupported, ua.StatusBadMonitoredItemFilterInvalid, ua.StatusBadFilterNotAllowed, ua.StatusBadDeadbandFilterInvalid:
		return true
	}
	return false
}

// refuse notes that the server does not give an item, and tells of it once.
func (g *group) refuse(it *item, code ua.StatusCode, now time.Time) {
	it.pause = min(max(2*it.pause, firstRetry), lastRetry)
	it.retry = now.Add(it.pause)
	g.due = time.Time{}
	known := it.state == itemRefused && it.status == code
	it.state, it.status = itemRefused, code
	if !known {
		g.bad(it, statusCause(code), drivers.Millis(now))
	}
	if !it.told {
		it.told = true
		g.tellNode(drivers.EventNodeRefused, it, statusCause(code), statusText(code))
	}
}

// accepted notes that the server gives an item.
func (g *group) accepted(it *item) {
	it.fresh, it.pause, it.status = true, 0, ua.StatusOK
	if !it.told {
		return
	}
	it.told = false
	g.tellNode(drivers.EventNodeBack, it, "", "")
}

// tellNode makes an event of a node, but for the later ones of many at once.
func (g *group) tellNode(kind drivers.EventKind, it *item, cause drivers.Cause, status string) {
	n := 0
	for i := range g.events {
		if g.events[i].Kind == kind {
			n++
		}
	}
	name := g.setup.Device + "/" + g.tagName(it)
	switch {
	case n == manyEvents:
		name += " …"
	case n > manyEvents:
		return
	}
	e := drivers.Event{Kind: kind, Severity: drivers.Warning, Cause: cause, Count: 1, Text: drivers.EventText{
		EN: fmt.Sprintf("%s: the server does not give node %s: %s; check the node in the device map", name, it.node, status),
		ZH: fmt.Sprintf("%s：服务器不提供节点 %s：%s；请检查设备映射中的节点", name, it.node, status),
	}}
	if kind == drivers.EventNodeBack {
		e.Severity = drivers.Info
		e.Text = drivers.EventText{EN: fmt.Sprintf("%s: the server gives node %s again", name, it.node), ZH: fmt.Sprintf("%s：服务器重新提供节点 %s", name, it.node)}
	}
	g.event(e)
}

// retryDue asks again for the refused items whose pause is over. Those that the server still refuses are left alone for longer.
func (g *group) retryDue(ctx context.Context, c *client) error {
	now := time.Now()
	g.mu.Lock()
	var due []int
	var old []uint32
	for i, it := range g.items {
		if it.state == itemRefused && now.After(it.retry) {
			due = append(due, i)
			it.retry = now.Add(it.pause)
			if it.monitored != 0 {
				old = append(old, it.monitored)
				it.monitored = 0
			}
		}
	}
	id, unable := g.sub.id, g.sub.unable
	g.mu.Unlock()
	if len(due) == 0 {
		return nil
	}
	if len(old) > 0 {
		_, _ = c.send(ctx, &ua.DeleteMonitoredItemsRequest{SubscriptionID: id, MonitoredItemIDs: old})
	}
	if unable {
		g.mu.Lock()
		for _, i := range due {
			if g.items[i].id != nil {
				g.items[i].state, g.items[i].retry = itemPolled, now
				g.due = time.Time{}
			}
		}
		g.mu.Unlock()
		return nil
	}
	g.resolveAgain(ctx, c, due)
	return g.monitor(ctx, c, due)
}
