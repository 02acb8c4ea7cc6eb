package uplink

import (
	"encoding/json"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
	mochi "github.com/mochi-mqtt/server/v2"
)

// impatient makes the uplink try again at once.
func impatient(u *Uplink) *Uplink {
	u.timing.retryMin, u.timing.retryMax = 5*time.Millisecond, 50*time.Millisecond
	return u
}

const readingsTopic = "millgate/v1/hz-yuhang-0042/gw-01/readings"

// TestNothingIsAcknowledgedWithoutPuback: paho's tokens have been seen to end well by a reconnection alone.
func TestNothingIsAcknowledgedWithoutPuback(t *testing.T) {
	var blocks, duplicates atomic.Int32
	b := startFakeBroker(t, func(conn net.Conn) {
		connect, err := handshake(conn, packets.Accepted)
		if err != nil {
			return
		}
		if !connect.CleanSession || connect.ProtocolVersion != 4 || connect.Keepalive != 30 || connect.ClientIdentifier != "hz-yuhang-0042.gw-01" {
			t.Errorf("CONNECT %s", connect)
		}
		taken := 0
		readPublishes(conn, func(pk *packets.PublishPacket) (bool, error) {
			if pk.Dup {
				duplicates.Add(1)
			}
			if pk.TopicName != readingsTopic {
				return true, nil
			}
			blocks.Add(1)
			if taken++; taken == 3 {
				return false, errors.New("cut")
			}
			return false, nil
		})
	})
	q, log := newFakeQueue(3), &logBook{}
	u := run(t, impatient(testUplink(q, log, b.url())))
	eventually(t, "several connections", func() bool { return b.connections() > 5 })
	u.stop()
	if q.ackedCount() != 0 || u.Snapshot().Published != 0 {
		t.Errorf("%d blocks acknowledged, snapshot %+v", q.ackedCount(), u.Snapshot())
	}
	if blocks.Load() < 12 || duplicates.Load() != 0 {
		t.Errorf("%d blocks sent, %d as paho's own duplicates", blocks.Load(), duplicates.Load())
	}
	if log.count("keeps ending before the broker acknowledges this block") != 1 || log.count("connection lost") != 1 {
		t.Errorf("log:\n%s", log)
	}
}

func TestClientOptions(t *testing.T) {
	o := testUplink(newFakeQueue(0), &logBook{}, "tcp://b").options(&connection{wire: newWire(nil), ended: make(chan error, 1)}, "")
	if o.AutoReconnect || o.ConnectRetry || !o.CleanSession || o.Order || o.ProtocolVersion != 4 || len(o.Servers) != 1 {
		t.Errorf("options %+v", o)
	}
	if o.WriteTimeout != 15*time.Second || o.KeepAlive != 30 || o.PingTimeout != 10*time.Second || o.ConnectTimeout != 20*time.Second {
		t.Errorf("times %s, %d s, %s, %s", o.WriteTimeout, o.KeepAlive, o.PingTimeout, o.ConnectTimeout)
	}
	if !o.WillEnabled || !o.WillRetained || o.WillQos != 1 || o.WillTopic != "millgate/v1/hz-yuhang-0042/gw-01/status" {
		t.Errorf("will %v, retained %v, QoS %d, topic %s", o.WillEnabled, o.WillRetained, o.WillQos, o.WillTopic)
	}
}

func TestBrokerThatNeverAnswersConnect(t *testing.T) {
	b := startFakeBroker(t, func(conn net.Conn) { _, _ = conn.Read(make([]byte, 1000)); _, _ = conn.Read(make([]byte, 1)) })
	log := &logBook{}
	u := impatient(testUplink(newFakeQueue(1), log, b.url()))
	u.timing.connect = 50 * time.Millisecond
	r := run(t, u)
	eventually(t, "several attempts", func() bool { return b.connections() > 3 })
	if got := r.Snapshot(); got.Connected || !strings.Contains(got.Error, "does not answer CONNECT within 50ms") {
		t.Errorf("snapshot %+v", got)
	}
	if log.count("\n") != 1 {
		t.Errorf("log:\n%s", log)
	}
}

// startStalled is a broker that stops reading at the first block.
func startStalled(t *testing.T, stalled *atomic.Bool) *fakeBroker {
	gone := make(chan struct{})
	b := startFakeBroker(t, func(conn net.Conn) {
		_ = conn.(*net.TCPConn).SetReadBuffer(64 << 10) // the kernel would take tens of MB
		if _, err := handshake(conn, packets.Accepted); err != nil {
			return
		}
		readPublishes(conn, func(pk *packets.PublishPacket) (bool, error) {
			if pk.TopicName == readingsTopic {
				stalled.Store(true)
				<-gone
			}
			return true, nil
		})
	})
	t.Cleanup(func() { close(gone) })
	return b
}

func TestBrokerThatStopsReading(t *testing.T) {
	var stalled atomic.Bool
	b := startStalled(t, &stalled)
	q := newFakeQueue(0)
	q.add(3, 150_000) // more than any socket buffer takes
	log := &logBook{}
	u := impatient(testUplink(q, log, b.url()))
	u.timing.write, u.timing.grace = 200*time.Millisecond, 100*time.Millisecond
	run(t, u)
	eventually(t, "a second connection", func() bool { return b.connections() > 1 })
	if q.ackedCount() != 0 || log.count("connection lost") != 1 {
		t.Errorf("%d blocks acknowledged, log:\n%s", q.ackedCount(), log)
	}
}

func TestStopWhileBrokerStopsReading(t *testing.T) {
	var stalled atomic.Bool
	b := startStalled(t, &stalled)
	q := newFakeQueue(0)
	q.add(8, 150_000)
	u := testUplink(q, &logBook{}, b.url())
	u.timing.grace = 300 * time.Millisecond
	r := run(t, u)
	eventually(t, "the stall", stalled.Load)
	time.Sleep(100 * time.Millisecond) // so that Publish is waiting for the wire
	began := time.Now()
	r.stop()
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("stopping took %s", took)
	}
}

func TestRefusals(t *testing.T) {
	tests := []struct {
		code byte
		want string
	}{
		{1, "does not accept MQTT 3.1.1"},
		{2, `broker refuses the client id "hz-yuhang-0042.gw-01"`},
		{3, "service is unavailable"},
		{4, "broker refuses user name or password (check username and password_file of uplink province)"},
		{5, "broker refuses user name or password (check username and password_file of uplink province)"},
		{7, "code that MQTT 3.1.1 does not have"},
	}
	for _, tt := range tests {
		b := startFakeBroker(t, func(conn net.Conn) { _, _ = handshake(conn, tt.code); _, _ = conn.Read(make([]byte, 1)) })
		log := &logBook{}
		u := impatient(testUplink(newFakeQueue(1), log, b.url()))
		u.cfg.Username, u.cfg.Password = "gw", func() (string, error) { return "s3cret", nil }
		r := run(t, u)
		eventually(t, "several attempts", func() bool { return b.connections() > 5 })
		r.stop()
		if log.count(tt.want) != 1 && log.count(strings.ReplaceAll(tt.want, `"`, `\"`)) != 1 || log.count("\n") != 1 {
			t.Errorf("code %d: log\n%s", tt.code, log)
		}
		if log.count("s3cret") != 0 || strings.Contains(r.Snapshot().Error, "s3cret") {
			t.Errorf("code %d: the password stands in the log:\n%s", tt.code, log)
		}
	}
}

func TestWrongThenRightPassword(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	startBroker(t, l, &record{password: "right"})
	var password atomic.Value
	password.Store("")
	q, log := newFakeQueue(3), &logBook{}
	u := impatient(testUplink(q, log, "tcp://"+l.Addr().String()))
	u.cfg.Username = "gw"
	u.cfg.Password = func() (string, error) {
		if p := password.Load().(string); p != "" {
			return p, nil
		}
		return "", errors.New("password_file province.password: no such file")
	}
	r := run(t, u)
	eventually(t, "the missing file told", func() bool { return log.count("no such file") > 0 })
	password.Store("wrong")
	eventually(t, "the refusal told", func() bool { return log.count("refuses user name or password") > 0 })
	password.Store("right")
	eventually(t, "delivery", func() bool { return q.ackedCount() == 3 })
	r.stop()
	if log.count("no such file") != 1 || log.count("refuses user name or password") != 1 || log.count("msg=connected") != 1 {
		t.Errorf("log:\n%s", log)
	}
}

// TestBrokerComesLaterAndDies: nothing is lost, and what arrives on one connection is in order.
func TestBrokerComesLaterAndDies(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	const total = 400
	q, log := newFakeQueue(total/2), &logBook{}
	r := run(t, impatient(testUplink(q, log, "tcp://127.0.0.1:1", "tcp://"+address)))
	eventually(t, "the outage told", func() bool { return log.count("refuses the connection") == 2 })

	rec := &record{cutEvery: 90}
	for life := range 3 {
		b := startBroker(t, listen(t, address), rec)
		eventually(t, "arrivals", func() bool { return len(rec.arrivals()) > life*total/8 })
		if life < 2 {
			b.kill()
		}
	}
	q.add(total/2, 1)
	eventually(t, "delivery", func() bool { return q.ackedCount() == total })
	r.stop()
	checkArrivals(t, rec.arrivals(), total)
	if got := r.Snapshot().Published; got < total {
		t.Errorf("published %d, want at least %d", got, total)
	}
}

func checkArrivals(t *testing.T, arrivals []arrival, total int) {
	t.Helper()
	first := map[uint64]bool{}
	last := map[*mochi.Client]uint64{}
	catalogue := map[*mochi.Client]bool{}
	for _, a := range arrivals {
		if strings.Contains(a.topic, "/catalogue/") {
			catalogue[a.client] = true
		}
		if a.topic != readingsTopic {
			continue
		}
		m, err := ParseMessage(a.payload)
		if err != nil {
			t.Fatal(err)
		}
		if !catalogue[a.client] {
			t.Fatalf("block %d came before its catalogue", m.Seq)
		}
		if m.Seq <= last[a.client] {
			t.Fatalf("block %d came after %d on one connection", m.Seq, last[a.client])
		}
		last[a.client] = m.Seq
		first[m.Seq] = true
	}
	if len(first) != total {
		t.Errorf("%d blocks arrived, want %d", len(first), total)
	}
	if len(last) < 3 {
		t.Errorf("only %d connections carried blocks", len(last))
	}
}

func TestWillAndStatusCarryTheSession(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	rec := &record{}
	b := startBroker(t, l, rec)
	r := run(t, impatient(testUplink(newFakeQueue(1), &logBook{}, "tcp://"+l.Addr().String())))
	statuses := func() (list []Status) {
		for _, a := range rec.arrivals() {
			var st Status
			if strings.HasSuffix(a.topic, "/status") && json.Unmarshal(a.payload, &st) == nil && a.retained {
				list = append(list, st)
			}
		}
		return list
	}
	eventually(t, "online", func() bool { return len(statuses()) == 1 })
	client, ok := b.Clients.Get("hz-yuhang-0042.gw-01")
	if !ok {
		t.Fatal("no client with the default id")
	}
	client.Stop(errors.New("cut"))
	eventually(t, "online again", func() bool { return len(statuses()) == 2 })
	r.stop()

	all := statuses()
	if len(all) != 3 || all[0].State != stateOnline || all[1].State != stateOnline || all[2].State != stateOffline || all[2].Time == 0 {
		t.Fatalf("statuses %+v", all)
	}
	if all[0].Session == all[1].Session || all[1].Session != all[2].Session {
		t.Errorf("sessions %s, %s, %s", all[0].Session, all[1].Session, all[2].Session)
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if want := `{"v":1,"state":"offline","session":"` + all[0].Session + `"}`; len(rec.wills) != 1 || string(rec.wills[0]) != want {
		t.Errorf("wills %s, want %s once", rec.wills, want)
	}
}

func TestReasonsOfTheNetwork(t *testing.T) {
	hangUp := startFakeBroker(t, func(conn net.Conn) { _, _ = conn.Read(make([]byte, 1000)) })
	garbage := startFakeBroker(t, func(conn net.Conn) {
		_, _ = conn.Read(make([]byte, 1000))
		_, _ = conn.Write([]byte{packets.Pingresp << 4, 0})
	})
	tests := []struct{ broker, want string }{
		{"tcp://no-such-host.invalid:1883", "the name no-such-host.invalid can not be resolved"},
		{"tcp://127.0.0.1:1", "tcp://127.0.0.1:1 refuses the connection"},
		{hangUp.url(), "the broker hangs up instead of answering CONNECT"},
		{garbage.url(), "does not answer as an MQTT broker does"},
		{"http://127.0.0.1", "must begin with tcp:// or ssl://"},
	}
	for _, tt := range tests {
		u := testUplink(newFakeQueue(0), &logBook{}, tt.broker)
		c, err := u.connect(t.Context(), tt.broker)
		if err == nil {
			c.close()
			t.Errorf("%s: connected", tt.broker)
			continue
		}
		if got := u.reason(tt.broker, err); !strings.Contains(got, tt.want) {
			t.Errorf("%s: %s", tt.broker, got)
		}
	}
}

func TestRunWithoutBroker(t *testing.T) {
	if err := testUplink(newFakeQueue(0), &logBook{}).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "names no broker") {
		t.Errorf("got %v", err)
	}
}

func TestWireTellsPahoNothing(t *testing.T) {
	near, far := net.Pipe()
	w := newWire(near)
	var wg sync.WaitGroup
	wg.Go(func() { _ = far.Close() })
	if _, err := w.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Read says %v", err)
	}
	wg.Wait()
	w.drop()
	if <-w.lost; w.cause == nil || errors.Is(w.cause, errDropped) {
		t.Errorf("cause %v, want the first one", w.cause)
	}
}
