package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/spf13/cobra"

	"github.com/millgate/millgate/buffer"
	"github.com/millgate/millgate/configs"
)

//go:embed demo.yaml
var demoSite []byte

// What the demo replaces in demo.yaml, beside the endpoints of the devices.
const (
	demoBroker  = "tcp://127.0.0.1:1883"
	demoDataDir = "data_dir: data"
)

func demoCommand() *cobra.Command {
	var duration time.Duration
	var port uint16
	var dir string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "See it work: a simulated factory, a broker and the gateway in one process; needs nothing installed",
		Long: `Simulates a small factory with machines and meters, starts an MQTT broker, runs the gateway on them as "millgate run" would, and
shows what a subscriber at the broker receives. At the end it compares the gateway's ledger with what the subscriber got:
exit code 1 if a reading is not accounted for.`,
		Example: "  millgate demo\n  millgate demo --duration 20s\n  millgate demo --dir /tmp/factory   # goes on with its queue when started again",
		Args:    takes(),
	}
	flags := cmd.Flags()
	flags.DurationVar(&duration, "duration", 0, "end by itself after this time; 0 runs until Ctrl-C")
	flags.Uint16Var(&port, "broker-port", 0, "port of the broker on 127.0.0.1; 0 takes a free one")
	flags.StringVar(&dir, "dir", "", "folder for the site, the queue and the log; default a temporary one, removed if all went well")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx := cmd.Context()
		if duration > 0 {
			timed, cancel := context.WithTimeout(ctx, duration)
			defer cancel()
			ctx = timed
		}
		if dir != "" {
			return runDemo(ctx, dir, port, cmd.OutOrStdout())
		}
		temporary, err := os.MkdirTemp("", "millgate-demo-")
		if err != nil {
			return err
		}
		if err := runDemo(ctx, temporary, port, cmd.OutOrStdout()); err != nil {
			if os.Remove(temporary) == nil { // empty: it did not come to files
				return err
			}
			return fmt.Errorf("%w (its files are in %s)", err, temporary)
		}
		return os.RemoveAll(temporary)
	}
	return cmd
}

func runDemo(ctx context.Context, dir string, brokerPort uint16, w io.Writer) error {
	d, err := openDemo(dir, brokerPort)
	if err != nil {
		return err
	}
	if err := errors.Join(d.run(ctx, newScreen(w, d)), d.close()); err != nil {
		return err
	}
	return d.conclude(w)
}

// demo is a whole factory with its gateway, its broker and a subscriber in this process.
type demo struct {
	dir       string
	broker    *mochi.Server
	brokerURL string
	simulator *simulator
	site      *configs.Site
	log       *os.File
	gateway   *gateway
	board     *board          // what the subscriber has received
	before    buffer.Snapshot // the queue as it was found
	after     buffer.Snapshot
}

// openDemo opens every port and file; nothing works before run.
func openDemo(dir string, brokerPort uint16) (d *demo, err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	d = &demo{dir: dir, board: newBoard()}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return d, err
	}
	if err := d.openBroker(brokerPort); err != nil {
		return d, err
	}
	if err := d.openSite(); err != nil {
		return d, err
	}
	if d.log, err = os.OpenFile(d.path("gateway.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		return d, err
	}
	if d.gateway, err = openGateway(d.site, newLog(d.log, d.site.Location)); err != nil {
		return d, err
	}
	d.before = d.gateway.queue.Snapshot()
	return d, nil
}

func (d *demo) path(name string) string { return filepath.Join(d.dir, name) }

func (d *demo) openBroker(port uint16) error {
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))))
	if err != nil {
		return fmt.Errorf("open the broker: %w; choose another --broker-port, or 0 for a free one", err)
	}
	d.brokerURL = "tcp://" + listener.Addr().String()
	d.broker = mochi.New(&mochi.Options{Logger: slog.New(slog.DiscardHandler)})
	return errors.Join(d.broker.AddHook(new(auth.AllowHook), nil), d.broker.AddListener(listeners.NewNet("demo", listener)))
}

// openSite writes the factory's site, simulates its devices, and writes the site that asks those.
func (d *demo) openSite() error {
	text := bytes.Replace(demoSite, []byte(demoBroker), []byte(d.brokerURL), 1)
	text = bytes.Replace(text, []byte(demoDataDir), []byte("data_dir: "+strconv.Quote(d.path("data"))), 1)
	factory := d.path("factory.yaml")
	if err := os.WriteFile(factory, text, 0o600); err != nil {
		return err
	}
	site, err := configs.Load(factory)
	if err != nil {
		return err
	}
	if d.simulator, err = newSimulator(site, "127.0.0.1", 0); err != nil {
		return err
	}
	d.wireMeters()
	if err := d.simulator.writeSite(factory, d.path("demo.yaml")); err != nil {
		return err
	}
	d.site, err = configs.Load(d.path("demo.yaml"))
	return err
}

// demoSupply says which machine a meter measures.
var demoSupply = map[string]string{"meter-cnc": "cnc-1", "meter-press": "press-1", "meter-lathe": "lathe-1", "meter-air": "air-1"}

// wireMeters gives each meter the load of its machine: the same seed and the same steps are the same load.
func (d *demo) wireMeters() {
	for i := range d.simulator.devices {
		device := &d.simulator.devices[i]
		if machine, ok := demoSupply[device.id]; ok {
			device.load = loadOf(machine)
			device.show()
		}
	}
}

// run lets everything work until ctx is done or the gateway ends, and stops it in the order in which data flows.
func (d *demo) run(ctx context.Context, s *screen) error {
	if err := d.broker.Serve(); err != nil {
		return err
	}
	factory := start(func(ctx context.Context) error {
		d.simulator.run(ctx)
		return nil
	})
	connected := make(chan struct{}, 1)
	subscription := &subscription{broker: d.brokerURL, topic: "millgate/v1/#"}
	subscriber := start(func(ctx context.Context) error {
		return subscription.run(ctx, d.board.take, func(string) {
			select {
			case connected <- struct{}{}:
			default:
			}
		})
	})
	select {
	case <-connected: // so that nothing is published before it listens
	case <-subscriber.ended:
		return errors.Join(subscriber.stop(), factory.stop())
	}
	gateway := start(d.gateway.run)
	err := s.run(ctx, gateway.ended)
	err = errors.Join(err, gateway.stop())
	d.after = d.gateway.queue.Snapshot()
	d.awaitSubscriber()
	return errors.Join(err, subscriber.stop(), factory.stop())
}

const subscriberGrace = 5 * time.Second

// awaitSubscriber waits until the subscriber has what the broker has acknowledged.
func (d *demo) awaitSubscriber() {
	for end := time.Now().Add(subscriberGrace); time.Now().Before(end) && d.board.received().readings < d.acknowledged(); {
		time.Sleep(20 * time.Millisecond)
	}
}

// acknowledged is how many readings the broker has taken since the demo was opened.
func (d *demo) acknowledged() uint64 {
	return towards(d.after).Acknowledged - towards(d.before).Acknowledged
}

// towards is the account of the demo's only uplink.
func towards(s buffer.Snapshot) buffer.UplinkLedger {
	if len(s.Ledger.Uplinks) == 0 {
		return buffer.UplinkLedger{}
	}
	return s.Ledger.Uplinks[0]
}

func (d *demo) close() error {
	var errs []error
	if d.gateway != nil {
		errs = append(errs, d.gateway.close())
	}
	if d.log != nil {
		errs = append(errs, d.log.Close())
	}
	if d.simulator != nil {
		errs = append(errs, d.simulator.close())
	}
	if d.broker != nil {
		errs = append(errs, d.broker.Close())
	}
	return errors.Join(errs...)
}

// conclude prints the ledger and what the subscriber received; the error says that they do not agree.
func (d *demo) conclude(w io.Writer) error {
	fmt.Fprintln(w, "\nledger, in readings")
	if err := printLedger(w, d.after.Ledger); err != nil {
		return err
	}
	if err := d.board.kpis.conclude(w, d.site.KPI); err != nil {
		return err
	}
	got, acknowledged := d.board.received(), d.acknowledged()
	fmt.Fprintf(w, "The subscriber received %s.\nOf this run the broker acknowledged %d readings, and the subscriber received %d.\n",
		got.text, acknowledged, got.readings)
	switch {
	case len(d.after.Ledger.Imbalances()) > 0:
		return errors.New("the ledger does not balance")
	case got.readings != acknowledged:
		return errors.New("the subscriber did not receive what the broker acknowledged")
	case !got.good:
		return errors.New("the subscriber misses blocks or received wrong ones")
	}
	return nil
}
