package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/millgate/millgate/buffer"
	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/uplink"
)

// recording is what a subscriber wrote down: a line "topic payload" for each message, as mosquitto_sub -v prints them. Payloads stay in the
// file, so a long recording takes little memory.
type recording struct {
	file     *os.File
	scratch  bool // the file is ours, and goes with close
	messages uint64
	got      *received
	notices  []notice // faults, gaps and what was given up
	gateways map[string]*recordedGateway
	first    map[blockID]placed
}

// blockID identifies a block in the whole world.
type blockID struct {
	sequence
	seq uint64
}

// recordedGateway is what was received of one gateway.
type recordedGateway struct {
	Name       string // site/gateway
	catalogues map[string]placed
	blocks     map[buffer.Stream][]recordedBlock // each once, by seq when read is done
	ledgers    []recordedLedger                  // in order
}

// placed is where a payload stands in the recording.
type placed struct {
	at   int64
	size int
}

// recordedBlock is one block.
type recordedBlock struct {
	Epoch string
	Seq   uint64
	Count map[string]uint64 // of readings: by device
	From  int64             // of readings: the least time in it, ms since 1970 UTC; From > To: there is none
	To    int64
	placed
}

// recordedLedger is the gateway's account of everything up to a block.
type recordedLedger struct {
	Time    int64  // ms since 1970 UTC
	Through uint64 // the last block of readings that it counts; 0: the gateway did not say
	buffer.Ledger
}

// openRecording reads a recording; "-" is stdin. Closing it is the caller's.
func openRecording(name string, stdin io.Reader) (r *recording, err error) {
	r = &recording{got: newReceived(), gateways: map[string]*recordedGateway{}, first: map[blockID]placed{}}
	if name != "-" {
		if r.file, err = os.Open(name); err != nil {
			return nil, err
		}
	} else {
		if r.file, err = os.CreateTemp("", "millgate-audit-"); err != nil {
			return nil, err
		}
		r.scratch = true
		if _, err = io.Copy(r.file, stdin); err == nil {
			_, err = r.file.Seek(0, io.SeekStart)
		}
	}
	if err == nil {
		err = r.read()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), r.close())
	}
	return r, nil
}

func (r *recording) close() error {
	err := r.file.Close()
	if r.scratch {
		err = errors.Join(err, os.Remove(r.file.Name()))
	}
	return err
}

func (r *recording) read() error {
	lines := bufio.NewReaderSize(r.file, 1<<20)
	at := int64(0)
	for number := 1; ; number++ {
		line, err := lines.ReadBytes('\n')
		if text := bytes.TrimRight(line, "\r\n"); len(text) > 0 {
			topic, payload, ok := bytes.Cut(text, []byte(" "))
			if !ok || !bytes.Contains(topic, []byte("/")) {
				return fmt.Errorf("line %d is no \"topic payload\": record with mosquitto_sub -v -t 'millgate/v1/#' > FILE", number)
			}
			if err := r.take(string(topic), payload, placed{at + int64(len(topic)) + 1, len(payload)}); err != nil {
				return fmt.Errorf("line %d: %w", number, err)
			}
		}
		at += int64(len(line))
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if r.messages == 0 {
		return errors.New("it holds no message of a gateway")
	}
	for _, g := range r.gateways {
		for _, blocks := range g.blocks {
			slices.SortStableFunc(blocks, func(a, b recordedBlock) int { return cmp.Compare(a.Seq, b.Seq) })
		}
	}
	return nil
}

// cleared is how mosquitto_sub prints a message without a payload.
const cleared = "(null)"

func (r *recording) take(topic string, payload []byte, p placed) error {
	r.messages++
	if dir, hash := path.Split(topic); strings.HasSuffix(dir, "/catalogue/") {
		return r.takeCatalogue(topic, hash, payload, p)
	}
	m, notices := r.got.take(topic, payload)
	for _, n := range notices {
		if n.Kind != noticeRepeated && n.Kind != noticeLate {
			r.notices = append(r.notices, n)
		}
	}
	if m == nil {
		return r.takeAgain(payload, notices)
	}
	g := r.gateway(m.Site, m.Gateway)
	block := recordedBlock{Epoch: m.Epoch, Seq: m.Seq, placed: p}
	if m.Stream == buffer.Readings {
		block.Count, block.From, block.To = map[string]uint64{}, math.MaxInt64, math.MinInt64
		for _, o := range m.Readings {
			block.From, block.To = min(block.From, o.Time), max(block.To, o.Time)
			block.Count[o.Device] += uint64(len(o.Values) + len(o.Bad))
		}
	}
	g.blocks[m.Stream] = append(g.blocks[m.Stream], block)
	r.first[blockID{sequence{m.Epoch, m.Stream}, m.Seq}] = p
	for i := range m.Events {
		if err := g.takeLedger(&m.Events[i]); err != nil {
			return err
		}
	}
	return nil
}

func (r *recording) takeCatalogue(topic, hash string, payload []byte, p placed) error {
	if string(payload) == cleared {
		return nil
	}
	if notices := r.got.verifyCatalogue(hash, payload); len(notices) > 0 {
		r.notices = append(r.notices, notices...)
		return nil
	}
	var c struct{ Site, Gateway string }
	if err := json.Unmarshal(payload, &c); err != nil {
		return fmt.Errorf("%s: %w", printable(topic), err)
	}
	r.gateway(c.Site, c.Gateway).catalogues[hash] = p
	return nil
}

// takeAgain compares a block that came again with its first coming, however long ago that was.
func (r *recording) takeAgain(payload []byte, notices []notice) error {
	if !slices.ContainsFunc(notices, func(n notice) bool { return n.Kind == noticeRepeated }) {
		return nil
	}
	m, err := uplink.ParseMessage(payload)
	if err != nil {
		return err
	}
	first, err := r.payload(r.first[blockID{sequence{m.Epoch, m.Stream}, m.Seq}])
	if err != nil {
		return err
	}
	if !bytes.Equal(first, payload) {
		r.notices = r.got.fault(r.notices, noticeDiffers, "%s block %d of %s came again with other content", printable(m.Site+"/"+m.Gateway), m.Seq, m.Stream)
	}
	return nil
}

func (r *recording) gateway(site, gateway string) *recordedGateway {
	name := site + "/" + gateway
	g := r.gateways[name]
	if g == nil {
		g = &recordedGateway{Name: name, catalogues: map[string]placed{}, blocks: map[buffer.Stream][]recordedBlock{}}
		r.gateways[name] = g
	}
	return g
}

func (g *recordedGateway) takeLedger(e *drivers.Event) error {
	if e.Kind != drivers.EventLedger {
		return nil
	}
	l := recordedLedger{Time: e.Time}
	if err := json.Unmarshal(e.Fields, &l.Ledger); err != nil {
		return fmt.Errorf("the ledger of %s: %w", printable(g.Name), err)
	}
	if e.Ref != nil {
		l.Through = e.Ref.To
	}
	g.ledgers = append(g.ledgers, l)
	return nil
}

// payload reads a payload again.
func (r *recording) payload(p placed) ([]byte, error) {
	text := make([]byte, p.size)
	if _, err := r.file.ReadAt(text, p.at); err != nil {
		return nil, fmt.Errorf("read the recording again: %w", err)
	}
	return text, nil
}

// message reads a block's message again.
func (r *recording) message(b recordedBlock) (*uplink.Message, error) {
	text, err := r.payload(b.placed)
	if err != nil {
		return nil, err
	}
	return uplink.ParseMessage(text)
}
