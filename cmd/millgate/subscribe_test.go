package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
	"go.uber.org/goleak"
)

// openTestBroker serves at address; port 0 is a free one.
func openTestBroker(t *testing.T, address string) (broker *mochi.Server, at string) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	broker = mochi.New(&mochi.Options{Logger: slog.New(slog.DiscardHandler), InlineClient: true})
	if err := broker.AddHook(new(auth.AllowHook), nil); err != nil {
		t.Fatal(err)
	}
	if err := broker.AddListener(listeners.NewNet("test", listener)); err != nil {
		t.Fatal(err)
	}
	if err := broker.Serve(); err != nil {
		t.Fatal(err)
	}
	return broker, listener.Addr().String()
}

func publish(t *testing.T, broker *mochi.Server, seq uint64) {
	t.Helper()
	if err := broker.Publish("millgate/v1/s/g/readings", blockOf("E", seq), false, 1); err != nil {
		t.Fatal(err)
	}
}

// await is the next text that says what; others are passed over.
func await(t *testing.T, said <-chan string, what string) {
	t.Helper()
	for timeout := time.After(10 * time.Second); ; {
		select {
		case text := <-said:
			if strings.Contains(text, what) {
				return
			}
		case <-timeout:
			t.Fatalf("nobody says %q", what)
		}
	}
}

// TestSubscriptionReconnects: a broker that goes and comes again finds the subscription made anew, and what was published meanwhile is
// named as missing.
func TestSubscriptionReconnects(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	broker, at := openTestBroker(t, "127.0.0.1:0")
	said, lines := make(chan string, 100), make(chan string, 100)
	p := &printer{w: &lineWriter{lines}, output: asText, got: newReceived(), done: func() {}}
	s := &subscription{broker: "tcp://" + at, topic: "millgate/v1/#"}
	running := start(func(ctx context.Context) error { return s.run(ctx, p.take, func(text string) { said <- text }) })

	await(t, said, "connected")
	publish(t, broker, 1)
	await(t, lines, "d  n 1")
	if err := broker.Close(); err != nil {
		t.Fatal(err)
	}
	await(t, said, "connection lost")
	broker, _ = openTestBroker(t, at)
	await(t, said, "connected")
	publish(t, broker, 4)
	await(t, lines, "blocks 2 to 3 of readings are missing")
	await(t, lines, "d  n 4")
	if err := running.stop(); err != nil {
		t.Error(err)
	}
	if err := broker.Close(); err != nil {
		t.Fatal(err)
	}
	if p.got.blocks != 2 || p.got.missing() != 2 || p.err != nil {
		t.Errorf("received %v, %v", p.got, p.err)
	}
}

type lineWriter struct{ lines chan<- string }

func (w *lineWriter) Write(b []byte) (int, error) {
	w.lines <- string(b)
	return len(b), nil
}

// TestSubscribe is the command against a broker: it ends after --count blocks, and its exit code tells whether any was missing.
func TestSubscribe(t *testing.T) {
	for _, test := range []struct {
		name   string
		second uint64
		code   int
		says   string
	}{
		{"complete", 2, 0, "received 2 blocks with 2 readings, 0 KPIs and 0 events; 0 missing"},
		{"gap", 3, 1, "received 2 blocks with 2 readings, 0 KPIs and 0 events; 1 missing"},
	} {
		t.Run(test.name, func(t *testing.T) {
			broker, at := openTestBroker(t, "127.0.0.1:0")
			defer func() {
				if err := broker.Close(); err != nil {
					t.Error(err)
				}
			}()
			said, lines := make(chan string, 100), make(chan string, 100)
			code := make(chan int, 1)
			go func() {
				code <- execute([]string{"subscribe", "tcp://" + at, "--count", "2", "--output", "json"}, &lineWriter{lines}, &lineWriter{said})
			}()
			await(t, said, "connected")
			publish(t, broker, 1)
			publish(t, broker, test.second)
			await(t, said, test.says)
			if got := <-code; got != test.code {
				t.Errorf("exit %d, want %d", got, test.code)
			}
			close(lines)
			for line := range lines {
				if !json.Valid([]byte(line)) {
					t.Errorf("not JSON: %s", line)
				}
			}
		})
	}
}

// TestSubscribeRefusals: what can not work is said at once, with the way out.
func TestSubscribeRefusals(t *testing.T) {
	notPEM := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(notPEM, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args []string
		says string
	}{
		{[]string{"tcp://127.0.0.1:1"}, "check the broker's address"},
		{[]string{"tcp://127.0.0.1:1", "--password-file", "nowhere"}, "--password-file: open nowhere"},
		{[]string{"ssl://127.0.0.1:1", "--ca-file", notPEM}, "holds no certificate"},
	} {
		var stderr strings.Builder
		if code := execute(append([]string{"subscribe"}, test.args...), io.Discard, &stderr); code != 1 || !strings.Contains(stderr.String(), test.says) {
			t.Errorf("%v: exit %d, %s; want 1, %q", test.args, code, &stderr, test.says)
		}
	}
}
