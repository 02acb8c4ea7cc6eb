package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/millgate/millgate/configs"
	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/modbus"
	"github.com/millgate/millgate/drivers/modbus/modbussim"
)

func simulateCommand() *cobra.Command {
	var listen, writeSite string
	var basePort uint16
	cmd := &cobra.Command{
		Use:   "simulate SITE.yaml",
		Short: "Serve the site's devices from their maps, to try a site without its machines",
		Long: `Serves every Modbus device of the site on this machine, with values that move as a machine's would. Devices that share an
endpoint share a server; a serial line is served as its framing over TCP, and tls:// without encryption. Devices that dial in
(listen://) are left out. --write-site writes a copy of the site that reads from the simulator; everything else in it, data_dir and
uplinks too, stays as it is. It runs until Ctrl-C.`,
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
		for _, id := range s.left {
			fmt.Fprintf(cmd.ErrOrStderr(), "millgate: %s is not simulated: its serial server would have to dial in to the gateway\n", id)
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
	servers map[string]*simulatedLink // by the place of the link
	order   []*simulatedLink
	devices []simulated
	left    []string // devices that are not served
}

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
	id     string
	unit   uint8
	link   *simulatedLink
	load   *load
	points []simulatedPoint
}

type simulatedPoint struct {
	modbus.Point
	shows instrument
}

// newSimulator listens for each endpoint of the site, from basePort on; 0 takes free ports.
func newSimulator(site *configs.Site, listen string, basePort uint16) (*simulator, error) {
	s := &simulator{servers: map[string]*simulatedLink{}}
	for _, d := range site.Devices {
		for _, g := range d.Groups {
			link := g.Modbus.Link
			if link.Endpoint.Transport == modbus.Listen || s.servers[link.Place()] != nil {
				continue
			}
			if err := s.listen(link, listen, basePort); err != nil {
				return nil, errors.Join(fmt.Errorf("device %s: %w", d.ID, err), s.close())
			}
		}
	}
	return s, s.attach(site)
}

func (s *simulator) listen(link modbus.LinkConfig, host string, basePort uint16) error {
	port := 0
	if basePort > 0 {
		port = int(basePort) + len(s.order)
	}
	framing := link.Endpoint.Framing
	server, err := modbussim.ListenFraming(net.JoinHostPort(host, strconv.Itoa(port)), framing)
	if err != nil {
		return fmt.Errorf("serve: %w (choose another --base-port)", err)
	}
	served := &simulatedLink{server, framing}
	s.servers[link.Place()] = served
	s.order = append(s.order, served)
	return nil
}

// attach gives the site's devices their places at the servers.
func (s *simulator) attach(site *configs.Site) error {
	for _, d := range site.Devices {
		device := simulated{id: d.ID, load: loadOf(d.ID)}
		for _, g := range d.Groups {
			device.link, device.unit = s.servers[g.Modbus.Link.Place()], g.Modbus.Unit
			if device.link == nil {
				break
			}
			unit := device.link.Unit(device.unit)
			for _, r := range modbus.Plan(g.Modbus) {
				unit.SetRegisters(r.Table, r.Address, make([]uint16, r.Quantity)) // also what is read between two points
			}
			for _, p := range g.Modbus.Points {
				device.points = append(device.points, simulatedPoint{p, instrumentFor(p.Tag)})
			}
		}
		if device.link == nil {
			s.left = append(s.left, d.ID)
			continue
		}
		device.show()
		s.devices = append(s.devices, device)
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

// show writes the load's present state into the device's registers.
func (d *simulated) show() {
	unit := d.link.Unit(d.unit)
	for _, p := range d.points {
		value := drivers.TextValue("simulated")
		if p.Type.Name != "string" {
			value = drivers.Float64Value(p.shows(d.load))
		}
		if words, err := modbus.Encode(p.Point, value); err == nil { // a value out of the point's range stays as it was
			unit.SetRegisters(p.Table, p.Address, words)
		}
	}
}

func (s *simulator) print(w io.Writer) error {
	rows := [][]string{{"device", "endpoint", "unit", "tags"}}
	for _, d := range s.devices {
		rows = append(rows, []string{d.id, d.link.endpoint().String(), fmt.Sprint(d.unit), fmt.Sprint(len(d.points))})
	}
	return printTable(w, rows)
}

func (s *simulator) close() error {
	var errs []error
	for _, server := range s.order {
		errs = append(errs, server.Close())
	}
	return errors.Join(errs...)
}

// endpointForm is an endpoint where it stands in a site, quoted or not.
var endpointForm = regexp.MustCompile(`(\bendpoint:\s*)("[^"]*"|'[^']*'|[^\s,}"']+)`)

// tlsForm is the files of an encrypted link, behind its endpoint in the same braces. The simulator serves it without encryption.
var tlsForm = regexp.MustCompile(`,\s*tls:\s*\{[^{}]*\}`)

// redirect is a line of a site with the endpoints in it that the simulator serves.
func (s *simulator) redirect(line string) string {
	encrypted := false
	line = endpointForm.ReplaceAllStringFunc(line, func(found string) string {
		m := endpointForm.FindStringSubmatch(found)
		endpoint, err := modbus.ParseEndpoint(strings.Trim(m[2], `"'`))
		if err != nil {
			return found
		}
		server := s.servers[modbus.LinkConfig{Endpoint: endpoint}.Place()]
		if server == nil {
			return found
		}
		encrypted = encrypted || endpoint.Transport == modbus.TLS
		return m[1] + strconv.Quote(server.endpoint().String())
	})
	if encrypted {
		line = tlsForm.ReplaceAllString(line, "")
	}
	return line
}

// writeSite copies the site's text with the endpoints of the simulator, and proves the copy by loading it.
func (s *simulator) writeSite(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if a, err := os.Stat(from); err == nil {
		if b, err := os.Stat(to); err == nil && os.SameFile(a, b) {
			return fmt.Errorf("--write-site %s would overwrite the site itself; choose another file", to)
		}
	}
	var out strings.Builder
	for line := range strings.Lines(string(text)) {
		out.WriteString(s.redirect(line))
	}
	if err := os.WriteFile(to, []byte(out.String()), 0o600); err != nil {
		return err
	}
	copied, err := configs.Load(to)
	if err != nil {
		return fmt.Errorf("write %s beside %s, whose relative paths it keeps, and take out of that what only its own endpoints can have:\n%w", to, from, err)
	}
	serving := map[string]bool{}
	for _, server := range s.order {
		serving[server.Addr()] = true
	}
	for _, d := range copied.Devices {
		for _, g := range d.Groups {
			if e := g.Modbus.Link.Endpoint; e.Transport != modbus.Listen && !serving[e.Address] {
				return fmt.Errorf("the endpoint of device %s could not be found in %s; write it as endpoint: \"tcp://host:port\"", d.ID, from)
			}
		}
	}
	return nil
}
