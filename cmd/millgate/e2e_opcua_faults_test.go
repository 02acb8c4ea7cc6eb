package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/millgate/millgate/drivers"
)

// opcuaLimit is how long a gateway may take to tell of a trouble, and to be back after it.
const opcuaLimit = 30 * time.Second

// troubled is a gateway that reads a server, while troubles come and go.
type troubled struct {
	*testing.T
	trouble string // the present one
	server  *opcuaServer
	site    site
	gateway *process
	heard   *recorder
	table   *table
}

// trouble is one row of the table of testOPCUAFaults.
type trouble struct {
	name   string
	strike func(*troubled)
}

// testOPCUAFaults: each trouble is told and overcome without a restart of the gateway, and no session is left behind. The troubles of
// one line come one after the other.
func testOPCUAFaults(t *testing.T) {
	t.Parallel()
	lines := []struct {
		name, security string
		args           []string // of the server
		troubles       []trouble
	}{
		{"alive", plain, nil, []trouble{
			{"session deleted by the server", strikeSession},
			{"subscription deleted by the server", strikeSubscription},
			{"item removed", strikeItem},
			{"clock of the server 1 h ahead", strikeClock},
		}},
		{"dead", plain, nil, []trouble{
			{"server killed and started again", strikeRestart},
			{"namespace table reordered", strikeNamespaces},
			{"server frozen for 30 s", strikeFreeze},
		}},
		{"full", plain, []string{"--max-sessions", "1"}, []trouble{{"sessions exhausted", strikeSessions}}},
		{"changed", encrypted, nil, []trouble{{"certificate of the server changed", strikeCertificate}}},
	}
	rows := &table{}
	t.Run("line", func(t *testing.T) {
		for _, line := range lines {
			t.Run(line.name, func(t *testing.T) {
				t.Parallel()
				strike(t, rows, line.security, line.args, line.troubles)
			})
		}
	})
	rows.print(t)
}

func strike(t *testing.T, rows *table, security string, args []string, troubles []trouble) {
	server := startOPCUA(t, append(args, "--variables", "10", "--tick", "200")...)
	b := newBroker(t)
	c := &troubled{T: t, server: server, heard: record(t, b), table: rows}
	c.site = opcuaSite(t, t.TempDir(), b.uplink(), server.endpoint(), security, 500*time.Millisecond, 10)
	c.site.trust(t, server.certificate(t))
	c.gateway = c.site.run(t)
	for _, next := range troubles {
		c.trouble = next.name
		c.awaitValue(time.Minute, time.Now(), "n0")
		time.Sleep(2 * time.Second)
		next.strike(c)
	}
	if !c.gateway.running() {
		t.Fatal("the gateway ended")
	}
	stopCleanly(t, c.gateway)
	c.heard.proveComplete(t, c.site.balance(t))
	if n := server.number(t, "sessions?"); n != 0 {
		t.Errorf("the server has %d sessions after the gateway has ended", n)
	}
}

// table is what all troubles took.
type table struct {
	mu   sync.Mutex
	rows []string
}

func (r *table) add(trouble, what string, took time.Duration, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rows = append(r.rows, fmt.Sprintf("%-36s %-5s %5.1f s  %.110s", trouble, what, took.Seconds(), text))
}

func (r *table) print(t *testing.T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.SortStableFunc(r.rows, func(a, b string) int { return strings.Compare(a[:36], b[:36]) })
	t.Logf("how long until it was told, and until values were back:\n%s", strings.Join(r.rows, "\n"))
}

func (c *troubled) awaitValue(within time.Duration, since time.Time, tag string) {
	c.Helper()
	c.heard.awaitValue(c.T, within, since, "c", tag)
}

// told measures how long after now an event comes that may have happened since the trouble began.
func (c *troubled) told(since, now time.Time, kind drivers.EventKind, causes ...drivers.Cause) {
	c.Helper()
	e := c.heard.awaitEvent(c.T, opcuaLimit+time.Second, since, kind, causes...)
	c.row("told", now, fmt.Sprintf("%s %s: %s", e.Kind, e.Cause, e.Text.EN))
}

// back measures how long after since a tag has a new value.
func (c *troubled) back(since time.Time, tag string) {
	c.Helper()
	c.awaitValue(opcuaLimit-time.Since(since)+time.Second, since, tag)
	c.row("back", since, "")
}

func (c *troubled) row(what string, since time.Time, text string) {
	c.Helper()
	took := time.Since(since)
	c.table.add(c.trouble, what, took, text)
	if took > opcuaLimit {
		c.Errorf("%s: %s after %v; want within %v", c.trouble, what, took, opcuaLimit)
	}
}

func strikeRestart(c *troubled) {
	began := time.Now()
	c.server.kill()
	c.told(began, began, drivers.EventDeviceDown, drivers.CauseLost, drivers.CauseRefused)
	c.server.start(c.T)
	ready := time.Now()
	c.back(ready, "n0")
	c.told(began, ready, drivers.EventDeviceUp)
}

func strikeFreeze(c *troubled) {
	began := time.Now()
	c.server.signal(c.T, syscall.SIGSTOP)
	c.told(began, began, drivers.EventDeviceDown, drivers.CauseSilent, drivers.CauseTimeout)
	time.Sleep(time.Until(began.Add(30 * time.Second)))
	c.server.signal(c.T, syscall.SIGCONT)
	c.back(time.Now(), "n0")
}

func strikeSession(c *troubled) {
	began := time.Now()
	if n := c.server.number(c.T, "delete-session"); n != 1 {
		c.Fatalf("the server had %d sessions; want 1", n)
	}
	c.back(began.Add(300*time.Millisecond), "n0")
	c.told(began, began, drivers.EventReadingsLost, drivers.CauseGap)
}

func strikeSubscription(c *troubled) {
	began := time.Now()
	if n := c.server.number(c.T, "delete-subscription"); n != 1 {
		c.Fatalf("the server had %d subscriptions; want 1", n)
	}
	c.back(began.Add(300*time.Millisecond), "n0")
}

func strikeItem(c *troubled) {
	began := time.Now()
	c.server.ask(c.T, "remove Counter.3")
	c.told(began, began, drivers.EventNodeRefused)
	time.Sleep(2 * time.Second)
	c.awaitValue(2*time.Second, time.Now(), "n4") // the others go on
	back := time.Now()
	c.server.ask(c.T, "add Counter.3")
	c.back(back, "n3")
	c.told(back, back, drivers.EventNodeBack)
}

func strikeNamespaces(c *troubled) {
	c.server.kill()
	c.server.start(c.T, "--before", "urn:millgate.example:a,urn:millgate.example:b")
	c.back(time.Now(), "n0")
	c.heard.proveCounting(c.T, "c", "n0", 2)
}

func strikeSessions(c *troubled) {
	b := newBroker(c.T)
	heard := record(c.T, b)
	began := time.Now()
	other := opcuaSite(c.T, c.TempDir(), b.uplink(), c.server.endpoint(), plain, 500*time.Millisecond, 10)
	gateway := other.run(c.T)
	e := heard.awaitEvent(c.T, opcuaLimit, began, drivers.EventDeviceDown, drivers.CauseSessionsExhausted)
	c.row("told", began, fmt.Sprintf("%s %s: %s", e.Kind, e.Cause, e.Text.EN))
	time.Sleep(10 * time.Second)
	c.awaitValue(2*time.Second, time.Now(), "n0") // it has not been pushed out
	stopCleanly(c.T, c.gateway)
	began = time.Now()
	heard.awaitValue(c.T, opcuaLimit, began, "c", "n0")
	c.row("back", began, "")
	stopCleanly(c.T, gateway)
	c.gateway = c.site.run(c.T)
	c.awaitValue(time.Minute, began, "n0")
}

func strikeCertificate(c *troubled) {
	began := time.Now()
	c.server.kill()
	if err := os.RemoveAll(filepath.Join(c.server.pki, "server/own")); err != nil {
		c.Fatal(err)
	}
	c.told(began, began, drivers.EventDeviceDown)
	c.server.start(c.T)
	c.told(began, time.Now(), drivers.EventCertificate, drivers.CauseCertificateUnknown)
	fingerprint := certified{der: c.server.certificate(c.T)}.fingerprint()
	out, err := exec.Command(binary, "trust", "list", c.site.file, "--output", "json").CombinedOutput()
	if err != nil || !strings.Contains(string(out), fingerprint) {
		c.Errorf("trust list: %v; want the new certificate %s in it:\n%s", err, fingerprint, out)
	}
	out, err = exec.Command(binary, "trust", "accept", c.site.file, fingerprint).CombinedOutput()
	if err != nil {
		c.Errorf("trust accept: %v\n%s", err, out)
	}
	c.back(time.Now(), "n0")
}

func strikeClock(c *troubled) {
	began := time.Now()
	c.server.ask(c.T, "clock 3600000")
	c.told(began, began, drivers.EventClockOffset)
	time.Sleep(3 * time.Second)
	c.awaitValue(2*time.Second, time.Now(), "n0")
	all := c.heard.values(c.T, "c", "n0")
	if last := all[len(all)-1]; !last.uncertain || last.t > time.Now().Add(time.Second).UnixMilli() {
		c.Errorf("with the clock an hour ahead: a reading at %v, uncertain %v; want our time, uncertain", time.UnixMilli(last.t), last.uncertain)
	}
	began = time.Now()
	c.server.ask(c.T, "clock 0")
	c.told(began, began, drivers.EventClockOffset)
	eventually(c.T, opcuaLimit, "readings are certain again", func() bool {
		all := c.heard.values(c.T, "c", "n0")
		return !all[len(all)-1].uncertain
	})
	c.row("back", began, "")
}

// proveCounting says that the values of a counter never went back but where its server was started again, so often.
func (r *recorder) proveCounting(t *testing.T, device, tag string, starts int) {
	t.Helper()
	last, restarts := reading{}, 0
	for _, v := range r.values(t, device, tag) {
		if v.n < last.n {
			restarts++
		}
		if v.t < last.t {
			t.Errorf("%s.%s: %d at %d after %d at %d", device, tag, v.n, v.t, last.n, last.t)
		}
		last = v
	}
	if restarts > starts {
		t.Errorf("%s.%s: went back %d times; the server was started again %d times", device, tag, restarts, starts)
	}
}
