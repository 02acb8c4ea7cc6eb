package modbus

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millgate/millgate/drivers"
)

const savePause = time.Second // between two writings of what was learned

// PlanStatus is what a Driver asks its device for, and what it has learned about it.
type PlanStatus struct {
	Requests    []PlannedRequest `json:"requests"`
	CycleMS     float64          `json:"cycle_ms"` // what the requests take of the link together
	Registers   QuantityStatus   `json:"registers"`
	Bits        QuantityStatus   `json:"bits"`
	Quarantined []RefusedPoint   `json:"quarantined,omitempty"`
	Barriers    []RefusedSpan    `json:"barriers,omitempty"`
	SaveError   string           `json:"save_error,omitempty"` // why the last writing of Config.Learned failed
}

// PlannedRequest is one request of the plan.
type PlannedRequest struct {
	Table    string  `json:"table"`
	Address  int     `json:"address"`
	Quantity int     `json:"quantity"`
	Points   int     `json:"points"`
	CostMS   float64 `json:"cost_ms"` // see LinkConfig.Cost
}

// QuantityStatus is what is known of the largest quantity of one request.
type QuantityStatus struct {
	Allowed  int `json:"allowed"`           // by the configuration and the protocol
	Answered int `json:"answered"`          // the largest so far
	Refused  int `json:"refused,omitempty"` // the smallest that the device refused for being too large; 0: none
}

// RefusedPoint is a point that is not asked for any more, but now and then.
type RefusedPoint struct {
	Tag       string        `json:"tag"`
	Table     string        `json:"table"`
	Address   int           `json:"address"`
	Exception int           `json:"exception,omitempty"` // 0: the device met the request with silence, or cut its answer
	Cause     drivers.Cause `json:"cause"`
	Since     time.Time     `json:"since"`
	Retry     time.Time     `json:"retry"`
}

// RefusedSpan is a run of addresses that no request may hold as a whole: there is an address in it that the device does not have and
// nobody asked for, or a border that it does not read across.
type RefusedSpan struct {
	Table string        `json:"table"`
	First int           `json:"first"`
	Last  int           `json:"last"`
	Cause drivers.Cause `json:"cause"`
	Since time.Time     `json:"since"`
	Retry time.Time     `json:"retry"`
}

// report is how a Driver's knowledge leaves it.
type report struct {
	announced map[int]fact // per point of which it was said that it is refused
	events    []drivers.Event
	status    atomic.Pointer[PlanStatus]
	forget    atomic.Bool // before the next Read

	mu      sync.Mutex // guards the file and what follows
	saved   time.Time
	saveErr error
}

// Learned is the plan from the next Read on, and what it rests on. It may be called at any time; what it gives is not to be changed.
func (d *Driver) Learned() PlanStatus { return *d.status.Load() }

// Forget makes the driver learn anew from its next Read on, and removes the file. It may be called at any time.
func (d *Driver) Forget() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.forget.Store(true)
	if d.cfg.Learned == "" {
		return nil
	}
	if err := os.Remove(d.cfg.Learned); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget what was learned of %s: %w", d.cfg.Device, err)
	}
	return nil
}

// conclude is the end of a Read in which something may have been learned.
func (d *Driver) conclude(t *tally, now time.Time) {
	if t.served {
		d.announce(now)
	}
	if changed := d.learner.changed; changed || d.next != nil {
		d.save(now)
		d.publish()
	}
	d.settled = !d.learner.changed && !slices.ContainsFunc(d.requests[:len(d.calls)], func(r *planned) bool { return r.cause != "" })
	d.retry = d.learner.know.nextRetry()
}

// publish makes the status.
func (d *Driver) publish() {
	know := &d.learner.know
	jobs := d.next
	if jobs == nil {
		for _, r := range d.requests[:len(d.calls)] {
			jobs = append(jobs, r.job)
		}
	}
	s := &PlanStatus{CycleMS: ms(d.learner.rules.cost(jobs)), Registers: d.quantity(0), Bits: d.quantity(1)}
	for _, j := range jobs {
		r := PlannedRequest{Table: j.Table.String(), Address: j.From, Quantity: j.len(), CostMS: ms(d.learner.rules.cost([]job{j}))}
		for _, it := range j.items {
			r.Points += len(it.points)
		}
		s.Requests = append(s.Requests, r)
	}
	quarantined, explained := d.quarantined(), map[span]bool{}
	for _, i := range slices.Sorted(maps.Keys(quarantined)) {
		p, f := &d.cfg.Points[i], quarantined[i]
		explained[f.span] = true
		s.Quarantined = append(s.Quarantined, RefusedPoint{
			p.Tag.Name, p.Table.String(), int(p.Address), exceptionOf(f.Cause), f.Cause, f.Since, f.Retry,
		})
	}
	for _, f := range know.Refused {
		if !explained[f.span] {
			s.Barriers = append(s.Barriers, RefusedSpan{f.Table.String(), f.From, f.To - 1, f.Cause, f.Since, f.Retry})
		}
	}
	d.mu.Lock()
	if d.saveErr != nil {
		s.SaveError = d.saveErr.Error()
	}
	d.mu.Unlock()
	d.status.Store(s)
}

func (d *Driver) quantity(class int) QuantityStatus {
	limit := d.learner.know.Limits[class]
	q := QuantityStatus{Allowed: d.learner.rules.most[class], Answered: limit.Answered}
	if limit.Refused != nil {
		q.Refused = limit.Refused.len()
	}
	return q
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// exceptionOf is the code of a cause that is an exception, else 0.
func exceptionOf(c drivers.Cause) int {
	n, _ := strconv.Atoi(strings.TrimPrefix(string(c), strings.TrimSuffix(string(drivers.ModbusException(0)), "0"))) // none is 0
	return n
}

// Events is drivers.Reporter's: which points the device has begun to refuse, and which no longer. It speaks of them only when others
// were read: a device that refuses everything is told by its readings.
func (d *Driver) Events(dst []drivers.Event) []drivers.Event {
	dst = append(dst, d.events...)
	d.events = d.events[:0]
	return dst
}

func (d *Driver) announce(now time.Time) {
	quarantined := d.quarantined()
	for i := range d.cfg.Points {
		f, refused := quarantined[i]
		was, known := d.announced[i]
		switch {
		case refused && !known:
			d.announced[i] = f
			d.events = append(d.events, d.event(i, drivers.EventAddressRefused, f.Cause, now))
		case known && !refused && d.of[i] >= 0 && d.requests[d.of[i]].cause == "":
			delete(d.announced, i)
			d.events = append(d.events, d.event(i, drivers.EventAddressBack, was.Cause, now))
		}
	}
}

func (d *Driver) event(point int, kind drivers.EventKind, cause drivers.Cause, now time.Time) drivers.Event {
	p := &d.cfg.Points[point]
	e := drivers.Event{Time: drivers.Millis(now), Kind: kind, Severity: drivers.Info, Subject: "device/" + d.cfg.Device}
	e.Fields, _ = json.Marshal(struct { // has no way to fail
		Tag       string `json:"tag"`
		Table     string `json:"table"`
		Address   uint16 `json:"address"`
		Exception int    `json:"exception,omitempty"`
	}{p.Tag.Name, p.Table.String(), p.Address, exceptionOf(cause)})
	where := fmt.Sprintf("%s (%s %d)", p.Tag.Name, p.Table, p.Address)
	if kind == drivers.EventAddressBack {
		e.Text = drivers.EventText{
			EN: fmt.Sprintf("the device %s answers for %s again: it is read as before", d.cfg.Device, where),
			ZH: fmt.Sprintf("设备 %s 重新应答 %s，已恢复读取", d.cfg.Device, where),
		}
		return e
	}
	var why drivers.CauseText
	for _, why = range drivers.Causes() {
		if why.Cause == cause {
			break
		}
	}
	e.Severity, e.Cause = drivers.Warning, cause
	e.Text = drivers.EventText{
		EN: fmt.Sprintf("the device %s refuses %s: %s. All else is read without it; it is tried again now and then. "+
			"Compare its table and address with the device's manual, and look with: millgate probe", d.cfg.Device, where, why.EN),
		ZH: fmt.Sprintf("设备 %s 拒绝读取 %s：%s。其余测点照常读取，此测点会定期重试。请对照设备手册核对寄存器表与地址，并用 millgate probe 查看",
			d.cfg.Device, where, why.ZH),
	}
	return e
}

// learnedFile is what stands in Config.Learned: knowledge, and of what.
type learnedFile struct {
	Place     string    `json:"place"`
	Unit      uint8     `json:"unit"`
	Framing   string    `json:"framing"`
	Knowledge knowledge `json:"knowledge"`
}

func (d *Driver) file() learnedFile {
	return learnedFile{Place: d.cfg.Link.Place(), Unit: d.cfg.Unit, Framing: d.cfg.Link.Endpoint.Framing.String()}
}

// load reads the file; what is missing, damaged or of something else is as good as nothing.
func (d *Driver) load() knowledge {
	if d.cfg.Learned == "" {
		return knowledge{}
	}
	b, err := os.ReadFile(d.cfg.Learned)
	if err != nil {
		return knowledge{}
	}
	f, want := parseLearned(b), d.file()
	if f.Place != want.Place || f.Unit != want.Unit || f.Framing != want.Framing {
		return knowledge{}
	}
	f.Knowledge.drawNear(time.Now())
	return f.Knowledge
}

func parseLearned(b []byte) (f learnedFile) {
	if json.Unmarshal(b, &f) != nil || !f.Knowledge.believable() {
		return learnedFile{}
	}
	return f
}

// save writes the file if there is something new, but not often; a zero now says that there is no later.
func (d *Driver) save(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cfg.Learned == "" || d.forget.Load() {
		d.learner.changed = false
	}
	if !d.learner.changed || !now.IsZero() && now.Sub(d.saved) < savePause {
		return
	}
	d.saved = now
	f := d.file()
	f.Knowledge = d.learner.know
	b, err := json.Marshal(f)
	if err == nil {
		err = replaceFile(d.cfg.Learned, b)
	}
	d.saveErr = err
	d.learner.changed = err != nil
}

// replaceFile leaves the old file or the new one, whatever happens.
func replaceFile(path string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(path+".tmp", b, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}
