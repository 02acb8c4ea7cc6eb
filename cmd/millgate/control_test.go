package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// TestNobodyIsServedAfterTheEnd: the links and the queue are closed when the control socket has ended, so no handler may still use them.
func TestNobodyIsServedAfterTheEnd(t *testing.T) {
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), controlFile))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	asked := make(chan struct{})
	var ended atomic.Bool
	serving := make(chan error, 1)
	go func() {
		serving <- serveUntil(ctx, listener, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			close(asked)
			<-r.Context().Done()
			time.Sleep(50 * time.Millisecond) // as a driver that closes its link
			ended.Store(true)
		}))
	}()
	conn, err := net.Dial("unix", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("GET / HTTP/1.1\r\nHost: gateway\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	<-asked
	cancel()
	if err := <-serving; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
	if !ended.Load() {
		t.Error("a handler still runs")
	}
}
