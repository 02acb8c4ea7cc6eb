package uplink

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"

	"github.com/eclipse/paho.mqtt.golang/packets"
	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	mochipackets "github.com/mochi-mqtt/server/v2/packets"
)

// realBroker is mochi with a record of what reached it.
type realBroker struct {
	*mochi.Server
	*record
	once sync.Once
}

// record is a mochi hook.
type record struct {
	mochi.HookBase
	password string // if set, the only one accepted
	cutEvery int    // if set, every so many messages the connection dies before its PUBACK

	mu       sync.Mutex
	messages []arrival
	wills    [][]byte
}

type arrival struct {
	client   *mochi.Client
	topic    string
	payload  []byte
	retained bool
}

func (r *record) ID() string { return "record" }

func (r *record) Provides(b byte) bool {
	switch b {
	case mochi.OnConnectAuthenticate, mochi.OnACLCheck, mochi.OnPublish, mochi.OnWillSent:
		return true
	}
	return false
}

func (r *record) OnConnectAuthenticate(_ *mochi.Client, pk mochipackets.Packet) bool {
	return r.password == "" || string(pk.Connect.Password) == r.password
}

func (r *record) OnACLCheck(*mochi.Client, string, bool) bool { return true }

func (r *record) OnPublish(cl *mochi.Client, pk mochipackets.Packet) (mochipackets.Packet, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.messages = append(r.messages, arrival{cl, pk.TopicName, append([]byte(nil), pk.Payload...), pk.FixedHeader.Retain})
	if r.cutEvery > 0 && len(r.messages)%r.cutEvery == 0 {
		_ = cl.Net.Conn.Close()
	}
	return pk, nil
}

func (r *record) OnWillSent(_ *mochi.Client, pk mochipackets.Packet) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wills = append(r.wills, append([]byte(nil), pk.Payload...))
}

func (r *record) arrivals() []arrival {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]arrival(nil), r.messages...)
}

func listen(t *testing.T, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func startBroker(t *testing.T, l net.Listener, r *record) *realBroker {
	t.Helper()
	b := &realBroker{Server: mochi.New(&mochi.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}), record: r}
	if err := errors.Join(b.AddHook(r, nil), b.AddListener(listeners.NewNet("net", l)), b.Serve()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.kill)
	return b
}

func (b *realBroker) kill() {
	b.once.Do(func() { _ = b.Close() })
}

// fakeBroker does to each connection what the test says.
type fakeBroker struct {
	net.Listener
	wg    sync.WaitGroup
	mu    sync.Mutex
	conns []net.Conn
}

func startFakeBroker(t *testing.T, serve func(net.Conn)) *fakeBroker {
	t.Helper()
	b := &fakeBroker{Listener: listen(t, "127.0.0.1:0")}
	b.wg.Go(func() {
		for {
			conn, err := b.Accept()
			if err != nil {
				return
			}
			b.mu.Lock()
			b.conns = append(b.conns, conn)
			b.mu.Unlock()
			b.wg.Go(func() {
				defer conn.Close()
				serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		b.Close()
		b.mu.Lock()
		for _, c := range b.conns {
			c.Close()
		}
		b.mu.Unlock()
		b.wg.Wait()
	})
	return b
}

func (b *fakeBroker) url() string { return "tcp://" + b.Addr().String() }

func (b *fakeBroker) connections() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.conns)
}

// handshake answers CONNECT with code.
func handshake(conn net.Conn, code byte) (*packets.ConnectPacket, error) {
	pk, err := packets.ReadPacket(conn)
	if err != nil {
		return nil, err
	}
	connect, ok := pk.(*packets.ConnectPacket)
	if !ok {
		return nil, errors.New("the first packet is not CONNECT")
	}
	ack := packets.NewControlPacket(packets.Connack).(*packets.ConnackPacket)
	ack.ReturnCode = code
	return connect, ack.Write(conn)
}

// readPublishes hands each PUBLISH to took and acknowledges it if that says so; it ends with the connection.
func readPublishes(conn net.Conn, took func(*packets.PublishPacket) (ack bool, err error)) {
	for {
		pk, err := packets.ReadPacket(conn)
		if err != nil {
			return
		}
		switch pk := pk.(type) {
		case *packets.PingreqPacket:
			if packets.NewControlPacket(packets.Pingresp).Write(conn) != nil {
				return
			}
		case *packets.PublishPacket:
			ack, err := took(pk)
			if err != nil {
				return
			}
			if !ack {
				continue
			}
			a := packets.NewControlPacket(packets.Puback).(*packets.PubackPacket)
			a.MessageID = pk.MessageID
			if a.Write(conn) != nil {
				return
			}
		}
	}
}
