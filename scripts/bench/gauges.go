package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/millgate/millgate/uplink"
)

// gauges are the meters of one moment.
type gauges struct {
	cpu  float64 // seconds
	disk int64   // bytes written to the block device
}

func (h *house) gauges(pid int) (g gauges, err error) {
	if h.loop != "" {
		if err := command("sync", "-f", filepath.Dir(h.queue)); err != nil {
			return g, err
		}
		stat, err := os.ReadFile(filepath.Join("/sys/block", h.loop, "stat"))
		if err != nil {
			return g, err
		}
		var skip, sectors int64 // the seventh field counts sectors of 512 bytes (Documentation/block/stat.rst)
		if _, err := fmt.Sscan(string(stat), &skip, &skip, &skip, &skip, &skip, &skip, &sectors); err != nil {
			return g, err
		}
		g.disk = sectors * 512
	}
	g.cpu, err = processorTime(pid)
	return g, err
}

// processorTime is the seconds that a process has used.
func processorTime(pid int) (float64, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:])) // proc(5): state is the first of them
	var user, system float64
	if _, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system); err != nil {
		return 0, err
	}
	const ticksPerSecond = 100 // USER_HZ on every Linux that Go runs on
	return (user + system) / ticksPerSecond, nil
}

// rss is the resident memory of a process in MB; share counts what it shares with other processes in parts only.
type rss struct{ anon, file, share float64 }

func memory(pid int) (m rss, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return m, err
	}
	for line := range strings.Lines(string(status)) {
		var kB float64
		if n, _ := fmt.Sscanf(line, "RssAnon: %f kB", &kB); n == 1 {
			m.anon = kB / 1000 * 1.024
		}
		if n, _ := fmt.Sscanf(line, "RssFile: %f kB", &kB); n == 1 {
			m.file = kB / 1000 * 1.024
		}
	}
	rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return m, err
	}
	for line := range strings.Lines(string(rollup)) {
		var kB float64
		if n, _ := fmt.Sscanf(line, "Pss: %f kB", &kB); n == 1 {
			m.share = kB / 1000 * 1.024
		}
	}
	return m, nil
}

// subscriber notes for each reading how long it took from the device to here.
type subscriber struct {
	client mqtt.Client

	mu     sync.Mutex
	delays []delay
}

type delay struct {
	ms       int64
	readings uint64
}

func subscribe(broker string) (*subscriber, error) {
	s := &subscriber{client: mqtt.NewClient(mqtt.NewClientOptions().AddBroker("tcp://" + broker).SetClientID("bench").SetProtocolVersion(4))}
	if token := s.client.Connect(); token.Wait() && token.Error() != nil {
		return nil, token.Error()
	}
	if token := s.client.Subscribe("millgate/v1/bench/gw-01/readings", 1, s.take); token.Wait() && token.Error() != nil {
		return nil, token.Error()
	}
	return s, nil
}

func (s *subscriber) take(_ mqtt.Client, m mqtt.Message) {
	now := time.Now().UnixMilli()
	msg, err := uplink.ParseMessage(m.Payload())
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range msg.Readings {
		s.delays = append(s.delays, delay{now - o.Time, uint64(len(o.Values) + len(o.Bad))})
	}
}

func (s *subscriber) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delays = nil
}

// result is the number of readings since reset, and the times within which half and 99 of 100 of them arrived.
func (s *subscriber) result() (readings uint64, p50, p99 time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.SortFunc(s.delays, func(a, b delay) int { return int(a.ms - b.ms) })
	for _, d := range s.delays {
		readings += d.readings
	}
	seen := uint64(0)
	for _, d := range s.delays {
		if seen*100 < readings*50 {
			p50 = time.Duration(d.ms) * time.Millisecond
		}
		if seen*100 < readings*99 {
			p99 = time.Duration(d.ms) * time.Millisecond
		}
		seen += d.readings
	}
	return readings, p50, p99
}

func (s *subscriber) close() { s.client.Disconnect(100) }
