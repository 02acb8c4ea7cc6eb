package buffer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/millgate/millgate/collector/kpi"
)

// packedReport is a report's content as it will be stored. It is made by who appends it, so that neither a commit nor the memory of what
// waits for one bears its size.
type packedReport struct {
	frame   []byte // zstd of its JSON
	rawSize uint32
	records int
	time    int64
}

// packer makes packed reports.
type packer struct {
	mu    sync.Mutex
	codec *codec
}

// AppendReports takes the reports that follow from one block of readings, as blocks of the stream kpis: all of them in one commit, or none. A
// report whose message would exceed the block size becomes several, numbered by Part from 1. It does not wait for the disk and refuses
// nothing; whoever appends must let them become Durable before many more follow (see Follower). The error names a result that can not be
// encoded, and then nothing was taken.
func (q *Queue) AppendReports(reports []kpi.Report) (pos uint64, err error) {
	blocks, err := q.packer.pack(reports, q.cfg.BlockSize-envelopeSize)
	if err != nil {
		return 0, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(blocks) == 0 {
		return q.pos, nil
	}
	before := q.fill.reports
	q.fill.addReports(blocks, reports[len(reports)-1].Through)
	q.reports += q.fill.reports - before
	q.pos++
	q.fill.pos = q.pos
	if q.reports >= commitSize {
		q.hurry()
	}
	return q.pos, nil
}

// pack makes blocks of reports, each with at most limit bytes of JSON unless a single result has more.
func (p *packer) pack(reports []kpi.Report, limit int) (blocks []*Block, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.codec == nil {
		if p.codec, err = newCodec(); err != nil {
			return nil, err
		}
	}
	for i := range reports {
		texts, err := resultTexts(&reports[i])
		if err != nil {
			return nil, err
		}
		ends := partEnds(texts, limit)
		from := 0
		for part, end := range ends {
			r := reports[i]
			if len(ends) > 1 {
				r.Part = part + 1
			}
			blocks = append(blocks, &Block{Stream: KPIs, packed: p.packOne(r, texts[from:end])})
			from = end
		}
	}
	return blocks, nil
}

// resultTexts is each result's JSON.
func resultTexts(r *kpi.Report) ([][]byte, error) {
	texts := make([][]byte, len(r.Results))
	for i := range r.Results {
		text, err := json.Marshal(&r.Results[i])
		if err != nil {
			return nil, fmt.Errorf("KPI %s of %s in the window %s can not be encoded: %w", r.Results[i].KPI, r.Results[i].Subject, r.Window.Label, err)
		}
		texts[i] = text
	}
	return texts, nil
}

// partEnds is where each part ends. There is at least one part.
func partEnds(texts [][]byte, limit int) (ends []int) {
	size := 0
	for i, text := range texts {
		if size > 0 && size+len(text)+1 > limit {
			ends = append(ends, i)
			size = 0
		}
		size += len(text) + 1
	}
	return append(ends, len(texts))
}

// packOne compresses r with these results. The text is what encoding/json makes of the whole.
func (p *packer) packOne(r kpi.Report, results [][]byte) *packedReport {
	r.Results = nil
	text := bytes.TrimSuffix(marshal(&r), []byte("null}"))
	text = append(text, '[')
	text = append(text, bytes.Join(results, []byte(","))...)
	text = append(text, "]}"...)
	return &packedReport{frame: p.codec.enc.EncodeAll(text, nil), rawSize: uint32(len(text)), records: len(results), time: r.Window.To}
}

// ReportedThrough is the block of readings up to which reports are stored; its zero value says that there are none.
func (q *Queue) ReportedThrough() kpi.Position {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.books.through
}
