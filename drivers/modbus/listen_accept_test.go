package modbus

import (
	"net"
	"syscall"
	"testing"
	"testing/synctest"
)

// flakySocket fails as a system does whose files are used up, then it closes.
type flakySocket struct {
	net.Listener
	failures int
	accepted bool
}

func (f *flakySocket) Accept() (net.Conn, error) {
	if f.failures > 0 {
		f.failures--
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	if f.accepted {
		return nil, net.ErrClosed
	}
	f.accepted = true
	near, far := net.Pipe()
	_ = far.Close()
	return near, nil
}

// TestListenerOutlivesAFailure: serial servers can still dial in after the system could not accept one for a while.
func TestListenerOutlivesAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		socket := &flakySocket{failures: 3}
		o := &listener{links: NewLinks(), socket: socket, waiting: map[*link]*dialIn{}, greeting: map[net.Conn]struct{}{}}
		o.accept()
		o.running.Wait()
		if !socket.accepted {
			t.Error("it has ended")
		}
	})
}
