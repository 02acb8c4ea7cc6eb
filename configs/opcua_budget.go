package configs

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/millgate/millgate/drivers/opcua"
)

// Budget is what a server can do. The zero Budget, and each zero in it, is not known.
type Budget struct {
	SamplesPerSecond int             // of all items together
	Sessions         int             // of all clients together
	Subscriptions    int             // likewise
	Sampling         []time.Duration // the sampling intervals that it has, rising
	Publishing       time.Duration   // its shortest publishing interval
}

// Server is an OPC UA server with what its devices ask of it.
type Server struct {
	Endpoint      string
	Devices       []string // their ids
	Items         int      // that it samples and tells of
	Samples       float64  // that it takes in a second for them
	Reads         float64  // values that it is asked for in a second, beside them
	Sessions      int
	Subscriptions int
	Budget        Budget // the least that its devices and their maps name
}

func (d *document) budget(into *Budget) func(ast.Node) {
	return func(n ast.Node) {
		d.object(n, "budget",
			may("samples_per_second", d.integer(&into.SamplesPerSecond, 1, 1_000_000, "samples_per_second")),
			may("sessions", d.integer(&into.Sessions, 1, 10_000, "sessions")),
			may("subscriptions", d.integer(&into.Subscriptions, 1, 10_000, "subscriptions")),
			may("sampling", d.list("sampling", func(n ast.Node) {
				var v time.Duration
				if d.duration(&v, minSampling, maxInterval, "sampling")(n); v > 0 {
					into.Sampling = append(into.Sampling, v)
				}
			})),
			may("publishing", d.duration(&into.Publishing, minInterval, time.Hour, "publishing")),
		)
		slices.Sort(into.Sampling)
	}
}

// inherit takes from the map what the site does not say.
func (b *Budget) inherit(m Budget) {
	b.SamplesPerSecond = cmp.Or(b.SamplesPerSecond, m.SamplesPerSecond)
	b.Sessions = cmp.Or(b.Sessions, m.Sessions)
	b.Subscriptions = cmp.Or(b.Subscriptions, m.Subscriptions)
	b.Publishing = cmp.Or(b.Publishing, m.Publishing)
	if b.Sampling == nil {
		b.Sampling = m.Sampling
	}
}

// least is what both say that the server can do.
func (b Budget) least(other Budget) Budget {
	b.SamplesPerSecond = lesser(b.SamplesPerSecond, other.SamplesPerSecond)
	b.Sessions = lesser(b.Sessions, other.Sessions)
	b.Subscriptions = lesser(b.Subscriptions, other.Subscriptions)
	b.Publishing = max(b.Publishing, other.Publishing)
	if b.Sampling == nil {
		b.Sampling = other.Sampling
	} else if other.Sampling != nil {
		b.Sampling = slices.DeleteFunc(slices.Clone(b.Sampling), func(v time.Duration) bool { return !slices.Contains(other.Sampling, v) })
	}
	return b
}

func lesser(a, b int) int {
	if a == 0 || b == 0 {
		return a + b
	}
	return min(a, b)
}

// budgetServers computes what is asked of the servers and refuses what they can not do.
func (s *site) budgetServers() {
	at := map[string]int{}
	first := map[int]*deviceSpec{}
	for i, d := range s.devices {
		if d.opcua == nil {
			continue
		}
		place := serverPlace(d.opcua.server.Endpoint)
		n, ok := at[place]
		if !ok {
			n = len(s.out.Servers)
			at[place], first[n] = n, d
			s.out.Servers = append(s.out.Servers, Server{Endpoint: d.opcua.server.Endpoint, Sessions: 1})
		}
		s.out.Servers[n].add(s.out.Devices[i], d.opcua.budget)
	}
	for n := range s.out.Servers {
		s.checkServer(first[n], &s.out.Servers[n])
	}
	for i, d := range s.devices {
		if d.opcua != nil {
			b := s.out.Servers[at[serverPlace(d.opcua.server.Endpoint)]].Budget
			for _, g := range s.out.Devices[i].Groups {
				g.OPCUA.Server.Publishing = max(g.OPCUA.Server.Publishing, b.Publishing)
			}
		}
	}
}

func (v *Server) add(d Device, b Budget) {
	v.Devices = append(v.Devices, d.ID)
	v.Budget = v.Budget.least(b)
	for _, g := range d.Groups {
		if g.OPCUA.Polled {
			v.Reads += float64(len(g.OPCUA.Points)) / g.Interval.Seconds()
			continue
		}
		v.Subscriptions++
		v.Items += len(g.OPCUA.Points)
		for _, p := range g.OPCUA.Points {
			v.Samples += 1 / samplingOf(p, g.Interval).Seconds()
		}
	}
}

func samplingOf(p opcua.Point, interval time.Duration) time.Duration {
	return cmp.Or(p.Sampling, interval)
}

func (s *site) checkServer(d *deviceSpec, v *Server) {
	b := v.Budget
	where := d.opcua.at.of("endpoint")
	if b.SamplesPerSecond > 0 && v.Samples > float64(b.SamplesPerSecond)*(1+1e-9) {
		s.at(where, "the server takes %d samples per second, you asked for %.0f: %s", b.SamplesPerSecond, math.Ceil(v.Samples), s.samplesAdvice(v))
	}
	if b.Subscriptions > 0 && v.Subscriptions > b.Subscriptions {
		s.at(where, "the server has %d subscriptions, you asked for %d, one for each interval of each device: use fewer different intervals, or acquire: poll for some of the points",
			b.Subscriptions, v.Subscriptions)
	}
	if p := d.opcua.server.Publishing; p > 0 && p < b.Publishing {
		s.at(d.opcua.at.of("publishing"), "publishing %v is shorter than the %v that the server can do", p, b.Publishing)
	}
}

// samplesAdvice names the points that cost most, and what may be done.
func (s *site) samplesAdvice(v *Server) string {
	type share struct {
		device   string
		sampling time.Duration
		n        int
	}
	shares := map[share]int{}
	for _, d := range s.out.Devices {
		if !slices.Contains(v.Devices, d.ID) {
			continue
		}
		for _, g := range d.Groups {
			for _, p := range g.OPCUA.Points {
				if !g.OPCUA.Polled {
					shares[share{device: d.ID, sampling: samplingOf(p, g.Interval)}]++
				}
			}
		}
	}
	var most share
	var cost float64
	for k, n := range shares {
		k.n = n
		c := float64(n) / k.sampling.Seconds()
		if c > cost || c == cost && (k.device < most.device || k.device == most.device && k.sampling < most.sampling) {
			most, cost = k, c
		}
	}
	return fmt.Sprintf("the points of device %q that it samples every %v, %d in number, take %.0f of them; sample them less often, switch points off, or say acquire: poll for what changes seldom",
		most.device, most.sampling, most.n, math.Ceil(cost))
}

// checkSampling refuses an interval that the server would change into another one without a word.
func (s *site) checkSampling(d *deviceSpec, p *pointSpec, asked time.Duration) {
	allowed := d.opcua.budget.Sampling
	if len(allowed) == 0 || slices.Contains(allowed, asked) {
		return
	}
	words := make([]string, len(allowed))
	for i, v := range allowed {
		words[i] = v.String()
	}
	nearest := slices.MinFunc(allowed, func(a, b time.Duration) int { return cmp.Compare((a - asked).Abs(), (b - asked).Abs()) })
	text := fmt.Sprintf("the server of device %q does not sample every %v: the nearest that it does is sampling: %v, of %s", d.id, asked, nearest, strings.Join(words, ", "))
	if p.has("sampling") || p.has("interval") {
		p.at([]string{"sampling", "interval"}, "point %s: %s", p.name, text)
		return
	}
	s.at(d.at.of("interval"), "%s", text)
}
