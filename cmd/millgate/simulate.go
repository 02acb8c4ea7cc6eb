package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/millgate/millgate/configs"
	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/modbus"
	"github.com/millgate/millgate/drivers/modbus/modbussim"
	"github.com/millgate/millgate/drivers/opcua/opcuasim"
)

func simulateCommand() *cobra.Command {
	var listen, writeSite string
	var basePort uint16
	cmd := &cobra.Command{
		Use:   "simulate SITE.yaml",
		Short: "Serve the site's devices from their maps, to try a site without its machines",
		Long: `Serves every device of the site on this machine, with values that move as a machine's would. Devices that share an endpoint share
a server; a serial line is served as its framing over TCP, and tls:// without encryption. An OPC UA server has the nodes that the site
reads; it has security policy None and asks for no user. Devices that dial in (listen://) are left out. --write-site writes a copy of
the site that reads from the simulator; everything else in it, data_dir and uplinks too, stays as it is. It runs until Ctrl-C.`,
		Example: "  millgate simulate site.yaml\n  millgate simulate site.yaml --write-site try.yaml    # then: millgate run try.yaml",
		Args:    takes("SITE.yaml"),
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1", "address to serve on")
	cmd.Flags().Uint16Var(&basePort, "base-port", 20502, "port of the first server, the others follow; 0 takes any free ports")
	cmd.Flags().StringVar(&writeSite, "write-site", "", "write a copy of the site that reads from the simulator")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		site, err := configs.Load(args[0])
		if err != nil {
			return err
		}
		s, err := newSimulator(site, listen, basePort)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.close()) }()
		for _, left := range s.left {
			fmt.Fprintf(cmd.ErrOrStderr(), "millgate: %s is not simulated: %s\n", left.what, left.why)
		}
		if writeSite != "" {
			if err := s.writeSite(args[0], writeSite); err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "millgate: %s reads from the simulator; data_dir and uplinks are those of %s\n", writeSite, args[0])
		}
		if err := s.print(cmd.OutOrStdout()); err != nil {
			return err
		}
		s.run(cmd.Context())
		return nil
	}
	return cmd
}

// simulator serves the devices of a site, one server per endpoint.
type simulator struct {
	host     string
	basePort uint16                      // 0: free ones
	links    map[string]*simulatedLink   // by the place of the link
	servers  map[string]*opcuasim.Server // by opcuaPlace
	opened   []io.Closer
	devices  []simulated
	left     []leftOut
}

// leftOut is a device or a tag that is not served.
type leftOut struct{ what, why string }

// simulatedLink is a server in the place of a link.
type simulatedLink struct {
	*modbussim.Server
	framing modbus.Framing
}

// endpoint is where the gateway finds it.
func (l *simulatedLink) endpoint() modbus.Endpoint {
	return modbus.Endpoint{Transport: modbus.TCP, Framing: l.framing, Address: l.Addr()}
}

// simulated is one device and what moves it.
type simulated struct {
	id       string
	endpoint string
	unit     string
	load     *load
	points   []simulatedPoint
	nodes    []*simulatedNode // of OPC UA, to be set when all points have been shown
}

type simulatedPoint struct {
	tag   *drivers.Tag
	shows instrument
	put   func(drivers.Value) // what is out of the point's range is left as it was
}

// newSimulator listens for each endpoint of the site, from basePort on; 0 takes free ports.
func newSimulator(site *configs.Site, listen string, basePort uint16) (*simulator, error) {
	s := &simulator{host: listen, basePort: basePort, links: map[string]*simulatedLink{}, servers: map[string]*opcuasim.Server{}}
	for _, d := range site.Devices {
		device := simulated{id: d.ID, unit: "-", load: loadOf(d.ID)}
		for _, g := range d.Groups {
			var err error
			switch {
			case g.OPCUA != nil:
				err = s.attachOPCUA(&device, g)
			case g.Modbus.Link.Endpoint.Transport != modbus.Listen:
				err = s.attachModbus(&device, g)
			}
			if err != nil {
				return nil, errors.Join(fmt.Errorf("device %s: %w", d.ID, err), s.close())
			}
		}
		if device.endpoint == "" {
			s.left = append(s.left, leftOut{d.ID, "its serial server would have to dial in to the gateway"})
			continue
		}
		device.show()
		s.devices = append(s.devices, device)
	}
	return s, nil
}

// address is where the next server listens.
func (s *simulator) address() string {
	port := 0
	if s.basePort > 0 {
		port = int(s.basePort) + len(s.opened)
	}
	return net.JoinHostPort(s.host, strconv.Itoa(port))
}

// listening says why there is no server.
func listening(err error) error {
	return fmt.Errorf("serve: %w (choose another --base-port)", err)
}

// attachModbus gives a device its registers at the server in the place of its link.
func (s *simulator) attachModbus(d *simulated, group configs.Group) error {
	g := group.Modbus
	link := s.links[g.Link.Place()]
	if link == nil {
		framing := g.Link.Endpoint.Framing
		server, err := modbussim.ListenFraming(s.address(), framing)
		if err != nil {
			return listening(err)
		}
		link = &simulatedLink{server, framing}
		s.links[g.Link.Place()] = link
		s.opened = append(s.opened, link)
	}
	d.endpoint, d.unit = link.endpoint().String(), fmt.Sprint(g.Unit)
	unit := link.Unit(g.Unit)
	for _, r := range modbus.Plan(*g) {
		unit.SetRegisters(r.Table, r.Address, make([]uint16, r.Quantity)) // also what is read between two points
	}
	for i, p := range g.Points {
		d.points = append(d.points, simulatedPoint{p.Tag, instrumentFor(group.Rules[i]), func(v drivers.Value) {
			if words, err := modbus.Encode(p, v); err == nil {
				unit.SetRegisters(p.Table, p.Address, words)
			}
		}})
	}
	return nil
}

// loadOf is the load of a device: of the same id always the same.
func loadOf(device string) *load {
	seed := fnv.New64a()
	seed.Write([]byte(device))
	return newLoad(seed.Sum64())
}

const simulationStep = 100 * time.Millisecond

// run moves the loads until ctx is done.
func (s *simulator) run(ctx context.Context) {
	tick := time.NewTicker(simulationStep)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			for i := range s.devices {
				s.devices[i].load.step(now, now.Sub(last))
				s.devices[i].show()
			}
			last = now
		}
	}
}

// show writes the load's present state into the device.
func (d *simulated) show() {
	for _, p := range d.points {
		if p.tag.Type == drivers.TypeText {
			p.put(drivers.TextValue("simulated"))
		} else {
			p.put(drivers.Float64Value(p.shows(d.load)))
		}
	}
	for _, n := range d.nodes {
		n.set()
	}
}

func (s *simulator) print(w io.Writer) error {
	rows := [][]string{{"device", "endpoint", "unit", "tags"}}
	for _, d := range s.devices {
		rows = append(rows, []string{d.id, d.endpoint, d.unit, fmt.Sprint(len(d.points))})
	}
	return printTable(w, rows)
}

func (s *simulator) close() error {
	var errs []error
	for _, server := range s.opened {
		errs = append(errs, server.Close())
	}
	return errors.Join(errs...)
}
