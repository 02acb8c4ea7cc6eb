package opcua

import (
	"bytes"
	"slices"
	"strings"
	"sync"
)

const (
	keptLines = 30
	keptBytes = 400 // of a line
)

// deaths is how the runtime begins to tell of one.
var deaths = []string{"panic: ", "fatal error: ", "unexpected fault address ", "SIG"}

// lastWords keeps the end of what a worker writes to its standard error, and where that began to tell of its death.
type lastWords struct {
	mu    sync.Mutex
	line  []byte // the one that is not complete yet
	lines []string
	fatal string // the first line of a panic, of a fatal error of the runtime, or of a signal that ends it
}

// Write is io.Writer's.
func (l *lastWords) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(b)
	for {
		line, rest, ended := bytes.Cut(b, []byte("\n"))
		l.line = append(l.line, line[:min(len(line), keptBytes-len(l.line))]...)
		if !ended {
			return n, nil
		}
		l.keep(strings.TrimSpace(strings.ToValidUTF8(string(l.line), "?")))
		l.line, b = l.line[:0], rest
	}
}

func (l *lastWords) keep(line string) {
	if line == "" {
		return
	}
	if l.fatal == "" && slices.ContainsFunc(deaths, func(d string) bool { return strings.HasPrefix(line, d) }) {
		l.fatal = line
	}
	if len(l.lines) == keptLines {
		l.lines = slices.Delete(l.lines, 0, 1)
	}
	l.lines = append(l.lines, line)
}

// cause is the first line that tells of a death, and the last line of all.
func (l *lastWords) cause() (fatal, last string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.line) > 0 {
		l.keep(strings.TrimSpace(strings.ToValidUTF8(string(l.line), "?")))
		l.line = nil
	}
	if len(l.lines) > 0 {
		last = l.lines[len(l.lines)-1]
	}
	return l.fatal, last
}

func (l *lastWords) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}
