package main_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/millgate/millgate/buffer"
	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/uplink"
)

// recorder is a subscriber with a session of its own, so that the broker keeps for it what comes while it is away. It checks every
// message against the schemas and every repetition against the first.
type recorder struct {
	schemas map[string]*jsonschema.Schema // by the topic's last part but for hashes

	mu       sync.Mutex
	first    map[buffer.Stream]map[uint64]*recorded // by seq
	epochs   map[string]bool
	readings uint64 // in all blocks, each counted once
	repeated int
	faults   []string
}

type recorded struct {
	*uplink.Message
	payload []byte
}

// record subscribes to everything that the broker's gateway publishes.
func record(t *testing.T, b *broker) *recorder {
	t.Helper()
	r := &recorder{schemas: loadSchemas(t), first: map[buffer.Stream]map[uint64]*recorded{}, epochs: map[string]bool{}}
	r.first[buffer.Readings], r.first[buffer.Events] = map[uint64]*recorded{}, map[uint64]*recorded{}
	t.Cleanup(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, fault := range r.faults {
			t.Errorf("recorder: %s", fault)
		}
	})
	subscribeTo(t, b, "recorder", r.take)
	return r
}

// subscribeTo makes a subscriber with a session of that name, which gets everything that the broker's gateway publishes until the test ends.
func subscribeTo(t *testing.T, b *broker, id string, take mqtt.MessageHandler) {
	t.Helper()
	ca, err := os.ReadFile(b.path("ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	subscribed := make(chan error, 10)
	client := mqtt.NewClient(mqtt.NewClientOptions().
		AddBroker("ssl://" + local(b.port)).SetTLSConfig(&tls.Config{RootCAs: roots}).
		SetClientID(id).SetUsername("recorder").SetPassword(recorderPassword).
		SetProtocolVersion(4).SetCleanSession(false).SetMaxReconnectInterval(time.Second).
		SetDefaultPublishHandler(take).
		SetOnConnectHandler(func(c mqtt.Client) {
			token := c.Subscribe("millgate/v1/#", 1, take)
			token.Wait()
			select {
			case subscribed <- token.Error():
			default:
			}
		}))
	if token := client.Connect(); token.Wait() && token.Error() != nil {
		t.Fatalf("%s: %v", id, token.Error())
	}
	if err := <-subscribed; err != nil {
		t.Fatalf("%s: %v", id, err)
	}
	t.Cleanup(func() { client.Disconnect(100) })
}

func loadSchemas(t *testing.T) map[string]*jsonschema.Schema {
	t.Helper()
	schemas := map[string]*jsonschema.Schema{}
	files, err := filepath.Glob("../../docs/schema/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no schemas in docs/schema: %v", err)
	}
	for _, file := range files {
		schema, err := jsonschema.NewCompiler().Compile(file)
		if err != nil {
			t.Fatalf("schema: %v", err)
		}
		name, _, _ := strings.Cut(filepath.Base(file), ".")
		schemas[name] = schema
	}
	return schemas
}

func (r *recorder) take(_ mqtt.Client, m mqtt.Message) {
	levels := strings.Split(m.Topic(), "/")
	name := levels[min(4, len(levels)-1)] // millgate/v1/<site>/<gateway>/<name>
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.validate(name, m.Payload()); err != nil {
		r.fault("%s: %v", m.Topic(), err)
		return
	}
	if name != string(buffer.Readings) && name != string(buffer.Events) {
		return
	}
	msg, err := uplink.ParseMessage(m.Payload())
	if err != nil {
		r.fault("%s: %v", m.Topic(), err)
		return
	}
	if known := r.first[msg.Stream][msg.Seq]; known != nil {
		r.repeated++
		if !bytes.Equal(known.payload, m.Payload()) {
			r.fault("%s %d came twice and differs:\n%.500s\n%.500s", msg.Stream, msg.Seq, known.payload, m.Payload())
		}
		return
	}
	r.first[msg.Stream][msg.Seq] = &recorded{Message: msg, payload: m.Payload()}
	r.epochs[msg.Epoch] = true
	r.readings += countReadings(msg)
}

func countReadings(m *uplink.Message) (n uint64) {
	for _, o := range m.Readings {
		n += uint64(len(o.Values) + len(o.Bad))
	}
	return n
}

// fault notes what is wrong, of many alike only the first. The caller holds mu.
func (r *recorder) fault(format string, args ...any) {
	if len(r.faults) < 10 {
		r.faults = append(r.faults, fmt.Sprintf(format, args...))
	}
}

func (r *recorder) validate(name string, payload []byte) error {
	schema := r.schemas[name]
	if schema == nil {
		return fmt.Errorf("docs/schema has no %s", name)
	}
	if len(payload) == 0 && name == "catalogue" {
		return nil // cleared
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(payload))
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

// count is the number of blocks of a stream that have arrived.
func (r *recorder) count(stream buffer.Stream) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.first[stream])
}

// blocks are those of a stream in order of seq.
func (r *recorder) blocks(stream buffer.Stream) []*recorded {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []*recorded
	for _, seq := range slices.Sorted(maps.Keys(r.first[stream])) {
		out = append(out, r.first[stream][seq])
	}
	return out
}

// gaps are the seqs from 1 to before next that have not arrived.
func (r *recorder) gaps(stream buffer.Stream, next uint64) []uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []uint64
	for seq := uint64(1); seq < next; seq++ {
		if r.first[stream][seq] == nil {
			out = append(out, seq)
		}
	}
	return out
}

// proveComplete compares what arrived with the books of a queue that has been delivered: nothing is missing, nothing was invented.
func (r *recorder) proveComplete(t *testing.T, s buffer.Snapshot) {
	t.Helper()
	r.settle(t, s)
	for stream, next := range s.Next {
		if gaps := r.gaps(stream, next); len(gaps) > 0 {
			t.Errorf("%s: %d of 1 to %d are missing: %v", stream, len(gaps), next-1, gaps)
		}
		if n := r.count(stream); n > int(next)-1 {
			t.Errorf("%s: %d blocks arrived, but the queue has numbered %d", stream, n, next-1)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.epochs) != 1 || !r.epochs[s.Epoch] {
		t.Errorf("epochs %v; want only %s", slices.Collect(maps.Keys(r.epochs)), s.Epoch)
	}
	u := s.Ledger.Uplinks[0]
	t.Logf("%d blocks and %d readings arrived, %d repetitions; the ledger has stored %d, acknowledged %d, pending %d",
		len(r.first[buffer.Readings]), r.readings, r.repeated, u.Stored, u.Acknowledged, u.Pending)
	if r.readings != u.Stored || u.Acknowledged != u.Stored {
		t.Errorf("%d readings arrived; the ledger has stored %d and acknowledged %d", r.readings, u.Stored, u.Acknowledged)
	}
}

// settle waits until what the broker has acknowledged has reached the subscriber, or until that can no longer be expected.
func (r *recorder) settle(t *testing.T, s buffer.Snapshot) {
	t.Helper()
	all := func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.readings >= s.Ledger.Uplinks[0].Acknowledged
	}
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end) && !all(); {
		time.Sleep(50 * time.Millisecond)
	}
}

// ticks are the times at which a device answered, each truncated to its interval.
func (r *recorder) ticks(device string, interval time.Duration) []int64 {
	seen := map[int64]bool{}
	for _, b := range r.blocks(buffer.Readings) {
		for _, o := range b.Readings {
			tags := len(o.Values)
			if o.Values["up"] != nil { // says nothing of the device's own tags
				tags--
			}
			if o.Device == device && tags > 0 {
				seen[o.Time/interval.Milliseconds()] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// proveEveryTick says that a device's readings have no hole between the first and the last.
func (r *recorder) proveEveryTick(t *testing.T, device string, interval time.Duration) {
	t.Helper()
	ticks := r.ticks(device, interval)
	if len(ticks) == 0 {
		t.Errorf("%s: no readings", device)
		return
	}
	if want := int(ticks[len(ticks)-1]-ticks[0]) + 1; len(ticks) != want {
		t.Errorf("%s: readings at %d of %d ticks", device, len(ticks), want)
	}
}

// causes counts why a device's tags had no value.
func (r *recorder) causes(device string) map[drivers.Cause]int {
	out := map[drivers.Cause]int{}
	for _, b := range r.blocks(buffer.Readings) {
		for _, o := range b.Readings {
			if o.Device == device {
				for _, cause := range o.Bad {
					out[cause]++
				}
			}
		}
	}
	return out
}
