// Package uplink delivers the queue to MQTT brokers: it encodes each block as one message, publishes it with QoS 1 and tells the
// queue what the broker has.
//
// Invariants:
//  1. A block is acknowledged to the queue only after the broker's own PUBACK for it, on the connection that sent it.
//  2. A message is a function of its block: the same block is always the same bytes.
//  3. Messages go onto the wire in the queue's order, never more than Config.Window of them without their PUBACK. After a lost
//     connection everything without one is sent again: a subscriber sees a block at least once.
//  4. A catalogue is retained and acknowledged, on this connection, before the first block that names it is sent.
//  5. A connection that is silent, stalled or does not acknowledge ends within a minute, and nothing waits for it.
//  6. No secret enters a log, a snapshot or a message.
//
// Is: the message formats, the connection and its rotation over the brokers, the status. Is not: the queue, the decision what to
// keep, a subscriber's session.
package uplink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/millgate/millgate/buffer"
)

// Config is one uplink of site.yaml.
type Config struct {
	ID          string
	Brokers     []string // tcp://host:port or ssl://host:port, tried in turn
	ClientID    string   // default <site>.<gateway>
	Username    string
	Password    func() (string, error) // read anew for each connection; nil means none
	TLS         TLS
	TopicPrefix string // placeholders resolved
	Window      int    // blocks in flight; default 16
}

// TLS names files, read anew for each connection. Without CAFile the system's authorities are trusted.
type TLS struct{ CAFile, CertFile, KeyFile string }

// Self is who publishes.
type Self struct {
	Site, Gateway, Version string
	Clock                  func() ClockStatus // nil means unknown
}

// Uplink publishes the queue to one broker at a time.
type Uplink struct {
	cfg      Config
	self     Self
	source   source
	timing   timing
	standing standing
	suspect  suspect
}

// source is what an uplink needs of the queue.
type source struct {
	next        func(context.Context) (*buffer.Block, error)
	acknowledge func(*buffer.Block)
	rewind      func()
	catalogue   func(hash string) ([]byte, error)
	snapshot    func() buffer.Snapshot
}

// timing is every duration that an uplink goes by.
type timing struct {
	connect     time.Duration // for the connection with TLS, and again for CONNACK
	write       time.Duration // for one write to the socket
	keepAlive   time.Duration // silence after which the broker is pinged
	ping        time.Duration // for the answer to a ping
	acknowledge time.Duration // for the PUBACK of the oldest message in flight
	status      time.Duration // between two unchanged statuses
	check       time.Duration // between two looks whether the status changed
	grace       time.Duration // for what is in flight when the uplink stops
	stable      time.Duration // after which a connection counts as good
	retryMin    time.Duration
	retryMax    time.Duration
}

var defaultTiming = timing{
	connect:     20 * time.Second,
	write:       15 * time.Second,
	keepAlive:   30 * time.Second,
	ping:        10 * time.Second,
	acknowledge: 45 * time.Second,
	status:      time.Minute,
	check:       5 * time.Second,
	grace:       3 * time.Second,
	stable:      time.Minute,
	retryMin:    time.Second,
	retryMax:    time.Minute,
}

const defaultWindow = 16

// New starts nothing.
func New(cfg Config, self Self, q *buffer.Queue, log *slog.Logger) *Uplink {
	cursor := q.Cursor(cfg.ID)
	return newUplink(cfg, self, source{
		next:        cursor.Next,
		acknowledge: cursor.Acknowledge,
		rewind:      cursor.Rewind,
		catalogue:   q.CatalogueJSON,
		snapshot:    q.Snapshot,
	}, log)
}

func newUplink(cfg Config, self Self, src source, log *slog.Logger) *Uplink {
	if cfg.ClientID == "" {
		cfg.ClientID = self.Site + "." + self.Gateway
	}
	if cfg.Window <= 0 {
		cfg.Window = defaultWindow
	}
	log = log.With("uplink", cfg.ID)
	u := &Uplink{cfg: cfg, self: self, source: src, timing: defaultTiming}
	u.standing = standing{log: log, snap: Snapshot{ID: cfg.ID, Since: time.Now().UnixMilli()}, said: map[complaint]bool{}}
	u.suspect.log = log
	return u
}

// Run connects, publishes and reconnects until ctx is done; then it waits up to 3 s for what is in flight, publishes offline and
// returns nil. An error means that the queue can not be read or that there is no broker to try.
func (u *Uplink) Run(ctx context.Context) error {
	if len(u.cfg.Brokers) == 0 {
		return fmt.Errorf("uplink %s names no broker", u.cfg.ID)
	}
	failures := 0
	for turn := 0; ; turn++ {
		broker := u.cfg.Brokers[turn%len(u.cfg.Brokers)]
		began, connected := time.Now(), false
		c, err := u.connect(ctx, broker)
		if err == nil {
			connected = true
			err = u.serve(ctx, c, broker)
		}
		switch {
		case errors.Is(err, errQueue):
			return fmt.Errorf("uplink %s: %w", u.cfg.ID, err)
		case ctx.Err() != nil:
			u.standing.stopped()
			return nil
		}
		failures++
		if connected && time.Since(began) >= u.timing.stable {
			failures = 1
		}
		u.standing.down(broker, u.reason(broker, err), connected)
		if !sleep(ctx, u.delay(failures)) {
			u.standing.stopped()
			return nil
		}
	}
}

// serve lives one connection.
func (u *Uplink) serve(ctx context.Context, c *connection, broker string) error {
	u.standing.up(broker)
	stable := time.AfterFunc(u.timing.stable, u.standing.stable)
	defer stable.Stop()

	s := newSession(u, c, c.session)
	s.lost, s.drop = c.wire.lost, c.wire.drop
	err := s.run(ctx)
	if err != nil {
		c.wire.drop() // before DISCONNECT could be sent: the broker shall publish the will
		if ctx.Err() == nil {
			u.suspect.died(s.head())
		}
		if cause := c.cause(); cause != nil && errors.Is(err, errLost) {
			err = cause
		}
	}
	c.close()
	return err
}

// delay is the full-jitter back-off after so many failures in a row; every broker has its turn before it doubles.
func (u *Uplink) delay(failures int) time.Duration {
	limit := u.timing.retryMin
	for round := (failures - 1) / len(u.cfg.Brokers); round > 0 && limit < u.timing.retryMax; round-- {
		limit *= 2
	}
	return rand.N(min(limit, u.timing.retryMax)) + 1
}

// sleep says whether d passed before ctx was done.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// topic is the full name of a topic of this gateway.
func (u *Uplink) topic(name string) string {
	t := u.self.Site + "/" + u.self.Gateway + "/" + name
	if prefix := strings.TrimSuffix(u.cfg.TopicPrefix, "/"); prefix != "" {
		t = prefix + "/" + t
	}
	return t
}

// Snapshot may be called at any time.
func (u *Uplink) Snapshot() Snapshot { return u.standing.snapshot() }
