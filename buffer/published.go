package buffer

import (
	"github.com/millgate/millgate/collector/kpi"
)

// published finds the stored reports of a window. It reads the heads of all stored reports at the first question: there is one only when late
// readings have come. It belongs to one goroutine.
type published struct {
	q     *Queue
	codec *codec
	next  uint64            // the first block that it does not know; 0 before the first question
	ends  map[int64][]Range // when a window ends, ms since 1970 UTC → blocks of such windows
}

func (q *Queue) newPublished() (*published, error) {
	codec, err := newCodec()
	return &published{q: q, codec: codec, ends: map[int64][]Range{}}, err
}

// find is kpi.History.Published, of what is committed.
func (p *published) find(w kpi.Window) (rev int, results []kpi.Result, ok bool) {
	p.learn()
	type name struct{ subject, kpi string }
	place := map[name]int{}
	for _, r := range p.ends[w.To] {
		for seq := r.From; seq <= r.To; seq++ {
			b := p.block(seq)
			if b == nil || b.Report.Window.Kind != w.Kind || b.Report.Window.From != w.From {
				continue
			}
			ok = true
			rev = max(rev, b.Report.Rev)
			for _, result := range b.Report.Results { // later blocks have later revisions
				n := name{result.Subject, result.KPI}
				if i, known := place[n]; known {
					results[i] = result
					continue
				}
				place[n] = len(results)
				results = append(results, result)
			}
		}
	}
	return rev, results, ok
}

func (p *published) block(seq uint64) *Block {
	data := p.q.reportBlock(seq)
	if data == nil {
		return nil
	}
	b, err := p.codec.decode(data, nil)
	if err != nil || b.Report == nil {
		p.q.cfg.Log.Error("a stored report can not be read; it may be published again", "seq", seq, "error", err)
		return nil
	}
	return b
}

// learn takes in the reports that were stored since.
func (p *published) learn() {
	p.q.mu.Lock()
	next := p.q.books.next[KPIs]
	p.q.mu.Unlock()
	if p.next == 0 {
		p.next = p.q.firstReport()
	}
	for ; p.next < next; p.next++ {
		h, err := parseHeader(p.q.reportBlock(p.next))
		if err != nil {
			continue // gone, or damaged
		}
		of := p.ends[h.time]
		if n := len(of); n > 0 && of[n-1].To+1 == p.next {
			of[n-1].To = p.next
			continue
		}
		p.ends[h.time] = append(of, Range{p.next, p.next})
	}
}

// reportBlock is the stored form of a block of the stream kpis; nil if it can not be had.
func (q *Queue) reportBlock(seq uint64) []byte {
	for range 3 { // it may move to the archive meanwhile, or another reader need the place on the shelf
		q.mu.Lock()
		entry := q.books.holding(KPIs, seq)
		q.mu.Unlock()
		if data, err := q.stored(entry, KPIs, seq); err == nil && data != nil {
			return data
		}
	}
	return nil
}

// firstReport is the seq of the oldest report that is stored, or of the next one.
func (q *Queue) firstReport() uint64 {
	for _, number := range q.shelf.archiveFiles() {
		seg, err := q.shelf.get(number)
		if err != nil {
			continue
		}
		if first, _, err := seg.ends(KPIs); err == nil && first > 0 {
			return first
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, e := range q.books.segments() {
		if s, ok := e.Streams[KPIs]; ok {
			return s.First
		}
	}
	return q.books.next[KPIs]
}
