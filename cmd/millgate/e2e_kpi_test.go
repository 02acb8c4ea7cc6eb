package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millgate/millgate/buffer"
	"github.com/millgate/millgate/collector/kpi"
	"github.com/millgate/millgate/collector/kpi/kpisim"
	"github.com/millgate/millgate/configs"
	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/uplink"
)

// testAuditKPIs: a simulated factory's days go through the real queue, its follower, the real uplink and a real broker to mosquitto_sub; and
// from what that wrote down every KPI is computed anew and is equal. Then one thing at a time is manipulated, and found.
func testAuditKPIs(t *testing.T) {
	b := newBroker(t)
	f := newFactory(t, b)
	recording := b.path("recording.txt")
	f.record(t, recording)
	f.work(t, time.Date(2026, 9, 24, 12, 30, 0, 0, time.FixedZone("", 8*3600)).UnixMilli())
	f.deliver(t, recording)

	a := auditRecording(t, recording, true)
	k := a.Gateways[0].KPIs
	t.Logf("%d messages; %d KPIs compared, %d equal, %d different; not comparable: %v", a.Messages, k.Compared, k.Equal, len(k.Different), k.Skipped)
	if !a.Good || k.Compared < 10000 || k.Equal != k.Compared {
		t.Errorf("good %v, %d compared, %d equal; the first that differ: %.2000s", a.Good, k.Compared, k.Equal, marshalled(k.Different[:min(3, len(k.Different))]))
	}
	if revisions := f.revisions(t); revisions == 0 {
		t.Error("nothing was revised, though readings and a meter swap were told late")
	} else {
		t.Logf("%d revised windows among them", revisions)
	}
	f.manipulate(t, recording)
}

// factory is a simulated one, with a queue and an uplink of its own in this process.
type factory struct {
	b        *broker
	week     *kpisim.Week
	tags     map[string]*drivers.Tag
	queue    *buffer.Queue
	follower *buffer.Follower
}

func newFactory(t *testing.T, b *broker) *factory {
	t.Helper()
	f := &factory{b: b, week: kpisim.NewWeek(5), tags: map[string]*drivers.Tag{}}
	catalogue := f.catalogue()
	s := writeSite(t, t.TempDir(), "commit_interval: 100ms", b.uplink(), "- {id: d, interval: 1s, modbus: {endpoint: \"tcp://127.0.0.1:1\", unit: 1}, points: [{name: a, table: coil, address: 0, type: bool}]}\n")
	site, err := configs.Load(s.file)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	if f.queue, err = buffer.Open(buffer.Config{Dir: filepath.Join(s.dir, "queue"), CommitInterval: 20 * time.Millisecond, Uplinks: []string{site.Uplinks[0].ID}}, catalogue); err != nil {
		t.Fatal(err)
	}
	tags, err := catalogue.Tags()
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range tags {
		f.tags[tag.String()] = tag
	}
	plan, err := kpi.NewPlan(f.week.Config, configs.Policy())
	if err != nil {
		t.Fatal(err)
	}
	f.follower = f.queue.Follower(plan, filepath.Join(s.dir, "kpi"))
	up := uplink.New(site.Uplinks[0], uplink.Self{Site: catalogue.Site, Gateway: catalogue.Gateway}, f.queue, log)
	ctx, cancel := context.WithCancel(context.Background())
	running := make(chan error, 3)
	for _, run := range []func(context.Context) error{f.queue.Run, f.follower.Run, up.Run} {
		go func() { running <- run(ctx) }()
	}
	t.Cleanup(func() {
		cancel()
		for range 3 {
			if err := <-running; err != nil {
				t.Error(err)
			}
		}
		if err := f.queue.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// catalogue names all tags that the factory's devices tell.
func (f *factory) catalogue() *buffer.Catalogue {
	c := &buffer.Catalogue{V: 1, Site: "factory", Gateway: "gw-01", Timezone: "Asia/Shanghai", KPI: f.week.Config}
	ids, tags := f.week.Devices()
	for _, id := range ids {
		d := buffer.CatalogueDevice{ID: id, Protocol: "modbus", Tags: []buffer.CatalogueTag{buffer.UpTag()}}
		for _, tag := range tags[id] {
			d.Tags = append(d.Tags, buffer.CatalogueTag{Name: tag.Name, Kind: tag.Kind.String(), Type: tag.Type.String(), Interval: 1000})
		}
		c.Devices = append(c.Devices, d)
	}
	return c
}

// record lets mosquitto_sub write down what is published.
func (f *factory) record(t *testing.T, file string) {
	t.Helper()
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(peer(t, "mosquitto_sub"), "-h", "127.0.0.1", "-p", fmt.Sprint(f.b.port), "--cafile", f.b.path("ca.pem"), "--insecure",
		"-u", "recorder", "-P", recorderPassword, "-i", "auditor", "-c", "-q", "1", "-v", "-t", "millgate/v1/#")
	cmd.Stdout = out
	var problems bytes.Buffer
	cmd.Stderr = &problems
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it runs until then
		_ = cmd.Wait()
		_ = out.Close()
		if t.Failed() {
			t.Logf("mosquitto_sub: %s", &problems)
		}
	})
	eventually(t, 10*time.Second, "mosquitto_sub has its subscription", func() bool {
		saved, _ := os.ReadFile(f.b.path("mosquitto.db")) // it comes with the first autosave
		return bytes.Contains(saved, []byte("millgate/v1/#"))
	})
}

// work puts what the devices told until a moment into the queue, ten minutes at a time.
func (f *factory) work(t *testing.T, until int64) {
	t.Helper()
	const tenMinutes = 60
	blocks := f.week.Blocks
	for len(blocks) > 0 && (len(blocks[0].Seen) == 0 || blocks[0].Seen[0].Time < until) {
		n := min(tenMinutes, len(blocks))
		var readings []drivers.Reading
		cycles := map[string]*drivers.Cycle{}
		cycle := func(device string, at int64) *drivers.Cycle {
			if cycles[device] == nil {
				cycles[device] = &drivers.Cycle{Device: device}
			}
			cycles[device].Time = max(cycles[device].Time, at)
			return cycles[device]
		}
		for i := range blocks[:n] {
			for _, r := range blocks[i].Readings {
				r.Tag = f.tags[r.Tag.String()]
				readings = append(readings, r)
				c := cycle(r.Tag.Device, 0)
				c.Due, c.Good = c.Due+1, c.Good+1
			}
			for _, s := range blocks[i].Seen {
				cycle(s.Device, s.Time)
			}
		}
		var account []drivers.Cycle
		for _, c := range cycles {
			account = append(account, *c)
		}
		pos, err := f.queue.Append(readings, nil, account)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.queue.Await(t.Context(), pos); err != nil {
			t.Fatal(err)
		}
		blocks = blocks[n:]
	}
}

// deliver waits until everything is computed, published and written down.
func (f *factory) deliver(t *testing.T, file string) {
	t.Helper()
	eventually(t, 5*time.Minute, "all KPIs are computed, and all blocks acknowledged", func() bool {
		s := f.queue.Snapshot()
		at := f.follower.Snapshot()
		return at.Position.Readings+1 == s.Next[buffer.Readings] && at.Lag == 0 && s.Uplinks[0].PendingBlocks == 0
	})
	eventually(t, time.Minute, "mosquitto_sub has written everything down", func() bool {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for stream, next := range f.queue.Snapshot().Next {
			last := fmt.Sprintf(`"stream":%q,"site":"factory","gateway":"gw-01","epoch":%q,"seq":%d`, stream, f.queue.Snapshot().Epoch, next-1)
			if next > 1 && !bytes.Contains(text, []byte(last)) {
				return false
			}
		}
		return bytes.HasSuffix(text, []byte("\n"))
	})
	if s := f.follower.Snapshot(); s.Error != "" {
		t.Errorf("follower: %s", s.Error)
	}
}

// revisions counts the messages of the recording that revise a window.
func (f *factory) revisions(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(f.b.path("recording.txt"))
	if err != nil {
		t.Fatal(err)
	}
	return len(regexp.MustCompile(`"rev":[1-9][0-9]*,"reason":"`).FindAll(text, -1))
}

// auditResult is what the audit prints for scripts, as far as the test looks.
type auditResult struct {
	Good     bool   `json:"good"`
	Messages uint64 `json:"messages"`
	Faults   uint64 `json:"faults"`
	Missing  uint64 `json:"missing"`
	Gateways []struct {
		KPIs struct {
			Compared  int            `json:"compared"`
			Equal     int            `json:"equal"`
			Different []auditDiffers `json:"different"`
			Skipped   map[string]int `json:"not_comparable"`
		} `json:"kpis"`
	} `json:"gateways"`
}

type auditDiffers struct {
	Window       kpi.Window
	Subject, KPI string
	Members      []string
}

func auditRecording(t *testing.T, file string, good bool) *auditResult {
	t.Helper()
	began := time.Now()
	out, err := exec.Command(binary, "audit", file, "--kpis", "--output", "json").Output()
	t.Logf("audit took %v", time.Since(began).Round(time.Millisecond))
	if (err == nil) != good {
		t.Errorf("exit: %v; want good %v", explain(err), good)
	}
	a := new(auditResult)
	if err := json.Unmarshal(out, a); err != nil {
		t.Fatalf("%v\n%.500s", err, out)
	}
	return a
}

func marshalled(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		return []byte(err.Error())
	}
	return text
}

// manipulate changes one thing at a time in the recording.
func (f *factory) manipulate(t *testing.T, recording string) {
	t.Helper()
	text, err := os.ReadFile(recording)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(text), "\n")
	of := func(topic string) (at []int) {
		for i, line := range lines {
			if strings.HasPrefix(line, "millgate/v1/factory/gw-01/"+topic) {
				at = append(at, i)
			}
		}
		return at
	}
	readings, kpis := of("readings "), of("kpis/")
	change := func(i int, form, by string) []string {
		changed := slices.Clone(lines)
		re := regexp.MustCompile(form)
		place := re.FindStringSubmatchIndex(changed[i])
		if place == nil {
			t.Fatalf("nothing like %s in line %d", form, i)
		}
		changed[i] = changed[i][:place[2]] + by + changed[i][place[3]:]
		return changed
	}
	middle := readings[len(readings)/2]
	tests := []struct {
		name  string
		lines []string
		good  bool
		found func(*auditResult) bool
	}{
		{"a power", change(middle, `"device":"meter-7","t":[0-9]+,"values":\{"power":([0-9.]+)\}`, "97.5"), false, func(a *auditResult) bool {
			return slices.ContainsFunc(a.Gateways[0].KPIs.Different, func(d auditDiffers) bool { return d.Subject == "M-7" && d.KPI == "energy" })
		}},
		{"a KPI, and a repetition that is none", append(change(kpis[len(kpis)/2], `"value":([0-9.]+)`, "123456"), change(readings[3], `"t":[0-9]+,"values":\{"[a-z0-9-]+":([0-9.]+|true|false)`, "55")[readings[3]]), false,
			func(a *auditResult) bool { return a.Faults == 1 && len(a.Gateways[0].KPIs.Different) == 1 }},
		{"a block left out", slices.Delete(slices.Clone(lines), middle, middle+1), false, func(a *auditResult) bool {
			return a.Missing == 1 && len(a.Gateways[0].KPIs.Different) == 0 && len(a.Gateways[0].KPIs.Skipped) > 0
		}},
		{"a recording that begins later", f.without(lines, readings[:len(readings)/3]), true, func(a *auditResult) bool {
			k := a.Gateways[0].KPIs
			return k.Compared > 5000 && k.Equal == k.Compared && len(k.Skipped) == 2
		}},
	}
	for _, tt := range tests {
		file := f.b.path("manipulated.txt")
		if err := os.WriteFile(file, []byte(strings.Join(tt.lines, "")), 0o600); err != nil {
			t.Fatal(err)
		}
		a := auditRecording(t, file, tt.good)
		k := a.Gateways[0].KPIs
		t.Logf("%s: missing %d, faults %d; %d compared, %d different; not comparable: %v", tt.name, a.Missing, a.Faults, k.Compared, len(k.Different), k.Skipped)
		if !tt.found(a) {
			t.Errorf("%s: the first that differ: %.1000s", tt.name, marshalled(k.Different[:min(3, len(k.Different))]))
		}
	}
}

// without leaves out lines.
func (f *factory) without(lines []string, which []int) (left []string) {
	for i, line := range lines {
		if !slices.Contains(which, i) {
			left = append(left, line)
		}
	}
	return left
}
