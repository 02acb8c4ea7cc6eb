package modbus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"

	"github.com/millgate/millgate/drivers"
)

// Links holds the physical links, one per place, shared by all who name it.
type Links struct {
	// Both are set before the links are used, or not at all.
	Log     *slog.Logger // what no device's status would tell, such as a stranger that dials in; nil: nowhere
	OnFault OnFault

	mu        sync.Mutex
	links     map[string]*link                                              // by place
	listeners map[string]*listener                                          // by address
	dial      func(context.Context, LinkConfig) (io.ReadWriteCloser, error) // in the place of the network; nil: the network
}

// OnFault is told when a unit falls silent, an answer is garbled or a connection breaks, and may ask at any time later for the frames
// that passed. It must return at once.
type OnFault func(place string, framing Framing, frames func() []Frame)

// NewLinks makes an empty set; it opens nothing.
func NewLinks() *Links { return &Links{links: map[string]*link{}, listeners: map[string]*listener{}} }

// join takes a seat for a unit on a link; link and unit are made at their first mention. The error says that the place is known
// with other settings.
func (l *Links) join(cfg LinkConfig, id byte) (*seat, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	place := cfg.Place()
	k := l.links[place]
	if k == nil {
		k = &link{links: l, config: cfg, place: place, window: 1, units: map[byte]*unit{}, trace: newTrace()}
		if cfg.Endpoint.Framing == MBAP {
			k.window = max(1, cfg.InFlight)
		}
		l.links[place] = k
	}
	if k.config != cfg {
		return nil, fmt.Errorf("%s and %s are the same place with different settings: one wire has one framing and one speed", cfg.Endpoint, k.config.Endpoint)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	u := k.units[id]
	if u == nil {
		u = &unit{id: id}
		k.units[id] = u
	}
	u.seats++
	return &seat{link: k, unit: u, framer: newFramer(cfg.Endpoint.Framing, id), called: make(chan struct{}, 1)}, nil
}

// leave gives a seat back; the last one closes the link.
func (l *Links) leave(s *seat) {
	if ended := l.vacate(s); ended != nil {
		ended.running.Wait()
	}
}

// vacate is leave, but for waiting until the listener has ended that nobody needs any more.
func (l *Links) vacate(s *seat) (ended *listener) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := s.link
	if !k.leave(s) || l.links[k.place] != k {
		return nil
	}
	delete(l.links, k.place)
	k.hangUp(net.ErrClosed)
	return l.forget(k)
}

// leave says whether the link is empty then.
func (k *link) leave(s *seat) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s.unit.seats--; s.unit.seats == 0 {
		delete(k.units, s.unit.id)
	}
	return len(k.units) == 0
}

// Close closes every connection and waits for its reader. No Read may be under way or follow.
func (l *Links) Close() error {
	l.mu.Lock()
	for _, k := range l.links {
		k.hangUp(net.ErrClosed)
	}
	open := l.listeners
	l.listeners = map[string]*listener{}
	l.mu.Unlock()
	var errs []error
	for _, o := range open {
		errs = append(errs, o.close())
		o.running.Wait()
	}
	return errors.Join(errs...)
}

// LinkStatus is what is known of one link. The counts are since it was made.
type LinkStatus struct {
	Place       string       `json:"place"`
	Endpoint    string       `json:"endpoint"`
	Connected   bool         `json:"connected"`
	Connections uint64       `json:"connections"`
	Requests    uint64       `json:"requests"`
	Strangers   uint64       `json:"strangers"` // answers that nobody waited for: late, or sent twice
	Units       []UnitStatus `json:"units"`
}

// Snapshot is the status of every link, by place. It may be called at any time.
func (l *Links) Snapshot() []LinkStatus {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []LinkStatus
	for _, k := range l.links {
		out = append(out, k.status())
	}
	slices.SortFunc(out, func(a, b LinkStatus) int { return cmp.Compare(a.Place, b.Place) })
	return out
}

func (k *link) status() LinkStatus {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.stats
	s.Place, s.Endpoint = k.place, k.config.Endpoint.String()
	for _, u := range k.units {
		s.Units = append(s.Units, u.status())
	}
	slices.SortFunc(s.Units, func(a, b UnitStatus) int { return cmp.Compare(a.Unit, b.Unit) })
	return s
}

var _ drivers.Driver = (*Driver)(nil)
