package worker

import (
	"errors"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// unansweredTime is how long data may stay without the other side's TCP acknowledgement before the connection is given up.
const unansweredTime = 20 * time.Second

// limitUnanswered makes the system end a connection whose data nobody acknowledges. Keep-alive probes see only idle ones.
func limitUnanswered(_, _ string, raw syscall.RawConn) error {
	var set error
	err := raw.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(unansweredTime.Milliseconds()))
	})
	return errors.Join(err, set)
}
