package main

import (
	"fmt"
	"io"
	"time"

	"github.com/millgate/millgate/drivers/opcua"
)

// browseProgress tells a person how far browsing has come: one line on a terminal, else a line now and then.
type browseProgress struct {
	w    io.Writer
	at   string
	live bool
	next time.Time
}

func newBrowseProgress(w io.Writer, endpoint string) *browseProgress {
	p := &browseProgress{w: w, at: endpoint, live: isTerminal(w), next: time.Now()}
	if !p.live {
		p.next = p.next.Add(p.interval())
	}
	return p
}

func (p *browseProgress) interval() time.Duration {
	if p.live {
		return 200 * time.Millisecond
	}
	return 10 * time.Second
}

func (p *browseProgress) show(a opcua.BrowseAnswer) {
	now := time.Now()
	if a.Result != nil || now.Before(p.next) {
		return
	}
	p.next = now.Add(p.interval())
	doing := "looking around"
	if a.Reading {
		doing = "reading values"
	}
	line := fmt.Sprintf("%s: %s, %d nodes, %d variables", p.at, doing, a.Seen, a.Variables)
	if p.live {
		fmt.Fprintf(p.w, "\r\x1b[K%s", line)
	} else {
		fmt.Fprintln(p.w, "millgate:", line)
	}
}

// end clears the line.
func (p *browseProgress) end() {
	if p.live {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
