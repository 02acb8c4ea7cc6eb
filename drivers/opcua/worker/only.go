package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	gopcua "github.com/gopcua/opcua"
	"github.com/gopcua/opcua/ua"

	"github.com/millgate/millgate/drivers/opcua"
)

// errNotARead marks a request that could change something in a server. It is a defect of the gateway to make one.
var errNotARead = errors.New("not sent: the gateway only reads")

// reads says whether a request is one of those that a worker may send: discovery, session, view, read, subscription and monitored item
// services (Part 4, 5). The session services that the library sends by itself are among them. A method call may do anything.
func reads(req ua.Request) bool {
	switch req.(type) {
	case *ua.FindServersRequest, *ua.FindServersOnNetworkRequest, *ua.GetEndpointsRequest,
		*ua.OpenSecureChannelRequest, *ua.CloseSecureChannelRequest,
		*ua.CreateSessionRequest, *ua.ActivateSessionRequest, *ua.CloseSessionRequest, *ua.CancelRequest,
		*ua.BrowseRequest, *ua.BrowseNextRequest, *ua.TranslateBrowsePathsToNodeIDsRequest,
		*ua.RegisterNodesRequest, *ua.UnregisterNodesRequest,
		*ua.ReadRequest, *ua.HistoryReadRequest,
		*ua.CreateMonitoredItemsRequest, *ua.ModifyMonitoredItemsRequest, *ua.DeleteMonitoredItemsRequest,
		*ua.SetMonitoringModeRequest, *ua.SetTriggeringRequest,
		*ua.CreateSubscriptionRequest, *ua.ModifySubscriptionRequest, *ua.SetPublishingModeRequest, *ua.DeleteSubscriptionsRequest,
		*ua.TransferSubscriptionsRequest, *ua.PublishRequest, *ua.RepublishRequest:
		return true
	}
	return false
}

// client is one connection to a server: the only way in which a request leaves the worker.
type client struct {
	c       *gopcua.Client
	server  opcua.Server
	info    endpointInfo
	limits  *limits
	timeout time.Duration // of one request

	mu         sync.Mutex
	namespaces []string

	heard atomic.Int64 // when the server last answered, ns since began
	began time.Time
}

// dial makes a client that has a secure channel and, if none is given, a new session; else it takes up that one.
func dial(ctx context.Context, s *session, kept *gopcua.Session) (*client, error) {
	raw, info, err := newClient(ctx, s.server, s.password, s.trust)
	if err != nil {
		return nil, err
	}
	c := &client{c: raw, server: s.server, info: info, limits: &s.limits, timeout: s.server.Timeout, began: time.Now()}
	if kept == nil {
		if err := info.open(ctx, raw); err != nil {
			return nil, err
		}
		return c, nil
	}
	if err = info.dial(ctx, raw); err != nil {
		return nil, err
	}
	if err = guarded(func() error { return raw.ActivateSession(ctx, kept) }); err == nil && raw.Session() == nil {
		err = errNoProof
	}
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// detach takes the session from the client, so that another can take it up, and closes the client.
func (c *client) detach() *gopcua.Session {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	kept, _ := c.c.DetachSession(ctx)
	c.close()
	return kept
}

// close ends the connection, and the session if the client has one.
func (c *client) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = guarded(func() error { return c.c.Close(ctx) })
}

func (c *client) bounds() *limits { return c.limits }

// silence is how long the server has not answered.
func (c *client) silence() time.Duration { return time.Since(c.began) - time.Duration(c.heard.Load()) }

// send gives the answer to a request, within the time-out of one request or ctx, whichever ends first. A StatusCode as an error is a service
// fault: the connection is whole.
func (c *client) send(ctx context.Context, req ua.Request) (ua.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	return c.wait(ctx, req)
}

// wait is send for a request that the server answers when it has something to say.
func (c *client) wait(ctx context.Context, req ua.Request) (resp ua.Response, err error) {
	if !reads(req) {
		return nil, fmt.Errorf("%T: %w", req, errNotARead)
	}
	err = c.c.Send(ctx, req, func(r ua.Response) error { resp = r; return nil })
	if _, fault := err.(ua.StatusCode); err == nil || fault && err != ua.StatusBadTimeout && err != ua.StatusBadServerNotConnected {
		c.heard.Store(int64(time.Since(c.began)))
	}
	if err != nil {
		return nil, err
	}
	if resp == nil {
		return nil, ua.StatusBadUnknownResponse
	}
	return resp, nil
}

// ask is send with the type of the answer.
func ask[R ua.Response](ctx context.Context, c *client, req ua.Request) (r R, err error) {
	got, err := c.send(ctx, req)
	if err != nil {
		return r, err
	}
	r, ok := got.(R)
	if !ok {
		return r, ua.StatusBadUnknownResponse
	}
	return r, nil
}
