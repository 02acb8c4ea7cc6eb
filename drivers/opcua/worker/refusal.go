package worker

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/url"
	"sync"

	"github.com/gopcua/opcua/ua"
	"github.com/gopcua/opcua/uacp"
	"github.com/gopcua/opcua/uapolicy"
	"github.com/gopcua/opcua/uasc"
)

// refusal finds out why a server ends the connection while the secure channel is being opened. It does say so (Part 6, 7.1.2.5), but the
// library gives only the end of the connection; so the channel is opened once more, through a relay that looks at what the server sends.
func (e *endpointInfo) refusal(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	r, conn, err := newRelay(ctx, e.URL)
	if err != nil {
		return errHandshakeEnd
	}
	config := e.channel
	config.Thumbprint = uapolicy.Thumbprint(e.pin)
	opened := guarded(func() error {
		if err := conn.Handshake(ctx, e.URL); err != nil {
			return err
		}
		channel, err := uasc.NewSecureChannel(e.URL, conn, &config, make(chan error, 1))
		if err != nil {
			return err
		}
		if err := channel.Open(ctx); err != nil {
			return err
		}
		return channel.Close()
	})
	_ = conn.Close()
	if said := r.wait(); said != nil {
		return said
	}
	if opened == nil || errors.Is(opened, io.EOF) {
		return errHandshakeEnd
	}
	return opened
}

// relay passes bytes between a client in this process and a server.
type relay struct {
	client, server net.Conn
	said           *uacp.Error // by the server
	done           sync.WaitGroup
}

// newRelay connects to the server; conn leads to it.
func newRelay(ctx context.Context, endpoint string) (*relay, *uacp.Conn, error) {
	dialer := newDialer()
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil, nil, err
	}
	port := u.Port()
	if port == "" {
		port = defaultPort
	}
	server, err := dialer.Dialer.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return nil, nil, err
	}
	near, far, err := loopback(ctx)
	if err != nil {
		return nil, nil, errors.Join(err, server.Close())
	}
	conn, err := uacp.NewConn(near, dialer.ClientACK)
	if err != nil {
		return nil, nil, errors.Join(err, server.Close(), near.Close(), far.Close())
	}
	r := &relay{client: far, server: server}
	r.done.Go(func() {
		_, _ = io.Copy(server, far)
		_ = server.Close()
	})
	r.done.Go(func() {
		r.said = listen(server, far)
		_ = far.Close()
	})
	return r, conn, nil
}

// loopback gives the two ends of a connection within this process.
func loopback(ctx context.Context) (near *net.TCPConn, far net.Conn, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	dialled, err := (&net.Dialer{}).DialContext(ctx, "tcp", l.Addr().String())
	if err != nil {
		return nil, nil, err
	}
	for {
		far, err = l.Accept()
		if err != nil {
			return nil, nil, errors.Join(err, dialled.Close())
		}
		if far.RemoteAddr().String() == dialled.LocalAddr().String() {
			return dialled.(*net.TCPConn), far, nil
		}
		_ = far.Close() // a stranger
	}
}

// listen copies messages until the server has no more, or tells an error, which it gives.
func listen(from io.Reader, to io.Writer) *uacp.Error {
	const head = 8 // message type, chunk type, size (Part 6, 7.1.2.2)
	for {
		message := make([]byte, head, bufferSize)
		if _, err := io.ReadFull(from, message); err != nil {
			return nil
		}
		size := binary.LittleEndian.Uint32(message[4:])
		if size < head || size > bufferSize {
			return nil
		}
		message = message[:size]
		if _, err := io.ReadFull(from, message[head:]); err != nil {
			return nil
		}
		if string(message[:3]) == "ERR" {
			said := new(uacp.Error)
			if _, err := said.Decode(message[head:]); err != nil || ua.StatusCode(said.ErrorCode) == ua.StatusOK {
				return nil
			}
			return said
		}
		if _, err := to.Write(message); err != nil {
			return nil
		}
	}
}

// wait ends when both directions have, and gives what the server has said.
func (r *relay) wait() error {
	_ = r.server.Close()
	r.done.Wait()
	if r.said == nil {
		return nil
	}
	return r.said
}
