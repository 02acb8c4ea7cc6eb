package main_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/millgate/millgate/buffer"
)

// testBrokerOutage takes the broker away at the start and again for a minute: nothing is missing at the subscriber.
func testBrokerOutage(t *testing.T) {
	t.Parallel()
	const outage = time.Minute
	b := newBroker(t)
	r := record(t, b)
	b.kill(t)

	counter, port := newCounter(t), freePort(t)
	startPymodbus(t, "tcp", fmt.Sprint(port))
	s := writeSite(t, t.TempDir(), "commit_interval: 1s", b.uplink(),
		counterDevice("counter", counter.Addr(), 200*time.Millisecond)+peerDevice(t, "peer", "tcp://"+local(port)))
	gateway := s.run(t)
	time.Sleep(3 * time.Second) // down at the start
	b.start(t)
	eventually(t, 30*time.Second, "blocks arrive after the start", func() bool { return r.count(buffer.Readings) > 3 })

	b.hang(t) // what is sent now reaches a broker that will never see it
	time.Sleep(3 * time.Second)
	b.kill(t)
	before := r.count(buffer.Readings)
	time.Sleep(outage)
	b.start(t)
	back := time.Now()
	eventually(t, 90*time.Second, "the backlog arrives", func() bool { return r.newest() > back.UnixMilli() })
	t.Logf("%d blocks before the outage of %v; the newest is there %v after it", before, outage, time.Since(back).Round(time.Millisecond))

	stopCleanly(t, gateway)
	r.proveComplete(t, s.balance(t))
	r.proveLaw(t, "counter")
	r.proveEveryTick(t, "counter", 200*time.Millisecond)
	r.proveEveryTick(t, "peer", time.Second)
}

// newest is the time of the latest reading that has arrived, in ms since 1970 UTC; 0 if there is none.
func (r *recorder) newest() (at int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range r.first[buffer.Readings] {
		for _, o := range b.Readings {
			at = max(at, o.Time)
		}
	}
	return at
}

// testKill kills the gateway at random moments: what it had committed arrives, once or with the same bytes again.
func testKill(t *testing.T) {
	t.Parallel()
	const kills = 25
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))

	b := newBroker(t)
	r := record(t, b)
	counter := newCounter(t)
	s := writeSite(t, t.TempDir(), "commit_interval: 100ms", b.uplink(), counterDevice("counter", counter.Addr(), 100*time.Millisecond))
	committed := uint64(0)
	for i := range kills {
		gateway := s.run(t)
		if i == 0 { // else there may be no queue yet to look at
			eventually(t, 30*time.Second, "the gateway has made its queue", func() bool { return gateway.log.lines("the gateway has started") > 0 })
		}
		time.Sleep(50*time.Millisecond + time.Duration(random.Int64N(int64(1200*time.Millisecond))))
		if !gateway.running() {
			t.Fatal("the gateway ended by itself")
		}
		gateway.kill()
		next := s.balance(t).Next[buffer.Readings]
		if next < committed {
			t.Fatalf("the queue forgot blocks: the next was %d and is %d", committed, next)
		}
		committed = next
	}

	gateway := s.run(t)
	eventually(t, 60*time.Second, "the backlog arrives", func() bool { return r.count(buffer.Readings) > int(committed) })
	stopCleanly(t, gateway)
	r.proveComplete(t, s.balance(t))
	r.proveLaw(t, "counter")
	t.Logf("%d kills, %d blocks committed by the last", kills, committed-1)
}

// testWrongPassword: the gateway goes on polling, says once what is wrong, and delivers everything once it is put right.
func testWrongPassword(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	r := record(t, b)
	b.writePassword(t, "not "+gatewayPassword)
	s := writeSite(t, t.TempDir(), "commit_interval: 200ms", b.uplink(), counterDevice("counter", newCounter(t).Addr(), 200*time.Millisecond))
	gateway := s.run(t)
	refused := func() int { return b.server.log.lines("disconnected, not authori[sz]ed") }
	eventually(t, 60*time.Second, "the broker has refused three attempts", func() bool { return refused() >= 3 })
	if said := gateway.log.lines("refuses user name or password"); said != 1 {
		t.Errorf("the log says %d times that the password is refused; want once", said)
	}
	if strings.Contains(gateway.log.String(), gatewayPassword) {
		t.Error("the log contains the password")
	}
	if n := r.count(buffer.Readings); n != 0 {
		t.Errorf("%d blocks arrived without a password", n)
	}

	b.writePassword(t, gatewayPassword)
	corrected := time.Now()
	eventually(t, 90*time.Second, "the backlog arrives", func() bool { return r.newest() > corrected.UnixMilli() })
	stopCleanly(t, gateway)
	r.proveComplete(t, s.balance(t))
	r.proveEveryTick(t, "counter", 200*time.Millisecond)
}
