package uplink

import (
	"context"
	"log/slog"

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

// TLS names files, read anew for each connection.
type TLS struct{ CAFile, CertFile, KeyFile string }

// Self is who publishes.
type Self struct {
	Site, Gateway, Version string
	Clock                  func() ClockStatus // nil means unknown
}

// ClockStatus is how far the box's clock is to be trusted.
type ClockStatus struct {
	State  string `json:"state"` // synced, unsynced, unknown
	Offset int64  `json:"offset_ms"`
}

// Uplink publishes the queue to one broker.
type Uplink struct{}

// New starts nothing.
func New(cfg Config, self Self, q *buffer.Queue, log *slog.Logger) *Uplink { panic("stub") }

// Run connects, publishes and reconnects until ctx is done; then it waits up to grace for what is in flight, publishes offline and returns.
func (u *Uplink) Run(ctx context.Context) error { panic("stub") }

// Snapshot is what the uplink says about itself.
type Snapshot struct {
	ID        string `json:"id"`
	Broker    string `json:"broker,omitempty"` // connected to
	Connected bool   `json:"connected"`
	Since     int64  `json:"since_t"`
	Error     string `json:"error,omitempty"` // why not
	Published uint64 `json:"published"`       // blocks acknowledged by the broker
}

// Snapshot may be called at any time.
func (u *Uplink) Snapshot() Snapshot { panic("stub") }
