package uplink

import (
	"log/slog"
	"sync"
	"time"

	"github.com/millgate/millgate/buffer"
)

// Snapshot is what the uplink says about itself.
type Snapshot struct {
	ID        string `json:"id"`
	Broker    string `json:"broker,omitempty"` // connected to
	Connected bool   `json:"connected"`
	Since     int64  `json:"since_t"`         // ms since 1970 UTC of the last change of Connected
	Error     string `json:"error,omitempty"` // why not
	Published uint64 `json:"published"`       // blocks acknowledged by the broker
}

// standing is how the uplink stands with its brokers, and what the log has heard of it. A change is logged once; while connections
// keep dying young only new reasons are, until one of them proves stable.
type standing struct {
	log *slog.Logger

	mu       sync.Mutex
	snap     Snapshot
	said     map[complaint]bool // logged since the last stable connection
	attempts int                // failed since the last connection
	flapping bool               // the last connection died young
	proven   bool               // the present connection has become stable
}

// complaint is what the log hears of a broker. One fault may show two faces in turn: each is told once.
type complaint struct{ broker, reason string }

func (s *standing) snapshot() Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.snap
}

func (s *standing) up(broker string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	down := time.Now().UnixMilli() - s.snap.Since
	if !s.flapping {
		s.log.Info("connected", "broker", broker, "failed_attempts", s.attempts, "down_ms", down)
	}
	s.snap.Broker, s.snap.Error = broker, ""
	s.change(true)
	s.attempts, s.proven = 0, false
}

// stable says that the present connection has lasted.
func (s *standing) stable() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.snap.Connected {
		return
	}
	if s.flapping {
		s.log.Info("connected", "broker", s.snap.Broker, "up_ms", time.Now().UnixMilli()-s.snap.Since)
	}
	s.flapping, s.proven = false, true
	clear(s.said)
}

func (s *standing) down(broker, reason string, wasConnected bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	message := "not connected; readings are kept and will be sent"
	if wasConnected {
		message = "connection lost; readings are kept and will be sent"
		s.flapping = !s.proven
	}
	if about := (complaint{broker, reason}); !s.said[about] {
		s.said[about] = true
		s.log.Warn(message, "broker", broker, "reason", reason)
	}
	s.snap.Broker, s.snap.Error = "", reason
	s.change(false)
	s.attempts++
}

func (s *standing) stopped() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.snap.Broker = ""
	s.change(false)
}

func (s *standing) change(connected bool) {
	if s.snap.Connected != connected {
		s.snap.Connected = connected
		s.snap.Since = time.Now().UnixMilli()
	}
}

func (s *standing) published() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.snap.Published++
}

// suspectAfter is how many connections in a row must die with the same block at the head before the block is suspected.
const suspectAfter = 3

// suspect watches for a message that the broker answers by hanging up, again and again: MQTT 3.1.1 has no other way to refuse one.
type suspect struct {
	log    *slog.Logger
	stream buffer.Stream
	seq    uint64
	deaths int
}

// died is told the oldest block that a dead connection left without PUBACK; f is nil if there was none.
func (s *suspect) died(f *flight) {
	switch {
	case f == nil:
		s.deaths = 0
		return
	case s.deaths > 0 && s.stream == f.block.Stream && s.seq == f.block.Seq:
		s.deaths++
	default:
		s.stream, s.seq, s.deaths = f.block.Stream, f.block.Seq, 1
	}
	if s.deaths == suspectAfter {
		s.log.Warn("the connection keeps ending before the broker acknowledges this block: it may refuse the message for its size or "+
			"its topic, or another client may use the same client id (check the broker's message size limit, its access rules and its log)",
			"stream", s.stream, "seq", s.seq, "bytes", f.size, "connections", s.deaths)
	}
}
