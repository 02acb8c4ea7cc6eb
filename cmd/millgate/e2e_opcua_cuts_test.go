package main_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/uplink"
)

var cuts = flag.Int("cuts", 3, "how often TestE2E/OPCUACuts cuts the connection")

// testOPCUACuts cuts the connection again and again while 1,000 variables count ten times a second: every value arrives, once and in
// order, because the server keeps what is not acknowledged.
func testOPCUACuts(t *testing.T) {
	t.Parallel()
	const items, tick = 1000, 100 * time.Millisecond
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))

	server := startOPCUA(t, "--variables", fmt.Sprint(items), "--tick", fmt.Sprint(tick.Milliseconds()))
	w := newWire(t, server.port)
	b := newBroker(t)
	counts := newTally(t, b)
	user := fmt.Sprintf("%s, user: {name: operator, password_file: %q}", encrypted, passwordFile(t, "secret"))
	s := writeSite(t, t.TempDir(), "commit_interval: 1s", b.uplink(), opcuaDevice("c", opcuaURL(w.port), user, tick, ", sampling: 50ms, queue: 1000", items))
	s.trust(t, server.certificate(t))
	gateway := s.run(t)
	eventually(t, time.Minute, "values arrive", func() bool { return counts.highest() > 0 })
	for range *cuts {
		time.Sleep(2*time.Second + time.Duration(random.Int64N(int64(3*time.Second))))
		w.cut()
		time.Sleep(time.Second + time.Duration(random.Int64N(int64(5*time.Second))))
		before := server.number(t, "tick?")
		w.mend(t)
		began := time.Now()
		eventually(t, 30*time.Second, "values arrive after the cut", func() bool { return int64(counts.highest()) > before })
		t.Logf("the newest value is there %v after the cut", time.Since(began).Round(100*time.Millisecond))
	}
	last := server.number(t, "pause")
	eventually(t, 30*time.Second, "the last value arrives", func() bool { return int64(counts.lowest()) == last })
	stopCleanly(t, gateway)
	counts.prove(t, items)
	for _, d := range s.balance(t).Ledger.Devices {
		for cause, n := range d.Skipped {
			t.Errorf("%s: the ledger has %d readings skipped, cause %s", d.Device, n, cause)
		}
	}
}

// testOPCUAOverflow: a server whose queues are shorter than what it samples between two publications loses values, and the gateway says so.
func testOPCUAOverflow(t *testing.T) {
	t.Parallel()
	const items, tick = 20, 100 * time.Millisecond
	server := startOPCUA(t, "--variables", fmt.Sprint(items), "--tick", fmt.Sprint(tick.Milliseconds()))
	b := newBroker(t)
	r, counts := record(t, b), newTally(t, b)
	began := time.Now()
	s := writeSite(t, t.TempDir(), "commit_interval: 200ms", b.uplink(),
		opcuaDevice("c", server.endpoint(), plain+", publishing: 1s", tick, ", sampling: 50ms, queue: 5", items))
	gateway := s.run(t)
	r.awaitEvent(t, time.Minute, began, drivers.EventReadingsLost, drivers.CauseOverflow)
	last := server.number(t, "pause")
	eventually(t, 30*time.Second, "the last value arrives", func() bool { return int64(counts.lowest()) == last })
	stopCleanly(t, gateway)

	missing := counts.missing()
	lost := s.balance(t).Ledger.Devices[0].Skipped[drivers.CauseOverflow]
	t.Logf("%d values are missing; the ledger has at least %d lost to overflow", missing, lost)
	if lost < items || lost > missing {
		t.Errorf("%d values are missing and the ledger has %d lost to overflow; want one or more of each of %d, and none that is not missing", missing, lost, items)
	}
}

// tally follows counters that count up by one at the subscriber.
type tally struct {
	mu     sync.Mutex
	seen   map[uint64]bool // seqs
	tags   map[string]*counted
	faults []string
}

type counted struct {
	last     uint32
	n        int
	missing  uint64
	t        int64 // of the last, ms since 1970 UTC
	restated int   // values held, told again for another time
	disorder int   // values told again for the same time, or below the one before
}

func newTally(t *testing.T, b *broker) *tally {
	t.Helper()
	c := &tally{seen: map[uint64]bool{}, tags: map[string]*counted{}}
	subscribeTo(t, b, "tally", c.take)
	return c
}

func (c *tally) take(_ mqtt.Client, m mqtt.Message) {
	if !strings.HasSuffix(m.Topic(), "/readings") {
		return
	}
	msg, err := uplink.ParseMessage(m.Payload())
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.faults = append(c.faults, err.Error())
		return
	}
	if c.seen[msg.Seq] {
		return
	}
	c.seen[msg.Seq] = true
	for _, o := range msg.Readings {
		for tag, raw := range o.Values {
			if tag == "up" {
				continue
			}
			var n uint32
			if err := json.Unmarshal(raw, &n); err != nil {
				c.faults = append(c.faults, tag+": "+err.Error())
				continue
			}
			c.count(tag, n, o.Time)
		}
	}
}

func (c *tally) count(tag string, n uint32, at int64) {
	v := c.tags[tag]
	switch {
	case v == nil:
		c.tags[tag] = &counted{last: n, t: at, n: 1}
		return
	case n == v.last && at > v.t:
		v.restated++
		v.t = at
		return
	case n <= v.last:
		v.disorder++
		return
	}
	v.missing += uint64(n - v.last - 1)
	v.last, v.t = n, at
	v.n++
}

// highest is the newest value of all; 0 if there is none.
func (c *tally) highest() (n uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, v := range c.tags {
		n = max(n, v.last)
	}
	return n
}

// lowest is the newest value of the tag that is behind all others.
func (c *tally) lowest() uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, any := uint32(0), false
	for _, v := range c.tags {
		if !any || v.last < n {
			n, any = v.last, true
		}
	}
	return n
}

func (c *tally) missing() (n uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, v := range c.tags {
		n += v.missing
	}
	return n
}

// prove says that of so many tags every value arrived, once and in order.
func (c *tally) prove(t *testing.T, tags int) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	values, missing, disorder, restated := 0, uint64(0), 0, 0
	for _, v := range c.tags {
		values, missing, disorder, restated = values+v.n, missing+v.missing, disorder+v.disorder, restated+v.restated
	}
	t.Logf("%d values of %d tags arrived; %d are missing, %d came twice or late; %d were told again as still held", values, len(c.tags), missing, disorder, restated)
	if len(c.tags) != tags || missing > 0 || disorder > 0 {
		t.Errorf("of %d tags; %d values missing, %d twice or late; want %d tags and no more", len(c.tags), missing, disorder, tags)
	}
	for _, fault := range c.faults {
		t.Error(fault)
	}
}
