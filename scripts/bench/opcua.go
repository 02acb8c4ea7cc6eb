package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	opcuaItems     = 10_000
	plantNamespace = "http://millgate.example/plant" // of scripts/peers/node-opcua.js
)

// Bars of opcua.
const (
	maxOPCUACPU = 5.0 // CPU seconds per million values, in the gateway and its worker together
	maxOPCUARSS = 90  // MB, likewise
)

// items subscribes to 10,000 variables of node-opcua that change each second, without encryption, and publishes them.
func items(warm, span time.Duration) (err error) {
	h, err := newHouse("mixed", time.Second)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	fmt.Printf("%d items × 1 s over OPC UA, %v after %v\n", opcuaItems, span, warm)
	if err := errors.Join(h.build(), h.startBroker()); err != nil {
		return err
	}
	endpoint, err := h.startNodeOPCUA()
	if err != nil {
		return err
	}
	bare, err := bareOPCUA(endpoint, min(span, 30*time.Second))
	if err != nil {
		return fmt.Errorf("bare loop: %w", err)
	}
	sub, err := subscribe(h.broker)
	if err != nil {
		return err
	}
	defer sub.close()
	gateway, err := h.gatewayOf(fmt.Sprintf("uplinks:\n- {id: bench, brokers: [\"tcp://%s\"], topic_prefix: millgate/v1}\n", h.broker), itemsYAML(endpoint))
	if err != nil {
		return err
	}
	time.Sleep(warm)
	worker, err := onlyChild(gateway.pid())
	if err != nil {
		return errors.Join(err, gateway.stop())
	}
	p := pair{gateway: gateway.pid(), worker: worker, server: h.simulator}
	if err := errors.Join(p.watch(sub, span), gateway.stop()); err != nil {
		return err
	}
	return p.report(bare)
}

// startNodeOPCUA starts the foreign server.
func (h *house) startNodeOPCUA() (endpoint string, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, _ := strings.Cut(listener.Addr().String(), ":")
	if err := listener.Close(); err != nil {
		return "", err
	}
	cmd := exec.Command("node", "scripts/peers/node-opcua.js", "--port", port, "--pki", h.path("pki"), "--variables", strconv.Itoa(opcuaItems), "--tick", "1000")
	cmd.Stderr = nil                           // its warnings about the version of Node
	if _, err := cmd.StdinPipe(); err != nil { // it ends with its input
		return "", err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := h.run(cmd); err != nil {
		return "", fmt.Errorf("node-opcua: %w (scripts/test installs it)", err)
	}
	h.simulator = cmd.Process.Pid
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if endpoint, ok := strings.CutPrefix(lines.Text(), "READY "); ok {
			return endpoint, nil
		}
	}
	return "", errors.New("node-opcua ended before it was ready (scripts/test installs it)")
}

func itemsYAML(endpoint string) string {
	var out strings.Builder
	fmt.Fprintf(&out, "- id: plant\n  opcua: {endpoint: %q, security_policy: None, security_mode: None}\n  interval: 1s\n  points:\n", endpoint)
	for i := range opcuaItems {
		fmt.Fprintf(&out, "  - {name: n%d, node: \"nsu=%s;s=Counter.%d\", type: uint32}\n", i, plantNamespace, i)
	}
	return out.String()
}

// onlyChild is the process that another has started.
func onlyChild(pid int) (int, error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return 0, err
	}
	var children []string
	for _, task := range tasks {
		if text, err := os.ReadFile(task); err == nil { // else the thread has ended
			children = append(children, strings.Fields(string(text))...)
		}
	}
	if len(children) != 1 {
		return 0, fmt.Errorf("the gateway has %d child processes; want its worker alone", len(children))
	}
	return strconv.Atoi(children[0])
}

// pair is a gateway and its worker, with what they cost.
type pair struct {
	gateway, worker, server int // processes

	values         uint64
	cpu            [3]float64 // seconds, in the same order
	gatewayRSS     rss        // when the sum was highest
	workerRSS      rss
	p50, p99, span time.Duration
}

func (p *pair) processorTimes() (cpu [3]float64, err error) {
	var errs [3]error
	for i, pid := range []int{p.gateway, p.worker, p.server} {
		cpu[i], errs[i] = processorTime(pid)
	}
	return cpu, errors.Join(errs[:]...)
}

// watch compares the meters at the start and the end of the measurement.
func (p *pair) watch(sub *subscriber, span time.Duration) error {
	sub.reset()
	began := time.Now()
	before, err := p.processorTimes()
	if err != nil {
		return err
	}
	for time.Since(began) < span {
		time.Sleep(time.Second)
		g, err := memory(p.gateway)
		w, err2 := memory(p.worker)
		if err := errors.Join(err, err2); err != nil {
			return err
		}
		if g.sum()+w.sum() > p.gatewayRSS.sum()+p.workerRSS.sum() {
			p.gatewayRSS, p.workerRSS = g, w
		}
	}
	after, err := p.processorTimes()
	if err != nil {
		return err
	}
	for i := range after {
		p.cpu[i] = after[i] - before[i]
	}
	p.span = time.Since(began)
	if p.values, p.p50, p.p99 = sub.result(); p.values == 0 {
		return errors.New("the subscriber received nothing")
	}
	return nil
}

func (m rss) sum() float64 { return m.anon + m.file }

func (p *pair) report(bare result) error {
	per := func(cpu float64) float64 { return cpu / float64(p.values) * 1e6 }
	both, memory := per(p.cpu[0]+p.cpu[1]), p.gatewayRSS.sum()+p.workerRSS.sum()
	var c card
	c.note("values", fmt.Sprint(p.values))
	c.note("  per second", fmt.Sprintf("%.0f", float64(p.values)/p.span.Seconds()))
	c.row("CPU-s per million values, both", fmt.Sprintf("%.2f", both), fmt.Sprintf("≤ %.1f", maxOPCUACPU), both <= maxOPCUACPU)
	c.note("  the gateway", fmt.Sprintf("%.2f", per(p.cpu[0])))
	c.note("  the worker", fmt.Sprintf("%.2f", per(p.cpu[1])))
	c.note("  a bare gopcua loop", fmt.Sprintf("%.2f", bare.perMillion()))
	c.note("  the server", fmt.Sprintf("%.2f", per(p.cpu[2])))
	c.row("resident memory, MB, both", fmt.Sprintf("%.1f", memory), fmt.Sprintf("≤ %d", maxOPCUARSS), memory <= maxOPCUARSS)
	c.note("  the gateway (anonymous)", fmt.Sprintf("%.1f (%.1f)", p.gatewayRSS.sum(), p.gatewayRSS.anon))
	c.note("  the worker (anonymous)", fmt.Sprintf("%.1f (%.1f)", p.workerRSS.sum(), p.workerRSS.anon))
	c.note("  what both share counted once", fmt.Sprintf("%.1f", p.gatewayRSS.share+p.workerRSS.share))
	c.note("device to subscriber, p50", fmt.Sprint(p.p50))
	c.note("device to subscriber, p99", fmt.Sprint(p.p99))
	return c.result()
}

// bareOPCUA runs loopOPCUA in a process of its own.
func bareOPCUA(endpoint string, span time.Duration) (r result, err error) {
	cmd := exec.Command(os.Args[0], "-role", "bare-opcua", "-duration", span.String(), endpoint)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return r, err
	}
	_, err = fmt.Sscan(string(out), &r.values, &r.cpu)
	return r, err
}
