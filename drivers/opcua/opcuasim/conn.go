package opcuasim

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/gopcua/opcua/ua"
	"github.com/gopcua/opcua/uacp"
	"github.com/gopcua/opcua/uasc"
)

// conn is one client's connection. One goroutine reads and answers requests, one writes.
type conn struct {
	server  *Server
	tcp     *net.TCPConn
	channel *uasc.SecureChannel
	policy  *uasc.Config // as the client has chosen; the reader's
	out     chan answer
	once    sync.Once
	done    chan struct{} // closed with the connection
}

type answer struct {
	request  uint32
	response ua.Response
}

const (
	helloTimeout = 10 * time.Second
	outgoing     = 256 // answers that wait for a client

	bufferSize = 65536    // of a chunk; a multiple of the block size, as encryption needs it
	maxMessage = 64 << 20 // bytes
	maxChunks  = 4096
)

func (s *Server) accept() {
	for {
		tcp, err := s.listener.AcceptTCP()
		if err != nil {
			return // closed
		}
		c := &conn{server: s, tcp: tcp, out: make(chan answer, outgoing), done: make(chan struct{})}
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			c.close()
			return
		}
		s.conns[c] = struct{}{}
		s.stats.Connections++
		id := s.nextID()
		s.mu.Unlock()
		s.running.Go(func() { c.serve(id) })
	}
}

func (c *conn) close() {
	c.once.Do(func() {
		close(c.done)
		_ = c.tcp.Close() // it has ended either way
	})
}

// serve answers until the connection ends. What the library can not take apart, and what it panics on, ends only this connection.
func (c *conn) serve(id uint32) {
	var writer sync.WaitGroup
	defer func() {
		_ = recover()
		c.close()
		writer.Wait()
		c.server.mu.Lock()
		defer c.server.mu.Unlock()
		delete(c.server.conns, c)
	}()
	if err := c.open(id); err != nil {
		return
	}
	writer.Go(c.write)
	for {
		message := c.channel.Receive(context.Background())
		if message.Err != nil {
			return
		}
		if request := message.Request(); request != nil {
			c.server.handle(c, message.RequestID, request)
		}
	}
}

// open shakes hands (Part 6, 7.1.3) and makes the secure channel, which opens with the client's first message.
func (c *conn) open(id uint32) error {
	ack := &uacp.Acknowledge{ReceiveBufSize: bufferSize, SendBufSize: bufferSize, MaxMessageSize: maxMessage, MaxChunkCount: maxChunks}
	wire, err := uacp.NewConn(c.tcp, ack)
	if err != nil {
		return err
	}
	if err := c.tcp.SetDeadline(time.Now().Add(helloTimeout)); err != nil {
		return err
	}
	message, err := wire.Receive()
	if err != nil {
		return err
	}
	var hello uacp.Hello
	if string(message[:4]) != "HELF" {
		return errors.New("the client did not say hello")
	}
	if _, err := hello.Decode(message[8:]); err != nil {
		return err
	}
	ack.SendBufSize = min(ack.SendBufSize, hello.ReceiveBufSize) &^ 15
	if err := wire.Send("ACKF", ack); err != nil {
		return err
	}
	if err := c.tcp.SetDeadline(time.Time{}); err != nil {
		return err
	}
	c.policy = &uasc.Config{
		SecurityPolicyURI: ua.SecurityPolicyURINone, SecurityMode: ua.MessageSecurityModeNone,
		Certificate: slices.Clip(c.server.certificate), LocalKey: c.server.key,
	}
	c.channel, err = uasc.NewServerSecureChannel("", wire, c.policy, make(chan error, 1), id, 1, id)
	return err
}

// write lets the reader go on while the client does not take what is sent.
func (c *conn) write() {
	for {
		select {
		case a := <-c.out:
			if err := c.channel.SendResponseWithContext(context.Background(), a.request, a.response); err != nil {
				c.close()
				return
			}
		case <-c.done:
			return
		}
	}
}

// send never waits: a client that does not read its answers loses the connection.
func (c *conn) send(request uint32, response ua.Response) {
	select {
	case c.out <- answer{request, response}:
	default:
		c.close()
	}
}

// handle answers a request. All but discovery and the making of a session need one that is active on this connection.
func (s *Server) handle(c *conn, id uint32, request ua.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Requests++
	response, err := s.answer(c, id, request)
	if err != nil {
		code, ok := err.(ua.StatusCode)
		if !ok {
			code = ua.StatusBadUnexpectedError
		}
		response = &ua.ServiceFault{ResponseHeader: header(request, code)}
	}
	if response != nil {
		c.send(id, response)
	}
}

func (s *Server) answer(c *conn, id uint32, request ua.Request) (ua.Response, error) {
	if !s.offers(c.policy) {
		return nil, ua.StatusBadSecurityPolicyRejected
	}
	switch r := request.(type) {
	case *ua.GetEndpointsRequest:
		return &ua.GetEndpointsResponse{ResponseHeader: header(r, ua.StatusOK), Endpoints: s.endpoints(r.EndpointURL)}, nil
	case *ua.FindServersRequest:
		return &ua.FindServersResponse{
			ResponseHeader: header(r, ua.StatusOK), Servers: []*ua.ApplicationDescription{s.endpoints(r.EndpointURL)[0].Server},
		}, nil
	case *ua.CreateSessionRequest:
		return s.createSession(c, r)
	}
	session, err := s.sessionOf(c, request)
	if err != nil {
		return nil, err
	}
	switch r := request.(type) {
	case *ua.ActivateSessionRequest:
		return s.activateSession(c, session, r)
	case *ua.CloseSessionRequest:
		s.endSession(session, ua.StatusBadSessionClosed)
		return &ua.CloseSessionResponse{ResponseHeader: header(r, ua.StatusOK)}, nil
	case *ua.ReadRequest:
		return s.read(r)
	case *ua.BrowseRequest:
		return s.browse(session, r)
	case *ua.BrowseNextRequest:
		return s.browseNext(session, r), nil
	case *ua.TranslateBrowsePathsToNodeIDsRequest:
		return s.translate(r)
	case *ua.RegisterNodesRequest:
		return &ua.RegisterNodesResponse{ResponseHeader: header(r, ua.StatusOK), RegisteredNodeIDs: r.NodesToRegister}, nil
	case *ua.UnregisterNodesRequest:
		return &ua.UnregisterNodesResponse{ResponseHeader: header(r, ua.StatusOK)}, nil
	case *ua.CreateSubscriptionRequest:
		return s.createSubscription(session, r), nil
	case *ua.DeleteSubscriptionsRequest:
		return s.deleteSubscriptions(session, r), nil
	case *ua.CreateMonitoredItemsRequest:
		return s.createItems(session, r)
	case *ua.DeleteMonitoredItemsRequest:
		return s.deleteItems(session, r)
	case *ua.PublishRequest:
		return s.publish(session, publishRequest{conn: c, id: id, request: r})
	case *ua.RepublishRequest:
		return republish(session, r)
	}
	return nil, ua.StatusBadServiceUnsupported
}

// header is that of a response (Part 4, 7.33).
func header(request ua.Request, status ua.StatusCode) *ua.ResponseHeader {
	return &ua.ResponseHeader{
		Timestamp: time.Now(), RequestHandle: request.Header().RequestHandle, ServiceResult: status,
		ServiceDiagnostics: &ua.DiagnosticInfo{}, StringTable: []string{}, AdditionalHeader: ua.NewExtensionObject(nil),
	}
}
