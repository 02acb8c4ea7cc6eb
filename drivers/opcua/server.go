package opcua

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/millgate/millgate/drivers"
)

// A worker that dies is replaced at once; if it dies again before it lived for settled, after 1 s, 2 s, 4 s, and so on up to longest.
const (
	settled = time.Minute
	longest = time.Minute
)

// server is one endpoint with all groups that read from it. Its supervisor runs from the first Read on.
type server struct {
	workers  *Workers
	config   Server
	settings []byte

	mu      sync.Mutex
	groups  []*group
	edition int           // of groups
	process *process      // nil: none runs
	failure error         // why none runs
	changed chan struct{} // closed at the next change of process and failure
	status  ServerStatus
	started uint64 // workers

	begin   sync.Once
	end     sync.Once
	stop    chan struct{} // closed by close
	stopped sync.WaitGroup
}

func newServer(w *Workers, config Server, settings []byte) *server {
	s := &server{workers: w, config: config, settings: settings, changed: make(chan struct{}), stop: make(chan struct{})}
	s.status = s.blank(Starting)
	return s
}

// blank is the status of a server of which nothing is known.
func (s *server) blank(state State) ServerStatus {
	return ServerStatus{Endpoint: s.config.Endpoint, State: state, Since: nowMillis(), Policy: s.config.Policy, Mode: s.config.Mode, User: s.config.User.Kind()}
}

func (s *server) join(g *group) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.groups = append(s.groups, g)
	s.edition++
}

// leave says whether g was the last one.
func (s *server) leave(g *group) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.groups, g); i >= 0 {
		s.groups = slices.Delete(s.groups, i, i+1)
		s.edition++
	}
	return len(s.groups) == 0
}

func (s *server) close() {
	s.begin.Do(func() {}) // none may begin any more
	s.end.Do(func() { close(s.stop) })
	s.stopped.Wait()
}

// running is the worker; it waits for one that is starting. A worker that does not serve the present groups is replaced.
func (s *server) running(ctx context.Context) (*process, error) {
	s.begin.Do(func() { s.stopped.Go(s.supervise) })
	for {
		s.mu.Lock()
		p, failure, changed, edition := s.process, s.failure, s.changed, s.edition
		s.mu.Unlock()
		switch {
		case p != nil && p.edition == edition:
			return p, nil
		case p != nil:
			p.finish()
		case failure != nil:
			return nil, failure
		}
		select {
		case <-changed:
		case <-s.stop:
			return nil, &drivers.Error{Cause: drivers.CauseInternal, Err: errClosed}
		case <-ctx.Done():
			return nil, &drivers.Error{Cause: drivers.CauseBackOff, Err: fmt.Errorf("the worker for %s is starting", s.config.Endpoint)}
		}
	}
}

func (s *server) supervise() {
	deaths := 0 // in a row
	for {
		begun := time.Now()
		p, err := s.launch()
		if err == nil {
			err = s.watch(p)
		}
		if time.Since(begun) >= settled {
			deaths = 0
		}
		wait := time.Duration(0)
		if err != nil {
			wait = pause(deaths)
			deaths++
		}
		select {
		case <-s.stop:
			return
		case <-time.After(wait):
		}
	}
}

// pause is how long to wait after so many deaths in a row before this one.
func pause(deaths int) time.Duration {
	if deaths == 0 {
		return 0
	}
	return min(time.Second<<min(deaths-1, 10), longest)
}

// launch starts a worker.
func (s *server) launch() (*process, error) {
	setup := Setup{Server: s.config}
	var err error
	if password := s.config.User.Password; password != nil {
		if setup.Password, err = password(); err != nil {
			err = &drivers.Error{Cause: drivers.CauseUserRefused, Err: fmt.Errorf("the password of user %s of %s: %w", s.config.User.Name, s.config.Endpoint, err)}
			s.set(nil, err)
			return nil, err
		}
	}
	s.mu.Lock()
	groups, edition := slices.Clone(s.groups), s.edition
	s.mu.Unlock()
	for _, g := range groups {
		setup.Groups = append(setup.Groups, g.setup())
	}
	p, err := s.workers.start(setup)
	if err != nil {
		err = &drivers.Error{Cause: drivers.CauseInternal, Err: err}
		s.set(nil, err)
		return nil, err
	}
	p.edition, p.onStatus = edition, s.report
	for i, g := range groups {
		p.seats = append(p.seats, g.seat(p, uint32(i)))
	}
	s.set(p, nil)
	p.run()
	return p, nil
}

// set tells all who wait what runs now. A nil process and a nil error say that one is about to start.
func (s *server) set(p *process, failure error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.process, s.failure = p, failure
	if p != nil {
		s.started++
		s.status = s.blank(Starting)
	} else if failure != nil {
		s.status = s.blank(Down)
		s.status.Cause, s.status.Error = drivers.CauseOf(failure), failure.Error()
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

// watch waits until p has ended; the error is why, nil if it was meant to end.
func (s *server) watch(p *process) error {
	select {
	case <-p.dead:
	case <-s.stop:
		p.finish()
		<-p.dead
	}
	err := p.failure
	for _, seat := range p.seats {
		seat.group.widow(seat)
	}
	s.set(nil, err)
	if err == nil {
		return nil
	}
	told := map[string]bool{}
	for _, seat := range p.seats {
		if g := seat.group; !told[g.config.Device] {
			told[g.config.Device] = true
			g.tell(s.obituary(g.config.Device, p.why))
		}
	}
	s.workers.log().Warn("the worker of an OPC UA server ended and is started again", "endpoint", s.config.Endpoint, "pid", p.pid(),
		"reason", p.why, "stderr", p.stderr.String())
	return err
}

func (s *server) obituary(device, why string) drivers.Event {
	return drivers.Event{
		Time: nowMillis(), Kind: drivers.EventWorker, Severity: drivers.Warning, Subject: "device/" + device, Cause: drivers.CauseWorkerCrash,
		Text: drivers.EventText{
			EN: fmt.Sprintf("the worker process that reads %s ended (%s) and is started again; if this repeats, report it with the gateway's log", s.config.Endpoint, why),
			ZH: fmt.Sprintf("读取 %s 的采集进程已退出（%s），正在重新启动；若反复出现，请附网关日志反馈", s.config.Endpoint, why),
		},
	}
}

// report takes over what the worker says of the server.
func (s *server) report(p *process, body []byte) error {
	var status ServerStatus
	if err := json.Unmarshal(body, &status); err != nil {
		return errors.Join(errFrame, err)
	}
	status.Endpoint = s.config.Endpoint
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == p {
		s.status = status
	}
	return nil
}

func (s *server) snapshot() ServerStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	status := s.status
	status.Refused = slices.Clone(status.Refused)
	if status.Restarts = s.started; status.Restarts > 0 {
		status.Restarts--
	}
	if s.process != nil {
		status.PID = s.process.pid()
		status.RSS = residentBytes(status.PID)
	}
	return status
}
