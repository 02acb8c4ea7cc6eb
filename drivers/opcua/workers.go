package opcua

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/millgate/millgate/drivers"
)

// Workers holds the worker processes, one for each server, shared by all groups that name it. A worker is started by the first Read of one
// of its groups and started again when it ends; all have ended when Close returns. A worker also ends when this process does.
type Workers struct {
	// All are set before the first Driver or Ask.
	Log         *slog.Logger // nil: nowhere
	Command     []string     // program and arguments of a worker; nil: this program with WorkerCommand
	MemoryLimit uint64       // bytes of data that a worker may have; it ends when it asks for more; 0: no limit. Linux only

	mu      sync.Mutex
	servers map[string]*server // by place
	asked   sync.WaitGroup     // the questions under way that have a worker of their own
	closed  bool
	asking  map[*process]bool // those workers
}

// NewWorkers makes an empty set; it starts nothing.
func NewWorkers() *Workers {
	return &Workers{MemoryLimit: DefaultMemoryLimit, servers: map[string]*server{}, asking: map[*process]bool{}}
}

var errClosed = errors.New("the workers are closed")

// Driver makes the driver of one poll group: a drivers.Reporter too, and unless the group is polled a drivers.Committer and a
// drivers.Subscriber. It starts nothing. The error says that the endpoint is known with other settings.
func (w *Workers) Driver(cfg Config) (drivers.Driver, error) {
	settings, err := settingsOf(cfg.Server)
	if err != nil {
		return nil, fmt.Errorf("device %s: %w", cfg.Device, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil, fmt.Errorf("device %s: %w", cfg.Device, errClosed)
	}
	place := placeOf(cfg.Server.Endpoint)
	s := w.servers[place]
	if s == nil {
		s = newServer(w, cfg.Server, settings)
		w.servers[place] = s
	}
	if !bytes.Equal(s.settings, settings) {
		return nil, fmt.Errorf("device %s: %s is named twice with different settings: one server has one session; make them the same",
			cfg.Device, cfg.Server.Endpoint)
	}
	g := newGroup(s, cfg)
	s.join(g)
	if cfg.Polled {
		return &polled{g}, nil
	}
	return &subscribed{g}, nil
}

// settingsOf is what must be equal in all who name a server.
func settingsOf(s Server) ([]byte, error) {
	s.Endpoint = placeOf(s.Endpoint)
	return json.Marshal(s)
}

// placeOf is one text for all spellings of an endpoint.
func placeOf(endpoint string) string {
	u, err := url.Parse(strings.TrimSpace(endpoint))
	if err != nil {
		return endpoint
	}
	u.Scheme, u.Host, u.Path = strings.ToLower(u.Scheme), strings.ToLower(u.Host), strings.TrimRight(u.Path, "/")
	if u.Port() == "" {
		u.Host += ":4840"
	}
	return u.String()
}

// leave takes g away; the last group ends its server's worker.
func (w *Workers) leave(g *group) {
	s := g.server
	w.mu.Lock()
	last := s.leave(g)
	if place := placeOf(s.config.Endpoint); last && w.servers[place] == s {
		delete(w.servers, place)
	}
	w.mu.Unlock()
	if last {
		s.close()
	}
}

// Close ends every worker and waits for it. No Read may be under way or follow; questions under way end with an error.
func (w *Workers) Close() error {
	w.mu.Lock()
	w.closed = true
	servers := w.servers
	w.servers = map[string]*server{}
	for p := range w.asking {
		p.finish()
	}
	w.mu.Unlock()
	var all sync.WaitGroup
	for _, s := range servers {
		all.Go(s.close)
	}
	all.Wait()
	w.asked.Wait()
	return nil
}

// Snapshot is the status of every server, by endpoint. It may be called at any time.
func (w *Workers) Snapshot() []ServerStatus {
	w.mu.Lock()
	servers := make([]*server, 0, len(w.servers))
	for _, s := range w.servers {
		servers = append(servers, s)
	}
	w.mu.Unlock()
	out := make([]ServerStatus, 0, len(servers))
	for _, s := range servers {
		out = append(out, s.snapshot())
	}
	slices.SortFunc(out, func(a, b ServerStatus) int { return cmp.Compare(a.Endpoint, b.Endpoint) })
	return out
}

func (w *Workers) log() *slog.Logger {
	if w.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return w.Log
}

func nowMillis() int64 { return drivers.Millis(time.Now()) }
