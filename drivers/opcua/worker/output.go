package worker

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"github.com/millgate/millgate/drivers/opcua"
)

// output is the way to the gateway; many may use it.
type output struct {
	mu   sync.Mutex
	w    io.Writer
	fail func(error) // ends the worker
}

func (o *output) frame(kind byte, body []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := opcua.WriteFrame(o.w, kind, body); err != nil {
		o.fail(fmt.Errorf("write to the gateway: %w", err))
	}
}

func (o *output) json(kind byte, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		o.fail(err)
		return
	}
	o.frame(kind, body)
}

// logger writes to the gateway's log. The nil logger writes nothing.
type logger struct{ out *output }

func (l *logger) info(message string, attrs ...string) { l.line(slog.LevelInfo, message, attrs) }

func (l *logger) warn(message string, attrs ...string) { l.line(slog.LevelWarn, message, attrs) }

func (l *logger) line(level slog.Level, message string, attrs []string) {
	if l == nil {
		return
	}
	line := opcua.LogLine{Level: int(level), Message: message, Attrs: make(map[string]string, len(attrs)/2)}
	for i := 0; i+1 < len(attrs); i += 2 {
		line.Attrs[attrs[i]] = attrs[i+1]
	}
	l.out.json(opcua.FrameLog, line)
}
