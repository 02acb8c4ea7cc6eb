package buffer

import "github.com/millgate/millgate/drivers"

// lookBack is how many blocks Latest looks at: beyond them a tag has not changed for long.
const lookBack = 200

// Latest is the time of the newest stored reading that is not bad, per tag, of those devices that are in the map's keys; ms since 1970 UTC.
// A tag that is not among the newest blocks is missing. It is for the time before Run.
func (q *Queue) Latest(devices map[string]bool) (latest map[string]map[string]int64, err error) {
	latest = map[string]map[string]int64{}
	if len(devices) == 0 {
		return latest, nil
	}
	missing := 0
	for _, tag := range q.cat.tags {
		if devices[tag.Device] && tag.Name != UpTag().Name {
			missing++
		}
	}
	c, err := newCodec()
	if err != nil {
		return nil, err
	}
	next := q.books.next[Readings]
	for seq := next - 1; seq >= q.live.floor[Readings] && seq > 0 && next-seq <= lookBack && missing > 0; seq-- {
		block, err := q.read(q.books.holding(Readings, seq), Readings, seq, c)
		if err != nil {
			return latest, err
		}
		for i := range block.Readings {
			r := &block.Readings[i]
			if !devices[r.Tag.Device] || r.Quality == drivers.Bad {
				continue
			}
			tags := latest[r.Tag.Device]
			if tags == nil {
				tags = map[string]int64{}
				latest[r.Tag.Device] = tags
			}
			at, known := tags[r.Tag.Name]
			if !known {
				missing--
			}
			tags[r.Tag.Name] = max(at, r.Time)
		}
	}
	return latest, nil
}
