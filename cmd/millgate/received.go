package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"strings"

	"github.com/millgate/millgate/buffer"
	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/uplink"
)

// received is what a subscriber keeps of the blocks it got, so that it can tell a repetition from news and name what is missing: the
// sequence (epoch, stream) of each block with the numbers that are missing from it. It is the reference for writing one's own.
type received struct {
	blocks, readings, kpis, events uint64 // each counted once
	repeated                       uint64
	faults                         uint64 // notices of kinds that must not happen
	sequences                      map[sequence]*progress
}

// sequence is what block numbers count up in.
type sequence struct {
	epoch  string
	stream buffer.Stream
}

// progress is how far a sequence has come. A subscriber that joins later begins with the first block it sees.
type progress struct {
	gateway string // site/gateway
	last    uint64
	missing spans // below last, neither received nor explained
	earlier spans // before the first that was received, and not received since: not expected, and no repetition
	given   spans // not received, and explained by an event as given up
	recent  [repetitionMemory][sha256.Size]byte
}

// repetitionMemory is how many blocks back a repetition can still be compared byte by byte.
const repetitionMemory = 256

// notice is something worth saying about what was received.
type notice struct {
	Kind string `json:"notice"`
	Text string `json:"text"`
}

// The kinds of notice; the first three must not happen and count as faults.
const (
	noticeInvalid  = "invalid"
	noticeDiffers  = "differs"
	noticeGap      = "gap"
	noticeLate     = "late"
	noticeRepeated = "repeated"
	noticeGivenUp  = "given_up"
	noticeEpoch    = "epoch"
)

func newReceived() *received { return &received{sequences: map[sequence]*progress{}} }

// take accepts one message. m is the block if it is one that was not received before; else nil.
func (r *received) take(topic string, payload []byte) (m *uplink.Message, notices []notice) {
	switch dir, last := path.Split(topic); {
	case strings.HasSuffix(dir, "/catalogue/"):
		return nil, r.verifyCatalogue(last, payload)
	case last == "status":
		return nil, nil
	}
	m, err := uplink.ParseMessage(payload)
	if err != nil {
		return nil, r.fault(nil, noticeInvalid, "%s: %v", printable(topic), err)
	}
	key := sequence{m.Epoch, m.Stream}
	p := r.sequences[key]
	if p == nil {
		notices = r.begin(key, m)
		p = r.sequences[key]
	}
	hash := sha256.Sum256(payload)
	remembered := &p.recent[m.Seq%repetitionMemory]
	one := span{m.Seq, m.Seq}
	switch {
	case m.Seq > p.last:
		if m.Seq-p.last > 1 {
			notices = r.gap(notices, key, p, span{p.last + 1, m.Seq - 1})
		}
		p.last = m.Seq
		p.given.remove(one)
	case p.missing.has(m.Seq), p.earlier.has(m.Seq), p.given.has(m.Seq):
		p.missing.remove(one)
		p.earlier.remove(one)
		p.given.remove(one) // it was under way when it was given up
		notices = append(notices, notice{noticeLate, fmt.Sprintf("%s block %d of %s has come late", p.gateway, m.Seq, m.Stream)})
	default:
		r.repeated++
		if p.last-m.Seq < repetitionMemory && *remembered != ([sha256.Size]byte{}) && *remembered != hash {
			return nil, r.fault(notices, noticeDiffers, "%s block %d of %s came again with other content", p.gateway, m.Seq, m.Stream)
		}
		return nil, append(notices, notice{noticeRepeated, fmt.Sprintf("%s block %d of %s came again", p.gateway, m.Seq, m.Stream)})
	}
	if p.last-m.Seq < repetitionMemory {
		*remembered = hash
	}
	r.count(m)
	return m, append(notices, r.explain(m)...)
}

// begin starts a sequence with the block that was received first.
func (r *received) begin(key sequence, m *uplink.Message) (notices []notice) {
	p := &progress{gateway: printable(m.Site + "/" + m.Gateway), last: m.Seq - 1}
	if m.Seq > 1 {
		p.earlier.add(span{1, m.Seq - 1})
	}
	for other, q := range r.sequences {
		if other.stream == key.stream && q.gateway == p.gateway {
			notices = append(notices, notice{noticeEpoch, fmt.Sprintf("%s goes on in epoch %s with block %d of %s; the last one received of epoch %s was %d",
				p.gateway, key.epoch, m.Seq, key.stream, other.epoch, q.last)})
		}
	}
	r.sequences[key] = p
	return notices
}

// gap notes that numbers were passed over; what an event has explained already is none.
func (r *received) gap(notices []notice, key sequence, p *progress, s span) []notice {
	p.missing.add(s)
	for _, g := range p.given {
		p.missing.remove(g)
	}
	for _, m := range p.missing {
		if m.from >= s.from {
			notices = append(notices, notice{noticeGap, fmt.Sprintf("%s blocks %d to %d of %s are missing", p.gateway, m.from, m.to, key.stream)})
		}
	}
	return notices
}

// explain takes the blocks that an event says the gateway has given up off the missing ones.
func (r *received) explain(m *uplink.Message) (notices []notice) {
	for _, e := range m.Events {
		p := (*progress)(nil)
		if e.Ref != nil && e.Ref.From <= e.Ref.To && (e.Kind == drivers.EventEvicted || e.Kind == drivers.EventQuarantined) {
			p = r.sequences[sequence{m.Epoch, buffer.Stream(e.Ref.Stream)}]
		}
		if p == nil {
			continue
		}
		s := span{e.Ref.From, e.Ref.To}
		for _, never := range p.missing.remove(s) {
			p.given.add(never)
		}
		if s.to > p.last {
			p.given.add(span{max(s.from, p.last+1), s.to})
		}
		notices = append(notices, notice{noticeGivenUp, fmt.Sprintf("%s has given up blocks %d to %d of %s (%d readings, cause %s) for %s",
			p.gateway, s.from, s.to, printable(e.Ref.Stream), e.Count, printable(string(e.Cause)), printable(e.Subject))})
	}
	return notices
}

// verifyCatalogue checks that a catalogue is the one that its topic names; an empty one has been cleared.
func (r *received) verifyCatalogue(hash string, payload []byte) []notice {
	sum := sha256.Sum256(payload)
	if got := hex.EncodeToString(sum[:16]); len(payload) > 0 && got != hash {
		return r.fault(nil, noticeInvalid, "the catalogue on topic …/%s has the hash %s", printable(hash), got)
	}
	return nil
}

func (r *received) count(m *uplink.Message) {
	r.blocks++
	r.events += uint64(len(m.Events))
	if m.Report != nil {
		r.kpis += uint64(len(m.Report.Results))
	}
	for _, o := range m.Readings {
		r.readings += uint64(len(o.Values) + len(o.Bad))
	}
}

func (r *received) fault(notices []notice, kind, format string, args ...any) []notice {
	r.faults++
	return append(notices, notice{kind, fmt.Sprintf(format, args...)})
}

// missing is how many blocks were passed over and neither came later nor were explained.
func (r *received) missing() (n uint64) {
	for _, p := range r.sequences {
		n += p.missing.count()
	}
	return n
}

// good says that nothing is missing and nothing was wrong.
func (r *received) good() bool { return r.faults == 0 && r.missing() == 0 }

func (r *received) String() string {
	return fmt.Sprintf("%d blocks with %d readings, %d KPIs and %d events; %d missing, %d repeated, %d faults",
		r.blocks, r.readings, r.kpis, r.events, r.missing(), r.repeated, r.faults)
}
